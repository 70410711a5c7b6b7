"""Figure 2 of Kleinman, Achille and Soatto against numbers from the authors' own classes (the fixture says how)."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax.linear import decoupled_layers, descend, path_maps, pathway_euler, project, windows
from brainjax.tasks import hierarchical_task

FIXTURE = json.loads((pathlib.Path(__file__).parents[1] / "fixtures" / "kleinman2024_figure2.json").read_text())
RATE, UPDATES, DEPTH = 0.01, FIXTURE["updates"], 4
TOLERANCE = 2e-5  # of a re-implementation in float32; the published curve and the reading of its figure need less
WINDOWS = pytest.mark.parametrize("window", FIXTURE["windows"], ids=lambda w: f"from {w['start']}")


def layer_diagonals():
    return np.asarray(FIXTURE["layer_diagonals"], np.float32)


def train(start, stop):
    """Layered gradient descent from the authors' initial strengths, the second path gated; strengths at the end."""
    task = hierarchical_task(dtype=jnp.float32)
    paths = [decoupled_layers(a, left=task.left, right=task.right, width=100) for a in layer_diagonals()]
    gates = windows(start, stop, np.array([1, 0], np.float32))
    run = descend(paths, sigma_yx=task.sigma_yx, rate=np.float32(RATE), steps=UPDATES, windows=gates)
    return jax.vmap(lambda omega: project(omega, left=task.left, right=task.right))(run.records[-1]), run, task


def test_the_task_is_the_authors():
    task = hierarchical_task()
    np.testing.assert_allclose(task.singular_values, FIXTURE["singular_values"], atol=1e-6)


@WINDOWS
def test_layered_descent_ends_where_the_authors_descent_ends(window):
    seen, run, task = train(window["start"] * RATE, window["stop"] * RATE)
    assert seen.strength.dtype == jnp.float32
    np.testing.assert_allclose(seen.strength[0], window["descent"]["a"], atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(seen.strength[1], window["descent"]["b"], atol=TOLERANCE, rtol=0)
    assert float(jnp.max(seen.off_diagonal)) < 1e-10
    residual = task.outputs - jnp.sum(run.records, axis=1)[0]
    np.testing.assert_allclose(0.5 * jnp.sum(residual**2), window["loss_first"], rtol=1e-5)
    residual = task.outputs - jnp.sum(path_maps(run.paths), axis=0)
    assert 0.5 * float(jnp.sum(residual**2)) < 1e-9
    assert window["loss_last"] < 1e-9


@WINDOWS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_euler_steps_of_the_modes_end_where_the_authors_descent_ends(window, dtype):
    """Gradient descent on balanced decoupled layers is Euler's method on their modes, update by update."""
    p0, s = layer_diagonals()[:, 0].astype(dtype), hierarchical_task(dtype=dtype).singular_values
    run = pathway_euler(
        p0,
        s=s,
        depth=float(DEPTH),
        dt=RATE,
        steps=UPDATES,
        every=UPDATES,
        windows=windows(window["start"] * RATE, window["stop"] * RATE, np.array([1.0, 0.0])),
    )
    np.testing.assert_allclose(run.strength[-1, 0], window["descent"]["a"], atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(run.strength[-1, 1], window["descent"]["b"], atol=TOLERANCE, rtol=0)


@WINDOWS
def test_with_the_authors_gate_the_same_steps_give_the_authors_curve(window):
    """Their loop gates the update that leads *into* a numbered state: everything one update earlier."""
    task = hierarchical_task()
    start, stop = max(window["start"] - 1, 0) * RATE, (window["stop"] - 1) * RATE
    run = pathway_euler(
        layer_diagonals()[:, 0].astype(float),
        s=task.singular_values,
        depth=float(DEPTH),
        dt=RATE,
        steps=UPDATES,
        every=UPDATES,
        windows=windows(start, stop, np.array([1.0, 0.0])),
    )
    np.testing.assert_allclose(run.strength[-1, 0], window["ode"]["a"], atol=2e-6, rtol=0)
    np.testing.assert_allclose(run.strength[-1, 1], window["ode"]["b"], atol=2e-6, rtol=0)


@WINDOWS
def test_the_two_gates_differ_by_as_much_as_in_the_authors_runs(window):
    """One frozen update fewer, or the same number one update earlier, is the whole gap between their two curves."""
    task = hierarchical_task()

    def curve(shift):
        start, stop = max(window["start"] - shift, 0) * RATE, (window["stop"] - shift) * RATE
        run = pathway_euler(
            layer_diagonals()[:, 0].astype(float),
            s=task.singular_values,
            depth=float(DEPTH),
            dt=RATE,
            steps=UPDATES,
            windows=windows(start, stop, np.array([1.0, 0.0])),
        )
        return run.strength

    gap = float(jnp.max(jnp.abs(curve(1) - curve(0))))
    assert gap == pytest.approx(window["largest_gap"], abs=TOLERANCE)
