"""One style for all figures: sizes of a printed column, readable without colour."""

import contextlib
import itertools
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLUMN, PAGE = 3.4, 6.9  # inches
GREY = "0.72"

RC: Any = {
    "font.size": 8.0,
    "font.family": "sans-serif",
    "mathtext.fontset": "dejavusans",
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.fontsize": 7.0,
    "legend.title_fontsize": 7.0,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,  # text stays text
    "savefig.dpi": 220,
}

_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (1, 1.2)), (0, (7, 1.5, 1, 1.5, 1, 1.5)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


@contextlib.contextmanager
def style() -> Iterator[None]:
    """The style as a context, for figures that also draw with matplotlib itself; `save` and `subplots` enter it."""
    with matplotlib.rc_context(RC):
        yield


def subplots(
    rows: int = 1, columns: int = 1, *, width: float | str = "column", height: float | None = None, **kwargs: Any
) -> tuple[Figure, np.ndarray]:
    """A figure and its axes ``(rows, columns)``, always a two-dimensional array.

    Args:
        rows: Number of rows of panels.
        columns: Number of columns of panels.
        width: ``"column"`` (3.4 in), ``"page"`` (6.9 in), or inches.
        height: Inches; by default panels are three quarters as high as wide.
        **kwargs: Passed to `matplotlib.figure.Figure.subplots`, e.g. ``sharey``.
    """
    named = {"column": COLUMN, "page": PAGE}
    if isinstance(width, str) and width not in named:
        raise ValueError(f"width must be 'column', 'page' or a number of inches; got {width!r}")
    inches = named[width] if isinstance(width, str) else float(width)
    with style():
        figure = Figure(figsize=(inches, height or 0.75 * inches / columns * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, **kwargs)
        for ax in axes.flat:  # ticks are made when drawn, after the context is left: tell the axes now
            ax.tick_params(labelsize=RC["xtick.labelsize"], width=0.6, length=2.5)
    return figure, axes


def line_styles(n: int) -> list[dict[str, Any]]:
    """``n`` line styles that stay apart in grey: luminance rises, dashes and markers change.

    Returns:
        Keyword arguments for `Axes.plot`.
    """
    shades = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.75, max(n, 1)))
    return [
        {"color": tuple(shade), "linestyle": _DASHES[i % len(_DASHES)], "marker": _MARKERS[i % len(_MARKERS)]}
        for i, shade in enumerate(shades[:n])
    ]


def axis_label(data: Any) -> str:
    """Axis label of an `xarray.DataArray`: its ``long_name`` (else its name) with ``units`` in brackets."""
    name = str(data.attrs.get("long_name") or data.name or "").replace("_", " ")
    units = str(data.attrs.get("units") or "")
    return f"{name} ({units})" if units else name


def letter(axes: Iterable[Axes], titles: Iterable[str] = ()) -> None:
    """Letters the panels a, b, c, ... in the upper left corner outside the axes, and titles them if told to."""
    with style():
        for i, (ax, title) in enumerate(itertools.zip_longest(axes, titles)):
            if ax is None:
                raise ValueError(f"titles must not outnumber the {i} panels")
            ax.set_title(chr(ord("a") + i), loc="left", fontweight="bold", fontsize=9.0)
            if title:
                ax.set_title(title)


def panels(
    parts: Mapping[str, Any],
    drawn: Sequence[tuple[str, Callable[[Axes, Any], Any]]],
    *,
    rows: int,
    columns: int,
    height: float,
) -> Figure:
    """A lettered page of panels, each drawn from one part of a result; those of parts that are not there stay empty.

    Args:
        parts: the results of each part, by name.
        drawn: for every panel, row by row, the name of its part and ``draw(ax, part)``.
        rows: of panels.
        columns: of panels; rows times columns is the number of panels.
        height: of the page, in inches.
    """
    if len(drawn) != rows * columns:
        raise ValueError(f"drawn must hold {rows} x {columns} panels, got {len(drawn)}")
    with style():
        page, axes = subplots(rows, columns, width="page", height=height)
        for ax, (name, draw) in zip(axes.flat, drawn, strict=True):
            if name in parts:
                draw(ax, parts[name])
            else:
                ax.set_visible(False)
        letter(axes.flat)
    return page


def save(figure: Figure, path: str | pathlib.Path) -> None:
    """Writes a figure as PNG or PDF (by its ending) in the style, without the time of day in the file."""
    dated: dict[str, dict[str, Any]] = {".pdf": {"CreationDate": None}, ".png": {}}
    ending = pathlib.Path(path).suffix
    if ending not in dated:
        raise ValueError(f"path must end in .png or .pdf; got {str(path)!r}")
    with style():
        figure.savefig(path, format=ending[1:], metadata=dated[ending])
