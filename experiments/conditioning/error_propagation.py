r"""Retrieval errors over layers: noise multiplies, and a clean-up makes it all or nothing.

Layer l of a chain of Hebbian memories maps stored codes :math:`k^{(l)}_i \mapsto k^{(l+1)}_i`: the values of one memory
are the keys of the next. Qiao (2025) announces how errors grow with depth, width and heads; these are the models of
`brainjax.memory` for depth and width (``chain_noise``, ``chain_success``), which we derived, against simulated chains.
Heads are the subject of ``conditioning/redundant_heads``. The load is :math:`y = (N - 1) / d`.

Run:  brainjax run conditioning/error_propagation [--variant=quick]
Cost: 45 s of one busy core (quick: 12 s).

The parts of the experiment:

* ``noise``: no clean-up, relative noise power :math:`\eta_L = (1 + y)^L - 1`, since crosstalk lies in the span of the
  codes; beside it what layer norm, the nearest code and one softmax (Hopfield) step between layers do;
* ``clean``: a small dimension and heavy loads, where even the nearest code fails: are W chains of L retrievals all
  right with probability :math:`(1 - \epsilon)^{L W}`, with :math:`\epsilon` the failures of the first layer?
"""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from brainjax import claims as judge
from brainjax import memory
from brainjax.claims import Claim
from brainjax.core.draws import normal
from brainjax.sweep import Axes, parts_of, product, seeds, static, traced

if TYPE_CHECKING:  # what only the figure needs is imported when it is drawn
    import xarray as xr
    from matplotlib.figure import Figure

PAPER = "qiao2025"
DIMS = {
    "noise": ("layer", "clean_up"),  # squared distance from the code, a code is of length 1
    "right": ("layer", "clean_up"),  # share of chains whose nearest code is the right one
    "together": ("layer", "width"),  # share of groups of chains all of which are right, nearest code as clean-up
}
PARTS = ("noise", "clean")
AXES = dict.fromkeys(PARTS, ("load",))
CLEAN_UPS = ("none", "layer_norm", "nearest", "hopfield")
WIDTHS = (1, 2, 4, 8)
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
            "clean_dimension": 32,  # in the part "clean"
            "clean_loads": (1.0, 1.5, 2.0, 3.0),
            "sharpness": 16.0,  # inverse temperature of the softmax step
            "probes": 8,  # chains in the part "noise"
            "clean_probes": 32,  # likewise in the part "clean"
            "seeds": 1024,
        }
    )
    if variant == "quick":
        config.update({"dimension": 32, "loads": (0.25, 0.5), "clean_loads": (2.0,), "layers": 6, "seeds": 32})
        config.update({"parts": ("noise",)})
    elif variant:
        raise ValueError(f"variant: 'quick', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if config.part not in PARTS or not set(config.parts) <= set(PARTS):
        raise ValueError(f"parts: must be among {', '.join(PARTS)}, got {config.parts} (part {config.part})")
    light = config.part == "noise"
    d, probes = (config.dimension, config.probes) if light else (config.clean_dimension, config.clean_probes)
    if probes > 1 + round(config.load * d) or probes % max(WIDTHS):
        raise ValueError(
            f"probes, clean_probes: must be a multiple of {max(WIDTHS)} and not exceed the pairs, 1 + load * {d}, "
            f"got {probes} at load {config.load}"
        )


def sweep(config: ConfigDict) -> dict[str, Axes]:
    loads = {"noise": config.loads, "clean": config.clean_loads}
    return {part: product(static(part=[part]), traced(load=loads[part]), seeds(config.seeds)) for part in config.parts}


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
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


# ------------------------------------------------------------------------------------------------------------ figure
def figure(results: "xr.DataTree") -> "Figure":
    """Noise and success over layers. Markers are simulations, lines formulas."""
    from brainjax import plots

    drawn = [
        ("noise", draw_noise),
        ("clean", draw_clean_ups),
        ("clean", draw_success),
    ]
    return plots.panels(parts_of(results, AXES), drawn, rows=1, columns=3, height=2.6)


def layers_of(data: "xr.Dataset") -> np.ndarray:
    return np.arange(1, data.sizes["layer"] + 1)


def dots(ax: Any, x: Any, samples: Any, law: Any, label: str, look: dict[str, Any]) -> None:
    from matplotlib.ticker import MaxNLocator

    from brainjax import plots

    plots.intervals(ax, x, samples, label=label, **{**look, "linestyle": "none"})
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
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


# ------------------------------------------------------------------------------------------------------------ claims
def claims(results: "xr.DataTree") -> list[Claim]:
    judged = {"noise": noise_claims, "clean": clean_claims}
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
