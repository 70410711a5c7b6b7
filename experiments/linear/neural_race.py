r"""Shared edges win the race: routes that were never trained come along, if training starts from small weights.

A gated linear network routes seven input domains to seven output domains through one shared layer and is trained on
some of the routes only. Saxe, Sodhani & Lewallen (ICML 2022), beside their reduction to three numbers per mode.

Run:  brainjax run linear/neural_race [--variant=quick]
Cost: about 45 s on 2 cores (quick: 18 s).

The parts of the experiment, each with a grid of its own:

* ``routes``: how many outputs are trained for each input, from small Gaussian weights. The rate falls as the number
  of routes grows, so that the reduction, where this number is only a clock, takes the same steps in all of them;
* ``scale``: from small to large initial weights, four outputs of seven trained for each input;
* ``race``: every route also has a hidden edge of its own beside the shared one. In the reduction the shared edge learns
  K M times as fast, and ends with the share K M / (K M + 1) of what passes on a trained route (derived by us).

Initial weights are Gaussian where the published code draws orthogonal ones; ``scale`` is the norm by which a layer
multiplies what passes, from either side the same as theirs.
"""

import json
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from brainjax import claims as judge
from brainjax import linear
from brainjax.claims import Claim
from brainjax.sweep import Axes, parts_of, product, seeds, setting, static, traced

if TYPE_CHECKING:  # what only the figure needs is imported when it is drawn
    import xarray as xr
    from matplotlib.figure import Figure

PAPER = "saxe2022race"
DIMS = {
    "strength": ("record", "mode"),  # on trained routes, mean over them, as a share of the singular value
    "law": ("record", "mode"),  # the same by the reduction
    "half_time": ("mode",),  # when half of a mode is learned, in units of the reduction's clock, K / M^2 of time
    "law_half_time": ("mode",),
    "error": ("record", "offset"),  # |map - target|^2 / |target|^2, mean over routes from domain i to i + offset
    "gain": ("record", "edge"),  # of an input, the shared and an output edge on the strongest mode
    "law_gain": ("record", "edge"),
    "flipped": ("offset",),  # share of these routes that end with the strongest mode upside down
    "dedicated": (),  # share of the trained routes' maps that passes through edges of their own, at the end
    "law_dedicated": (),
}
PARTS = ("routes", "scale", "race")
AXES = {"routes": ("trained",), "scale": ("init",), "race": ("trained",)}
UNIT = "squared error / squared norm"
PUBLISHED = 4.0  # trained outputs per input


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict(
        {
            "seed": 0,
            "part": "routes",
            "parts": PARTS,
            "trained": PUBLISHED,  # K: outputs trained for each input
            "init": 0.2,  # gain of every edge at the start
            "routes": {
                "domains": 7,  # M
                "hidden": 64,
                "law_init": 0.4,  # strength of every edge in the reduction, relative to init: as published
                "rate": 0.07,  # at four trained outputs: the published 0.02 times M^2 / 14, the scale of their loss
                "steps": 500,
                "every": 10,
                "trained": (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0),
                "seeds": 32,
            },
            "scale": {
                "domains": 7,
                "hidden": 64,
                "law_init": 0.4,
                "rate": 0.021,  # at init 1; it falls as its cube root, as published
                "steps": 1000,  # published: 700, too few for the smallest weights
                "every": 1000,
                "inits": (0.2, 0.66, 1.12, 1.58, 2.04, 2.5),
                "seeds": 32,
            },
            "race": {
                "domains": 4,
                "hidden": 32,
                "law_init": 0.4,
                "rate": 0.03,
                "steps": 800,
                "every": 800,
                "trained": (1.0, 2.0, 3.0, 4.0),
                "seeds": 32,
            },
        }
    )
    if variant == "quick":
        config.trained = 3.0
        config.routes.update({"domains": 4, "rate": 0.0229, "trained": (1.0, 3.0), "seeds": 8})
        config.scale.update({"domains": 4, "rate": 0.0069, "inits": (0.2, 1.12, 2.5), "seeds": 8})
        config.race.update({"domains": 2, "rate": 0.0114, "trained": (1.0, 2.0), "hidden": 16, "seeds": 8})
    elif variant:
        raise ValueError(f"variant: 'quick', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if config.part not in PARTS or not set(config.parts) <= set(PARTS):
        raise ValueError(f"parts: must be among {', '.join(PARTS)}, got {config.parts} (part {config.part})")
    domains = config[config.part].domains
    if not (1 <= config.trained <= domains and config.trained == round(config.trained)):
        raise ValueError(f"trained: must be an integer from 1 to {domains}, got {config.trained}")
    if not config.init > 0:
        raise ValueError(f"init: must be positive, got {config.init}")


def sweep(config: ConfigDict) -> dict[str, Axes]:
    grids = {
        "routes": traced(trained=config.routes.trained),
        "scale": traced(init=config.scale.inits),
        "race": traced(trained=config.race.trained),
    }
    return {part: product(static(part=[part]), grids[part], seeds(config[part].seeds)) for part in config.parts}


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    own = config[config.part]
    graph = linear.routing_graph(own.domains, dedicated=config.part == "race")
    left, s, right = task()
    routes = linear.trained_routes(own.domains, config.trained)
    rate = own.rate * (jnp.cbrt(1 / config.init) if config.part == "scale" else PUBLISHED / config.trained)
    trained = linear.gated_descend(
        graph,
        draw(key, graph, own.hidden, config.init),
        correlations=linear.routing_correlations(graph, sigma_yx=(left * s) @ right.T, routes=routes),
        rate=rate,
        steps=own.steps,
        every=own.every,
        observe=lambda weights, context: observed(graph, weights, context),
        context=(*map(jnp.asarray, (left, s, right)), routes),
    )
    seen = trained.records
    found = {"error": seen["error"], "flipped": seen["flipped"][-1]}
    if config.part == "scale":
        return found
    law = reduction(graph, config, routes, rate)
    if config.part == "race":
        ways = jnp.stack([law["shared"], law["own0_0"]])[:, -1] * (law["in0"] * law["out0"])[-1]
        law_dedicated = jnp.sum(ways[1] * s) / jnp.sum(ways * s[None])
        return found | {"dedicated": seen["dedicated"][-1], "law_dedicated": law_dedicated}
    clock = trained.time * config.trained / own.domains**2
    whole = law["in0"] * law["shared"] * law["out0"] / s[None]
    return found | {
        "strength": seen["strength"],
        "law": whole,
        "half_time": crossing(clock, seen["strength"], 0.5),
        "law_half_time": crossing(clock, whole, 0.5),
        "gain": seen["gain"],
        "law_gain": jnp.stack([law[name][:, 0] for name in ("in0", "shared", "out0")], axis=1),
    }


def task() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Modes of the published task: four items with seven features, of all, of pairs and of single items."""
    features = np.vstack([np.full((1, 4), 6.0), 4 * np.kron(np.eye(2), np.ones((1, 2))), 3 * np.eye(4)])
    left, s, right = np.linalg.svd(features, full_matrices=False)
    return left.astype(np.float32), s.astype(np.float32), right.T.astype(np.float32)


def draw(key: jax.Array, graph: linear.GatedGraph, hidden: int, init: Any) -> dict[str, jax.Array]:
    """Gaussian weights; an edge multiplies the norm of what passes by ``init``, an output edge that of what returns."""
    left, _, right = task()
    sizes = {"i": (hidden, right.shape[0]), "o": (left.shape[0], hidden)}
    shapes = [(hidden, hidden) if name[:2] not in ("in", "ou") else sizes[name[0]] for name in graph.names]
    drawn = init / np.sqrt(hidden) * jax.random.normal(key, (sum(a * b for a, b in shapes),))
    cuts = np.cumsum([a * b for a, b in shapes])[:-1].tolist()
    return {
        name: flat.reshape(shape) for name, shape, flat in zip(graph.names, shapes, jnp.split(drawn, cuts), strict=True)
    }


def observed(graph: linear.GatedGraph, weights: dict[str, jax.Array], context: Any) -> dict[str, jax.Array]:
    """Errors, strengths and gains of the network as it is."""
    left, s, right, routes = context
    domains = routes.shape[0]
    lower, upper = (jnp.stack([weights[f"{side}{i}"] for i in range(domains)]) for side in ("in", "out"))
    middle = [
        weights[name] for name in graph.names if name[:2] not in ("in", "ou")
    ]  # the shared one, then route by route
    maps = [jnp.einsum("joh,hk,iku->ijou", upper, middle[0], lower).reshape(-1, left.shape[0], right.shape[0])]
    if len(middle) > 1:
        own = jnp.stack(middle[1:]).reshape(domains, domains, *middle[0].shape)
        maps.append(jnp.einsum("joh,ijhk,iku->ijou", upper, own, lower).reshape(maps[0].shape))
    target = (left * s[None, :]) @ right.T
    on = routes.reshape(-1)
    passed = maps[0] + (maps[1] * on[:, None, None] if len(maps) > 1 else 0)  # untrained: the shared edge alone
    error = jnp.sum((passed - target[None]) ** 2, axis=(1, 2)) / jnp.sum(s**2)
    strength = jnp.einsum("om,roi,im->rm", left, passed, right) / s[None, :]
    number = np.arange(domains)
    route = domains * number[None] + (number[None] + number[:, None]) % domains  # by offset and input domain
    found = {
        "error": error[route].mean(axis=1),
        "flipped": (strength[:, 0] < 0)[route].mean(axis=1, dtype=s.dtype),
        "strength": jnp.sum(strength * on[:, None], axis=0) / jnp.sum(on),
    }
    if len(maps) > 1:
        own = jnp.sum(maps[1] * target[None], axis=(1, 2)) / jnp.sum(passed * target[None], axis=(1, 2))
        return found | {"dedicated": jnp.sum(own * on) / jnp.sum(on)}
    read, write = jnp.einsum("iku,u->ki", lower, right[:, 0]), jnp.einsum("joh,o->hj", upper, left[:, 0])
    gains = [jnp.linalg.norm(x, axis=0) for x in (read, weights["shared"] @ read, write)]
    return found | {"gain": jnp.stack([gains[0], gains[1] / gains[0], gains[2]]).mean(axis=1)}


def reduction(graph: linear.GatedGraph, config: ConfigDict, routes: jax.Array, rate: Any) -> dict[str, jax.Array]:
    """Strengths of all edges over time by the reduction, of shape (records, modes)."""
    own, s = config[config.part], task()[1]
    ways = len(graph.paths) // own.domains**2
    weight = jnp.tile(routes.reshape(-1) / own.domains**2, ways)
    together = np.tile(np.eye(own.domains**2, dtype=np.float32), (ways, ways))  # paths that an example takes at once
    start = jnp.full(s.shape, own.law_init * config.init)
    run = linear.gated_mode_euler(
        graph,
        {name: start for name in graph.names},
        s=weight[:, None] * s[None],
        d=(weight[:, None] * together)[:, :, None] * np.ones_like(s)[None, None],
        dt=rate,
        steps=own.steps,
        every=own.every,
    )
    return run.records


def crossing(time: jax.Array, curves: jax.Array, level: float) -> jax.Array:
    """When each curve, of shape (records, modes), first reaches a level; NaN if it does not."""
    reached = curves >= level
    after = jnp.maximum(jnp.argmax(reached, axis=0), 1)
    column = jnp.arange(curves.shape[1])
    y0, y1 = curves[after - 1, column], curves[after, column]
    part = (level - y0) / jnp.where(y1 > y0, y1 - y0, 1)
    found = time[after - 1] + part * (time[after] - time[after - 1])
    return jnp.where(reached.any(axis=0), found, jnp.nan)


def settings(data: "xr.Dataset", part: str) -> dict[str, Any]:
    return setting(data, part)


def over_routes(values: "xr.DataArray", part: "xr.Dataset", *, trained: bool) -> "xr.DataArray":
    """Mean over the routes that were trained, or over those that were not; NaN where there are none."""
    import xarray as xr

    count = part.trained if "trained" in part.coords else json.loads(part.attrs["config"])["trained"]
    offset = xr.DataArray(np.arange(values.sizes["offset"]), dims="offset")
    band = (offset + np.floor((count - 1) / 2)) % values.sizes["offset"] < count  # as in linear.trained_routes
    return values.where(band == trained).mean("offset")


def usual(data: "xr.Dataset") -> float:
    """The published number of trained outputs, or the nearest there is."""
    return float(data.trained.sel(trained=PUBLISHED, method="nearest"))


def figure(results: "xr.DataTree") -> "Figure":
    """The reduction beside the network (top), and what becomes of routes that were never trained (bottom)."""
    from brainjax import plots

    drawn = [
        ("routes", draw_strengths),
        ("routes", draw_edges),
        ("routes", draw_clock),
        ("routes", draw_routes),
        ("scale", draw_scale),
        ("race", draw_race),
    ]
    return plots.panels(parts_of(results, AXES), drawn, rows=2, columns=3, height=4.3)


def clock_of(data: "xr.Dataset") -> np.ndarray:
    """The reduction's clock at the records; the rate times the number of trained outputs is the same everywhere."""
    own = settings(data, "routes")
    return np.arange(0, own["steps"] + 1, own["every"]) * own["rate"] * PUBLISHED / own["domains"] ** 2


DASHED = {"color": "black", "linewidth": 0.9, "linestyle": (0, (2, 2))}


def draw_strengths(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    here = data.sel(trained=usual(data)).assign_coords(record=clock_of(data))
    labels = [f"$s$ = {value:.3g}" for value in task()[1][:3]]
    plots.curves(here.strength.isel(mode=slice(3)), "record", hue="mode", labels=labels, ax=ax)
    ax.plot(here.record, here.law.isel(seed=0, mode=slice(3)).transpose("record", "mode"), **DASHED)
    ax.set(xlabel="clock ($K/M^2$ of time)", ylabel="strength (share of $s$)", xlim=(-0.1, 4.4))
    ax.legend(loc="lower right")
    ax.set_title(f"trained routes, $K$ = {usual(data):g},\nand reduction (dashed)")


def draw_edges(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    here = data.sel(trained=usual(data)).assign_coords(record=clock_of(data)).isel(edge=[1, 0])
    plots.curves(here.gain, "record", hue="edge", labels=["shared", "input"], ax=ax)
    ax.plot(here.record, here.law_gain.isel(seed=0).transpose("record", "edge"), **DASHED)
    ax.set(xlabel="clock ($K/M^2$ of time)", ylabel="gain of the edge", ylim=(0, None))
    ax.set_title("edges on the strongest mode,\nand reduction (dashed)")


def draw_clock(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    s = task()[1]
    ratio = data.half_time / data.law_half_time
    for mode, look in zip((0, 1, 2), plots.line_styles(3), strict=True):
        samples = ratio.isel(mode=mode).transpose("trained", "seed")
        plots.intervals(ax, data.trained + 0.08 * (mode - 1), samples, label=f"$s$ = {s[mode]:.3g}", **look)
    ax.axhline(1, **DASHED)
    ax.set(xlabel="trained outputs per input, $K$", ylabel="half time / reduction's", ylim=(0, 1.3))
    ax.legend(loc="lower right")


def draw_routes(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    looks = plots.line_styles(3)
    for name, values, trained, look in (
        ("untrained: error", data.error.isel(record=-1), False, looks[0]),
        ("untrained: upside down", data.flipped, False, looks[1]),
        ("trained: error", data.error.isel(record=-1), True, looks[2]),
    ):
        samples = over_routes(values, data, trained=trained).transpose("trained", "seed").dropna("trained")
        plots.intervals(ax, samples.trained, samples, label=name, **look)
    ax.axhline(1, color="black", linewidth=0.8, linestyle=":")
    ax.set(xlabel="trained outputs per input, $K$", ylabel="error (share of the target),\nor share of routes")
    ax.legend(loc="upper right")


def draw_scale(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    looks = plots.line_styles(3)
    for name, trained, look in (("untrained", False, looks[0]), ("trained", True, looks[2])):
        samples = over_routes(data.error.isel(record=-1), data, trained=trained).transpose("init", "seed")
        plots.intervals(ax, data.init, samples, label=name, **look)
    ax.axhline(1, color="black", linewidth=0.8, linestyle=":")
    ax.set(xlabel="gain of every edge at the start", ylabel="error (share of the target)", ylim=(-0.03, 1.1))
    ax.legend(loc="upper left", bbox_to_anchor=(0, 0.92))


def draw_race(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    looks, m = plots.line_styles(3), settings(data, "race")["domains"]
    k = data.trained.values
    plots.intervals(ax, k, data.dedicated.transpose("trained", "seed"), label="network", **looks[0])
    ax.plot(k, data.law_dedicated.isel(seed=0), label="reduction", **DASHED)
    ax.plot(k, 1 / (k * m + 1), color="0.5", linewidth=0.9, linestyle=":", label="$1/(KM+1)$")
    ax.set(xlabel="trained outputs per input, $K$", ylabel="share of dedicated edges", ylim=(0, None))
    ax.set_xticks(k)
    ax.legend(loc="upper right")


def claims(results: "xr.DataTree") -> list[Claim]:
    """Where the reduction describes networks from random weights, and when untrained routes come along."""
    judges = {"routes": route_claims, "scale": scale_claims, "race": race_claims}
    return [claim for name, data in parts_of(results, AXES).items() for claim in judges[name](data)]


def route_claims(data: "xr.Dataset") -> list[Claim]:
    where = "Saxe et al. 2022, routing network and its reduction"
    k, m = usual(data), settings(data, "routes")["domains"]
    here = data.sel(trained=k)
    rest, untrained = here.isel(record=-1), over_routes(data.error.isel(record=-1), data, trained=False)
    gap = abs(data.half_time / data.law_half_time - 1).mean("mode")
    others = sorted({float(x) for x in (data.trained.min(), data.trained.max())} - {k})
    found = [
        judge.below(
            "half times",
            f"{k:g} of {m} outputs trained: the reduction gives the half times of modes to 10 %",
            where,
            gap.sel(trained=k),
            than=0.1,
            unit="relative error, mean over modes",
            detail="started, as published, from 0.4 times the gain of the random weights",
        ),
        *(
            judge.below(
                f"only a clock, K = {other:g}",
                f"{other:g} of {m} outputs trained: the same, since their number is only a clock",
                f"{where}; our extension to other numbers of routes",
                gap.sel(trained=other),
                than=0.1,
                unit="relative error, mean over modes",
            )
            for other in others
        ),
        judge.within(
            "the shared edge learns most",
            f"the shared edge ends sqrt(M) = {np.sqrt(m):.3g} times as strong as input and output edges, to 5 %",
            where,
            rest.gain.isel(edge=1) / np.sqrt(rest.gain.isel(edge=0) * rest.gain.isel(edge=2)),
            low=0.95 * np.sqrt(m),
            high=1.05 * np.sqrt(m),
            unit="gain / geometric mean of the others",
        ),
    ]
    if k < m:
        found.append(
            judge.below(
                "untrained routes come along",
                f"{k:g} of {m} outputs trained: routes never trained end within 5 % of the target's squared norm",
                where,
                untrained.sel(trained=k),
                than=0.05,
                unit=UNIT,
            )
        )
    levels = [float(x) for x in data.trained if x <= k and x < m]
    if len(levels) > 1:
        found.append(
            judge.decreasing(
                "more routes, more abstraction",
                "the error of untrained routes falls with the number of trained ones",
                where,
                {f"{level:g}": untrained.sel(trained=level) for level in levels},
                unit=UNIT,
            )
        )
    if 1.0 in data.trained and m > 1:
        derived = "derived by us: nothing ties the signs of edges of different domains"
        found += [
            judge.greater(
                "one output each: worse than silence",
                "with one output per input, untrained routes end worse than if they answered nothing",
                derived,
                untrained.sel(trained=1.0),
                than=1.0,
                unit=UNIT,
            ),
            judge.within(
                "one output each: signs are chance",
                "with one output per input, half of the untrained routes show the strongest mode upside down",
                derived,
                over_routes(data.flipped, data, trained=False).sel(trained=1.0),
                low=0.4,
                high=0.6,
                unit="share of untrained routes",
            ),
        ]
    return found


def scale_claims(data: "xr.Dataset") -> list[Claim]:
    where = "Saxe et al. 2022, generalisation against initial scale"
    inits, last = np.sort(data.init.values), data.error.isel(record=-1)
    trained, untrained = (over_routes(last, data, trained=kind) for kind in (True, False))
    found = [
        judge.below(
            "trained routes are learned at every scale",
            "trained routes end within 1 % of the target's squared norm, whatever the initial scale",
            where,
            trained.max("init"),
            than=0.01,
            unit="squared error / squared norm, largest over scales",
        ),
        judge.greater(
            "lazy networks do not abstract",
            f"from gain {inits[-1]:g}, untrained routes miss more than half of the target's squared norm",
            where,
            untrained.sel(init=inits[-1]),
            than=0.5,
            unit=UNIT,
        ),
    ]
    if len(inits) > 1:
        found.append(
            judge.increasing(
                "larger weights, less abstraction",
                "the error of untrained routes grows with the initial scale",
                where,
                {f"{init:g}": untrained.sel(init=init) for init in inits},
                unit=UNIT,
            )
        )
    return found


def race_claims(data: "xr.Dataset") -> list[Claim]:
    where = "derived by us from the reduction of Saxe et al. 2022"
    levels = np.sort(data.trained.values)
    found = [
        judge.below(
            f"share of dedicated edges, K = {level:g}",
            "edges of a route's own end with the share that the reduction gives them, to 15 %",
            where,
            abs(data.dedicated / data.law_dedicated - 1).sel(trained=level),
            than=0.15,
            unit="relative error",
        )
        for level in dict.fromkeys((levels[0], levels[-1]))
    ]
    found.append(
        judge.below(
            "the shared edge wins",
            "edges of a route's own carry less than half of what passes, even with the fewest routes",
            where,
            data.dedicated.sel(trained=levels[0]),
            than=0.5,
            unit="share of the trained routes' maps",
        )
    )
    if len(levels) > 1:
        found.append(
            judge.decreasing(
                "more routes, faster shared edge",
                "the share of edges of a route's own falls with the number of trained routes",
                where,
                {f"{level:g}": data.dedicated.sel(trained=level) for level in levels},
                unit="share of the trained routes' maps",
            )
        )
    return found
