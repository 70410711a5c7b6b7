"""Figures: what they draw is what the data say, they need no screen and no colour, and bad input is one line."""

import itertools
import subprocess
import sys
import threading

import matplotlib
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgb
from scipy import stats

from brainjax import plots

RNG = np.random.default_rng(0)


def data(seeds=12, hues=3, n=9):
    onset = np.linspace(0.0, 8.0, n)
    values = np.tanh(onset)[:, None, None] * np.arange(1, hues + 1)[None, :, None]
    coords = {"onset": ("onset", onset, {"long_name": "onset", "units": "learning times"}), "depth": [2, 3, 5][:hues]}
    return xr.DataArray(
        values + RNG.normal(0, 0.1, (n, hues, seeds)),
        dims=("onset", "depth", "seed"),
        coords=coords,
        name="strength",
        attrs={"long_name": "strength", "units": "of s"},
    )


def band_ends(figure):
    vertices = figure.axes[0].collections[0].get_paths()[0].vertices
    xs = np.unique(vertices[:, 0])
    return np.array([[vertices[vertices[:, 0] == x, 1].min(), vertices[vertices[:, 0] == x, 1].max()] for x in xs])


def test_the_band_is_the_student_interval_of_each_point():
    one = data(hues=1).isel(depth=0)
    figure = plots.curves(one, "onset")
    expected = [stats.ttest_1samp(one.values[i], 0.0).confidence_interval(0.95) for i in range(9)]
    np.testing.assert_allclose(band_ends(figure), np.array(expected), rtol=1e-9)
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), one.mean("seed").values)


def test_the_quantile_band_holds_the_seeds_it_says():
    one = data(seeds=200, hues=1).isel(depth=0)
    figure = plots.curves(one, "onset", band="quantile", confidence=0.8)
    np.testing.assert_allclose(band_ends(figure), np.quantile(one.values, [0.1, 0.9], axis=1).T)
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), one.median("seed").values)


def test_axes_are_named_with_units_and_curves_by_their_value():
    ax = plots.curves(data(), "onset", hue="depth").axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("onset (learning times)", "strength (of s)")
    legend = ax.get_legend()
    assert legend.get_title().get_text() == "depth"
    assert [t.get_text() for t in legend.get_texts()] == ["2", "3", "5"]


def test_values_that_are_not_finite_are_left_out_and_counted():
    one = data(hues=1).isel(depth=0)
    one[2, 4], one[2, 5] = np.nan, np.inf
    one[5, :] = np.nan
    figure = plots.curves(one, "onset")
    ax = figure.axes[0]
    centre = ax.lines[0].get_ydata()
    np.testing.assert_allclose(centre[2], np.delete(one.values[2], [4, 5]).mean())
    assert np.isnan(centre[5])
    assert any("14 of 108 values not finite" in text.get_text() for text in ax.texts)


def test_without_seeds_there_is_no_band():
    assert not plots.curves(data().isel(seed=0), "onset", hue="depth").axes[0].collections


def test_panels_of_parts_that_were_not_run_stay_empty():
    seen = []
    drawn = [(name, lambda ax, part: seen.append((ax, part))) for name in ("first", "second", "first")]
    page = plots.panels({"first": 1}, drawn, rows=1, columns=3, height=2.0)
    assert seen == [(page.axes[0], 1), (page.axes[2], 1)]
    assert [ax.get_visible() for ax in page.axes] == [True, False, True]
    assert [ax.get_title(loc="left") for ax in page.axes] == ["a", "b", "c"]
    with pytest.raises(ValueError, match="drawn must hold 1 x 2 panels, got 3"):
        plots.panels({}, drawn, rows=1, columns=2, height=2.0)


def luminance(colour):
    return float(np.dot(to_rgb(colour), [0.2126, 0.7152, 0.0722]))


def test_curves_stay_apart_in_grey():
    looks = plots.line_styles(5)
    shades = [luminance(look["color"]) for look in looks]
    assert all(b - a > 0.04 for a, b in itertools.pairwise(shades))
    assert shades[-1] < 0.7  # still visible on white
    assert len({(str(look["linestyle"]), look["marker"]) for look in looks}) == 5


def test_text_is_legible_at_column_width(tmp_path):
    figure = plots.curves(data(), "onset", hue="depth")
    assert figure.get_size_inches()[0] == plots.COLUMN
    plots.save(figure, tmp_path / "f.png")
    ax = figure.axes[0]
    labels = [ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels(), *ax.get_legend().get_texts()]
    assert min(label.get_fontsize() for label in labels) >= 6.5


def test_the_style_leaves_matplotlib_as_it_was_and_pyplot_alone(tmp_path):
    before = dict(matplotlib.rcParams)
    plots.save(plots.curves(data(), "onset", hue="depth"), tmp_path / "f.pdf")
    assert dict(matplotlib.rcParams) == before
    code = "import sys, brainjax.plots; print('matplotlib.pyplot' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert out.stdout.strip() == "False"


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    for name in ("a.png", "b.png", "a.pdf", "b.pdf"):
        plots.save(plots.curves(data().isel(seed=0).copy(data=np.ones((9, 3))), "onset", hue="depth"), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


def test_a_figure_can_be_drawn_outside_the_main_thread(tmp_path):
    def draw():
        plots.save(plots.curves(data(), "onset", hue="depth"), tmp_path / "thread.png")

    thread = threading.Thread(target=draw)
    thread.start()
    thread.join(60)
    assert (tmp_path / "thread.png").stat().st_size > 5000


def field():
    grid = np.linspace(0.0, 11.0, 12)
    x, y = np.meshgrid(grid, grid)
    return grid, x * (10 - x - y), y * (10 - x - y)


GRID, FIELD = field()[0], field()


def trajectories(seeds=3):
    t = np.linspace(0, 1, 30)
    a = np.stack([np.stack([8 * t, 2 * t], -1), np.stack([5 * t, 5 * t], -1)])  # window, step, path
    values = a[:, None] * RNG.uniform(0.9, 1.0, (2, seeds, 1, 1))
    coords = {"window": ["early", "late"], "path": ["A", "B"]}
    return xr.DataArray(values, dims=("window", "seed", "step", "path"), coords=coords, name="K")


def test_portrait_draws_every_trajectory_its_end_and_the_fixed_line():
    grid, dx, dy = field()
    paths = trajectories()
    figure = plots.portrait(grid, grid, dx, dy, paths=paths, hue="window", fixed=([0, 10], [10, 0]))
    ax = figure.axes[0]
    assert len(ax.lines) == 1 + 2 * (2 * 3)
    ends = {tuple(np.round(line.get_xydata()[-1], 9)) for line in ax.lines}
    for end in paths.isel(step=-1).values.reshape(-1, 2):
        assert tuple(np.round(end, 9)) in ends
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["fixed points", "early", "late"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("K, path A", "K, path B")
    assert ax.get_xlim() == (0.0, 11.0)


def test_panels_share_a_figure_and_have_letters_and_titles(tmp_path):
    figure, axes = plots.subplots(1, 2, width="page")
    grid, dx, dy = field()
    assert plots.portrait(grid, grid, dx, dy, ax=axes[0, 0]) is figure
    assert plots.curves(data(), "onset", hue="depth", ax=axes[0, 1]) is figure
    plots.letter(axes.flat, ["field"])
    assert [ax.get_title(loc="left") for ax in axes.flat] == ["a", "b"]
    assert axes[0, 0].get_title() == "field"
    assert axes[0, 0].title.get_fontsize() == 8.0
    plots.save(figure, tmp_path / "f.png")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: plots.curves(data(), "onset"), "also has depth"),
        (lambda: plots.curves(data(), "time"), "lacks time"),
        (lambda: plots.curves(data(), "onset", hue="depth", band="sd"), "band must be"),
        (lambda: plots.curves(data(), "onset", hue="depth", confidence=95.0), "confidence"),
        (lambda: plots.curves(data(), "onset", hue="depth", labels=["one"]), "labels must name 3"),
        (lambda: plots.subplots(width="wide"), "width must be"),
        (lambda: plots.save(plots.subplots()[0], "figure.gif"), "end in .png or .pdf"),
        (lambda: plots.letter(plots.subplots()[1].flat, ["a", "b"]), "outnumber"),
        (lambda: plots.portrait(np.arange(3), np.arange(4), np.ones((3, 4)), np.ones((3, 4))), "shape"),
        (lambda: plots.portrait(*[field()[i] for i in (0, 0, 1, 2)], paths=data()), "paths must have"),
        (
            lambda: plots.portrait(
                *[field()[i] for i in (0, 0, 1, 2)], paths=trajectories(), hue="window", labels=["x"]
            ),
            "2",
        ),
    ],
)
def test_bad_input_is_one_line(call, says):
    with pytest.raises(ValueError, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_intervals_are_those_of_the_claims():
    from brainjax.claims import interval

    rows = np.random.default_rng(0).normal(size=(3, 9))
    rows[1, 4] = np.nan
    _, axes = plots.subplots()
    ax = axes.item()
    plots.intervals(ax, [1, 2, 3], rows, color="black")
    (bars,) = ax.containers
    centres = bars.lines[0].get_ydata()
    ends = np.array([segment[:, 1] for segment in bars.lines[2][0].get_segments()])
    for row, centre, (low, high) in zip(rows, centres, ends, strict=True):
        np.testing.assert_allclose([centre, low, high], interval(row)[:3], rtol=1e-12)
    with pytest.raises(ValueError, match=r"samples must have shape \(2, seeds\), got \(3, 9\)"):
        plots.intervals(ax, [1, 2], rows)
