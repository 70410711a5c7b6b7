r"""Associative recall tells memory rules apart: a Hebbian state fills up, the delta rule overwrites, softmax keeps all.

Small networks of each rule are trained on multi-query associative recall (Arora et al., Zoology, ICLR 2024): N pairs of
a key and a value are shown once, then every key is asked for. In half of the training sequences with room for it all
keys get a second value, and the last one counts.

Run:  brainjax run conditioning/recall [--variant=quick|full]
Cost: 19 min on 2 cores beside other work (quick: 28 s of a core, most of it compilation).

A network has two layers of one memory with one head behind a convolution of four steps on queries, keys and values
(the control ``no_convolution`` has none), and no perceptron. The memory is much smaller than the stream: ``key_size``
times ``value_size`` weights. All rules but softmax have keys of length 1; decays and the delta rule's learning rate
depend on the token. Recurrent memories learn recall only at rates of a narrow range, so every rule gets the same grid.
For each seed the rate with the lowest validation loss counts; what is reported is from test sequences of their own.
Weights, batches, validation and test sequences of a seed are the same for all rules and rates.

**What theory predicts.** A Hebbian memory of random unit keys and values, read by the nearest of the N values shown, is
right with the probability ``memory.decoding_accuracy``. The networks learn their codes and have two memories, so that
nothing obliges them to this curve; ``among`` is their accuracy with the answer restricted to the values shown, which is
what the curve is about. After a second value, Hebb's state holds old and new alike (a tie); decay favours the new one
by its age; the delta rule at a learning rate of 1 has replaced the old one. Two layers may find other means.
"""

import json
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from ml_collections import ConfigDict

from brainjax import claims as judge
from brainjax import memory, tasks, training
from brainjax.claims import Claim
from brainjax.sweep import Axes, parts_of, product, seeds, static, traced

if TYPE_CHECKING:  # what only the figure needs is imported when it is drawn
    import xarray as xr
    from matplotlib.figure import Figure

PAPER = "arora2024zoology"
DIMS = {
    "loss": ("window",),  # training loss, nats per query
    "validation_loss": (),  # on sequences as in training
    "accuracy": ("pairs",),  # test sequences with one value per key
    "among": ("pairs",),  # the same, if only values shown in the sequence may be answered
    "new": ("twice",),  # share of answers that are the key's new value, test sequences in which every key has two
    "old": ("twice",),  # ... its old value
}
PARTS = ("rules", "no_convolution")
AXES: dict[str, tuple[str, ...]] = dict.fromkeys(PARTS, ("rule", "rate"))
NAMES = {"hebb": "Hebb", "hebb_decay": "Hebb, decay", "delta": "delta"}
NAMES |= {"gated_delta": "gated delta", "softmax": "softmax"}
LEARNED: dict[str, tuple[str, ...]] = {"hebb_decay": ("log_decay",), "delta": ("beta",)}
LEARNED["gated_delta"] = LEARNED["delta"] + LEARNED["hebb_decay"]  # what depends on the token
SOLVED = 0.95  # accuracy that we call solving
CLOSE = 0.1  # of accuracy: what we call a good prediction, or a tie


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict(
        {
            "seed": 0,
            "part": "rules",
            "parts": PARTS,
            "rule": "hebb",
            "rate": 0.01,  # the learning rate at its highest
            "rules": tuple(NAMES),
            "unshifted": ("hebb",),  # rules of the control without a convolution
            "rates": (0.01, 0.02, 0.04),
            "seeds": 5,
            "vocabulary": 64,
            "steps": 64,
            "loads": (2, 4, 8, 16),  # numbers of pairs, equally frequent in every batch
            "gap_exponent": 0.01,
            "features": 32,
            "key_size": 8,
            "value_size": 8,
            "layers": 2,
            "convolution": 4,
            "form": "sequential",  # the fastest for so small a memory; Hebb and softmax are parallel
            "batch": 32,
            "updates": 1100,
            "warmup": 100,  # updates to the highest learning rate, from which it falls along a cosine to 0
            "clip": 1.0,  # of the gradient
            "decay": 0.1,  # of weights, times the learning rate
            "tests": 256,  # sequences per number of pairs, and for validation
        }
    )
    if variant == "quick":
        config.update({"parts": ("rules",), "rules": ("hebb",), "rates": (0.01, 0.03), "seeds": 4, "loads": (2, 4)})
        config.update({"vocabulary": 16, "steps": 24, "features": 16, "key_size": 4, "value_size": 4, "layers": 1})
        config.update({"batch": 16, "updates": 100, "warmup": 10, "tests": 32})
    elif variant == "full":
        config.update({"vocabulary": 128, "steps": 128, "loads": (4, 8, 16, 32), "features": 64, "batch": 64})
        config.update({"key_size": 16, "value_size": 16, "form": "chunked", "updates": 4000, "warmup": 400})
        config.update({"unshifted": ("hebb", "delta", "softmax"), "rates": (0.001, 0.003, 0.01, 0.03), "seeds": 8})
    elif variant:
        raise ValueError(f"variant: 'quick' or 'full', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if not {config.part, *config.parts} <= set(PARTS):
        raise ValueError(f"parts: must be among {', '.join(PARTS)}, got {config.parts} (part {config.part})")
    if not {config.rule, *config.rules, *config.unshifted} <= set(NAMES):
        raise ValueError(f"rules: must be among {', '.join(NAMES)}, got {config.rules} (rule {config.rule})")
    if not two_valued(config) or min(config.loads) < 2 or 4 * max(config.loads) > config.steps:
        allowed = f"from 2 to a quarter of the {config.steps} steps, one at most a sixth"
        raise ValueError(f"loads: must be {allowed}, got {config.loads}")
    if not 0 <= config.warmup < config.updates:
        raise ValueError(f"warmup: must be below updates = {config.updates}, got {config.warmup}")
    if config.batch < 1 or config.batch % (2 * len(config.loads)):
        raise ValueError(f"batch: must be a multiple of twice the {len(config.loads)} loads, got {config.batch}")
    if config.tests < 1 or config.tests % config.batch:
        raise ValueError(f"tests: must be a multiple of batch = {config.batch}, got {config.tests}")


def sweep(config: ConfigDict) -> dict[str, Axes]:
    rules = {"rules": config.rules, "no_convolution": config.unshifted}
    return {
        part: product(static(part=[part]), static(rule=rules[part]), traced(rate=config.rates), seeds(config.seeds))
        for part in config.parts
    }


def two_valued(config: Any) -> tuple[int, ...]:
    """The numbers of keys that leave room for two values each."""
    return tuple(n for n in config["loads"] if 6 * n <= config["steps"])


def mixture(config: ConfigDict, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of pairs and of second values in training: all loads alike, half with second values if there is room."""
    i, loads = np.arange(size), np.array(config.loads)
    pairs = loads[i % loads.size]
    second = (i // loads.size % 2 == 1) & (6 * pairs <= config.steps)
    return pairs.astype(np.int32), np.where(second, pairs, 0).astype(np.int32)


def network(config: ConfigDict) -> training.Functional:
    """Tokens to logits through layers of the rule, as pure functions."""
    from brainjax.memory import layers

    sizes = {name: config[name] for name in ("vocabulary", "features", "layers", "key_size", "value_size")}
    softmax = config.rule == "softmax"
    return training.functional(
        lambda rngs: layers.MemoryNetwork(
            memory.make(config.rule),
            **sizes,
            convolution=config.convolution if config.part == "rules" else 0,
            controls=LEARNED.get(config.rule, ()),
            normalise_keys=not softmax,
            constants={"inverse_temperature": config.key_size**-0.5} if softmax else None,
            form="parallel" if config.rule in ("hebb", "softmax") else config.form,
            rngs=rngs,
        )
    )


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    module = network(config)
    for_weights, for_batches, for_tests = jax.random.split(key, 3)
    params, rest = module.init(for_weights)
    form = {"vocabulary": config.vocabulary, "steps": config.steps, "gap_exponent": config.gap_exponent}

    def draw(*numbers: jax.Array) -> tasks.ReassignedSequence:
        """A sequence for each key, number of pairs and number of second values."""

        def one(key: jax.Array, n: jax.Array, m: jax.Array) -> tasks.ReassignedSequence:
            return tasks.reassigned_recall(key, pairs=n, reassigned=m, most=max(config.loads), **form)

        return jax.vmap(one)(*numbers)

    def sample(key: jax.Array) -> tasks.ReassignedSequence:
        return draw(jax.random.split(key, config.batch), *map(jnp.asarray, mixture(config, config.batch)))

    def loss(params: Any, batch: tasks.ReassignedSequence) -> jax.Array:
        return jnp.sum(surprise(module.apply(params, rest, batch.tokens)[0], batch)) / jnp.sum(batch.mask)

    shape = optax.warmup_cosine_decay_schedule(0.0, 1.0, config.warmup, config.updates)
    descent = optax.adamw(lambda step: config.rate * shape(step), weight_decay=config.decay)
    transform = optax.chain(optax.clip_by_global_norm(config.clip), descent)
    trained = training.train(for_batches, params, loss=loss, sample=sample, transform=transform, steps=config.updates)

    # All sequences that are not trained on, group by group: validation, one value per key, two values per key.
    plain, twice = np.array(config.loads), np.array(two_valued(config))
    again = np.r_[plain, twice], np.r_[0 * plain, twice]
    numbers = [np.r_[a, np.repeat(b, config.tests)] for a, b in zip(mixture(config, config.tests), again, strict=True)]

    def graded(given: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        batch = draw(*given)
        return grades(module.apply(trained.params, rest, batch.tokens)[0], batch, config.vocabulary // 2)

    given = jax.random.split(for_tests, numbers[0].size), *map(jnp.asarray, numbers)
    sums = lax.map(graded, tuple(x.reshape(-1, config.batch) for x in given))
    asked, nats, right, among, old = sums.reshape(1 + len(again[0]), -1, 5).sum(1).T
    ones, twos = slice(1, 1 + plain.size), slice(1 + plain.size, None)
    return {
        "loss": trained.loss,
        "validation_loss": nats[0] / asked[0],
        "accuracy": right[ones] / asked[ones],
        "among": among[ones] / asked[ones],
        "new": right[twos] / asked[twos],
        "old": old[twos] / asked[twos],
    }


def surprise(logits: jax.Array, batch: tasks.ReassignedSequence) -> jax.Array:
    """Cross-entropy in nats of every query's answer, 0 at all other steps, of shape (batch, steps)."""
    right = jax.nn.one_hot(batch.targets, logits.shape[-1], dtype=logits.dtype)
    return -batch.mask * jnp.sum(right * jax.nn.log_softmax(logits), -1)


def grades(logits: jax.Array, batch: tasks.ReassignedSequence, half: int) -> jax.Array:
    """Sums over a batch: queries, cross-entropy, right answers, those among the values shown, old values; (5,)."""
    shown = jnp.any(batch.tokens[:, :, None] == jnp.arange(logits.shape[-1]), 1).at[:, :half].set(False)
    answer = jnp.argmax(logits, -1)
    among = jnp.argmax(jnp.where(shown[:, None], logits, -jnp.inf), -1)
    seen = [answer == batch.targets, among == batch.targets, answer == batch.old]
    marks = [jnp.sum(batch.mask * given) for given in seen]
    return jnp.stack([jnp.sum(batch.mask), jnp.sum(surprise(logits, batch)), *marks])


def selected(data: "xr.Dataset") -> "xr.Dataset":
    """The results at the learning rate with the lowest validation loss, for every rule and seed."""
    best = data.validation_loss.fillna(np.inf).argmin("rate")
    own = data.isel(rate=best)
    config = json.loads(data.attrs["config"])
    return own.assign_coords(pairs=list(config["loads"]), twice=list(two_valued(config)))


def theory(data: "xr.Dataset") -> np.ndarray:
    """Accuracy of a Hebbian memory of random codes, read by the nearest value shown, at every load."""
    config = json.loads(data.attrs["config"])
    loads = np.asarray(config["loads"], float)
    return np.asarray(memory.decoding_accuracy(loads, config["key_size"], config["value_size"]))


def figure(results: "xr.DataTree") -> "Figure":
    """Accuracy against load; what is answered where keys had two values; validation loss against the learning rate."""
    from brainjax import plots

    parts = parts_of(results, AXES)
    with plots.style():
        page, axes = plots.subplots(1, 3, width="page", height=3.1, width_ratios=(1.15, 1, 1))
        looks = dict(zip(NAMES, plots.line_styles(len(NAMES)), strict=True))
        draw_loads(axes[0, 0], parts, looks)
        for ax in axes[0, 1:]:
            ax.set_visible("rules" in parts)
        if "rules" in parts:
            draw_answers(axes[0, 1], selected(parts["rules"]).isel(twice=-1))
            draw_rates(axes[0, 2], parts["rules"].validation_loss, looks)
        plots.letter(axes.flat)
        handles, names = axes[0, 0].get_legend_handles_labels()
        page.legend(handles, names, loc="outside lower center", ncols=4, fontsize=6.5, handlelength=3.0)
    return page


def draw_loads(ax: Any, parts: dict[str, "xr.Dataset"], looks: dict[str, Any]) -> None:
    """Test accuracy against the number of pairs; bars: 95 % over seeds; dotted: theory of Hebb; dashed: guessing."""
    from brainjax import plots

    loads = np.asarray(json.loads(next(iter(parts.values())).attrs["config"])["loads"])
    for part, data in parts.items():
        best, plain = selected(data), part == "rules"
        for i, rule in enumerate(best.rule.values):
            look = looks[rule] if plain else {**looks[rule], "linestyle": (0, (1, 2)), "markerfacecolor": "white"}
            name = NAMES[rule] + ("" if plain else ", no convolution")
            samples = best.accuracy.sel(rule=rule).transpose("pairs", "seed").values
            plots.intervals(ax, loads * (1 + 0.03 * (i - 2)), samples, label=name, elinewidth=0.8, **look)
        if plain:
            ax.plot(loads, theory(data), ":", color="black", linewidth=1.4, label="Hebb, random codes", zorder=5)
    ax.plot(loads, 1 / loads, "--", color="0.6", linewidth=1.0, label="guessing a value shown")
    ax.set_xscale("log", base=2)
    ax.set_xticks(loads, [f"{n:g}" for n in loads])
    ax.set(xlabel="pairs in the sequence, N", ylabel="accuracy", ylim=(-0.03, 1.05))


def draw_answers(ax: Any, best: "xr.Dataset") -> None:
    """Shares of new, old and other values among the answers at the largest number of keys with two values."""
    places = np.arange(best.sizes["rule"])
    below = np.zeros(places.size)
    for name, shade in (("new", "0.25"), ("old", "0.7")):
        middle, low, high = np.array([judge.interval(row)[:3] for row in best[name].transpose("rule", "seed").values]).T
        ax.bar(places, middle, 0.7, bottom=below, color=shade, edgecolor="black", linewidth=0.5, label=name)
        ax.errorbar(places, below + middle, [middle - low, high - middle], fmt="none", color="black", capsize=2, lw=0.8)
        below = below + middle
    ax.bar(places, 1 - below, 0.7, bottom=below, color="white", edgecolor="black", linewidth=0.5, label="other")
    ax.set_xticks(places, [NAMES[rule].replace(", ", ",\n") for rule in best.rule.values], rotation=45, ha="right")
    ax.set(ylabel="share of answers", ylim=(0, 1), title=f"{int(best.twice)} keys with two values")
    ax.legend(fontsize=6.5, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.1), handlelength=1.2)


def draw_rates(ax: Any, losses: "xr.DataArray", looks: dict[str, Any]) -> None:
    """Validation loss against the learning rate; bars: 95 % over seeds; rings: the larger, the more seeds choose it."""
    from brainjax import plots

    losses, rates = losses.transpose("rule", "rate", "seed"), losses.rate.values
    for i, rule in enumerate(losses.rule.values):
        own, at = losses.sel(rule=rule), rates * (1 + 0.06 * (i - 2))
        plots.intervals(ax, at, own.values, elinewidth=0.8, **looks[rule])
        chosen = (own.fillna(np.inf).argmin("rate").values == np.arange(rates.size)[:, None]).mean(1)
        ax.scatter(at, own.mean("seed"), s=150 * chosen, facecolors="none", edgecolors=looks[rule]["color"], lw=0.8)
    ax.set_xscale("log")
    ax.set_xticks(rates, [f"{rate:g}" for rate in rates])
    ax.minorticks_off()
    ax.set(xlabel="learning rate", ylabel="validation loss (nats per query)", ylim=(0, None))


def claims(results: "xr.DataTree") -> list[Claim]:
    parts = parts_of(results, AXES)
    found: list[Claim] = []
    if "rules" in parts:
        best = selected(parts["rules"])
        found += load_claims(best, theory(parts["rules"])) + change_claims(best.isel(twice=-1))
    if len(parts) == len(PARTS):
        with_one, without = (selected(parts[part]).accuracy.mean("pairs") for part in PARTS)
        rules = [rule for rule in without.rule.values.tolist() if rule in with_one.rule.values]
        found += [
            judge.greater(
                f"recall needs a convolution ({NAMES[rule]})",
                "with a convolution the network recalls more than without, on average over loads",
                "our control: a layer has to see a key and its value at once",
                with_one.sel(rule=rule),
                than=without.sel(rule=rule),
                confidence=1 - 0.05 / len(rules),
                unit="accuracy, mean over loads",
            )
            for rule in rules
        ]
    return found


def load_claims(best: "xr.Dataset", curve: np.ndarray) -> list[Claim]:
    """How much is recalled at which load."""
    rules, loads = best.rule.values.tolist(), best.pairs.values
    chance = best.pairs.copy(data=1 / loads)
    found = [
        judge.greater(
            "all rules learn recall",
            "every rule beats guessing among the values shown, at every number of pairs",
            "our control",
            (best.among - chance).min(("rule", "pairs")),
            unit="accuracy less 1/N, least over rules and loads",
        )
    ]
    if "softmax" in rules:
        found.append(
            judge.greater(
                "softmax recalls every load",
                f"softmax attention answers more than {SOLVED:.0%} of queries rightly at every number of pairs",
                "Zoology, Figure 2: attention solves recall at every model size",
                best.accuracy.sel(rule="softmax").min("pairs"),
                than=SOLVED,
                unit="accuracy, least over loads",
            )
        )
    if "hebb" in rules:
        hebb = best.among.sel(rule="hebb").transpose("pairs", "seed")
        shown = zip(loads, hebb.mean("seed").values, curve, strict=True)
        found += [
            judge.decreasing(
                "a Hebbian memory fills up",
                "Hebb's accuracy falls with every step up in the number of pairs",
                "Zoology, Figure 2: recall of a fixed state falls with the number of pairs",
                {f"{n}": best.accuracy.sel(rule="hebb", pairs=n) for n in loads},
                unit="accuracy, difference between loads",
            ),
            judge.below(
                "random codes predict trained Hebb",
                f"among the values shown, Hebb's accuracy is within {CLOSE:g} of that of one memory of random codes",
                "memory.decoding_accuracy, with the trained memory's sizes",
                abs(hebb - best.pairs.copy(data=curve)).max("pairs"),
                than=CLOSE,
                unit="accuracy, largest difference over loads",
                detail=", ".join(f"N = {n}: {seen:.3f}, predicted {said:.3f}" for n, seen, said in shown),
            ),
            judge.greater(
                "trained codes beat random ones",
                f"at {loads[-1]} pairs the network's learned codes recall more than one memory of random codes",
                "our question",
                hebb.isel(pairs=-1),
                than=float(curve[-1]),
                unit="accuracy among the values shown",
            ),
        ]
    last = best.accuracy.isel(pairs=-1)
    return found + [
        judge.greater(
            f"{NAMES[rule]} holds more than Hebb",
            f"at {loads[-1]} pairs the {NAMES[rule]} rule recalls more than Hebb",
            "Yang et al. 2024, recall of DeltaNet and of gated linear attention",
            last.sel(rule=rule),
            than=last.sel(rule="hebb"),
            confidence=1 - 0.05 / 2,
            unit="accuracy",
            detail="Bonferroni over two error-correcting rules",
        )
        for rule in ("delta", "gated_delta")
        if {"hebb", rule} <= set(rules)
    ]


def change_claims(best: "xr.Dataset") -> list[Claim]:
    """What is answered where every key had two values."""
    rules, keys = best.rule.values.tolist(), f"{int(best.twice)} keys with two values"
    lead = best.new - best.old
    found = [
        judge.below(
            f"{NAMES[rule]} overwrites",
            f"of the {NAMES[rule]} rule's answers that are either of the key's values, less than a quarter are old",
            "the rule: replaced at a learning rate of 1 (a tie would be a half)",
            (best.old / (best.old + best.new)).sel(rule=rule),
            than=0.25,
            confidence=1 - 0.05 / 2,
            unit="share of old answers among old and new",
            detail=f"{keys}; Bonferroni over two rules",
        )
        for rule in ("delta", "gated_delta")
        if rule in rules
    ]
    if "hebb" in rules:
        found.append(
            judge.within(
                "Hebb confuses old and new",
                f"Hebb answers with new and old values equally often, to within {CLOSE:g}",
                "the rule: its state holds both alike",
                lead.sel(rule="hebb"),
                low=-CLOSE,
                high=CLOSE,
                unit="share of answers, new less old",
                detail=keys,
            )
        )
    if {"hebb", "hebb_decay"} <= set(rules):
        found.append(
            judge.greater(
                "decay prefers the new value",
                "with decay, new values lead old ones by more than they do with plain Hebb",
                "the rule: the old value has decayed for longer",
                lead.sel(rule="hebb_decay"),
                than=lead.sel(rule="hebb"),
                unit="share of answers, new less old",
                detail=keys,
            )
        )
    return found
