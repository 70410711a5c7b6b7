r"""Convolutional networks learn by counter-current signals; what backpropagation, frozen feedback and flooding add.

The convolutional classifiers of Kao & Hariharan (NeurIPS 2024, Tables 3 and 4, Figure 4) on Fashion-MNIST, for a short
run and, by default, a quarter of the channels. The authors report CIFAR and STL only, so that accuracies have no
published value here; the comparisons have.

Run:  brainjax run counter_current/cnn [--variant=quick]
Cost: 12 min on 2 cores beside other work (quick, on digits: 36 s of a core).

``network``: ``strided``, the authors' for MNIST and Fashion-MNIST, 3 by 3 kernels that move two pixels at a time; or
``pool``, which convolves at every pixel and keeps the largest of every 2 by 2. ``widths`` are the channels. Variant
``paper`` has theirs, their batch and ten epochs; it is far beyond a small machine.

The loss is the normalised one with decorrelation (``cnn`` in `brainjax.credit`): it asks features and prototypes to
have a cosine of 1 within a class and 0 between classes, and at the same time different examples to have cosine 0.
The parts, which see the same batches and, for every seed, start at the same forward weights:

* ``counter_current`` with ``feedback_rate`` 1 and 0: both networks learn, or the feedback stays as it was drawn;
* ``flood``: the same with examples left out of the local losses once their class has a probability above 0.9 (the
  authors do this on CIFAR-10 only);
* ``backprop``, at the authors' rate (they add batch normalisation to it: ``normalize``);
* ``readout``: a linear readout of the untrained features of the top level, by the same output loss and at the same rate
  as under counter-current learning. What is above it, the hidden layers have learned.

Rates, clipping and warm-up are the authors' for this data set and were not tuned, for any arm. Images are standardised;
theirs are not, but cropped and flipped at random.

Measures: accuracy on held-out images in training and on all test images at the end. The cosine of a layer's kernel U[h,
w, i, o] with the feedback's V[H-1-h, W-1-w, o, i], turned round as a transposed convolution is. The angle of an
update to that of backpropagation at the same weights. The local losses. The smoothness of the first layer's kernels k:
the centroid of their power spectrum over all spatial frequencies,

.. math:: \bar f = \frac{\int |f|\, |\hat k(f)|^2\, df}{\int |\hat k(f)|^2\, df}, \qquad f \in [-1/2, 1/2]^2,

in cycles per pixel: 0.383 for kernels of independent weights, less for smoother ones.
"""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from brainjax import claims as judge
from brainjax import credit, training
from brainjax.claims import Claim
from brainjax.data import image_task
from brainjax.sweep import Axes, parts_of, product, seeds, setting, static, traced

if TYPE_CHECKING:  # what only the figure needs is imported when it is drawn
    import xarray as xr
    from matplotlib.figure import Figure

PAPER = "kao2024"
DIMS = {
    "held_accuracy": ("record",),  # on held-out images
    "held_loss": ("record",),  # their cross-entropy, nats
    "centroid": ("record",),  # of the first layer's kernels, cycles per pixel
    "change_centroid": (),  # of what was added to them, likewise
    "weights": ("record", "layer"),  # cosine of kernels
    "angle": ("record", "layer"),  # degrees
    "local_loss": ("record", "level"),
    "accuracy": (),  # on the test set, at the end
    "loss": (),
}
PARTS = ("counter_current", "flood", "backprop", "readout")
AXES = {"counter_current": ("feedback_rate",), "flood": (), "backprop": (), "readout": ()}
KINDS = {"strided": "stride", "pool": "pool"}
GRID = 32  # frequencies per axis of the spectrum of kernels


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict(
        {
            "seed": 0,
            "part": "counter_current",
            "parts": PARTS,
            "data": "fashion_mnist",
            "pad": 2,  # black pixels on every side, so that the side halves once per convolution
            "network": "strided",
            "widths": (32, 32, 64, 64, 128),
            "activation": "elu",
            "normalize": False,  # whether backpropagation has batch normalisation
            "batch": 64,
            "held_out": 2000,  # of the training images
            "moments": (0, 50, 100, 200, 400, 600),  # numbers of updates to look after
            "forward_rate": 1.0,
            "feedback_rate": 1.0,
            "clip": 1.0,  # of each network's gradient, over its layers
            "warmup": 100,  # updates
            "scale": 0.5,  # c
            "decorrelation": 0.5,  # s
            "flood": 0.1,  # of part ``flood``: uncertainty below which an example is left out
            "backprop_rate": 0.1,
            "probes": 64,  # training images that updates are compared on
            "feedback_rates": (1.0, 0.0),
            "seeds": 4,
        }
    )
    if variant == "quick":
        config.update({"parts": ("counter_current", "readout"), "data": "digits", "pad": 0, "widths": (8, 16)})
        config.update({"batch": 32, "held_out": 200, "moments": (0, 60, 120), "warmup": 20, "probes": 32, "seeds": 3})
    elif variant == "paper":
        config.update({"widths": (128, 128, 256, 256, 512), "batch": 256, "held_out": 6000, "normalize": True})
        config.update({"moments": (0, 53, 211, *range(422, 2111, 422))})
    elif variant:
        raise ValueError(f"variant: 'quick' or 'paper', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if config.part not in PARTS or not set(config.parts) <= set(PARTS):
        raise ValueError(f"parts: must be among {', '.join(PARTS)}, got {config.parts} (part {config.part})")
    if config.network not in KINDS:
        raise ValueError(f"network: must be one of {', '.join(KINDS)}, got {config.network!r}")
    if config.moments[0] != 0:
        raise ValueError(f"moments: must start at 0, the untrained network, got {config.moments}")
    for name in ("forward_rate", "feedback_rate", "backprop_rate", "clip", "decorrelation", "flood"):
        if not config[name] >= 0:
            raise ValueError(f"{name}: must be zero or more, got {config[name]}")
    if config.warmup < 1:
        raise ValueError(f"warmup: must be 1 update or more, got {config.warmup}")


def sweep(config: ConfigDict) -> dict[str, Axes]:
    arms = {part: [] for part in PARTS} | {"counter_current": [traced(feedback_rate=config.feedback_rates)]}
    return {part: product(static(part=[part]), *arms[part], seeds(config.seeds)) for part in config.parts}


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    task = image_task(config.data)
    shape = jax.eval_shape(lambda images: task.inputs(images, flat=False, pad=config.pad), task.images[:1]).shape[1:]
    net = credit.cnn(
        shape,
        len(task.classes),
        kind=KINDS[config.network],
        channels=config.widths,
        activation=config.activation,
        normalize=config.normalize and config.part == "backprop",
    )
    for_weights, for_rows, for_order = jax.random.split(key, 3)
    rows, held = training.split_rows(for_rows, task.images.shape[0], held_out=config.held_out)
    optimiser = credit.sgd(1.0, clip=config.clip)
    rule = credit.make("counter_current", net, loss="cnn", forward=optimiser, feedback=optimiser)
    start = rule.init(for_weights)

    def pixels(images: jax.Array) -> jax.Array:
        return task.inputs(images, flat=False, pad=config.pad)

    def fetch(chosen: jax.Array) -> credit.Batch:
        return credit.Batch(pixels(task.images[chosen]), task.labels[chosen])

    observe_more = None
    if config.part == "readout":
        first, fetch, features = readout_of(net, start, config, fetch, pixels)
        step, predict = first.step, lambda state, images: first.predict(state.forward, features(images))
        start = first.init(for_weights)
    elif config.part == "backprop":
        plain = credit.make("backprop", net, forward=credit.sgd(config.backprop_rate))
        drawn, step = start, plain.step
        known = fetch(rows[: max(256, config.probes)]).inputs

        def predict(state: credit.State, images: jax.Array) -> jax.Array:
            statistics = credit.calibrate(net, state.forward, known) if config.normalize else None
            return plain.predict(state.forward, pixels(images), statistics)

        start = plain.init(for_weights)
        start = start._replace(params=start.params._replace(forward=drawn.forward))
    else:
        flood = config.flood if config.part == "flood" else 0.0
        values = {"scale": config.scale, "decorrelation": config.decorrelation, "flood": flood}
        values |= {"forward_rate": config.forward_rate, "feedback_rate": config.feedback_rate}
        probe = fetch(rows[: config.probes])

        def step(state: credit.State, batch: credit.Batch, k: jax.Array) -> tuple[credit.State, credit.Info]:
            factor = jnp.minimum((state.steps.astype(batch.inputs.dtype) + 1) / config.warmup, 1)
            return rule.step(state, batch, k, values | {"factor": factor})

        def predict(state: credit.State, images: jax.Array) -> jax.Array:
            return rule.predict(state.forward, pixels(images))

        def observe_more(state: credit.State) -> dict[str, jax.Array]:
            update = rule.grads(state.params, probe, key, values)
            exact = credit.make("backprop", net).grads(credit.Params(state.forward, (), ()), probe, key)
            return {
                "weights": credit.weight_alignment(state.forward, state.feedback),
                "angle": credit.angles(update.forward, exact.forward),
                "local_loss": update.info.local,
            }

    def observe(state: credit.State) -> dict[str, jax.Array]:
        seen = training.evaluate(lambda images: predict(state, images), task.images[held], task.labels[held], block=500)
        found = {"held_accuracy": seen.accuracy, "held_loss": seen.loss}
        if config.part != "readout":
            found["centroid"] = spectral_centroid(state.forward[0]["kernel"])
        return found | (observe_more(state) if observe_more else {})

    last, records = training.recorded_at(
        for_order,
        start,
        step=step,
        fetch=fetch,
        rows=rows,
        batch_size=config.batch,
        moments=config.moments,
        observe=observe,
    )
    test = training.evaluate(lambda images: predict(last, images), task.test_images, task.test_labels, block=500)
    if config.part != "readout":
        added = last.forward[0]["kernel"] - start.forward[0]["kernel"]
        records["change_centroid"] = spectral_centroid(added)
    return records | {"accuracy": test.accuracy, "loss": test.loss}


def readout_of(net: credit.Network, start: credit.State, config: Any, fetch: Any, pixels: Any) -> tuple[Any, Any, Any]:
    """The top layer alone: its rule, batches of the untrained features below it, and these of images."""
    top = credit.network([credit.dense(net.levels[-1][0])], net.inputs[-1])
    below = credit.network(net.layers[:-1], net.levels[0])

    def features_of(x: jax.Array) -> jax.Array:
        return credit.forward_activities(below, start.forward[:-1], x)[-1].reshape(x.shape[0], -1)

    def fetch_features(chosen: jax.Array) -> credit.Batch:
        batch = fetch(chosen)
        return credit.Batch(features_of(batch.inputs), batch.targets)

    optimiser = credit.sgd(config.forward_rate, clip=config.clip)
    return credit.make("backprop", top, forward=optimiser), fetch_features, lambda images: features_of(pixels(images))


def spectral_centroid(kernels: jax.Array) -> jax.Array:
    """Mean spatial frequency, in cycles per pixel and weighted by power, of all kernels (height, width, in, out)."""
    side = np.fft.fftfreq(GRID)
    size = jnp.asarray(np.hypot(side[:, None], side[None, :]), kernels.dtype)
    waves = np.exp(-2j * np.pi * np.outer(side, np.arange(kernels.shape[0])))  # frequency by pixel
    both = np.einsum("fh,gw->fghw", waves, waves).reshape(GRID * GRID, -1)
    flat = kernels.reshape(kernels.shape[0] * kernels.shape[1], -1)
    parts = [jnp.asarray(part, kernels.dtype) @ flat for part in (both.real, both.imag)]
    power = jnp.sum(parts[0] ** 2 + parts[1] ** 2, 1)
    total = jnp.sum(power)
    return jnp.where(total > 0, jnp.sum(size.ravel() * power) / jnp.where(total > 0, total, 1), jnp.nan)


def arms_of(results: "xr.DataTree") -> dict[str, "xr.Dataset"]:
    """One result per arm, with numbers of updates as the coordinates of the records."""
    found = {}
    for part, data in parts_of(results, AXES).items():
        data = data.assign_coords(record=list(setting(data, "moments")))
        if part != "counter_current":
            found[part] = data
            continue
        for name, chosen in (("learned", data.feedback_rate > 0), ("frozen", data.feedback_rate == 0)):
            if chosen.any():
                found[name] = data.isel(feedback_rate=int(np.argmax(chosen.values)))
    return {name: found[name] for name in ("learned", "frozen", "flood", "backprop", "readout") if name in found}


NAMES = {
    "learned": "counter-current",
    "frozen": "frozen feedback",
    "flood": "with flooding",
    "backprop": "backpropagation",
    "readout": "untrained features",
}


def figure(results: "xr.DataTree") -> "Figure":
    """Held-out accuracy, test accuracy, smoothness of kernels; below alignment, angles and local losses by layer."""
    from brainjax import plots

    arms = arms_of(results)
    with plots.style():
        looks = dict(zip(NAMES, plots.line_styles(len(NAMES)), strict=True))
        page, axes = plots.subplots(2, 3, width="page", height=4.6)
        over_updates(axes[0, 0], arms, looks, "held_accuracy", "held-out accuracy (%)", 100)
        ends(axes[0, 1], arms, looks)
        over_updates(axes[0, 2], arms, looks, "centroid", "first kernels (cycles per pixel)")
        by_layer(axes[1, 0], arms, looks, "weights", "layer", r"$\cos(U_l, V_l^\top)$ at the end")
        by_layer(axes[1, 1], arms, looks, "angle", "layer", "angle to backpropagation (°)")
        axes[1, 1].axhline(90, color="black", linewidth=0.6, linestyle=":")
        by_layer(axes[1, 2], arms, looks, "local_loss", "level", "local loss at the end")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        page.legend(handles, labels, loc="outside lower center", ncols=5, handlelength=2.4, columnspacing=1.0)
        plots.letter(axes.flat)
    return page


def over_updates(ax: Any, arms: dict[str, "xr.Dataset"], looks: Any, measure: str, label: str, unit: float = 1) -> None:
    """A measure while the arms are trained; bars: 95 % over seeds."""
    from brainjax import plots

    for name, data in arms.items():
        if measure in data:
            values = unit * data[measure].transpose("record", "seed")
            plots.intervals(ax, values.record.values, values.values, label=NAMES[name], elinewidth=0.8, **looks[name])
    ax.set(xlabel="updates", ylabel=label)


def ends(ax: Any, arms: dict[str, "xr.Dataset"], looks: Any) -> None:
    """Accuracy on the test set; bars: 95 % over seeds, points: seeds."""
    from brainjax import plots

    for i, (name, data) in enumerate(arms.items()):
        values = 100 * data.accuracy.values
        plots.intervals(ax, [i], values[None], **looks[name] | {"linestyle": "none"})
        ax.plot(i + np.linspace(0.15, 0.35, values.size), values, ".", color=looks[name]["color"], markersize=2.5)
    short = {
        "learned": "both\nlearn",
        "frozen": "frozen",
        "flood": "flood",
        "backprop": "BP",
        "readout": "un-\ntrained",
    }
    ax.set(ylabel="test accuracy at the end (%)", xlim=(-0.5, len(arms) - 0.3))
    ax.set_xticks(range(len(arms)), [short[name] for name in arms])


def by_layer(ax: Any, arms: dict[str, "xr.Dataset"], looks: Any, measure: str, axis: str, label: str) -> None:
    """A measure at the end, layer by layer; bars: 95 % over seeds."""
    from brainjax import plots

    shown = {name: data[measure].isel(record=-1) for name, data in arms.items() if measure in data}
    values = {name: data.transpose(axis, "seed").values for name, data in shown.items()}
    plots.beside(ax, values, looks, first=1 if axis == "layer" else 0, gap=0.12)
    ax.set(xlabel=f"{axis} $l$", ylabel=label)


def claims(results: "xr.DataTree") -> list[Claim]:
    arms, found = arms_of(results), []
    accuracy = {name: 100 * data.accuracy for name, data in arms.items()}

    def beats(better: str, worse: str, name: str, statement: str, source: str) -> None:
        if better in arms and worse in arms:
            gain = accuracy[better] - accuracy[worse]
            detail = f"accuracies {float(accuracy[better].mean()):.2f} and {float(accuracy[worse].mean()):.2f} %"
            found.append(judge.greater(name, statement, source, gain, unit="percentage points", detail=detail))

    beats(
        "learned",
        "readout",
        "hidden layers learn",
        "counter-current learning is more accurate than a linear readout of the untrained top level",
        "our control",
    )
    beats(
        "learned",
        "frozen",
        "learned feedback helps",
        "counter-current learning is more accurate than with feedback that stays as it was drawn",
        "our control; Figure 7 for fully connected networks",
    )
    beats(
        "backprop",
        "learned",
        "backpropagation is ahead",
        "backpropagation is more accurate than counter-current learning after as many updates",
        "Table 3, the order on CIFAR-10",
    )
    beats(
        "flood",
        "learned",
        "flooding helps",
        "counter-current learning is more accurate if examples that are certain take no part in the local losses",
        "our control; the authors use it on CIFAR-10",
    )
    if "learned" not in arms:
        return found
    both = arms["learned"]
    if "backprop" in arms:
        other = arms["backprop"]
        changes = [float(data.change_centroid.mean()) for data in (both, other)]
        found.append(
            judge.below(
                "smoother kernels",
                "the first layer's kernels have lower spatial frequencies than those learned by backpropagation",
                "Figure 4, for kernels of 5 by 5 pixels",
                both.centroid.isel(record=-1) - other.centroid.isel(record=-1),
                than=0.0,
                unit="cycles per pixel",
                detail="centroids of the changes {:.3f} and {:.3f}".format(*changes),
            )
        )
    angle = both.angle.isel(record=-1).max("layer")
    found.append(
        judge.below(
            "updates lower the loss",
            "at the end every layer's update is within 90 degrees of that of backpropagation",
            "our control",
            angle,
            than=90.0,
            unit="degrees, largest over layers",
        )
    )
    return found
