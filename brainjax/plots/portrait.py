"""Phase portraits of two competing quantities."""

from typing import Any

import numpy as np
import xarray
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from brainjax.plots.style import GREY, axis_label, line_styles, style, subplots


def portrait(
    x: Any,
    y: Any,
    dx: Any,
    dy: Any,
    *,
    paths: xarray.DataArray | None = None,
    along: str = "step",
    path: str = "path",
    hue: str | None = None,
    labels: list[str] | None = None,
    fixed: tuple[ArrayLike, ArrayLike] | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    legend: bool = True,
    ax: Axes | None = None,
    width: float | str = "column",
) -> Figure:
    """Streamlines of a planar field, trajectories over them, and the line of fixed points.

    Args:
        x: Evenly spaced grid ``(nx,)``.
        y: Evenly spaced grid ``(ny,)``.
        dx: Velocity along x, ``(ny, nx)``.
        dy: Velocity along y, ``(ny, nx)``.
        paths: Trajectories: dimension ``path`` of size 2 (x, then y), ``along``, optionally ``hue``; any other
            dimension (seeds) gives further thin lines of the same look. Ends are marked.
        along: The dimension of time.
        path: The dimension of the two coordinates.
        hue: The dimension that distinguishes kinds of trajectories.
        labels: Their names instead of the values of ``hue``.
        fixed: ``(xs, ys)`` of the fixed-point line.
        xlabel: Name of the horizontal axis; by default from the coordinate of ``path``.
        ylabel: Name of the vertical axis, likewise.
        legend: Whether to draw one.
        ax: Axes to draw into; by default a new square figure.
        width: Of the new figure, see `subplots`.

    Returns:
        The figure.
    """
    xs, ys, u, v = (np.asarray(a, dtype=np.float64) for a in (x, y, dx, dy))
    if xs.ndim != 1 or ys.ndim != 1 or u.shape != (ys.size, xs.size) or v.shape != u.shape:
        got = f"{u.shape}, {v.shape}, {xs.shape}, {ys.shape}"
        raise ValueError(f"dx and dy must have shape (ny, nx) for x (nx,) and y (ny,); got {got}")
    with style():
        if ax is None:
            inches = {"column": 3.4, "page": 6.9}.get(width, width) if isinstance(width, str) else width
            ax = subplots(width=width, height=float(inches) * 0.95)[1].item()
        assert isinstance(ax, Axes)
        stream = {"color": GREY, "linewidth": 0.45, "arrowsize": 0.5, "density": 0.9, "zorder": 1}
        ax.streamplot(xs, ys, u, v, **stream)
        if fixed is not None:
            ax.plot(*fixed, color="black", linewidth=1.0, linestyle=(0, (4, 2)), label="fixed points", zorder=2)
        if paths is not None:
            _draw(ax, paths, along, path, hue, labels)
            names = [str(n) for n in paths[path].values] if path in paths.coords else ["x", "y"]
            quantity = axis_label(paths)
            xlabel = xlabel or f"{quantity}, path {names[0]}".lstrip(", ")
            ylabel = ylabel or f"{quantity}, path {names[1]}".lstrip(", ")
        ax.set(xlim=(xs[0], xs[-1]), ylim=(ys[0], ys[-1]), xlabel=xlabel or "", ylabel=ylabel or "")
        ax.set_aspect("equal")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        if legend and ax.get_legend_handles_labels()[1]:
            ax.legend(frameon=True, framealpha=0.9, edgecolor="none", borderpad=0.3)
    figure = ax.figure
    assert isinstance(figure, Figure)
    return figure


def _draw(ax: Axes, paths: xarray.DataArray, along: str, path: str, hue: str | None, labels: list[str] | None) -> None:
    missing = [d for d in (along, path, *([hue] if hue else [])) if d not in paths.dims]
    if missing or paths.sizes[path] != 2:
        raise ValueError(
            f"paths must have dimensions {along}, {path} (of size 2)"
            f"{', ' + hue if hue else ''}; got {dict(paths.sizes)}".replace("'", "")
        )
    kinds = [paths] if hue is None else [paths.isel({hue: i}) for i in range(paths.sizes[hue])]
    names = labels or ([""] if hue is None else [str(v) for v in paths[hue].values.tolist()])
    if len(names) != len(kinds):
        raise ValueError(f"labels must name {len(kinds)} kinds of trajectories; got {len(names)}")
    for kind, name, look in zip(kinds, names, line_styles(len(kinds)), strict=True):
        lines = kind.transpose(..., along, path).values.reshape(-1, paths.sizes[along], 2)
        many = len(lines) > 4
        for i, line in enumerate(lines):
            ax.plot(
                line[:, 0],
                line[:, 1],
                color=look["color"],
                linestyle="-" if many else look["linestyle"],
                linewidth=0.5 if many else 1.3,
                alpha=0.7 if many else 1.0,
                zorder=3,
            )
            label = name if i == 0 and name else None
            ax.plot(*line[-1], color=look["color"], marker=look["marker"], linestyle="none", zorder=4, label=label)
