r"""Counter-current learning without activations contracts to symmetric weights and backpropagation, if it starts small.

The two networks of counter-current learning (Kao & Hariharan, NeurIPS 2024) are trained with the identity for an
activation, by descent on the covariances of real images. The paper has no theory of this; all below is ours.

Run:  brainjax run counter_current/linear_theory [--variant=quick]
Cost: 3 min on 2 cores beside other work (quick: 16 s of a core).

**The problem.** With :math:`A_l = U_l \cdots U_1` and :math:`B_l = V_{l+1} \cdots V_L` the loss of level l, from
inputs (0) to outputs (L), is :math:`\tfrac{c_l}{2} \langle |P_l x - y|^2 \rangle`, :math:`P_l = B_l^\top A_l`. It
trains :math:`U_l` and :math:`V_{l+1}` only. So level 0 is least squares of y on x with coefficients :math:`B_1^\top
V_1^\top`, and every other is the same on :math:`a_{l-1}`, in two factors. With :math:`R_l = \Sigma_{yx} -
P_l\Sigma_{xx}`

.. math:: \dot U_l = c_l\, B_l R_l A_{l-1}^\top, \qquad \dot V_l^\top = c_{l-1}\, B_l R_{l-1} A_{l-1}^\top .

**Proved** (tests/credit/test_linear_theory.py; statements in `brainjax.credit.linear_flow`). For equal weights the
asymmetry :math:`D_l = U_l - V_l^\top` obeys :math:`\dot D_l = -c\,B_lB_l^\top D_l A_{l-1}\Sigma_{xx}A_{l-1}^\top` and
never grows; with :math:`D = 0` all levels are one deep linear network under backpropagation, with its bound on the
step; :math:`U_lU_l^\top - V_{l+1}V_{l+1}^\top` is conserved; at every fixed point all levels carry the same
predictor, that of least squares if :math:`B_1` has rank K. At depth 2 the hidden level is a two-layer network driven
by nobody, and the other two follow it in closed form.

**Predicted, and measured here.** (i) *Alignment.* D decays where it acts on something; the rest stays as it was
drawn. From small weights the K directions of a level that prototypes or activities reach are what is learned, with
the singular values :math:`s_k^{1/L}` of a balanced network for white inputs. So with the share :math:`f_l` of a layer
that stays, :math:`1 - K/d_1` in the first layer, :math:`1 - K/d_{L-1}` in the last, :math:`1 - K^2/d_{l-1}d_l`
between,

.. math:: \cos(U_l, V_l^\top) \approx \frac{S}{S + f_l |D_l(0)|^2 / 2}, \qquad S = \textstyle\sum_k s_k^{2/L} :

near 1 or near 0. In the last layer it is a lower bound: there D acts on the hidden directions that inputs reach by
chance too. (ii) *Order.* With fixed neighbours level l learns with the kernel :math:`B_l^\top B_l \otimes A_{l-1}^\top
A_{l-1} + B_{l+1}^\top B_{l+1} \otimes A_l^\top A_l`; that of the inputs has the second term only, that of the outputs
the first. So from large weights (lazy) the first hidden level is ahead of the inputs' and the last hidden one of the
outputs; small weights are bound to learn all levels together. (iii) *Angles.* Where weights align, the changes of the
forward weights are nearly those of backpropagation. (iv) *Modes.* At depth 2 each mode follows the closed form of
`brainjax.credit.linear_two_layer_levels`, with :math:`h_k = (U_1 z_k + V_2 q_k)/2`, :math:`p_0` the square of its part
orthogonal to those of the stronger modes, and :math:`d_1, d_2` the asymmetries along that.

Parts: ``scale`` of the initial weights, at several depths; ``spectrum``, from white inputs (exponent 0) to those of
the pixels (1) at equal canonical correlations; ``weights``, that of level 0 over the others' (the authors': 256/784),
for which contraction is not proved. Targets are scaled so that the first mode is 1. Weights are Gaussian of standard
deviation ``scale`` / sqrt(fan-in); what libraries draw has 0.577. The rate is half the inverse of a bound on the
curvature, at the start or at the end, so times compare within a run only.
"""

import functools
import itertools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from brainjax import claims as judge
from brainjax import credit, data
from brainjax.claims import Claim
from brainjax.core.draws import normal
from brainjax.core.record import scan_every
from brainjax.sweep import Axes, parts_of, product, seeds, setting, static, traced

if TYPE_CHECKING:  # what only the figure needs is imported when it is drawn
    import xarray as xr
    from matplotlib.figure import Figure

PAPER = "kao2024"
PRECISION = "float64"
DIMS = {
    "excess": ("level",),  # risk at the end above that of least squares, as a share of what least squares explains
    "time": ("level",),  # when the excess is first below ``learned``; the end of the run if never
    "alignment": ("layer",),  # cosine of U_l and the transpose of V_l at the end
    "predicted": ("layer",),  # the same from the formula, for white inputs
    "asymmetry": ("layer",),  # norm of D_l at the end over that at the start
    "angle": ("layer",),  # of the change of U_l to that of backpropagation when the outputs' excess is half, in degrees
    "law_error": (),  # largest error of the closed form for depth 2 over modes, levels and time, as a share of the mode
}
PARTS = ("scale", "spectrum", "weights")
AXES = {"scale": ("depth", "scale"), "spectrum": ("scale", "exponent"), "weights": ("scale", "weight")}
Layers = tuple[jax.Array, ...]
CLASSES, MOST = 10, 4  # layers at most
LIMITS = {"inputs": (CLASSES, 64), "width": (CLASSES, 4096), "depth": (2, MOST), "exponent": (0, 4)}
OURS, FOUND = "derived above", "fixed points proved; that descent finds them is measured"


def get_config(variant: str = "") -> ConfigDict:
    config = ConfigDict(
        {
            "seed": 0,
            "part": "scale",
            "parts": PARTS,
            "data": "fashion_mnist",
            "inputs": 32,  # principal components of the images
            "depth": 3,
            "width": 24,
            "scale": 0.1,
            "exponent": 0.0,
            "weight": 1.0,  # of level 0; the others have 1
            "learned": 0.2,
            "steps": 4000,
            "every": 4,
            "depths": (2, 3, 4),
            "scales": (0.1, 0.2, 0.577, 1.0, 2.0),
            "exponents": (0.0, 0.5, 1.0),
            "level_weights": (0.1, 0.3265, 1.0, 3.0, 10.0),
            "two_scales": (0.2, 0.577),  # in the parts other than ``scale``
            "seeds": 16,
        }
    )
    if variant == "quick":
        config.update({"data": "digits", "inputs": 16, "width": 16, "steps": 1000, "every": 4, "seeds": 8})
        config.update({"parts": ("scale",), "depths": (2,), "scales": (0.1, 0.577, 2.0)})
    elif variant:
        raise ValueError(f"variant: 'quick', got {variant!r}")
    return config.lock()


def check(config: ConfigDict) -> None:
    """Refuses values for which the experiment has no meaning."""
    if config.part not in PARTS or not set(config.parts) <= set(PARTS):
        raise ValueError(f"parts: must be among {', '.join(PARTS)}, got {config.parts} (part {config.part})")
    if config.data not in ("fashion_mnist", "digits"):
        raise ValueError(f"data: must be 'fashion_mnist' or 'digits', got {config.data!r}")
    for name, (least, most) in LIMITS.items():
        if not least <= config[name] <= most:
            raise ValueError(f"{name}: must be {least} to {most}, got {config[name]}")
    for name in ("scale", "weight", "learned"):
        if not config[name] > 0:
            raise ValueError(f"{name}: must be positive, got {config[name]}")


def sweep(config: ConfigDict) -> dict[str, Axes]:
    grids = {
        "scale": product(static(depth=config.depths), traced(scale=config.scales)),
        "spectrum": traced(scale=config.two_scales, exponent=config.exponents),
        "weights": traced(scale=config.two_scales, weight=config.level_weights),
    }
    return {part: product(static(part=[part]), grids[part], seeds(config.seeds)) for part in config.parts}


@functools.cache
def statistics(name: str, inputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Variances of the leading principal components, the first 1; covariance of class indicators and whitened ones."""
    read = data.load(name)
    x = read.images.reshape(len(read.images), -1) / read.white
    x = x - x.mean(0)
    variances, axes = np.linalg.eigh(x.T @ x / len(x))
    variances, axes = variances[::-1][:inputs], axes[:, ::-1][:, :inputs]
    sigma = np.eye(CLASSES)[read.labels].T @ (x @ axes / np.sqrt(variances)) / len(x)
    return variances / variances[0], sigma / np.linalg.norm(sigma, 2)


def run(key: jax.Array, config: Any) -> dict[str, jax.Array]:
    variances, white = statistics(config.data, config.inputs)
    depth, dtype = config.depth, jnp.result_type(float)
    root = jnp.asarray(variances, dtype) ** (0.5 * config.exponent)
    least_squares = jnp.asarray(white, dtype)  # of whitened inputs; that of the inputs has its columns over root
    task = {"sigma_yx": least_squares * root[None, :], "sigma_xx": jnp.diag(root**2)}
    weights = jnp.ones(depth + 1, dtype).at[0].set(config.weight)
    up, down = start(key, config, dtype)
    end = depth * jnp.max(weights)  # of balanced weights that have learned a first mode of 1
    rate = 0.5 / jnp.maximum(steepest(up, down, root, weights), end)

    def step(layers: tuple[Layers, Layers], _: Any) -> tuple[Layers, Layers]:
        change = credit.linear_flow(*layers, weights=weights, **task)
        return jax.tree.map(lambda w, c: w + rate * c, layers, change)

    left, values, right = np.linalg.svd(white, full_matrices=False)
    left, values, right = left[:, : CLASSES - 1], values[: CLASSES - 1], right[: CLASSES - 1]  # indicators add up to 1

    def observe(layers: tuple[Layers, Layers]) -> tuple[jax.Array, jax.Array, jax.Array]:
        levels = credit.linear_predictors(*layers) * root[None, None, :]
        error = jnp.sum((levels - least_squares[None]) ** 2, (1, 2)) / jnp.sum(least_squares**2)
        return error, jnp.einsum("ok,loi,ki->lk", left, levels, right), angles(*layers, task, weights)

    last, (excess, modes, turned) = scan_every(
        step, (up, down), steps=config.steps, every=config.every, observe=observe
    )
    before, after = (credit.linear_asymmetry(*layers) for layers in ((up, down), last))
    free = [1.0, *[CLASSES / config.width] * (depth - 1), 1.0]  # share of each level's directions that are learned
    stays = [1 - below * above for below, above in itertools.pairwise(free)]
    balanced = np.sum(values ** (2 / depth))
    half = jnp.ceil(reached(excess[:, -1], 0.5)).astype(jnp.int32)
    found = {
        "excess": excess[-1],
        "time": jax.vmap(reached, (1, None))(excess, config.learned) * (config.every * rate),
        "alignment": jnp.stack([cosine(u, v.T) for u, v in zip(*last, strict=True)]),
        "predicted": jnp.stack(
            [balanced / (balanced + 0.5 * f * jnp.sum(d**2)) for f, d in zip(stays, before, strict=True)]
        ),
        "asymmetry": jnp.stack([norm(d) / norm(e) for d, e in zip(after, before, strict=True)]),
        "angle": turned[half],
        "law_error": jnp.zeros((), dtype),
    }
    if depth == 2:
        updates = jnp.arange(0.0, config.steps + 1, config.every, dtype)[:, None]
        time = updates * (jnp.log1p(rate * values) / values)[None, :]  # an update multiplies a small mode by 1 + rate s
        law = two_layer_law(time, (left, values, right), up, down)
        found["law_error"] = jnp.max(jnp.abs(modes - law) / values[None, None])
    room = {name: MOST + dims.count("level") for name, dims in DIMS.items() if dims}  # zeros where there is no layer
    return {name: jnp.pad(x, (0, room[name] - x.size)) if name in room else x for name, x in found.items()}


def present(results: "xr.DataTree") -> "dict[str, xr.Dataset]":
    """The parts, with NaN for layers and levels that are not there."""
    found = parts_of(results, AXES)
    for name, part in found.items():
        depth = part.depth if "depth" in part.dims else setting(part, "depth")
        whole = part.assign_coords(layer=np.arange(MOST), level=np.arange(MOST + 1))
        for key, value in part.data_vars.items():
            if set(value.dims) & {"layer", "level"}:
                kept = whole.layer < depth if "layer" in value.dims else whole.level <= depth
                whole[key] = whole[key].where(kept)
        found[name] = whole
    return found


def start(key: jax.Array, config: Any, dtype: Any) -> tuple[Layers, Layers]:
    """Gaussian weights of both networks, drawn in one row."""
    widths = [config.inputs, *[config.width] * (config.depth - 1), CLASSES]
    shapes = list(itertools.pairwise(widths))
    sizes = [n * m for m, n in shapes]
    rows = jnp.split(config.scale * normal(key, (2 * sum(sizes),), dtype), np.cumsum(sizes * 2)[:-1])
    up = tuple(row.reshape(n, m) / m**0.5 for row, (m, n) in zip(rows[: config.depth], shapes, strict=True))
    down = tuple(row.reshape(m, n) / n**0.5 for row, (m, n) in zip(rows[config.depth :], shapes, strict=True))
    return up, down


def steepest(up: Any, down: Any, root: jax.Array, weights: jax.Array) -> jax.Array:
    """A bound on the curvature of all losses: of every layer's own part of it, in Frobenius norms, added up."""
    rising, falling = credit.linear_levels(up, down)
    inner = [norm(a @ (root[:, None] ** 2 * a.T)) for a in rising]
    outer = [norm(b.T @ b) for b in falling]
    return jnp.sum(jnp.stack([jnp.max(weights) * outer[l] * inner[l - 1] for l in range(1, len(inner))]))


def angles(up: Layers, down: Layers, task: dict[str, jax.Array], weights: jax.Array) -> jax.Array:
    """Of each forward layer's change to that by backpropagation of the outputs' loss, in degrees."""
    change, _ = credit.linear_flow(up, down, weights=weights, **task)
    exact, _ = credit.linear_flow(up, [u.T for u in up], **task)
    found = jnp.stack([cosine(*pair) for pair in zip(change, exact, strict=True)])
    return jnp.degrees(jnp.arccos(jnp.clip(found, -1, 1)))


def two_layer_law(time: jax.Array, task_modes: Any, up: Layers, down: Layers) -> jax.Array:
    """Strengths of the modes by the closed form, at times of their own: of shape (time, levels, modes)."""
    left, values, right = task_modes
    basis = (up[0] @ right.T + down[1] @ left).T / 2  # h of every mode, the strongest first
    for k in range(len(values)):  # made orthogonal to those before, in order
        ahead = (jnp.arange(len(values)) > k)[:, None]
        basis = basis - ahead * ((basis @ basis[k]) / jnp.sum(basis[k] ** 2))[:, None] * basis[k][None, :]
    p0 = jnp.sum(basis**2, 1)
    below, above = credit.linear_asymmetry(up, down)
    own = {"below": jnp.sum((basis @ below) * right, 1), "above": jnp.sum((basis @ above.T) * left.T, 1)}
    own = {name: (value / jnp.sqrt(p0))[None, :] for name, value in own.items()}
    found = credit.linear_two_layer_levels(time, s=values[None, :], p0=p0[None, :], **own)
    return jnp.swapaxes(found, 1, 2)


def reached(excess: jax.Array, level: Any) -> jax.Array:
    """When a curve of records is first below a level, interpolated, in records; the last one if it never is."""
    below = excess < level
    i = jnp.maximum(jnp.argmax(below), 1)
    part = jnp.clip((excess[i - 1] - level) / jnp.maximum(excess[i - 1] - excess[i], 1e-300), 0, 1)
    return jnp.where(below.any(), i - 1 + part, excess.shape[0] - 1.0)


def norm(x: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.sum(x**2))


def cosine(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.sum(a * b) / (norm(a) * norm(b))


def figure(results: "xr.DataTree") -> "Figure":
    """Alignment, order and angles by initial scale; the closed form; real spectra; unequal weights of the levels."""
    from brainjax import plots

    drawn: list[Any] = [("scale", draw) for draw in (draw_alignment, draw_order, draw_angle, draw_law)]
    drawn += [("spectrum", draw_spectrum), ("weights", draw_weights)]
    return plots.panels(present(results), drawn, rows=2, columns=3, height=4.4)


def draw_rows(ax: Any, x: str, rows: "xr.DataArray", along: str, **marks: Any) -> None:
    """One curve with intervals per layer, level or depth."""
    from brainjax import plots

    rows = rows.dropna(along, how="all")  # layers and levels that only deeper networks have
    values = rows[along].values + (along == "layer")  # layers count from 1
    for i, look in enumerate(plots.line_styles(len(values))):
        here = rows.isel({along: i}).transpose(x, "seed")
        plots.intervals(ax, rows[x], here, label=f"{along} {values[i]}", **{**look, **marks})
    ax.legend()


def scale_axis(ax: Any, data: "xr.Dataset") -> None:
    ax.set(xscale="log", xlabel="scale of initial weights")
    ax.set_xticks(data.scale.values, [f"{x:.2g}" for x in data.scale.values])
    ax.minorticks_off()


def draw_alignment(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    here = data.isel(depth=data.sizes["depth"] // 2)
    law = here.predicted.dropna("layer", how="all")
    for i, look in enumerate(plots.line_styles(law.sizes["layer"])):
        ax.plot(law.scale, law.isel(layer=i).mean("seed"), **{**look, "marker": "", "zorder": 0})
    ax.set(ylabel="cosine of U and V transposed", title=f"depth {int(here.depth)}; lines: predicted")
    scale_axis(ax, data)
    draw_rows(ax, "scale", here.alignment, "layer", linestyle="none")


def draw_order(ax: Any, data: "xr.Dataset") -> None:
    here = data.isel(depth=data.sizes["depth"] // 2)
    time = here.time.where(here.excess < setting(data, "learned"))
    ax.set(yscale="log", ylim=(0.7, 7), ylabel="time to learn / that of level 1", title=f"depth {int(here.depth)}")
    ax.set_yticks([1, 2, 4], ["1", "2", "4"])
    scale_axis(ax, data)
    draw_rows(ax, "scale", time / time.isel(level=1), "level")


def draw_angle(ax: Any, data: "xr.Dataset") -> None:
    ax.set(ylabel="angle to backprop (degrees)", title="when half is learned", ylim=(0, 100))
    ax.set_yticks([0, 30, 60, 90])
    scale_axis(ax, data)
    draw_rows(ax, "scale", but_last(data, "angle").mean("layer"), "depth")


def draw_law(ax: Any, data: "xr.Dataset") -> None:
    from brainjax import plots

    ax.set_visible(2 in data.depth.values)  # the closed form is for depth 2 only
    error = data.law_error.sel(depth=2, method="nearest").transpose("scale", "seed")
    plots.intervals(ax, data.scale, error, **plots.line_styles(1)[0])
    ax.set(yscale="log", ylabel="largest error / mode", title="closed form, depth 2")
    scale_axis(ax, data)


def draw_spectrum(ax: Any, data: "xr.Dataset") -> None:
    here = data.isel(scale=0)
    ax.set(xlabel="exponent of the spectrum (1: pixels)", title=f"scale {float(here.scale):g}")
    ax.set(ylabel="cosine of U and V transposed", xticks=data.exponent.values)
    draw_rows(ax, "exponent", here.alignment, "layer")


def draw_weights(ax: Any, data: "xr.Dataset") -> None:
    here = data.isel(scale=0)
    ax.axhline(1, color="black", linewidth=0.6, zorder=0)
    ax.set(xscale="log", xlabel="weight of level 0", title=f"scale {float(here.scale):g}")
    ax.set_ylabel("asymmetry, end / start")
    ax.set_xticks(data.weight.values, [f"{x:.2g}" for x in data.weight.values])
    ax.minorticks_off()
    draw_rows(ax, "weight", here.asymmetry, "layer")


def claims(results: "xr.DataTree") -> list[Claim]:
    judged = {"scale": scale_claims, "spectrum": spectrum_claims, "weights": weights_claims}
    return [claim for name, data in present(results).items() for claim in judged[name](data)]


def but_last(data: "xr.Dataset", name: str) -> "xr.DataArray":
    """All layers but the last of each depth."""
    return data[name].where(data.layer < data.depth - 1)


def scale_claims(data: "xr.Dataset") -> list[Claim]:
    """Over the scale of the initial weights, at every depth; white inputs, equal weights."""
    scales, default = np.sort(data.scale.values), data.sel(scale=0.577, method="nearest")
    small, large, usual = f"from scale {scales[0]:g}", f"from scale {scales[-1]:g}", float(default.scale)
    smallest, largest = data.sel(scale=scales[0]), data.sel(scale=scales[-1])
    each, unit = ("depth", "layer"), "over layers and depths"
    risk = default.excess.max(("depth", "level"))
    text = f"from scale {usual:g} every level ends within 1 % of least squares, at every depth"
    found = [judge.below("least squares", text, FOUND, risk, than=0.01, unit="excess risk, largest")]
    text, cosine = f"{small} the cosine of every layer with its feedback exceeds 0.9", smallest.alignment.min(each)
    found.append(judge.greater("small starts align", text, OURS, cosine, than=0.9, unit=f"cosine, least {unit}"))
    text, cosine = f"{large} it stays below 0.2 in all layers but the last", but_last(largest, "alignment").max(each)
    found.append(judge.below("large starts do not align", text, OURS, cosine, than=0.2, unit=f"cosine, largest {unit}"))
    miss = abs(but_last(data, "alignment") - data.predicted)
    for name, top, bound in (("small", 0.2, 0.05), ("any", scales[-1], 0.1)):
        worst = miss.sel(scale=scales[scales <= top])
        if worst.sizes["scale"]:
            text = f"up to scale {top:g} the formula gives the cosine of all layers but the last to {bound:g}"
            most = worst.max((*each, "scale"))
            found.append(judge.below(f"alignment, {name} start", text, OURS, most, than=bound, unit="error, largest"))
    last = (data.alignment - data.predicted).where(data.layer == data.depth - 1).max("layer")
    last = last.sel(scale=scales[scales <= usual]).min(("depth", "scale"))
    text = f"up to scale {usual:g} the last layer is better aligned than the formula says"
    found.append(judge.greater("a bound for the last layer", text, OURS, last, unit="cosine, least"))
    late = (smallest.time.max("level") / smallest.time.min("level") - 1).max("depth")
    text = f"{small} the slowest level takes less than 5 % longer than the fastest"
    found.append(judge.below("small starts learn together", text, OURS, late, than=0.05, unit="share of the time"))
    found.append(order_claim(data.sel(scale=1.0, method="nearest")))
    text = f"{small}, with half learned, the changes of all layers are within 45 degrees of backpropagation"
    turned = smallest.angle.max(each)
    found.append(judge.below("small starts follow it", text, OURS, turned, than=45.0, unit=f"degrees, largest {unit}"))
    text, turned = f"{large} those of all layers but the last are 60 degrees off", but_last(largest, "angle").min(each)
    unit = f"degrees, least {unit}"
    found.append(judge.greater("large starts do not follow it", text, OURS, turned, than=60.0, unit=unit))
    return found + (law_claims(data.law_error.sel(depth=2).sortby("scale")) if 2 in data.depth.values else [])


def order_claim(data: "xr.Dataset") -> Claim:
    """Ends after their neighbours; levels that are not done count with the length of the run."""
    last, before = (data.time.where(data.level == data.depth - back).max("level") for back in (0, 1))
    ahead = np.log2(np.minimum(data.time.isel(level=0) / data.time.isel(level=1), last / before)).min("depth")
    text = "the inputs' level learns after the first hidden one, and the outputs' after the last hidden one"
    return judge.greater(
        "ends come last", f"from scale {float(data.scale):g} {text}", OURS, ahead, unit="log2 of ratio"
    )


def law_claims(error: "xr.DataArray") -> list[Claim]:
    unit, first = "largest error, modes", float(error.scale[0])
    text = f"from scale {first:g} the modes of all three levels follow the closed form to a tenth of the mode"
    found = [judge.below("closed form", text, OURS, error.isel(scale=0), than=0.1, unit=unit)]
    levels = {f"{float(x):g}": error.sel(scale=x) for x in error.scale}
    if len(levels) > 1:
        text = "the error of the closed form grows with the initial weights"
        found.append(judge.increasing("closed form needs small starts", text, OURS, levels, unit=unit))
    return found


def spectrum_claims(data: "xr.Dataset") -> list[Claim]:
    """From white inputs to the covariance of pixels."""
    pixels, white = data.sel(exponent=1.0, method="nearest"), data.sel(exponent=0.0, method="nearest")
    risk, gain = pixels.excess.max(("level", "scale")), (pixels.alignment - white.alignment).min(("layer", "scale"))
    text = "with the covariance of pixels every level ends within 1 % of least squares, at both scales"
    found = [judge.below("least squares on pixels", text, FOUND, risk, than=0.01, unit="excess risk, largest")]
    text = "with the covariance of pixels every layer is better aligned than with white inputs, at both scales"
    return [*found, judge.greater("pixels align too", text, "our question", gain, unit="difference of cosines, least")]


def weights_claims(data: "xr.Dataset") -> list[Claim]:
    """Unequal weights of the levels, for which contraction is not proved."""
    authors, heavy, unit = data.sel(weight=0.3265, method="nearest"), data.isel(weight=-1), "end over start"
    text = f"with a weight of {float(authors.weight):.2g} at level 0 the asymmetry of every layer falls, at both scales"
    most = authors.asymmetry.max(("layer", "scale"))
    found = [judge.below("the authors' weights contract", text, "our question", most, than=1.0, unit=unit)]
    text = f"with one of {float(heavy.weight):g} that of the first layer grows, from scale {float(data.scale[0]):g}"
    first = heavy.asymmetry.isel(scale=0, layer=0)
    found.append(judge.greater("a heavy level does not", text, "our question", first, than=1.0, unit=unit))
    text, risk = (
        "with every weight all levels are within 1 % of least squares after as many updates",
        data.excess.max(("level", "scale", "weight")),
    )
    return [*found, judge.below("any weights", text, FOUND, risk, than=0.01, unit="excess risk, largest")]
