r"""What a memory loses as it fills: by the rule that writes it, the kind of keys, the age of a pair and the rate.

A matrix of d x d weights stores N pairs of keys and unit values once, one after the other, and is probed with its
keys; :math:`y = N / d` is the load. Qiao (2025) reads attention as conditioning, its writes as Hebbian contiguity, and
announces a capacity; ``conditioning/three_capacities`` says of what. Here the question is the mean-square one: how the
error of a typical read grows with the load.

Run:  brainjax run conditioning/capacity [--variant=quick]
Cost: 89 s of one busy core (quick: 17 s).

The parts of the experiment (d is a static axis; one memory is read at all loads while it fills):

* ``rules``: every rule on every kind of keys: NMSE as read, after the best factor on the reads (one number per
  memory), of the worst pair, by age, and the share of reads whose nearest stored value is the right one;
* ``rates``: the delta rule at several rates :math:`\beta`, one pass.

Keys: ``sphere``, uniform; ``gaussian``, of variance 1/d; ``orthogonal``, random orthonormal bases one after the other;
``equicorrelated``, :math:`\sqrt\rho\, m + \sqrt{1 - \rho}\, z_i` with one common unit vector m and unit vectors
:math:`z_i \perp m`; ``clustered``, the same with one m for each of several clusters, which take turns. Hebb's NMSE with
clusters is that of equicorrelated keys for the pairs of one cluster plus 1/d for each pair of the others; with B
complete bases it is B - 1, half as much as on the sphere at two bases (both derived by us: Parseval).

Rules: ``hebb``; ``decayed``, Hebb with the decay that reaches back furthest at a signal-to-noise ratio of one;
``delta``, rate 1; ``slow_delta``, rate 1/2; ``least_squares``, recursive, with a small ridge; ``normalised``, linear
attention with its normaliser, keys of norm :math:`\sqrt d` through elu + 1; ``softmax``, inverse temperature
:math:`\sqrt d`. The last keeps all pairs, the others one matrix.
"""

import functools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from brainjax import claims as judge
from brainjax import memory
from brainjax.claims import Claim
from brainjax.core import spectra
from brainjax.core.draws import normal
from brainjax.sweep import Axes, parts_of, product, seeds, setting, static, traced

if TYPE_CHECKING:  # what only the figure needs is imported when it is drawn
    import xarray as xr
    from matplotlib.figure import Figure

PAPER = "qiao2025"
PRECISION = "float64"  # least squares of as many pairs as dimensions needs a tiny ridge
DIMS = {
    "error": ("kind", "rule", "load"),  # NMSE of the reads of all stored pairs
    "corrected": ("kind", "rule", "load"),  # the same after the factor on all reads that minimises it
    "worst": ("kind", "rule", "load"),  # squared error of the worst pair, over the square of a value
    "accuracy": ("kind", "rule", "load"),  # share of reads whose nearest stored value is the right one
    "recency": ("kind", "rule", "load", "age"),  # NMSE from the newest to the oldest pairs
    "rate_error": ("load",),
}
PARTS = ("rules", "rates")
AXES = {"rules": ("dimension",), "rates": ("dimension", "beta")}
KINDS = ("sphere", "gaussian", "orthogonal", "equicorrelated", "clustered")
NAMES = {  # rules of the library that stand behind ours
    "hebb": "hebb",
    "decayed": "hebb_decay",
    "delta": "delta",
    "slow_delta": "delta",
    "least_squares": "recursive_least_squares",
    "normalised": "normalised_linear",
    "softmax": "softmax",
}
RATES = {"delta": 1.0, "slow_delta": 0.5}
FEW = 16  # pairs: exact laws are judged from here on; with fewer, errors are far from normal
EVEN = 64  # pairs: likewise for the limit of many dimensions of the delta rule
CLOSE = 0.01  # of NMSE: what we call the least-squares law
OURS = "our derivation"
best_rate = jax.jit(memory.delta_best_rate)
exact_delta = jax.jit(memory.delta_error_finite, static_argnums=0)


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict(
        {
            "seed": 0,
            "part": "rules",
            "parts": PARTS,
            "dimension": 64,  # d
            "dimensions": (16, 32, 64),
            "loads": (0.125, 0.25, 0.5, 1.0, 2.0, 4.0),
            "kinds": KINDS,
            "rules": tuple(NAMES),
            "ages": 8,  # bins
            "correlation": 0.2,  # rho of equicorrelated keys
            "clusters": 8,
            "cluster_correlation": 0.5,
            "ridge": 1e-8,
            "beta": 1.0,
            "betas": (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2),
            "probes": 32,  # of the nearest value
            "seeds": 64,
        }
    )
    if variant == "quick":
        config.update({"dimension": 16, "dimensions": (16,), "kinds": ("sphere", "equicorrelated"), "seeds": 16})
        config.update({"rules": ("hebb", "delta"), "loads": (0.5, 2.0), "ages": 4})
        config.update({"betas": (0.2, 0.4, 0.6, 0.8, 1.0), "parts": ("rules",)})
    elif variant:
        raise ValueError(f"variant: 'quick', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if config.part not in PARTS or not set(config.parts) <= set(PARTS):
        raise ValueError(f"parts: must be among {', '.join(PARTS)}, got {config.parts} (part {config.part})")
    for name, known in (("kinds", KINDS), ("rules", tuple(NAMES))):
        if not config[name] or not set(config[name]) <= set(known):
            raise ValueError(f"{name}: must be among {', '.join(known)}, got {config[name]}")
    if config.dimension < 8:
        raise ValueError(f"dimension: must be 8 or more, got {config.dimension}")
    if sorted(set(config.loads)) != list(config.loads) or not min(config.loads) * config.dimension >= 1:
        raise ValueError(f"loads: must rise, and be at least 1 / dimension ({config.dimension}), got {config.loads}")
    if not 0 < config.beta < 2:
        raise ValueError(f"beta: must lie above 0 and below 2, got {config.beta}")


def sweep(config: ConfigDict) -> dict[str, Axes]:
    many = {
        "rules": static(dimension=config.dimensions),
        "rates": product(static(dimension=[config.dimension]), traced(beta=config.betas)),
    }
    return {part: product(static(part=[part]), many[part], seeds(config.seeds)) for part in config.parts}


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    return {"rules": run_rules, "rates": run_rates}[config.part](key, config)


# ------------------------------------------------------------------------------------------------- keys and memories
def unit(key: jax.Array, *shape: int) -> jax.Array:
    return memory.unit_norm(normal(key, shape))


def keys_of(kind: str, drawn: jax.Array, centres: jax.Array, config: ConfigDict) -> jax.Array:
    """Keys of one kind, (pairs, d), from standard normal numbers: (whole multiple of d, d), and those of centres."""
    d = config.dimension
    if kind == "sphere":
        return memory.unit_norm(drawn)
    if kind == "gaussian":
        return drawn / d**0.5
    if kind == "orthogonal":  # the polar factor of a Gaussian matrix is uniform over the orthogonal ones
        bases = spectra.decompose(drawn.reshape(-1, d, d))
        return (bases.left @ bases.right).reshape(-1, d)
    alone = kind == "equicorrelated"
    clusters, rho = (1, config.correlation) if alone else (config.clusters, config.cluster_correlation)
    shared = memory.unit_norm(centres)[jnp.arange(len(drawn)) % clusters]
    own = memory.unit_norm(drawn - jnp.sum(drawn * shared, 1, keepdims=True) * shared)
    return rho**0.5 * shared + (1 - rho) ** 0.5 * own


def constants_of(rule: str, config: ConfigDict) -> dict[str, Any]:
    d = float(config.dimension)
    return {
        "decayed": {"log_decay": jnp.log(memory.best_decay(d))},
        "slow_delta": {"beta": RATES["slow_delta"]},
        "least_squares": {"ridge": config.ridge},
        "softmax": {"inverse_temperature": d**0.5},
    }.get(rule, {})


def features(rule: str, keys: jax.Array) -> jax.Array:
    """What a rule sees of the keys."""
    return memory.elu_plus_one(keys.shape[-1] ** 0.5 * keys) if rule == "normalised" else keys


def states_at(rule: memory.MemoryRule, keys: jax.Array, values: jax.Array, counts: Any, constants: Any) -> Any:
    """The memory when it holds each of several numbers of pairs, stacked along a first axis."""
    exemplars = "written" in rule.init_state(1, 1, length=1)._fields
    each = len(keys) if exemplars else int(np.gcd.reduce(counts))

    def fill(state: Any, part: tuple[jax.Array, jax.Array]) -> tuple[Any, Any]:
        state = memory.apply(rule, part[0], *part, constants=constants, state=state, form=rule.forms[-1]).state
        return state, () if exemplars else state

    start = rule.init_state(keys.shape[1], values.shape[1], constants=constants, dtype=keys.dtype, length=len(keys))
    last, states = jax.lax.scan(fill, start, tuple(x.reshape(-1, each, x.shape[1]) for x in (keys, values)))
    if exemplars:  # it keeps the pairs: a memory of fewer is a part of the last one
        return jax.vmap(lambda written: last._replace(written=written))(jnp.asarray(counts, last.written.dtype))
    return jax.tree.map(lambda x: x[counts // each - 1], states)


def read_all(rule: memory.MemoryRule, state: Any, queries: jax.Array, constants: Any) -> jax.Array:
    return jax.vmap(lambda q: rule.read(state, q, constants))(queries)


def counts_of(config: ConfigDict) -> np.ndarray:
    return np.array([round(load * config.dimension) for load in config.loads])


# ------------------------------------------------------------------------------------------------------------- parts
def run_rules(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    counts = counts_of(config)
    pairs, d, kinds = int(counts[-1]), config.dimension, len(KINDS)
    bases = -(-pairs // d)
    drawn = normal(key, (kinds * bases * d + config.clusters + pairs, d))  # in one go: a draw is slow to compile
    own, centres, values = jnp.split(drawn, [kinds * bases * d, len(drawn) - pairs])
    own = dict(zip(KINDS, own.reshape(kinds, bases * d, d), strict=True))
    keys = jnp.stack([keys_of(kind, own[kind], centres, config)[:pairs] for kind in config.kinds])
    values = memory.unit_norm(values)

    def measured(rule: str, keys: jax.Array) -> dict[str, jax.Array]:
        made, constants, seen = memory.make(NAMES[rule]), constants_of(rule, config), features(rule, keys)
        states = states_at(made, seen, values, counts, constants)

        def at_load(state: Any, written: jax.Array) -> dict[str, jax.Array]:
            return measure(read_all(made, state, seen, constants), values, written, config)

        return jax.vmap(at_load)(states, jnp.asarray(counts))

    found = [jax.vmap(functools.partial(measured, rule))(keys) for rule in config.rules]
    return {name: jnp.stack([one[name] for one in found], 1) for name in found[0]}


def measure(reads: jax.Array, values: jax.Array, written: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    """How good the reads of the first ``written`` unit values are, (pairs, d)."""
    stored = jnp.arange(len(values)) < written
    missed = jnp.where(stored, jnp.sum((reads - values) ** 2, 1), 0)
    overlap, power = (jnp.sum(jnp.where(stored, jnp.sum(reads * x, 1), 0)) for x in (values, reads))
    asked = (jnp.arange(config.probes) * written + written // 2) // config.probes  # evenly over the stored pairs
    scores = jnp.where(stored[None], reads[asked] @ values.T, -jnp.inf)
    ages = jnp.arange(config.ages)
    bins = jnp.where(stored, (written - 1 - jnp.arange(len(values))) * config.ages // written, config.ages)
    middle = written - 1 - (2 * ages + 1) * written // (2 * config.ages)  # stands in where pairs are fewer than bins
    own = (bins[None] == ages[:, None]) | (jnp.arange(len(values))[None] == middle[:, None])
    return {
        "error": jnp.sum(missed) / written,
        "corrected": 1 - overlap**2 / (written * jnp.where(power > 0, power, 1)),
        "worst": jnp.max(missed),
        "accuracy": jnp.mean((jnp.argmax(scores, 1) == asked).astype(reads.dtype)),
        "recency": jnp.sum(own * missed[None], 1) / jnp.sum(own, 1),
    }


def run_rates(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    counts, rule = counts_of(config), memory.make("delta")
    keys, values = unit(key, 2, int(counts[-1]), config.dimension)

    def error(state: Any, written: jax.Array) -> jax.Array:
        missed = jnp.sum((read_all(rule, state, keys, {}) - values) ** 2, 1)
        return jnp.sum(jnp.where(jnp.arange(len(keys)) < written, missed, 0)) / written

    states = states_at(rule, keys, values, counts, {"beta": config.beta})
    return {"rate_error": jax.vmap(error)(states, jnp.asarray(counts))}


# -------------------------------------------------------------------------------------------------------------- laws
def hebb_law(kind: str, pairs: np.ndarray, data: "xr.Dataset") -> np.ndarray:
    """NMSE of Hebb on one kind of keys; the last two are derived here."""
    d = int(data.dimension)
    if kind == "equicorrelated":
        return np.asarray(memory.equicorrelated_error(pairs, d, setting(data, "correlation")))
    if kind == "orthogonal":  # all vectors of another complete basis overlap with a key by one in total
        whole, rest = pairs // d, pairs % d
        return (whole * d * (whole - 1 + rest / d) * (whole > 0) + rest * whole) / pairs
    if kind == "clustered":
        clusters, rho = setting(data, "clusters"), setting(data, "cluster_correlation")
        members = np.array([np.bincount(np.arange(n) % clusters, minlength=clusters) for n in pairs])
        own = (members * (members - 1)).sum(1) / pairs  # others of the same cluster, mean over pairs
        return own * (rho**2 + (1 - rho) ** 2 / (d - 1)) + (pairs - 1 - own) / d
    return np.asarray(memory.hebb_error(pairs, d, keys=kind))


LAWS = {  # NMSE on the sphere by load, in the limit of many dimensions
    "hebb": lambda y: y,
    "delta": memory.delta_error,
    "slow_delta": lambda y: memory.delta_error(y, rate=RATES["slow_delta"]),
    "least_squares": lambda y: np.maximum(0, 1 - 1 / y),
}


def exact_law(data: "xr.Dataset", rule: str, kind: str) -> np.ndarray:
    """NMSE of one rule on one kind of keys at every dimension and load, exact at any size, (dimensions, loads)."""
    rows = []
    for d in data.dimension.values:
        pairs = pairs_at(data.sel(dimension=d))
        if rule == "hebb":
            rows.append(hebb_law(kind, pairs, data.sel(dimension=d)))
        else:
            rows.append([float(exact_delta(int(n), float(d), rate=RATES[rule])) for n in pairs])
    return np.array(rows)


def labelled(data: "xr.Dataset") -> "xr.Dataset":
    """With the names of rules, kinds and loads in place of their numbers."""
    names = {"rule": "rules", "kind": "kinds", "load": "loads"}
    return data.assign_coords({dim: list(setting(data, field)) for dim, field in names.items() if dim in data.dims})


def pairs_at(data: "xr.Dataset") -> np.ndarray:
    return np.array([round(y * int(data.dimension)) for y in data["load"].values])


# ------------------------------------------------------------------------------------------------------------ figure
def figure(results: "xr.DataTree") -> "Figure":
    """Errors by keys, rule, age and rate. Markers are simulations; lines formulas, where there are any."""
    from brainjax import plots

    drawn = [
        ("rules", draw_keys),
        ("rules", functools.partial(draw_rules, quantity="error", label="NMSE as read")),
        ("rules", functools.partial(draw_rules, quantity="corrected", label="NMSE after the best gain")),
        ("rules", functools.partial(draw_rules, quantity="accuracy", label="share with right nearest value")),
        ("rules", draw_recency),
        ("rates", draw_rates),
    ]
    return plots.panels(parts_of(results, AXES), drawn, rows=2, columns=3, height=4.6)


SHOWN = {
    "hebb": "Hebb",
    "decayed": "decayed Hebb",
    "delta": "delta, rate 1",
    "slow_delta": "delta, rate 1/2",
    "least_squares": "least squares",
    "normalised": "normalised",
    "softmax": "softmax",
}


def load_axis(ax: Any, loads: np.ndarray, **names: Any) -> None:
    ax.set(xscale="log", xlabel="load $N / d$", **names)
    ax.set_xticks(loads[::2], [f"{y:g}" for y in loads[::2]])
    ax.minorticks_off()


def draw_keys(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    data = labelled(data).isel(dimension=-1)
    kinds = [str(kind) for kind in data.kind.values]
    if "hebb" not in data.rule:
        return
    for kind, look in zip(kinds, plots.line_styles(len(kinds)), strict=True):
        error = data.error.sel(rule="hebb", kind=kind).transpose("load", "seed")
        law = hebb_law(kind, pairs_at(data), data)
        shown = law > 0  # orthogonal keys up to one basis: no error, no place on this axis
        plots.intervals(ax, data["load"][shown], error[shown], label=kind, **{**look, "linestyle": "none"})
        ax.plot(data["load"][shown], law[shown], color=look["color"], linewidth=0.9, zorder=0)
    names = {"ylabel": "NMSE as read", "title": f"Hebb, by keys, $d$ = {int(data.dimension)}"}
    load_axis(ax, data["load"].values, yscale="log", ylim=(None, 2000), **names)
    ax.legend(handlelength=1, loc="upper left", labelspacing=0.2)


def draw_rules(ax: Any, data: "xr.Dataset", *, quantity: str, label: str) -> None:
    from brainjax import plots

    data = labelled(data).isel(dimension=-1).sel(kind="sphere")
    rules = [str(rule) for rule in data.rule.values]
    fine = np.geomspace(data["load"].min(), data["load"].max(), 100)
    for rule, look in zip(rules, plots.line_styles(len(rules)), strict=True):
        values = data[quantity].sel(rule=rule).transpose("load", "seed")
        plots.intervals(ax, data["load"], values, label=SHOWN[rule], **{**look, "linestyle": "none"})
        if quantity == "error" and rule in LAWS:
            ax.plot(fine, LAWS[rule](fine), color=look["color"], linewidth=0.9, zorder=0)
        elif quantity != "error":
            ax.plot(data["load"], values.mean("seed"), color=look["color"], linewidth=0.4, zorder=0)
    load_axis(ax, data["load"].values, ylabel=label, ylim=(-0.04, 2.4 if quantity == "error" else 1.05))
    ax.set_title(f"by rule, sphere, $d$ = {int(data.dimension)}")
    if quantity == "error":
        ax.legend(handlelength=1, loc="upper left", labelspacing=0.15, fontsize=6.2, borderaxespad=0.1)


def draw_recency(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    data = labelled(data).isel(dimension=-1).sel(kind="sphere")
    y = 2.0 if 2.0 in data["load"] else float(data["load"][-1])
    ages = (np.arange(data.sizes["age"]) + 0.5) * y / data.sizes["age"]
    rules = [str(rule) for rule in data.rule.values]
    for rule, look in zip(rules, plots.line_styles(len(rules)), strict=True):
        values = data.recency.sel(rule=rule, load=y).transpose("age", "seed")
        plots.intervals(ax, ages, values, **{**look, "linestyle": "none"})
        if rule in RATES:
            fine = np.linspace(0, y, 100)
            law = memory.delta_pair_error(fine, y, rate=RATES[rule])
            ax.plot(fine, law, color=look["color"], linewidth=0.9, zorder=0)
    ax.set(xlabel="later writes per dimension", ylabel="NMSE as read", title=f"by age, load {y:g}", ylim=(-0.04, None))


def draw_rates(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    data = labelled(data).isel(dimension=0)
    fine = np.linspace(float(data.beta.min()), float(data.beta.max()), 60)
    for y, look in zip(data["load"].values, plots.line_styles(data.sizes["load"]), strict=True):
        error = data.rate_error.sel(load=y).transpose("beta", "seed")
        plots.intervals(ax, data.beta, error, label=f"{y:g}", **{**look, "linestyle": "none", "markersize": 2.5})
        ax.plot(fine, memory.delta_error(y, rate=fine), color=look["color"], linewidth=0.9, zorder=0)
        best = best_rate(float(y))
        ax.plot(best, memory.delta_error(y, rate=best), "x", color="black", markersize=5, zorder=5)
    ax.set(xlabel=r"rate $\beta$", ylabel="NMSE as read", title=f"delta rule, $d$ = {int(data.dimension)}")
    ax.set_ylim(0, 2.6)
    ax.legend(title="load (x: best rate)", alignment="left", handlelength=1, loc="upper left", ncols=3, columnspacing=1)


# ------------------------------------------------------------------------------------------------------------ claims
def claims(results: "xr.DataTree") -> list[Claim]:
    judged = {"rules": rule_claims, "rates": rate_claims}
    return [claim for name, data in parts_of(results, AXES).items() for claim in judged[name](labelled(data))]


def law_holds(name: str, text: str, data: "xr.Dataset", rule: str, kind: str) -> Claim:
    """Whether NMSE follows its exact law wherever enough pairs are stored and the law is not zero."""
    law, samples = exact_law(data, rule, kind), {}
    for (i, j), number in np.ndenumerate(law):
        d, y = int(data.dimension[i]), float(data["load"][j])
        if number > 0 and round(y * d) >= FEW:
            cell = data.error.sel(rule=rule, kind=kind).isel(dimension=i, load=j)
            samples[f"d = {d}, load {y:g}"] = (cell, number)
    laws = {cell: number for cell, (_, number) in samples.items()}
    return judge.follows_law(name, text, OURS, {cell: x for cell, (x, _) in samples.items()}, laws)


def rule_claims(data: "xr.Dataset") -> list[Claim]:
    """Rules and kinds of keys, paired by seed."""
    rules, kinds = ([str(x) for x in data[dim].values] for dim in ("rule", "kind"))
    found, loads = [], data["load"].values
    for kind in kinds if "hebb" in rules else ():
        text = f"Hebb's NMSE is the exact law of keys of the kind {kind}, at every dimension and load"
        found.append(law_holds(f"Hebb, {kind}", text, data, "hebb", kind))
    general = [kind for kind in kinds if kind != "orthogonal"]
    if "least_squares" in rules and general:
        error, law = data.error.sel(rule="least_squares"), dict(zip(loads, LAWS["least_squares"](loads), strict=True))
        cells = {
            (f"{kind}, d = {d}, load {y:g}", y): error.sel(kind=kind, dimension=d, load=y)
            for kind in general
            for d in data.dimension.values
            for y in loads
        }
        few = {cell: x for (cell, y), x in cells.items() if y <= 1}
        text = f"least squares holds up to one pair per dimension, to an NMSE of {CLOSE:g}, on keys in general position"
        if few:
            about = {"than": CLOSE, "unit": "NMSE"}
            found.append(judge.everywhere(judge.below, "least squares, light load", text, OURS, few, **about))
        many = {cell: x for (cell, y), x in cells.items() if y > 1}
        text = "beyond, its NMSE is 1 - d/N, whatever the keys"
        if many:
            laws = {cell: law[y] for cell, y in cells if y > 1}
            found.append(judge.follows_law("least squares, heavy load", text, OURS, many, laws))
    if "sphere" in kinds:
        found += delta_claims(data, rules) + sphere_claims(data.sel(kind="sphere").isel(dimension=-1), rules)
    return found


def delta_claims(data: "xr.Dataset", rules: list[str]) -> list[Claim]:
    """The delta rule against its laws: exact at any size, and in the limit of many dimensions."""
    found = []
    for rule in (rule for rule in RATES if rule in rules):
        text = f"one pass of the delta rule has the exact recursion's NMSE ({rule}), at every dimension and load"
        found.append(law_holds(f"{rule}, any size", text, data, rule, "sphere"))
        here = data.sel(kind="sphere", rule=rule).isel(dimension=-1).error
        ratios = {f"load {y:g}": here.sel(load=y) / float(LAWS[rule](y)) - 1 for y in here["load"].values
                  if round(float(y) * int(here.dimension)) >= EVEN}  # fmt: skip
        if ratios:
            text = f"the closed form for many dimensions ({rule}) is right to 3 % from {EVEN} pairs on"
            bounds = {"low": -0.03, "high": 0.03, "unit": "measured / formula - 1"}
            found.append(judge.everywhere(judge.within, f"{rule}, limit", text, OURS, ratios, **bounds))
    return found


def sphere_claims(data: "xr.Dataset", rules: list[str]) -> list[Claim]:
    """Rules against one another, on the sphere, in the largest dimension."""
    found, loads = [], data["load"].values

    def compare(name: str, text: str, quantity: str, better: str, worse: str, chosen: Any) -> None:
        gap = (
            data[quantity].sel(rule=better) - data[quantity].sel(rule=worse) if {better, worse} <= set(rules) else None
        )
        samples = {} if gap is None else {f"load {y:g}": gap.sel(load=y) for y in loads[chosen]}
        if samples:
            found.append(judge.everywhere(judge.below, name, text, OURS, samples, unit="difference of NMSE"))

    text = "as read, the delta rule at rate 1 has a smaller error than Hebb at every load"
    compare("delta below Hebb, as read", text, "error", "delta", "hebb", loads > 0)
    text = "after the best gain, the delta rule at rate 1 is better than Hebb up to load 1/2"
    compare("delta below Hebb, light load", text, "corrected", "delta", "hebb", loads <= 0.5)
    text = "after the best gain, Hebb is better than the delta rule at rate 1 from load 1 on"
    compare("Hebb below delta, heavy load", text, "corrected", "hebb", "delta", loads >= 1)
    text = "features elu + 1 overlap: the normalised memory is worse than Hebb at every load, after the best gain"
    compare("Hebb below normalised", text, "corrected", "hebb", "normalised", loads > 0)
    text = "beyond one pair per dimension, keeping all pairs (softmax) beats the best matrix"
    compare("softmax below least squares", text, "error", "softmax", "least_squares", loads > 1)
    y = float(loads[-1])
    for rule in (rule for rule in ("decayed", "delta", "slow_delta") if rule in rules):
        text = (
            f"newer pairs are read better: error rises from each quarter of the pairs to the next ({rule}, load {y:g})"
        )
        ages = data.recency.sel(rule=rule, load=y).coarsen(age=max(1, data.sizes["age"] // 4)).mean()
        found.append(
            judge.increasing(f"recency, {rule}", text, OURS, ages.transpose("age", "seed").values, unit="NMSE")
        )
    if "hebb" in rules:
        text = f"Hebb reads its newest pairs like its oldest, to a twentieth of the error (load {y:g})"
        ends = data.recency.sel(rule="hebb", load=y)
        gap = (ends.isel(age=-1) - ends.isel(age=0)) / y
        found.append(judge.within("no recency, Hebb", text, OURS, gap, low=-0.05, high=0.05, unit="of the NMSE"))
    return found


def best_rates(data: "xr.Dataset", load: float) -> np.ndarray:
    """Pseudo-values over seeds of the best rate: lowest point of the parabola through the lowest mean and its sides."""
    rates = data.beta.values

    def lowest(errors: np.ndarray) -> float:
        mean = errors.mean(0)
        i = int(np.clip(mean.argmin(), 1, len(rates) - 2))
        curve = np.polyfit(rates[i - 1 : i + 2], mean[i - 1 : i + 2], 2)
        return -curve[1] / (2 * curve[0])

    return judge.jackknife(lowest, data.rate_error.sel(load=load).transpose("seed", "beta").values)


def rate_claims(data: "xr.Dataset") -> list[Claim]:
    """The delta rule at several rates, one pass."""
    data = data.isel(dimension=0)
    d, loads, betas = int(data.dimension), data["load"].values, data.beta.values
    samples, law = {}, {}
    for y, n in zip(loads, pairs_at(data), strict=True):
        numbers = np.asarray(exact_delta(int(n), float(d), rate=betas))
        for beta, number in zip(betas, numbers, strict=True) if n >= FEW else ():
            samples[f"rate {beta:g}, load {y:g}"] = data.rate_error.sel(beta=beta, load=y)
            law[f"rate {beta:g}, load {y:g}"] = number
    text = "one pass of the delta rule has the exact recursion's NMSE, at every rate and load"
    found = [judge.follows_law("any rate", text, OURS, samples, law)]
    if len(betas) < 3 or len(loads) < 2:
        return found
    best = {y: best_rates(data, y) for y in loads}
    text = "the fuller the memory, the smaller the rate of least error"
    levels = {f"load {y:g}": x for y, x in best.items()}
    found.append(judge.decreasing("the fuller, the slower", text, OURS, levels, unit="rate"))
    text = "the rate of least error is the formula's for many dimensions to 0.05, at every load"
    gaps = {f"load {y:g}": x - float(best_rate(float(y))) for y, x in best.items()}
    bounds = {"low": -0.05, "high": 0.05, "unit": "measured - formula"}
    found.append(judge.everywhere(judge.within, "best rate", text, OURS, gaps, **bounds))
    if 1.0 in betas:
        text = "from load 1/2 on, the rate nearest to the formula's has a smaller error than rate 1"
        near = {y: betas[abs(betas - float(best_rate(float(y)))).argmin()] for y in loads if y >= 0.5}
        gaps = {f"load {y:g}, rate {b:g}": (data.rate_error.sel(beta=b) - data.rate_error.sel(beta=1.0)).sel(load=y)
                for y, b in near.items()}  # fmt: skip
        about = {"unit": "difference of NMSE"}
        found.append(judge.everywhere(judge.below, "best rate against 1", text, OURS, gaps, **about))
    return found
