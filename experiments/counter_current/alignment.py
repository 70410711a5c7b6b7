r"""Counter-current learning aligns its two networks early, and learning the feedback adds to what frozen feedback does.

Weights and features of the forward and the feedback network of Fashion-MNIST while it is learned, with the authors'
settings (Kao & Hariharan, NeurIPS 2024, Figures 6 and 9), and the controls that a claim of alignment needs.

Run:  brainjax run counter_current/alignment [--variant=quick]
Cost: about 15 min on 2 cores by estimate, 31 measured beside other work (quick, on digits: 23 s of a core).

That weights align more than under backpropagation says little: backpropagation never trains the feedback network, so
its alignment cannot be expected to move. The arms here, on the same weights, batches and order for every seed:

* ``feedback_rate`` 1 and 0: both networks learn, or the feedback stays as it was drawn (*frozen*). What learning the
  feedback does is the difference between the two;
* ``shuffled`` 0 and 1: the labels of the training images as they are, or permuted once among all of them, so that
  images tell nothing about labels;
* the untrained networks: the first record;
* part ``backprop``: forward weights by backpropagation beside a feedback network that never learns.

Measures, after given numbers of updates and after epochs: cosine of every layer's weights with the feedback's,
transposed (Figure 9); linear CKA of levels of both networks (Figure 6), plain and debiased, where the feedback's
features of an image are the prototype of its class; the mean cosine of features with their class's prototype; the angle
of the counter-current update to that of backpropagation at the same weights; the local losses. The last two are
measured on training images with the labels that the arm learns from, everything else on test images with their true
labels. CKA is over a third before any training, and debiasing hardly lowers it: images of a class are alike, so the
inputs themselves have that similarity to the labels, whatever vectors stand for these. Only its growth says something.
"""

import itertools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from brainjax import claims as judge
from brainjax import credit, training
from brainjax.claims import Claim
from brainjax.core.similarity import cka_matrix
from brainjax.data import image_task
from brainjax.sweep import Axes, parts_of, product, seeds, setting, static, traced

if TYPE_CHECKING:  # what only the figure needs is imported when it is drawn
    import xarray as xr
    from matplotlib.figure import Figure

PAPER = "kao2024"
DIMS = {
    "updates": ("record",),  # how many had been done
    "accuracy": ("record",),  # on the test set
    "loss": ("record",),  # cross-entropy on the test set, nats
    "weights": ("record", "layer"),  # cos(U_l, V_l^T)
    "cka": ("record", "forward", "feedback"),  # (inputs, a_1 .. a_L) by (b_0 .. b_{L-1}, target)
    "debiased_cka": ("record", "forward", "feedback"),
    "features": ("record", "level"),  # cosine of a_l with the prototype of the class, l = 0 .. L - 1
    "angle": ("record", "layer"),  # degrees
    "local_loss": ("record", "level"),
}
PARTS = ("counter_current", "backprop")
AXES = {"counter_current": ("shuffled", "feedback_rate"), "backprop": ()}
ALIGNED = 0.25  # cosine of the top layer after one epoch: the bound stated beforehand
ARMS = {"learned": (0, 1), "frozen": (0, 0), "shuffled": (1, 1), "shuffled, frozen": (1, 0)}  # shuffled, feedback_rate


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict(
        {
            "seed": 0,
            "part": "counter_current",
            "parts": PARTS,
            "data": "fashion_mnist",
            "width": 256,
            "hidden": 5,
            "activation": "elu",
            "batch": 256,
            "held_out": 6000,  # of the training images, as in the authors' runs; not used
            "updates": (0, 20, 40, 80, 160),  # numbers of updates to look after
            "epochs": (1, 2, 5),  # and of epochs
            "forward_rate": 1.0,
            "feedback_rate": 1.0,
            "clip": 1.0,  # of each network's gradient, over its layers
            "shuffled": 0.0,  # 1: the labels of the training images are permuted
            "probes": 500,  # images that features and updates are measured on
            "feedback_rates": (1.0, 0.0),
            "seeds": 8,
        }
    )
    if variant == "quick":
        config.update({"parts": ("counter_current",), "data": "digits", "width": 32, "hidden": 2, "batch": 32})
        config.update({"held_out": 157, "updates": (0, 10, 20), "epochs": (1, 3), "probes": 100, "seeds": 6})
    elif variant:
        raise ValueError(f"variant: 'quick', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if config.part not in PARTS or not set(config.parts) <= set(PARTS):
        raise ValueError(f"parts: must be among {', '.join(PARTS)}, got {config.parts} (part {config.part})")
    if config.shuffled not in (0, 1):
        raise ValueError(f"shuffled: must be 0 or 1, got {config.shuffled}")
    if config.probes < 4:
        raise ValueError(f"probes: must be 4 or more, got {config.probes}")
    for name in ("forward_rate", "feedback_rate", "clip"):
        if not config[name] >= 0:
            raise ValueError(f"{name}: must be zero or more, got {config[name]}")


def sweep(config: ConfigDict) -> dict[str, Axes]:
    arms = {
        "counter_current": [traced(shuffled=(0.0, 1.0)), traced(feedback_rate=config.feedback_rates)],
        "backprop": [],
    }
    return {part: product(static(part=[part]), *arms[part], seeds(config.seeds)) for part in config.parts}


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    task = image_task(config.data)
    net = credit.mlp([task.size, *[config.width] * config.hidden, len(task.classes)], config.activation)
    optimiser = credit.sgd(1.0, clip=config.clip)
    counter_current = credit.make("counter_current", net, loss="mlp", forward=optimiser, feedback=optimiser)
    for_weights, for_rows, for_order, for_labels = jax.random.split(key, 4)
    start = counter_current.init(for_weights)
    drawn = start.params.feedback
    rates = {"forward_rate": config.forward_rate}
    if config.part == "backprop":
        rule = credit.make("backprop", net, forward=optimiser)
        start = start._replace(params=start.params._replace(feedback=()), feedback_memory=())
    else:
        rule, rates = counter_current, rates | {"feedback_rate": config.feedback_rate}
    rows, _ = training.split_rows(for_rows, task.images.shape[0], held_out=config.held_out)
    permuted = task.labels[training.random_order(for_labels, np.arange(task.labels.shape[0]))]
    labels = jnp.where(config.shuffled > 0, permuted, task.labels)

    def fetch(chosen: jax.Array) -> credit.Batch:
        return credit.Batch(task.inputs(task.images[chosen]), labels[chosen])

    trained_on = fetch(rows[: config.probes])
    seen, classes = task.inputs(task.test_images[: config.probes]), task.test_labels[: config.probes]

    def observe(state: credit.State) -> dict[str, jax.Array]:
        forward, feedback = state.forward, state.feedback or drawn
        test = training.evaluate(
            lambda images: rule.predict(forward, task.inputs(images)), task.test_images, task.test_labels
        )
        rising = credit.forward_activities(net, forward, seen)
        prototypes = credit.feedback_activities(net, feedback, jnp.eye(len(task.classes), dtype=seen.dtype))
        falling = [level[classes] for level in prototypes]
        both = credit.Params(forward, feedback, ())
        update = counter_current.grads(both, trained_on, key)
        exact = credit.make("backprop", net).grads(credit.Params(forward, (), ()), trained_on, key)
        return {
            "accuracy": test.accuracy,
            "loss": test.loss,
            "weights": credit.weight_alignment(forward, feedback),
            "cka": cka_matrix(rising, falling),
            "debiased_cka": cka_matrix(rising, falling, debiased=True),
            "features": jnp.stack(
                [credit.class_alignment(a, b, classes) for a, b in zip(rising[:-1], prototypes[:-1], strict=True)]
            ),
            "angle": credit.angles(update.forward, exact.forward),
            "local_loss": update.info.local,
        }

    times = moments(config, rows.shape[0])
    _, records = training.recorded_at(
        for_order,
        start,
        step=lambda state, batch, k: rule.step(state, batch, k, rates),
        fetch=fetch,
        rows=rows,
        batch_size=config.batch,
        moments=times,
        observe=observe,
    )
    return records | {"updates": jnp.asarray(times, jnp.int32)}


def moments(config: ConfigDict, rows: int) -> list[int]:
    """Numbers of updates after which the networks are looked at."""
    epoch = rows // config.batch
    times = [*config.updates, *(number * epoch for number in config.epochs)]
    if any(b <= a for a, b in itertools.pairwise(times)):
        raise ValueError(f"updates: must increase and end before the first epoch of {epoch} updates, got {times}")
    return times


def named(results: "xr.DataTree") -> dict[str, "xr.Dataset"]:
    """One result per arm, with the numbers of updates as coordinates of the records."""
    found, parts = {}, parts_of(results, AXES)
    for part, data in parts.items():
        data = data.assign_coords(
            record=data.updates.max([dim for dim in data.updates.dims if dim != "record"]).values,
            layer=1 + np.arange(data.sizes["layer"]),
            level=np.arange(data.sizes["level"]),
        )
        if part == "backprop":
            found[part] = data
            continue
        for name, (shuffled, rate) in ARMS.items():
            chosen = data.sel(shuffled=data.shuffled == shuffled, feedback_rate=(data.feedback_rate > 0) == (rate > 0))
            if chosen.sizes["shuffled"] and chosen.sizes["feedback_rate"]:
                found[name] = chosen.isel(shuffled=0, feedback_rate=0)
    return found


def after_epoch(arm: "xr.Dataset", number: int = 1) -> "xr.Dataset | None":
    epochs = setting(arm, "epochs")
    return arm.isel(record=len(setting(arm, "updates")) + epochs.index(number)) if number in epochs else None


def same_level(matrix: "xr.DataArray") -> "xr.DataArray":
    """Similarity of a_l and b_l for the hidden levels, l = 1 to L - 1, along a dimension ``level``."""
    import xarray as xr

    levels = xr.DataArray(np.arange(1, matrix.sizes["forward"] - 1), dims="level")
    return matrix.isel(forward=levels, feedback=levels).assign_coords(level=levels.values)


def figure(results: "xr.DataTree") -> "Figure":
    """Weights (top: over time, at the end by arm) and accuracy; below similarity of levels and angles of updates."""
    from brainjax import plots

    arms = named(results)
    with plots.style():
        page, axes = plots.subplots(2, 3, width="page", height=4.4)
        draw_course(axes[0, 0], arms)
        by_arm(axes[0, 1], arms, lambda data: data.weights, "layer", r"$\cos(U_l, V_l^\top)$ at the end")
        draw_accuracy(axes[0, 2], arms)
        draw_matrix(axes[1, 0], arms)
        by_arm(axes[1, 1], arms, lambda data: same_level(data.debiased_cka), "level", "debiased CKA of $a_l$ and $b_l$")
        first = next(iter(arms.values()))
        at = same_level(first.debiased_cka.isel(record=0)).mean("seed")
        axes[1, 1].plot(at.level, at, "_", color="black", markersize=11, label="untrained")
        by_arm(axes[1, 2], arms, lambda data: data.angle, "layer", "angle to backpropagation (°)")
        axes[1, 2].axhline(90, color="black", linewidth=0.6, linestyle=":")
        handles = [ax.get_legend_handles_labels() for ax in (axes[0, 1], axes[1, 1])]
        shown = {label: handle for pair in handles for handle, label in zip(*pair, strict=True)}
        page.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=len(shown))
        plots.letter(axes.flat)
    return page


def draw_course(ax: Any, arms: dict[str, "xr.Dataset"]) -> None:
    """Alignment of every layer's weights with its feedback in the arm where both learn."""
    from brainjax import plots

    if "learned" not in arms:
        ax.set_visible(False)
        return
    weights = arms["learned"].weights
    plots.curves(weights, "record", hue="layer", ax=ax, legend=False)
    ax.set(xlabel="updates", ylabel=r"$\cos(U_l, V_l^\top)$, both learn")
    over_updates(ax, weights.record.values)
    ax.legend(
        title="layer", loc=(0.44, 0.17), alignment="left", ncols=2, fontsize=6.5, handlelength=2.8, columnspacing=0.8
    )


def over_updates(ax: Any, at: np.ndarray) -> None:
    """A logarithmic axis of updates with room for zero."""
    ax.set_xscale("symlog", linthresh=max(1, int(at[1])), linscale=0.5)
    ticks = [int(at[0]), int(at[1]), int(at[-1])] + [t for t in (100, 1000) if at[1] < t < 0.7 * at[-1]]
    ax.set_xticks(sorted(ticks), [f"{t}" for t in sorted(ticks)])
    ax.minorticks_off()


def draw_accuracy(ax: Any, arms: dict[str, "xr.Dataset"]) -> None:
    from brainjax import plots

    for name, look in zip(shown_arms(arms), arm_styles(arms), strict=True):
        accuracy = 100 * arms[name].accuracy.transpose("record", "seed")
        plots.intervals(ax, accuracy.record.values, accuracy.values, label=name, elinewidth=0.8, **look)
        over_updates(ax, accuracy.record.values)
    ax.set(xlabel="updates", ylabel="test accuracy (%)")


def by_arm(ax: Any, arms: dict[str, "xr.Dataset"], measure: Any, axis: str, label: str) -> None:
    """A measure at the end, layer by layer, one marker per arm; bars: 95 % over seeds."""
    from brainjax import plots

    names = [name for name in shown_arms(arms) if name != "backprop" or "cos" in label]
    looks = arm_styles(arms)
    for i, (name, look) in enumerate(zip(names, looks, strict=False)):
        values = measure(arms[name].isel(record=-1)).transpose(axis, "seed")
        places = values[axis].values + 0.14 * (i - (len(names) - 1) / 2)
        plots.intervals(ax, places, values.values, label=name, elinewidth=0.8, **look | {"linestyle": "none"})
    ax.axhline(0, color="black", linewidth=0.6, zorder=0)
    ax.set(xlabel=f"{axis} $l$", ylabel=label, xticks=values[axis].values)


def shown_arms(arms: dict[str, "xr.Dataset"]) -> list[str]:
    return [name for name in ("learned", "frozen", "shuffled", "backprop") if name in arms]


def arm_styles(arms: dict[str, "xr.Dataset"]) -> list[dict[str, Any]]:
    from brainjax import plots

    return plots.line_styles(len(shown_arms(arms)))


def draw_matrix(ax: Any, arms: dict[str, "xr.Dataset"]) -> None:
    """How debiased CKA of all levels has grown by the end, where both networks learn."""
    if "learned" not in arms:
        ax.set_visible(False)
        return
    matrix = arms["learned"].debiased_cka
    grown = (matrix.isel(record=-1) - matrix.isel(record=0)).mean("seed").transpose("forward", "feedback").values
    top = len(grown) - 1
    ax.imshow(grown, cmap="Greys", aspect="auto", origin="lower", vmin=min(0.0, grown.min()), vmax=1.2 * grown.max())
    for i, j in np.ndindex(*grown.shape):
        dark = grown[i, j] > 0.6 * grown.max()
        ax.text(j, i, f"{grown[i, j]:.2f}", ha="center", va="center", fontsize=5.5, color="white" if dark else "black")
    ax.set_xticks(range(top + 1), [*(f"$b_{l}$" for l in range(top)), "target"], fontsize=6.5)
    ax.set_yticks(range(top + 1), ["input", *(f"$a_{l}$" for l in range(1, top + 1))], fontsize=6.5)
    ax.set_title("growth of debiased CKA")


def claims(results: "xr.DataTree") -> list[Claim]:
    arms, found = named(results), []
    if "learned" not in arms:
        return found
    early = after_epoch(arms["learned"])
    if early is not None:
        found.append(
            judge.greater(
                "the top layer aligns early",
                f"after one epoch the cosine of the top layer's weights with its feedback is above {ALIGNED:g}",
                "Figure 9; the authors' code gives .33 on these data",
                early.weights.isel(layer=-1),
                than=ALIGNED,
                unit="cosine",
            )
        )
    if "frozen" in arms:
        found += against_frozen(arms["learned"], arms["frozen"])
    found += on_levels(arms)
    return found


def against_frozen(both: "xr.Dataset", frozen: "xr.Dataset") -> list[Claim]:
    """What learning the feedback adds to a feedback network that stays as it was drawn."""
    end, control = both.isel(record=-1), frozen.isel(record=-1)
    found = [
        judge.greater(
            "learned beats frozen",
            "the network is more accurate at the end if its feedback learns than if it is frozen",
            "Figure 7",
            100 * end.accuracy,
            than=100 * control.accuracy,
            unit="percentage points",
        )
    ]
    layers = end.layer.values.tolist()
    found += [
        judge.greater(
            f"learning aligns layer {layer}",
            f"at the end, the weights of layer {layer} are aligned more with learned than with frozen feedback",
            "our control",
            end.weights.sel(layer=layer),
            than=control.weights.sel(layer=layer),
            confidence=1 - 0.05 / len(layers),
            unit="cosine",
            detail=f"Bonferroni over {len(layers)} layers",
        )
        for layer in layers
    ]
    found.append(
        judge.greater(
            "learning aligns features",
            "at the end, levels agree more (debiased CKA of a_l and b_l) with learned than with frozen feedback",
            "our control",
            same_level(end.debiased_cka).mean("level"),
            than=same_level(control.debiased_cka).mean("level"),
            unit="debiased CKA, mean over hidden levels",
        )
    )
    return found


def on_levels(arms: dict[str, "xr.Dataset"]) -> list[Claim]:
    """Orders of layers and levels, and networks that learned nothing."""
    end = arms["learned"].isel(record=-1)
    start = arms["learned"].isel(record=0)
    found, layers = [], end.sizes["layer"]
    if layers >= 6:
        found.append(
            judge.decreasing(
                "middle layers align in order",
                "at the end, the weights of layer 2 are aligned more than those of 3, and these more than those of 4",
                "Figure 9",
                {f"{layer}": end.weights.sel(layer=layer) for layer in (2, 3, 4)},
                unit="cosine",
            )
        )
    grown = end.debiased_cka - start.debiased_cka
    half = (layers + 1) // 2
    upper = grown.isel(forward=slice(half + 1, None), feedback=slice(0, half)).mean(("forward", "feedback"))
    lower = grown.isel(forward=slice(1, half + 1), feedback=slice(0, half)).mean(("forward", "feedback"))
    found += [
        judge.greater(
            "features agree more than untrained ones",
            "training makes levels agree: debiased CKA of a_l and b_l is above that of the untrained networks",
            "Figure 6; our control",
            same_level(end.debiased_cka).mean("level"),
            than=same_level(start.debiased_cka).mean("level"),
            unit="debiased CKA, mean over hidden levels",
        ),
        judge.greater(
            "upper levels gain most",
            "similarity with the lower half of the feedback levels grows more in the upper half of the forward levels",
            "Figure 6",
            upper,
            than=lower,
            unit="debiased CKA, mean over levels",
        ),
        judge.below(
            "updates descend",
            "at the end, updates of hidden layers are on average less than a right angle from backpropagation's",
            "our measure",
            end.angle.isel(layer=slice(0, -1)).mean("layer"),
            than=90,
            unit="degrees, mean over hidden layers",
        ),
    ]
    if "shuffled" in arms:
        control = arms["shuffled"].isel(record=-1)
        found += [
            judge.greater(
                "labels align weights",
                "the top layer's weights are aligned more with true than with permuted labels",
                "our control",
                end.weights.isel(layer=-1),
                than=control.weights.isel(layer=-1),
                unit="cosine",
            ),
            judge.greater(
                "labels align features",
                "levels agree more (debiased CKA of a_l and b_l) with true than with permuted labels",
                "our control",
                same_level(end.debiased_cka).mean("level"),
                than=same_level(control.debiased_cka).mean("level"),
                unit="debiased CKA, mean over hidden levels",
            ),
        ]
    return found
