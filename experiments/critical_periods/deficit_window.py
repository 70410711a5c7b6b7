"""A pathway that cannot learn for a short window loses its share for good, if the window comes early enough.

Two pathways of a deep linear network compete for the same task; in the window one of them is cut off from the gradient.
Kleinman, Achille & Soatto (ICLR 2024), Figures 1, 2 and 7, over as many seeds as you like, beside the exact law.

Run:  brainjax run critical_periods/deficit_window [--variant=quick|figure1|figure2|figure7]
Cost: about 30 s on 2 cores (quick: 10 s).

The parts of the experiment, each with a grid of its own:

* ``large``: one mode, large initialisation (one small layer per pathway), Euler steps as in Figure 1;
* ``small``: one mode, small balanced initialisation (Figure 7), by the closed form;
* ``tree``: the eight modes of the hierarchical task at depth 4 (Figure 2), gradient descent in mode space;
* ``layered``: networks of real layers from small Gaussian weights, inputs whitened or not, beside the mode law.

``gate = "authors"`` shifts every window one update earlier, as the published code does; ours freezes exactly the
updates that begin inside the window.
"""

import itertools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from brainjax import claims as judge
from brainjax import linear, tasks
from brainjax.claims import Claim
from brainjax.sweep import Axes, parts_of, product, seeds, setting, static, traced

if TYPE_CHECKING:  # what only the figure needs is imported when it is drawn
    import xarray as xr
    from matplotlib.figure import Figure

PAPER = "kleinman2024"
DIMS = {
    "strength": ("path",),  # final strengths (free, gated)
    "undisturbed": ("path",),  # the same without a deficit
    "residual": (),  # what is left to learn when the window opens, as a fraction of s
    "trajectory": ("record", "path"),
    "gated": (),  # final strength of the gated path, by the closed form
    "split": ("mode", "path"),
    "law_error": ("mode",),  # |final strength of the gated path - that of the mode law| / s
    "off_diagonal": (),  # share of the pathways' norm outside the task's modes when the window opens
}
PARTS = ("large", "small", "tree", "layered")
_WINDOW = ("onset", "duration")
AXES = {name: ("depth", *_WINDOW) for name in PARTS[:3]}
AXES["layered"] = ("layered.depth", "layered.correlation", *_WINDOW)
BOUND = 0.05  # of s: what we are ready to call a good prediction of the mode law


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict(
        {
            "seed": 0,
            "part": "large",
            "parts": PARTS,
            "gate": "gradient_descent",  # or "authors"
            "depth": 2.0,
            "onset": 0.0,
            "duration": 0.0,
            "large": {
                "s": 10.0,
                "imbalance": 1.0,
                "spread": 0.01,  # standard deviation of the small layer
                "dt": 0.001,
                "steps": 1000,
                "depths": (2.0, 5.0, 8.0, 13.0),
                "onsets": (*np.round(np.arange(0, 0.1, 0.005), 3).tolist(), 0.1, 0.15, 0.2, 0.3, 0.4, 0.5),
                "durations": (0.015,),
                "seeds": 256,
            },
            "small": {
                "s": 1.0,
                "k0": 0.01,  # initial strength of a pathway; with p0 > 0 it is p0**depth instead
                "p0": 0.0,
                "spread": 0.1,  # of the logarithm of each pathway's initial strength
                "depths": (2.0, 3.0, 4.0, 6.0, 8.0),
                "onsets": tuple(np.arange(0, 9.01, 0.25).tolist()),
                "durations": (1.5,),
                "seeds": 256,
            },
            "tree": {
                "width": 100,  # hidden units, each with an initial strength
                "k0": 0.01,
                "spread": 0.1,  # of the initial strengths, relative
                "dt": 0.01,
                "steps": 1000,
                "depths": (4.0,),
                "onsets": (0.0, 4.0, 7.5),
                "durations": (1.5,),
                "seeds": 256,
            },
            "layered": {
                "depth": 2,
                "width": 8,
                "scale": 0.01,  # typical strength of a pathway's map at the start
                "correlation": 0.0,  # of any two inputs; 0: whitened
                "dt": 0.02,
                "steps": 1500,
                "singular_values": (2.0, 1.5, 1.0),
                "depths": (2, 3, 4),
                "onsets": (0.0, 2.0, 4.0, 6.0, 8.0, 12.0),
                "durations": (1.0,),
                "correlations": (0.0, 0.3),
                "seeds": 256,
            },
        }
    )
    if variant == "quick":
        config.large.update({"depths": (2.0, 8.0), "onsets": (0.0, 0.05, 0.1, 0.5), "seeds": 16})
        config.small.update({"depths": (2.0, 4.0), "onsets": tuple(map(float, range(10))), "seeds": 16})
        config.tree.seeds = 16
        config.layered.update({"depths": (2,), "onsets": (0.0, 4.0), "seeds": 8})
    elif variant == "figure1":
        config.parts = ("large",)
        config.large.update({"onsets": (0.0, 0.1), "seeds": 100})
    elif variant == "figure2":
        config.parts = ("tree",)
    elif variant == "figure7":
        config.parts = ("small",)
        config.small.update({"s": 10.0, "p0": 0.005, "spread": 0.0, "seeds": 1, "depths": (2.0, 3.0, 4.0)})
        config.small.update({"onsets": (0.0, 5000.0), "durations": (0.05,)})
    elif variant:
        raise ValueError(f"variant: 'quick', 'figure1', 'figure2' or 'figure7', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if config.part not in PARTS or not set(config.parts) <= set(PARTS):
        raise ValueError(f"parts: must be among {', '.join(PARTS)}, got {config.parts} (part {config.part})")
    if config.gate not in ("gradient_descent", "authors"):
        raise ValueError(f"gate: must be 'gradient_descent' or 'authors', got {config.gate!r}")
    if not config.depth >= 1:
        raise ValueError(f"depth: must be at least 1, got {config.depth}")
    for name in ("onset", "duration"):
        if not config[name] >= 0:
            raise ValueError(f"{name}: must be zero or more, got {config[name]}")
    if config.layered.depth not in (1, 2, 3, 4, 5, 6):
        raise ValueError(f"layered.depth: must be 1 to 6, got {config.layered.depth}")
    if not 0 <= config.layered.correlation < 1:
        raise ValueError(f"layered.correlation: must lie in [0, 1), got {config.layered.correlation}")


def sweep(config: ConfigDict) -> dict[str, Axes]:
    def grid(part: str) -> Axes:
        own = config[part]
        window = traced(onset=own.onsets, duration=own.durations)
        if part == "layered":
            depth = product(
                static(**{"layered.depth": own.depths}), traced(**{"layered.correlation": own.correlations})
            )
        else:
            depth = traced(depth=own.depths)
        return product(static(part=[part]), depth, window, seeds(own.seeds))

    return {part: grid(part) for part in config.parts}


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    parts = {"large": large, "small": small, "tree": tree, "layered": layered}
    return parts[config.part](key, config)


def large(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    """One mode; one layer of each pathway starts small and of either sign, the others large (Figure 1)."""
    own = config.large
    p0 = own.spread * jax.random.normal(key, (2, 1))
    settings = {
        "s": own.s,
        "depth": config.depth,
        "imbalance": own.imbalance,
        "dt": own.dt,
        "steps": own.steps,
        "every": 5,
    }
    learned = linear.pathway_euler(p0, windows=deficit(config, own.dt), **settings)
    free = linear.pathway_euler(p0, **settings)
    before = jnp.interp(config.onset, free.time, own.s - free.strength.sum((1, 2)))
    return {
        "strength": learned.strength[-1, :, 0],
        "undisturbed": free.strength[-1, :, 0],
        "residual": jnp.abs(before) / own.s,
        "trajectory": jnp.concatenate(
            [learned.strength[:40, :, 0], learned.strength[-1:, :, 0]]
        ),  # dense while it learns
    }


def small(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    """One mode, balanced layers, by the closed form: the critical-period curve (Figure 7)."""
    own = config.small
    typical = jnp.where(own.p0 > 0, own.p0**config.depth, own.k0)
    k0 = typical * jnp.exp(own.spread * jax.random.normal(key, (2,)))
    law = {"s": own.s, "k0": k0, "depth": config.depth}
    return {
        "gated": linear.critical_period_curve(config.onset, duration=config.duration, **law),
        "undisturbed": linear.final_split(k0, s=own.s, clock=0.0, depth=config.depth),
    }


def tree(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    """The modes of the hierarchical task; both pathways start alike, as in the published code (Figure 2)."""
    own = config.tree
    s = tasks.hierarchical_task().singular_values
    drawn = own.k0 * (1 + own.spread * jax.random.normal(key, (own.width,)))
    p0 = linear.small_layer(jnp.sort(drawn)[::-1][: s.size], depth=config.depth)  # the largest go to the task's modes
    learned = linear.pathway_euler(
        jnp.stack([p0, p0]),
        s=s,
        depth=config.depth,
        dt=own.dt,
        steps=own.steps,
        every=own.steps,
        windows=deficit(config, own.dt),
    )
    return {"split": learned.strength[-1].T}


def layered(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    """Real layers from small Gaussian weights; the mode law is handed both pathways' strengths at the onset."""
    own = config.layered
    depth, width = own.depth, own.width
    s = jnp.asarray(own.singular_values)
    basis = jnp.eye(width, len(own.singular_values))  # the weights' law is rotation invariant: any basis is typical
    target = basis @ jnp.diag(s) @ basis.T
    inputs = (1 - own.correlation) * jnp.eye(width) + own.correlation * jnp.ones((width, width))
    scale = own.scale ** (1 / depth)
    paths = [linear.gaussian_layers(k, [width] * (depth + 1), scale=scale) for k in jax.random.split(key)]

    def observe(paths, basis):
        maps = linear.path_maps(paths)
        modes = [linear.project(omega, left=basis, right=basis) for omega in maps]
        missed = sum(mode.off_diagonal * (omega**2).sum() for mode, omega in zip(modes, maps, strict=True))
        return jnp.stack([mode.strength for mode in modes]), missed / (maps**2).sum()

    trained = linear.descend(
        paths,
        sigma_yx=target @ inputs,
        sigma_xx=inputs,
        rate=own.dt,
        steps=own.steps,
        every=10,
        windows=deficit(config, own.dt),
        observe=observe,
        context=basis,
    )
    strength, missed = trained.records
    curves = strength.reshape(-1, 2 * s.size)
    at_onset = jax.vmap(lambda curve: jnp.interp(config.onset, trained.time, curve), 1)(curves).reshape(2, s.size)
    law = linear.pathway_euler(
        linear.small_layer(at_onset, depth=depth),
        s=s,
        depth=depth,
        dt=own.dt,
        steps=own.steps,
        every=own.steps,
        windows=linear.windows(0.0, config.duration, [1.0, 0.0]),
    )
    return {
        "law_error": jnp.abs(strength[-1, 1] - law.strength[-1, 1]) / s,
        "off_diagonal": jnp.interp(config.onset, trained.time, missed),
        "residual": jnp.abs(s - at_onset.sum(0)).sum() / s.sum(),
    }


def deficit(config: ConfigDict, dt: float) -> linear.Windows:
    """The window in which the second pathway is cut off, in the chosen semantics of a step's gate."""
    shift = dt if config.gate == "authors" else 0.0
    start = config.onset - shift
    return linear.windows(start, start + config.duration, [1.0, 0.0])


def figure(results: "xr.DataTree") -> "Figure":
    """Phase portraits over the critical-period curves; the published Figures 1, 7 and 2 in one."""
    from brainjax import plots

    parts = parts_of(results, AXES)
    ratios = [0.65, 0.65, 1.0] if "large" in parts else [1.0]
    with plots.style():
        page, axes = plots.subplots(len(ratios), 4, width="page", height=2.15 * sum(ratios), height_ratios=ratios)
        if "large" in parts:
            draw_portraits(axes[:2], parts["large"])
        bottom = axes[-1]
        panels = [
            ("large", draw_large),
            ("small", draw_small),
            ("tree", draw_tree),
            ("layered", draw_layered),
        ]
        for ax, (name, draw) in zip(bottom, panels, strict=True):
            if name in parts:
                draw(ax, parts[name])
            else:
                ax.set_visible(False)
    return page


def draw_portraits(axes: np.ndarray, data: "xr.Dataset") -> None:
    """Figure 1: the field, its line of fixed points, and trajectories with an early window (top) and a late one."""
    from brainjax import plots

    own = setting(data, "large")
    s, imbalance = own["s"], own["imbalance"]
    grid = np.linspace(0, s, 21)
    onsets = (float(data.onset[0]), float(data.onset.sel(onset=0.1, method="nearest")))  # as published
    for column, depth in enumerate(data.depth.values[:4]):
        field = linear.phase_field(grid, grid, s=s, depth=depth, imbalance=imbalance)
        for ax, onset in zip(axes[:, column], onsets, strict=True):
            paths = data.trajectory.sel(depth=depth, onset=onset).isel(duration=0, seed=slice(100))
            plots.portrait(grid, grid, *field, paths=paths, along="record", fixed=(grid, s - grid), legend=False, ax=ax)
            ax.set(xlabel="", ylabel="", title=f"depth {depth:g}" if ax is axes[0, column] else "")
    for ax in axes[:, data.sizes["depth"] :].flat:
        ax.set_visible(False)
    for ax, onset in zip(axes[:, 0], onsets, strict=True):
        ax.set_ylabel(f"window at {onset:g}\ndeprived path")
    for ax in axes[1]:
        ax.set_xlabel("strength, free path")


def draw_large(ax: Any, data: "xr.Dataset") -> None:
    """The critical-period curve of the large initialisation."""
    from brainjax import plots

    own = setting(data, "large")
    share = (data.strength.isel(path=1, duration=0) / own["s"]).sel(onset=slice(0, 0.2))
    share.attrs["long_name"] = "final share, deprived path"
    share["onset"].attrs["long_name"] = "onset of the window"
    plots.curves(share, "onset", hue="depth", ax=ax)
    ax.set_title("large initialisation")


def draw_small(ax: Any, data: "xr.Dataset") -> None:
    """The critical-period curve of the small initialisation, by the closed form."""
    from brainjax import plots

    own = setting(data, "small")
    share = data.gated.isel(duration=0) / own["s"]
    share.attrs["long_name"] = "final share, deprived path"
    share["onset"].attrs["long_name"] = "onset of the window"
    plots.curves(share, "onset", hue="depth", ax=ax)
    ax.set(title="small initialisation", xlim=(None, 1.3 * float(data.onset[-1])))  # room for the legend


def draw_tree(ax: Any, data: "xr.Dataset") -> None:
    """Figure 2: which modes of the hierarchical task stay skewed, by the window's onset."""
    from brainjax import plots

    split = data.split.isel(depth=0, duration=0)
    share = split.isel(path=1) / split.sum("path")
    share = share.assign_coords(mode=np.arange(1, share.sizes["mode"] + 1))
    share.attrs["long_name"] = "final share, deprived path"
    share["mode"].attrs["long_name"] = "mode of the task"
    share["onset"].attrs["long_name"] = "onset"
    plots.curves(share, "mode", hue="onset", ax=ax)
    ax.set(title="hierarchical task", xticks=range(1, 9))


def draw_layered(ax: Any, data: "xr.Dataset") -> None:
    """The error of the mode law on networks of layers, against how far they are from its conditions."""
    from brainjax import plots

    edges = np.geomspace(1e-3, 1.0, 10)
    for index, correlation in enumerate(data["layered.correlation"].values):
        here = data.sel({"layered.correlation": correlation}).isel(duration=0)
        chosen = (here.residual >= 0.01).values.ravel()
        error, missed = (values.values.ravel()[chosen] for values in (here.law_error.mean("mode"), here.off_diagonal))
        look = plots.line_styles(3)[min(index, 1)]
        every = max(1, error.size // 1500)  # points shown; the means are over all runs
        ax.plot(
            missed[::every],
            error[::every],
            linestyle="none",
            marker=".",
            markersize=1.5,
            color=look["color"],
            alpha=0.25,
        )
        bins = [error[(missed >= low) & (missed < high)] for low, high in itertools.pairwise(edges)]
        filled = [(number, judge.interval(values)) for number, values in enumerate(bins) if len(values) >= 5]
        if filled:
            mean, low, high = np.array([stats[:3] for _, stats in filled]).T
            centre = np.sqrt(edges[:-1] * edges[1:])[[number for number, _ in filled]]
            bars = np.maximum([mean - low, high - mean], 0)
            label = "whitened" if correlation == 0 else f"corr. {correlation:g}"
            ax.errorbar(centre, mean, np.minimum(bars, [0.99 * mean, bars[1]]), label=label, capsize=2, **look)
    ax.axhline(BOUND, color="black", linewidth=0.8, linestyle=":")
    ax.set(xscale="log", yscale="log", xlim=(1e-3, 1.2), ylim=(1e-5, 1.2), title="real layers")
    ax.set(xlabel="off-diagonal mass", ylabel="error of mode law (share of s)")
    ax.legend(loc="lower left")


def claims(results: "xr.DataTree") -> list[Claim]:
    judged = {"large": large_claims, "small": small_claims, "tree": tree_claims, "layered": layered_claims}
    found = []
    for name, data in parts_of(results, AXES).items():
        if name == "layered" or float(data.onset[0]) == 0:  # the others compare with a window at the start
            found += judged[name](data.isel(duration=0))
    return found


def large_claims(data: "xr.Dataset") -> list[Claim]:
    """Figure 1: shifts of the free path's share against the same seed without a deficit."""
    s = setting(data, "large.s")
    shift = (data.strength - data.undisturbed).isel(path=0) / s
    early = shift.isel(onset=0)
    after = shift.where(data.residual < 0.01)
    first = after.isel(onset=after.notnull().argmax("onset"))
    undisturbed = data.undisturbed.isel(onset=0, path=0) / s
    where = "Fig. 1, large initialisation"
    found = [
        judge.greater(
            "early deficit",
            "a window at the start shifts the split towards the free path, at every depth",
            where,
            early.min("depth"),
            unit="share of s, least over depths",
        ),
        judge.below(
            "late deficit",
            "a window after learning (residual below 1 % of s) shifts the split by less than what was left to learn",
            where,
            abs(first).max("depth"),
            than=0.01,
            unit="share of s, most over depths",
        ),
    ]
    if data.sizes["depth"] < 2:
        return found
    return [
        *found,
        judge.increasing(
            "depth amplifies",
            "the effect of a window at the start grows with depth",
            where,
            {float(depth): early.sel(depth=depth) for depth in data.depth.values},
            unit="share of s",
        ),
        judge.spread_increasing(
            "depth widens the race",
            "without a deficit, the split varies more over seeds the deeper the pathways (hidden by the figure)",
            where,
            {float(depth): undisturbed.sel(depth=depth) for depth in data.depth.values},
            unit="ratio of standard deviations",
        ),
    ]


def small_claims(data: "xr.Dataset") -> list[Claim]:
    """Figure 7 and the critical-period curve: when the window of sensitivity closes, and how sharply."""
    own = setting(data, "small")
    lost = (data.undisturbed.isel(path=1) - data.gated) / own["s"]
    at_start = lost.isel(onset=0)
    if own["spread"] == 0:
        return exact_claims(at_start.isel(seed=0).values, abs(lost.isel(onset=-1, seed=0)).values)
    where = f"setting of Fig. 7, K0 = {own['k0']:g} at every depth"
    found = [
        judge.greater(
            "early deficit, small init",
            "a window at the start shifts the split towards the free path, at every depth",
            where,
            at_start.min("depth"),
            unit="share of s, least over depths",
        ),
    ]
    if data.sizes["depth"] < 2:
        return found
    found.append(
        judge.increasing(
            "depth amplifies, small init",
            "the effect of a window at the start grows with depth",
            where,
            {float(depth): at_start.sel(depth=depth) for depth in data.depth.values},
            unit="share of s",
        )
    )
    if data.sizes["onset"] < 5:
        return found
    closing = {float(depth): closing_width(lost.sel(depth=depth)) for depth in data.depth.values}
    found.append(
        judge.decreasing(
            "closing sharpens",
            "the time in which sensitivity falls from 90 % to 10 %, relative to its half time, shrinks with depth",
            where,
            closing,
            unit="(t90 - t10) / t50",
        )
    )
    return found


def exact_claims(at_start: np.ndarray, at_end: np.ndarray) -> list[Claim]:
    """Figure 7 itself: pathways that start exactly alike, one trajectory per depth; the error is that of rounding."""
    rounding = 8 * np.finfo(at_start.dtype).eps
    statements = (
        (
            "early deficit",
            "a window at the start shifts the split towards the free path, at every depth",
            at_start,
            0.0,
        ),
        ("depth amplifies", "the effect of a window at the start grows with depth", np.diff(at_start), 0.0),
        ("late deficit", "a window after learning shifts the split by less than 1 % of s", 0.01 - at_end, 0.0),
    )
    return [
        judge.deterministic(
            name, statement, "Fig. 7", value, np.full(value.shape, rounding), low=low, unit="share of s"
        )
        for name, statement, value, low in statements
    ]


def closing_width(lost: "xr.DataArray") -> np.ndarray:
    """(t90 - t10) / t50 of each seed, where t_x is the onset at which x % of the initial effect is gone."""
    effect = lost.transpose("seed", "onset").values
    remaining = effect / effect[:, :1]
    onsets = lost.onset.values
    times = [[np.interp(-level, -curve, onsets) for level in (0.1, 0.5, 0.9)] for curve in remaining]
    late, half, early = np.array(times).T
    return np.where(remaining[:, -1] < 0.1, (late - early) / half, np.nan)


def tree_claims(data: "xr.Dataset") -> list[Claim]:
    """Figure 2: which modes stay skewed."""
    split = data.split.isel(depth=0)
    share = split.isel(path=0) / split.sum("path") - 0.5
    if data.sizes["onset"] < 3:
        return []
    early, middle, late = (share.isel(onset=index) for index in (0, 1, -1))
    where = "Fig. 2, hierarchical task"
    return [
        judge.greater(
            "early deficit, all modes",
            "a window at the start shifts every mode of the task towards the free path",
            where,
            early.min("mode"),
            unit="share, least over modes",
        ),
        judge.greater(
            "middle deficit, late modes",
            "a window in the middle shifts the modes that are learned last more than the first one",
            where,
            middle.isel(mode=slice(4, None)).mean("mode"),
            than=middle.isel(mode=0),
            unit="share",
        ),
        judge.below(
            "late deficit, no mode",
            "a window at the end shifts no mode by 1 % of its strength",
            where,
            abs(late).max("mode"),
            than=0.01,
            unit="share, most over modes",
        ),
    ]


def layered_claims(data: "xr.Dataset") -> list[Claim]:
    """How well the mode law, handed the state at the window's onset, predicts networks of real layers."""
    found = []
    for correlation in data["layered.correlation"].values:
        here = data.sel({"layered.correlation": correlation})
        aligned = here.off_diagonal < 0.1
        error = here.law_error.mean("mode")
        inputs = "whitened inputs" if correlation == 0 else f"inputs correlated by {correlation:g}"
        learning = here.residual >= 0.01  # a window after learning is predicted trivially
        for state, runs in (("aligned (off-diagonal mass < 0.1)", aligned), ("not aligned yet", ~aligned)):
            chosen = runs & learning
            found.append(
                judge.below(
                    f"mode law, {inputs}, {state.split(' (')[0]}",
                    f"real layers, {inputs}, {state} when the window opens (learning not over): "
                    f"the mode law predicts the deprived path to {BOUND:g} s",
                    "our test of the reduction",
                    error.where(chosen).mean(("layered.depth", "onset")),
                    than=BOUND,
                    unit="error / s, mean over modes, depths and onsets",
                    detail=f"{float(chosen.mean()):.0%} of the runs",
                )
            )
    return found
