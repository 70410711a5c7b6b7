r"""The skew that an early deficit leaves: weight decay locks it, label noise takes it apart, momentum ignores it.

Two pathways of equal initial weights learn the hierarchical task, one of them cut off from the gradient at the start
(Kleinman, Achille & Soatto, ICLR 2024, Figure 2, early window); then training goes on. Whether the skew lasts is not
in the paper. Every split of a mode's strength between the paths has the same loss, so what decides is what training
does beyond the loss.

Run:  brainjax run critical_periods/after_deficit [--variant=quick]
Cost: about 55 s on 2 cores (quick: 20 s).

The parts of the experiment, each with a grid of its own (times are in updates): ``decay``, and ``noise`` on the labels,
fresh in every update, both after the first ``steps``; ``momentum``, from the first update on, at a reduced rate.

**What theory predicts (derived by us).** Let layers be balanced, :math:`K = p^D`, and :math:`q = 2 - 2/D`.

*Weight decay* adds :math:`-\lambda p` to every layer: :math:`\dot K_a = D K_a^q\,\Omega - \lambda D K_a`. Along the
valley :math:`K_a + K_b \approx s` it leaves :math:`\Omega = \lambda s / \sum_b K_b^q`, so that the share
:math:`x = K_a/s` obeys

.. math:: \dot x = \lambda D \left[ \frac{x^q}{x^q + (1-x)^q} - x \right] .

For :math:`D > 2` the equal split is unstable, at rate :math:`(D - 2)\lambda` whatever s, and the winner takes all. For
:math:`D = 2` every split stays as it is, in discrete steps too, where both paths are multiplied by the same number.
(The penalty is :math:`\tfrac{\lambda}{2} D \sum_a K_a^{2/D}`, concave for :math:`D > 2`.)

*Label noise* of variance :math:`\sigma^2` and updates of rate :math:`\eta` lead on average down
:math:`\tfrac{\eta\sigma^2}{4} \mathrm{tr} H` along the valley :cite:`damian2021`, to leading order in :math:`\eta`;

.. math:: \mathrm{tr} H = \sum_a \sum_l |W_a^D \cdots W_a^{l+1}|_F^2 \; |W_a^{l-1} \cdots W_a^1|_F^2 .

With one input, one output and one mode that is :math:`\sum_a D K_a^q`: convex for :math:`D > 2`, where the equal split
is the flattest, and constant for :math:`D = 2`. So noise undoes what decay locks, and neither acts at depth 2. With
several modes, cross terms (:math:`K_{ai}^{2/3} K_{aj}^{2/3}` at depth 3) also favour *different modes in different
paths*, and nothing stops the drift at equal halves. ``predicted`` is gradient descent on loss, decay and flatness in
networks that stay diagonal; for decay that is what the networks themselves do.

*Momentum* changes the speed, not the clock :math:`\int \Omega\,\mathrm dt` that decides the split: at a rate of
:math:`(1 - \beta)\eta` it should change little (at the start it takes some :math:`1/(1 - \beta)` updates to get going,
which takes a little off an early window).

Networks are as wide as there are modes. In linear paths that start decoupled, more units would change nothing, with
decay and noise too: they see no input and drive no output.
"""

import json
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from brainjax import claims as judge
from brainjax import linear, tasks
from brainjax.claims import Claim
from brainjax.core.draws import normal
from brainjax.core.record import scan_every
from brainjax.sweep import Axes, parts_of, product, seeds, static, traced

if TYPE_CHECKING:  # what only the figure needs is imported when it is drawn
    import xarray as xr
    from matplotlib.figure import Figure

PAPER = "kleinman2024"
DIMS = {
    "share": ("record", "mode"),  # of the free path, from the first ``steps`` on
    "predicted": ("record", "mode"),  # the same by gradient descent in mode space on loss, decay and flatness
    "loss": ("record",),  # of the network, as a fraction of that of silence
}
PARTS = ("decay", "noise", "momentum")
AXES = {name: ("depth", name) for name in PARTS}
BOUND = 0.01  # of share: what we call no effect
CLOSE = 0.05  # of share: what we call a good prediction


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict(
        {
            "seed": 0,
            "part": "decay",
            "parts": PARTS,
            "depth": 4,
            "onset": 0.0,  # of the window, in updates
            "duration": 150.0,
            "decay": 0.0,  # lambda
            "noise": 0.0,  # standard deviation on every target
            "momentum": 0.0,
            "rate": 0.01,
            "steps": 1000,  # with the window
            "after": 10000,  # updates that follow
            "every": 500,
            "width": 8,
            "start": {"strength": 0.01, "spread": 0.1, "units": 100},
            "depths": (2, 3, 4),
            "decays": (0.0, 0.003, 0.01),
            "noises": (0.0, 0.3, 0.6),
            "momenta": (0.0, 0.9),
            "seeds": 32,
        }
    )
    if variant == "quick":
        config.update({"after": 2000, "every": 100, "depths": (3,), "seeds": 8})
        config.update({"decays": (0.0, 0.03), "noises": (0.0, 1.4)})
    elif variant:
        raise ValueError(f"variant: 'quick', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if config.part not in PARTS or not set(config.parts) <= set(PARTS):
        raise ValueError(f"parts: must be among {', '.join(PARTS)}, got {config.parts} (part {config.part})")
    if config.depth not in range(2, 7):
        raise ValueError(f"depth: must be 2 to 6, got {config.depth}")
    if not 8 <= config.width <= config.start.units:
        raise ValueError(f"width: must be 8 (modes) to {config.start.units} (start.units), got {config.width}")
    for name in ("onset", "duration", "decay", "noise"):
        if not config[name] >= 0:
            raise ValueError(f"{name}: must be zero or more, got {config[name]}")
    if not 0 <= config.momentum < 1:
        raise ValueError(f"momentum: must lie in [0, 1), got {config.momentum}")


def sweep(config: ConfigDict) -> dict[str, Axes]:
    levels = {"decay": config.decays, "noise": config.noises, "momentum": config.momenta}
    return {
        part: product(
            static(part=[part]), static(depth=config.depths), traced(**{part: levels[part]}), seeds(config.seeds)
        )
        for part in config.parts
    }


def run(key: jax.Array, config: ConfigDict) -> dict[str, jax.Array]:
    task, depth, rate = tasks.hierarchical_task(), config.depth, config.rate
    start_key, noise_key = jax.random.split(key)
    first, then = {}, {}  # what is added to gradient descent in the two phases
    if config.part == "decay":
        then = {"transform": optax.add_decayed_weights(config.decay)}
    elif config.part == "noise":
        then = {"disturb": fresh_noise}
    else:
        rate = config.rate * (1 - config.momentum)
        first = then = {"transform": optax.trace(config.momentum)}
    own = config.start
    drawn = own.strength * (1 + own.spread * jax.random.normal(start_key, (own.units,)))
    p0 = jnp.sort(drawn)[::-1][:8] ** (1 / depth)  # the largest go to the modes
    layers = linear.decoupled_layers(jnp.tile(p0, (depth, 1)), left=task.left, right=task.right, width=config.width)
    skewed = linear.descend(
        [layers, layers],
        sigma_yx=task.sigma_yx,
        rate=rate,
        steps=config.steps,
        windows=linear.windows(config.onset * rate, (config.onset + config.duration) * rate, [1.0, 0.0]),
        **first,
    )

    def observe(paths: Any, _: Any) -> tuple[jax.Array, jax.Array]:
        maps = linear.path_maps(paths)
        seen = jax.vmap(lambda omega: linear.project(omega, left=task.left, right=task.right).strength)(maps)
        return seen, jnp.sum((task.outputs - maps.sum(0)) ** 2) / jnp.sum(task.outputs**2)

    later = linear.descend(
        skewed.paths,
        sigma_yx=task.sigma_yx,
        rate=rate,
        steps=config.after,
        every=config.every,
        observe=observe,
        context=(noise_key, config.noise),
        **then,
    )
    strength, loss = later.records
    found = {"share": strength[:, 0] / strength.sum(1), "loss": loss}
    if config.part != "momentum":
        predicted = valley_flow(linear.small_layer(strength[0], depth=depth), config)
        found["predicted"] = predicted[:, 0] / predicted.sum(1)
    return found


def fresh_noise(update: jax.Array, context: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Noise on the targets of one update; the inputs are one-hot."""
    key, size = context
    return size * normal(jax.random.fold_in(key, update), (15, 8))


def valley_flow(layer: jax.Array, config: ConfigDict) -> jax.Array:
    r"""Gradient descent on loss, decay and :math:`\tfrac{\eta\sigma^2}{4}\mathrm{tr} H` of layers that stay diagonal.

    Args:
        layer: the common diagonal of all layers at the start, of shape (paths, modes).
        config: depth, rate, decay, noise, and how long.

    Returns:
        Strengths, of shape (records, paths, modes).
    """
    s = tasks.hierarchical_task().singular_values

    def potential(diagonals: jax.Array) -> jax.Array:
        missing = s - jnp.prod(diagonals, 0).sum(0)
        learning = 0.5 * jnp.sum(missing**2) + 0.5 * config.decay * jnp.sum(diagonals**2)
        return learning + 0.25 * config.rate * config.noise**2 * flatness(diagonals)

    def step(diagonals: jax.Array, _: jax.Array) -> jax.Array:
        return diagonals - config.rate * jax.grad(potential)(diagonals)

    def observe(diagonals: jax.Array) -> jax.Array:
        return jnp.prod(diagonals, 0)

    first = jnp.broadcast_to(layer[None], (config.depth, *layer.shape))
    return scan_every(step, first, steps=config.after, every=config.every, observe=observe)[1]


def flatness(diagonals: jax.Array) -> jax.Array:
    """Trace of the loss's Hessian where the loss is zero, for diagonals of all layers, (depth, paths, modes)."""
    squares, depth = diagonals**2, diagonals.shape[0]
    outputs, inputs = 15.0, 8.0
    total = jnp.zeros((), diagonals.dtype)
    for l in range(depth):
        above = outputs if l == depth - 1 else jnp.prod(squares[l + 1 :], 0).sum(-1)
        below = inputs if l == 0 else jnp.prod(squares[:l], 0).sum(-1)
        total += jnp.sum(above * below)
    return total


def figure(results: "xr.DataTree") -> "Figure":
    """Drift of the split in each treatment by depth (top), and where each mode ends in the deepest networks."""
    from brainjax import plots

    parts = parts_of(results, AXES)
    titles = {"decay": "weight decay", "noise": "label noise", "momentum": "momentum"}
    with plots.style():
        page, axes = plots.subplots(2, len(parts), width="page", height=4.2)
        for (above, below), (name, data) in zip(axes.T, parts.items(), strict=True):
            draw_drift(above, data, name, titles[name])
            draw_modes(below, data, name)
        for ax in axes.flat:
            if ax.get_subplotspec().colspan.start:
                ax.set_ylabel("")
        axes[0, 0].plot([], [], color="black", linestyle=":", label="mode theory")
        axes[0, 0].legend(title="depth", alignment="left", loc="lower right")
    return page


def draw_drift(ax: Any, data: "xr.Dataset", treatment: str, title: str) -> None:
    """The finest modes' share while training goes on, by depth, at the strongest setting; dotted: mode theory."""
    from brainjax import plots

    own = json.loads(data.attrs["config"])
    here = data.isel({treatment: -1})
    time = (own["steps"] + np.arange(data.sizes["record"]) * own["every"]) / 1000
    finest = here.isel(mode=slice(4, None)).mean("mode").assign_coords(record=time)
    share = finest.share
    share["record"].attrs.update(long_name="update", units="thousands")
    share.attrs["long_name"] = "share of the free path, modes 5–8"
    plots.curves(share, "record", hue="depth", ax=ax, legend=False)
    for depth in data.depth.values if "predicted" in data else ():
        theory = finest.predicted.sel(depth=depth).mean("seed")
        ax.plot(time, theory, color="black", linestyle=":", linewidth=1.0, zorder=5)
    ax.set_title(f"{title} {float(here[treatment]):g}")
    limit(ax, treatment)


def draw_modes(ax: Any, data: "xr.Dataset", treatment: str) -> None:
    """Where the treatments have brought each mode of the deepest networks; crosses: mode theory."""
    from brainjax import plots

    here = data.isel(depth=-1, record=-1).assign_coords(mode=np.arange(1, 9))
    share = here.share
    share["mode"].attrs["long_name"] = "mode"
    share.attrs["long_name"] = "final share of the free path"
    plots.curves(share, "mode", hue=treatment, ax=ax, legend=False)
    if "predicted" in data:
        theory = here.predicted.mean("seed").transpose("mode", treatment)
        ax.plot(here.mode, theory, "x", color="black", markersize=4, zorder=5)
    ax.legend(title=treatment, alignment="left", loc="lower left", handlelength=1.6)
    ax.set(title=f"depth {int(here.depth)}", xticks=range(1, 9))
    limit(ax, treatment)


def limit(ax: Any, treatment: str) -> None:
    """Noise needs the whole range of shares; the others show the winner's side only."""
    ax.set_ylim(*((0, 1.03) if treatment == "noise" else (0.855, 1.005)))
    if treatment == "noise":
        ax.axhline(0.5, color="black", linewidth=0.6, zorder=0)


def claims(results: "xr.DataTree") -> list[Claim]:
    judged = {"decay": decay_claims, "noise": noise_claims, "momentum": momentum_claims}
    return [claim for name, data in parts_of(results, AXES).items() for claim in judged[name](data)]


def drift(data: "xr.Dataset") -> "xr.DataArray":
    """How far the free path's share, mean over modes, has moved since training went on."""
    share = data.share.mean("mode")
    return share.isel(record=-1) - share.isel(record=0)


def decay_claims(data: "xr.Dataset") -> list[Claim]:
    """Weight decay after the window."""
    found = []
    moved = drift(data)
    if float(data.decay[0]) == 0:
        found.append(
            judge.below(
                "going on undoes nothing",
                f"without any treatment, training on moves the split by less than {BOUND:g}, at every depth",
                "our control",
                abs(moved.isel(decay=0)).max("depth"),
                than=BOUND,
                unit="share, most over depths",
            )
        )
    deep = moved.sel(depth=data.depth > 2)
    if deep.sizes["depth"] and data.sizes["decay"] > 1:
        levels = {f"{value:g}": deep.sel(decay=value).min("depth") for value in data.decay.values}
        found.append(
            judge.increasing(
                "decay locks",
                "beyond depth 2, weight decay moves the split further towards the winner, the more the stronger it is",
                "our control; sign derived above",
                levels,
                unit="share, least over depths",
            )
        )
    return found


def noise_claims(data: "xr.Dataset") -> list[Claim]:
    """Noise on the labels after the window."""
    found = []
    moved = drift(data)
    if data.sizes["noise"] < 2:
        return found
    strongest = data.isel(noise=-1)
    deep = data.depth > 2
    if 2 in data.depth.values:
        found.append(
            judge.below(
                "noise is neutral at depth 2",
                f"at depth 2, label noise moves no mode's split by {BOUND:g}",
                "our control; derived above to second order",
                abs(strongest.share.isel(record=-1) - strongest.share.isel(record=0)).sel(depth=2).max("mode"),
                than=BOUND,
                unit="share, most over modes",
            )
        )
    if not deep.any():
        return found
    found += [
        judge.decreasing(
            "noise unlocks",
            "beyond depth 2, label noise moves the split back towards the deprived path, the more the stronger it is",
            "our control; sign derived above",
            {f"{value:g}": moved.sel(depth=deep, noise=value).max("depth") for value in data.noise.values},
            unit="share, most over depths",
        ),
        judge.below(
            "noise overshoots",
            "beyond depth 2, strong label noise gives the deprived path most of the finest modes: no return to halves",
            "our control; derived above, sought after a pilot of 8 seeds",
            strongest.share.isel(record=-1, mode=slice(4, None)).mean("mode").sel(depth=deep).max("depth"),
            than=0.5,
            unit="share of the free path, most over depths",
        ),
        judge.below(
            "noise follows the flatness",
            "the valley flow on the trace of the Hessian predicts the final split at every depth and noise to 0.05",
            "our control; derived above",
            abs(data.share - data.predicted).isel(record=-1).mean("mode").max(("depth", "noise")),
            than=CLOSE,
            unit="share, mean over modes, most over depths and noises",
        ),
    ]
    return found


def momentum_claims(data: "xr.Dataset") -> list[Claim]:
    """Momentum from the first update on, at an equal effective rate."""
    if data.sizes["momentum"] < 2 or float(data.momentum[0]) != 0:
        return []
    after = data.share.isel(record=0).mean("mode")
    moved = drift(data).isel(momentum=-1)
    return [
        judge.below(
            "momentum: same window",
            f"with momentum at an equal effective rate, an early window skews the split as much, to {BOUND:g}",
            "our control",
            abs(after.isel(momentum=-1) - after.isel(momentum=0)).max("depth"),
            than=BOUND,
            unit="share, mean over modes, most over depths",
        ),
        judge.below(
            "momentum undoes nothing",
            f"with momentum, training on moves the split by less than {BOUND:g}, at every depth",
            "our control",
            abs(moved).max("depth"),
            than=BOUND,
            unit="share, most over depths",
        ),
    ]
