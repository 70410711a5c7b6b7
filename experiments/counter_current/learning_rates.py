r"""A feedback network that learns beats a frozen one, the more the faster the forward network learns.

Counter-current learning of Fashion-MNIST over the grid of both networks' learning rates (Kao & Hariharan, NeurIPS 2024,
Figure 7, which shows MNIST and CIFAR-10).

Run:  brainjax run counter_current/learning_rates [--variant=quick|paper]
Cost: about 15 min on 2 cores by estimate (quick, on digits: 20 s of a core; paper, 100 epochs: 8 h by estimate).

Both learning rates are traced, so the whole grid is one compilation. A feedback rate of 0 leaves the feedback network
as it was drawn: a *frozen* random projection of the classes down to every level. Seeds are paired over the grid: the
same weights, the same split into training and validation, the same batches. Two baselines:

* chance;
* ``readout``: without the local losses (their factor c is 0) only the output layer learns, on hidden layers that stay
  as they were drawn. What frozen feedback adds to this, the hidden layers have learned.

Accuracies are those of the test set at the end of training; the validation set chooses among feedback rates where the
best is asked for. In the paper's MNIST, learned feedback gains about half a percentage point over frozen feedback at
the lowest forward rate and one and a half at the two highest. Its collapse of frozen feedback at high forward rates is
of CIFAR-10 only, and not tested here.
"""

from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from ml_collections import ConfigDict

from brainjax import claims as judge
from brainjax import credit, training
from brainjax.claims import Claim
from brainjax.data import image_task
from brainjax.sweep import Axes, parts_of, product, seeds, static, traced

if TYPE_CHECKING:  # what only the figure needs is imported when it is drawn
    import xarray as xr
    from matplotlib.figure import Figure

PAPER = "kao2024"
DIMS = {
    "validation_accuracy": ("epoch",),  # before training and after every epoch
    "accuracy": ("epoch",),  # on the test set
    "loss": ("epoch",),  # cross-entropy on the test set, nats
    "alignment": ("layer",),  # at the end: cosine of each layer's weights with its feedback's, transposed
}
PARTS = ("grid", "readout")
LEARNED = 60.0  # per cent: what we call learning, six times chance
# Best row less row 0 of Figure 7, MNIST after 100 epochs, in percentage points.
PAPER_GAINS = {0.05: 0.72, 0.1: 0.4, 0.2: 0.33, 0.4: 1.02, 0.8: 1.76}
AXES = {"grid": ("feedback_rate", "forward_rate"), "readout": ("forward_rate",)}


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict(
        {
            "seed": 0,
            "part": "grid",
            "parts": PARTS,
            "data": "fashion_mnist",
            "width": 256,
            "hidden": 5,
            "activation": "elu",
            "batch": 256,
            "held_out": 6000,  # of the training images, for validation
            "epochs": 3,
            "forward_rate": 1.0,
            "feedback_rate": 1.0,
            "clip": 1.0,  # of each network's gradient, over its layers
            "scale": 0.5,  # c of the local losses
            "forward_rates": (0.05, 0.1, 0.2, 0.4, 0.8),
            "feedback_rates": (0.0, 0.05, 0.1, 0.2, 0.4, 0.8),
            "seeds": 4,
        }
    )
    if variant == "quick":
        config.update({"parts": ("grid",), "data": "digits", "width": 32, "hidden": 2, "batch": 32, "held_out": 157})
        config.update({"epochs": 8, "forward_rates": (0.05, 0.2, 0.8), "feedback_rates": (0.0, 0.1, 0.8), "seeds": 8})
    elif variant == "paper":
        config.epochs = 100
    elif variant:
        raise ValueError(f"variant: 'quick' or 'paper', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if config.part not in PARTS or not set(config.parts) <= set(PARTS):
        raise ValueError(f"parts: must be among {', '.join(PARTS)}, got {config.parts} (part {config.part})")
    for name in ("width", "hidden", "batch", "epochs"):
        if config[name] < 1:
            raise ValueError(f"{name}: must be 1 or more, got {config[name]}")
    for name in ("forward_rate", "feedback_rate", "clip", "scale"):
        if not config[name] >= 0:
            raise ValueError(f"{name}: must be zero or more, got {config[name]}")


def sweep(config: ConfigDict) -> dict[str, Axes]:
    rates = {
        "grid": product(traced(feedback_rate=config.feedback_rates), traced(forward_rate=config.forward_rates)),
        "readout": traced(forward_rate=config.forward_rates),
    }
    return {part: product(static(part=[part]), rates[part], seeds(config.seeds)) for part in config.parts}


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    task = image_task(config.data)
    net = credit.mlp([task.size, *[config.width] * config.hidden, len(task.classes)], config.activation)
    optimiser = credit.sgd(1.0, clip=config.clip)
    rule = credit.make("counter_current", net, loss="mlp", forward=optimiser, feedback=optimiser)
    chosen = {
        "forward_rate": config.forward_rate,
        "feedback_rate": config.feedback_rate,
        "scale": 0.0 if config.part == "readout" else config.scale,
    }
    for_weights, for_rows, for_order = jax.random.split(key, 3)
    rows, held = training.split_rows(for_rows, task.images.shape[0], held_out=config.held_out)

    def observe(state: credit.State) -> tuple[training.Evaluation, training.Evaluation]:
        def predict(images: jax.Array) -> jax.Array:
            return rule.predict(state.forward, task.inputs(images))

        validation = training.evaluate(predict, task.images[held], task.labels[held])
        return validation, training.evaluate(predict, task.test_images, task.test_labels)

    trained = training.epochs(
        for_order,
        rule.init(for_weights),
        step=lambda state, batch, k: rule.step(state, batch, k, chosen),
        fetch=lambda rows: credit.Batch(task.inputs(task.images[rows]), task.labels[rows]),
        rows=rows,
        batch_size=config.batch,
        epochs=config.epochs,
        observe=observe,
    )
    validation, test = trained.records
    return {
        "validation_accuracy": validation.accuracy,
        "accuracy": test.accuracy,
        "loss": test.loss,
        "alignment": credit.weight_alignment(trained.state.forward, trained.state.feedback),
    }


def percent(data: "xr.Dataset", name: str = "accuracy") -> "xr.DataArray":
    """Accuracy after the last epoch, in per cent."""
    return 100 * data[name].isel(epoch=-1)


def learned(grid: "xr.Dataset") -> "xr.Dataset":
    return grid.sel(feedback_rate=grid.feedback_rate > 0)


def gain(grid: "xr.Dataset") -> "xr.DataArray":
    """Test accuracy less that of frozen feedback of the same seed and forward rate, in percentage points."""
    accuracy = percent(grid)
    return accuracy - accuracy.sel(feedback_rate=0.0)


def best_gain(grid: "xr.Dataset") -> "xr.DataArray":
    """The gain of the learned feedback whose rate is best on the validation set, for every seed and forward rate."""
    own = learned(grid)
    best = percent(own, "validation_accuracy").fillna(-1.0).argmax("feedback_rate")
    return gain(grid).sel(feedback_rate=own.feedback_rate).isel(feedback_rate=best)


def has_both(grid: "xr.Dataset") -> bool:
    return bool((grid.feedback_rate == 0).any() and (grid.feedback_rate > 0).any())


def figure(results: "xr.DataTree") -> "Figure":
    """Accuracy over the grid; what learning the feedback adds; alignment of the top layer with its feedback."""
    from brainjax import plots

    parts = parts_of(results, AXES)
    with plots.style():
        page, axes = plots.subplots(1, 3, width="page", height=2.5, width_ratios=(1.15, 1, 1))
        draw_grid(axes[0, 0], parts)
        draw_lines(axes[0, 1], parts, gain, "gain over frozen feedback (points)")
        draw_lines(axes[0, 2], parts, top_alignment, r"$\cos(U_L, V_L^\top)$ of the top layer")
        axes[0, 2].legend(title="forward rate", alignment="left", fontsize=6.5, handlelength=3.2)
        plots.letter(axes.flat)
    return page


def top_alignment(grid: "xr.Dataset") -> "xr.DataArray":
    return grid.alignment.isel(layer=-1)


def draw_grid(ax: Any, parts: dict[str, "xr.Dataset"]) -> None:
    """Mean test accuracy in per cent, one cell per pair of rates; below, the readout of untrained layers."""
    rows, names = [], []
    if "grid" in parts:
        cells = percent(parts["grid"]).mean("seed").transpose("feedback_rate", "forward_rate")
        rows += list(cells.values[::-1])
        names += [f"{rate:g}" if rate else "0 (frozen)" for rate in cells.feedback_rate.values[::-1]]
    if "readout" in parts:
        rows.append(percent(parts["readout"]).mean("seed").values)
        names.append("readout only")
    shown = np.stack(rows)
    columns = next(iter(parts.values())).forward_rate.values
    ax.imshow(shown, cmap="Greys", aspect="auto", vmin=np.nanmin(shown) - 10, vmax=np.nanmax(shown) + 10)
    middle = (np.nanmin(shown) + np.nanmax(shown)) / 2
    for i, j in np.ndindex(*shown.shape):
        ax.text(
            j,
            i,
            f"{shown[i, j]:.1f}",
            ha="center",
            va="center",
            fontsize=6.5,
            color="white" if shown[i, j] > middle else "black",
        )
    ax.set_xticks(range(len(columns)), [f"{rate:g}" for rate in columns])
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="forward learning rate", ylabel="feedback learning rate", title="test accuracy (%)")


def draw_lines(ax: Any, parts: dict[str, "xr.Dataset"], measure: Any, label: str) -> None:
    """A measure against the feedback rate, equally spaced, one line per forward rate; bars: 95 % over seeds."""
    from brainjax import plots

    grid = parts.get("grid")
    if grid is None or not has_both(grid):
        ax.set_visible(False)
        return
    values = measure(grid).transpose("forward_rate", "feedback_rate", "seed")
    places = np.arange(values.sizes["feedback_rate"])
    looks = plots.line_styles(values.sizes["forward_rate"])
    for i, (rate, look) in enumerate(zip(values.forward_rate.values, looks, strict=True)):
        shift = 0.07 * (i - (len(looks) - 1) / 2)
        plots.intervals(ax, places + shift, values[i].values, label=f"{rate:g}", elinewidth=0.8, **look)
    ax.axhline(0, color="black", linewidth=0.6, zorder=0)
    ax.set_xticks(places, [f"{rate:g}" for rate in values.feedback_rate.values])
    ax.set(xlabel="feedback learning rate", ylabel=label)


def claims(results: "xr.DataTree") -> list[Claim]:
    parts, found = parts_of(results, AXES), []
    grid, readout = parts.get("grid"), parts.get("readout")
    if grid is not None:
        if (grid.feedback_rate == 0).any():
            found += frozen_claims(grid, readout)
        if has_both(grid):
            found += learned_claims(grid)
    return found


def frozen_claims(grid: "xr.Dataset", readout: "xr.Dataset | None") -> list[Claim]:
    """What the hidden layers learn from feedback that never changes."""
    frozen = percent(grid).sel(feedback_rate=0.0)
    found = [
        judge.greater(
            "frozen feedback learns",
            f"with frozen random feedback the network reaches {LEARNED:g} % at every forward rate (chance: 10 %)",
            "Figure 7, row 0 (MNIST: 95.1 % and more)",
            frozen.min("forward_rate"),
            than=LEARNED,
            unit="% test accuracy, least over forward rates",
        )
    ]
    if readout is not None:
        found.append(
            judge.greater(
                "hidden layers learn from frozen feedback",
                "averaged over forward rates, frozen feedback beats a readout of hidden layers that stay as drawn",
                "our control",
                (frozen - percent(readout)).mean("forward_rate"),
                unit="percentage points, mean over forward rates",
            )
        )
    return found


def learned_claims(grid: "xr.Dataset") -> list[Claim]:
    """What learning the feedback adds, at its best rate on the validation set."""
    best = best_gain(grid)
    columns = best.forward_rate.values
    confidence = 1 - 0.05 / len(columns)
    found = [
        judge.greater(
            f"learned beats frozen ({rate:g})",
            f"at forward rate {rate:g}, learned feedback of the best rate is more accurate than frozen feedback",
            f"Figure 7 ({PAPER_GAINS[float(rate)]} on MNIST)" if float(rate) in PAPER_GAINS else "Figure 7, MNIST",
            best.sel(forward_rate=rate),
            confidence=confidence,
            unit="percentage points",
            detail=f"Bonferroni over {len(columns)} forward rates",
        )
        for rate in columns
    ]
    if len(columns) > 1:
        found.append(
            judge.greater(
                "the gain grows with the forward rate",
                "learned feedback gains more over frozen feedback at the highest forward rate than at the lowest",
                "Figure 7 (MNIST: 0.7 and 1.8 points)",
                best.isel(forward_rate=-1),
                than=best.isel(forward_rate=0),
                unit="percentage points",
            )
        )
    return found
