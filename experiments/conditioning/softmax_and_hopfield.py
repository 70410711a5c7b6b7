r"""Softmax attention holds exponentially many pairs, and reads them as a modern Hopfield network completes patterns.

A store of N unit keys with unit values is read by softmax with inverse temperature b. One pair competes with the
others' weight :math:`x = (N - 1)\, \mathbb E\, e^{b (t - 1)}`, an exact integral over the sphere (`brainjax.memory`:
``softmax_competition``, ``softmax_capacity``, ``softmax_error``, derived by us): N grows as
:math:`e^{b - b^2 / (2 d)}` while b stays far below d, and attention as it is usually scaled, :math:`b = \sqrt d`, holds
some :math:`e^{\sqrt d - 1/2}`. A step of a modern Hopfield network is a read whose values are the keys
:cite:`ramsauer2021`.

Run:  brainjax run conditioning/softmax_and_hopfield [--variant=quick]
Cost: 37 s of one busy core (quick: 21 s).

The parts of the experiment (d is a static axis; b, given as a multiple of :math:`\sqrt d`, a traced one):

* ``read``: random pairs probed with their keys; NMSE and the others' weight by N, b and d, and the same for b = d at
  the smallest d (``sharp``);
* ``complete``: patterns are the keys, probes are patterns to which noise of a given length was added at random and
  which were brought back to unit length; similarity to the right pattern and energy after every update, for patterns
  of norm :math:`K \sqrt{d - 1}` at inverse temperature 1, the setting of the guarantee of Ramsauer et al., Theorem 3.

``softmax_error`` is an estimate: it replaces sums over competitors by their means, which is right where many compete.
The guarantee of Ramsauer et al. is a lower bound.
"""

import functools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from brainjax import claims as judge
from brainjax import memory
from brainjax.claims import Claim
from brainjax.core.draws import normal
from brainjax.sweep import Axes, parts_of, product, seeds, setting, static, traced

if TYPE_CHECKING:  # what only the figure needs is imported when it is drawn
    import xarray as xr
    from matplotlib.figure import Figure

PAPER = "ramsauer2021"
DIMS = {
    "error": ("pairs",),  # NMSE of reads with the stored keys
    "competition": ("pairs",),  # weight of all other pairs over that of the probed one
    "right": ("pairs", "update"),  # share of probes whose nearest pattern is the right one and closer than TOLERANCE
    "distance": ("pairs", "update"),  # squared distance from the right pattern over its squared norm
    "energy": ("pairs", "update"),  # mean over probes, over the squared norm of patterns
    "rise": ("pairs",),  # the largest rise of energy in any update of any probe, over the squared norm
}
PARTS = ("read", "complete")
AXES = {"read": ("dimension", "sharpness"), "complete": ("dimension", "radius", "overlap")}
NEAR = 0.05  # squared distance over squared norm: what we call completed
OURS = "our derivation"
EARLIER = (  # d, b over the root of d, N; NMSE as another program of ours measured it, and how close we expect ours
    (64, 1.0, 1024, 0.132, 0.01),
    (64, 1.0, 4096, 0.487, 0.01),
    (16, 4.0, 1024, 0.0033, 0.0005),
)
competition, predicted_error = (jax.jit(law) for law in (memory.softmax_competition, memory.softmax_error))


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict(
        {
            "seed": 0,
            "part": "read",
            "parts": PARTS,
            "dimension": 64,  # d
            "dimensions": (16, 64),
            "sharpness": 1.0,  # b over the root of d
            "sharpnesses": (0.5, 1.0, 1.5, 2.0, 4.0),
            "pairs": (16, 64, 256, 1024, 4096),
            "pattern_counts": (16, 64, 256, 1024),
            "radius": 1.0,  # K
            "radii": (0.35, 0.5, 0.7, 1.0),
            "overlap": 1.0,  # cosine of the probe with its pattern before the first update
            "overlaps": (0.4, 0.6, 0.8, 1.0),
            "updates": 3,
            "probes": 16,
            "seeds": 128,
        }
    )
    if variant == "quick":
        config.update({"dimensions": (16,), "pairs": (16, 64, 256, 1024), "sharpnesses": (1.0, 4.0), "seeds": 16})
        config.update({"pattern_counts": (16, 64, 256), "radii": (0.5, 1.0), "overlaps": (0.6, 1.0)})
    elif variant:
        raise ValueError(f"variant: 'quick', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if config.part not in PARTS or not set(config.parts) <= set(PARTS):
        raise ValueError(f"parts: must be among {', '.join(PARTS)}, got {config.parts} (part {config.part})")
    if config.dimension < 2:
        raise ValueError(f"dimension: must be 2 or more, got {config.dimension}")
    for name in ("pairs", "pattern_counts"):
        if list(config[name]) != sorted(set(config[name])) or config[name][0] < 2:
            raise ValueError(f"{name}: must rise from 2 or more, got {config[name]}")
    if not 0 <= config.overlap <= 1:
        raise ValueError(f"overlap: must be from 0 to 1, got {config.overlap}")
    for name in ("sharpness", "radius"):
        if not config[name] > 0:
            raise ValueError(f"{name}: must be positive, got {config[name]}")
    if config.updates < 2 or config.probes < 1:
        raise ValueError(f"updates: must be at least 2 and probes at least 1, got {config.updates} and {config.probes}")


def sweep(config: ConfigDict) -> dict[str, Axes]:
    each = {
        "read": traced(sharpness=config.sharpnesses),
        "complete": product(traced(radius=config.radii), traced(overlap=config.overlaps)),
    }
    return {
        part: product(static(part=[part]), static(dimension=config.dimensions), each[part], seeds(config.seeds))
        for part in config.parts
    }


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    return {"read": run_read, "complete": run_complete}[config.part](key, config)


def run_read(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    """Reads with the first keys, which every number of pairs includes."""
    d, most, probes = config.dimension, config.pairs[-1], min(config.probes, config.pairs[0])
    rule, constants = memory.make("softmax"), {"inverse_temperature": config.sharpness * d**0.5}
    keys, values = memory.unit_norm(normal(key, (2, most, d)))
    tagged = jnp.concatenate([values, jnp.eye(most, probes, dtype=keys.dtype)], 1)  # a tag is read as a pair's weight

    def write(state: Any, pair: tuple[jax.Array, jax.Array]) -> tuple[Any, None]:
        return rule.step(state, *pair), None

    start = rule.init_state(d, d + probes, dtype=keys.dtype, length=most)
    full = jax.lax.scan(write, start, (keys, tagged))[0]

    def read(written: jax.Array) -> tuple[jax.Array, jax.Array]:
        state = full._replace(written=written)  # an exemplar memory of fewer pairs is a part of the full one
        reads = jax.vmap(lambda q: rule.read(state, q, constants))(keys[:probes])
        weight = jnp.diagonal(reads[:, d:])
        missed = jnp.sum((reads[:, :d] - values[:probes]) ** 2, 1)
        return jnp.mean(missed), jnp.mean(1 / weight - 1)

    found = [read(jnp.asarray(n, full.written.dtype)) for n in config.pairs]
    return {"error": jnp.stack([x for x, _ in found]), "competition": jnp.stack([x for _, x in found])}


def run_complete(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    """Updates of networks of several numbers of patterns from corrupted copies of the first ones."""
    d, most, probes = config.dimension, config.pattern_counts[-1], min(config.probes, config.pattern_counts[0])
    drawn = normal(key, (most + probes, d))
    length = config.radius * (d - 1) ** 0.5
    units, noise = memory.unit_norm(drawn[:most]), drawn[most:]
    right = units[:probes]
    away = memory.unit_norm(noise - jnp.sum(noise * right, 1, keepdims=True) * right)
    corrupted = length * (config.overlap * right + jnp.sqrt(1 - config.overlap**2) * away)
    rows = [completed(length * units[:n], corrupted, config) for n in config.pattern_counts]
    return {name: jnp.stack([row[name] for row in rows]) for name in rows[0]}


def completed(patterns: jax.Array, states: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    """What becomes of probes, (probes, d), of which number i is a corrupted copy of pattern i."""
    square, wanted = jnp.sum(patterns[0] ** 2), jnp.arange(len(states))
    update, energy = (
        jax.vmap(functools.partial(one, patterns, inverse_temperature=1.0))
        for one in (memory.hopfield_update, memory.hopfield_energy)
    )
    path = [states]
    for _ in range(config.updates):
        path.append(update(path[-1]))
    energies = jnp.stack([energy(x) for x in path]) / square
    away = jnp.stack([jnp.sum((x - patterns[: len(x)]) ** 2, 1) for x in path]) / square
    nearest = jnp.stack([jnp.argmax(x @ patterns.T, 1) == wanted for x in path])
    return {
        "right": jnp.mean(nearest.astype(states.dtype), 1),
        "distance": jnp.mean(away, 1),
        "energy": jnp.mean(energies, 1),
        "rise": jnp.max(jnp.diff(energies, axis=0)),
    }


# ------------------------------------------------------------------------------------------------------------ figure
def figure(results: "xr.DataTree") -> "Figure":
    """Errors of reads and completion of patterns. Markers are simulations, lines in the first row formulas."""
    from brainjax import plots

    drawn = [
        ("read", functools.partial(draw_error, which=0)),
        ("read", functools.partial(draw_error, which=-1)),
        ("read", draw_competition),
        ("complete", draw_patterns),
        ("complete", draw_corruption),
        ("complete", draw_energy),
    ]
    return plots.panels(parts_of(results, AXES), drawn, rows=2, columns=3, height=4.6)


def labelled(data: "xr.Dataset") -> "xr.Dataset":
    name = "pairs" if "error" in data else "pattern_counts"
    return data.assign_coords(pairs=list(setting(data, name)))


def count_axis(ax: Any, counts: Any, **names: Any) -> None:
    ax.set(xscale="log", **{"xlabel": "pairs $N$", **names})
    ax.set_xticks(counts, [f"{n}" for n in counts])
    ax.minorticks_off()


def draw_error(ax: Any, data: "xr.Dataset", *, which: int) -> None:
    from brainjax import plots

    data = labelled(data).isel(dimension=which)
    d = int(data.dimension)
    fine = np.geomspace(data.pairs.min(), data.pairs.max(), 60)
    for ratio, look in zip(data.sharpness.values, plots.line_styles(data.sizes["sharpness"]), strict=True):
        error = data.error.sel(sharpness=ratio).transpose("pairs", "seed")
        plots.intervals(ax, data.pairs, error, label=f"{ratio:g}", **{**look, "linestyle": "none"})
        law = predicted_error(fine, float(d), float(ratio) * d**0.5)
        ax.plot(fine, law, color=look["color"], linewidth=0.9, zorder=0)
    count_axis(ax, data.pairs.values, ylabel="NMSE", yscale="log", ylim=(1e-8, 3), title=f"reads, $d$ = {d}")
    if which == 0:
        ax.legend(
            title=r"$b / \sqrt{d}$", alignment="left", handlelength=1, ncols=2, columnspacing=1, loc="lower right"
        )


def draw_competition(ax: Any, data: "xr.Dataset") -> None:
    """Measured over predicted weight of competitors: exact integral, and its Gaussian estimate."""
    from brainjax import plots

    data = labelled(data)
    styles = plots.line_styles(data.sizes["dimension"])
    for d, look in zip(data.dimension.values, styles, strict=True):
        here = data.sel(dimension=d).isel(pairs=-1)
        ratio, b = here.sharpness.values, here.sharpness.values * float(d) ** 0.5
        n = float(here.pairs)
        exact = np.asarray(competition(n, float(d), b))
        shown = here.competition.transpose("sharpness", "seed").values / exact[:, None]
        plots.intervals(ax, ratio, shown, label=f"$d$ = {d}", **{**look, "linestyle": "none"})
        fine = np.linspace(ratio.min(), ratio.max(), 50)
        b = fine * float(d) ** 0.5
        gauss = (n - 1) * np.exp(b**2 / (2 * d) - b) / np.asarray(competition(n, float(d), b))
        ax.plot(fine, gauss, color=look["color"], linestyle=look["linestyle"], linewidth=0.9, zorder=0)
    ax.axhline(1, color="black", linewidth=0.8, zorder=0)
    ax.set(xlabel=r"inverse temperature $b / \sqrt{d}$", ylabel="others' weight / exact", yscale="log", ylim=(0.5, 20))
    ax.set_yticks([1, 2, 5, 10], ["1", "2", "5", "10"])
    ax.set_title("lines: Gaussian estimate")
    ax.legend(handlelength=1.6, loc="upper left")


def draw_patterns(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    data = labelled(data).sel(overlap=data.overlap.max()).isel(dimension=0, update=1)
    for radius, look in zip(data.radius.values, plots.line_styles(data.sizes["radius"]), strict=True):
        away = data.distance.sel(radius=radius).transpose("pairs", "seed")
        plots.intervals(ax, data.pairs, away, label=f"{radius:g}", **look)
    count_axis(ax, data.pairs.values, xlabel="patterns $N$", ylabel="squared distance", yscale="log", ylim=(1e-7, 3))
    ax.set_title(f"one update, intact, $d$ = {int(data.dimension)}")
    ax.legend(title="radius $K$", alignment="left", handlelength=1.6, loc="lower right", ncols=2, columnspacing=1)


def draw_corruption(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    data = labelled(data).sel(radius=data.radius.max()).isel(dimension=-1)
    for m, look in zip(data.overlap.values, plots.line_styles(data.sizes["overlap"]), strict=True):
        here = data.right.sel(overlap=m)
        plots.intervals(ax, data.pairs, here.isel(update=1).transpose("pairs", "seed"), label=f"{m:g}", **look)
        ax.plot(data.pairs, here.isel(update=0).mean("seed"), "x", color="black", markersize=5)
    count_axis(ax, data.pairs.values, xlabel="patterns $N$", ylabel="share completed", ylim=(0, 1.05))
    ax.set_title(f"corrupted, $d$ = {int(data.dimension)}, $K$ = {float(data.radius):g}")
    ax.legend(
        title="overlap (x: nearest)", alignment="left", handlelength=1.6, loc="lower left", ncols=2, columnspacing=1
    )


def draw_energy(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    data = labelled(data).isel(dimension=0, pairs=-1)
    m = float(data.overlap[data.overlap < 1][-1]) if (data.overlap < 1).any() else 1.0
    data = data.sel(overlap=m)
    for radius, look in zip(data.radius.values, plots.line_styles(data.sizes["radius"]), strict=True):
        energy = data.energy.sel(radius=radius).transpose("update", "seed")
        plots.intervals(ax, np.arange(data.sizes["update"]), energy, label=f"{radius:g}", **look)
    ax.set(xlabel="update", ylabel="energy / squared norm", ylim=(0, None), xticks=range(data.sizes["update"]))
    ax.set_title(f"overlap {m:g}, $d$ = {int(data.dimension)}, $N$ = {int(data.pairs)}", fontsize=7)
    ax.legend(title="radius $K$", alignment="left", handlelength=1.6)


# ------------------------------------------------------------------------------------------------------------ claims
def claims(results: "xr.DataTree") -> list[Claim]:
    judged = {"read": read_claims, "complete": complete_claims}
    return [claim for name, data in parts_of(results, AXES).items() for claim in judged[name](labelled(data))]


def read_claims(data: "xr.Dataset") -> list[Claim]:
    """Reads with stored keys against the integrals over the sphere."""
    weights, law, errors = {}, {}, {}
    for d, ratio, n in data.error.stack(cell=("dimension", "sharpness", "pairs")).cell.values:
        b = float(ratio) * float(d) ** 0.5
        x = float(competition(float(n), float(d), b))
        many = x**2 / float(competition(float(n), float(d), 2 * b))  # competitors that matter
        here, cell = data.sel(dimension=d, sharpness=ratio, pairs=n), f"d = {d}, b = {b:.3g}, N = {n}"
        if many >= 4:
            weights[cell], law[cell] = here.competition, x
        if ratio == 1:
            errors[cell] = here.error / float(predicted_error(float(n), float(d), b)) - 1
    found = []
    if weights:
        text = "the others' weight is the integral over the sphere, wherever at least four competitors matter"
        found.append(judge.follows_law("competition", text, OURS, weights, law))
    if errors:
        text = "with the usual scaling, b = sqrt d, the error is the formula's to a tenth, at every N and d"
        bounds = {"low": -0.1, "high": 0.1, "unit": "measured / formula - 1"}
        found.append(judge.everywhere(judge.within, "usual scaling", text, OURS, errors, **bounds))
    for d, ratio, n, number, close in (
        (64, 1.0, 1024, 0.132, 0.01),
        (64, 1.0, 4096, 0.487, 0.01),
        (16, 4.0, 1024, 0.0033, 0.0005),
    ):
        if d in data.dimension and ratio in data.sharpness and n in data.pairs:
            text = f"at d = {d}, b = {ratio * d**0.5:g} and N = {n} the error is {number:g}, as another program found"
            error = data.error.sel(dimension=d, sharpness=ratio, pairs=n)
            bounds = {"low": number - close, "high": number + close, "unit": "NMSE"}
            found.append(judge.within(f"d = {d}, N = {n}", text, "our earlier measurement", error, **bounds))
    sharp = data.sel(dimension=data.dimension.min()).isel(pairs=-1)
    d, n = float(sharp.dimension), float(sharp.pairs)
    if d**0.5 in sharp.sharpness:
        text = f"the Gaussian estimate of the others' weight is more than threefold too large at b = d = {d:g}"
        gauss = (n - 1) * np.exp(d / 2 - d)
        share = sharp.competition.sel(sharpness=d**0.5) / gauss
        found.append(judge.below("Gaussian estimate", text, OURS, share, than=1 / 3, unit="measured / estimate"))
    return found


def complete_claims(data: "xr.Dataset") -> list[Claim]:
    """Completion of patterns: from themselves, from corrupted copies, and how fast."""
    found, near, far = [], {}, {}
    whole = data.sel(overlap=data.overlap.max()).isel(update=1)
    for d, radius, n in whole.distance.stack(cell=("dimension", "radius", "pairs")).cell.values:
        b = float(radius) ** 2 * (float(d) - 1)
        x = float(competition(float(n), float(d), b))
        cell = f"d = {d}, K = {radius:g}, N = {n}"
        if x < 0.1:
            near[cell] = whole.distance.sel(dimension=d, radius=radius, pairs=n)
        elif x > 3:
            far[cell] = whole.distance.sel(dimension=d, radius=radius, pairs=n)
    source = "our integral; Ramsauer et al. 2021"
    if near:
        text = f"where the others weigh less than 0.1, a pattern stays within {NEAR:g} of itself in an update"
        unit = {"unit": "squared distance"}
        found.append(judge.everywhere(judge.below, "stored", text, source, near, than=NEAR, **unit))
    if far:
        text = "where they weigh more than 3, it does not: the update averages over patterns"
        unit = {"unit": "squared distance"}
        found.append(judge.everywhere(judge.greater, "not stored", text, source, far, than=NEAR, **unit))
    largest = data.sel(radius=data.radius.max())
    if float(largest.radius) >= 1:
        found.append(beyond_the_guarantee(largest.sel(overlap=data.overlap.max())))
    lost, slow = {}, {}
    for d, m in largest.distance.stack(cell=("dimension", "overlap")).cell.values:
        for n in largest.pairs.values:
            here = largest.sel(dimension=d, overlap=m, pairs=n)
            lost[f"d = {d}, overlap {m:g}, N = {n}"] = here.right.isel(update=0) - here.right.isel(update=-1)
            if m >= 0.6:
                slow[f"d = {d}, overlap {m:g}, N = {n}"] = here.distance.isel(update=1)
    text = f"at K = {float(largest.radius):g} the network completes as often as the nearest pattern is right, less 0.02"
    about = {"than": 0.02, "unit": "share lost"}
    found.append(judge.everywhere(judge.below, "as the nearest pattern", text, source, lost, **about))
    text = f"from an overlap of 0.6 on, one update brings a probe to {NEAR:g} of its pattern"
    about = {"than": NEAR, "unit": "squared distance"}
    source = "our question; near a pattern Ramsauer et al. 2021, Theorem 4"
    found.append(judge.everywhere(judge.below, "one update", text, source, slow, **about))
    text = "no update of any probe raises the energy by more than 1e-5 of a pattern's squared norm"
    rise = data.rise.max([dim for dim in data.rise.dims if dim != "seed"])
    source = "Ramsauer et al. 2021, Theorem 1"
    return [*found, judge.below("energy", text, source, rise, than=1e-5, unit="of the squared norm, most")]


def beyond_the_guarantee(data: "xr.Dataset") -> Claim:
    """Patterns of norm sqrt(d - 1) stored in the largest network, against the number that is guaranteed."""
    d, n = int(data.dimension.max()), int(data.pairs.max())
    sure = float(memory.hopfield_capacity(float(d), radius=float(data.radius)))
    text = f"the guarantee ({sure:.2g} patterns at d = {d}) is far from tight: at N = {n}, more than 99 % stay"
    kept = data.sel(dimension=d, pairs=n).right.isel(update=1)
    return judge.greater("beyond the guarantee", text, "Ramsauer et al. 2021, Theorem 3", kept, than=0.99, unit="share")
