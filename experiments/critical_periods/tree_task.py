r"""A window of deficit skews what is learned in it and later, mode by mode; lesions and non-linear paths do alike.

Two pathways of equal initial weights learn the hierarchical task; in the window one is cut off from the gradient.
Kleinman, Achille & Soatto (ICLR 2024), Figures 2, 3, 11 and 12, over seeds, and what the network can do afterwards.

Run:  brainjax run critical_periods/tree_task [--variant=quick]
Cost: about 50 s on 2 cores (quick: 20 s).

The parts of the experiment, each with a grid of its own (times are in updates):

* ``linear``: strengths over time by onset of the window (Figure 2), beside Euler's steps in mode space; and what the
  network still does when one whole path is taken away after learning;
* ``lesion``: one mode of the free path is lost for good, the other path has an early window (Figure 3);
* ``nonlinear``: an early, a middle and a late window with tanh or ReLU after every layer (Figures 11 and 12).

Layers start as in the paper: :math:`(\epsilon (1 + 0.1\,\xi))^{1/D}` on the diagonal, in falling order, turned by a
random rotation of the hidden units, the same in both paths. In linear paths the rotation cancels, and hidden units
beyond the number of modes see no input and drive no output: those parts do without both, and give the largest of
``start.units`` draws to the modes. In non-linear paths width matters (of the finest modes, tanh leaves 0.70 to the free
path with 32 units and 0.77 with 100).
"""

import json
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
    "strength": ("record", "path", "mode"),  # over time; paths are (free, deprived)
    "law_distance": ("record",),  # largest distance to Euler's steps in mode space
    "final": ("path", "mode"),  # final strengths, as the paths act
    "alone": ("path",),  # loss with this path only, as a fraction of the loss without any
    "rescaled": ("path",),  # the same after the best single gain on its output
}
ACTIVATIONS = {"tanh": jnp.tanh, "relu": jax.nn.relu}
AXES = {  # the axes of each part
    "linear": ("depth", "onset"),
    "lesion": ("severed", "duration"),
    "nonlinear": ("activation", "onset"),
}
PARTS = tuple(AXES)
WINDOWS = (0.0, 400.0, 750.0)  # onsets in the paper
BOUND = 0.01  # of a mode's strength: what we call no effect


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict(
        {
            "seed": 0,
            "part": "linear",
            "parts": PARTS,
            "depth": 4,
            "activation": "tanh",  # of the part "nonlinear"; or "relu"
            "onset": 0.0,  # of the window, in updates
            "duration": 150.0,
            "severed": 1.0,  # of the part "lesion"; 0: the mode is left to the free path
            "rate": 0.01,
            "steps": 1000,
            "width": 8,  # of linear paths
            "start": {"strength": 0.01, "spread": 0.1, "units": 100},
            "linear": {
                "depths": (2, 3, 4),
                "onsets": tuple(np.arange(0.0, 901.0, 50.0).tolist()),
                "every": 10,
                "seeds": 64,
            },
            "lesion": {"depth": 3, "mode": 1, "severed": (0.0, 1.0), "durations": (0.0, 200.0), "seeds": 64},
            "nonlinear": {"depth": 3, "width": 100, "activations": ("tanh", "relu"), "onsets": WINDOWS, "seeds": 32},
        }
    )
    if variant == "quick":
        config.linear.update({"depths": (4,), "onsets": (0.0, 200.0, 400.0, 600.0, 750.0), "seeds": 16})
        config.lesion.seeds = 16
        config.nonlinear.update({"activations": ("tanh",), "width": 32, "seeds": 8})
    elif variant:
        raise ValueError(f"variant: 'quick', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if config.part not in PARTS or not set(config.parts) <= set(PARTS):
        raise ValueError(f"parts: must be among {', '.join(PARTS)}, got {config.parts} (part {config.part})")
    if config.depth not in range(2, 7):
        raise ValueError(f"depth: must be 2 to 6, got {config.depth}")
    if config.activation not in ACTIVATIONS:
        raise ValueError(f"activation: must be {' or '.join(ACTIVATIONS)}, got {config.activation!r}")
    for name, width in (("width", config.width), ("nonlinear.width", config.nonlinear.width)):
        if not 8 <= width <= config.start.units:
            raise ValueError(f"{name}: must be 8 (modes) to {config.start.units} (start.units), got {width}")
    for name in ("onset", "duration"):
        if not config[name] >= 0:
            raise ValueError(f"{name}: must be zero or more, got {config[name]}")
    if not 0 <= config.severed <= 1:
        raise ValueError(f"severed: must lie in [0, 1], got {config.severed}")
    if config.lesion.mode not in range(8):
        raise ValueError(f"lesion.mode: must be 0 to 7, got {config.lesion.mode}")


def sweep(config: ConfigDict) -> dict[str, Axes]:
    lesion, nonlinear = config.lesion, config.nonlinear
    grids = {
        "linear": (config.linear, static(depth=config.linear.depths), traced(onset=config.linear.onsets)),
        "lesion": (lesion, traced(severed=lesion.severed), traced(duration=lesion.durations)),
        "nonlinear": (nonlinear, static(activation=nonlinear.activations), traced(onset=nonlinear.onsets)),
    }
    chosen = {part: grids[part] for part in config.parts}
    return {part: product(static(part=[part]), *axes, seeds(own.seeds)) for part, (own, *axes) in chosen.items()}


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    parts = {"linear": over_time, "lesion": lesioned, "nonlinear": nonlinear}
    return parts[config.part](key, config)


def diagonal(key: jax.Array, config: ConfigDict, depth: int) -> jax.Array:
    """The diagonal of all layers of both paths, in falling order, of shape (units,)."""
    own = config.start
    drawn = own.strength * (1 + own.spread * jax.random.normal(key, (own.units,)))
    return jnp.sort(drawn)[::-1] ** (1 / depth)


def aligned(key: jax.Array, config: ConfigDict, depth: int) -> tuple[jax.Array, ...]:
    """The layers that both linear paths start from."""
    task = tasks.hierarchical_task()
    layer = diagonal(key, config, depth)[:8]
    return linear.decoupled_layers(jnp.tile(layer, (depth, 1)), left=task.left, right=task.right, width=config.width)


def turned(key: jax.Array, config: ConfigDict, depth: int, width: int) -> list[jax.Array]:
    """The layers that both non-linear paths start from, of the same strengths, hidden units turned at random."""
    task = tasks.hierarchical_task()
    each = diagonal(key, config, depth)[None, :width]
    (turn,) = linear.orthogonal_layers(jax.random.fold_in(key, 1), (width, width), scale=1.0)
    first = (turn[:, :8] * each[:, :8]) @ task.right.T
    last = (task.left * each[:, :8]) @ turn[:, :8].T
    return [first, *[(turn * each) @ turn.T] * (depth - 2), last]


def deficit(config: ConfigDict) -> linear.Windows:
    """The window in which the second path is cut off."""
    return linear.windows(config.onset * config.rate, (config.onset + config.duration) * config.rate, [1.0, 0.0])


def strengths(maps: jax.Array) -> jax.Array:
    """Strengths of the maps of all paths on the task's modes, of shape (paths, modes)."""
    task = tasks.hierarchical_task()
    return jax.vmap(lambda omega: linear.project(omega, left=task.left, right=task.right).strength)(maps)


def over_time(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    """Figure 2: networks of layers, Euler's steps of their modes under the same gate, and what one path does alone."""
    own, task = config.linear, tasks.hierarchical_task()
    layers = aligned(key, config, config.depth)
    trained = linear.descend(
        [layers, layers],
        sigma_yx=task.sigma_yx,
        rate=config.rate,
        steps=config.steps,
        every=own.every,
        windows=deficit(config),
    )
    seen = jax.vmap(strengths)(trained.records)
    law = linear.pathway_euler(
        linear.small_layer(seen[0], depth=config.depth),
        s=task.singular_values,
        depth=config.depth,
        dt=config.rate,
        steps=config.steps,
        every=own.every,
        windows=deficit(config),
    )
    maps, target = trained.records[-1], task.outputs
    along = jnp.sum(maps * target[None], (1, 2)) ** 2 / (jnp.sum(maps**2, (1, 2)) * jnp.sum(target**2))
    return {
        "strength": seen,
        "law_distance": jnp.max(jnp.abs(seen - law.strength), (1, 2)),
        "alone": jax.vmap(cost)(maps),
        "rescaled": 1 - along,
    }


def lesioned(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    """Figure 3: the free path has lost a mode for good."""
    own, task = config.lesion, tasks.hierarchical_task()
    layers = aligned(key, config, own.depth)
    mask = config.severed * jnp.stack([jnp.eye(8)[own.mode], jnp.zeros(8)])
    trained = linear.descend(
        [layers, layers],
        sigma_yx=task.sigma_yx,
        rate=config.rate,
        steps=config.steps,
        windows=deficit(config),
        lesions=linear.lesions(mask, left=task.left, right=task.right),
    )
    return {"final": strengths(trained.records[-1])}


def nonlinear(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    """Figures 11 and 12: a non-linearity after every layer, the last one included."""
    own, task = config.nonlinear, tasks.hierarchical_task()
    layers = turned(key, config, own.depth, own.width)
    trained = linear.descend_nonlinear(
        [layers, layers],
        inputs=task.inputs,
        outputs=task.outputs,
        activation=ACTIVATIONS[config.activation],
        rate=config.rate,
        steps=config.steps,
        windows=deficit(config),
    )
    answers = trained.records[-1]
    return {"final": strengths(answers), "alone": jax.vmap(cost)(answers)}


def cost(answers: jax.Array) -> jax.Array:
    """Squared error of answers to all items, as a fraction of that of silence."""
    target = tasks.hierarchical_task().outputs
    return jnp.sum((target - answers) ** 2) / jnp.sum(target**2)


def parts_with_ends(results: "xr.DataTree") -> dict[str, "xr.Dataset"]:
    """The result of each part, with the strengths at the end under a name of their own."""
    parts = parts_of(results, AXES)
    for data in parts.values():
        if "strength" in data:
            data["final"] = data.strength.isel(record=-1)
    return parts


def free_share(data: "xr.Dataset") -> "xr.DataArray":
    """The final share of the free path in every mode."""
    return data.final.isel(path=0) / data.final.sum("path")


def three_windows(data: "xr.Dataset") -> "xr.Dataset":
    """The results of the paper's early, middle and late window; if all are missing, of the first three."""
    return data.sel(onset=[onset for onset in data.onset.values if onset in WINDOWS] or data.onset.values[:3])


def figure(results: "xr.DataTree") -> "Figure":
    """Figures 2 and 3 over time and by mode; Figures 11 and 12; what the paths can do alone."""
    from brainjax import plots

    parts = parts_with_ends(results)
    with plots.style():
        page, axes = plots.subplots(2, 4, width="page", height=4.0)
        if "linear" in parts:
            deepest = three_windows(parts["linear"].isel(depth=-1))
            draw_strengths(axes[0, :3], deepest)
            draw_shares(axes[1, 0], deepest, f"linear, depth {int(deepest.depth)}")
            draw_alone(axes[1, 3], parts["linear"])
        if "lesion" in parts:
            draw_lesion(axes[0, 3], parts["lesion"])
        if "nonlinear" in parts:
            depth = json.loads(parts["nonlinear"].attrs["config"])["nonlinear"]["depth"]
            for ax, name in zip(axes[1, 1:3], parts["nonlinear"].activation.values, strict=False):
                draw_shares(ax, parts["nonlinear"].sel(activation=name), f"{name}, depth {depth}")
        for ax in axes.flat:
            ax.set_visible(ax.has_data())
    return page


def draw_strengths(axes: np.ndarray, data: "xr.Dataset") -> None:
    """Figure 2: strengths of some modes over time, by window, free (full) and deprived (dashed)."""
    from brainjax import plots

    own = json.loads(data.attrs["config"])
    s = np.asarray(tasks.hierarchical_task().singular_values)
    time = np.arange(data.sizes["record"]) * own["linear"]["every"]
    for ax, onset in zip(axes, data.onset.values, strict=False):
        ax.axvspan(onset, onset + own["duration"], color="0.9", linewidth=0)
        for mode, look in zip((0, 1, 2, 4), plots.line_styles(4), strict=True):
            mean = data.strength.sel(onset=onset).isel(mode=mode).mean("seed") / s[mode]
            ax.plot(time, mean.isel(path=0), color=look["color"], label=f"{mode + 1}")
            ax.plot(time, mean.isel(path=1), color=look["color"], linestyle=(0, (2, 1)))
        ax.set(title=f"window at {onset:g}", xlabel="update", ylim=(-0.03, 1.05), xticks=[0, 500, 1000])
    axes[0].set_ylabel("strength / s")
    axes[0].legend(title="mode", loc="center right", bbox_to_anchor=(1.0, 0.42), handlelength=1.2)
    last = axes[min(data.sizes["onset"], len(axes)) - 1]
    if last is not axes[0]:
        free, deprived = last.lines[:2]
        last.legend([free, deprived], ["free", "deprived"], loc="upper left", handlelength=1.6)


def draw_lesion(ax: Any, data: "xr.Dataset") -> None:
    """Figure 3: who learns which mode when the free path has lost one and the other is deprived at first."""
    from brainjax import plots

    s = np.asarray(tasks.hierarchical_task().singular_values)
    here = data.isel(duration=-1)
    kinds = (("free", 0, -1, "full", 4), ("deprived", 1, -1, "full", 3), ("deprived,\nno lesion", 1, 0, "none", 6))
    for (name, path, severed, fill, size), look in zip(kinds, plots.line_styles(3), strict=True):
        final = (here.isel(severed=severed, path=path).final / s).mean("seed")
        style = {"marker": look["marker"], "linestyle": "none", "fillstyle": fill, "color": look["color"]}
        ax.plot(np.arange(1, 9), final, label=name, markersize=size, clip_on=False, **style)
    ax.set(title="free path lesioned", xlabel="mode", ylabel="strength / s", xticks=range(1, 9), ylim=(-0.03, 1.05))
    ax.legend(loc="center right", handletextpad=0.2, handlelength=1.0)


def draw_shares(ax: Any, data: "xr.Dataset", title: str) -> None:
    """Which modes stay skewed, by window."""
    from brainjax import plots

    share = free_share(data).assign_coords(mode=np.arange(1, 9))
    share["onset"].attrs["long_name"] = "window at"
    share.attrs["long_name"] = "final share, free path"
    plots.curves(share, "mode", hue="onset", ax=ax, legend=False)
    ax.axhline(0.5, color="black", linewidth=0.6, linestyle=":", zorder=0)
    ax.set(title=title, xticks=range(1, 9), ylim=(0.45, 1.03))
    if ax.get_subplotspec().colspan.start:
        ax.set_ylabel("")
    else:
        ax.legend(title="window at", loc="center left", bbox_to_anchor=(0.0, 0.62))


def draw_alone(ax: Any, data: "xr.Dataset") -> None:
    """Loss with the deprived path only (markers) and with the free path only, by onset of the window and depth."""
    from brainjax import plots

    alone = data.alone
    alone["onset"].attrs["long_name"] = "onset of the window"
    alone.attrs["long_name"] = "loss / loss of silence"
    plots.curves(alone.isel(path=1), "onset", hue="depth", ax=ax)
    for look, depth in zip(plots.line_styles(data.sizes["depth"]), data.depth.values, strict=True):
        mean = alone.isel(path=0).sel(depth=depth).mean("seed")
        ax.plot(data.onset, mean, color=look["color"], linestyle=look["linestyle"], linewidth=0.7)
    ax.axhline(0.25, color="black", linewidth=0.6, linestyle=":", zorder=0)
    ax.set(title="one path alone", ylim=(-0.03, 1.03), xticks=[0, 400, 800])
    for name, height in (("deprived", 0.45), ("free", 0.08)):
        ax.text(420, height, name, fontsize=7, va="center")


def claims(results: "xr.DataTree") -> list[Claim]:
    parts = parts_with_ends(results)
    judged = {"linear": linear_claims, "lesion": lesion_claims}
    judged["nonlinear"] = lambda data: nonlinear_claims(data, parts.get("linear"))
    found = [claim for name, data in parts.items() for claim in judged[name](data)]
    return found + (function_claims(parts["linear"]) if "linear" in parts else [])


def window_claims(share: "xr.DataArray", where: str, what: str, *, first_modes: bool) -> list[Claim]:
    """What Figures 2, 11 and 12 say of three windows; first_modes: whether those learned before are said to be safe."""
    early, middle, late = (share.isel(onset=index) - 0.5 for index in range(3))
    found = [
        judge.greater(
            f"early, {what}",
            "a window at the start shifts every mode towards the free path",
            where,
            early.min("mode"),
            than=BOUND,
            unit="share over one half, least over modes",
        ),
        judge.greater(
            f"middle, {what}: last modes",
            "a window in the middle shifts the modes that are learned last more than the first one",
            where,
            middle.isel(mode=slice(4, None)).mean("mode"),
            than=middle.isel(mode=0),
            unit="share",
        ),
        judge.below(
            f"late, {what}",
            f"a window at the end shifts no mode by {BOUND:g} of its strength",
            where,
            abs(late).max("mode"),
            than=BOUND,
            unit="share, most over modes",
        ),
    ]
    if first_modes:
        found.append(
            judge.below(
                f"middle, {what}: first modes",
                f"a window in the middle shifts neither of the first two modes by {BOUND:g} of its strength",
                where,
                abs(middle.isel(mode=slice(0, 2))).max("mode"),
                than=BOUND,
                unit="share, most over two modes",
            )
        )
    return found


def linear_claims(data: "xr.Dataset") -> list[Claim]:
    """Figure 2."""
    found = []
    if not set(WINDOWS) <= set(data.onset.values):
        return found
    for depth in data.depth.values[data.depth.values > 2]:  # at depth 2 all is learned before the middle window
        share = free_share(three_windows(data).sel(depth=depth))
        where = "Fig. 2" if depth == 4 else f"Fig. 2 at depth {depth}"
        found += window_claims(share, where, f"depth {depth}", first_modes=True)
        found.append(
            judge.greater(
                f"early, depth {depth}: nearly all",
                "a window at the start leaves more than nine tenths of every mode to the free path",
                where,
                share.isel(onset=0).min("mode"),
                than=0.9,
                unit="share, least over modes",
            )
        )
    return found


def lesion_claims(data: "xr.Dataset") -> list[Claim]:
    """Figure 3."""
    if data.sizes["severed"] < 2 or float(data.duration[-1]) == 0 or float(data.severed[-1]) != 1:
        return []
    mode = setting(data, "lesion.mode")
    share = free_share(data).isel(duration=-1)
    whole, cut = share.isel(severed=0), share.isel(severed=-1)
    others = [m for m in range(8) if m != mode]
    s = float(tasks.hierarchical_task().singular_values[mode])
    return [
        judge.greater(
            "lesion: the free path learns all but one",
            "the free path takes more than nine tenths of every mode that it can have",
            "Fig. 3",
            cut.isel(mode=others).min("mode"),
            than=0.9,
            unit="share, least over modes",
        ),
        judge.within(
            "lesion: the deprived path learns that one",
            "the deprived path, gated at the start, still learns the lesioned mode completely",
            "Fig. 3",
            data.final.isel(severed=-1, duration=-1, path=1, mode=mode) / s,
            low=1 - BOUND,
            high=1 + BOUND,
            unit="strength / s",
        ),
        judge.below(
            "lesion: only because it is free",
            "without the lesion the deprived path learns less than a tenth of that mode",
            "our control of Fig. 3",
            1 - whole.isel(mode=mode),
            than=0.1,
            unit="share",
        ),
    ]


def nonlinear_claims(data: "xr.Dataset", reference: "xr.Dataset | None") -> list[Claim]:
    """Figures 11 and 12: orders only; there is no closed form."""
    found = []
    if not set(WINDOWS) <= set(data.onset.values):
        return found
    depth = setting(data, "nonlinear.depth")
    for name in data.activation.values.tolist():
        here = three_windows(data).sel(activation=name)
        share = free_share(here)
        where = {"tanh": "Fig. 11", "relu": "Fig. 12"}[name]
        found += window_claims(share, where, name, first_modes=name != "relu")
        found.append(
            judge.greater(
                f"early, {name}: the deprived path alone",
                "after a window at the start, losing the free path brings back nine tenths of the initial loss",
                f"our test of {where}",
                here.alone.isel(onset=0, path=1),
                than=0.9,
                unit="loss / loss of silence",
            )
        )
        if name != "relu":
            continue
        middle = share.isel(onset=1)
        found.append(
            judge.greater(
                "middle, relu: all modes",
                "a window in the middle shifts every mode, the first ones too",
                "Fig. 12, seen in the authors' single run",
                middle.min("mode") - 0.5,
                than=BOUND,
                unit="share over one half, least over modes",
            )
        )
        if reference is not None and depth in reference.depth.values and WINDOWS[1] in reference.onset.values:
            straight = free_share(reference.sel(depth=depth, onset=WINDOWS[1])).isel(mode=0)
            both = np.intersect1d(data.seed, reference.seed)
            found.append(
                judge.greater(
                    "middle, relu: unlike linear paths",
                    "a window in the middle shifts the first mode more in ReLU than in linear paths of equal start",
                    "Fig. 12 against linear paths of the same depth",
                    middle.isel(mode=0).sel(seed=both),
                    than=straight.sel(seed=both),
                    unit="share",
                )
            )
    return found


def function_claims(data: "xr.Dataset") -> list[Claim]:
    """What the skew costs when a path is lost after learning."""
    onset = data.onset.values
    if onset[0] != 0 or sum(onset % 200 == 0) < 2:
        return []
    deprived = data.alone.isel(path=1)
    where = "our test of Fig. 2"
    deepest = deprived.isel(depth=-1).sel(onset=onset[onset % 200 == 0])
    found = [
        judge.greater(
            "function: the deprived path alone",
            "after a window at the start, losing the free path brings back nine tenths of the initial loss",
            where,
            deprived.isel(onset=0).min("depth"),
            than=0.9,
            unit="loss / loss of silence, least over depths",
        ),
        judge.decreasing(
            f"function: monotone at depth {int(data.depth[-1])}",
            "the later the window, the less is lost with the free path",
            where,
            {f"{value:g}": deepest.sel(onset=value) for value in deepest.onset.values},
            unit="loss / loss of silence",
        ),
    ]
    if np.diff(onset).max() <= 50:  # the steepest rise is sought in half of the seeds and measured in the others
        rises = data.rescaled.isel(path=1).diff("onset")
        steepest = rises.isel(seed=slice(0, None, 2)).mean("seed").argmax("onset")
        found.append(
            judge.greater(
                "function: knowledge is not monotone",
                "with the best single gain, the deprived path's error rises again with onset somewhere, at every depth",
                f"{where}, sought after a pilot of 16 seeds",
                rises.isel(seed=slice(1, None, 2)).isel(onset=steepest).min("depth"),
                unit="rise between onsets 50 updates apart, least over depths",
            )
        )
    return found
