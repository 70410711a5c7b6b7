r"""Root d, d, or d squared: how many pairs one matrix holds depends on what is asked of a read.

A Hebbian memory :math:`S = \sum_i k_i v_i^\top` of N pairs of random unit keys and unit values in d dimensions is read
with its keys. Qiao (2025) reads attention as conditioning and announces a capacity of order :math:`\sqrt d`. That
answers one question of three (formulas: `brainjax.memory`, derived by us):

* *worst case*: no values, however chosen, spoil a read by more than its own length, :math:`N - 1 = 1 / \mathbb E|t|`
  for overlaps t, of order :math:`\sqrt d`;
* *mean square*: the mean-square error of a typical read equals the signal, :math:`N - 1 = d`;
* *nearest value*: the stored value nearest to the read is the right one, half of the time: about
  :math:`d^2 / (2 \ln N)`.

Run:  brainjax run conditioning/three_capacities [--variant=quick]
Cost: 43 s of one busy core (quick: 21 s).

The same memory answers all three, at growing numbers of pairs. The first two exponents would follow from the overlaps
of random keys alone; here they are fitted to what the memory answered, like the third, to N - 1.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from brainjax import claims as judge
from brainjax import memory
from brainjax.claims import Claim
from brainjax.core.draws import normal
from brainjax.sweep import Axes, product, seeds, static

if TYPE_CHECKING:  # what only the figure needs is imported when it is drawn
    import xarray as xr
    from matplotlib.figure import Figure

PAPER = "qiao2025"
DIMS = {
    "crosstalk": ("adversarial_pairs",),  # length of what values chosen against one read add to it, mean over 8 reads
    "square": ("random_pairs",),  # squared length of what random values add, mean over all pairs
    "decoded": ("many_pairs",),  # share of reads whose nearest stored value is the right one
}
STEPS = 16  # evenly spaced numbers of pairs at which the last two are measured
FEW = 16  # pairs: laws are judged from here on; with fewer, errors are far from normal
OURS = "our derivation"


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict({"seed": 0, "dimension": 64, "dimensions": (16, 32, 64, 128), "probes": 32, "seeds": 256})
    if variant == "quick":
        config.update({"dimensions": (16, 32), "seeds": 16})
    elif variant:
        raise ValueError(f"variant: 'quick', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if config.dimension < 8 or config.dimension % 8:
        raise ValueError(f"dimension: must be a multiple of 8, got {config.dimension}")
    if config.probes < 1:
        raise ValueError(f"probes: must be at least 1, got {config.probes}")


def sweep(config: ConfigDict) -> Axes:
    return product(static(dimension=config.dimensions), seeds(config.seeds))


def adversarial_pairs(dimension: int) -> np.ndarray:
    return np.arange(2, 34)


def random_pairs(dimension: int) -> np.ndarray:
    return np.arange(1, STEPS + 1) * (2 * dimension // STEPS)


def many_pairs(dimension: int) -> np.ndarray:
    return np.arange(1, STEPS + 1) * (dimension**2 // 4 // STEPS)


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    d, rule = config.dimension, memory.make("hebb")
    few, some, many = (int(pairs(d)[-1]) for pairs in (adversarial_pairs, random_pairs, many_pairs))
    keys, values = memory.unit_norm(normal(key, (2, max(few, some, many), d)))

    def spoil(first: jax.Array) -> jax.Array:
        others = jnp.roll(keys[:few], first, 0)
        against = jnp.sign(others @ others[0])[:, None]
        probe = jnp.broadcast_to(others[0], (few, d))
        return memory.apply(rule, probe, others, against, form="parallel").outputs[1:, 0] - 1

    def miss(state: Any, written: jax.Array) -> jax.Array:
        missed = jnp.sum((read_all(rule, state, keys[:some]) - values[:some]) ** 2, 1)
        return jnp.sum(jnp.where(jnp.arange(some) < written, missed, 0)) / written

    def decode(state: Any, written: jax.Array) -> jax.Array:
        probes = jnp.arange(min(config.probes, many))
        scores = read_all(rule, state, keys[: len(probes)]) @ values[:many].T
        best = jnp.argmax(jnp.where(jnp.arange(many)[None] < written, scores, -jnp.inf), 1)
        return jnp.sum((best == probes) & (probes < written)) / jnp.minimum(written, len(probes))

    return {
        "crosstalk": jnp.mean(jax.vmap(spoil)(jnp.arange(few, step=few // 8)), 0),
        "square": grown(rule, keys[:some], values[:some], miss),
        "decoded": grown(rule, keys[:many], values[:many], decode).astype(keys.dtype),
    }


def grown(rule: memory.MemoryRule, keys: jax.Array, values: jax.Array, see: Callable[..., jax.Array]) -> jax.Array:
    """Writes all pairs in equal parts, and what ``see(state, pairs so far)`` sees of the memory after each part."""

    def fill(state: Any, part: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        k, v, written = part
        state = memory.apply(rule, k, k, v, state=state, form="parallel").state
        return state, see(state, written)

    each = len(keys) // STEPS
    parts = (*(x.reshape(STEPS, each, -1) for x in (keys, values)), jnp.arange(1, STEPS + 1) * each)
    return jax.lax.scan(fill, rule.init_state(keys.shape[1], values.shape[1], dtype=keys.dtype), parts)[1]


def read_all(rule: memory.MemoryRule, state: Any, queries: jax.Array) -> jax.Array:
    return jax.vmap(functools.partial(rule.read, state))(queries)


# -------------------------------------------------------------------------------------------------------- capacities
QUESTIONS = {  # the record, at which numbers of pairs, the level that defines the capacity, and theory's number
    "worst case": ("crosstalk", adversarial_pairs, 1.0, lambda d: memory.worst_case_capacity(1.0, d)),
    "mean square": ("square", random_pairs, 1.0, lambda d: memory.hebb_capacity(1.0, d)),
    "nearest value": ("decoded", many_pairs, 0.5, jax.jit(jax.vmap(lambda d: memory.decoding_capacity(0.5, d, d)))),
}


def right(pairs: np.ndarray, dimension: int) -> np.ndarray:
    """The formula for the share of reads whose nearest stored value is the right one; of one pair it is all."""
    d = float(dimension)
    return np.asarray(jax.jit(memory.decoding_accuracy)(np.maximum(pairs, 2).astype(float), d, d))


def crossing(curve: np.ndarray, pairs: np.ndarray, level: float) -> float:
    """Where the mean over seeds, (seeds, pairs), first passes a level, interpolated linearly; NaN if it does not."""
    above = curve.mean(0) - level
    past = np.nonzero(above[:-1] * above[1:] <= 0)[0]
    if not past.size:
        return np.nan
    i = past[0]
    return pairs[i] + (pairs[i + 1] - pairs[i]) * above[i] / (above[i] - above[i + 1])


def capacities(data: "xr.Dataset", question: str) -> np.ndarray:
    """ln(N - 1) at the capacity by one criterion, as pseudo-values over seeds, (dimensions, seeds)."""
    record, pairs, level, _ = QUESTIONS[question]

    def of(d: int) -> np.ndarray:
        curve = data[record].sel(dimension=d).transpose("seed", ...).values
        return judge.jackknife(lambda x: float(np.log(crossing(x, pairs(d), level) - 1)), curve)

    return np.stack([of(int(d)) for d in data.dimension.values])


def exponents(data: "xr.Dataset", question: str) -> np.ndarray:
    """Slope of ln(N - 1) over ln d, pseudo-values over seeds: a slope is linear in them."""
    x = np.log(data.dimension.values.astype(float))
    return (x - x.mean()) / np.sum((x - x.mean()) ** 2) @ capacities(data, question)


# ------------------------------------------------------------------------------------------------------------ figure
def figure(results: "xr.Dataset") -> "Figure":
    """Capacity by dimension and question; the shares of reads that are decoded. Markers simulations, lines formulas."""
    from brainjax import plots

    data = with_dimension(results)
    with plots.style():
        page, axes = plots.subplots(1, 2, width="page", height=2.6)
        draw_capacities(axes[0, 0], data)
        draw_decoding(axes[0, 1], data)
        plots.letter(axes.flat)
    return page


def with_dimension(data: "xr.Dataset") -> "xr.Dataset":
    """With the axis of dimensions, which a run with one pinned does not have."""
    from brainjax.sweep import setting

    return data if "dimension" in data.dims else data.expand_dims({"dimension": [setting(data, "dimension")]})


def draw_capacities(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    d = data.dimension.values.astype(float)
    for name, look in zip(QUESTIONS, plots.line_styles(3), strict=True):
        logs = capacities(data, name)
        ends = [judge.interval(row) for row in logs]
        mid, low, high = (1 + np.exp([end[i] for end in ends]) for i in range(3))
        label = f"{name}" if len(d) < 2 else f"{name}: {judge.interval(exponents(data, name))[0]:.2f}"
        ax.errorbar(d, mid, [mid - low, high - mid], capsize=2, label=label, **{**look, "linestyle": "none"})
        ax.plot(d, np.asarray(QUESTIONS[name][3](d)), color=look["color"], linewidth=0.9, zorder=0)
    ax.set(xscale="log", yscale="log", xlabel="dimension $d$", ylabel="capacity $N$", ylim=(None, 2e5))
    ax.set_xticks(d, [f"{x:g}" for x in d])
    ax.minorticks_off()
    ax.legend(title="exponent of" if len(d) > 1 else None, alignment="left", loc="upper left", handlelength=1)


def draw_decoding(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    for d, look in zip(data.dimension.values, plots.line_styles(data.sizes["dimension"]), strict=True):
        pairs = many_pairs(int(d))
        decoded = data.decoded.sel(dimension=d).transpose("many_pairs", "seed")
        plots.intervals(ax, pairs / d**2, decoded, label=f"{d:g}", **{**look, "linestyle": "none"})
        ax.plot(pairs / d**2, right(pairs, int(d)), color=look["color"], linewidth=0.9, zorder=0)
    ax.set(xlabel=r"pairs per weight, $N / d^2$", ylabel="share with right nearest value", ylim=(0, 1.03))
    ax.legend(title="$d$", alignment="left", handlelength=1)


# ------------------------------------------------------------------------------------------------------------ claims
def claims(results: "xr.Dataset") -> list[Claim]:
    data = with_dimension(results)
    sizes = [int(d) for d in data.dimension.values]
    found = [law_of_worst_values(data, sizes)]
    if len(sizes) > 1:
        for question, low, high, said in (("worst case", 0.47, 0.53, "1/2"), ("mean square", 0.98, 1.02, "1")):
            text = f"the number of pairs up to the {question} limit grows with dimension to the power {said}"
            bounds = {"low": low, "high": high, "unit": "exponent of N - 1"}
            found.append(judge.within(f"exponent, {question}", text, OURS, exponents(data, question), **bounds))
        theory = np.log(np.asarray(QUESTIONS["nearest value"][3](np.array(sizes, float))) - 1)
        slope = np.polyfit(np.log(sizes), theory, 1)[0]
        text = f"the exponent of the number of pairs decoded half of the time is the formula's, {slope:.3g}, to 0.05"
        bounds = {"low": slope - 0.05, "high": slope + 0.05, "unit": "exponent of N - 1"}
        found.append(judge.within("exponent, nearest value", text, OURS, exponents(data, "nearest value"), **bounds))
    return [*found, formula_for_decoding(data, sizes)]


def law_of_worst_values(data: "xr.Dataset", sizes: list[int]) -> Claim:
    cells, law = {}, {}
    for d in sizes:
        rows = data.crosstalk.sel(dimension=d).transpose("adversarial_pairs", "seed").values
        for n, row in zip(adversarial_pairs(d), rows, strict=True):
            if n >= FEW:
                cells[f"d = {d}, N = {n}"] = row
                law[f"d = {d}, N = {n}"] = float(memory.worst_case_error(float(n), float(d)))
    text = "values chosen against one read spoil it by (N - 1) E|t| of its length"
    return judge.follows_law("worst values", text, OURS, cells, law)


def formula_for_decoding(data: "xr.Dataset", sizes: list[int]) -> Claim:
    gaps = {}
    for d in sizes:
        pairs = many_pairs(d)
        rows = data.decoded.sel(dimension=d).transpose("many_pairs", "seed").values - right(pairs, d)[:, None]
        gaps |= {f"d = {d}, N = {n}": row for n, row in zip(pairs, rows, strict=True) if n >= FEW}
    text = "the formula for the nearest value is at most 0.06 pessimistic and at most 0.02 optimistic"
    bounds = {"low": -0.02, "high": 0.06, "unit": "measured - formula"}
    return judge.everywhere(judge.within, "formula for decoding", text, OURS, gaps, **bounds)
