r"""Which memory behaves like the animals: twenty phenomena of conditioning, twenty rules, parameters and codes drawn.

Qiao (2025) reads linear attention as conditioning: linear attention is Hebb's rule, DeltaNet's write is the model of
Rescorla and Wagner. What every rule does for orthonormal cues at one setting follows from its equation (tests of
`brainjax.memory`). Asked here is what is left of that when nothing is tuned: learning rates, decays and other constants
are drawn log-uniformly for every seed (the same draw for all rules), so is the salience of every cue and context, and
cues resemble one another.

Run:  brainjax run conditioning/battery [--variant=quick]
Cost: about 95 s of one core (quick: 12 s).

An effect is the response of a treated group less that of a control group that is matched in time and exposure
(`brainjax.memory.BATTERY`), in units of the same rule's effect of acquisition at the same draw, so that rules without
an asymptote can be compared with others. An effect below ``negligible`` of that unit counts as none. The score of a
rule is the fraction of phenomena that have the animals' sign.

Codes of cues are unit vectors with random overlaps of mean square ``overlap``\ :sup:`2`, exactly: a share
:math:`w = 2 \times` ``overlap`` of each code's square lies in a random direction of four common dimensions, the rest in
a dimension of its own. Rules that are defined cue by cue (marked ``local``) have orthonormal codes throughout. Linear
attention with a normaliser gets the positive and negative parts of the common dimensions apart, as it needs.

Rows beyond the rules' names: ``delta, unit`` scales the key of a compound to length 1, as DeltaNet does; ``delta,
tokens`` writes the cues of a compound one after the other, as the tokens of a sequence; in ``two timescales`` a slow
and a fast component of every cue, which decay slowly and fast, share one error. Left out are the rules that act within
a trial (traces, temporal differences), those without an outcome (free Oja and BCM) and pattern completion (Hopfield).

Latent inhibition passes three tests: less after preexposure, less if preexposure comes first than last (else it is
partial reinforcement), and no change of the response to another cue (else it is inhibition or dilution).
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from brainjax import claims as judge
from brainjax import memory
from brainjax.claims import Claim
from brainjax.core.draws import normal, uniform
from brainjax.sweep import Axes, product, seeds, setting, traced

if TYPE_CHECKING:  # what only the figure needs is imported when it is drawn
    from collections.abc import Callable

    import xarray as xr
    from matplotlib.figure import Figure

PAPER = "qiao2025"
DIMS = {
    "effect": ("row", "phenomenon"),  # treated less control group, in units of the outcome
    "exchanged": ("row",),  # the effect of blocking when A and C change roles
    "strength": ("shown", "course", "trial"),  # of one cue in the course of training; see COURSES
}
PHENOMENA = tuple(phenomenon.name for phenomenon in memory.BATTERY)
ANIMALS = np.array([phenomenon.animals for phenomenon in memory.BATTERY])
EXCHANGED = memory.Phenomenon("blocking, exchanged", "40C+ | 40BC+ | B?", "40A+ | 40BC+ | B?", -1, {}, "")
COURSES = {  # of a cue in a treated group
    "A: 40 A+, then 40 A−": ("extinction", "A"), "B: 40 A+, then 40 AB+": ("blocking", "B"),
    "B: A+ and AB− in turn": ("conditioned inhibition", "B"),
}  # fmt: skip
SHOWN_TRIALS, COMMON = 80, 4


class Row(NamedTuple):
    """A rule, and what is special about the way it is run."""

    rule: str
    draws: tuple[str, ...] = ()  # which of the configuration's ``ranges``
    compound: str = "sum"
    local: bool = False  # one component per cue: codes cannot overlap
    kind: str = "blind"  # a write looks at its own cue at most; "error": at what all cues predict


ROWS = {
    "hebb": Row("hebb", ("beta",)),
    "hebb, decay": Row("hebb_decay", ("beta", "decay")),
    "covariance": Row("covariance", ("beta", "mean_rate")),
    "oja": Row("oja_clamped", ("beta",)),
    "bcm": Row("bcm_clamped", ("beta", "threshold_rate")),
    "bush mosteller": Row("bush_mosteller", ("beta",), local=True),
    "normalised linear": Row("normalised_linear"),
    "mlstm": Row("mlstm", ("decay",)),
    "softmax": Row("softmax", ("inverse_temperature",)),
    "delta": Row("delta", ("beta",), kind="error"),
    "delta, unit": Row("delta", ("beta",), compound="unit", kind="error"),
    "delta, tokens": Row("delta", ("beta",), compound="tokens", kind="tokens"),
    "gated delta": Row("gated_delta", ("beta", "decay"), kind="error"),
    "normalised delta": Row("normalised_delta", ("beta",), kind="error"),
    "mini-batch delta": Row("minibatch_delta", ("beta",), kind="error"),
    "momentum": Row("momentum", ("beta", "momentum"), kind="error"),
    "two timescales": Row("decoupled_delta", ("beta", "slowness", "decay"), kind="error"),
    "least squares": Row("recursive_least_squares", ("ridge",), kind="error"),
    "mackintosh": Row("mackintosh", ("beta", "theta"), local=True, kind="attention"),
    "pearce hall": Row("pearce_hall", ("beta", "theta"), local=True, kind="attention"),
}
RANGES = {  # of log-uniform draws; decay: of all that is stored, per trial; slowness: the slow rate, of the fast one
    "beta": (0.05, 0.3), "decay": (0.002, 0.05), "slowness": (0.05, 0.3), "mean_rate": (0.01, 0.1), "ridge": (0.1, 2.0),
    "threshold_rate": (0.02, 0.2), "inverse_temperature": (2.0, 8.0), "momentum": (0.5, 0.9), "theta": (0.1, 0.5),
}  # fmt: skip
LAYERS = ("hebb", "hebb, decay", "normalised linear", "mlstm", "softmax", "gated delta")  # beside delta, of attention


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict(
        {
            "seed": 0,
            "rows": tuple(ROWS),
            "shown": ("hebb", "normalised linear", "delta", "gated delta", "pearce hall"),
            "overlap": 0.0,  # root mean square over pairs of cues
            "overlaps": (0.0, 0.1, 0.2, 0.4),
            "negligible": (0.02, 0.05, 0.1),  # of acquisition: what counts as no effect; the middle one in the figure
            "salience": (0.5, 1.0),  # range of log-uniform draws
            "context": (0.2, 0.5),  # of salience
            "ranges": RANGES,
            "seeds": 256,
        }
    )
    if variant == "quick":
        config.update({"rows": ("hebb", "delta", "pearce hall"), "shown": ("hebb", "delta"), "overlaps": (0.0, 0.4)})
        config.update({"seeds": 8})
    elif variant:
        raise ValueError(f"variant: 'quick', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if not config.rows or not set(config.rows) <= set(ROWS):
        raise ValueError(f"rows: must be among {', '.join(ROWS)}, got {config.rows}")
    if not config.shown or not set(config.shown) <= set(config.rows):
        raise ValueError(f"shown: must be among rows, {config.rows}, got {config.shown}")
    if not 0 <= config.overlap <= 0.5:  # the share w is then at most 1
        raise ValueError(f"overlap: must lie in [0, 0.5], got {config.overlap}")
    drawn: Any = config.ranges
    for name, bounds in (("salience", config.salience), ("context", config.context), *drawn.items()):
        if not 0 < bounds[0] <= bounds[1]:
            raise ValueError(f"{name}: must be two positive numbers in order, got {bounds}")
    if len(config.negligible) != 3 or not all(x > 0 for x in config.negligible):
        raise ValueError(f"negligible: must be three positive numbers, got {config.negligible}")


def sweep(config: ConfigDict) -> Axes:
    return product(traced(overlap=config.overlaps), seeds(config.seeds))


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    design = memory.battery_design((*memory.BATTERY, EXCHANGED))
    trials = memory.compile_design(design, dtype=jnp.float32)
    count = len(design.cues)
    code_key, salience_key, draw_key = jax.random.split(key, 3)
    ranges = np.array([config.context if name in ("X", "Y") else config.salience for name in design.cues], np.float32)
    salience = log_uniform(salience_key, *jnp.asarray(ranges).T)
    directions = normal(code_key, (count, COMMON), jnp.float32)
    directions = directions / jnp.linalg.norm(directions, axis=1, keepdims=True)
    drawn = {
        name: log_uniform(jax.random.fold_in(draw_key, i), *jnp.asarray(config.ranges[name], jnp.float32))
        for i, name in enumerate(sorted(config.ranges))
    }
    effects, shown = [], {}
    for name in config.rows:
        row = ROWS[name]
        constants, stretch = constants_of(name, drawn)
        codes = jnp.eye(count, dtype=jnp.float32)
        if not row.local:
            codes = overlapping(directions, config.overlap, signed=row.rule != "normalised_linear")
        if name == "two timescales":
            constants["log_decay"] = jnp.repeat(constants["log_decay"], codes.shape[1])
            codes = jnp.concatenate([scale * codes for scale in stretch], axis=1)
        found = memory.simulate(
            memory.make(row.rule), trials, codes=codes, salience=salience, compound=row.compound, constants=constants,
            strengths=name in config.shown,
        )  # fmt: skip
        tested = memory.tested_response(found, trials)[:, 0]
        effects.append(tested[::2] - tested[1::2])
        if found.strengths is not None:
            places = [(2 * PHENOMENA.index(what), design.cues.index(cue)) for what, cue in COURSES.values()]
            shown[name] = jnp.stack([found.strengths[group, :SHOWN_TRIALS, cue, 0] for group, cue in places])
    effect = jnp.stack(effects)
    strength = jnp.stack([shown[name] for name in config.shown])
    return {"effect": effect[:, :-1], "exchanged": effect[:, -1], "strength": strength}


def log_uniform(key: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
    """A draw whose logarithm is uniform between those of the bounds."""
    return low * (high / low) ** uniform(key, low.shape, jnp.float32)


def overlapping(directions: jax.Array, overlap: jax.Array, *, signed: bool) -> jax.Array:
    """Unit codes with random overlaps of the given root mean square; see the top of this file."""
    share = jnp.asarray(overlap, jnp.float32) * COMMON**0.5
    if not signed:
        directions = jnp.concatenate([jax.nn.relu(directions), jax.nn.relu(-directions)], axis=1)
    own = jnp.eye(directions.shape[0], dtype=jnp.float32)
    return jnp.concatenate([jnp.sqrt(1 - share) * own, jnp.sqrt(share) * directions], axis=1)


def constants_of(name: str, drawn: dict[str, jax.Array]) -> tuple[dict[str, jax.Array], tuple[jax.Array, ...]]:
    """Constants of a row from the common draws; for two timescales also the factors on the codes."""
    row, beta = ROWS[name], drawn["beta"]
    if name == "two timescales":
        # squared lengths of keys are the rates; what is slow also decays 100 times more slowly
        decays = jnp.stack([-drawn["decay"] / 100, -drawn["decay"]])
        return {"log_decay": decays}, (jnp.sqrt(beta * drawn["slowness"]), jnp.sqrt(beta))
    found = {each: drawn[each] for each in row.draws if each != "decay"}
    if "decay" in row.draws:
        found["log_decay"] = -drawn["decay"]
    if name == "mini-batch delta":
        found["beta"] = beta / 2  # stable when a compound fills a mini-batch of four
    if name == "momentum":
        found["beta"] = beta * (1 - drawn["momentum"])  # the rate at which it learns in the long run
    if row.kind == "attention":
        found["beta"] = 2 * beta  # associability begins at one half
    if name == "pearce hall":
        found["beta_inhibitory"] = 2 * beta
    return found, ()


def expected(results: "xr.Dataset") -> "xr.Dataset":
    """The result with its axis of overlaps, if need be of length one, and its rows and phenomena named."""
    if "overlap" not in results.dims:
        results = results.expand_dims(overlap=[setting(results, "overlap")])
    names = {"row": list(setting(results, "rows")), "phenomenon": list(PHENOMENA)}
    return results.assign_coords(names | {"shown": list(setting(results, "shown"))})


def relative(data: "xr.Dataset") -> "xr.DataArray":
    """Effects in units of acquisition."""
    return data.effect / abs(data.effect.sel(phenomenon="acquisition", drop=True))


def signs(data: "xr.Dataset", negligible: float) -> "xr.DataArray":
    """Signs of the effects, 0 for those that are negligible."""
    effect = relative(data)
    sign = (effect / abs(effect)).where(abs(effect) > negligible, 0).where(abs(effect) < np.inf)
    return sign.transpose(..., "phenomenon")


def scores(data: "xr.Dataset", negligible: float) -> "xr.DataArray":
    """Fraction of phenomena with the animals' sign."""
    return (signs(data, negligible) == ANIMALS).mean("phenomenon")


def figure(results: "xr.Dataset") -> "Figure":
    """Signs of all effects by rule; their agreement with the animals, by rule and by overlap; courses of training."""
    from brainjax import plots

    data = expected(results)
    with plots.style():
        page, axes = plots.subplots(2, 3, width="page", height=7.2, height_ratios=(3.2, 1.0))
        for ax in axes[0]:
            ax.remove()
        above = axes[0, 0].get_gridspec()[0, :].subgridspec(1, 2, width_ratios=(3.6, 1.0))
        table, side = (page.add_subplot(cell) for cell in above)
        draw_table(table, data)
        draw_scores(side, data)
        for i, ax in enumerate(axes[1]):
            draw_course(ax, data.isel(course=i, overlap=0))
        axes[1, 0].set_ylabel("strength (of acquisition)")
        plots.letter([table, side, *axes[1]], ["", "", *COURSES])
        page.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return page


def draw_table(ax: Any, data: "xr.Dataset") -> None:
    """The sign that most draws have, on a shade that says how many draws have the animals' sign."""
    signed = signs(data.isel(overlap=0), setting(data, "negligible")[1])
    agreeing = (signed == ANIMALS).transpose("row", "phenomenon", "seed").mean("seed").values
    typical = np.round(signed.transpose("row", "phenomenon", "seed").median("seed").values)
    shades = np.concatenate([np.ones((1, len(PHENOMENA))), agreeing])
    symbols = np.concatenate([ANIMALS[None], typical])
    ax.imshow(shades, cmap="Greys", vmin=0, vmax=1.6, aspect="auto")
    for (i, j), sign in np.ndenumerate(symbols):
        mark = {1: "+", -1: "−", 0: "0"}.get(int(sign) if np.isfinite(sign) else 2, "?")
        ax.text(j, i, mark, ha="center", va="center", fontsize=7)
    ax.axhline(0.5, color="black", linewidth=1.0)
    ax.set_xticks(range(len(PHENOMENA)), PHENOMENA, rotation=55, ha="right", rotation_mode="anchor", fontsize=6.5)
    names = [f"{name}{' *' if ROWS[name].local else ''}" for name in data.row.values]
    ax.set_yticks(range(len(shades)), ["animals", *names], fontsize=6.5)
    ax.tick_params(length=0)
    ax.set_title("sign of the effect in most draws; dark: the animals' sign in most draws", fontsize=8)


def draw_scores(ax: Any, data: "xr.Dataset") -> None:
    """Scores of all rules with intervals over draws, for separate and for the most similar cues."""
    from brainjax import plots

    score = scores(data, setting(data, "negligible")[1]).transpose("overlap", "row", "seed")
    ends = sorted({0, score.sizes["overlap"] - 1})
    for end, look, shift in zip(ends, plots.line_styles(2), (-0.14, 0.14), strict=False):
        shown = [i for i, name in enumerate(score.row.values) if not (end and ROWS[str(name)].local)]
        mean, low, high = np.array([judge.interval(score.values[end, i])[:3] for i in shown]).T
        look |= {"linestyle": "none", "markersize": 3, "label": f"overlap {float(score.overlap[end]):g}"}
        ax.errorbar(mean, np.array(shown) + 1 + shift, xerr=[mean - low, high - mean], capsize=1.5, **look)
    ax.set(ylim=(score.sizes["row"] + 0.5, -0.5), yticks=range(1, score.sizes["row"] + 1), yticklabels=[], xlim=(0, 1))
    ax.set_xlabel("fraction of signs\n(*: separate cues only)")
    ax.set_title("like the animals'", fontsize=8)
    ax.grid(axis="y", linewidth=0.3)
    ax.legend(loc="upper right", fontsize=6, handlelength=1.0, borderaxespad=0.1)


def draw_course(ax: Any, data: "xr.Dataset") -> None:
    """Strength of one cue, mean over draws, in units of acquisition."""
    from brainjax import plots

    for look, name in zip(plots.line_styles(data.sizes["shown"]), data.shown.values, strict=True):
        unit = abs(data.effect.sel(row=name, phenomenon="acquisition"))
        curve = (data.strength.sel(shown=name) / unit).mean("seed")
        ax.plot(range(1, SHOWN_TRIALS + 1), curve, label=name, markevery=20, **look)
    ax.axhline(0, color="black", linewidth=0.5)
    ax.set_xlabel("trial")


class Check(NamedTuple):
    """A claim that every one of some numbers, means over draws, is greater than a bound."""

    needs: tuple[str, ...]
    name: str
    statement: str
    source: str
    measure: "Callable[[xr.Dataset], xr.DataArray]"
    than: float = 0.0
    unit: str = "fraction of phenomena"


def lead(data: "xr.Dataset", row: str, other: str | list[str] = "delta") -> "xr.DataArray":
    """By how much a row's score is above that of others, at every threshold."""
    import xarray as xr

    levels = setting(data, "negligible")
    score = xr.concat([scores(data, level) for level in levels], "threshold").assign_coords(threshold=levels)
    return score.sel(row=row, drop=True) - score.sel(row=other, drop=isinstance(other, str))


def fraction(data: "xr.Dataset", row: str, phenomenon: str) -> "xr.DataArray":
    """Draws in which an effect is positive, as ones."""
    return (signs(data, setting(data, "negligible")[1]).sel(row=row, phenomenon=phenomenon) == 1).astype(float)


def blocking(data: "xr.Dataset", rows: Any) -> "xr.DataArray":
    """Effect of blocking, of acquisition, cues A and C counterbalanced: which of them is more like B cancels."""
    both = (data.effect.sel(phenomenon="blocking", drop=True) + data.exchanged) / 2
    return (both / abs(data.effect.sel(phenomenon="acquisition", drop=True))).sel(row=rows)


def weakened(data: "xr.Dataset") -> "xr.DataArray":
    effect = relative(data).sel(phenomenon=["blocking", "overshadowing", "overexpectation"])
    return effect.sel(row="delta, unit", drop=True) - effect.sel(row="delta", drop=True)


def kept(data: "xr.Dataset") -> "xr.DataArray":
    own = signs(data, setting(data, "negligible")[1]).sel(row="delta", drop=True)
    return (own == own.isel(overlap=0, drop=True)).isel(overlap=slice(1, None)).mean("phenomenon")


def latent(data: "xr.Dataset") -> "xr.DataArray":
    """Draws that pass all three tests of latent inhibition with separate cues, as ones."""
    sign = signs(data.isel(overlap=0), setting(data, "negligible")[1])
    right = (sign == ANIMALS).sel(phenomenon=[name for name in PHENOMENA if name.startswith("latent")])
    return right.all("phenomenon").astype(float)


RW, ALWAYS = "Rescorla and Wagner's rule", "at every overlap and threshold"
CHECKS = (
    Check(
        ("delta", *LAYERS), "DeltaNet's write is the most animal-like",
        f"of the writes of attention layers the delta rule's have the animals' sign most often, {ALWAYS}",
        "our test of attention as conditioning", lambda data: lead(data, "delta", list(LAYERS)),
    ),
    Check(
        ("delta", "least squares"), "least squares lead",
        f"recursive least squares (a Kalman filter) has the animals' sign more often than {RW}, {ALWAYS}",
        "our question; it revalues absent cues", lambda data: lead(data, "least squares"),
    ),
    Check(
        ("delta", "pearce hall"), "associability leads",
        f"with separate cues Pearce and Hall's model has the animals' sign more often than {RW}, at every threshold",
        "our question; it has latent inhibition", lambda data: lead(data.isel(overlap=0), "pearce hall"),
    ),
    Check(
        ("delta", "two timescales"), "two timescales lead",
        f"a slow and a fast memory with one error have the animals' sign more often than {RW}, {ALWAYS}",
        "our question", lambda data: lead(data, "two timescales"),
    ),
    Check(
        ("two timescales",), "two timescales recover",
        "a slow and a fast memory with one error recover spontaneously in most draws, at every overlap",
        "our question; known for parameters chosen by hand",
        lambda data: fraction(data, "two timescales", "spontaneous recovery"), 0.5, "fraction of draws",
    ),
    Check(
        ("hebb",), "no blocking without a common error",
        "no memory that writes without looking at what all cues predict blocks by 0.05 of acquisition on average",
        "known for separate cues; for similar ones our question",
        lambda data: blocking(data, [name for name in data.row.values if ROWS[str(name)].kind == "blind"]),
        -0.05, "effect of blocking, of acquisition",
    ),
    Check(
        ("delta, tokens",), "no blocking by cues as tokens",
        "with one token per cue the delta rule blocks by less than 0.05 of acquisition, at every overlap",
        "our control", lambda data: blocking(data, ["delta, tokens"]), -0.05, "effect of blocking, of acquisition",
    ),
    Check(
        ("delta", "delta, unit"), "unit keys weaken competition",
        "keys of compounds scaled to length 1 weaken blocking, overshadowing and overexpectation, at every overlap",
        "our test; closed form for separate cues", weakened, 0.0, "difference of (negative) effects, of acquisition",
    ),
    Check(
        ("gated delta",), "decay turns overexpectation round",
        "against a control of equal duration, the compound raises its cues in most draws of the gated delta rule",
        "our control", lambda data: fraction(data, "gated delta", "overexpectation"), 0.5, "fraction of draws",
    ),
    Check(
        ("delta",), "signs survive similar cues",
        f"nine tenths of the signs of {RW} are those for separate cues, at every overlap",
        "our question", kept, 0.9,
    ),
    Check(
        ("pearce hall",), "latent inhibition",
        "most draws of Pearce and Hall's model pass all three tests of latent inhibition (separate cues)",
        "our test of its known advantage", lambda data: latent(data).sel(row=["pearce hall"]), 0.5, "fraction of draws",
    ),
    Check(
        ("pearce hall",), "latent inhibition: no other rule",
        "of no other rule do most draws pass all three tests of latent inhibition (separate cues)",
        "our test", lambda data: 1 - latent(data).drop_sel(row="pearce hall"), 0.5, "fraction of draws that fail",
    ),
)  # fmt: skip


def claims(results: "xr.Dataset") -> list[Claim]:
    """All checks for which the rows are there."""
    data = expected(results)
    found = []
    for check in CHECKS:
        samples = check.measure(data) if set(check.needs) <= set(data.row.values.tolist()) else None
        if samples is None or not samples.size:
            continue
        flat = samples.stack(comparison=[d for d in samples.dims if d != "seed"]).transpose("comparison", "seed")
        axes = flat.indexes["comparison"].names
        cells = {
            ", ".join(f"{axis} {place}" for axis, place in zip(axes, places, strict=True)): values
            for places, values in zip(flat.indexes["comparison"], flat.values, strict=True)
        }
        found.append(judge.everywhere(judge.greater, *check[1:4], cells, than=check.than, unit=check.unit))
    return found
