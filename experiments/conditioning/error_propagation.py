r"""Retrieval errors over layers: noise multiplies, a clean-up makes it all or nothing, and heads help if they differ.

Layer l of a chain of Hebbian memories maps stored codes :math:`k^{(l)}_i \mapsto k^{(l+1)}_i`: the values of one memory
are the keys of the next. Qiao (2025) announces how errors grow with depth, width and heads; these are the three models
of `brainjax.memory` (``chain_noise``, ``chain_success`` and ``redundant_failure``, ``heads_error``), which we derived,
against simulated chains. The load is :math:`y = (N - 1) / d`.

Run:  brainjax run conditioning/error_propagation [--variant=quick]
Cost: 134 s of one busy core (quick: 19 s).

The parts of the experiment:

* ``noise``: no clean-up, relative noise power :math:`\eta_L = (1 + y)^L - 1`, since crosstalk lies in the span of the
  codes; beside it what layer norm, the nearest code and one softmax (Hopfield) step between layers do;
* ``clean``: a small dimension and heavy loads, where even the nearest code fails: are W chains of L retrievals all
  right with probability :math:`(1 - \epsilon)^{L W}`, with :math:`\epsilon` the failures of the first layer?
* ``heads``: the mean of R linear heads, whose codes are rotated copies of one (``shared``), parts of a code that is R
  times as wide (``partitioned``), codes of their own (``independent``), or Gaussian projections of one wide code
  (``random``);
* ``votes``: every head decodes for itself, to the nearest value; all wrong, or most wrong, of R heads with copies of
  one code, with codes of their own, and of a number of parts of one code. Independent failures would give
  :math:`\epsilon^R`.
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
    "noise": ("layer", "clean_up"),  # squared distance from the code, a code is of length 1
    "right": ("layer", "clean_up"),  # share of chains whose nearest code is the right one
    "together": ("layer", "width"),  # share of groups of chains all of which are right, nearest code as clean-up
    "heads_noise": ("arrangement", "layer"),  # over the power of the code
    "all_wrong": ("heads_of", "head"),  # share of reads that the first 1, 2, ... heads all decode wrongly
    "most_wrong": ("heads_of", "head"),  # that more than half of them do
    "pooled_wrong": ("heads_of", "head"),  # that the sum of their reads is decoded wrongly
    "parts_all_wrong": ("split",),  # likewise for parts of one code
    "parts_most_wrong": ("split",),
}
PARTS = ("noise", "clean", "heads", "votes")
AXES = {"noise": ("load",), "clean": ("load",), "heads": ("copies",), "votes": ("load",)}
CLEAN_UPS = ("none", "layer_norm", "nearest", "hopfield")
ARRANGEMENTS = ("shared", "partitioned", "independent", "random")
WIDTHS = (1, 2, 4, 8)
SPLITS = (1, 2, 4, 8)
HEADS = 8
OURS = "our derivation"


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict(
        {
            "seed": 0,
            "part": "noise",
            "parts": PARTS,
            "layers": 12,
            "load": 0.125,  # (N - 1) / d
            "dimension": 128,  # of the codes in the part "noise"
            "loads": (0.0625, 0.125, 0.25, 0.5),
            "clean_dimension": 32,  # in the parts "clean" and "votes"
            "clean_loads": (1.0, 1.5, 2.0, 3.0),
            "sharpness": 16.0,  # inverse temperature of the softmax step
            "probes": 8,  # chains in the part "noise"
            "clean_probes": 32,  # reads in the parts "clean" and "votes"
            "copies": 1.0,  # R
            "head_copies": (1.0, 2.0, 4.0, 8.0),
            "head_dimension": 32,
            "head_load": 0.5,
            "head_layers": 6,
            "seeds": 1024,
        }
    )
    if variant == "quick":
        config.update({"dimension": 32, "loads": (0.25, 0.5), "clean_loads": (2.0,), "layers": 6, "seeds": 32})
        config.update({"head_copies": (1.0, 8.0), "head_dimension": 16, "head_layers": 3, "parts": ("noise", "heads")})
    elif variant:
        raise ValueError(f"variant: 'quick', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if config.part not in PARTS or not set(config.parts) <= set(PARTS):
        raise ValueError(f"parts: must be among {', '.join(PARTS)}, got {config.parts} (part {config.part})")
    light = config.part == "noise"
    d, probes = (config.dimension, config.probes) if light else (config.clean_dimension, config.clean_probes)
    if config.part != "heads" and (probes > 1 + round(config.load * d) or probes % max(WIDTHS)):
        raise ValueError(
            f"probes, clean_probes: must be a multiple of {max(WIDTHS)} and not exceed the pairs, 1 + load * {d}, "
            f"got {probes} at load {config.load}"
        )
    if not 1 <= config.copies <= HEADS or config.clean_dimension % max(SPLITS):
        raise ValueError(
            f"copies: must be from 1 to {HEADS} and clean_dimension a multiple of {max(SPLITS)}, got {config.copies} "
            f"and {config.clean_dimension}"
        )


def sweep(config: ConfigDict) -> dict[str, Axes]:
    varied = {
        "noise": {"load": config.loads},
        "clean": {"load": config.clean_loads},
        "heads": {"copies": config.head_copies},
        "votes": {"load": config.clean_loads},
    }
    return {part: product(static(part=[part]), traced(**varied[part]), seeds(config.seeds)) for part in config.parts}


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    if config.part == "heads":
        return run_heads(key, config)
    if config.part == "votes":
        return run_votes(key, config)
    found = run_chain(key, config)
    return found if config.part == "clean" else {name: found[name] for name in ("noise", "right")}


def stored(config: ConfigDict) -> tuple[int, int, jax.Array, jax.Array]:
    """Dimension, number of probes, number of pairs, and which of the room for pairs they take."""
    light = config.part == "noise"
    d, loads = (config.dimension, config.loads) if light else (config.clean_dimension, config.clean_loads)
    pairs = jnp.round(1 + config.load * d).astype(jnp.int32)
    return d, config.probes if light else config.clean_probes, pairs, jnp.arange(1 + round(max(loads) * d)) < pairs


def written(keys: jax.Array, values: jax.Array, there: jax.Array) -> Any:
    """A Hebbian memory of those pairs that are there."""
    rule = memory.make("hebb")
    controls = {"beta": there.astype(keys.dtype)}
    return memory.apply(rule, keys, keys, values, controls=controls, form="parallel").state


def read(state: Any, queries: jax.Array) -> jax.Array:
    return jax.vmap(lambda q: memory.make("hebb").read(state, q))(queries)


def nearest(reads: jax.Array, codes: jax.Array, there: jax.Array) -> jax.Array:
    return jnp.argmax(jnp.where(there[None], reads @ codes.T, -jnp.inf), 1)


def run_chain(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    """Chains of retrievals from the first codes, with every clean-up."""
    d, number, pairs, there = stored(config)
    room, probes = len(there), jnp.arange(number)
    codes = memory.unit_norm(normal(key, (config.layers + 1, room, d)))
    hopfield = memory.make("hopfield")
    sharp = {"inverse_temperature": config.sharpness}

    def layer(reads: list[jax.Array], pair: tuple[jax.Array, jax.Array]) -> tuple[list[jax.Array], Any]:
        k, v = pair
        state = written(k, v, there)
        raw = dict(zip(CLEAN_UPS, [read(state, x) for x in reads], strict=True))
        store = hopfield.init_state(d, d, dtype=v.dtype, length=room)._replace(keys=v, values=v, written=pairs)
        clean = [
            raw["none"],
            memory.unit_norm(raw["layer_norm"]),
            v[nearest(raw["nearest"], v, there)],
            jax.vmap(lambda q: hopfield.read(store, q, sharp))(memory.unit_norm(raw["hopfield"])),
        ]
        noise = jnp.stack([jnp.mean(jnp.sum((x - v[:number]) ** 2, 1)) for x in clean])
        right = jnp.stack([nearest(x, v, there) == probes for x in clean])
        return clean, (noise, right)

    start = [codes[0, :number]] * len(CLEAN_UPS)
    noise, right = jax.lax.scan(layer, start, (codes[:-1], codes[1:]))[1]
    chains = right[:, CLEAN_UPS.index("nearest")].astype(codes.dtype)
    groups = [chains.reshape(len(chains), -1, width).min(2).mean(1) for width in WIDTHS]
    return {"noise": noise, "right": right.astype(codes.dtype).mean(2), "together": jnp.stack(groups, 1)}


def rotations(drawn: jax.Array) -> jax.Array:
    """Random orthogonal matrices from Gaussian ones: their polar factors."""
    parts = spectra.decompose(drawn)
    return parts.left @ parts.right


def run_heads(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    """Chains of layers of heads whose reads are averaged, in every arrangement."""
    d, pairs, layers = config.head_dimension, 1 + round(config.head_load * config.head_dimension), config.head_layers
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
            heads = jax.vmap(lambda own, query: read(written(own, v, there), query))(seen(k), seen(reads))
            reads = factor * jnp.tensordot(on, heads, 1)
            return reads, jnp.sum((reads - v) ** 2) / jnp.sum(v**2)

        return jax.lax.scan(layer, codes[0], (codes[:-1], codes[1:]))[1]

    return {"heads_noise": jnp.stack([chain(*streams[name]) for name in ARRANGEMENTS])}


def by_parts(stream: jax.Array) -> jax.Array:
    return jnp.swapaxes(stream.reshape(len(stream), HEADS, -1), 0, 1)


def run_votes(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    """One layer of heads that decode for themselves."""
    d, count, _, there = stored(config)
    room, probes = len(there), jnp.arange(count)
    drawn = normal(key, (HEADS * room + HEADS * d + room, d))
    own, turns, values = jnp.split(drawn, [HEADS * room, len(drawn) - room])
    own, values = memory.unit_norm(own.reshape(HEADS, room, d)), memory.unit_norm(values)
    copies = jnp.einsum("hij,nj->hni", rotations(turns.reshape(HEADS, d, d)), own[0])

    def reads_of(keys: jax.Array) -> jax.Array:
        return jax.vmap(lambda k: read(written(k, values, there), k[:count]))(keys)

    def wrong(reads: jax.Array) -> jax.Array:
        return (jax.vmap(lambda x: nearest(x, values, there))(reads) != probes).astype(values.dtype)

    number = jnp.arange(1, HEADS + 1, dtype=values.dtype)[:, None]
    found: dict[str, list[jax.Array]] = {"all_wrong": [], "most_wrong": [], "pooled_wrong": []}
    for keys in (copies, own):
        reads = reads_of(keys)
        missed = wrong(reads)
        found["all_wrong"].append(jnp.mean(jnp.cumprod(missed, 0), 1))
        found["most_wrong"].append(jnp.mean((jnp.cumsum(missed, 0) > number / 2).astype(values.dtype), 1))
        found["pooled_wrong"].append(jnp.mean(wrong(jnp.cumsum(reads, 0)), 1))
    split = [wrong(reads_of(jnp.moveaxis(own[0].reshape(room, parts, -1), 1, 0))) for parts in SPLITS]
    return {
        **{name: jnp.stack(rows) for name, rows in found.items()},
        "parts_all_wrong": jnp.stack([jnp.mean(jnp.prod(x, 0)) for x in split]),
        "parts_most_wrong": jnp.stack([jnp.mean((jnp.mean(x, 0) > 0.5).astype(x.dtype)) for x in split]),
    }


# ------------------------------------------------------------------------------------------------------------ figure
def figure(results: "xr.DataTree") -> "Figure":
    """Noise and success over layers, and what heads buy. Markers are simulations, lines formulas."""
    from brainjax import plots

    drawn = [
        ("noise", draw_noise),
        ("clean", draw_clean_ups),
        ("clean", draw_success),
        ("heads", draw_heads),
        ("heads", draw_depth),
        ("votes", draw_votes),
    ]
    return plots.panels(parts_of(results, AXES), drawn, rows=2, columns=3, height=4.6)


def layers_of(data: "xr.Dataset") -> np.ndarray:
    return np.arange(1, data.sizes["layer"] + 1)


def dots(ax: Any, x: Any, samples: Any, law: Any, label: str, look: dict[str, Any]) -> None:
    from matplotlib.ticker import MaxNLocator

    from brainjax import plots

    plots.intervals(ax, x, samples, label=label, **{**look, "linestyle": "none"})
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if law is not None:
        ax.plot(x, law, color=look["color"], linewidth=0.9, zorder=0)


def draw_noise(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    layers = layers_of(data)
    for y, look in zip(data["load"].values, plots.line_styles(data.sizes["load"]), strict=True):
        noise = data.noise.sel(load=y).isel(clean_up=0).transpose("layer", "seed")
        dots(ax, layers, noise, memory.chain_noise(float(y), layers=layers), f"{y:g}", look)
    worst = float(data["load"].max())
    ax.plot(
        layers,
        memory.chain_noise(worst, layers=layers, spread="isotropic"),
        color="black",
        linewidth=0.9,
        dashes=(2, 1.5),
    )
    ax.set(xlabel="layer", ylabel=r"relative noise power $\eta_L$", yscale="log", title="no clean-up")
    ax.legend(
        title="load (dashed: isotropic)", alignment="left", handlelength=1, ncols=2, columnspacing=1, loc="upper left"
    )
    ax.set_ylim(None, 3e4)


def draw_clean_ups(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    names = {"none": "none or layer norm", "nearest": "nearest code", "hopfield": "softmax step"}
    here = data.sel(load=data["load"].values[len(data["load"]) // 2 - 1])
    for (name, shown), look in zip(names.items(), plots.line_styles(len(names)), strict=True):
        right = here.right.isel(clean_up=CLEAN_UPS.index(name)).transpose("layer", "seed")
        plots.intervals(ax, layers_of(data), right, label=shown, **look)
    ax.set(xlabel="layer", ylabel="share of right chains", ylim=(0, 1.5), yticks=np.arange(0, 1.1, 0.2))
    ax.set(title=f"load {float(here['load']):g}", xticks=layers_of(data)[2::3])
    ax.legend(title="clean-up", alignment="left", loc="upper right", handlelength=1.8, labelspacing=0.2)


def draw_success(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    y = float(data["load"].values[len(data["load"]) // 2])
    here = data.sel(load=y)
    failure = 1 - float(here.together.isel(layer=0, width=0).mean())
    for i, (width, look) in enumerate(zip(WIDTHS, plots.line_styles(len(WIDTHS)), strict=True)):
        law = memory.chain_success(failure, layers=layers_of(data), width=width)
        dots(ax, layers_of(data), here.together.isel(width=i).transpose("layer", "seed"), law, f"{width}", look)
    ax.set(xlabel="layer", ylabel="probability that all are right", ylim=(-0.03, 1.05))
    ax.set_title(f"nearest code, load {y:g}")
    ax.legend(title="width $W$", alignment="left", handlelength=1)


def heads_law(data: "xr.Dataset", arrangement: str, copies: Any) -> np.ndarray:
    """NMSE of the mean of heads after one layer."""
    d = setting(data, "head_dimension")
    pairs = 1 + round(setting(data, "head_load") * d)
    wide = {"stream_dimension": float(HEADS * d)} if arrangement == "random" else {}
    return np.asarray(memory.heads_error(float(pairs), float(d), copies, arrangement=arrangement, **wide))


def draw_heads(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    copies = data.copies.values.astype(float)
    shift = dict(zip(ARRANGEMENTS, (1.0, 0.95, 1.05, 1.0), strict=True))
    for name, look in zip(ARRANGEMENTS, plots.line_styles(len(ARRANGEMENTS)), strict=True):
        noise = data.heads_noise.isel(arrangement=ARRANGEMENTS.index(name), layer=0).transpose("copies", "seed")
        dots(ax, copies * shift[name], noise, None, name, look)
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
        law = None if name == "random" else memory.chain_noise(one, layers=layers)
        dots(ax, layers, noise, law, name, look)
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


# ------------------------------------------------------------------------------------------------------------ claims
def claims(results: "xr.DataTree") -> list[Claim]:
    judged = {"noise": noise_claims, "clean": clean_claims, "heads": heads_claims, "votes": votes_claims}
    return [claim for name, data in parts_of(results, AXES).items() for claim in judged[name](data)]


def noise_claims(data: "xr.Dataset") -> list[Claim]:
    """Without a clean-up, and with several."""
    ratios, loads, layers = {}, data["load"].values, layers_of(data)
    for y in loads:
        law = np.asarray(memory.chain_noise(float(y), layers=layers))
        for i in np.nonzero(law < 1.5)[0]:
            noise = data.noise.sel(load=y).isel(clean_up=0, layer=i)
            ratios[f"load {y:g}, layer {layers[i]}"] = noise / law[i] - 1
    text = "the noise power is (1 + y)^L - 1 to 8 %, up to 1.5 times the signal, at every load and depth"
    bounds = {"low": -0.08, "high": 0.08, "unit": "measured / law - 1"}
    found = [judge.everywhere(judge.within, "chain noise", text, OURS, ratios, **bounds)]
    worst, last = data.sel(load=loads.max()), {"layer": -1}
    isotropic = float(memory.chain_noise(float(loads.max()), layers=float(layers[-1]), spread="isotropic"))
    text = (
        f"crosstalk is not isotropic noise: at load {loads.max():g} it exceeds what that would leave, {isotropic:.3g}"
    )
    noise = worst.noise.isel(clean_up=0, **last)
    found.append(judge.greater("not isotropic", text, OURS, noise, than=isotropic, unit="noise power"))
    right = {name: data.right.isel(clean_up=i, **last) for i, name in enumerate(CLEAN_UPS)}
    text = "a softmax step between layers keeps more chains right than none, at the heaviest load"
    gap = (right["hopfield"] - right["none"]).sel(load=loads.max())
    found.append(judge.greater("a softmax step cleans", text, OURS, gap, unit="share of chains"))
    return found


def clean_claims(data: "xr.Dataset") -> list[Claim]:
    """Nearest code after every layer, from the failures of the first layer; and a softmax step in its place."""
    gaps, soft = {}, {}
    for y in data["load"].values:
        here = data.together.sel(load=y)
        first = here.isel(layer=0, width=0).values
        for i, width in enumerate(WIDTHS):
            for layer in (layer for layer in (2, 4, 8, 12) if layer <= data.sizes["layer"]):
                power, together = layer * width, here.isel(layer=layer - 1, width=i).values
                pseudo = judge.jackknife(lambda a, b, power=power: b.mean() - a.mean() ** power, first, together)
                gaps[f"load {y:g}, L = {layer}, W = {width}"] = pseudo
        right = data.right.sel(load=y).isel(layer=-1)
        soft[f"load {y:g}"] = right.isel(clean_up=CLEAN_UPS.index("hopfield")) - right.isel(
            clean_up=CLEAN_UPS.index("nearest")
        )
    text = "W chains of L retrievals are all right with probability (1 - eps)^(L W), to 0.05, everywhere"
    bounds = {"low": -0.05, "high": 0.05, "unit": "measured - law"}
    found = [judge.everywhere(judge.within, "all or nothing", text, OURS, gaps, **bounds)]
    text = "one softmax step is as good a clean-up as the nearest code, to 0.02 after the last layer, at every load"
    bounds = {"low": -0.02, "high": 0.02, "unit": "share of chains"}
    return [*found, judge.everywhere(judge.within, "softmax as nearest", text, OURS, soft, **bounds)]


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
    every, half, same, worse = {}, {}, {}, {}
    for y in data["load"].values:
        here = data.sel(load=y)
        first = here.all_wrong.isel(heads_of=1, head=0)
        for copies in range(2, HEADS + 1):
            cell = f"load {y:g}, R = {copies}"
            wrong = here.all_wrong.isel(heads_of=1, head=copies - 1).values
            every[cell] = judge.jackknife(lambda a, b, n=copies: b.mean() - a.mean() ** n, first.values, wrong)
            same[cell] = here.all_wrong.isel(heads_of=0, head=copies - 1) - here.all_wrong.isel(heads_of=0, head=0)
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
    text = "heads that turn one code fail together: R of them are all wrong as often as one, to 0.02"
    bounds = {"low": -0.02, "high": 0.02, "unit": "difference of failures"}
    found.append(judge.everywhere(judge.within, "copies fail together", text, OURS, same, **bounds))
    text = "most parts of a split code are wrong more often than the one head that sees all of it"
    about = {"unit": "difference of failures"}
    return [*found, judge.everywhere(judge.greater, "splitting costs", text, OURS, worse, **about)]


majority = jax.jit(lambda failure, copies: memory.redundant_failure(failure, copies=copies, decision="majority"))
