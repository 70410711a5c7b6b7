r"""What a deep linear network learned first harms what it learns next, and deeper networks are harmed more.

A network completes one matrix of low rank, then another from the same entries, for an equal time. Kleinman, Achille &
Soatto (ICLR 2024), their matrix completion, over many seeds and beside controls; the set-up of Arora et al. (2019).

Run:  brainjax run transfer/task_switch [--variant=quick|paper]
Cost: about 4 min on 2 cores (quick: 15 s; paper, published rate and four seeds: 5 min by estimate).

The parts of the experiment, each with a grid of its own:

* ``depth``: one, two and three layers, every switch, with two controls: training on the second task alone for the
  whole time (``longer``), and a fresh Gaussian start whose layers have the norms of those at the switch (``fresh``);
* ``rank``: depth 3, the rank of the first matrix; where it is that of the second, nothing but the matrix changes;
* ``observations``: depth 3, how many entries are observed, of both matrices;
* ``step``: depth 3 at half the rate: the error of the discretisation.

Times are updates times rate. The published rate, 0.2, is far below what the curvature allows (about two over
:math:`D s^{2-2/D} / n^2` for singular values :math:`s = n/\sqrt r`: 40 here), so that fifty times fewer updates follow
the same flow. Errors are mean squares over the entries never observed, in units of the matrix's own mean square, unless
another set of entries is named; the damage is the error minus that of the same seed without a first task.
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
    "error": ("arm", "switch", "entries"),  # on the second task, at the end
    "first_error": ("switch", "entries"),  # on the first task, at the switch
    "course": ("switch", "half"),  # over unobserved entries, after each half of the second training
    "values": ("moment", "switch", "value"),  # largest singular values of the map, at the switch and at the end
    "effective_rank": ("moment", "switch"),
    "modes": ("switch",),  # of the first task, learned at the switch
}
ARMS = ("switched", "longer", "fresh")
ENTRIES = linear.CompletionErrors._fields
MOMENTS = ("switch", "end")
PARTS = ("depth", "rank", "observations", "step")
AXES = {"depth": ("depth",), "rank": ("rank",), "observations": ("observed",), "step": ("rate",)}
HARM = 0.05  # of the mean-square entry: less we call no damage
COARSE = 0.1  # error of the discretisation that the claims can bear
KEPT = 12  # singular values
PUBLISHED_RATE = 0.2


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict(
        {
            "seed": 0,
            "part": "depth",
            "parts": PARTS,
            "n": 100,  # rows and columns
            "depth": 3,
            "rank": 10,  # of the first matrix
            "largest_rank": 15,  # factors drawn: all ranks share them
            "second_rank": 5,
            "observed": 2000,
            "scale": 0.001,  # by which the map multiplies a vector's norm at the start
            "rate": 10.0,
            "early": 2000.0,  # a first training that is said to do no harm at depth 3 (10000 published updates)
            "middle": 12000.0,  # after which the published damage falls again (60000)
            "second_time": 6000.0,
            "by_depth": {
                "depths": (1, 2, 3),
                "switches": (0.0, 1000.0, 2000.0, 4000.0, 8000.0, 12000.0, 20000.0),
                "controls": True,
                "seeds": 32,
            },
            "by_rank": {"ranks": (2, 5, 10, 15), "switches": (0.0, 12000.0), "controls": False, "seeds": 32},
            "by_observations": {
                "counts": (1000, 1500, 2000, 3000, 4000),
                "switches": (0.0, 12000.0),
                "controls": False,
                "seeds": 32,
            },
            "by_step": {"rates": (10.0, 5.0), "switches": (0.0, 4000.0, 12000.0), "controls": False, "seeds": 8},
        }
    )
    if variant == "quick":
        config.update({"n": 30, "rank": 4, "largest_rank": 4, "second_rank": 2, "observed": 300, "rate": 5.0})
        config.update({"early": 300.0, "middle": 1500.0, "second_time": 1000.0})
        config.parts = ("depth", "rank")
        config.by_depth.update({"depths": (3,), "switches": (0.0, 300.0, 1500.0, 3000.0), "seeds": 16})
        config.by_depth.controls = False  # they cost compile time
        config.by_rank.update({"ranks": (2, 4), "switches": (0.0, 1500.0), "seeds": 16})
        config.by_observations.update({"counts": (200, 300, 450), "switches": (0.0, 1500.0), "seeds": 16})
        config.by_step.update({"rates": (5.0, 2.5), "switches": (0.0, 1500.0), "seeds": 8})
    elif variant == "paper":
        config.parts = ("depth",)
        config.rate = PUBLISHED_RATE
        published = (0.0, 200.0, 1000.0, 2000.0, 4000.0, 8000.0, 12000.0, 16000.0, 20000.0)
        config.by_depth.update({"controls": False, "seeds": 4, "switches": published})
    elif variant:
        raise ValueError(f"variant: 'quick' or 'paper', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if config.part not in PARTS or not set(config.parts) <= set(PARTS):
        raise ValueError(f"parts: must be among {', '.join(PARTS)}, got {config.parts} (part {config.part})")
    if config.depth not in (1, 2, 3, 4, 5, 6):
        raise ValueError(f"depth: must be 1 to 6, got {config.depth}")
    for name, value, most in (
        ("rank", config.rank, config.largest_rank),
        ("second_rank", config.second_rank, config.n),
        ("observed", config.observed, config.n**2),
    ):
        if not (1 <= value <= most and value == int(value)):
            raise ValueError(f"{name}: must be a whole number from 1 to {most}, got {value}")
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
        "depth": lambda own: static(depth=own.depths),
        "rank": lambda own: traced(rank=own.ranks),
        "observations": lambda own: traced(observed=own.counts),
        "step": lambda own: static(rate=own.rates),
    }
    return {
        part: product(static(part=[part]), grids[part](config[f"by_{part}"]), seeds(config[f"by_{part}"].seeds))
        for part in config.parts
    }


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    own, shape = config[f"by_{config.part}"], (config.n, config.n)
    for_first, for_second, for_entries, for_layers, for_fresh = jax.random.split(key, 5)
    seen = tasks.observed_entries(for_entries, shape, count=config.observed)
    matrix = tasks.low_rank_matrix(for_first, shape, rank=config.rank, most=config.largest_rank)
    first = linear.CompletionTask(matrix, seen)
    second = linear.CompletionTask(tasks.low_rank_matrix(for_second, shape, rank=config.second_rank), seen)
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
    spectra = singular_values(jnp.concatenate([at_switch, maps[:, -1], matrix[None]]))
    typical, spectra = spectra[-1], spectra[:-1].reshape(2, len(switches), config.n)
    learned = (spectra[0] > typical[None] / 2) & (jnp.arange(config.n) < config.rank)[None]
    return {
        "error": jnp.stack([on_second(omega) for omega in ends]),
        "first_error": jax.vmap(lambda omega: errors(omega, first))(at_switch),
        "course": jax.vmap(on_second)(maps)[..., 1],
        "values": spectra[..., :KEPT],
        "effective_rank": effective_rank(spectra),
        "modes": learned.sum(1).astype(spectra.dtype),
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
    """What the first task costs, by depth, modes learned, controls, ranks and numbers of observations."""
    from brainjax import plots

    drawn = [
        ("depth", draw_depth),
        ("depth", draw_modes),
        ("depth", draw_effective_rank),
        ("depth", draw_controls),
        ("rank", draw_rank),
        ("observations", draw_observations),
    ]
    return plots.panels(named_parts(results), drawn, rows=2, columns=3, height=4.3)


def time_axis(ax: Any, data: "xr.Dataset") -> None:
    times = data.switch.values
    ax.set_xscale("symlog", linthresh=times[1], linscale=0.4)
    ax.set_xlim(-0.2 * times[1], 1.25 * times[-1])
    ticks = [10.0**k for k in range(1, 7) if times[1] <= 10.0**k <= times[-1]]
    ax.set_xticks([0, *ticks], ["0", *[f"$10^{np.log10(x):.0f}$" for x in ticks]])
    ax.minorticks_off()
    ax.set_xlabel("time on task 1 (rate × updates)")


def draw_depth(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    for depth, look in zip(data.depth.values, plots.line_styles(data.sizes["depth"]), strict=True):
        rows = hidden(data).sel(depth=depth).transpose("switch", "seed")
        plots.intervals(ax, data.switch, rows, label=f"depth {depth}", **look)
    time_axis(ax, data)
    ax.set(ylabel="error on task 2,\nunobserved entries", ylim=(0, 1.35 * ax.get_ylim()[1]))  # room for the legend
    ax.legend(loc="upper left")


def draw_modes(ax: Any, data: "xr.Dataset") -> None:
    """Damage against how much of the first task had been learned; one point per number of modes, all switches."""
    from brainjax import plots

    deep = [depth for depth in data.depth.values if depth > 1]
    looks = plots.line_styles(data.sizes["depth"])[-len(deep) :]
    for depth, look in zip(deep, looks, strict=True):
        here = data.sel(depth=depth)
        both = (here.modes.isel(switch=slice(1, None)), damage(here))
        modes, harm = (values.transpose("switch", "seed").values for values in both)
        dots = {"linestyle": "none", "marker": ".", "markersize": 1.5, "alpha": 0.3}
        ax.plot(modes.ravel(), harm.ravel(), color=look["color"], **dots)
        # seeds, not runs, are independent: average over the switches of a seed first
        each = {count: seed_means(harm, modes == count) for count in np.unique(modes)}
        each = {count: values for count, values in each.items() if values.size >= 5}
        mean, low, high = np.array([judge.interval(values)[:3] for values in each.values()]).T
        ax.errorbar(list(each), mean, [mean - low, high - mean], capsize=2, label=f"depth {depth}", **look)
    ax.axhline(0, color="black", linewidth=0.6)
    ax.set(xlabel="modes of task 1 learned at the switch", ylabel="damage")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(loc="upper left")


def seed_means(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Mean over the chosen switches of each seed that has any; arrays of shape (switches, seeds)."""
    some = chosen.any(0)
    return np.where(chosen, values, 0).sum(0)[some] / chosen.sum(0)[some]


def draw_effective_rank(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    config = json.loads(data.attrs["config"])
    for depth, look in zip(data.depth.values, plots.line_styles(data.sizes["depth"]), strict=True):
        if depth > 1:
            rows = data.effective_rank.sel(depth=depth, moment="end").transpose("switch", "seed")
            plots.intervals(ax, data.switch, rows, label=f"depth {depth}", **look)
    ax.axhline(config["second_rank"], color="black", linewidth=0.8, linestyle=":")
    ax.text(data.switch[-1], 0.93 * config["second_rank"], "rank of task 2", ha="right", va="top", fontsize=6.5)
    time_axis(ax, data)
    ax.set(ylabel="effective rank at the end", ylim=(0, 1.3 * ax.get_ylim()[1]))
    ax.legend(loc="upper left")


def draw_controls(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    here = data.isel(depth=-1)
    names = {"switched": "task 1, then task 2", "longer": "task 2, whole time", "fresh": "fresh, same norms"}
    for arm, look in zip(here.arm.values, plots.line_styles(3), strict=False):
        plots.intervals(ax, here.switch, hidden(here, arm).transpose("switch", "seed"), label=names[arm], **look)
    time_axis(ax, here)
    ax.set(ylabel="error on task 2,\nunobserved entries", ylim=(0, 1.35 * ax.get_ylim()[1]))
    ax.set_title(f"depth {int(here.depth)}")
    ax.legend(loc="upper left")


def draw_with_and_without(ax: Any, data: "xr.Dataset", axis: str) -> None:
    from brainjax import plots

    for switch, look in zip(data.switch.values, plots.line_styles(data.sizes["switch"]), strict=True):
        label = "task 2 only" if switch == 0 else f"task 1 for {switch:g}"
        plots.intervals(ax, data[axis], hidden(data).sel(switch=switch).transpose(axis, "seed"), label=label, **look)
    ax.set(ylabel="error on task 2,\nunobserved entries", ylim=(0, 1.35 * ax.get_ylim()[1]))  # room for the legend
    ax.legend()


def draw_rank(ax: Any, data: "xr.Dataset") -> None:
    draw_with_and_without(ax, data, "rank")
    depth = setting(data, "depth")
    ax.set(xlabel="rank of task 1", xticks=data["rank"].values, title=f"depth {depth}")


def draw_observations(ax: Any, data: "xr.Dataset") -> None:
    draw_with_and_without(ax, data, "observed")
    depth = setting(data, "depth")
    ax.set(xlabel="observed entries", title=f"depth {depth}")


def claims(results: "xr.DataTree") -> list[Claim]:
    judges = {"depth": depth_claims, "rank": rank_claims, "observations": observation_claims, "step": step_claims}
    return [claim for name, data in named_parts(results).items() for claim in judges[name](data)]


def depth_claims(data: "xr.Dataset") -> list[Claim]:
    config = json.loads(data.attrs["config"])
    by_depth = {int(depth): data.sel(depth=depth) for depth in data.depth.values}
    where, unit = "matrix completion, depths", "mean square"
    found = []
    if 1 in by_depth:
        everywhere = by_depth[1].error.sel(arm="switched", entries="everywhere")
        found.append(
            judge.below(
                "depth 1 is flat",
                f"at depth 1 no switch changes the error over all entries by {HARM:g} (entries not fitted could)",
                where,
                abs(everywhere - everywhere.isel(switch=0)).max("switch"),
                than=HARM,
                unit=unit,
            )
        )
    for depth in (2, 3):
        if depth in by_depth:
            found.append(
                judge.greater(
                    f"depth {depth} is damaged",
                    f"at depth {depth} the longest first training raises the error by more than {HARM:g}",
                    where,
                    damage(by_depth[depth]).isel(switch=-1),
                    than=HARM,
                    unit=unit,
                )
            )
    if {2, 3} <= set(by_depth):
        found += two_depth_claims(by_depth[2], by_depth[3])
    if 3 in by_depth:
        found += deep_claims(by_depth[3], config)
    return found


def two_depth_claims(two: "xr.Dataset", three: "xr.Dataset") -> list[Claim]:
    rank = json.loads(two.attrs["config"])["rank"]
    where, unit = "matrix completion, depths", "mean square"

    def once_half_is_learned(data):
        learned = data.modes.isel(switch=slice(1, None)) >= rank / 2
        return damage(data).isel(switch=learned.argmax("switch")).where(learned.any("switch"))

    return [
        judge.greater(
            "depth amplifies",
            "after the longest first training depth 3 is damaged more than depth 2",
            where,
            damage(three).isel(switch=-1),
            than=damage(two).isel(switch=-1),
            unit=unit,
        ),
        judge.greater(
            "depth amplifies at equal learning",
            "at the first switch by which half of task 1's modes are learned, depth 3 is damaged more than depth 2",
            "our control: depth also delays learning",
            once_half_is_learned(three),
            than=once_half_is_learned(two),
            unit=unit,
        ),
        judge.below(
            "depth helps when undisturbed",
            "without a first task depth 3 completes better than depth 2",
            where,
            hidden(three).isel(switch=0),
            than=hidden(two).isel(switch=0),
            unit=unit,
        ),
    ]


def deep_claims(data: "xr.Dataset", config: dict[str, Any]) -> list[Claim]:
    where, unit = "matrix completion, depth 3", "mean square"
    harm, times = damage(data), list(data.switch.values)
    modes = data.modes.isel(switch=slice(1, None))
    last = data.isel(switch=-1)
    found = []
    early, middle = config["early"], config["middle"]
    if early in times:
        found.append(
            judge.below(
                "unharmed early",
                f"at depth 3 a first training for {early:g} ({early / PUBLISHED_RATE:g} updates at the published rate) "
                f"raises the error by less than {HARM:g}",
                where,
                harm.sel(switch=early),
                than=HARM,
                unit=unit,
                detail=f"{float(data.modes.sel(switch=early).mean()):.2g} modes learned by then, mean over seeds",
            )
        )
    found += [
        judge.below(
            "unharmed before modes are learned",
            f"at depth 3, switches before the second mode of task 1 raise the error by less than {HARM:g}",
            where,
            harm.where(modes <= 1).mean("switch"),
            than=HARM,
            unit=f"{unit}, mean over such switches",
        ),
        judge.greater(
            "harmed once modes are learned",
            f"at depth 3, switches after half of task 1's modes raise the error by more than {HARM:g}",
            where,
            harm.where(modes >= config["rank"] / 2).mean("switch"),
            than=HARM,
            unit=f"{unit}, mean over such switches",
        ),
    ]
    if middle in times[:-1]:
        found.append(
            judge.greater(
                "damage falls again",
                f"at depth 3 the damage is greater after {middle:g} ({middle / PUBLISHED_RATE:g} updates at the "
                f"published rate) than after the longest first training",
                where,
                harm.sel(switch=middle),
                than=harm.isel(switch=-1),
                unit=unit,
            )
        )
    found += [
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
            data.effective_rank.sel(moment="end").isel(switch=-1),
            than=data.effective_rank.sel(moment="end").isel(switch=0),
            unit="effective rank",
        ),
    ]
    if data.sizes["arm"] == len(ARMS):
        for arm, name, statement in (
            ("longer", "not the budget", "training on task 2 alone for the whole time"),
            ("fresh", "not the norm", "a fresh Gaussian start whose layers have the same norms"),
        ):
            found.append(
                judge.greater(
                    name,
                    f"at depth 3 the longest first training ends with a greater error than {statement}",
                    "our control",
                    hidden(last),
                    than=hidden(last, arm),
                    unit=unit,
                    detail=f"error of the control {float(hidden(last, arm).mean()):.3g}",
                )
            )
    return found


def rank_claims(data: "xr.Dataset") -> list[Claim]:
    config = json.loads(data.attrs["config"])
    harm = damage(data).isel(switch=-1)
    where, unit = "matrix completion, ranks of task 1", "mean square"
    found = []
    if config["second_rank"] in data["rank"].values:
        found.append(
            judge.greater(
                "same rank",
                f"a first matrix of the rank of the second raises the error by more than {HARM:g}",
                "our control",
                harm.sel(rank=config["second_rank"]),
                than=HARM,
                unit=unit,
            )
        )
    if data.sizes["rank"] > 1:
        levels = {int(rank): harm.sel(rank=rank) for rank in data["rank"].values}
        statement = "the damage grows with the rank of the first matrix"
        found.append(judge.increasing("rank of task 1", statement, where, levels, unit=unit))
    return found


def observation_claims(data: "xr.Dataset") -> list[Claim]:
    if data.sizes["observed"] < 2:
        return []
    harm = damage(data).isel(switch=-1)
    levels = {int(count): harm.sel(observed=count) for count in data.observed.values}
    statement = "the damage falls with the number of observed entries"
    where = "matrix completion, numbers of observations"
    return [judge.decreasing("observations protect", statement, where, levels, unit="mean square")]


def step_claims(data: "xr.Dataset") -> list[Claim]:
    """By Richardson's argument the error of a rate is twice what halving it changes (a method of first order)."""
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
