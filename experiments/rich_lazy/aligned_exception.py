r"""Weights of rank one along the task preserve the kernel's direction, given a balanced readout; lazy they are not.

Liu et al. (ICLR 2024), Figure 3: low rank need not be rich, if the weights point where the task does. We repeat it over
seeds, without their balanced readout too, and beside measures that see scale.

Run:  brainjax run rich_lazy/aligned_exception [--variant=quick]
Cost: about 20 s on 2 cores (quick: 12 s).

A teacher :math:`y = w^\top F x`, that is :math:`\beta = F^\top w` (here of norm 1), has a random :math:`w` and a
feature matrix :math:`F` of which half of the singular values are ``kappa``, and the others 1. Students
:math:`f(x) = w_2 W_1 x` of d inputs and 2d hidden units start small, :math:`|W_1|` = ``size`` and :math:`|w_2|` =
``readout`` times that, in five arms:

* ``aligned``: :math:`W_1` has rank one along :math:`\beta`, and its one hidden direction is the readout's;
* ``partial``: the same along the task as seen through the strong half of :math:`F` only;
* ``random``: the same along a random direction;
* ``full``: full rank, all singular values equal;
* ``large``: ``full`` with a norm of ``large`` and a balanced readout, a control that is lazy.

The parts, each with a grid of its own: ``kappa``, with a balanced readout and with none; ``readout``, at the largest
kappa.

**What theory predicts (derived by us).** From small weights the final kernel is :math:`\beta\beta^\top + I`. For rank
one along :math:`u` and a squared readout of x times that of the first layer, the initial kernel is proportional to
:math:`uu^\top + x I`:

.. math:: \mathrm{KA} = \frac{(u \cdot \beta)^2 + 1 + (d + 1) x}{\sqrt{(1 + 2x + d x^2)(d + 3)}} .

* Balanced (x = 1) and aligned, the two kernels are proportional, so the alignment is 1 *by construction*, while the
  weights grow a thousandfold: alignment does not see scale. The kernel's direction is preserved; learning is not lazy.
* Without a readout (x = 0) the aligned start reaches :math:`2/\sqrt{d + 3}`, far below full rank,
  :math:`(d + 1)/\sqrt{d(d + 3)}`. It beats full rank only if :math:`x > (d - 1) / (2(d + 1))`: a readout of 0.67 of the
  first layer at d = 20, and of :math:`1/\sqrt 2` in many dimensions.
* Balanced, any direction beats full rank if :math:`(u \cdot \beta)^2 > (d + 1)\sqrt{(d + 3)/d} - (d + 2)`, which is
  0.52 at d = 20 (the partial arm has :math:`\kappa^2/(\kappa^2 + 1)`, about).
"""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from brainjax import claims as judge
from brainjax import initializers, linear, richness
from brainjax.claims import Claim
from brainjax.sweep import Axes, parts_of, product, seeds, setting, static, traced

if TYPE_CHECKING:  # what only the figure needs is imported when it is drawn
    import xarray as xr
    from matplotlib.figure import Figure

PAPER = "liu2024"
PRECISION = "float64"
DIMS = {
    "alignment": ("arm",),  # of initial and final kernel
    "predicted": ("arm",),  # by the closed form for this task, from small weights
    "overlap": ("arm",),  # share of the first layer along the task; of rank one: squared cosine of its direction
    "weight_change": ("arm",),  # norm of the change of both layers over their initial norm
    "kernel_moved": ("arm",),  # norm of the change of the kernel, not normalised
    "linearisation_error": ("arm",),  # what learning added to the map beyond first order in the weights, as a share
    "loss": ("arm",),  # squared error at the end
}
ARMS = ("aligned", "partial", "random", "full", "large")
SMALL_ARMS = ARMS[:4]
PARTS = ("kappa", "readout")
AXES = {"kappa": ("readout", "kappa"), "readout": ("kappa", "readout")}
CLOSE = 0.01  # of alignment: what we call a good prediction


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict(
        {
            "seed": 0,
            "part": "kappa",
            "parts": PARTS,
            "inputs": 20,  # d, even
            "kappa": 16.0,
            "size": 0.001,  # Frobenius norm of the first layer
            "readout": 1.0,  # norm of the readout over that of the first layer; 1 is balanced
            "large": 3.0,  # the norm of both layers of the control
            "rate": 0.1,
            "steps": 500,
            "kappas": (1.0, 2.0, 4.0, 8.0, 16.0),
            "readouts": (0.0, 0.2, 0.4, 0.6, 0.75, 1.0, 1.5, 2.0),
            "seeds": 128,
        }
    )
    if variant == "quick":
        config.parts = ("readout",)
        config.update({"steps": 300, "kappas": (1.0, 16.0), "readouts": (0.0, 0.6, 0.75, 1.0), "seeds": 32})
    elif variant:
        raise ValueError(f"variant: 'quick', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if config.part not in PARTS or not set(config.parts) <= set(PARTS):
        raise ValueError(f"parts: must be among {', '.join(PARTS)}, got {config.parts} (part {config.part})")
    if config.inputs < 2 or config.inputs % 2:
        raise ValueError(f"inputs: must be even and at least 2, got {config.inputs}")
    for name in ("kappa", "size", "large", "rate"):
        if not config[name] > 0:
            raise ValueError(f"{name}: must be positive, got {config[name]}")
    if not config.rate * config.large**2 * (1 + 1 / config.inputs) < 1:
        raise ValueError(f"large: rate * large^2 must stay below 1 for a stable descent, got {config.large}")
    if not config.readout >= 0:
        raise ValueError(f"readout: must be zero or more, got {config.readout}")


def sweep(config: ConfigDict) -> dict[str, Axes]:
    grids = {
        "kappa": traced(readout=(0.0, 1.0), kappa=config.kappas),
        "readout": traced(kappa=(max(config.kappas),), readout=config.readouts),
    }
    return {part: product(static(part=[part]), grids[part], seeds(config.seeds)) for part in config.parts}


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    d, dtype = config.inputs, jnp.result_type(float)
    full_key, rest_key = jax.random.split(key)
    drawn = jax.random.normal(rest_key, (4 * d,), dtype)  # in one row: every draw costs compile time
    beta, seen = teacher(drawn[:d], config.kappa)
    lines, hidden = jnp.stack([beta, seen, unit(drawn[d : 2 * d])]), unit(drawn[2 * d :])
    init = initializers.rank_structured(spectrum=initializers.flat(d), basis="haar", size=1.0)
    isometry = init(full_key, (2 * d, d), dtype)
    size = jnp.asarray(config.size, dtype)
    firsts = size * jnp.concatenate([hidden[None, :, None] * lines[:, None, :], isometry[None]])
    firsts = jnp.concatenate([firsts, config.large * isometry[None]])
    sizes = jnp.stack([config.readout * size] * len(SMALL_ARMS) + [jnp.asarray(config.large, dtype)])
    seconds = sizes[:, None, None] * hidden[None, None, :]

    return jax.vmap(lambda *start: measure(*start, beta, rate=config.rate, steps=config.steps))(firsts, seconds)


def measure(first: jax.Array, second: jax.Array, beta: jax.Array, *, rate: Any, steps: int) -> dict[str, jax.Array]:
    """Gradient descent from some weights, and how far it went."""
    start = (first, second)
    end = linear.descend([start], sigma_yx=beta[None, :], rate=rate, steps=steps).paths[0]
    before, after = (richness.linear_kernel(*layers) for layers in (start, end))
    return {
        "alignment": richness.kernel_alignment(before, after),
        "predicted": richness.task_alignment(before, beta),
        "overlap": jnp.sum((first @ beta) ** 2) / jnp.sum(first**2),
        "weight_change": richness.weight_change(start, end, relative=True),
        "kernel_moved": richness.kernel_change(before, after, relative=False),
        "linearisation_error": richness.linearisation_error(linear_map, start, end),
        "loss": jnp.sum((beta - linear_map(end)) ** 2),
    }


def teacher(weights: jax.Array, kappa: jax.Array) -> tuple[jax.Array, jax.Array]:
    r"""The task :math:`F^\top w`, and what is left of it in the strong half of :math:`F`; both of norm 1.

    In the right singular basis of :math:`F`, and with :math:`w` in the left one: the students' law is rotation
    invariant, so that any basis is typical.
    """
    strong = jnp.arange(weights.size) < weights.size // 2
    return unit(jnp.where(strong, kappa, 1) * weights), unit(jnp.where(strong, weights, 0))


def unit(vector: jax.Array) -> jax.Array:
    return vector / jnp.linalg.norm(vector)


def linear_map(layers: tuple[jax.Array, jax.Array]) -> jax.Array:
    return (layers[1] @ layers[0])[0]


def figure(results: "xr.DataTree") -> "Figure":
    """Alignment by kappa with and without a readout (top), by readout, and what alignment does not see (bottom)."""
    from brainjax import plots

    drawn = [
        ("kappa", lambda ax, data: draw_kappa(ax, data, 1.0, "balanced readout")),
        ("kappa", lambda ax, data: draw_kappa(ax, data, 0.0, "no readout")),
        ("readout", draw_readout),
        ("readout", draw_scale),
    ]
    return plots.panels(parts_of(results, AXES), drawn, rows=2, columns=2, height=4.8)


def draw_arms(ax: Any, data: "xr.Dataset", x: str) -> None:
    """Mean alignment of the small arms: markers with intervals; lines: the closed form at the same tasks."""
    from brainjax import plots

    for number, look in enumerate(plots.line_styles(len(SMALL_ARMS))):
        here = data.isel(arm=number)
        marks = {**look, "linestyle": "none"}
        plots.intervals(ax, data[x], here.alignment.transpose(x, "seed"), label=SMALL_ARMS[number], **marks)
        style = {**look, "marker": "", "linewidth": 0.9, "zorder": 0}
        ax.plot(data[x], here.predicted.mean("seed"), **style)
    ax.set(ylabel="kernel alignment")


def draw_kappa(ax: Any, data: "xr.Dataset", readout: float, title: str) -> None:
    if readout not in data.readout.values:
        ax.set_visible(False)
        return
    draw_arms(ax, data.sel(readout=readout), "kappa")
    ax.set(xscale="log", xlabel=r"strength of the strong half, $\kappa$", title=title)
    ax.set_xticks(data.kappa.values, [f"{x:g}" for x in data.kappa.values])
    ax.minorticks_off()
    low, high = ax.get_ylim()
    ax.set_ylim(low - 0.3 * (high - low), high)
    ax.legend(ncols=2, loc="lower center", columnspacing=1.5)


def draw_readout(ax: Any, data: "xr.Dataset") -> None:
    kappa = float(data.kappa[-1])
    draw_arms(ax, data.sel(kappa=kappa), "readout")
    ax.axvline(crossing(setting(data, "inputs")), color="black", linewidth=0.8, linestyle=":")
    ax.set(xlabel="norm of readout / first layer", title=rf"$\kappa$ = {kappa:g}; dotted: aligned passes full")
    ax.legend(loc="lower right")


def draw_scale(ax: Any, data: "xr.Dataset") -> None:
    """Measures that see scale, for every arm at the readout nearest to balanced."""
    from brainjax import plots

    here = data.isel(kappa=-1).sel(readout=1.0, method="nearest")
    names = (
        ("weight_change", "weight change / initial norm"),
        ("kernel_moved", "kernel change, not normalised"),
        ("linearisation_error", "linearisation error"),
    )
    for (name, label), look in zip(names, plots.line_styles(len(names)), strict=True):
        marks = {**look, "linestyle": "none"}
        plots.intervals(ax, np.arange(len(ARMS)), here[name].transpose("arm", "seed"), label=label, **marks)
    ax.set(yscale="log", ylabel="how far learning went", title=f"unseen by alignment, readout {float(here.readout):g}")
    low, high = ax.get_ylim()
    ax.set_ylim(low, high * (high / low) ** 0.5)  # room for the legend
    ax.set_xticks(np.arange(len(ARMS)), ARMS)
    ax.legend(loc="upper right")


def crossing(d: int) -> float:
    """Norm of the readout over that of the first layer from which on aligned rank one beats full rank."""
    return float(np.sqrt((d - 1) / (2 * (d + 1))))


def claims(results: "xr.DataTree") -> list[Claim]:
    judged = {"kappa": kappa_claims, "readout": readout_claims}
    return [claim for name, data in parts_of(results, AXES).items() for claim in judged[name](data)]


def arms_of(data: "xr.Dataset", name: str) -> "dict[str, xr.DataArray]":
    return {arm: data[name].isel(arm=number) for number, arm in enumerate(ARMS)}


def prediction_claim(data: "xr.Dataset", name: str, dims: tuple[str, ...]) -> Claim:
    error = abs(data.alignment - data.predicted).isel(arm=slice(0, len(SMALL_ARMS)))
    return judge.below(
        name,
        f"the closed form gives the alignment of every task to {CLOSE:g}, in every small arm and at every {dims[0]}",
        "our closed form",
        error.max(("arm", *dims)),
        than=CLOSE,
        unit="error, largest over arms and grid",
    )


def kappa_claims(data: "xr.Dataset") -> list[Claim]:
    """Over kappa, with a balanced readout and with none."""
    figure3, ours = "Liu et al. 2024, Figure 3", "our closed form"
    kappas = np.sort(data.kappa.values)
    found = [prediction_claim(data, "single tasks, any kappa", ("kappa", "readout"))]
    if 1.0 in data.readout.values:
        balanced = arms_of(data.sel(readout=1.0), "alignment")
        if len(kappas) > 1:
            levels = {f"{x:g}": balanced["partial"].sel(kappa=x) for x in kappas}
            text = "the stronger the features that a partially aligned start knows, the better aligned the kernels"
            found.append(judge.increasing("partial approaches aligned", text, figure3, levels, unit="alignment"))
        found += [
            judge.greater(
                "partial beats full",
                "with a balanced readout and the largest kappa, the partially aligned rank one beats full rank",
                figure3,
                balanced["partial"].sel(kappa=kappas[-1]),
                than=balanced["full"].sel(kappa=kappas[-1]),
                unit="difference of alignments",
            ),
            judge.greater(
                "random is lowest",
                "with a balanced readout, rank one in a random direction stays below full rank at every kappa",
                figure3,
                (balanced["full"] - balanced["random"]).min("kappa"),
                unit="difference of alignments, least over kappa",
            ),
        ]
    if 0.0 in data.readout.values:
        bare = arms_of(data.sel(readout=0.0), "alignment")
        found.append(
            judge.greater(
                "no exception without a readout",
                "without a readout, full rank beats aligned rank one at every kappa, by 0.3 of alignment",
                ours,
                (bare["full"] - bare["aligned"]).min("kappa"),
                than=0.3,
                unit="difference of alignments, least over kappa",
            )
        )
    return found


def readout_claims(data: "xr.Dataset") -> list[Claim]:
    """Over readouts, at the largest kappa."""
    data = data.isel(kappa=-1, drop=True)
    readouts, border = np.sort(data.readout.values), crossing(setting(data, "inputs"))
    alignment = arms_of(data, "alignment")
    gain = alignment["aligned"] - alignment["full"]
    found = [prediction_claim(data, "single tasks, any readout", ("readout",))]
    below, above = readouts[readouts < border], readouts[readouts > border]
    text = f"aligned rank one {{}} full rank with a readout {{}} {border:.2f} of the first layer"
    if below.size:
        name, said = f"aligned loses at {below[-1]:g}", text.format("loses to", "below")
        found.append(judge.below(name, said, "our closed form", gain.sel(readout=below[-1]), unit="alignment"))
    if above.size:
        name, said = f"aligned wins at {above[0]:g}", text.format("beats", "above")
        found.append(judge.greater(name, said, "our closed form", gain.sel(readout=above[0]), unit="alignment"))
    if 1.0 in readouts:
        found += scale_claims(data.sel(readout=1.0))
    return found


def scale_claims(data: "xr.Dataset") -> list[Claim]:
    """What alignment does not see: the exception in measures of scale, with a balanced readout."""
    ours = "our control: alignment is blind to scale"
    change, error, moved = (arms_of(data, x) for x in ("weight_change", "linearisation_error", "kernel_moved"))
    return [
        judge.greater(
            "weights grow",
            "where the kernel's direction is preserved, the weights change by more than a hundred times their norm",
            ours,
            change["aligned"],
            than=100.0,
            unit="initial norms",
        ),
        judge.within(
            "the kernel moves as far",
            "the kernel of the aligned start changes as much as that of full rank, to 5 %, if not normalised",
            ours,
            moved["aligned"] / moved["full"],
            low=0.95,
            high=1.05,
            unit="ratio",
        ),
        judge.greater(
            "learning is not linear",
            "more than 0.9 of what the aligned start learns is beyond the linearisation, as at full rank",
            ours,
            np.minimum(error["aligned"], error["full"]),
            than=0.9,
            unit="linearisation error",
        ),
        judge.below(
            "a lazy network looks different",
            "large weights of full rank, the control, have less than half of the aligned start's linearisation error",
            ours,
            error["large"] / error["aligned"],
            than=0.5,
            unit="ratio",
        ),
    ]
