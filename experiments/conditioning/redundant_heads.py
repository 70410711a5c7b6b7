r"""Several heads: a mean of linear reads is one wide head, and votes help only if the heads' codes differ.

Redundant heads are the remedy that is usually offered for the errors of a memory; Qiao (2025) announces what they do in
attention read as conditioning. Heads here are Hebbian memories of the same pairs, each with its view of the keys, at a
load :math:`y = (N - 1) / d` of each. Formulas: `brainjax.memory` (``heads_error``, ``redundant_failure`` and, over
layers, ``chain_noise``), derived by us.

Run:  brainjax run conditioning/redundant_heads [--variant=quick]
Cost: 79 s of one busy core (quick: 13 s).

The parts of the experiment:

* ``heads``: the mean of R linear heads, whose codes are rotated copies of one (``shared``), parts of a code that is R
  times as wide (``partitioned``), codes of their own (``independent``), or Gaussian projections of one wide code
  (``random``); over layers too, the values of one being the keys of the next;
* ``votes``: every head decodes for itself, to the nearest value; all wrong, or most wrong, of R heads with copies of
  one code, with codes of their own, and of a number of parts of one code. Independent failures would give
  :math:`\epsilon^R`; copies read the same, which is an identity and no claim.
"""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from brainjax import claims as judge
from brainjax import memory
from brainjax.claims import Claim
from brainjax.core import spectra
from brainjax.core.draws import normal
from brainjax.sweep import Axes, parts_of, product, seeds, setting, static, traced

if TYPE_CHECKING:  # what only the figure needs is imported when it is drawn
    import xarray as xr
    from matplotlib.figure import Figure

PAPER = "qiao2025"
DIMS = {
    "heads_noise": ("arrangement", "layer"),  # over the power of the code
    "all_wrong": ("heads_of", "head"),  # share of reads that the first 1, 2, ... heads all decode wrongly
    "most_wrong": ("heads_of", "head"),  # that more than half of them do
    "pooled_wrong": ("heads_of", "head"),  # that the sum of their reads is decoded wrongly
    "parts_all_wrong": ("split",),  # likewise for parts of one code
    "parts_most_wrong": ("split",),
}
PARTS = ("heads", "votes")
AXES = {"heads": ("copies",), "votes": ("load",)}
ARRANGEMENTS = ("shared", "partitioned", "independent", "random")
SPLITS = (1, 2, 4, 8)
HEADS = 8
OURS = "our derivation"
majority = jax.jit(lambda failure, copies: memory.redundant_failure(failure, copies=copies, decision="majority"))


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict(
        {
            "seed": 0,
            "part": "heads",
            "parts": PARTS,
            "dimension": 32,  # d of a head
            "copies": 1.0,  # R
            "heads": (1.0, 2.0, 4.0, 8.0),
            "heads_load": 0.5,  # in the part "heads"
            "layers": 6,
            "load": 1.0,  # (N - 1) / d
            "loads": (1.0, 1.5, 2.0, 3.0),  # in the part "votes"
            "probes": 32,  # reads in the part "votes"
            "seeds": 1024,
        }
    )
    if variant == "quick":
        config.update({"heads": (1.0, 8.0), "dimension": 16, "layers": 3, "parts": ("heads",), "seeds": 32})
    elif variant:
        raise ValueError(f"variant: 'quick', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if config.part not in PARTS or not set(config.parts) <= set(PARTS):
        raise ValueError(f"parts: must be among {', '.join(PARTS)}, got {config.parts} (part {config.part})")
    if config.part == "votes" and not 1 <= config.probes <= 1 + round(config.load * config.dimension):
        most = f"1 + load * {config.dimension}"
        raise ValueError(f"probes: must be at most the pairs, {most}, got {config.probes} at load {config.load}")
    if not 1 <= config.copies <= HEADS:
        raise ValueError(f"copies: must be from 1 to {HEADS}, got {config.copies}")
    if config.dimension < 1 or config.dimension % max(SPLITS):
        raise ValueError(f"dimension: must be a multiple of {max(SPLITS)}, got {config.dimension}")


def sweep(config: ConfigDict) -> dict[str, Axes]:
    varied = {"heads": {"copies": config.heads}, "votes": {"load": config.loads}}
    return {part: product(static(part=[part]), traced(**varied[part]), seeds(config.seeds)) for part in config.parts}


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    return {"heads": run_heads, "votes": run_votes}[config.part](key, config)


def reads_of(keys: jax.Array, values: jax.Array, there: jax.Array, queries: jax.Array) -> jax.Array:
    """What a Hebbian memory of those pairs that are there answers to the queries."""
    rule = memory.make("hebb")
    controls = {"beta": there.astype(keys.dtype)}
    state = memory.apply(rule, keys, keys, values, controls=controls, form="parallel").state
    return jax.vmap(lambda q: rule.read(state, q))(queries)


def rotations(drawn: jax.Array) -> jax.Array:
    """Random orthogonal matrices from Gaussian ones: their polar factors."""
    parts = spectra.decompose(drawn)
    return parts.left @ parts.right


def run_heads(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    """Chains of layers of heads whose reads are averaged, in every arrangement."""
    d, pairs, layers = config.dimension, 1 + round(config.heads_load * config.dimension), config.layers
    wide, count = HEADS * d, (layers + 1) * pairs
    rows = normal(key, (count + d + wide, wide))
    drawn = rows[:count].reshape(layers + 1, pairs, HEADS, d)
    turn = rotations(rows[count : count + d].reshape(HEADS, d, d))
    project = rows[count + d :].reshape(HEADS, d, wide) / d**0.5
    on = (jnp.arange(HEADS) < config.copies).astype(drawn.dtype)
    masked = drawn * on[:, None]
    flat = (layers + 1, pairs, wide)
    streams = {  # the codes, how a head sees them, and the factor on the sum of the heads' reads
        "shared": (memory.unit_norm(drawn[:, :, 0]), lambda x: jnp.einsum("hij,nj->hni", turn, x), 1 / config.copies),
        "partitioned": (memory.unit_norm(masked.reshape(flat)), by_parts, 1.0),
        "independent": (
            (memory.unit_norm(drawn) * on[:, None]).reshape(flat),
            by_parts,
            1 / config.copies,
        ),
        "random": (
            memory.unit_norm(drawn.reshape(flat)),
            lambda x: jnp.einsum("hij,nj->hni", project, x),
            1 / config.copies,
        ),
    }
    there = jnp.ones(pairs, bool)

    def chain(codes: jax.Array, seen: Any, factor: Any) -> jax.Array:
        def layer(reads: jax.Array, pair: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            k, v = pair
            heads = jax.vmap(lambda own, query: reads_of(own, v, there, query))(seen(k), seen(reads))
            reads = factor * jnp.tensordot(on, heads, 1)
            return reads, jnp.sum((reads - v) ** 2) / jnp.sum(v**2)

        return jax.lax.scan(layer, codes[0], (codes[:-1], codes[1:]))[1]

    return {"heads_noise": jnp.stack([chain(*streams[name]) for name in ARRANGEMENTS])}


def by_parts(stream: jax.Array) -> jax.Array:
    return jnp.swapaxes(stream.reshape(len(stream), HEADS, -1), 0, 1)


def run_votes(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    """One layer of heads that decode for themselves."""
    d, room = config.dimension, 1 + round(max(config.loads) * config.dimension)
    there, probes = jnp.arange(room) < jnp.round(1 + config.load * d).astype(jnp.int32), jnp.arange(config.probes)
    drawn = normal(key, (HEADS * room + HEADS * d + room, d))
    own, turns, values = jnp.split(drawn, [HEADS * room, len(drawn) - room])
    own, values = memory.unit_norm(own.reshape(HEADS, room, d)), memory.unit_norm(values)
    copies = jnp.einsum("hij,nj->hni", rotations(turns.reshape(HEADS, d, d)), own[0])

    def heads_of(keys: jax.Array) -> jax.Array:
        return jax.vmap(lambda k: reads_of(k, values, there, k[: config.probes]))(keys)

    def wrong(reads: jax.Array) -> jax.Array:
        nearest = jnp.argmax(jnp.where(there, reads @ values.T, -jnp.inf), -1)
        return (nearest != probes).astype(values.dtype)

    number = jnp.arange(1, HEADS + 1, dtype=values.dtype)[:, None]
    found: dict[str, list[jax.Array]] = {"all_wrong": [], "most_wrong": [], "pooled_wrong": []}
    for keys in (copies, own):
        reads = heads_of(keys)
        missed = wrong(reads)
        found["all_wrong"].append(jnp.mean(jnp.cumprod(missed, 0), 1))
        found["most_wrong"].append(jnp.mean((jnp.cumsum(missed, 0) > number / 2).astype(values.dtype), 1))
        found["pooled_wrong"].append(jnp.mean(wrong(jnp.cumsum(reads, 0)), 1))
    split = [wrong(heads_of(jnp.moveaxis(own[0].reshape(room, parts, -1), 1, 0))) for parts in SPLITS]
    return {
        **{name: jnp.stack(rows) for name, rows in found.items()},
        "parts_all_wrong": jnp.stack([jnp.mean(jnp.prod(x, 0)) for x in split]),
        "parts_most_wrong": jnp.stack([jnp.mean((jnp.mean(x, 0) > 0.5).astype(x.dtype)) for x in split]),
    }


def figure(results: "xr.DataTree") -> "Figure":
    """What heads buy, as a mean and as votes. Markers are simulations, lines formulas."""
    from brainjax import plots

    drawn = [("heads", draw_heads), ("heads", draw_depth), ("votes", draw_votes)]
    return plots.panels(parts_of(results, AXES), drawn, rows=1, columns=3, height=2.6)


def heads_law(data: "xr.Dataset", arrangement: str, copies: Any) -> np.ndarray:
    """NMSE of the mean of heads after one layer."""
    d = setting(data, "dimension")
    pairs = 1 + round(setting(data, "heads_load") * d)
    wide = {"stream_dimension": float(HEADS * d)} if arrangement == "random" else {}
    return np.asarray(memory.heads_error(float(pairs), float(d), copies, arrangement=arrangement, **wide))


def layers_of(data: "xr.Dataset") -> np.ndarray:
    return np.arange(1, data.sizes["layer"] + 1)


def draw_heads(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    copies = data.copies.values.astype(float)
    shift = dict(zip(ARRANGEMENTS, (1.0, 0.95, 1.05, 1.0), strict=True))
    for name, look in zip(ARRANGEMENTS, plots.line_styles(len(ARRANGEMENTS)), strict=True):
        noise = data.heads_noise.isel(arrangement=ARRANGEMENTS.index(name), layer=0).transpose("copies", "seed")
        plots.intervals(ax, copies * shift[name], noise, label=name, **{**look, "linestyle": "none"})
        ax.plot(copies, heads_law(data, name, copies), color=look["color"], linewidth=0.9, zorder=0)
    ax.set(
        xlabel="heads $R$", ylabel="noise power, one layer", xscale="log", yscale="log", title="mean of linear heads"
    )
    ax.set_xticks(copies, [f"{x:g}" for x in copies])
    ax.minorticks_off()
    ax.legend(handlelength=1, loc="lower left")


def draw_depth(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    layers, most = layers_of(data), data.sel(copies=data.copies.max())
    for name, look in zip(ARRANGEMENTS, plots.line_styles(len(ARRANGEMENTS)), strict=True):
        noise = most.heads_noise.isel(arrangement=ARRANGEMENTS.index(name)).transpose("layer", "seed")
        one = float(heads_law(data, name, float(most.copies)))
        plots.intervals(ax, layers, noise, label=name, **{**look, "linestyle": "none"})
        if name != "random":
            ax.plot(layers, memory.chain_noise(one, layers=layers), color=look["color"], linewidth=0.9, zorder=0)
    ax.set(xlabel="layer", ylabel="noise power", yscale="log", title=f"{float(most.copies):g} heads, no clean-up")


def draw_votes(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    here = data.isel(load=-1)
    number = np.arange(1, HEADS + 1)
    kinds = {
        "copies, all wrong": ("all_wrong", 0),
        "own codes, all wrong": ("all_wrong", 1),
        "own codes, summed": ("pooled_wrong", 1),
    }
    looks = plots.line_styles(len(kinds) + 1)
    for (name, (record, which)), look in zip(kinds.items(), looks, strict=False):
        ax_samples = here[record].isel(heads_of=which).transpose("head", "seed")
        plots.intervals(ax, number, ax_samples, label=name, **look)
    plots.intervals(ax, SPLITS, here.parts_all_wrong.transpose("split", "seed"), label="parts, all wrong", **looks[-1])
    failure = float(here.all_wrong.isel(heads_of=1, head=0).mean())
    ax.plot(number, memory.redundant_failure(failure, copies=number), color="black", linewidth=0.9, dashes=(2, 1.5))
    ax.set(xlabel="heads $R$", ylabel="failure", yscale="log", ylim=(1e-4, 300))
    ax.set_title(f"votes, load {float(here['load']):g}")
    ax.legend(title=r"dashed: $\epsilon^R$", alignment="left", handlelength=1.6, loc="upper right", labelspacing=0.2)


def claims(results: "xr.DataTree") -> list[Claim]:
    judged = {"heads": heads_claims, "votes": votes_claims}
    return [claim for name, data in parts_of(results, AXES).items() for claim in judged[name](data)]


def heads_claims(data: "xr.Dataset") -> list[Claim]:
    """Means of linear heads."""
    found, layers, most = [], layers_of(data), data.copies.values.max()
    for i, name in enumerate(ARRANGEMENTS):
        samples, law = {}, {}
        for copies in data.copies.values:
            one = float(heads_law(data, name, float(copies)))
            for j in range(1 if name == "random" else len(layers)):
                cell = f"R = {copies:g}, layer {layers[j]}"
                samples[cell] = data.heads_noise.sel(copies=copies).isel(arrangement=i, layer=j)
                law[cell] = float(memory.chain_noise(one, layers=float(layers[j])))
        where = "after one layer" if name == "random" else "at every depth, (1 + NMSE)^L - 1"
        text = f"the mean of linear heads has the noise of the formula for the arrangement {name}, {where}"
        found.append(judge.follows_law(f"heads, {name}", text, OURS, samples, law))
    wide = data.heads_noise.sel(copies=most)
    gap = wide.isel(arrangement=ARRANGEMENTS.index("random")) - wide.isel(arrangement=ARRANGEMENTS.index("partitioned"))
    gaps = {f"layer {layers[j]}": gap.isel(layer=j) for j in range(len(layers))}
    text = f"{most:g} Gaussian projections of a code are noisier than as many parts of it, at every depth"
    about = {"unit": "difference of noise power"}
    return [*found, judge.everywhere(judge.greater, "random projections", text, OURS, gaps, **about)]


def votes_claims(data: "xr.Dataset") -> list[Claim]:
    """Heads that decode for themselves: are their failures independent?"""
    every, half, worse = {}, {}, {}
    for y in data["load"].values:
        here = data.sel(load=y)
        first = here.all_wrong.isel(heads_of=1, head=0)
        for copies in range(2, HEADS + 1):
            cell = f"load {y:g}, R = {copies}"
            wrong = here.all_wrong.isel(heads_of=1, head=copies - 1).values
            every[cell] = judge.jackknife(lambda a, b, n=copies: b.mean() - a.mean() ** n, first.values, wrong)
            if copies % 2:
                most = here.most_wrong.isel(heads_of=1, head=copies - 1).values

                def apart(a: np.ndarray, b: np.ndarray, n: int = copies) -> float:
                    return b.mean() - float(majority(float(a.mean()), float(n)))

                half[cell] = judge.jackknife(apart, first.values, most)
        for i, parts in enumerate(SPLITS[1:], 1):
            worse[f"load {y:g}, {parts} parts"] = here.parts_most_wrong.isel(split=i) - here.parts_most_wrong.isel(
                split=0
            )
    bounds = {"low": -0.02, "high": 0.02, "unit": "measured - law"}
    text = "heads with codes of their own are all wrong with probability eps^R, to 0.02, at every load"
    found = [judge.everywhere(judge.within, "independent heads", text, OURS, every, **bounds)]
    text = "most of an odd number of them are wrong as often as independent failures would have it, to 0.02"
    found.append(judge.everywhere(judge.within, "majority", text, OURS, half, **bounds))
    text = "most parts of a split code are wrong more often than the one head that sees all of it"
    about = {"unit": "difference of failures"}
    return [*found, judge.everywhere(judge.greater, "splitting costs", text, OURS, worse, **about)]
