"""Curves with intervals over seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brainjax.plots.style import axis_label, line_styles, style, subplots


def curves(
    data: xarray.DataArray,
    x: str,
    *,
    hue: str | None = None,
    over: str = "seed",
    band: str = "mean",
    confidence: float = 0.95,
    labels: Sequence[str] | None = None,
    legend: bool = True,
    ax: Axes | None = None,
    width: float | str = "column",
) -> Figure:
    r"""Curves of a result along ``x``, one per value of ``hue``, with a band over seeds.

    Axes are named by ``long_name`` and ``units`` of the data and its coordinate. Values that are not finite are left
    out of a point's centre and band, and their number is written into the panel.

    Args:
        data: Dimensions ``x``, optionally ``hue`` and ``over``, and no other.
        x: The dimension along the horizontal axis.
        hue: The dimension that distinguishes curves.
        over: The dimension of the seeds; without it in the data the curves have no band.
        band: ``"mean"``: mean and its Student interval, :math:`\bar y \pm t\, s/\sqrt n`, of level ``confidence``.
            ``"quantile"``: median, and the central range that holds ``confidence`` of the seeds.
        confidence: See ``band``.
        labels: Names of the curves instead of the values of ``hue``.
        legend: Whether to draw one.
        ax: Axes to draw into; by default a new figure.
        width: Of the new figure, see `subplots`.

    Returns:
        The figure.
    """
    if band not in ("mean", "quantile"):
        raise ValueError(f"band must be 'mean' or 'quantile'; got {band!r}")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1; got {confidence}")
    wanted = [x] if hue is None else [x, hue]
    missing = [d for d in wanted if d not in data.dims]
    extra = [str(d) for d in data.dims if d not in (*wanted, over)]
    if missing or extra:
        problem = f"lacks {', '.join(missing)}" if missing else f"also has {', '.join(extra)}: select or average first"
        raise ValueError(f"data has dimensions ({', '.join(map(str, data.dims))}), which {problem}")
    series = [data] if hue is None else [data.isel({hue: i}) for i in range(data.sizes[hue])]
    names = list(labels) if labels is not None else _names(data, hue, len(series))
    if len(names) != len(series):
        raise ValueError(f"labels must name {len(series)} curves; got {len(names)}")
    lost = int(np.sum(~np.isfinite(data.values)))
    with style():
        ax = ax if ax is not None else subplots(width=width)[1].item()
        assert isinstance(ax, Axes)
        at = np.asarray(data[x].values)
        for one, name, look in zip(series, names, line_styles(len(series)), strict=True):
            rows = one.transpose(over, x).values if over in one.dims else one.values[None]
            centre, low, high = _band(rows, band, confidence)
            if rows.shape[0] > 1:
                ax.fill_between(at, low, high, color=look["color"], alpha=0.25, linewidth=0)
            ax.plot(at, centre, markevery=max(1, len(at) // 10), label=name or None, **look)
        ax.set_xlabel(axis_label(data[x]))
        ax.set_ylabel(axis_label(data))
        if lost:
            note = f"{lost} of {data.size} values not finite"
            ax.text(1.0, 1.0, note, transform=ax.transAxes, ha="right", va="bottom", fontsize=6.5, style="italic")
        if legend and any(names):
            title = axis_label(data[hue]) if hue is not None and labels is None else None
            ax.legend(title=title, alignment="left")
    figure = ax.figure
    assert isinstance(figure, Figure)
    return figure


def intervals(ax: Axes, x: Any, samples: Any, *, confidence: float = 0.95, **look: Any) -> None:
    """Draws means over seeds with their Student intervals as error bars.

    Args:
        ax: Axes to draw into.
        x: Where, ``(x,)``.
        samples: Values of shape ``(x, seeds)``; those that are not finite are left out.
        confidence: Of the interval.
        **look: Passed to `Axes.errorbar`, such as one of `line_styles`.
    """
    rows = np.asarray(samples).T
    if rows.ndim != 2 or rows.shape[1] != np.size(x):
        raise ValueError(f"samples must have shape ({np.size(x)}, seeds), got {rows.T.shape}")
    centre, low, high = _band(rows, "mean", confidence)
    ax.errorbar(x, centre, [centre - low, high - centre], capsize=2, **look)


def beside(
    ax: Axes, groups: Mapping[str, Any], looks: Mapping[str, Mapping[str, Any]], *, first: int = 1, gap: float = 0.14
) -> None:
    """Draws several groups over the same places, such as layers, side by side at each; see `intervals`.

    Args:
        ax: Axes to draw into.
        groups: Values of shape ``(places, seeds)``, by name.
        looks: How each group looks, such as one of `line_styles`, by name; lines are left out.
        first: Number of the first place.
        gap: Between groups, in places.
    """
    for i, (name, samples) in enumerate(groups.items()):
        places = first + np.arange(np.shape(samples)[0])
        shift = gap * (i - (len(groups) - 1) / 2)
        intervals(ax, places + shift, samples, elinewidth=0.8, **{**looks[name], "linestyle": "none"})
        ax.set_xticks(places)


def _names(data: xarray.DataArray, hue: str | None, n: int) -> list[str]:
    if hue is None:
        return [""] * n
    return [f"{v:g}" if isinstance(v, int | float) else str(v) for v in data[hue].values.tolist()]


def _band(rows: np.ndarray, band: str, confidence: float) -> tuple[Any, Any, Any]:
    """Centre and ends over seeds of ``(seeds, x)``; ends are NaN where fewer than two seeds are finite."""
    rows = np.where(np.isfinite(rows), rows, np.nan).astype(np.float64)
    n = np.isfinite(rows).sum(axis=0)
    some = n > 0
    centre, low, high = (np.full(rows.shape[1], np.nan) for _ in range(3))
    if band == "quantile":
        tail = (1.0 - confidence) / 2.0
        centre[some] = np.nanmedian(rows[:, some], axis=0)
        low[n > 1], high[n > 1] = np.nanquantile(rows[:, n > 1], [tail, 1.0 - tail], axis=0)
        return centre, low, high
    from scipy.special import stdtrit

    centre[some] = np.nanmean(rows[:, some], axis=0)
    m = n[n > 1]
    half = stdtrit(m - 1, 0.5 + confidence / 2.0) * np.nanstd(rows[:, n > 1], axis=0, ddof=1) / np.sqrt(m)
    low[n > 1], high[n > 1] = centre[n > 1] - half, centre[n > 1] + half
    return centre, low, high
