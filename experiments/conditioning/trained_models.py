r"""Trained networks condition like their memory rule: error-correcting ones block, Hebbian and exemplar ones do not.

Qiao (2025) reads linear transformers as models of conditioning. Here networks of one layer are trained to predict
outcomes from cues within a sequence, and then, with weights frozen, go through conditioning experiments that they were
not trained on. Does the rule of the layer decide how cues compete, does the world that it was trained in, and is
training needed at all?

Run:  brainjax run conditioning/trained_models [--variant=quick]
Cost: 13 min on 2 cores (quick: 30 s of a core, most of it compilation).

A trial is two tokens, the cue and then its outcome; the response is what the network predicts at the cue token, before
it sees the outcome. Codes and worths of cues are drawn anew for every sequence (`tasks.in_context_regression`), in
training and in testing: no network has met the cues that it is tested with, nor knows their worth by heart.

Worlds: *single* (0) has one cue on every trial; *additive* (1) also has compounds, whose outcome is the sum; *shuffled*
(2) is the additive world with the outcomes of each sequence in random order. In all, worths change now and then.

A simultaneous compound is put to the network in two ways: *sum*, one token of the sum of the codes, as in training, and
*tokens*, each cue as a trial of its own with the outcome of the compound. With the second an error-correcting memory
compares the outcome with one cue at a time.

Effects are differences of responses (`brainjax.memory.difference_index`), control less treated group, in units of the
outcome; control groups are matched in exposure and time. Responses beyond one outcome in size count as one: where the
learning rate of a compound is the sum of its cues' and above 2, they grow without bound. Dotted: the model of Rescorla
and Wagner after many trials.

Networks: two heads; keys and values come from a convolution over two tokens, rates and decays from the token; keys keep
their length except in ``unit delta``, whose keys and queries have length 1 as in the published layers, so that a
compound is a configuration (`brainjax.memory.cue_keys`). There are no norms. All are trained at one rate, which was not
tuned by network: their errors show that they have learned, and rank nothing.
"""

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from brainjax import claims as judge
from brainjax import memory, tasks, training
from brainjax.claims import Claim
from brainjax.core.interleaved import token_size
from brainjax.sweep import Axes, product, seeds, setting, static, traced

if TYPE_CHECKING:  # what only the figure needs is imported when it is drawn
    import xarray as xr
    from matplotlib.figure import Figure

PAPER = "qiao2025"
DIMS = {
    "loss": ("window",),  # mean squared error of each window of updates, on batches not seen before
    "response": ("stage", "kind", "phenomenon", "group"),  # to the test cue, from -1 to 1, mean over codes
    "rate": ("stage", "together"),  # what one trial teaches of its outcome, two cues in one token or one cue
}
STAGES, KINDS, GROUPS = ("untrained", "trained"), ("sum", "tokens"), ("treated", "control")
PHENOMENA = {  # treated group, control group, index of Rescorla and Wagner's model after many trials
    "blocking": ("{n}A+ | {n}AB+ | B?", "{n}C+ | {n}AB+ | B?", 0.5),
    "overshadowing": ("{n}AB+ | B?", "{n}B+ | B?", 0.5),
    "extinction": ("{n}A+ | {n}A- | A?", "{n}A+ | {n}_ | A?", 1.0),
    "inhibition": ("{n}(A+ / AB- / C+) | BC?", "{n}(A+ / B- / C+) | BC?", 1.0),  # by summation with C
    "overexpectation": ("{n}(A+ / B+) | {n}AB+ | A?", "{n}(A+ / B+) | {n}_ | A?", 0.5),
}
RATES = ("AB+ | AB?", "A+ | A?")
COMPETITION = ("blocking", "overshadowing", "inhibition", "overexpectation")
SINGLE, ADDITIVE, SHUFFLED = WORLDS = (0.0, 1.0, 2.0)
SHORT = {"normalised linear": "norm. linear", "softmax": "soft- max"}
LABELS = {  # of the conditions in which networks are tested
    "additive": "trained with compounds",
    "additive, tokens": "same, a token per cue",
    "single": "trained with single cues",
    "shuffled": "with shuffled outcomes",
    "untrained": "untrained",
}
BOUND = 0.1  # of the outcome: what we call no effect


class Kind(NamedTuple):
    """What a network's layer is made of."""

    rule: str
    controls: tuple[str, ...] = ("beta",)
    corrects: bool = False  # its writes look at what all cues predict
    options: dict[str, Any] = {}  # noqa: RUF012 (read only)


NETWORKS = {
    "hebb": Kind("hebb"),
    "normalised linear": Kind("normalised_linear", options={"feature_map": memory.elu_plus_one}),
    "softmax": Kind("softmax", ()),
    "delta": Kind("delta", corrects=True),
    "gated delta": Kind("gated_delta", ("beta", "log_decay"), corrects=True),
    "unit delta": Kind("delta", corrects=True, options={"normalise_keys": True}),
}
ADDING = ("delta", "gated delta")  # the error-correcting networks whose compounds are sums


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict(
        {
            "seed": 0,
            "network": "delta",
            "networks": tuple(NETWORKS),
            "world": ADDITIVE,
            "worlds": tuple(WORLDS),
            "compound": 0.5,  # probability of a second cue on a trial, where there are compounds
            "change": 0.05,  # probability per trial that a cue's worth is drawn again
            "cues": 4,
            "dimension": 16,  # of the cues' codes
            "trials": 26,  # in a sequence
            "features": 32,
            "heads": 2,  # with one, about every fifth network stays at a plateau
            "key_size": 16,  # of a head
            "value_size": 8,
            "updates": 600,
            "batch": 16,
            "rate": 0.01,  # of Adam after a tenth of the updates, over which it rises; it falls as a cosine
            "clip": 1.0,  # of the gradient's norm
            "windows": 20,
            "repeats": 6,  # of each kind of trial in a phase of a test
            "draws": 32,  # of codes in a test
            "seeds": 32,
        }
    )
    if variant == "quick":
        config.update({"networks": ("delta",), "updates": 100, "draws": 8, "seeds": 4, "windows": 10})
    elif variant:
        raise ValueError(f"variant: 'quick', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if config.network not in NETWORKS:
        raise ValueError(f"network: must be one of {', '.join(NETWORKS)}, got {config.network!r}")
    if config.world not in WORLDS:
        raise ValueError(f"world: must be 0 (single cues), 1 (additive) or 2 (shuffled), got {config.world}")
    for name in ("compound", "change"):
        if not 0 <= config[name] <= 1:
            raise ValueError(f"{name}: must be a probability, got {config[name]}")
    if config.updates % config.windows:
        raise ValueError(f"windows: must divide updates = {config.updates}, got {config.windows}")


def sweep(config: ConfigDict) -> Axes:
    return product(static(network=config.networks), traced(world=config.worlds), seeds(config.seeds))


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    for_weights, for_batches, for_codes = jax.random.split(key, 3)
    network = network_of(config)
    start, _ = network.init(for_weights)

    def says(params: Any, tokens: jax.Array) -> jax.Array:
        return network.apply(params, {}, tokens)[0][..., 0]

    def sample(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        drawn = jax.vmap(functools.partial(sequence, config=config))(jax.random.split(key, config.batch))
        return drawn.tokens, drawn.targets

    def loss(params: Any, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
        tokens, targets = batch
        return jnp.mean((says(params, tokens)[:, ::2] - targets) ** 2)

    schedule = optax.warmup_cosine_decay_schedule(0.0, config.rate, config.updates // 10, config.updates)
    trained = training.train(
        for_batches,
        start,
        loss=loss,
        sample=sample,
        transform=optax.flatten(optax.chain(optax.clip_by_global_norm(config.clip), optax.adam(schedule))),
        steps=config.updates,
        window=1,  # compiles fastest
    )
    tokens, position = tests(for_codes, config)
    draws, kinds, groups, steps, size = tokens.shape

    def answers(params: Any) -> tuple[jax.Array, jax.Array]:
        said = says(params, tokens.reshape(-1, steps, size)).reshape(draws, kinds, groups, steps)
        place = jnp.broadcast_to(position[None, :, :, None], (draws, kinds, groups, 1))
        read = jnp.take_along_axis(said, place, axis=-1)[..., 0]
        response = jnp.clip(read[..., : -len(RATES)], -1, 1).mean(0)
        return response.reshape(kinds, len(PHENOMENA), len(GROUPS)), read[:, 0, -len(RATES) :].mean(0)

    stages = jax.tree.map(lambda *leaves: jnp.stack(leaves), start, trained.params)
    windows = trained.loss.reshape(config.windows, -1).mean(1)
    response, rate = jax.vmap(answers)(stages)
    return {"loss": windows, "response": response, "rate": rate}


def network_of(config: ConfigDict) -> training.Functional:
    """One layer of the memory rule, from tokens to a prediction at every token."""
    from brainjax.memory import layers

    kind = NETWORKS[config.network]
    return training.functional(
        lambda rngs: layers.SequenceRegressor(
            memory.make(kind.rule),
            inputs=token_size(config.dimension),
            features=config.features,
            heads=config.heads,
            key_size=config.key_size,
            value_size=config.value_size,
            convolution=2,
            controls=kind.controls,
            form="parallel",
            rngs=rngs,
            **{"normalise_keys": False, **kind.options},
        )
    )


def sequence(key: jax.Array, config: ConfigDict) -> tasks.ContextSequence:
    """One sequence of the world that the network is trained in."""
    return tasks.in_context_regression(
        key,
        cues=config.cues,
        dimension=config.dimension,
        trials=config.trials,
        compound=jnp.where(config.world > SINGLE, config.compound, 0.0),
        change=config.change,
        shuffled=jnp.where(config.world > ADDITIVE, 1.0, 0.0),
    )


def tests(key: jax.Array, config: ConfigDict) -> tuple[jax.Array, jax.Array]:
    """All conditioning experiments as tokens (draws, kinds, groups, steps, size), and where each is read."""
    strings = {
        f"{name}, {group}": designs[number].format(n=config.repeats)
        for name, designs in PHENOMENA.items()
        for number, group in enumerate(GROUPS)
    }
    design = memory.parse_design(strings | {f"rate {number}": text for number, text in enumerate(RATES)})
    with jax.ensure_compile_time_eval():
        trials = memory.compile_design(design)

    def of(key: jax.Array) -> list[memory.ProbeSequences]:
        codes = memory.random_codes(key, len(design.cues), config.dimension)
        return [memory.probe_sequences(trials, codes, compound=kind) for kind in KINDS]

    found = jax.vmap(of)(jax.random.split(key, config.draws))
    steps = max(each.tokens.shape[-2] for each in found)
    ends = [((0, 0), (0, 0), (0, steps - each.tokens.shape[-2]), (0, 0)) for each in found]
    padded = [jnp.pad(each.tokens[:, :, 0], end) for each, end in zip(found, ends, strict=True)]
    return jnp.stack(padded, 1), jnp.stack([each.position[0, :, 0] for each in found])


def expanded(results: "xr.Dataset") -> "xr.Dataset":
    """The result with all swept axes (a pinned field has none), and names along the others."""
    for axis in ("network", "world"):
        if axis not in results.dims:
            results = results.expand_dims({axis: [setting(results, axis)]})
    names = {
        "stage": list(STAGES),
        "kind": list(KINDS),
        "phenomenon": list(PHENOMENA),
        "group": list(GROUPS),
        "together": [2, 1],
    }
    return results.assign_coords(names)


def conditions(data: "xr.Dataset") -> "dict[str, xr.DataArray]":
    """Indices (network, phenomenon, seed) by how networks were trained and tested; only those that are there."""
    index, found = data.response.sel(group="control") - data.response.sel(group="treated"), {}
    trained, there = index.sel(stage="trained", kind="sum"), data.world.values
    if ADDITIVE in there:
        found["additive"] = trained.sel(world=ADDITIVE)
        found["additive, tokens"] = index.sel(stage="trained", kind="tokens", world=ADDITIVE)
    if SINGLE in there:
        found["single"] = trained.sel(world=SINGLE)
    if SHUFFLED in there:
        found["shuffled"] = trained.sel(world=SHUFFLED)
    found["untrained"] = index.sel(stage="untrained", kind="sum").isel(world=0)  # the same in all worlds
    return found


def figure(results: "xr.Dataset") -> "Figure":
    """Every phenomenon by network and condition; errors while training."""
    from brainjax import plots

    data = expanded(results)
    shown = conditions(data)
    names = [SHORT.get(name, name).replace(" ", "\n") for name in data.network.values]
    with plots.style():
        page, axes = plots.subplots(2, 3, width="page", height=4.6)
        looks = dict(zip(shown, plots.line_styles(len(shown)), strict=True))
        looks = {key: {**look, "label": LABELS[key], "markersize": 3.0} for key, look in looks.items()}
        for ax, name in zip(axes.flat, PHENOMENA, strict=False):
            values = {key: each.sel(phenomenon=name).transpose("network", "seed").values for key, each in shown.items()}
            line = {"color": "black", "linewidth": 0.7, "zorder": 0}
            ax.axhline(0, **line)
            ax.axhline(PHENOMENA[name][2], label="Rescorla and Wagner, limit", linestyle=":", **line)
            plots.beside(ax, values, looks, first=0, gap=0.13)
            ax.set_xticks(range(len(names)), names, fontsize=6.0)
            ax.set(title=name, ylim=(-0.8, 1.1))
        for ax in (axes[0, 0], axes[1, 0]):
            ax.set_ylabel("control less treated group\n(magnitudes of the outcome)")
        draw_errors(axes[1, 2], data)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        page.legend(handles, labels, loc="outside lower center", ncols=3, handlelength=1.6)
    return page


def draw_errors(ax: Any, data: "xr.Dataset") -> None:
    """Error of the networks while they are trained, in the world with compounds if it is there; beyond 1.2 as 1.2."""
    from brainjax import plots

    here = relative_error(data).sel(world=ADDITIVE if ADDITIVE in data.world.values else data.world.values[0])
    time = (np.arange(data.sizes["window"]) + 0.5) / data.sizes["window"] * setting(data, "updates")
    here = here.clip(max=1.2).assign_coords(window=time)  # rates are too high for some networks at the start
    here["window"].attrs["long_name"] = "updates"
    here.attrs["long_name"] = "squared error of the outcome"
    plots.curves(here, "window", hue="network", ax=ax, labels=[str(name) for name in data.network.values])
    ax.get_legend().remove()
    ax.legend(fontsize=5.5, handlelength=1.8, loc="lower left", ncols=2, labelspacing=0.2, columnspacing=0.6)
    ax.set(title="training", ylim=(0, 1.3))


def relative_error(data: "xr.Dataset") -> "xr.DataArray":
    """Mean squared error as a fraction of the mean squared outcome, which is the mean number of cues."""
    return data.loss / (1 + setting(data, "compound") * (data.world > SINGLE))


def claims(results: "xr.Dataset") -> list[Claim]:
    data = expanded(results)
    shown = conditions(data)
    there = [str(name) for name in data.network.values]
    adding = [name for name in ADDING if name in there]
    blind = [name for name in there if not NETWORKS[name].corrects]
    found: list[Claim] = []
    proper = data.isel(world=data.world.values < SHUFFLED)
    if proper.sizes["world"]:
        found.append(
            judge.below(
                "networks learn",
                "in every world every network's error on new sequences falls below that of predicting nothing",
                "our control",
                relative_error(proper).isel(window=-1).max(("network", "world"), skipna=False),
                than=1.0,
                unit="squared error / squared outcome, largest over networks and worlds",
            )
        )
    if "additive" not in shown:
        return found
    if blind:
        who = f"networks whose memory looks at no error ({', '.join(blind)}), trained in the additive world,"
        for name in COMPETITION:
            statement = f"{who} do not show {name} by {BOUND:g}"
            index = shown["additive"].sel(phenomenon=name, network=blind)
            found.append(at_most(f"{name}: Hebb and exemplars", statement, index))
    return found + (adding_claims(data, shown, adding) if adding else [])


def at_most(name: str, statement: str, index: "xr.DataArray") -> Claim:
    """Claims that the index is below the bound for every network, by the one that comes nearest."""
    level = 1 - 0.05 / index.sizes["network"]  # Bonferroni
    ends = [judge.interval(index.sel(network=each).values, confidence=level)[2] for each in index.network.values]
    nearest = index.isel(network=int(np.argmax(ends)))
    return judge.below(
        name,
        statement,
        "the paper's correspondence; the bound is ours",
        nearest,
        than=BOUND,
        confidence=level,
        unit="outcome, the network that comes nearest",
        detail=f"{nearest.network.item()}",
    )


def adding_claims(data: "xr.Dataset", shown: "dict[str, xr.DataArray]", adding: list[str]) -> list[Claim]:
    """What error-correcting networks show, and what that depends on."""
    additive, both = shown["additive"], " and ".join(adding)
    blocking = {name: index.sel(phenomenon="blocking", network=adding) for name, index in shown.items()}
    found: list[Claim] = []

    def greater(name: str, statement: str, source: str, samples: Any, **about: Any) -> None:
        """Claims it of the network that shows it least."""
        least = samples.min("network", skipna=False) if "network" in samples.dims else samples
        found.append(judge.greater(name, statement, source, least, unit="outcome, least over networks", **about))

    for name in COMPETITION:
        greater(
            f"{name}: error correction",
            f"networks whose memory corrects errors ({both}), trained in the additive world, show {name}, by more "
            f"than {BOUND:g}",
            "the paper's correspondence of the delta rule and Rescorla and Wagner's model; the size is ours",
            additive.sel(phenomenon=name, network=adding),
            than=BOUND,
        )
    if "hebb" in additive.network:
        greater(
            "extinction: error correction",
            f"networks whose memory corrects errors ({both}) unlearn more than the Hebbian one",
            "the paper's correspondence; the comparison is ours",
            additive.sel(phenomenon="extinction", network=adding)
            - additive.sel(phenomenon="extinction", network="hebb"),
        )
    greater(
        "blocking needs one token",
        f"in {both} blocking is weaker if the cues of a compound come as several tokens",
        "our control",
        blocking["additive"] - blocking["additive, tokens"],
    )
    found.append(
        at_most(
            "no blocking between tokens",
            f"if the cues of a compound come as several tokens, {both} do not block by {BOUND:g}",
            blocking["additive, tokens"],
        )
    )
    for name in (controls := [name for name in ("untrained", "shuffled") if name in blocking]):
        greater(
            f"blocking needs training: {name}",
            f"trained networks block more than {name} ones, in {both}",
            "our control",
            blocking["additive"] - blocking[name],
            confidence=1 - 0.05 / len(controls),  # Bonferroni
        )
    if "single" in blocking:
        greater(
            "blocking needs compounds",
            f"{both} block more if they were trained with compounds than with single cues only",
            "our control, sought after a pilot",
            blocking["additive"] - blocking["single"],
        )
        rate = data.rate.sel(stage="trained", together=2, network=adding)
        greater(
            "single cues teach too high a rate",
            f"{both}, trained with single cues only, overshoot: of a compound, one trial teaches more than its outcome",
            "our control, sought after a pilot",
            rate.sel(world=SINGLE),
            than=1.0,
            detail=f"with compounds {float(rate.sel(world=ADDITIVE).mean()):.2f}",
        )
    if {"delta", "unit delta"} <= set(additive.network.values):
        greater(
            "unit keys weaken overshadowing",
            "with keys of length 1, which make a compound a configuration, cues overshadow less (.29, not .50, of the "
            "outcome in the bare rule)",
            "derived by us, see cue_keys",
            additive.sel(phenomenon="overshadowing", network="delta")
            - additive.sel(phenomenon="overshadowing", network="unit delta"),
        )
    return found
