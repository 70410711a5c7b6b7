r"""The effect of initial rank on richness across gains, through the transition at which activity no longer dies out.

Liu, Baratin, Cornford, Mihalas, Shea-Brown & Lajoie (ICLR 2024) compare ranks at one Frobenius norm; their reviewers
asked whether the effect of rank is one of gain. Truncation at one norm makes the gain of the dynamics random: at rank 1
the only eigenvalue is close to a Gaussian number of standard deviation g.

Run:  brainjax run rich_lazy/gain_control [--variant=quick]
Cost: under 10 min on 2 cores (quick: 20 s).

Rectified networks of independent Gaussian weights multiply the mean square of their activity by :math:`g^2/2` in every
step, so that it dies out below :math:`g = \sqrt 2` and grows above (Kadmon & Sompolinsky 2015). On both sides ranks are
compared twice: at one Frobenius norm, as published, and at one spectral radius, which leaves no start more or less
stable than the other (to linear order, in the units that are on). The gap is kernel alignment minus that of full rank,
paired by seed: same base matrix up to the gain, same input and readout weights, batches and probes.

Kernel alignment is blind to scale: the relative change of the weights, which falls with gain for the mere reason that
its denominator grows, is shown beside it. Steps are fewer than in ``rich_lazy/rank_sweep``.
"""

import json
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from brainjax import claims as judge
from brainjax import initializers, tasks, training
from brainjax.claims import Claim
from brainjax.sweep import Axes, parts_of, product, seeds, static, traced

if TYPE_CHECKING:  # what only the figure needs is imported when it is drawn
    import xarray as xr
    from matplotlib.figure import Figure

PAPER = "liu2024"
MEASURES = ("kernel_alignment", "decision_alignment", "sign_similarity", "representation_alignment", "relative_change")
DIMS = {
    **dict.fromkeys(MEASURES, ()),  # at the end of training
    **{f"level_{name}": () for name in MEASURES},  # at a given loss
    "updates_to_level": (),  # -1 for a network that never got there
    "null_alignment": (),
    "spectral_radius": (),
    "largest_singular_value": (),
    "norm": (),
    "silent": (),
    "final_loss": (),
    "accuracy": (),
}
AXES = {"gain": ("normalize", "rank", "gain")}
ARMS = {"frobenius": "equal Frobenius norm", "radius": "equal spectral radius"}
TRANSITION = np.sqrt(2)


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict(
        {
            "seed": 0,
            "task": "two_alternative",
            "units": 100,
            "rank": 1,
            "gain": 1.25,
            "normalize": "frobenius",
            "rate": 0.003,
            "momentum": 0.9,
            "batch": 32,
            "steps": 4000,
            "window": 100,
            "level": 0.01,  # nats per step above the floor
            "probes": 320,
            "kernel_probes": 32,
            "tests": 4096,
            "gains": (0.5, 0.75, 1.0, 1.25, 1.5, 1.75),
            "ranks": (1, 100),
            "arms": tuple(ARMS),
            "seeds": 16,
        }
    )
    if variant == "quick":
        config.update({"units": 24, "ranks": (1, 24), "gains": (0.75, 1.75), "arms": ("frobenius",)})
        config.update({"seeds": 4, "steps": 300, "level": 0.3})
        config.update({"probes": 64, "kernel_probes": 6, "tests": 256, "window": 50})
    elif variant:
        raise ValueError(f"variant: 'quick', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if config.task not in tasks.DECISION_TASKS:
        raise ValueError(f"task: must be one of {', '.join(tasks.DECISION_TASKS)}, got {config.task!r}")
    if not config.gain > 0:
        raise ValueError(f"gain: must be positive, got {config.gain}")
    if not 1 <= config.rank <= config.units:
        raise ValueError(f"rank: must be 1 to units = {config.units}, got {config.rank}")
    if list(config.ranks) != sorted(config.ranks) or config.ranks[-1] != config.units:
        raise ValueError(f"ranks: must increase and end with units = {config.units}, got {config.ranks}")


def sweep(config: ConfigDict) -> dict[str, Axes]:
    grid = product(static(normalize=config.arms), traced(rank=config.ranks), traced(gain=config.gains))
    return {"gain": product(grid, seeds(config.seeds))}


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    task = tasks.DECISION_TASKS[config.task]
    start = initializers.rank_structured(
        spectrum=initializers.truncated(config.rank), gain=config.gain, normalize=config.normalize
    )

    def weights(key: jax.Array) -> jax.Array:
        return start(key, (config.units, config.units), jnp.result_type(float))

    for_networks, for_training = jax.random.split(key)
    own, independent = training.independent_networks(for_networks, weights, task)
    with jax.ensure_compile_time_eval():
        floor = float(task.entropy_floor())
    found = training.learn_decisions(
        for_training,
        own,
        task=task,
        transform=optax.sgd(config.rate, momentum=config.momentum),
        steps=config.steps,
        every=config.steps,
        batch=config.batch,
        window=config.window,
        level=floor + config.level,
        probes=config.probes,
        kernel_probes=config.kernel_probes,
        tests=config.tests,
        independent=independent,
    )
    initial = found.initial._asdict()
    return {
        **{name: getattr(found.records, name)[-1] for name in MEASURES},
        **{f"level_{name}": getattr(found.at_level, name) for name in MEASURES},
        **{name: initial[name] for name in DIMS if name in initial},
        "updates_to_level": found.updates_to_level,
        "final_loss": jnp.mean(found.loss[-max(1, found.loss.size // 5) :]) - floor,
        "accuracy": found.accuracy,
    }


def named(results: "xr.DataTree") -> "xr.Dataset":
    """The result; silent networks, which have no kernel to align, left out."""
    data = parts_of(results, AXES)["gain"]
    heard = {name: data[name].where(data.silent == 0) for name in (*MEASURES, "null_alignment")}
    reached = (data.updates_to_level > 0) & (data.silent == 0)
    heard.update({f"level_{name}": data[f"level_{name}"].where(reached) for name in MEASURES})
    return data.assign(heard)


def gap(values: "xr.DataArray", rank: int) -> "xr.DataArray":
    """Difference of a rank to full rank, paired by seed."""
    return values.sel(rank=rank, drop=True) - values.isel(rank=-1, drop=True)


def at_equal_radius(gaps: np.ndarray, radii: np.ndarray) -> float:
    """Where the regression of the gaps on the differences of radii, over seeds and gains, meets equal radii."""
    return float(np.polyfit(radii.ravel(), gaps.ravel(), 1)[1])


# ------------------------------------------------------------------------------------------------------------- figure
def figure(results: "xr.DataTree") -> "Figure":
    """Kernel alignment against gain in both arms; the gap against gain and against the difference of radii."""
    from brainjax import plots

    data = named(results)
    with plots.style():
        page, axes = plots.subplots(2, 3, width="page", height=4.3)
        for number, arm in enumerate(data.normalize.values[:2]):
            draw_alignment(axes[0, number], data.sel(normalize=arm), ARMS[str(arm)], number == 0)
        if data.sizes["normalize"] < 2:
            axes[0, 1].set_visible(False)
        draw_change(axes[0, 2], data.isel(normalize=0))
        draw_gap(axes[1, 0], data, "kernel_alignment", "after all updates")
        draw_gap(axes[1, 1], data, "level_kernel_alignment", "at equal loss")
        draw_radius(axes[1, 2], data.isel(normalize=0))
        plots.letter(ax for ax in axes.flat if ax.get_visible())
    return page


def draw_alignment(ax: Any, data: "xr.Dataset", title: str, first: bool) -> None:
    from brainjax import plots

    for rank, look in zip(data["rank"].values, plots.line_styles(data.sizes["rank"]), strict=True):
        rows = data.kernel_alignment.sel(rank=rank).transpose("gain", "seed")
        plots.intervals(ax, data.gain, rows, label=str(rank), **look)
    gain_axis(ax)
    ax.set(title=title, ylim=(0, 1.3), yticks=np.arange(0, 1.1, 0.2), ylabel="kernel alignment" if first else "")
    if first:
        ax.legend(title="rank", alignment="left", loc="upper left", ncols=3, columnspacing=1)


def draw_change(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    for rank, look in zip(data["rank"].values, plots.line_styles(data.sizes["rank"]), strict=True):
        rows = data.relative_change.sel(rank=rank).transpose("gain", "seed")
        plots.intervals(ax, data.gain, rows, label=str(rank), **look)
    gain_axis(ax)
    ax.set(ylabel="relative change of weights", title=ARMS[str(data.normalize.values)])
    ax.set_ylim(bottom=0)


def draw_gap(ax: Any, data: "xr.Dataset", measure: str, title: str) -> None:
    """Lowest rank minus full rank, in both arms."""
    from brainjax import plots

    low = int(data["rank"][0])
    for arm, look in zip(data.normalize.values, plots.line_styles(data.sizes["normalize"]), strict=True):
        rows = gap(data[measure].sel(normalize=arm), low).transpose("gain", "seed")
        plots.intervals(ax, data.gain, rows, label=ARMS[str(arm)], **look)
    ax.axhline(0, color="black", linewidth=0.6)
    gain_axis(ax)
    ax.set(title=title, ylabel=f"gap of rank {low} to full rank", ylim=(-1, 0.7))
    ax.legend(loc="upper left")


def draw_radius(ax: Any, data: "xr.Dataset") -> None:
    """The gap of every seed and gain against the difference of the spectral radii."""
    from brainjax import plots

    lowest = int(data["rank"][0])
    x, y = gap(data.spectral_radius, lowest), gap(data.kernel_alignment, lowest)
    for gain, look in zip(data.gain.values, plots.line_styles(data.sizes["gain"]), strict=True):
        here = (values.sel(gain=gain).values for values in (x, y))
        ax.plot(*here, linestyle="none", marker=look["marker"], markersize=2.5, color=look["color"], label=f"{gain:g}")
    ax.axhline(0, color="black", linewidth=0.6)
    ax.axvline(0, color="black", linewidth=0.6)
    ax.set(xlabel="difference of $|\\lambda_1|$ to full rank", ylabel=f"gap of rank {lowest} to full rank")
    ax.set_title(ARMS[str(data.normalize.values)])
    low, high = ax.get_xlim()
    ax.set_xlim(low, high + 0.3 * (high - low))  # room for the legend
    ax.legend(title="gain", alignment="left", loc="upper right", handlelength=1, labelspacing=0.2, fontsize=6)


def gain_axis(ax: Any) -> None:
    ax.axvline(TRANSITION, color="black", linewidth=0.6, linestyle=":")
    ax.set_xlabel("gain $g$ (dotted: $\\sqrt{2}$)")


# ------------------------------------------------------------------------------------------------------------- claims
def claims(results: "xr.DataTree") -> list[Claim]:
    data = named(results)
    if data.sizes["rank"] < 2:
        return []
    low, task = int(data["rank"][0]), json.loads(data.attrs["config"])["task"]
    unit = f"kernel alignment, rank {low} minus full rank"
    source = "their control of the initial gain, in the appendix"
    sides = {"below": data.gain < TRANSITION, "above": data.gain > TRANSITION}
    sides = {name: side for name, side in sides.items() if bool(side.any())}
    of = {str(arm): gap(data.kernel_alignment.sel(normalize=arm), low) for arm in data.normalize.values}
    each = 1 - 0.05 / (len(of) * len(sides))  # Bonferroni over arms and sides
    found = [
        judge.below(
            f"{ARMS[arm]}, {side} the transition",
            f"with {ARMS[arm]}, rank {low} turns the kernel further than full rank, on average over gains {side} √2",
            source,
            values.sel(gain=sides[side]).mean("gain", skipna=False),  # a seed that diverged at one gain counts as lost
            confidence=each,
            unit=unit,
        )
        for arm, values in of.items()
        for side in sides
    ]
    if set(of) == set(ARMS) and "below" in sides:
        found.append(
            judge.greater(
                "stable starts shrink the gap",
                "below the transition the gap is smaller where ranks start from one spectral radius",
                source,
                of["radius"].sel(gain=sides["below"]).mean("gain"),
                than=of["frobenius"].sel(gain=sides["below"]).mean("gain"),
                unit=unit,
            )
        )
    if "frobenius" in of:
        at_level = gap(data.level_kernel_alignment.sel(normalize="frobenius"), low)
        radii = gap(data.spectral_radius.sel(normalize="frobenius"), low)
        table = [values.transpose("seed", "gain").values for values in (of["frobenius"], radii)]
        found += [
            judge.below(
                "gap at equal loss",
                f"with equal Frobenius norm the kernel of rank {low} is less aligned when both reach the same loss",
                "our control: low rank and low gain may learn more slowly",
                at_level.mean("gain"),
                unit=unit,
            ),
            judge.below(
                "gap at equal radius",
                "the gap, regressed over all gains on the difference of spectral radii, remains at equal radii",
                "our control",
                judge.jackknife(at_equal_radius, *table),
                unit=unit,
            ),
        ]
    if data.sizes["gain"] > 1:
        full = data.kernel_alignment.isel(rank=-1, normalize=0)
        found.append(
            judge.greater(
                "gain makes lazy",
                f"at full rank the kernel stays more aligned at the largest gain than at the smallest ({task})",
                "the scale of weights, as in Chizat, Oyallon & Bach (2019)",
                full.isel(gain=-1),
                than=full.isel(gain=0),
                unit="kernel alignment",
            )
        )
    return found
