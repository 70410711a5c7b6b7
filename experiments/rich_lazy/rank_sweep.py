r"""Recurrent networks whose initial connectivity has a low rank learn more richly: their tangent kernel turns further.

Liu, Baratin, Cornford, Mihalas, Shea-Brown & Lajoie (ICLR 2024), their first figure: rectified networks of 300 units
(here 100 by default) learn three decision tasks from initial recurrent weights of one Frobenius norm and several ranks.

Run:  brainjax run rich_lazy/rank_sweep [--variant=quick|paper]
Cost: under 30 min on 2 cores (quick: 25 s; paper, 300 units and four ranks: some hours by estimate).

A base matrix of gain g is truncated to its largest singular values and brought back to its norm. With one seed all
ranks share base matrix, input and readout weights, batches, probes and tests: differences to full rank are paired.

Measured at the start, along training, at its end, and at a given loss (``level`` nats above the floor of the task,
which no observer can go below): alignment of the tangent kernel of the recurrent weights with the first one, over all
steps and over the decision alone; that of the rates at the decision, and of the pattern of active units; the change of
weights and of the kernel with scale. Kernel alignment is blind to scale and never stands alone. What it would be by
chance, between the first kernels of independent networks, depends on the rank too, and is subtracted in one claim.

The parts of the experiment:

* ``tasks``: three tasks, matched on the Frobenius norm, as published;
* ``matched``: one task, matched on the spectral radius or on the largest singular value. Truncation at one Frobenius
  norm changes both: the largest singular value grows as :math:`g\sqrt{N/r}`, and at rank 1 the only eigenvalue is close
  to a Gaussian number of standard deviation g: the gap is also regressed on the difference of radii. Where an equal
  radius takes a norm so large that training diverges, the seed is counted and left out.

The sign of the change of the weights' norm is shown, not claimed: it differs between tasks.
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
MEASURES, INITIAL = training.DecisionMeasures._fields, training.InitialMeasures._fields
DIMS = {
    **{name: ("record",) for name in MEASURES},
    **{f"level_{name}": () for name in MEASURES},
    **dict.fromkeys(INITIAL, ()),
    "updates_to_level": (),  # -1 for a network that never got there
    "loss": ("window",),  # in training, nats per step
    "test_loss": (),
    "accuracy": (),
}
PARTS = ("tasks", "matched")
AXES = {"tasks": ("task", "rank"), "matched": ("normalize", "rank")}
TITLES = {"two_alternative": "two alternatives", "delayed_match": "delayed match", "context_decision": "context"}
ARMS = {"frobenius": "Frobenius norm", "radius": "spectral radius", "spectral": "singular value"}
GUESSING = np.log(2) / 8  # loss of one who knows when to decide, and no more
NEAR_FLOOR, EQUAL_LOSS, NEAR_IDEAL = 0.10, 0.04, 0.03


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict(
        {
            "seed": 0,
            "part": "tasks",
            "parts": PARTS,
            "task": "two_alternative",
            "units": 100,
            "rank": 1,
            "gain": 1.25,
            "normalize": "frobenius",
            "rate": 0.003,
            "momentum": 0.9,
            "batch": 32,
            "steps": 10_000,
            "every": 2000,
            "window": 100,
            "level": 0.01,  # nats per step above the floor
            "probes": 320,
            "kernel_probes": 32,
            "tests": 4096,
            "tasks": tuple(TITLES),
            "ranks": (1, 10, 100),
            "matched_task": "two_alternative",
            "matched_ranks": (1, 100),
            "arms": ("radius", "spectral"),
            "seeds": 32,
        }
    )
    if variant == "quick":
        config.update({"units": 24, "ranks": (1, 24), "matched_ranks": (1, 24), "seeds": 4, "steps": 400, "every": 100})
        config.update({"parts": ("tasks",), "tasks": ("two_alternative",), "window": 50, "level": 0.3})
        config.update({"probes": 64, "kernel_probes": 6, "tests": 256})
    elif variant == "paper":
        config.update({"units": 300, "ranks": (1, 30, 100, 300), "matched_ranks": (1, 30, 300)})
    elif variant:
        raise ValueError(f"variant: 'quick' or 'paper', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if not set(config.parts) <= set(PARTS):
        raise ValueError(f"parts: must be among {', '.join(PARTS)}, got {config.parts}")
    if unknown := {config.task, config.matched_task, *config.tasks} - set(TITLES):
        raise ValueError(f"task: must be one of {', '.join(TITLES)}, got {min(unknown)!r}")
    for field in ("ranks", "matched_ranks"):
        if list(config[field]) != sorted(config[field]) or config[field][-1] != config.units:
            raise ValueError(f"{field}: must increase and end with units = {config.units}, got {config[field]}")
    if not 1 <= config.rank <= config.units:
        raise ValueError(f"rank: must be 1 to units = {config.units}, got {config.rank}")
    if not config.gain > 0:
        raise ValueError(f"gain: must be positive, got {config.gain}")


def sweep(config: ConfigDict) -> dict[str, Axes]:
    axes = {
        "tasks": product(static(task=config.tasks), traced(rank=config.ranks)),
        "matched": product(
            static(task=[config.matched_task]), static(normalize=config.arms), traced(rank=config.matched_ranks)
        ),
    }
    return {part: product(static(part=[part]), axes[part], seeds(config.seeds)) for part in config.parts}


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    task = tasks.DECISION_TASKS[config.task]
    start = initializers.rank_structured(
        spectrum=initializers.truncated(config.rank), gain=config.gain, normalize=config.normalize
    )

    def weights(key: jax.Array) -> jax.Array:
        return start(key, (config.units, config.units), jnp.result_type(float))

    for_networks, for_training = jax.random.split(key)
    own, independent = training.independent_networks(for_networks, weights, task)
    found = training.learn_decisions(
        for_training,
        own,
        task=task,
        transform=optax.sgd(config.rate, momentum=config.momentum),
        steps=config.steps,
        every=config.every,
        batch=config.batch,
        window=config.window,
        level=floor(config.task) + config.level,
        probes=config.probes,
        kernel_probes=config.kernel_probes,
        tests=config.tests,
        independent=independent,
    )
    return {
        **found.records._asdict(),
        **{f"level_{name}": value for name, value in found.at_level._asdict().items()},
        **found.initial._asdict(),
        "updates_to_level": found.updates_to_level,
        "loss": found.loss,
        "test_loss": found.test_loss,
        "accuracy": found.accuracy,
    }


def floor(task: str) -> float:
    """Lowest loss that any observer can have, in nats per step."""
    with jax.ensure_compile_time_eval():
        return float(tasks.DECISION_TASKS[task].entropy_floor())


def ideal(task: str) -> float:
    """Highest accuracy that any observer can have."""
    return float(tasks.DECISION_TASKS[task].ideal_accuracy())


# ------------------------------------------------------------------------------------------------ reading the results
def named(results: "xr.DataTree") -> "dict[str, xr.Dataset]":
    """The parts; updates instead of numbers of records; silent networks, which have no kernel to align, left out."""
    parts = parts_of(results, AXES)
    for name, data in parts.items():
        own = json.loads(data.attrs["config"])
        data = data.squeeze("task", drop=True) if name == "matched" and "task" in data.dims else data
        data = data.assign_coords(
            record=np.arange(data.sizes["record"]) * own["every"],
            window=(np.arange(data.sizes["window"]) + 1) * own["window"],
        )
        measures = [*MEASURES, *(f"level_{m}" for m in MEASURES), "null_alignment", "null_decision_alignment"]
        heard = {m: data[m].where(data.silent == 0) for m in measures}
        for m in MEASURES:
            heard[f"level_{m}"] = heard[f"level_{m}"].where(data.updates_to_level > 0)
        parts[name] = data.assign(heard)
    return parts


def last(data: "xr.Dataset", measure: str) -> "xr.DataArray":
    """A measure at the end of training."""
    return data[measure].isel(record=-1) if "record" in data[measure].dims else data[measure]


def gap(values: "xr.DataArray", rank: int) -> "xr.DataArray":
    """Difference of a rank to full rank, paired by seed."""
    return values.sel(rank=rank, drop=True) - values.isel(rank=-1, drop=True)


def at_equal_radius(gaps: np.ndarray, radii: np.ndarray) -> float:
    """Where the regression of the gaps on the differences of radii meets a difference of zero."""
    return float(np.polyfit(radii, gaps, 1)[1])


# ------------------------------------------------------------------------------------------------------------- figure
LOOKS = {
    "kernel_alignment": "kernel",
    "decision_alignment": "kernel, decision",
    "level_kernel_alignment": "kernel, equal loss",
    "null_alignment": "kernel, chance",
    "sign_similarity": "active units",
    "representation_alignment": "rates",
}


def figure(results: "xr.DataTree") -> "Figure":
    """Kernel alignment along training; all measures against rank; controls of norm, gain and radius."""
    from brainjax import plots

    parts = named(results)
    with plots.style():
        page, axes = plots.subplots(3, 3, width="page", height=6.6)
        for ax in axes.flat:
            ax.set_visible(False)
        if "tasks" in parts:
            shown = parts["tasks"].task.values[:3]
            for number, task in enumerate(shown):
                data = parts["tasks"].sel(task=task)
                draw_course(axes[0, number], data, TITLES[task], legend=number == len(shown) - 1)
                draw_ranks(axes[1, number], {label: last(data, name) for name, label in LOOKS.items()}, apart=0.09)
                axes[1, number].set(ylim=(0, 1.02), ylabel="alignment with the start")
            page.legend(
                *axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6, title="second row"
            )
            changes = last(parts["tasks"], "relative_change")
            draw_ranks(axes[2, 0], {TITLES[task]: changes.sel(task=task) for task in parts["tasks"].task.values})
            axes[2, 0].set(ylabel="relative change of weights", ylim=(0, 1.5 * axes[2, 0].get_ylim()[1]))
            axes[2, 0].legend(loc="upper right")
            draw_radius(axes[2, 2], parts["tasks"].isel(task=0))
        if "matched" in parts:
            draw_matched(axes[2, 1], parts)
        for ax in axes[:2, 1:].flat:
            ax.set_ylabel("")
        plots.letter(ax for ax in axes.flat if ax.get_visible())
    return page


def draw_course(ax: Any, data: "xr.Dataset", title: str, *, legend: bool) -> None:
    """Kernel alignment with the start, along training."""
    from brainjax import plots

    ax.set_visible(True)
    course = data.kernel_alignment.assign_coords(record=data.record / 1000).assign_attrs(long_name="kernel alignment")
    course["record"].attrs.update(long_name="update", units="thousands")
    plots.curves(course, "record", hue="rank", ax=ax, legend=legend)
    ax.set(title=title, ylim=(0, 1.02))


def draw_ranks(ax: Any, rows: "dict[str, xr.DataArray]", apart: float = 0.0) -> None:
    """Several quantities against rank, a little beside one another if told so."""
    from brainjax import plots

    ax.set_visible(True)
    for number, (label, values) in enumerate(rows.items()):
        beside = values["rank"] * (1 + apart) ** (number - (len(rows) - 1) / 2)
        look = plots.line_styles(len(rows))[number]
        plots.intervals(ax, beside, values.transpose("rank", "seed"), label=label, **look)
    ranks = np.unique(np.concatenate([values["rank"].values for values in rows.values()]))
    ax.set_xscale("log")
    ax.set_xticks(ranks, [str(r) for r in ranks])
    ax.minorticks_off()
    ax.set_xlabel("rank of the initial weights")


def draw_matched(ax: Any, parts: "dict[str, xr.Dataset]") -> None:
    """Kernel alignment against rank where other norms than Frobenius's are equal."""
    data = parts["matched"]
    own = json.loads(data.attrs["config"])
    rows = {ARMS[arm]: last(data.sel(normalize=arm), "kernel_alignment") for arm in data.normalize.values}
    if "tasks" in parts and own["matched_task"] in parts["tasks"].task.values:
        published = last(parts["tasks"].sel(task=own["matched_task"]), "kernel_alignment")
        rows = {ARMS["frobenius"]: published, **rows}
    draw_ranks(ax, rows, apart=0.06)
    ax.set(ylabel="kernel alignment", ylim=(0, 1.3), title=TITLES[own["matched_task"]], yticks=np.arange(0, 1.1, 0.2))
    ax.legend(title="equal", alignment="left", loc="upper left", labelspacing=0.25)


def draw_radius(ax: Any, data: "xr.Dataset") -> None:
    """Kernel alignment of every network against its initial spectral radius; lines: regressions within a rank."""
    from brainjax import plots

    ax.set_visible(True)
    for rank, look in zip(data["rank"].values, plots.line_styles(data.sizes["rank"]), strict=True):
        here = data.sel(rank=rank)
        x, y = here.spectral_radius.values, last(here, "kernel_alignment").values
        ax.plot(x, y, linestyle="none", marker=look["marker"], markersize=2.5, color=look["color"], label=f"{rank}")
        x, y = (values[np.isfinite(x) & np.isfinite(y)] for values in (x, y))
        if x.size > 2 and np.ptp(x) > 0.3:
            ends = np.array([x.min(), x.max()])
            ax.plot(ends, np.polyval(np.polyfit(x, y, 1), ends), color=look["color"], linewidth=0.8)
    ax.set(xlabel="initial spectral radius $|\\lambda_1|$", ylabel="kernel alignment", ylim=(0, 1.3))
    ax.set(title=TITLES[str(data.task.values)], yticks=np.arange(0, 1.1, 0.2))
    ax.legend(title="rank", alignment="left", loc="upper left", handlelength=1, ncols=4, columnspacing=1)


# ------------------------------------------------------------------------------------------------------------- claims
def claims(results: "xr.DataTree") -> list[Claim]:
    parts = named(results)
    found = []
    if "tasks" in parts:
        found += [claim for task in parts["tasks"].task.values for claim in task_claims(parts["tasks"], str(task))]
    if "matched" in parts:
        found += matched_claims(parts["matched"])
    return found


def task_claims(every: "xr.Dataset", task: str) -> list[Claim]:
    """What is claimed of one task; intervals are widened for all tasks and ranks."""
    data = every.sel(task=task)
    low, below_full = int(data["rank"][0]), data.sizes["rank"] - 1
    found = performance_claims(data, task)
    if not below_full:
        return found
    every_one = 1 - 0.05 / (every.sizes["task"] * below_full)  # Bonferroni over tasks and ranks
    alignment = last(data, "kernel_alignment")
    chance = alignment - data.null_alignment
    said = {
        "turns the kernel further": ("Figure 1", "its kernel ends less aligned with the first", alignment),
        "decision alone": (
            "our control: most outputs are trivial",
            "the decision's kernel ends less aligned",
            last(data, "decision_alignment"),
        ),
        "equal loss": (
            "our control: low rank may learn more slowly",
            "its kernel is less aligned when both have reached the same loss",
            data.level_kernel_alignment,
        ),
        "beyond chance": (
            "our control: chance depends on rank",
            "what its kernel keeps beyond the alignment of independent networks is less",
            chance,
        ),
        "active units": ("Figure 1", "fewer units stay on or off at the decision", last(data, "sign_similarity")),
        "rates": ("Figure 1", "its rates end less aligned", last(data, "representation_alignment")),
    }
    for name, (source, text, values) in said.items():
        found.append(
            judge.below(
                f"{task}: {name}",
                f"from rank {low} instead of full rank, {text}",
                source,
                gap(values, low),
                confidence=every_one,
                unit=f"rank {low} minus full rank",
            )
        )
    radii = gap(data.spectral_radius, low).values
    if radii.size > 3:
        found.append(
            judge.below(
                f"{task}: equal radius",
                f"the gap at rank {low}, regressed on the difference of spectral radii, remains at equal radii",
                "our control: at rank 1 the radius is random",
                judge.jackknife(at_equal_radius, gap(alignment, low).values, radii),
                confidence=every_one,
                unit=f"rank {low} minus full rank",
            )
        )
    found.append(
        judge.increasing(
            f"{task}: graded",
            "kernel alignment grows at every step of rank",
            "Figure 1",
            {str(r): alignment.sel(rank=r).values for r in alignment["rank"].values},
            confidence=1 - 0.05 / every.sizes["task"],
            unit="kernel alignment",
        )
    )
    return found


def performance_claims(data: "xr.Dataset", task: str) -> list[Claim]:
    """That networks have learned the task, and equally well."""
    late = data.loss.isel(window=slice(-max(1, data.sizes["window"] // 5), None)).mean("window")
    lowest, best = floor(task), ideal(task)
    source = "our control: richness is compared at equal performance"
    noisy = lowest > 0.01 * GUESSING  # is there noise that no observer sees through?
    bound, said = (NEAR_FLOOR * lowest, "a tenth of it") if noisy else (0.01 * GUESSING, "1 % of guessing")
    found = [
        judge.below(
            f"{task}: learned",
            f"the loss of the last fifth of training exceeds its floor by less than {said}, at every rank",
            source,
            late.max("rank") - lowest,
            than=bound,
            unit="nats per step, most over ranks",
        ),
        judge.within(
            f"{task}: accuracy",
            f"at every rank the accuracy is within {NEAR_IDEAL:g} of the ideal observer's, {best:.4f}",
            source,
            data.accuracy.min("rank") - best,
            low=-NEAR_IDEAL,
            high=NEAR_IDEAL,
            unit="share of choices, least over ranks",
        ),
    ]
    if noisy:
        found.append(
            judge.below(
                f"{task}: equal performance",
                f"the loss of the last fifth of training differs from that of full rank by less than {EQUAL_LOSS:.0%}",
                source,
                abs(late / late.isel(rank=-1) - 1).max("rank"),
                than=EQUAL_LOSS,
                unit="relative, most over ranks",
            )
        )
    return found


def matched_claims(data: "xr.Dataset") -> list[Claim]:
    """That the effect of rank is not one of another norm."""
    low = int(data["rank"][0])
    if data.sizes["rank"] < 2:
        return []
    confidence = 1 - 0.05 / (data.sizes["normalize"] * (data.sizes["rank"] - 1))
    return [
        judge.below(
            f"equal {ARMS[arm]}",
            f"with one {ARMS[arm]} instead of one Frobenius norm, the kernel of rank {low} ends less aligned",
            "our control",
            gap(last(data.sel(normalize=arm), "kernel_alignment"), low),
            confidence=confidence,
            unit=f"rank {low} minus full rank",
        )
        for arm in data.normalize.values
    ]
