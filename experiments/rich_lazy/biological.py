r"""Connectivity as in brains has a lower effective rank than Gaussian weights: does its kernel turn more in learning?

Liu, Baratin, Cornford, Mihalas, Shea-Brown & Lajoie (ICLR 2024), their second figure, in our own version: its code and
tables are not public. Rectified networks learn a choice between two alternatives from initial recurrent weights of one
norm, that of a Gaussian matrix of gain g with the same seed. Input and readout weights, batches, probes and tests are
the same too: differences to Gaussian weights are paired. Constraints act at the start only. Updates are fewer, larger
and clipped, unlike in the published runs; ``paper`` has 10,000 of their size, and 100 units.

Run:  brainjax run rich_lazy/biological [--variant=quick|paper]
Cost: under 10 min on 2 cores with the connectomes (quick: 30 s).

The circuits, each with arms of its own:

* ``synthetic``: signs by presynaptic unit (Dale), 80 % excitatory, with and without balance; four cell types of cortex;
  over-represented reciprocal connections; units with many connections (hubs), and these in chains. The cell types
  follow who inhibits whom in :cite:`pfeffer2013`; the numbers are ours, and schematic;
* ``witvliet_1``, the worm's first larval stage (with ``paper`` also ``witvliet_8``, the adult), and ``fly_optic_lobe``,
  the signed table of cell types of the fly: cells that both receive and send. Beside each the same degrees with other
  partners (``rewired``), the same weights in other places (``scattered``), and other signs (``random signs``). The
  worm's weights are counts, without signs. The files are no part of brainjax: ``brainjax.data.connectome`` says how to
  get them. A circuit that is not on this machine is left out, and figure and claims say so.

All arms are matched on the Frobenius norm, as published, and then on the spectral radius.

**Effective ranks disagree**, and an outlying eigenvalue lowers some of them while it raises the spectral radius: so all
of them, the radius and the largest singular value stand beside the alignment, and claims ask which predicts it best.
Kernel alignment is blind to scale and never stands alone. Networks that do not learn have no alignment to compare; they
are counted. The sign of the change of the weights' norm is recorded and not claimed.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from brainjax import claims as judge
from brainjax import data, initializers, tasks, training
from brainjax.claims import Claim
from brainjax.core import spectra
from brainjax.sweep import Axes, parts_of, product, seeds, setting, static, traced

if TYPE_CHECKING:  # what only the figure needs is imported when it is drawn
    import xarray as xr
    from matplotlib.figure import Figure

PAPER = "liu2024"
MEASURES, INITIAL = training.DecisionMeasures._fields, training.InitialMeasures._fields
MORE_RANKS = ("energy_rank", "amplitude_participation")  # beyond those that every trained network reports
DIMS = {
    **{name: ("record",) for name in MEASURES},
    **{f"level_{name}": () for name in MEASURES},
    **dict.fromkeys((*INITIAL, *MORE_RANKS), ()),
    "updates_to_level": (),  # -1 for a network that never got there
    "loss": ("window",),  # in training, nats per step
    "test_loss": (),
    "accuracy": (),
}
Groups = dict[tuple[str, int], Any]  # results by circuit and matching
MATCHINGS = ("frobenius", "radius")
EQUAL = ("equal Frobenius norm", "equal spectral radius")
ARMS = {
    "synthetic": ("Gaussian", "Dale", "Dale, balanced", "cell types", "reciprocal", "hubs", "chains"),
    "connectome": ("Gaussian", "measured", "rewired", "scattered", "random signs"),
}
TITLES = {"synthetic": "synthetic", "fly_optic_lobe": "fly, cell types", "witvliet_1": "worm, L1"}
TITLES |= {"witvliet_8": "worm, adult"}
# Four types of cortex, excitatory first; tables have the axes (post, pre).
FRACTIONS = (0.8, 0.08, 0.07, 0.05)  # E, PV, SST, VIP
PROBABILITIES = ((0.2, 0.6, 0.4, 0.05), (0.4, 0.6, 0.3, 0.05), (0.3, 0.05, 0.05, 0.6), (0.3, 0.05, 0.4, 0.05))
STRENGTHS, SIGNS = ((1.0, 2.0, 2.0, 2.0),) * 4, (1, -1, -1, -1)
GUESSING = np.log(2) / 8  # loss of one who knows when to decide, and no more: above it, a network has not learned
LOWER = 0.9  # of Gaussian weights' rank: what we call a lower rank
ALIKE = 0.1  # of alignment: what we call the same
NEAR_IDEAL = 0.03  # of accuracy
OURS = "our control"
OUTCOMES = {
    "kernel_alignment": "kernel alignment",
    "decision_alignment": "alignment of the decision's kernel",
    "level_kernel_alignment": "kernel alignment at equal loss",
    "beyond_chance": "kernel alignment beyond that of independent networks",
}
PREDICTORS = {
    "eigenvalue_rank": "eigenvalue rank",
    "effective_rank": "entropy rank",
    "amplitude_participation": "participation of s",
    "participation_ratio": "participation of s²",
    "energy_rank": "energy rank",
    "stable_rank": "stable rank",
    "spectral_radius": "spectral radius",
    "largest_singular_value": "singular value",
    "null_alignment": "alignment by chance",
}
RIVALS = ("effective_rank", "participation_ratio", "stable_rank", "spectral_radius")
PAIRS = (  # of which circuits, at which matching; two arms; what is claimed of the first
    ("synthetic", 0, "Dale, balanced", "Gaussian", "alike", "with balanced signs the kernel ends as aligned"),
    ("synthetic", 1, "Dale, balanced", "Gaussian", "alike", "with balanced signs the kernel ends as aligned"),
    ("synthetic", 1, "Dale, balanced", "Dale", "more", "balance of signs leaves the kernel more aligned"),
    ("connectome", 0, "measured", "rewired", "alike", "degrees suffice: with other partners it ends as aligned"),
    ("connectome", 0, "random signs", "measured", "more", "with random signs the kernel ends more aligned"),
)
MARKS = {  # what, how far below the line of its arm, how it looks
    "kernel_alignment": ("kernel", 0.0, {"marker": "o", "color": "black", "markersize": 3.5}),
    "decision_alignment": ("kernel, decision", 0.25, {"marker": "s", "color": "0.5", "markersize": 2.5}),
    "null_alignment": ("kernel, by chance", -0.25, {"marker": "D", "color": "0.7", "markersize": 2.2}),
}
COLUMNS = {
    "eigenvalue_rank": ("rank", 1.12),
    "spectral_radius": (r"$|\lambda_1|$", 1.26),
    "largest_singular_value": ("$s_1$", 1.41),
    "relative_change": (r"$\Delta W$", 1.56),
    "lost": ("failed", 1.75),
}


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict(
        {
            "seed": 0,
            "part": "synthetic",
            "parts": ("synthetic", "witvliet_1", "fly_optic_lobe"),
            "arm": 0,  # of those of the circuit, which is the part
            "units": 64,  # of synthetic circuits
            "gain": 1.25,
            "matching": 0,  # the norm in which arms are equal: MATCHINGS
            "matchings": (0, 1),
            "task": "two_alternative",
            "reciprocal": 0.5,  # correlation of a weight with the one in return
            "heterogeneity": 1.0,  # coefficient of variation of in- and out-strengths, in hubs and chains
            "chain": 0.8,  # their correlation, in chains
            "rate": 0.01,
            "momentum": 0.9,
            "clip": 1.0,  # norm of the gradient; a large outlier would else silence all units in the first update
            "batch": 32,
            "steps": 1000,
            "every": 1000,
            "window": 50,
            "level": 0.02,  # nats per step above the floor of the task
            "probes": 320,
            "kernel_probes": 16,
            "tests": 4096,
            "seeds": 32,
        }
    )
    if variant == "quick":
        config.update({"parts": ("synthetic",), "units": 20, "seeds": 4, "steps": 400, "every": 400, "window": 100})
        config.update({"probes": 64, "kernel_probes": 6, "tests": 256, "level": 0.3})
    elif variant == "paper":
        config.update({"units": 100, "rate": 0.003, "steps": 10_000, "every": 1000, "level": 0.01, "kernel_probes": 32})
        config.parts = ("synthetic", "witvliet_1", "witvliet_8", "fly_optic_lobe")
    elif variant:
        raise ValueError(f"variant: 'quick' or 'paper', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    known = ("synthetic", *data.CONNECTOMES)
    for part in (config.part, *config.parts):
        if part not in known:
            raise ValueError(f"parts: must be among {', '.join(known)}, got {part!r}")
    if config.task not in tasks.DECISION_TASKS:
        raise ValueError(f"task: must be one of {', '.join(tasks.DECISION_TASKS)}, got {config.task!r}")
    if not 0 <= config.arm < len(arms_of(config.part)):
        raise ValueError(f"arm: must be 0 to {len(arms_of(config.part)) - 1} in {config.part}, got {config.arm}")
    if not {config.matching, *config.matchings} <= set(range(len(MATCHINGS))):
        raise ValueError(f"matchings: must be 0 ({EQUAL[0]}) and 1 ({EQUAL[1]}), got {config.matchings}")
    if config.units < 20:
        raise ValueError(f"units: must be 20 or more, for four cell types, got {config.units}")
    if not config.gain > 0:
        raise ValueError(f"gain: must be positive, got {config.gain}")


def sweep(config: ConfigDict) -> dict[str, Axes]:
    here = [part for part in config.parts if not absent(part)]
    if not here:
        raise ValueError(absent(config.parts[0]) or "parts: must name a circuit")
    grids = {part: traced(matching=config.matchings, arm=range(len(arms_of(part)))) for part in here}
    return {part: product(static(part=[part]), grids[part], seeds(config.seeds)) for part in here}


def arms_of(part: str) -> tuple[str, ...]:
    return ARMS.get(part, ARMS["connectome"])


def absent(part: str) -> str:
    """Why a circuit cannot be run on this machine; empty if it can."""
    if part not in data.CONNECTOMES:
        return ""
    try:
        data.connectome(part)
    except FileNotFoundError as error:
        return str(error)
    return ""


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    task = tasks.DECISION_TASKS[config.task]
    draw = synthetic(config) if config.part == "synthetic" else from_connectome(config)

    for_networks, for_training = jax.random.split(key)
    own, independent = training.independent_networks(for_networks, draw, task)
    found = training.learn_decisions(
        for_training,
        own,
        task=task,
        transform=optax.chain(optax.clip_by_global_norm(config.clip), optax.sgd(config.rate, momentum=config.momentum)),
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
    values = spectra.singular_values(own.recurrent)
    return {
        **found.records._asdict(),
        **{f"level_{name}": value for name, value in found.at_level._asdict().items()},
        **found.initial._asdict(),
        "energy_rank": spectra.energy_rank(values),
        "amplitude_participation": spectra.participation_ratio(values, power=1),
        "updates_to_level": found.updates_to_level,
        "loss": found.loss,
        "test_loss": found.test_loss,
        "accuracy": found.accuracy,
    }


def synthetic(config: ConfigDict) -> Callable[[jax.Array], jax.Array]:
    """Draws the weights of a synthetic arm, of the norm of Gaussian ones with the same key."""
    plain = initializers.gaussian(config.gain)
    arms = (
        plain,
        initializers.signed(plain, balanced=False),
        initializers.signed(plain, balanced=True),
        initializers.blocks(plain, probabilities=PROBABILITIES, strengths=STRENGTHS, signs=SIGNS, fractions=FRACTIONS),
        initializers.motifs(plain, reciprocal=config.reciprocal),
        initializers.motifs(plain, heterogeneity=config.heterogeneity),
        initializers.motifs(plain, heterogeneity=config.heterogeneity, chain=config.chain),
    )
    shape, dtype = (config.units, config.units), jnp.result_type(float)
    branches = [lambda key, arm=arm: arm(key, shape, dtype) for arm in arms]
    return lambda key: matched(key, jax.lax.switch(config.arm, branches, key), config)


def from_connectome(config: ConfigDict) -> Callable[[jax.Array], jax.Array]:
    """Draws the weights of an arm around a measured connectivity, of the norm of Gaussian ones with the same key."""
    counts = data.recurrent_core(data.connectome(config.part)).weights.astype(jnp.result_type(float))
    branches = (
        lambda key: initializers.gaussian(config.gain)(key, counts.shape, counts.dtype),
        lambda key: jnp.asarray(counts),
        lambda key: data.rewired(key, counts),
        lambda key: data.scattered(key, counts),
        lambda key: data.random_signs(key, counts),
    )
    return lambda key: matched(key, jax.lax.switch(config.arm, branches, key), config)


def matched(key: jax.Array, weights: jax.Array, config: ConfigDict) -> jax.Array:
    """The weights with the norm of the Gaussian ones that this key draws."""
    model = initializers.gaussian(config.gain)(key, weights.shape, weights.dtype)
    first, second = (
        initializers.rescale(weights, norm=norm, size=initializers.norm_of(model, norm)) for norm in MATCHINGS
    )
    return jnp.where(config.matching == 0, first, second)


def floor(task: str) -> float:
    """Lowest loss that any observer can have, in nats per step."""
    with jax.ensure_compile_time_eval():
        return float(tasks.DECISION_TASKS[task].entropy_floor())


# ------------------------------------------------------------------------------------------------ reading the results
def named(results: "xr.DataTree") -> Groups:
    """The circuits at each matching, with arms by name; alignments of networks that did not learn are left out."""
    groups = {}
    for name, both in parts_of(results, {name: ("arm", "matching") for name in results.children}).items():
        for matching in both.matching.values:
            found = both.sel(matching=matching, drop=True)
            found = found.assign_coords(arm=[arms_of(name)[int(i)] for i in found.arm.values])
            learned = (found.silent == 0) & (found.test_loss < GUESSING)
            reached = learned & (found.updates_to_level > 0)
            heard = {m: last(found, m).where(learned) for m in (*MEASURES, "null_alignment")}
            heard["level_kernel_alignment"] = last(found, "level_kernel_alignment").where(reached)
            heard["beyond_chance"] = heard["kernel_alignment"] - heard["null_alignment"]
            groups[name, int(matching)] = found.assign(heard | {"learned": learned})
    return groups


def last(found: "xr.Dataset", measure: str) -> "xr.DataArray":
    """A measure at the end of training, (arm, seed)."""
    values = found[measure].isel(record=-1) if "record" in found[measure].dims else found[measure]
    return values.transpose("arm", "seed")


def missing(results: "xr.DataTree") -> list[str]:
    """Circuits that were asked for and are not in the results."""
    one = next(iter(results.children.values())).to_dataset()
    return [part for part in setting(one, "parts") if part not in results.children]


def title(part: str, matching: int) -> str:
    return f"{TITLES.get(part, part)}, {EQUAL[matching]}"


def lower(found: "xr.Dataset") -> list[str]:
    """Arms of a lower effective rank than Gaussian weights, of which half the seeds learned."""
    if "Gaussian" not in found.arm.values:
        return []
    rank = found.eigenvalue_rank.mean("seed")
    chosen = (rank < LOWER * rank.sel(arm="Gaussian")) & (found.learned.mean("seed") >= 0.5)
    return [str(arm) for arm in found.arm.values[chosen.values]]


def explained(groups: Groups, outcome: str, predictor: str) -> tuple[np.ndarray, np.ndarray]:
    """Regression of an outcome on the logarithm of a predictor over arms, within groups, in every seed.

    Returns:
        The slope per factor of ten, and the share of variance explained, both of shape (seeds,).
    """
    pairs = [deviations(np.log10(last(g, predictor).values), g[outcome].values) for g in groups.values()]
    xs, ys = (np.concatenate(rows) for rows in zip(*pairs, strict=True))
    xx, xy, yy = (xs * xs).sum(0), (xs * ys).sum(0), (ys * ys).sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return xy / xx, xy**2 / (xx * yy)


def deviations(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Deviations from the mean over the arms that have both, (arms, seeds); zero for the others."""
    some = np.isfinite(x) & np.isfinite(y)
    count = np.maximum(some.sum(0), 1)
    x, y = (np.where(some, v - np.where(some, v, 0).sum(0) / count, 0.0) for v in (x, y))
    return x, y


# ------------------------------------------------------------------------------------------------------------- claims
def claims(results: "xr.DataTree") -> list[Claim]:
    groups = named(results)
    found = [not_here(part) for part in missing(results)]
    found += [learned_claim(group, here) for group, here in groups.items()]
    return found + lower_rank_claims(groups) + predictor_claims(groups) + pair_claims(groups)


def not_here(part: str) -> Claim:
    name, nothing = TITLES.get(part, part), float("nan")
    said = f"nothing can be claimed of {name}: this connectome was not on the machine that ran this"
    how = f"brainjax.data.connectome({part!r}) says how to get it"
    return Claim(f"{name}: data", said, OURS, "the file", nothing, nothing, nothing, 0, judge.INCONCLUSIVE, detail=how)


def learned_claim(group: tuple[str, int], here: "xr.Dataset") -> Claim:
    """That the arms of a circuit can be compared: all have learned the task."""
    best = float(tasks.DECISION_TASKS[setting(here, "task")].ideal_accuracy())
    lost = {str(arm): int((~here.learned.sel(arm=arm)).sum()) for arm in here.arm.values}
    return judge.within(
        f"{title(*group)}: learned",
        f"in every arm the accuracy is within {NEAR_IDEAL:g} of the ideal observer's, {best:.4f}",
        OURS,
        here.accuracy.min("arm") - best,
        low=-NEAR_IDEAL,
        high=NEAR_IDEAL,
        unit="share of choices, least over arms",
        detail="did not learn: " + (", ".join(f"{arm} {n}" for arm, n in lost.items() if n) or "none"),
    )


def lower_rank_claims(groups: Groups) -> list[Claim]:
    """Arm by arm: a lower effective rank goes with less kernel alignment; Bonferroni over all of them."""
    arms = [(group, arm) for group, here in groups.items() for arm in lower(here)]
    found = []
    for group, arm in arms:
        here = groups[group]
        rank = here.eigenvalue_rank.mean("seed")
        found.append(
            judge.below(
                f"{title(*group)}: {arm}",
                f"from weights of lower effective rank ({arm}) the kernel ends less aligned than from Gaussian ones",
                "Figure 2",
                here.kernel_alignment.sel(arm=arm) - here.kernel_alignment.sel(arm="Gaussian"),
                confidence=1 - 0.05 / len(arms),
                unit="difference of kernel alignment",
                detail=f"eigenvalue rank {float(rank.sel(arm=arm)):.3f} for {float(rank.sel(arm='Gaussian')):.3f}",
            )
        )
    return found


def predictor_claims(groups: Groups) -> list[Claim]:
    """Regression over all arms, within circuits: does effective rank predict alignment, and which one best?"""
    cases = [(0, outcome) for outcome in OUTCOMES] + [(1, "kernel_alignment")]
    at = {m: {group: here for group, here in groups.items() if group[1] == m} for m in (0, 1)}
    found = [
        judge.greater(
            f"rank predicts: {OUTCOMES[outcome]}, {EQUAL[m]}",
            f"over all arms, within circuits, {OUTCOMES[outcome]} grows with the logarithm of the eigenvalue rank",
            "Figure 2" if (m, outcome) == cases[0] else OURS,
            explained(at[m], outcome, "eigenvalue_rank")[0],
            confidence=1 - 0.05 / len(cases),
            unit="per factor of ten",
            detail=EQUAL[m],
        )
        for m, outcome in cases
        if at[m]
    ]
    if not at[0]:
        return found
    share = {p: explained(at[0], "kernel_alignment", p)[1] for p in ("eigenvalue_rank", *RIVALS)}
    return found + [
        judge.greater(
            f"predicts better: than the {PREDICTORS[rival]}",
            f"the eigenvalue rank explains more of kernel alignment over arms than the {PREDICTORS[rival]}",
            "our control: effective ranks disagree",
            share["eigenvalue_rank"] - share[rival],
            confidence=1 - 0.05 / len(RIVALS),
            unit="share of variance",
            detail=EQUAL[0],
        )
        for rival in RIVALS
    ]


def pair_claims(groups: Groups) -> list[Claim]:
    """What the outlier of unbalanced signs does, and which property of a connectome matters."""
    found = []
    for (part, matching), here in groups.items():
        for circuit, at, arm, other, what, says in PAIRS:
            ours = circuit == (part if part == "synthetic" else "connectome") and at == matching
            if not ours or not {arm, other} <= set(here.arm.values):
                continue
            name, unit = f"{title(part, at)}: {arm} and {other}", "difference of kernel alignment"
            difference = here.kernel_alignment.sel(arm=arm) - here.kernel_alignment.sel(arm=other)
            if what == "alike":
                said = f"{says}, to {ALIKE:g}"
                found.append(judge.within(name, said, OURS, difference, low=-ALIKE, high=ALIKE, unit=unit))
            else:
                found.append(judge.greater(name, says, OURS, difference, unit=unit))
    return found


# ------------------------------------------------------------------------------------------------------------- figure
def figure(results: "xr.DataTree") -> "Figure":
    """Kernel alignment of every arm with its spectrum beside it; against rank and radius; what predicts it."""
    from brainjax import plots

    groups, lacking = named(results), missing(results)
    rows = sum(here.sizes["arm"] + 1.6 for here in groups.values()) + 1.3 * len(lacking)
    with plots.style():
        page, axes = plots.subplots(3, 2, width="page", height=max(4.6, 1 + 0.165 * rows), width_ratios=(2.4, 1))
        for ax in axes[:, 0]:
            ax.remove()
        tall = page.add_subplot(axes[0, 0].get_gridspec()[:, 0])
        draw_arms(tall, groups, lacking)
        draw_against(axes[0, 1], groups, "eigenvalue_rank", "eigenvalue rank", (0.1, 0.2, 0.4, 0.6))
        published = {group: here for group, here in groups.items() if group[1] == 0}
        draw_against(axes[1, 1], published, "spectral_radius", r"spectral radius $|\lambda_1|$", (1, 2, 4))
        draw_predictors(axes[2, 1], published)
        axes[0, 1].legend(fontsize=5.5, handlelength=1, labelspacing=0.25, loc="upper left")
        plots.letter([tall, *axes[:, 1]])
    return page


def draw_arms(ax: Any, groups: Groups, lacking: list[str]) -> None:
    """A row per arm: alignment of the kernel, of that of the decision, by chance; columns of numbers beside it."""
    y, ticks = 0.0, {}
    for text, x in COLUMNS.values():
        ax.text(x, -1.2, text, fontsize=6.5, ha="right", va="center", style="italic")
    for group, here in groups.items():
        ax.text(0, y, title(*group), fontweight="bold", fontsize=7, va="center")
        shown = here.assign(lost=(~here.learned).sum("seed"))
        for arm in here.arm.values:
            y += 1
            ticks[y] = str(arm)
            for name, (_, shift, look) in MARKS.items():
                interval(ax, y + shift, last(here, name).sel(arm=arm).values, look)
            for name, (_, x) in COLUMNS.items():
                value = float(shown[name].sel(arm=arm).mean())
                ax.text(x, y, f"{value:.0f}" if name == "lost" else f"{value:.2f}", fontsize=6, ha="right", va="center")
        y += 1.6
    for part in lacking:
        ax.text(0, y, f"{TITLES.get(part, part)}: not on this machine", fontsize=7, style="italic", va="center")
        y += 1.3
    for label, _, look in MARKS.values():
        ax.plot([], [], linestyle="none", label=label, **look)
    ax.set(xlim=(0, 1.77), ylim=(y - 0.8, -0.7), xticks=(0, 0.25, 0.5, 0.75, 1))
    ax.spines["bottom"].set_bounds(0, 1)
    ax.set_xlabel("alignment with the start", x=0.3)
    ax.set_yticks(list(ticks), list(ticks.values()))
    ax.tick_params(axis="y", length=0)
    ax.legend(loc="upper center", bbox_to_anchor=(0.35, -0.06), ncols=3, fontsize=6, columnspacing=1, handletextpad=0.2)


def interval(ax: Any, y: float, values: np.ndarray, look: dict[str, Any]) -> None:
    """Mean over seeds with its interval, lying; nothing where too few seeds are finite."""
    mean, low, high, n, _ = judge.interval(values)
    if 2 * n >= len(values) and np.isfinite(low):
        ax.errorbar(mean, y, xerr=[[mean - low], [high - mean]], elinewidth=0.9, **look)


def draw_against(ax: Any, groups: Groups, predictor: str, label: str, ticks: tuple[float, ...]) -> None:
    """Kernel alignment of arms against a property of their initial weights; rings mark Gaussian weights."""
    from brainjax import plots

    circuits = list(dict.fromkeys(part for part, _ in groups))
    looks = dict(zip(circuits, plots.line_styles(len(circuits)), strict=True))
    for (part, matching), here in groups.items():
        look, enough = looks[part], here.learned.mean("seed") >= 0.5
        x, y = here[predictor].mean("seed"), here.kernel_alignment.mean("seed").where(enough)
        face = {"markerfacecolor": "none"} if matching else {}
        named_ = f"{TITLES.get(part, part)}{', equal radius' if matching else ''}"
        ax.plot(x, y, linestyle="none", color=look["color"], marker=look["marker"], label=named_, **face)
        ax.plot(x[:1], y[:1], "o", markersize=7, markerfacecolor="none", color=look["color"], markeredgewidth=0.7)
    ax.set(xscale="log", xlabel=label, ylabel="kernel alignment", ylim=(0, 1))
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()


def draw_predictors(ax: Any, groups: Groups) -> None:
    """Share of the variance of kernel alignment over arms of one norm, within circuits, that each property explains."""
    for y, name in enumerate(PREDICTORS if groups else ()):
        interval(ax, y, explained(groups, "kernel_alignment", name)[1], {"marker": "o", "color": "black"})
    ax.yaxis.tick_right()
    ax.set_yticks(range(len(PREDICTORS)), list(PREDICTORS.values()), fontsize=6)
    ax.set(xlim=(0, 1), ylim=(len(PREDICTORS) - 0.5, -0.5), xlabel="variance explained")
    ax.tick_params(axis="y", length=0)
