r"""Tangent kernels of weights whose gradient is a sum of outer products, from the factors alone.

The derivative of output :math:`i` by a weight matrix that is used :math:`S` times, as recurrent weights are, is

.. math:: \frac{\partial o_i}{\partial W} = \sum_s \delta_{is}\, p_{is}^\top ,

:math:`\delta_{is}` being the sensitivity of the output to the input current of use :math:`s` and :math:`p_{is}` the
activity that was multiplied. Hence

.. math:: K_{ij} = \sum_{s, s'} (\delta_{is} \cdot \delta_{js'}) (p_{is} \cdot p_{js'}) ,

which needs memory in proportion to the factors, not to outputs × weights, as the Jacobian does. This is exact; we
derived it from the definition of the kernel :cite:`jacot2018`.
"""

import math
from itertools import combinations_with_replacement, pairwise
from itertools import product as pairs_of
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.similarity import product
from brainjax.core.types import Array, ArrayLike, as_floats, is_concrete
from brainjax.richness._budget import BUDGET, refuse_beyond

__all__ = ["factored_kernel"]

_WRITTEN_OUT = 8  # blocks of steps: at most 36 products in a program, or 64 between two sets


def factored_kernel(
    deltas: ArrayLike,
    previous: ArrayLike,
    deltas2: ArrayLike | None = None,
    previous2: ArrayLike | None = None,
    *,
    causal: bool = False,
    budget: int | float = BUDGET,
) -> Float[Array, "outputs outputs2"]:
    r"""Exact tangent kernel :math:`K_{ij} = \sum_{s,s'} (\delta_{is} \cdot \delta_{js'})(p_{is} \cdot p_{js'})`.

    Outputs that share their activities, as all outputs of one sample do, are given as further axes of ``deltas``; the
    products of activities are then computed once per pair of samples. A step whose activity is zero throughout (the
    first of a network that starts from rest) may be cut off both: ``deltas[..., 1:, :]``, ``previous[:, 1:]``. With
    both, and ``causal``, the kernel of 32 samples, 8 times and 3 outputs costs a tenth of the full sum.

    Args:
        deltas: sensitivities, shape (samples, ..., steps, rows), where the axes ``...`` (there may be none) count
            outputs of a sample and ``rows`` those of the weight matrix.
        previous: activities, shape (samples, steps, columns), with the columns of the weight matrix.
        deltas2: sensitivities of a second set of outputs, for the kernel between the two; the first again by default.
        previous2: activities of the second set.
        causal: says that the second axis of ``deltas`` is the time of the output, the steps are the last ones before
            the last time, and a later step has no effect: ``deltas[:, t, ..., s, :] = 0`` for ``s + times - steps >
            t``. Those products are left out.
        budget: bytes that the kernel and its working space may take.

    Returns:
        The kernel, shape (outputs, outputs of the second set), where outputs run over samples and the axes ``...`` in
        row-major order. Symmetric and positive semi-definite up to rounding if there is no second set.

    Raises:
        ValueError: if shapes do not fit, only one factor of the second set is given, concrete ``deltas`` are not
            causal although ``causal`` says so, or the kernel would exceed the budget.
    """
    if (deltas2 is None) != (previous2 is None):
        raise ValueError("deltas2 and previous2 must be given together, or neither")
    d, p = as_floats(deltas, previous)
    _check(d, p, "", causal)
    symmetric = deltas2 is None or previous2 is None
    e, q = d, p
    if not symmetric:
        d, p, e, q = as_floats(d, p, deltas2, previous2)
        _check(e, q, "2", causal)
        checks.shape_of("deltas2", e, (*(None,) * (e.ndim - 1), d.shape[-1]), "ending as deltas")
        checks.shape_of("previous2", q, (None, None, p.shape[-1]), "ending as previous")
    shape, shape2 = d.shape[:-2], e.shape[:-2]
    outputs, outputs2 = math.prod(shape), math.prod(shape2)
    refuse_beyond(
        budget,
        3 * outputs * outputs2 * d.dtype.itemsize,
        f"factored_kernel needs 3 arrays of {outputs} x {outputs2} {d.dtype.name}",
        "take fewer outputs, or hutchinson_alignment and kernel_products, which never form the kernel",
    )
    first = _blocks(d, p, causal)
    second = first if symmetric else _blocks(e, q, causal)
    kernel = jnp.zeros((outputs, outputs2), d.dtype)
    numbers = range(len(first)), range(len(second))
    for i, j in combinations_with_replacement(numbers[0], 2) if symmetric else pairs_of(*numbers):
        part = _part(first[i], second[j], halved=symmetric and i == j)
        kernel = kernel.at[outputs - part.shape[0] :, outputs2 - part.shape[1] :].add(part)
    kernel = _in_order(kernel, _axes(shape, causal), _axes(shape2, causal)).reshape(outputs, outputs2)
    return kernel + kernel.T if symmetric else kernel


# Work is done with outputs in the order (time, output, sample): what causality leaves out is then a block at the
# beginning, and the factor that pairs of samples share varies along the fastest axis. Without causality there is one
# time. Steps are cut into blocks that are written out; within a block they are summed by a loop.
class _Block(NamedTuple):
    deltas: Array  # (steps, outputs that are not before the block, rows)
    activity: Array  # (steps, samples, columns)


def _axes(shape: tuple[int, ...], causal: bool) -> tuple[int, int, int]:
    """Samples, times and outputs at one time."""
    samples, *rest = shape
    times = rest.pop(0) if causal else 1
    return samples, times, math.prod(rest)


def _blocks(deltas: Array, previous: Array, causal: bool) -> list[_Block]:
    samples, times, outputs = _axes(deltas.shape[:-2], causal)
    steps, rows = deltas.shape[-2:]
    ordered = deltas.reshape(samples, times, outputs, steps, rows).transpose(3, 1, 2, 0, 4)
    activity = jnp.swapaxes(previous, 0, 1)
    count = min(steps, _WRITTEN_OUT) if causal else 1
    edges = [round(steps * i / count) for i in range(count + 1)]
    blocks = []
    for start, end in pairwise(edges):
        since = start + times - steps if causal else 0
        blocks.append(_Block(ordered[start:end, since:].reshape(end - start, -1, rows), activity[start:end]))
    return blocks


def _part(a: _Block, b: _Block, *, halved: bool) -> Array:
    """Sum over the steps of two blocks; if ``halved``, of one block, half: adding the transpose makes it whole."""

    def term(d: Array, p: Array, e: Array, q: Array) -> Array:
        activities = product(p, q.T)
        repeats = d.shape[0] // p.shape[0], e.shape[0] // q.shape[0]
        return product(d, e.T) * jnp.tile(activities, repeats)

    if len(a.deltas) == len(b.deltas) == 1:
        whole = term(a.deltas[0], a.activity[0], b.deltas[0], b.activity[0])
        return 0.5 * whole if halved else whole

    @jax.checkpoint
    def add(total: Array, pair: tuple[Array, Array, Array]) -> tuple[Array, None]:
        s, t, weight = pair
        return total + weight * term(a.deltas[s], a.activity[s], b.deltas[t], b.activity[t]), None

    s, t = np.indices((len(a.deltas), len(b.deltas))).reshape(2, -1)
    if halved:
        s, t = s[s <= t], t[s <= t]
    weights = jnp.asarray(np.where(halved & (s == t), 0.5, 1), a.deltas.dtype)
    none = jnp.zeros((a.deltas.shape[1], b.deltas.shape[1]), a.deltas.dtype)
    return lax.scan(add, none, (jnp.asarray(s, jnp.int32), jnp.asarray(t, jnp.int32), weights))[0]


def _in_order(kernel: Array, axes: tuple[int, int, int], axes2: tuple[int, int, int]) -> Array:
    """From (time, output, sample) to (sample, time, output), on both sides."""
    samples, *rest = axes
    samples2, *rest2 = axes2
    return kernel.reshape(*rest, samples, *rest2, samples2).transpose(2, 0, 1, 5, 3, 4)


def _check(deltas: Array, previous: Array, which: str, causal: bool) -> None:
    if deltas.ndim < 3 + causal:
        wanted = "(samples, times, ..., steps, rows)" if causal else "(samples, ..., steps, rows)"
        raise ValueError(f"deltas{which} must have shape {wanted}, got {deltas.shape}")
    wanted = deltas.shape[0], deltas.shape[-2], None
    checks.shape_of(f"previous{which}", previous, wanted, "(samples, steps, columns)")
    if min(*deltas.shape, *previous.shape) < 1:
        raise ValueError(f"deltas{which} and previous{which} must not be empty, got {deltas.shape}, {previous.shape}")
    if not causal:
        return
    times, steps = deltas.shape[1], deltas.shape[-2]
    if steps > times:
        raise ValueError(f"deltas{which} must have no more steps than times if causal, got {steps} and {times}")
    if is_concrete(deltas):
        later = np.arange(steps)[None, :] + times - steps > np.arange(times)[:, None]
        found = np.abs(np.asarray(deltas)).reshape(deltas.shape[0], times, -1, steps, deltas.shape[-1]).max((0, 2, 4))
        if np.any(found[later] > 0):
            t, s = (int(x[0]) for x in np.nonzero(later & (found > 0)))
            raise ValueError(
                f"deltas{which} must be 0 for steps after the output if causal, got {found[t, s]:g} at {t}, {s}"
            )
