r"""Low-rank weights learn richly on average, by a closed form; the effect needs a small readout and small weights.

A two-layer linear network :math:`f(x) = w_2 W_1 x` learns :math:`y = \beta \cdot x` from white inputs, with
:math:`|\beta| = 1` drawn anew in every seed: the setting of Theorem 1 of Liu et al. (ICLR 2024). Gradient descent
stands beside a closed form of the mean alignment of initial and final tangent kernel, and goes to where it breaks.

Run:  brainjax run rich_lazy/kernel_alignment_theory [--variant=quick]
Cost: about a minute on 2 cores (quick: 12 s).

The parts of the experiment, each with a grid of its own (d inputs, 2d hidden units; the first layer has ``rank`` equal
singular values and the norm ``size``, the readout a random direction and the norm ``readout`` times ``size``):

* ``size``: norms from tiny to that of the task, with a readout of a tenth;
* ``readout``: tiny weights, readouts from nothing to three times the first layer;
* ``limit``: no readout at all, and any norm;
* ``dimension``: rank one, and fixed shares of full rank, as d grows, without a readout and with a tenth.

**The closed form (derived by us).** With white inputs the kernel is :math:`K = W_1^\top W_1 + |w_2|^2 I`. Gradient flow
conserves :math:`W_1 W_1^\top - w_2^\top w_2`, so small weights end at
:math:`K_f = \beta\beta^\top + I`, whatever their direction, and

.. math:: \mathrm{KA}(\beta) = \frac{\beta^\top K_0 \beta + \mathrm{tr} K_0}{|K_0| \sqrt{d + 3}}, \qquad
   \mathrm E_\beta \mathrm{KA} = \frac{1 + 1/d}{\sqrt{d + 3}} \, \frac{\mathrm{tr} K_0}{|K_0|} ,

whose last factor is the root of the participation ratio of the *kernel*. The readout's share of it is isotropic: a
large readout hides the rank of the first layer. (What counts is d times its squared norm, so that a readout of a given
ratio matters more in more dimensions: a tenth is small at d = 10, but not at d = 40. So the claims that a share of full
rank fixes the alignment whatever d hold without a readout and fail with one of a tenth.)

**Without a readout the final kernel is known at any norm (derived by us).** Let :math:`P` project on the rows of
:math:`W_1`, all of whose r singular values are :math:`\sqrt a` (:math:`a` is the squared norm over r), and let
:math:`q = \beta^\top P \beta`. Only the row along :math:`v = P\beta/\sqrt q` learns, and the conserved matrix gives

.. math:: K_f = a\,(P - vv^\top) + \beta\beta^\top/c + c I, \qquad 1/c - c = a ,

.. math:: \mathrm{KA} = \frac{a(r - 1) + q/c + r c}{\sqrt r \, |K_f|}, \qquad
   |K_f|^2 = a^2 (r - 1) + c^{-2} + d c^2 + 2 a c (r - 1) + 2 ,

linear in q, whose mean is r/d. As the norm grows this tends to :math:`1 - (1 - q)/r`: full rank becomes lazy, but rank
one does not, however large its weights: its one row has to turn to the task. The solution is unstable: a readout that
is merely small sets free the hidden units that the first layer does not reach, whose part then grows exponentially.
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
PRECISION = "float64"  # without a readout the solution is unstable: float32 leaves it
DIMS = {
    "alignment": (),  # of initial and final kernel, simulated
    "predicted": (),  # by the closed form for this task
    "expected": (),  # by the closed form, mean over tasks
    "deviation": (),  # by the closed form, standard deviation over tasks
    "exact": (),  # for this task, by the solution without a readout at any norm
    "kernel_change": (),  # norm of the change over norm of the first kernel: it sees scale
    "weight_change": (),  # of both layers, likewise
    "linearisation_error": (),  # what learning added to the map beyond first order in the weights, as a share
    "loss": (),  # squared error at the end; 1 before learning, about
}
PARTS = ("size", "readout", "limit", "dimension")
AXES = {
    "size": ("size", "rank"),
    "readout": ("readout", "rank"),
    "limit": ("size", "rank"),
    "dimension": ("inputs", "readout", "share"),
}
SMALL = 0.1  # norm of the first layer up to which we call weights small
CLOSE = 0.01  # of alignment: what we call a good prediction
OURS = "our closed form for Theorem 1 of Liu et al. 2024"
LIMIT = "our solution without a readout"


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict(
        {
            "seed": 0,
            "part": "size",
            "parts": PARTS,
            "inputs": 10,  # d
            "rank": 1.0,
            "share": 0.0,  # of full rank, in the part "dimension", where zero stands for rank one
            "size": 0.001,  # Frobenius norm of the first layer
            "readout": 0.1,  # norm of the readout over that of the first layer
            "rate": 0.1,
            "steps": 600,
            "ranks": (1.0, 2.0, 3.0, 5.0, 8.0, 10.0),
            "sizes": (0.001, 0.01, 0.1, 0.5, 1.0),
            "readouts": (0.0, 0.03, 0.1, 0.3, 1.0, 3.0),
            "limits": (0.01, 0.1, 0.3, 0.6, 1.0, 1.5, 2.0),
            "limit_ranks": (1.0, 3.0, 5.0, 10.0),
            "limit_rate": 0.025,
            "limit_steps": 3200,
            "dimensions": (5, 10, 20, 40),
            "shares": (0.0, 0.2, 0.6, 1.0),
            "dimension_readouts": (0.0, 0.1),
            "seeds": 320,
        }
    )
    if variant == "quick":
        config.parts = ("size",)
        config.update({"ranks": (1.0, 5.0, 10.0), "sizes": (0.001, 0.1, 1.0), "readouts": (0.0, 0.1, 1.0)})
        config.update({"seeds": 64, "steps": 300})
    elif variant:
        raise ValueError(f"variant: 'quick', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if config.part not in PARTS or not set(config.parts) <= set(PARTS):
        raise ValueError(f"parts: must be among {', '.join(PARTS)}, got {config.parts} (part {config.part})")
    if config.part != "dimension" and not (1 <= config.rank <= config.inputs and config.rank == int(config.rank)):
        raise ValueError(f"rank: must be a whole number from 1 to {config.inputs} (inputs), got {config.rank}")
    if not 0 <= config.share <= 1:
        raise ValueError(f"share: must lie between 0 and 1, got {config.share}")
    for name in ("size", "rate", "limit_rate"):
        if not config[name] > 0:
            raise ValueError(f"{name}: must be positive, got {config[name]}")
    if not config.readout >= 0:
        raise ValueError(f"readout: must be zero or more, got {config.readout}")


def sweep(config: ConfigDict) -> dict[str, Axes]:
    grids = {
        "size": traced(size=config.sizes, rank=config.ranks),
        "readout": traced(readout=config.readouts, rank=config.ranks),
        "limit": traced(size=config.limits, rank=config.limit_ranks),
        "dimension": product(
            static(inputs=config.dimensions), traced(readout=config.dimension_readouts, share=config.shares)
        ),
    }
    return {part: product(static(part=[part]), grids[part], seeds(config.seeds)) for part in config.parts}


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    d, rank, steps, rate = config.inputs, config.rank, config.steps, config.rate
    readout = config.readout
    if config.part == "limit":
        readout, steps, rate = 0.0, config.limit_steps, config.limit_rate
    elif config.part == "dimension":
        rank = jnp.maximum(1, jnp.round(config.share * d))
    first_key, rest_key = jax.random.split(key)
    dtype = jnp.result_type(float)
    init = initializers.rank_structured(spectrum=initializers.flat(rank), basis="haar", size=config.size)
    drawn = jax.random.normal(rest_key, (3 * d,), dtype)  # in one row: every draw costs compile time
    beta, second = unit(drawn[:d]), readout * config.size * unit(drawn[d:])
    start = init(first_key, (2 * d, d), dtype), second[None, :]
    return learn(start, beta, rank=rank, rate=rate, steps=steps)


def learn(start: tuple[jax.Array, jax.Array], beta: jax.Array, *, rank: Any, rate: Any, steps: int) -> dict[str, Any]:
    """Gradient descent from some weights, and how far it went, beside what the closed forms say of the start."""
    end = linear.descend([start], sigma_yx=beta[None, :], rate=rate, steps=steps).paths[0]
    before, after = (richness.linear_kernel(*layers) for layers in (start, end))
    return {
        "alignment": richness.kernel_alignment(before, after),
        "predicted": richness.task_alignment(before, beta),
        "expected": richness.expected_alignment(before),
        "deviation": jnp.sqrt(richness.alignment_variance(before)),
        "exact": exact_alignment(beta, start[0], rank=rank),
        "kernel_change": richness.kernel_change(before, after),
        "weight_change": richness.weight_change(start, end, relative=True),
        "linearisation_error": richness.linearisation_error(linear_map, start, end),
        "loss": jnp.sum((beta - linear_map(end)) ** 2),
    }


def linear_map(layers: tuple[jax.Array, jax.Array]) -> jax.Array:
    return (layers[1] @ layers[0])[0]


def unit(vector: jax.Array) -> jax.Array:
    return vector / jnp.linalg.norm(vector)


def exact_alignment(beta: jax.Array, first: jax.Array, *, rank: Any) -> jax.Array:
    """Alignment without a readout, at any norm, for ``rank`` equal singular values; see the head of this file."""
    d, a = beta.size, jnp.sum(first**2) / rank
    overlap = jnp.sum((first @ beta) ** 2) / a
    c = 2 / (a + jnp.sqrt(a**2 + 4))
    squares = a**2 * (rank - 1) + c**-2 + d * c**2 + 2 * a * c * (rank - 1) + 2
    return (a * (rank - 1) + overlap / c + rank * c) / jnp.sqrt(rank * squares)


def figure(results: "xr.DataTree") -> "Figure":
    """Kernel alignment by rank, readout, norm and dimension; markers are simulations, lines are formulas."""
    from brainjax import plots

    drawn = [
        ("size", draw_ranks),
        ("readout", draw_readouts),
        ("size", draw_tasks),
        ("size", draw_spread),
        ("limit", draw_limit),
        ("dimension", draw_dimensions),
    ]
    return plots.panels(parts_of(results, AXES), drawn, rows=2, columns=3, height=4.5)


def chosen(values: Any, wanted: tuple[float, ...]) -> list[float]:
    """Those of the wanted values that are there, else all."""
    there = [float(x) for x in np.sort(values)]
    return [x for x in there if x in wanted] or there


def draw(ax: Any, data: "xr.Dataset", x: str, hue: str, wanted: tuple[float, ...], theory: str, **options: Any) -> None:
    """Mean alignment along x, a set of markers for every value of hue; lines: the theory at the same tasks."""
    from brainjax import plots

    values = chosen(data[hue].values, wanted)
    places = options.get("places", data[x].values)
    for value, look in zip(values, plots.line_styles(len(values)), strict=True):
        here = data.sel({hue: value})
        label = options.get("names", {}).get(value, f"{value:g}")
        plots.intervals(ax, places, here.alignment.transpose(x, "seed"), label=label, **{**look, "linestyle": "none"})
        ax.plot(places, here[theory].mean("seed"), color=look["color"], linewidth=0.9, zorder=0)
    ax.set(ylabel="kernel alignment", ylim=(0, 1.03))


def draw_ranks(ax: Any, data: "xr.Dataset") -> None:
    draw(ax, data, "rank", "size", (0.001, 0.1, 0.5, 1.0), "expected")
    ax.set(xlabel="rank of first layer", title="readout 0.1")
    ax.legend(title="norm of first layer", alignment="left", loc="lower right", handlelength=1.5)


def draw_readouts(ax: Any, data: "xr.Dataset") -> None:
    readouts = data.readout.values
    places = np.maximum(readouts, 0.01)  # zero stands at the left end of the logarithmic axis
    draw(ax, data, "readout", "rank", (1.0, 3.0, 5.0, 10.0), "expected", places=places)
    ticks = [x for x in (0.1, 1.0) if places.min() < x <= places.max()]
    ax.set(xscale="log", xlabel="norm of readout / first layer", title="small weights")
    ax.set_xticks([places.min(), *ticks], [f"{readouts.min():g}", *[f"{x:g}" for x in ticks]])
    ax.minorticks_off()
    ax.legend(title="rank", alignment="left", loc="lower right", handlelength=1.5)


def draw_limit(ax: Any, data: "xr.Dataset") -> None:
    draw(ax, data, "size", "rank", (1.0, 3.0, 5.0, 10.0), "exact")
    ax.set(xlabel="norm of first layer", title="no readout", ylim=(-0.27, 1.03), yticks=np.arange(0, 1.1, 0.2))
    ax.legend(title="rank", alignment="left", loc="lower left", ncols=4, handlelength=1, columnspacing=1)


def draw_dimensions(ax: Any, data: "xr.Dataset") -> None:
    names = {0.0: "rank 1"}
    data = data.sel(readout=data.readout.max())
    draw(ax, data, "inputs", "share", tuple(data.share.values), "expected", names=names)
    ax.set(xscale="log", xlabel="inputs $d$", title=f"small, readout {float(data.readout):g}")
    ax.set_xticks(data.inputs.values, [f"{x:g}" for x in data.inputs.values])
    ax.minorticks_off()
    ax.legend(title="rank / $d$", alignment="left", loc="lower left", ncols=2, handlelength=1.5, columnspacing=1)


def draw_tasks(ax: Any, data: "xr.Dataset") -> None:
    """Every task at the lowest rank: measured against predicted alignment."""
    from brainjax import plots

    sizes = chosen(data["size"].values, (0.001, 0.1, 1.0))
    here = data.isel(rank=0)
    for size, look in reversed(list(zip(sizes, plots.line_styles(len(sizes)), strict=True))):
        own = here.sel(size=size)
        look = {**look, "linestyle": "none", "markersize": 2.5, "markeredgewidth": 0}
        ax.plot(own.predicted, own.alignment, label=f"{size:g}", **look)
    ends = [float(here.predicted.min()), float(here.predicted.max())]
    ax.plot(ends, ends, color="black", linewidth=0.9)
    ax.set(xlabel="predicted kernel alignment", ylabel="measured kernel alignment")
    ax.set_title(f"single tasks, rank {float(here['rank']):g}")
    ax.legend(title="norm", alignment="left", handlelength=0.8)


def draw_spread(ax: Any, data: "xr.Dataset") -> None:
    """Standard deviation over tasks against rank."""
    from brainjax import plots

    sizes = chosen(data["size"].values, (0.001, 0.1, 1.0))
    for size, look in zip(sizes, plots.line_styles(len(sizes)), strict=True):
        spread = data.alignment.sel(size=size).std("seed", ddof=1)
        ax.plot(data["rank"], spread, label=f"{size:g}", **{**look, "linestyle": "none"})
    ax.plot(data["rank"], data.deviation.isel(size=0).mean("seed"), color="black", linewidth=0.9, zorder=0)
    ax.set(xlabel="rank of first layer", ylabel="s.d. of alignment over tasks", ylim=(0, None))
    ax.set_title("spread over tasks")
    ax.legend(title="norm", alignment="left", loc="lower left", handlelength=1.5)


def claims(results: "xr.DataTree") -> list[Claim]:
    judged = {"size": size_claims, "readout": readout_claims, "limit": limit_claims, "dimension": dimension_claims}
    return [claim for name, data in parts_of(results, AXES).items() for claim in judged[name](data)]


def agrees(data: "xr.Dataset", name: str, statement: str) -> Claim:
    """Whether the mean over tasks is the closed form's to four standard errors, in every cell of a grid.

    Four standard errors must themselves be small, or nothing is known.
    """
    gap = (data.alignment - data.expected).stack(cell=[str(x) for x in data.alignment.dims if x != "seed"])
    mean = gap.mean("seed").values
    error = (gap.std("seed", ddof=1) / np.sqrt(gap.sizes["seed"])).values
    worst = int(np.argmax(np.abs(mean) / error))
    apart = float(np.abs(mean / error)[worst])
    known = judge.HOLDS if 4 * error.max() < 2 * CLOSE else judge.INCONCLUSIVE
    return Claim(
        name,
        statement,
        OURS,
        expected="0 within 4 s.e.",
        mean=float(mean[worst]),
        low=float((mean - 4 * error)[worst]),
        high=float((mean + 4 * error)[worst]),
        n=gap.sizes["seed"],
        verdict=known if apart < 4 else judge.FAILS,
        unit="simulation - closed form, where worst; the interval is of 4 s.e.",
        detail=f"{mean.size} cells, at most {apart:.2g} s.e. apart; s.e. up to {error.max():.2g}",
    )


def size_claims(data: "xr.Dataset") -> list[Claim]:
    """A readout of a tenth, and norms from tiny to that of the task."""
    found, sizes, ranks = [], np.sort(data["size"].values), np.sort(data["rank"].values)
    small = data.sel(size=sizes[sizes <= SMALL])
    short = small.sel(rank=ranks[ranks < setting(data, "inputs")])
    if small.sizes["size"] and short.sizes["rank"]:
        text = "with small weights the mean alignment over tasks is the closed form's, at every rank below d"
        found.append(agrees(short, "closed form, small weights", text))
        text = f"with small weights the closed form gives the alignment of every task to {CLOSE:g}, at every rank"
        error = abs(small.alignment - small.predicted).max(("size", "rank"))
        found.append(judge.below("single tasks, small weights", text, OURS, error, than=CLOSE, unit="largest error"))
        levels = {f"rank {x:g}": short.alignment.isel(size=0).sel(rank=x) for x in short["rank"].values[::2]}
        if len(levels) > 1:
            text = "the higher the rank, the less does the alignment vary from task to task"
            unit = "ratio of standard deviations"
            found.append(judge.spread_decreasing("tasks differ less at high rank", text, OURS, levels, unit=unit))
    if 1.0 in sizes:
        text = "weights as large as the task leave the closed form: at the lowest rank, kernels align better by 0.05"
        gap = (data.alignment - data.predicted).sel(size=1.0, rank=ranks[0])
        found.append(judge.greater("large weights are lazier", text, OURS, gap, than=0.05, unit="alignment"))
    for size in sizes if len(ranks) > 1 else ():
        text = "the higher the rank of the first layer, the better aligned are the kernels, on average over tasks"
        levels = {f"rank {x:g}": data.alignment.sel(size=size, rank=x) for x in ranks}
        source = "Liu et al. 2024, Theorem 1"
        found.append(judge.increasing(f"high rank is lazier, norm {size:g}", text, source, levels, unit="alignment"))
    return found


def readout_claims(data: "xr.Dataset") -> list[Claim]:
    """Tiny weights, and readouts of any size."""
    ranks, readouts = np.sort(data["rank"].values), np.sort(data.readout.values)
    text = f"the closed form gives the alignment of every task to {CLOSE:g}, at every rank and readout"
    error = abs(data.alignment - data.predicted).max(("readout", "rank"))
    found = [judge.below("single tasks, any readout", text, OURS, error, than=CLOSE, unit="largest error")]
    if len(ranks) < 2 or len(readouts) < 2:
        return found
    effect = data.alignment.sel(rank=ranks[-1]) - data.alignment.sel(rank=ranks[0])
    text = "the larger the readout, the smaller the effect of rank on the alignment"
    unit = f"alignment at rank {ranks[-1]:g} - rank {ranks[0]:g}"
    levels = {f"{x:g}": effect.sel(readout=x) for x in readouts}
    found.append(judge.decreasing("the readout hides the rank", text, OURS, levels, unit=unit))
    if 1.0 in readouts:
        text = "with a readout as large as the first layer, less than a tenth of the effect of rank is left"
        left = effect.sel(readout=1.0) / effect.sel(readout=readouts[0]).mean("seed")
        unit = "of the effect at the smallest readout"
        found.append(judge.below("gone at equal norms", text, OURS, left, than=0.1, unit=unit))
    return found


def limit_claims(data: "xr.Dataset") -> list[Claim]:
    """No readout, and any norm."""
    sizes, ranks, d = np.sort(data["size"].values), np.sort(data["rank"].values), setting(data, "inputs")
    text = f"without a readout the solution gives the alignment of every task to {CLOSE:g}, at every rank and norm"
    error = abs(data.alignment - data.exact).max(("size", "rank"))
    found = [judge.below("any norm", text, LIMIT, error, than=CLOSE, unit="largest error")]
    far = sizes[sizes >= 0.3]
    for rank, judged, text in (
        (1.0, judge.decreasing, "the larger weights of rank one, the worse aligned: they do not become lazy"),
        (float(d), judge.increasing, "the larger weights of full rank, the better aligned: they become lazy"),
    ):
        if rank in ranks and len(far) > 1:
            levels = {f"{x:g}": data.alignment.sel(size=x, rank=rank) for x in far}
            found.append(judged(f"large weights, rank {rank:g}", text, LIMIT, levels, unit="alignment"))
    return found


def dimension_claims(data: "xr.Dataset") -> list[Claim]:
    """Rank one and shares of full rank, as the dimension grows."""
    found, inputs, shares = [], np.sort(data.inputs.values), data.share.values
    if (shares < 1).any():
        text = "at every dimension the mean alignment over tasks is the closed form's, below full rank"
        found.append(agrees(data.sel(share=shares[shares < 1]), "closed form, any dimension", text))
    for readout in data.readout.values if len(inputs) > 1 else ():
        said, here = f"readout {readout:g}", data.alignment.sel(readout=readout)
        if 0.0 in shares:
            text = f"the more inputs, the worse aligned are weights of rank one, with a {said}"
            levels = {f"d = {x:g}": here.sel(inputs=x, share=0.0) for x in inputs}
            found.append(judge.decreasing(f"rank one, {said}", text, OURS, levels, unit="alignment"))
        for share in shares[(shares > 0) & (shares < 1)]:
            text = f"{share:g} of full rank aligns the same in the fewest and the most inputs, to 0.05, with a {said}"
            gap = here.sel(share=share, inputs=inputs[-1]) - here.sel(share=share, inputs=inputs[0])
            unit, name = "difference of alignments", f"a share of {share:g}, {said}"
            found.append(judge.within(name, text, OURS, gap, low=-0.05, high=0.05, unit=unit))
    return found
