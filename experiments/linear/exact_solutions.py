r"""The relative scale of two layers sets how they learn: rich and sigmoidal near zero, lazy and exponential far off.

Two-layer linear networks have exact solutions; here they stand beside gradient descent on random weights, also where
their conditions do not hold. Saxe, McClelland & Ganguli (ICLR 2014) and Dominé et al. (ICLR 2025).

Run:  brainjax run linear/exact_solutions [--variant=quick]
Cost: about a minute on 2 cores (quick: 20 s).

The parts of the experiment, each with a grid of its own:

* ``sigmoid``: small Gaussian weights against the sigmoid of every mode :cite:`saxe2014`, started from the overlap of
  the weights with the mode. Derived by us: while a mode is small, the sum :math:`h = (W_1 v + W_2^\top u)/2` of its two
  layers grows and their difference decays, so :math:`u_0 = |h|^2`; and once stronger modes are learned, nothing grows
  along their :math:`h` any more, so what counts is the part of :math:`h` that is orthogonal to theirs;
* ``scale``: weights of a given relative scale :math:`W_2^\top W_2 - W_1 W_1^\top = \lambda I`, in square networks and
  in funnels, where the large layer may not reach all directions of its side and the rest has to be learned later;
* ``unbalanced``: the exact solution applied to weights that break this condition by a given amount.
"""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from brainjax import claims as judge
from brainjax import linear
from brainjax.claims import Claim
from brainjax.core.draws import normal
from brainjax.sweep import Axes, parts_of, product, seeds, setting, static, traced

if TYPE_CHECKING:  # what only the figure needs is imported when it is drawn
    import xarray as xr
    from matplotlib.figure import Figure

PAPER = "domine2024"
DIMS = {
    "strength": ("record", "mode"),  # of the simulated network, as a share of the singular value
    "law": ("record", "mode"),  # the same by the exact solution
    "law_error": (),  # largest distance between the two over time, mean over modes
    "overlap_error": (),  # the same for sigmoids that start from the whole overlap, stronger modes or not
    "naive_error": (),  # the same for sigmoids that start from the strength of the initial map
    "half_time": ("mode",),  # when half of a mode is learned, simulated
    "law_half_time": ("mode",),  # by the law
    "kernel_moved": (),  # 1 - cosine of the tangent kernels before and after learning
    "kernel_changed": (),  # norm of their difference over the norm of the first
    "input_moved": (),  # 1 - cosine of the inputs' similarity in the hidden layer, before and after
    "output_moved": (),  # 1 - cosine of the outputs' read-outs
    "duration": (),  # (t90 - t10) / t50, mean over modes
    "prompt": (),  # strength when the exponential of the lazy limit is at 95 %, as a share of s, mean over modes
}
PARTS = ("sigmoid", "scale", "unbalanced")
AXES = {
    "sigmoid": ("size",),
    "scale": ("scale.architecture", "relative_scale"),
    "unbalanced": ("relative_scale", "imbalance"),
}
ARCHITECTURES = {"square": (4, 4, 4), "funnel": (6, 4, 4), "inverted funnel": (4, 4, 6)}  # inputs, hidden, outputs
BOUND = 0.05  # of s: what we are ready to call a good prediction
PROMPT = 0.95
KEEP = 10  # of the records of the part "scale" every tenth is stored
EXPONENTIAL = float(np.log(9) / np.log(2))  # (t90 - t10) / t50 of an exponential approach from zero


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict(
        {
            "seed": 0,
            "part": "scale",
            "parts": PARTS,
            "relative_scale": 0.0,  # lambda
            "size": 0.01,  # typical strength of the initial map in the part "sigmoid"
            "imbalance": 0.0,  # of the part "unbalanced": norm of what is added to the weights, relative to theirs
            "singular_values": (2.0, 1.5, 1.0, 0.75),
            "sigmoid": {
                "width": 8,
                "dt": 0.01,
                "steps": 1600,
                "every": 10,
                "sizes": (1.0, 0.1, 0.01, 0.001, 0.0001),
                "seeds": 128,
            },
            "scale": {
                "architecture": "square",
                "architectures": tuple(ARCHITECTURES),
                "strength": 0.01,  # of every mode of the initial map
                "dt": 0.005,
                "steps": 2400,
                "every": 2,  # for the times of crossings; every tenth of these records is kept
                "relative_scales": (-10.0, -3.0, -1.0, -0.3, 0.0, 0.3, 1.0, 3.0, 10.0),
                "seeds": 64,
            },
            "unbalanced": {
                "relative_scales": (0.0, 1.0, 3.0),
                "imbalances": (0.0, 0.01, 0.03, 0.1, 0.3, 1.0),
                "seeds": 64,
            },
        }
    )
    if variant == "quick":
        config.sigmoid.update({"sizes": (0.1, 0.001), "seeds": 16})
        config.scale.update({"architectures": ("square",), "dt": 0.01, "steps": 1200, "every": 1})
        config.scale.update({"relative_scales": (-10.0, -1.0, 0.0, 1.0, 10.0), "seeds": 16})
        config.unbalanced.update({"relative_scales": (0.0, 3.0), "imbalances": (0.0, 0.1, 1.0), "seeds": 16})
    elif variant:
        raise ValueError(f"variant: 'quick', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if config.part not in PARTS or not set(config.parts) <= set(PARTS):
        raise ValueError(f"parts: must be among {', '.join(PARTS)}, got {config.parts} (part {config.part})")
    if not config.size > 0:
        raise ValueError(f"size: must be positive, got {config.size}")
    if not config.imbalance >= 0:
        raise ValueError(f"imbalance: must be zero or more, got {config.imbalance}")
    if config.scale.architecture not in ARCHITECTURES:
        raise ValueError(
            f"scale.architecture: must be among {', '.join(ARCHITECTURES)}, got {config.scale.architecture!r}"
        )
    modes, most = len(config.singular_values), min(ARCHITECTURES[config.scale.architecture][1], config.sigmoid.width)
    if modes > most:
        raise ValueError(f"singular_values: must not outnumber the {most} hidden units, got {modes}")


def sweep(config: ConfigDict) -> dict[str, Axes]:
    own = config.unbalanced
    grids = {
        "sigmoid": traced(size=config.sigmoid.sizes),
        "scale": product(
            static(**{"scale.architecture": config.scale.architectures}),
            traced(relative_scale=config.scale.relative_scales),
        ),
        "unbalanced": traced(relative_scale=own.relative_scales, imbalance=own.imbalances),
    }
    return {part: product(static(part=[part]), grids[part], seeds(config[part].seeds)) for part in config.parts}


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    parts = {"sigmoid": sigmoid, "scale": scale, "unbalanced": unbalanced}
    return parts[config.part](key, config)


def sigmoid(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    """Small Gaussian weights, and the sigmoids that start from the overlap of the weights with each mode."""
    own, s = config.sigmoid, jnp.asarray(config.singular_values)
    basis = jnp.eye(own.width, s.size)  # the weights' law is rotation invariant: any basis is typical
    layers = linear.gaussian_layers(key, [own.width] * 3, scale=jnp.sqrt(config.size))
    trained = descend(layers, basis, basis, s, own.dt, own.steps, own.every)
    growing = (layers[0] @ basis + layers[1].T @ basis) / 2  # one column per mode, the strongest first
    own_part = [growing[:, 0]]
    for mode in range(1, s.size):
        rest = growing[:, mode]
        for stronger in own_part:
            rest = rest - stronger * (stronger @ rest) / (stronger @ stronger)
        own_part.append(rest)
    starts = {
        "law": jnp.stack([part @ part for part in own_part]),
        "overlap": jnp.sum(growing**2, axis=0),
        "naive": jnp.abs(jnp.diagonal(linear.path_maps([layers])[0]))[: s.size],
    }
    curves = {
        name: linear.mode_strength(trained.time[:, None], s=s[None, :], u0=u0[None, :], depth=2) / s
        for name, u0 in starts.items()
    }
    strength = trained.records[0]
    return {
        "strength": strength,
        "law": curves["law"],
        **{f"{name}_error": largest_distance(strength, curve) for name, curve in curves.items()},
        "half_time": crossing(trained.time, strength, 0.5),
        "law_half_time": linear.mode_time(s / 2, s=s, u0=jnp.minimum(starts["law"], 0.49 * s), depth=2),
    }


def scale(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    """Weights of a given relative scale: the exact solution, gradient descent, and what has moved after learning."""
    inputs = ARCHITECTURES[config.scale.architecture][0]
    layers = draw(key, config)
    trained, law = compare(layers, config)
    before, after = (linear.TwoLayer(*ends) for ends in (layers, trained.paths[0]))
    kernels = [linear.two_layer_tangent_kernel(state, jnp.eye(inputs)) for state in (before, after)]
    strength = trained.records[0]
    t10, t50, t90 = (crossing(trained.time, law, level) for level in (0.1, 0.5, 0.9))
    s = jnp.asarray(config.singular_values)
    lazy = -np.log(1 - PROMPT) / (2 * jnp.sqrt(s**2 + config.relative_scale**2 / 4))
    return {
        "strength": strength[::KEEP],
        "law": law[::KEEP],
        "law_error": largest_distance(strength, law),
        "half_time": crossing(trained.time, strength, 0.5),
        "law_half_time": t50,
        "kernel_moved": turned(*kernels),
        "kernel_changed": jnp.linalg.norm(kernels[1] - kernels[0]) / jnp.linalg.norm(kernels[0]),
        "input_moved": turned(before.input_gram, after.input_gram),
        "output_moved": turned(before.output_gram, after.output_gram),
        "duration": jnp.mean((t90 - t10) / t50),
        "prompt": jnp.mean(jax.vmap(jnp.interp, (0, None, 1))(lazy, trained.time, strength)),
    }


def unbalanced(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    """The exact solution, handed weights for which it is only an approximation."""
    for_layers, for_noise = jax.random.split(key)
    layers = draw(for_layers, config)
    noise = [normal(k, w.shape) for k, w in zip(jax.random.split(for_noise), layers, strict=True)]
    size = jnp.sqrt(sum(jnp.sum(w**2) for w in layers) / sum(jnp.sum(x**2) for x in noise))
    broken = tuple(w + config.imbalance * size * x for w, x in zip(layers, noise, strict=True))
    trained, law = compare(broken, config)
    return {"law_error": largest_distance(trained.records[0], law)}


def task_of(config: ConfigDict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Output directions, input directions and singular values of the task, as constants of the program."""
    s = np.asarray(config.singular_values, np.float32)
    inputs, _, outputs = ARCHITECTURES[config.scale.architecture]
    left, right = (np.eye(size, s.size, dtype=np.float32) for size in (outputs, inputs))
    return left, right, s


def draw(key: jax.Array, config: ConfigDict) -> tuple[jax.Array, jax.Array]:
    own = config.scale
    first, second = linear.random_balanced_pair(
        key, ARCHITECTURES[own.architecture], strengths=own.strength, relative_scale=config.relative_scale
    )
    return first, second


def compare(layers: tuple[jax.Array, ...], config: ConfigDict) -> tuple[linear.LayeredRun, jax.Array]:
    """Gradient descent from some weights, and the strengths of the modes by the exact solution at the same times."""
    own, (left, right, s) = config.scale, task_of(config)
    trained = descend(layers, left, right, s, own.dt, own.steps, own.every)
    times = np.arange(0, own.steps + 1, own.every) * own.dt
    most = np.hypot(max(s), max(abs(x) for x in (*own.relative_scales, *config.unbalanced.relative_scales)))
    exact = linear.two_layer_flow(
        times,
        first=layers[0],
        second=layers[1],
        sigma_yx=(left * s) @ right.T,
        tolerance=np.inf,  # where the weights are not balanced, that is the question
        substeps=max(1, int(np.ceil(own.every * own.dt * most))),
    )
    return trained, jax.vmap(lambda omega: linear.project(omega, left=left, right=right).strength)(exact.linear_map) / s


def descend(layers: Any, left: Any, right: Any, s: Any, dt: float, steps: int, every: int) -> linear.LayeredRun:
    def observe(paths, basis):
        left, right, s = basis
        seen = linear.project(linear.path_maps(paths)[0], left=left, right=right)
        return seen.strength / s, seen.off_diagonal

    basis = tuple(jnp.asarray(x) for x in (left, right, s))
    return linear.descend(
        [layers],
        sigma_yx=(left * s) @ right.T,
        rate=dt,
        steps=steps,
        every=every,
        observe=observe,
        context=basis,
    )


def largest_distance(strength: jax.Array, law: jax.Array) -> jax.Array:
    """Largest over time, mean over modes; both as shares of the singular value."""
    return jnp.mean(jnp.max(jnp.abs(strength - law), axis=0))


def crossing(time: jax.Array, curves: jax.Array, level: float) -> jax.Array:
    """When each curve, of shape (records, modes), first reaches a level; NaN if it does not."""
    reached = curves >= level
    after = jnp.argmax(reached, axis=0)
    before = jnp.maximum(after - 1, 0)
    column = jnp.arange(curves.shape[1])
    y0, y1 = curves[before, column], curves[after, column]
    part = jnp.where(y1 > y0, (level - y0) / jnp.where(y1 > y0, y1 - y0, 1), 0)
    found = time[before] + part * (time[after] - time[before])
    return jnp.where(reached.any(axis=0), found, jnp.nan)


def turned(a: jax.Array, b: jax.Array) -> jax.Array:
    """1 - cosine of the angle between two matrices: 0 if one is a multiple of the other."""
    return 1 - jnp.sum(a * b) / jnp.sqrt(jnp.sum(a**2) * jnp.sum(b**2))


def figure(results: "xr.DataTree") -> "Figure":
    """Sigmoids and their limits (top), and what the relative scale does (bottom)."""
    from brainjax import plots

    drawn = [
        ("sigmoid", draw_sigmoids),
        ("sigmoid", draw_sigmoid_error),
        ("unbalanced", draw_unbalanced),
        ("scale", draw_progress),
        ("scale", draw_movement),
        ("scale", draw_prompt),
    ]
    return plots.panels(parts_of(results, AXES), drawn, rows=2, columns=3, height=4.3)


def times_of(data: "xr.Dataset", part: str) -> np.ndarray:
    own = setting(data, part)
    return np.arange(0, own["steps"] + 1, own["every"]) * own["dt"]


def draw_sigmoids(ax: Any, data: "xr.Dataset") -> None:
    """One network from small Gaussian weights, mode by mode, beside its sigmoids."""
    from brainjax import plots

    here = data.sel(size=0.001, method="nearest").isel(seed=0)
    time = times_of(data, "sigmoid")
    values = setting(data, "singular_values")
    for mode, look in enumerate(plots.line_styles(len(values))):
        ax.plot(
            time, here.strength.isel(mode=mode), color=look["color"], linewidth=1.3, label=f"$s$ = {values[mode]:g}"
        )
        ax.plot(time, here.law.isel(mode=mode), color="black", linewidth=0.9, linestyle=(0, (2, 2)))
    ax.set(xlabel="time (time constants)", ylabel="strength (share of $s$)", ylim=(-0.03, 1.35))
    ax.set_title(f"gradient descent, and sigmoids\n(dashed), size {float(here['size']):g}")
    ax.legend(ncols=2, loc="upper left", columnspacing=1, handlelength=1.5)


def draw_sigmoid_error(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    looks = plots.line_styles(3)
    for name, label, look in (
        ("law_error", "own part of the overlap", looks[0]),
        ("overlap_error", "overlap with the mode", looks[1]),
        ("naive_error", "strength of the map", looks[2]),
    ):
        plots.intervals(ax, data["size"], data[name].transpose("size", "seed"), label=label, **look)
    ax.axhline(BOUND, color="black", linewidth=0.8, linestyle=":")
    ax.set(xscale="log", yscale="log", xlabel="size of the initial map", ylabel="error of sigmoid (share of $s$)")
    low, high = ax.get_ylim()
    ax.set_ylim(low, high * (high / low) ** 0.7)  # room for the legend
    ax.legend(title="sigmoid starts from", alignment="left", loc="upper left")


def draw_unbalanced(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    scales = data.relative_scale.values
    places = np.maximum(data.imbalance.values, 0.003)  # zero stands at the left end of the logarithmic axis
    for value, look in zip(scales, plots.line_styles(len(scales)), strict=True):
        error = data.law_error.sel(relative_scale=value).transpose("imbalance", "seed")
        plots.intervals(ax, places, error, label=f"$\\lambda$ = {value:g}", **look)
    ax.axhline(BOUND, color="black", linewidth=0.8, linestyle=":")
    ax.set(xscale="log", yscale="log", xlabel="noise on the balanced weights", ylabel="error of law (share of $s$)")
    if data.imbalance.values.min() == 0:
        ticks = [0.003, 0.01, 0.1, 1]
        ax.set_xticks(ticks, ["0", *[f"{x:g}" for x in ticks[1:]]])
        ax.minorticks_off()
    ax.legend(loc="upper left")


def draw_progress(ax: Any, data: "xr.Dataset") -> None:
    """All modes together over time: square networks at some scales, and a funnel whose large layer is too narrow."""
    from brainjax import plots

    time = times_of(data, "scale")[::KEEP]
    least, *_, most = sorted(data.relative_scale.values)
    shown = [("square", x) for x in (0.0, 1.0, most) if x in data.relative_scale.values] + [("funnel", least)]
    shown = [(kind, x) for kind, x in shown if kind in data["scale.architecture"].values]
    for (kind, value), look in zip(shown, plots.line_styles(len(shown)), strict=True):
        here = data.sel({"scale.architecture": kind, "relative_scale": value}).mean("mode")
        rows = here.strength.transpose("seed", "record").values
        mean, low, high = np.array([judge.interval(column)[:3] for column in rows.T]).T
        ax.fill_between(time, low, high, color=look["color"], alpha=0.25, linewidth=0)
        ax.plot(time, mean, color=look["color"], label=f"{kind}, $\\lambda$ = {value:g}")
        ax.plot(time, here.law.mean("seed"), color="black", linewidth=0.9, linestyle=(0, (2, 2)))
    ax.set(xlabel="time (time constants)", ylabel="strength (share of $s$)", xlim=(0, 8))
    ax.set_title("gradient descent, and exact\nsolution (dashed)")
    ax.legend(loc="lower right")


def scale_axis(ax: Any) -> None:
    ax.set_xscale("symlog", linthresh=0.3)
    ax.set_xticks([-10, -1, 0, 1, 10], ["-10", "-1", "0", "1", "10"])
    ax.minorticks_off()
    ax.set_xlabel("relative scale $\\lambda$")


def draw_movement(ax: Any, data: "xr.Dataset") -> None:
    """What has turned in square networks after learning."""
    from brainjax import plots

    here = data.sel({"scale.architecture": data["scale.architecture"].values[0]})
    names = (("kernel_moved", "tangent kernel"), ("input_moved", "input side"), ("output_moved", "output side"))
    for (name, label), look in zip(names, plots.line_styles(3), strict=True):
        plots.intervals(ax, here.relative_scale, here[name].transpose("relative_scale", "seed"), label=label, **look)
    scale_axis(ax)
    ax.set(ylabel="turned (1 - cosine)", ylim=(0, None))
    ax.set_ylim(0, 1.5 * ax.get_ylim()[1])  # room for the legend
    ax.set_title(str(here["scale.architecture"].values))
    ax.legend(loc="upper center")


def draw_prompt(ax: Any, data: "xr.Dataset") -> None:
    """How much is learned at the pace of the lazy limit, by architecture."""
    from brainjax import plots

    kinds = data["scale.architecture"].values
    for kind, look in zip(kinds, plots.line_styles(len(kinds)), strict=True):
        here = data.prompt.sel({"scale.architecture": kind}).transpose("relative_scale", "seed")
        plots.intervals(ax, data.relative_scale, here, label=kind, **look)
    ax.axhline(PROMPT, color="black", linewidth=0.8, linestyle=":")
    scale_axis(ax)
    ax.set(ylabel="learned in lazy time (share of $s$)", ylim=(0, 1.55), yticks=np.arange(0, 1.1, 0.2))
    ax.set_title(f"when the lazy limit is at {PROMPT:.0%}")
    ax.legend(loc="upper center")


def claims(results: "xr.DataTree") -> list[Claim]:
    """What the theory says about networks that it was not made for, and what the relative scale does."""
    judges = {"sigmoid": sigmoid_claims, "scale": scale_claims, "unbalanced": unbalanced_claims}
    return [claim for name, data in parts_of(results, AXES).items() for claim in judges[name](data)]


def sigmoid_claims(data: "xr.Dataset") -> list[Claim]:
    where = "Saxe et al. 2014, section 1.2; our start of the sigmoid"
    sizes = np.sort(data["size"].values)
    smallest = data.sel(size=sizes[0])
    gap = abs(smallest.half_time / smallest.law_half_time - 1).mean("mode")
    found = [
        judge.below(
            "sigmoids, smallest weights",
            f"networks of small Gaussian weights follow the sigmoid of each mode to {BOUND:g} s at all times",
            where,
            smallest.law_error,
            than=BOUND,
            unit="largest error over time / s, mean over modes",
            detail=f"size {sizes[0]:g}, started from the own part of the overlap",
        ),
        judge.below(
            "sigmoids from the whole overlap",
            f"they do so also if stronger modes are left out of account: to {BOUND:g} s from the whole overlap",
            where,
            smallest.overlap_error,
            than=BOUND,
            unit="largest error over time / s, mean over modes",
            detail=f"size {sizes[0]:g}",
        ),
        judge.below(
            "half times",
            "the sigmoid gives the time at which half of a mode is learned to 5 %",
            where,
            gap,
            than=0.05,
            unit="relative error, mean over modes",
            detail=f"size {sizes[0]:g}",
        ),
        judge.greater(
            "overlap, not strength",
            "a sigmoid started from the strength of the initial map is further off than one started from the overlap",
            where,
            smallest.naive_error,
            than=smallest.overlap_error,
            unit="difference of errors / s",
        ),
        judge.increasing(
            "strong modes first",
            "modes are half learned in the order of their singular values",
            "Saxe et al. 2014, Figure 3",
            {f"mode {mode + 1}": smallest.half_time.isel(mode=mode) for mode in range(data.sizes["mode"])},
            unit="time constants",
        ),
    ]
    if len(sizes) > 1:
        found.append(
            judge.increasing(
                "smaller is closer",
                "the sigmoids are the better the smaller the initial weights",
                where,
                {f"{size:g}": data.law_error.sel(size=size) for size in sizes},
                unit="error / s",
            )
        )
    return found


def scale_claims(data: "xr.Dataset") -> list[Claim]:
    found = []
    for kind in data["scale.architecture"].values:
        here = data.sel({"scale.architecture": kind})
        inputs, hidden, outputs = ARCHITECTURES[str(kind)]
        for sign, name in ((1, "positive"), (-1, "negative")):
            levels = sorted((x for x in here.relative_scale.values if x * sign >= 0), key=abs)
            if len(levels) < 2:
                continue
            sides = {f"{x:g}": here.sel(relative_scale=x) for x in levels}
            reaches = hidden >= (outputs if sign > 0 else inputs)  # the large layer: the second if positive
            found.append(pace_claim(f"{kind}, {name} scale", sides[f"{levels[-1]:g}"].prompt, reaches))
            if kind == "square":
                found += lazy_claims(f"square, {name} scale", sides, levels[-1], np.asarray(values_of(data)))
    return found


def values_of(data: "xr.Dataset") -> list[float]:
    return setting(data, "singular_values")


def pace_claim(where: str, prompt: "xr.DataArray", reaches: bool) -> Claim:
    """Whether the large layer reaches every direction of its side decides if learning is lazy."""
    source, unit = "Dominé et al. 2024, section 5; our derivation of the condition", "share of s"
    if reaches:
        return judge.within(
            f"lazy pace, {where}",
            f"at the largest relative scale {PROMPT:.0%} of the task is learned when the lazy limit says so, to 0.02",
            source,
            prompt,
            low=PROMPT - 0.02,
            high=PROMPT + 0.02,
            unit=unit,
        )
    return judge.below(
        f"learned late, {where}",
        "the large layer has too few units for its side: at the largest relative scale a part is learned late",
        source,
        prompt,
        than=PROMPT - 0.05,
        unit=unit,
    )


def lazy_claims(where: str, sides: "dict[str, xr.Dataset]", value: float, values: np.ndarray) -> list[Claim]:
    """What a large relative scale does to a network whose layers reach every direction."""
    far, source = sides[f"{value:g}"], "Dominé et al. 2024, section 5"
    lazy = np.log(2) / (2 * np.sqrt(values**2 + value**2 / 4))
    large, small = (far.output_moved, far.input_moved) if value > 0 else (far.input_moved, far.output_moved)
    return [
        judge.decreasing(
            f"lazy kernel, {where}",
            "the tangent kernel turns the less the larger the relative scale",
            source,
            {level: side.kernel_moved for level, side in sides.items()},
            unit="1 - cosine",
        ),
        judge.increasing(
            f"from sigmoid to exponential, {where}",
            "the larger the relative scale, the longer the rise of a mode, relative to its half time",
            source,
            {level: side.duration for level, side in sides.items()},
            unit="(t90 - t10) / t50",
        ),
        judge.within(
            f"exponential, {where}",
            "at the largest relative scale the rise is that of an exponential to 5 %",
            source,
            far.duration,
            low=0.95 * EXPONENTIAL,
            high=1.05 * EXPONENTIAL,
            unit="(t90 - t10) / t50",
        ),
        judge.below(
            f"lazy half time, {where}",
            "at the largest relative scale half a mode is learned at ln 2 / (2 sqrt(s^2 + scale^2 / 4)), to 10 %",
            "rate of the exact solution",
            abs(far.half_time / lazy - 1).mean("mode"),
            than=0.1,
            unit="relative error, mean over modes",
        ),
        judge.greater(
            f"one side stays rich, {where}",
            "at the largest relative scale the small layer's similarities turn, more than the large layer's",
            source,
            small,
            than=large,
            unit="1 - cosine",
        ),
    ]


def unbalanced_claims(data: "xr.Dataset") -> list[Claim]:
    levels = np.sort(data.imbalance.values)
    broken = levels[levels > 0]
    found = []
    for value in data.relative_scale.values:
        here = data.law_error.sel(relative_scale=value)
        for level in broken[(broken >= 0.1) & (broken < 1)][:1]:
            found.append(
                judge.below(
                    f"noise of {level:g}, scale {value:g}",
                    f"weights off the condition by {level:g} of their norm follow the exact solution to {BOUND:g} s",
                    "our test of the solution",
                    here.sel(imbalance=level),
                    than=BOUND,
                    unit="largest error over time / s, mean over modes",
                )
            )
        if len(broken) > 1:
            found.append(
                judge.increasing(
                    f"more noise, scale {value:g}",
                    "the exact solution is the further off the more the weights break its condition",
                    "our test of the solution",
                    {f"{level:g}": here.sel(imbalance=level) for level in broken},
                    unit="error / s",
                )
            )
    return found
