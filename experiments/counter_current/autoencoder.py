r"""A convolutional autoencoder learns by counter-current signals, without a label: images meet images on the way.

The autoencoder of Kao & Hariharan (NeurIPS 2024, Section 4.4 and Figure 5) on Fashion-MNIST padded to 32 by 32, for a
short run of a narrow network. Theirs are STL-10 and up to 2048 channels, with a test error of .0059 by backpropagation
and .0086 by counter-current learning: ``--variant=paper --config.data=stl10 --config.pad=0`` where the files are on
this machine (not run by us). The numbers of another data set cannot be compared.

Run:  brainjax run counter_current/autoencoder [--variant=quick]
Cost: 4 min on 2 cores beside other work (quick, on digits: 22 s of a core).

The forward network encodes by convolutions with a stride and decodes by enlarging and convolving; the feedback network
is its mirror image and starts from the same image at the other end. At every level both must agree, in their values and
in the pattern of every channel; see ``autoencoder`` in `brainjax.credit.counter_current`. The image that the
forward network puts out is compared with the input, and so is the one that the feedback network puts out.

Starts, optimisers and warm-up are the authors': orthogonal kernels, those of the decoder (and of the feedback's)
a thousand times smaller, the last one zero; batch normalisation both ways; descent with momentum, weight decay, clipped
norms and, for counter-current learning, centralised gradients; a rate that falls along a half cosine to .001. Nothing
was tuned, for any arm. At test the means and variances are those of a thousand training images.

The parts see the same batches and start at the same forward weights: ``counter_current`` with ``feedback_rate`` as
given and 0 (the feedback stays as it was drawn), and ``backprop``. Baselines: the mean training image, and the
principal components of the training images, as many as the code has numbers: no linear autoencoder is better *on those
images*. Errors are means over pixels, the padding included, with white at 1.
"""

import functools
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
    "error": ("record",),  # mean-square error on test images
    "mean_image": (),  # that of the mean training image
    "components": (),  # that of principal components
    "code": (),  # how many numbers the code has, and how many components
    "weights": ("record", "layer"),  # cosine of kernels and those of the feedback, turned round
    "local_loss": ("record", "level"),  # on training images
    "feedback_error": ("record",),  # of the image at the feedback's end, on training images
    "shown": ("image", "row", "column"),  # test images put out at the end
}
PARTS = ("counter_current", "backprop")
AXES = {"counter_current": ("feedback_rate",), "backprop": ()}


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict(
        {
            "seed": 0,
            "part": "counter_current",
            "parts": PARTS,
            "data": "fashion_mnist",
            "pad": 2,  # black pixels on every side, so that the side halves once per layer of the encoder
            "channels": (8, 16, 32, 64),  # of the encoder
            "batch": 32,
            "moments": (0, 50, 100, 200, 400, 600),  # numbers of updates to look after; the last is the length
            "forward_rate": 0.01,
            "feedback_rate": 0.01,
            "momentum": 0.9,
            "decay": 1e-4,
            "clip": 0.2,  # of each network's gradient, over its layers
            "warmup": 100,  # updates
            "final_rate": 0.001,
            "backprop": {"rate": 0.03, "momentum": 0.5, "decay": 1e-5, "clip": 0.2, "warmup": 200},
            "tests": 1000,  # test images
            "probes": 128,  # training images that local losses are measured on
            "shows": 6,  # test images that are kept as they are put out
            "feedback_rates": (0.01, 0.0),
            "seeds": 4,
        }
    )
    if variant == "quick":
        config.update({"parts": ("counter_current",), "data": "digits", "pad": 0, "channels": (8,), "tests": 360})
        config.update({"moments": (0, 50, 150), "warmup": 20, "seeds": 3})
    elif variant == "paper":
        config.update({"channels": (128, 256, 1024, 2048), "tests": 10000, "moments": (0, *range(101, 5051, 707))})
    elif variant:
        raise ValueError(f"variant: 'quick' or 'paper', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if config.part not in PARTS or not set(config.parts) <= set(PARTS):
        raise ValueError(f"parts: must be among {', '.join(PARTS)}, got {config.parts} (part {config.part})")
    if config.moments[0] != 0:
        raise ValueError(f"moments: must start at 0, the untrained network, got {config.moments}")
    for name in ("forward_rate", "feedback_rate", "final_rate", "momentum", "decay", "clip"):
        if not config[name] >= 0:
            raise ValueError(f"{name}: must be zero or more, got {config[name]}")
    if min(config.warmup, config.backprop.warmup) < 1:
        raise ValueError(f"warmup: must be 1 update or more, got {config.warmup} and {config.backprop.warmup}")


def sweep(config: ConfigDict) -> dict[str, Axes]:
    arms = {"counter_current": [traced(feedback_rate=config.feedback_rates)], "backprop": []}
    return {part: product(static(part=[part]), *arms[part], seeds(config.seeds)) for part in config.parts}


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    task = image_task(config.data)
    pixels = functools.partial(fractions, white=task.white, pad=config.pad)
    net = credit.autoencoder(jax.eval_shape(pixels, task.images[:1]).shape[1:], channels=config.channels)
    for_weights, for_rows, for_order = jax.random.split(key, 3)
    rows = training.random_order(for_rows, np.arange(task.images.shape[0]))
    known, seen = pixels(task.images[rows[:1000]]), pixels(task.test_images[: config.tests])
    probe = known[: config.probes]
    optimiser = credit.sgd(1.0, centralised=True, clip=config.clip, decay=config.decay, momentum=config.momentum)
    rule = credit.make("counter_current", net, objective="reconstruction", forward=optimiser, feedback=optimiser)
    start = rule.init(for_weights)
    rates = {"forward_rate": config.forward_rate, "feedback_rate": config.feedback_rate}
    learn, warmup = rule.step, config.warmup
    if config.part == "backprop":
        own, drawn = config.backprop, start
        optimiser = credit.sgd(1.0, clip=own.clip, decay=own.decay, momentum=own.momentum)
        plain = credit.make("backprop", net, objective="reconstruction", forward=optimiser)
        start = plain.init(for_weights)
        start = start._replace(params=start.params._replace(forward=drawn.forward))
        rates, learn, warmup = {"forward_rate": own.rate}, plain.step, own.warmup

    def step(state: credit.State, batch: credit.Batch, k: jax.Array) -> tuple[credit.State, credit.Info]:
        done = state.steps.astype(batch.inputs.dtype)
        warm = jnp.minimum((done + 1) / warmup, 1)
        now = {name: falling(rate, done / config.moments[-1], config.final_rate) for name, rate in rates.items()}
        if config.part == "backprop":  # it has no factor of the loss: the rate grows instead
            return learn(state, batch, k, {name: warm * rate for name, rate in now.items()})
        return learn(state, batch, k, now | {"factor": warm})

    def fetch(chosen: jax.Array) -> credit.Batch:
        images = pixels(task.images[chosen])
        return credit.Batch(images, images)

    def put_out(state: credit.State, images: jax.Array) -> jax.Array:
        return rule.predict(state.forward, images, credit.calibrate(net, state.forward, known))

    def observe(state: credit.State) -> dict[str, jax.Array]:
        found = {"error": jnp.mean((put_out(state, seen) - seen) ** 2)}
        if config.part == "backprop":
            return found
        info = rule.grads(state.params, credit.Batch(probe, probe), key).info
        return found | {
            "weights": credit.weight_alignment(state.forward, state.feedback),
            "local_loss": info.local,
            "feedback_error": info.local[0] / net.levels[0][0],  # the loss at the input is that times the height
        }

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
    code = int(np.prod(net.levels[len(config.channels)]))
    mean_image, components = linear_errors(config.data, config.pad, config.tests, code)
    return records | {
        "shown": put_out(last, seen[: config.shows])[..., 0],
        "mean_image": jnp.asarray(mean_image, seen.dtype),
        "components": jnp.asarray(components, seen.dtype),
        "code": jnp.asarray(code, jnp.int32),
    }


def fractions(images: jax.Array, *, white: int, pad: int) -> jax.Array:
    """Grey bytes as images (batch, height, width, 1) with white at 1 and a black frame."""
    padded = jnp.pad(images, [(0, 0), (pad, pad), (pad, pad)])
    return padded[..., None].astype(jnp.result_type(float)) / white


def falling(rate: Any, share: Any, last: Any) -> Any:
    """A rate after a share of the run: half a cosine from ``rate`` to ``last``; it never rises, and 0 stays 0."""
    last = jnp.minimum(last, rate)
    return last + (rate - last) * (1 + jnp.cos(jnp.pi * share)) / 2


@functools.cache
def linear_errors(data: str, pad: int, tests: int, components: int) -> tuple[float, float]:
    """Test errors of the mean training image and of so many principal components, over all pixels and the frame."""
    task = image_task(data)
    train, test = (
        np.asarray(images).reshape(len(images), -1).astype(np.float32) / task.white
        for images in (task.images, task.test_images)
    )
    test = test[:tests]
    mean, size = train.mean(0), np.prod([side + 2 * pad for side in task.images.shape[1:3]])
    train, test = train - mean, test - mean
    _, directions = np.linalg.eigh(train.T @ train)  # ascending
    kept = test @ directions[:, max(0, directions.shape[1] - components) :]
    whole = float((test**2).sum())
    return whole / len(test) / size, max(0.0, whole - float((kept**2).sum())) / len(test) / size


NAMES = {"learned": "counter-current", "frozen": "frozen feedback", "backprop": "backpropagation"}


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
    return {name: found[name] for name in NAMES if name in found}


def figure(results: "xr.DataTree") -> "Figure":
    """Test error, local losses and alignment; below test images and what one seed of each arm puts out for them."""
    from brainjax import plots

    arms = arms_of(results)
    with plots.style():
        looks = dict(zip(NAMES, plots.line_styles(len(NAMES)), strict=True))
        page, axes = plots.subplots(2, 3, width="page", height=4.6)
        draw_error(axes[0, 0], arms, looks)
        by_level(axes[0, 1], arms, looks, "local_loss", "level", "local loss at the end")
        axes[0, 1].set_yscale("log")
        by_level(axes[0, 2], arms, looks, "weights", "layer", r"$\cos(U_l, V_l^\top)$ at the end")
        strip = page.add_subplot(axes[1, 0].get_gridspec()[1, :])
        for ax in axes[1]:
            ax.remove()
        draw_images(strip, arms)
        page.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
        plots.letter([*axes[0], strip])
    return page


def draw_error(ax: Any, arms: dict[str, "xr.Dataset"], looks: Any) -> None:
    """Test error while the arms are trained, beside the baselines; bars: 95 % over seeds."""
    from brainjax import plots

    for name, data in arms.items():
        values = data.error.transpose("record", "seed")
        plots.intervals(ax, values.record.values, values.values, label=NAMES[name], elinewidth=0.8, **looks[name])
    first = next(iter(arms.values()))
    for measure, label, line in (("mean_image", "mean image", ":"), ("components", "principal components", "--")):
        if (level := float(first[measure].mean())) > 0:
            ax.axhline(level, color="black", linewidth=0.8, linestyle=line, label=label)
    ax.set(xlabel="updates", ylabel="mean-square error on test images", yscale="log")


def by_level(ax: Any, arms: dict[str, "xr.Dataset"], looks: Any, measure: str, axis: str, label: str) -> None:
    """A measure at the end, level by level; bars: 95 % over seeds."""
    from brainjax import plots

    shown = {name: data[measure].isel(record=-1) for name, data in arms.items() if measure in data}
    values = {name: data.transpose(axis, "seed").values for name, data in shown.items()}
    plots.beside(ax, values, looks, first=1 if axis == "layer" else 0, gap=0.16)
    ax.set(xlabel=f"{axis} $l$", ylabel=label)


def draw_images(ax: Any, arms: dict[str, "xr.Dataset"]) -> None:
    """Test images in the first row, and what the first seed of each arm makes of them below."""
    first = next(iter(arms.values()))
    own = {name: setting(first, name) for name in ("data", "pad", "shows")}
    task = image_task(own["data"])
    images = np.asarray(fractions(task.test_images[: own["shows"]], white=task.white, pad=own["pad"]))[..., 0]
    rows = {"image": images} | {NAMES[name]: data["shown"].isel(seed=0).values for name, data in arms.items()}
    side = images.shape[-1] + 1  # with a white line between images
    framed = [np.pad(np.clip(row, 0, 1), ((0, 0), (0, 1), (0, 1)), constant_values=1) for row in rows.values()]
    strip = np.concatenate([np.concatenate(list(row), 1) for row in framed], 0)[:-1, :-1]
    ax.imshow(strip, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_yticks(side * (np.arange(len(rows)) + 0.5), list(rows))
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.set_title("test images and outputs (seed 0)")


def claims(results: "xr.DataTree") -> list[Claim]:
    arms, found = arms_of(results), []
    error = {name: 1000 * data.error.isel(record=-1) for name, data in arms.items()}
    unit = "thousandths, mean square"
    learners = [name for name in ("learned", "backprop") if name in arms]
    if learners:
        excess = [error[name] - 1000 * arms[name].mean_image for name in learners]
        found.append(
            judge.below(
                "better than the mean image",
                "counter-current learning and backpropagation put out test images better than the mean image does",
                "our control",
                functools.reduce(np.maximum, [np.asarray(one) for one in excess]),
                than=0.0,
                unit=f"{unit}, the worse of {' and '.join(NAMES[name] for name in learners)}",
                detail=f"mean image {1000 * float(arms[learners[0]].mean_image.mean()):.2f}",
            )
        )
    pairs = [
        (
            "backprop",
            "learned",
            "backpropagation is ahead",
            "the test error is lower by backpropagation than by counter-current learning after as many updates",
            "Section 4.4, on STL-10: .0059 and .0086",
        ),
        (
            "learned",
            "frozen",
            "learned feedback helps",
            "the test error of counter-current learning is lower than with feedback that stays as it was drawn",
            "our control",
        ),
    ]
    for better, worse, name, statement, source in pairs:
        if better in arms and worse in arms:
            means = f"{float(error[better].mean()):.2f} and {float(error[worse].mean()):.2f}"
            gap = error[better] - error[worse]
            found.append(judge.below(name, statement, source, gap, than=0.0, unit=unit, detail=f"errors {means}"))
    return found
