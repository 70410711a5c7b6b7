r"""What a training step costs: floating-point operations of its matrix products, two for every multiplication and sum.

Counted as in :cite:`kao2024`: products only, no element-wise work and no optimiser, per example. With
:math:`P = \sum_l d_{l-1} d_l` weights, :math:`P_1` of them in the first and :math:`P_L` in the last layer,
:math:`D = \sum_{l<L} d_l`, K classes and a batch of B examples, backpropagation and counter-current learning cost

.. math:: 6P - 2P_1, \qquad 4P \Big(1 + \frac{K}{B}\Big) + 2K (3D - d_0),

which are the paper's Table 2. The other counts are our own, of the programs of this library; `program_flops` counts
those of any program, convolutions included.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import jax

from brainjax.core import checks

__all__ = ["flops", "program_flops"]


def flops(
    rule: str,
    widths: Sequence[int],
    batch: int,
    classes: int | None = None,
    *,
    iterations: int = 20,
    free_iterations: int = 30,
    nudged_iterations: int = 10,
    feedback_updates: int = 1,
) -> float:
    """Operations per example of one training step of a fully connected network without constants.

    Args:
        rule: its name in `brainjax.credit.RULES`; ``counter_current`` is the ``mlp`` loss with prototypes,
            ``predictive_coding`` the relaxed variant.
        widths: of the input and all levels.
        batch: examples in a batch.
        classes: by default the last width.
        iterations: of predictive coding.
        free_iterations: of equilibrium propagation.
        nudged_iterations: of equilibrium propagation, each side.
        feedback_updates: of target propagation, per update of the forward weights.

    Raises:
        ValueError: if the rule is unknown, or a size is not positive.
    """
    sizes = [int(n) for n in widths]
    checks.at_least("widths", sizes, 1)
    checks.at_least("batch", batch, 1)
    classes = sizes[-1] if classes is None else int(classes)
    each = [a * b for a, b in pairwise(sizes)]
    whole, first, last = sum(each), each[0], each[-1]
    upper = whole - first  # layers above the first: all that errors are sent through
    hidden = sum(sizes[1:-1])
    inner = whole - first - last if len(each) > 1 else 0  # layers between hidden levels
    # The reconstruction through the whole network goes up and down from every level.
    above = [sum(each[l:]) for l in range(1, len(each))]
    chains = sum(2 * s + 2 * (s - p) for s, p in zip(above, each[1:], strict=True))
    targets = 4 * whole + 4 * upper
    settling = (free_iterations + 2 * nudged_iterations) * 4 * inner + nudged_iterations * 2 * 4 * last
    counts = {
        "backprop": 6 * whole - 2 * first,
        "feedback_alignment": 6 * whole - 2 * first,
        "sign_symmetry": 6 * whole - 2 * first,
        "kolen_pollack": 6 * whole - 2 * first,
        "weight_mirror": 10 * whole - 2 * first,
        "direct_feedback_alignment": 4 * whole + 2 * classes * hidden,
        "direct_random_target_projection": 4 * whole + 2 * classes * hidden,
        "fixed_weight_target_propagation": targets,
        "difference_target_propagation": targets + feedback_updates * (2 * whole + 6 * upper),
        "local_difference_reconstruction": targets + feedback_updates * (2 * whole + 14 * upper),
        "difference_reconstruction": targets + feedback_updates * (2 * whole + 2 * upper + chains + 8 * upper),
        "forward_forward": 8 * (whole - last) + 2 * whole + 2 * last,
        "pepita": 6 * whole + 2 * classes * sizes[0],
        "predictive_coding": 6 * whole + iterations * 4 * upper,
        "equilibrium_propagation": 6 * first + settling + 4 * (first + inner) + 4 * last,
        "counter_current": 4 * whole * (1 + classes / batch) + 2 * classes * (3 * sum(sizes[:-1]) - sizes[0]),
    }
    checks.one_of("rule", rule, tuple(counts))
    return counts[rule]


def program_flops(function: Callable[..., Any], *arguments: Any) -> int:
    """Operations of all matrix products and convolutions in a program, counted from its trace without running it.

    Loops of known length count as often as they run; of branches the dearest counts.

    Args:
        function: any function of arrays.
        arguments: arrays or `jax.ShapeDtypeStruct`, in trees.

    Raises:
        ValueError: if there is a loop of unknown length.
    """
    return _count(jax.make_jaxpr(function)(*arguments).jaxpr)


def _count(program: Any) -> int:
    total = 0
    for equation in program.eqns:
        name, params = equation.primitive.name, equation.params
        if name == "dot_general":
            (contracted, _), _ = params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            total += 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(left[i] for i in contracted)
        elif name == "conv_general_dilated":
            kernel = equation.invars[1].aval.shape
            outputs = kernel[params["dimension_numbers"].rhs_spec[0]]
            total += 2 * math.prod(equation.outvars[0].aval.shape) * (math.prod(kernel) // outputs)
        elif name == "while":
            raise ValueError("program_flops cannot count a loop of unknown length")
        elif name == "scan":
            total += params["length"] * _count(params["jaxpr"].jaxpr)
        elif name == "cond":
            total += max(_count(branch.jaxpr) for branch in params["branches"])
        else:
            for value in params.values():
                inner = getattr(value, "jaxpr", value)
                total += _count(inner) if hasattr(inner, "eqns") else 0
    return total
