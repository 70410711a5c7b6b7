r"""Training on few entries of a matrix first makes a deep linear network complete it worse when more are observed.

A network completes a matrix of low rank from some of its entries, then goes on with more entries of the same matrix.
Kleinman, Achille & Soatto (ICLR 2024), their growing data sets, over many seeds and beside controls.

Run:  brainjax run transfer/growing_observations [--variant=quick|paper]
Cost: about 3 min on 2 cores (quick: 15 s; paper, at the published rate and for four seeds: 12 min by estimate).

The parts of the experiment, each with a grid of its own:

* ``observations``: one, two and three layers, how many entries are observed in the end;
* ``controls``: depth 3, the largest number, with all entries from the start for the whole time (``longer``) and with a
  fresh Gaussian start whose layers have the norms of those at the switch (``fresh``);
* ``step``: depth 3 at half the rate: the error of the discretisation.

The later set of entries holds the earlier one. Times are updates times rate; the published rate is 0.2, and fifty times
fewer updates follow the same flow. Errors are mean squares over the entries never observed, in units of the matrix's
own mean square, unless another set is named; the damage is the error minus that of the same seed with all from the
start.
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
from brainjax.core.products import chain
from brainjax.core.spectra import effective_rank, singular_values
from brainjax.sweep import Axes, parts_of, product, seeds, setting, static, traced

if TYPE_CHECKING:  # what only the figure needs is imported when it is drawn
    import xarray as xr
    from matplotlib.figure import Figure

PAPER = "kleinman2024"
DIMS = {
    "error": ("arm", "switch", "entries"),  # at the end; observed or not refers to the larger set
    "first_error": ("switch", "entries"),  # at the switch; observed or not refers to the smaller set
    "course": ("switch", "half"),  # over unobserved entries, after each half of the second training
    "values": ("moment", "switch", "value"),  # largest singular values of the map, at the switch and at the end
    "effective_rank": ("moment", "switch"),
}
ARMS = ("switched", "longer", "fresh")
ENTRIES = linear.CompletionErrors._fields
MOMENTS = ("switch", "end")
PARTS = ("observations", "controls", "step")
AXES = {"observations": ("depth", "observed"), "controls": ("depth",), "step": ("rate",)}
HARM = 0.05  # of the mean-square entry: less we call no damage
COARSE = 0.1  # error of the discretisation that the claims can bear
KEPT = 12  # singular values
PUBLISHED_RATE = 0.2


def get_config(variant: str = "") -> ConfigDict:
    switches = (0.0, 2000.0, 4000.0, 12000.0)
    config = ConfigDict(
        {
            "seed": 0,
            "part": "observations",
            "parts": PARTS,
            "n": 100,  # rows and columns
            "depth": 3,
            "rank": 5,
            "first_observed": 1000,
            "observed": 2000,
            "compared": 1500,  # entries at the end in the published comparison of depths
            "scale": 0.001,  # by which the map multiplies a vector's norm at the start
            "rate": 10.0,
            "early": 2000.0,  # a first training that is said to do no harm at depth 3 (10000 published updates)
            "second_time": 6000.0,
            "by_observations": {
                "depths": (1, 2, 3),
                "counts": (1250, 1500, 1750, 2000),
                "switches": switches,
                "controls": False,
                "seeds": 32,
            },
            "by_controls": {"switches": switches, "controls": True, "seeds": 32},
            "by_step": {"rates": (10.0, 5.0), "switches": (0.0, 4000.0, 12000.0), "controls": False, "seeds": 8},
        }
    )
    if variant == "quick":
        config.parts = ("observations", "controls")
        config.update({"n": 30, "rank": 2, "first_observed": 150, "observed": 300, "compared": 200, "rate": 5.0})
        config.update({"early": 300.0, "second_time": 1000.0})
        few = (0.0, 300.0, 1500.0, 3000.0)
        config.by_observations.update({"depths": (2, 3), "counts": (200, 300), "switches": few, "seeds": 16})
        config.by_controls.update({"switches": few, "seeds": 16})
    elif variant == "paper":
        config.parts = ("observations",)
        config.rate = PUBLISHED_RATE
        published = (0.0, 200.0, 1000.0, 2000.0, 4000.0, 8000.0, 12000.0, 16000.0, 20000.0)
        config.by_observations.update({"depths": (3,), "switches": published, "seeds": 4})
    elif variant:
        raise ValueError(f"variant: 'quick' or 'paper', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if config.part not in PARTS or not set(config.parts) <= set(PARTS):
        raise ValueError(f"parts: must be among {', '.join(PARTS)}, got {config.parts} (part {config.part})")
    if config.depth not in (1, 2, 3, 4, 5, 6):
        raise ValueError(f"depth: must be 1 to 6, got {config.depth}")
    for name, value, least, most in (
        ("rank", config.rank, 1, config.n),
        ("first_observed", config.first_observed, 1, config.n**2),
        ("observed", config.observed, config.first_observed, config.n**2),
    ):
        if not (least <= value <= most and value == int(value)):
            raise ValueError(f"{name}: must be a whole number from {least} to {most}, got {value}")
    for name in ("rate", "scale", "second_time"):
        if not 0 < config[name] < np.inf:
            raise ValueError(f"{name}: must be positive and finite, got {config[name]}")
    switches = config[f"by_{config.part}"].switches
    if len(switches) < 2 or switches[0] != 0 or any(np.diff(switches) <= 0):
        raise ValueError(f"by_{config.part}.switches: must increase from 0, got {switches}")
    updates_of((*switches, *halves(config)), config.rate)


def updates_of(times: tuple[float, ...], rate: float) -> list[int]:
    """How many updates make up each time; their number must be whole."""
    updates = [round(time / rate) for time in times]
    if any(abs(number * rate - time) > 1e-6 * max(time, rate) for number, time in zip(updates, times, strict=True)):
        raise ValueError(f"rate: all times must be whole multiples of it, got {rate} for {times}")
    return updates


def halves(config: ConfigDict) -> tuple[float, float]:
    return config.second_time / 2, config.second_time


def sweep(config: ConfigDict) -> dict[str, Axes]:
    grids = {
        "observations": lambda own: product(static(depth=own.depths), traced(observed=own.counts)),
        "controls": lambda own: static(depth=[config.depth]),
        "step": lambda own: static(rate=own.rates),
    }
    return {
        part: product(static(part=[part]), grids[part](config[f"by_{part}"]), seeds(config[f"by_{part}"].seeds))
        for part in config.parts
    }


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    own, shape = config[f"by_{config.part}"], (config.n, config.n)
    for_matrix, for_entries, for_layers, for_fresh = jax.random.split(key, 4)
    matrix = tasks.low_rank_matrix(for_matrix, shape, rank=config.rank)
    first, second = (
        linear.CompletionTask(matrix, tasks.observed_entries(for_entries, shape, count=count))
        for count in (config.first_observed, config.observed)
    )
    sizes = [config.n] * (config.depth + 1)
    layers = linear.gaussian_layers(for_layers, sizes, scale=config.scale ** (1 / config.depth))
    switches, at = updates_of(own.switches, config.rate), updates_of(halves(config), config.rate)
    trained = linear.complete_switched(layers, first=first, second=second, rate=config.rate, switches=switches, at=at)
    maps = trained.records  # (switches, halves, n, n)
    ends = [maps[:, -1]]
    if own.controls:
        ends.append(linear.complete(layers, task=second, rate=config.rate, at=[s + at[-1] for s in switches]).records)
        drawn = linear.gaussian_layers(for_fresh, sizes, scale=1.0)
        fresh = jax.vmap(lambda like: linear.norm_matched_layers(drawn, like=like))(trained.at_switch)
        ends.append(linear.complete_branches(fresh, task=second, rate=config.rate, at=at[-1:]).records[:, 0])

    def errors(omega, task):
        return jnp.stack(linear.completion_errors(omega, task=task))

    on_second = jax.vmap(lambda omega: errors(omega, second))
    at_switch = jax.vmap(chain)(trained.at_switch)
    spectra = singular_values(jnp.stack([at_switch, maps[:, -1]]))
    return {
        "error": jnp.stack([on_second(omega) for omega in ends]),
        "first_error": jax.vmap(lambda omega: errors(omega, first))(at_switch),
        "course": jax.vmap(on_second)(maps)[..., 1],
        "values": spectra[..., :KEPT],
        "effective_rank": effective_rank(spectra),
    }


def named_parts(results: "xr.DataTree") -> dict[str, "xr.Dataset"]:
    """The result of each part, with names for what its outputs' own axes hold."""
    parts = parts_of(results, AXES)
    for name, data in parts.items():
        arms, times = list(ARMS[: data.sizes["arm"]]), list(setting(data, f"by_{name}.switches"))
        parts[name] = data.assign_coords(arm=arms, entries=list(ENTRIES), moment=list(MOMENTS), switch=times)
    return parts


def hidden(data: "xr.Dataset", arm: str = "switched") -> "xr.DataArray":
    return data.error.sel(arm=arm, entries="unobserved")


def damage(data: "xr.Dataset") -> "xr.DataArray":
    error = hidden(data)
    return (error - error.isel(switch=0, drop=True)).isel(switch=slice(1, None))


def figure(results: "xr.DataTree") -> "Figure":
    """What the first entries cost, by depth, number of later entries and against controls."""
    from brainjax import plots

    drawn = [
        ("observations", draw_depth),
        ("observations", draw_counts),
        ("controls", draw_controls),
        ("observations", draw_effective_rank),
    ]
    return plots.panels(named_parts(results), drawn, rows=2, columns=2, height=4.6)


def time_axis(ax: Any, data: "xr.Dataset") -> None:
    first = setting(data, "first_observed")
    times = data.switch.values
    ax.set_xlim(-0.04 * times[-1], 1.04 * times[-1])
    ax.set_xlabel(f"time on the first {first} entries (rate × updates)")


def error_axis(ax: Any, place: str) -> None:
    ax.set(ylabel="error, unobserved entries", ylim=(0, 1.3 * ax.get_ylim()[1]))  # room for the legend
    ax.legend(loc=place)


def draw_depth(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    most = data.isel(observed=-1)
    for depth, look in zip(most.depth.values, plots.line_styles(most.sizes["depth"]), strict=True):
        rows = hidden(most).sel(depth=depth).transpose("switch", "seed")
        plots.intervals(ax, most.switch, rows, label=f"depth {depth}", **look)
    time_axis(ax, data)
    ax.set_title(f"{int(most.observed)} entries at the end")
    ax.set_ylim(0, 1.15 * ax.get_ylim()[1])
    error_axis(ax, "upper left")


def draw_counts(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    deepest = data.isel(depth=-1)
    for switch, look in zip(data.switch.values, plots.line_styles(data.sizes["switch"]), strict=True):
        rows = hidden(deepest).sel(switch=switch).transpose("observed", "seed")
        plots.intervals(ax, data.observed, rows, label=f"{switch:g}", **look)
    ax.set(xlabel="entries observed at the end", title=f"depth {int(deepest.depth)}")
    ax.set(ylabel="error, unobserved entries", ylim=(0, 1.45 * ax.get_ylim()[1]))
    ax.legend(title="time on the first entries", ncols=2, loc="upper right")


def draw_controls(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    here = data.isel(depth=0)
    names = {"switched": "few entries, then more", "longer": "all, whole time", "fresh": "fresh, same norms"}
    for arm, look in zip(here.arm.values, plots.line_styles(3), strict=False):
        plots.intervals(ax, here.switch, hidden(here, arm).transpose("switch", "seed"), label=names[arm], **look)
    time_axis(ax, here)
    config = json.loads(data.attrs["config"])
    ax.set_title(f"depth {int(here.depth)}, {config['observed']} entries at the end")
    error_axis(ax, "upper left")


def draw_effective_rank(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    rank, most = setting(data, "rank"), data.isel(observed=-1)
    for depth, look in zip(data.depth.values, plots.line_styles(data.sizes["depth"]), strict=True):
        if depth > 1:
            rows = most.effective_rank.sel(depth=depth, moment="end").transpose("switch", "seed")
            plots.intervals(ax, data.switch, rows, label=f"depth {depth}", **look)
    ax.axhline(rank, color="black", linewidth=0.8, linestyle=":")
    ax.text(data.switch[-1], 0.93 * rank, "rank of the matrix", ha="right", va="top", fontsize=6.5)
    time_axis(ax, data)
    ax.set(ylabel="effective rank at the end", ylim=(0, 1.2 * ax.get_ylim()[1]))
    ax.set_title(f"{int(most.observed)} entries at the end")
    ax.legend(loc="upper left")


def claims(results: "xr.DataTree") -> list[Claim]:
    judges = {"observations": observation_claims, "controls": control_claims, "step": step_claims}
    return [claim for name, data in named_parts(results).items() for claim in judges[name](data)]


def observation_claims(data: "xr.Dataset") -> list[Claim]:
    config = json.loads(data.attrs["config"])
    found = []
    if 1 in data.depth.values:
        everywhere = data.error.sel(depth=1, arm="switched", entries="everywhere")
        found.append(
            judge.below(
                "depth 1 is flat",
                f"at depth 1 no switch changes the error over all entries by {HARM:g} (entries not fitted could)",
                "matrix completion, growing data",
                abs(everywhere - everywhere.isel(switch=0)).max(("switch", "observed")),
                than=HARM,
                unit="mean square",
            )
        )
    counts = {int(data.observed[-1]), config["compared"]} & {int(count) for count in data.observed.values}
    for count in sorted(counts):
        found += depth_claims(data.sel(observed=count))
    if 3 in data.depth.values:
        found += deep_claims(data.sel(depth=3), config)
    return found


def depth_claims(data: "xr.Dataset") -> list[Claim]:
    """At one number of entries: the damage by the longest first training."""
    count = int(data.observed)
    harm = {int(depth): damage(data).sel(depth=depth).isel(switch=-1) for depth in data.depth.values if depth in (2, 3)}
    where, unit = "matrix completion, growing data", "mean square"
    found = [
        judge.greater(
            f"depth {depth} is damaged, {count} entries",
            f"at depth {depth} the longest first training raises the error with {count} entries by more than {HARM:g}",
            where,
            harm[depth],
            than=HARM,
            unit=unit,
        )
        for depth in harm
    ]
    if len(harm) == 2:
        found.append(
            judge.greater(
                f"depth amplifies, {count} entries",
                f"after the longest first training depth 3 is damaged more than depth 2 ({count} entries)",
                where,
                harm[3],
                than=harm[2],
                unit=unit,
            )
        )
    return found


def deep_claims(data: "xr.Dataset", config: dict[str, Any]) -> list[Claim]:
    where, unit = "matrix completion, growing data, depth 3", "mean square"
    most, early = data.isel(observed=-1), config["early"]
    found = []
    if early in data.switch.values[1:]:
        found.append(
            judge.below(
                "unharmed early",
                f"at depth 3 a first training for {early:g} ({early / PUBLISHED_RATE:g} updates at the published rate) "
                f"raises the error by less than {HARM:g}",
                where,
                damage(most).sel(switch=early),
                than=HARM,
                unit=unit,
            )
        )
    if data.sizes["observed"] > 1:
        last = damage(data).isel(switch=-1)
        found.append(
            judge.greater(
                "late observations are wasted",
                f"from {int(data.observed[0])} to {int(data.observed[-1])} entries the error falls less after the "
                "longest first training than without one",
                where,
                last.isel(observed=-1),
                than=last.isel(observed=0),
                unit=unit,
            )
        )
    last = most.isel(switch=-1)
    ranks = most.effective_rank.sel(moment="end")
    return [
        *found,
        judge.below(
            "generalisation, not fit",
            "at depth 3 the observed entries are fitted to 0.01 after the longest first training",
            where,
            last.error.sel(arm="switched", entries="observed"),
            than=0.01,
            unit=unit,
        ),
        judge.below(
            "not a delay",
            "at depth 3, after the longest first training, the second half of the second one lowers the error by less "
            f"than {HARM:g}",
            "our control",
            last.course.isel(half=0) - last.course.isel(half=1),
            than=HARM,
            unit=unit,
        ),
        judge.greater(
            "excess rank",
            "at depth 3 the longest first training raises the effective rank at the end",
            where,
            ranks.isel(switch=-1),
            than=ranks.isel(switch=0),
            unit="effective rank",
        ),
    ]


def control_claims(data: "xr.Dataset") -> list[Claim]:
    last = data.isel(depth=0, switch=-1)
    return [
        judge.greater(
            name,
            f"at depth {int(last.depth)} the longest first training ends with a greater error than {statement}",
            "our control",
            hidden(last),
            than=hidden(last, arm),
            unit="mean square",
            detail=f"error of the control {float(hidden(last, arm).mean()):.3g}",
        )
        for arm, name, statement in (
            ("longer", "not the budget", "training on all entries for the whole time"),
            ("fresh", "not the norm", "a fresh Gaussian start whose layers have the same norms"),
        )
    ]


def step_claims(data: "xr.Dataset") -> list[Claim]:
    """By Richardson's argument the error of a rate is what halving it changes, twice (a method of first order)."""
    if data.sizes["rate"] < 2:
        return []
    coarse, fine = (damage(data).isel(rate=index) for index in (0, 1))
    rates = [float(rate) for rate in data.rate.values[:2]]
    return [
        judge.below(
            "discretisation",
            f"at rate {rates[0]:g} the damage is that of gradient flow to {COARSE:g}",
            "our test of the step",
            (abs(coarse - fine) / (1 - rates[1] / rates[0])).max("switch"),
            than=COARSE,
            unit="mean square, most over switches",
        )
    ]
