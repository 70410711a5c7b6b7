"""The loop on the host against the scan over epochs; killed and resumed; stopped by a declared criterion."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import credit, training

KEY = jax.random.key(5)
RNG = np.random.default_rng(1)
INPUTS = jnp.asarray(RNG.standard_normal((40, 6)))
LABELS = jnp.asarray(RNG.integers(0, 3, 40), jnp.int32)
RULE = credit.make("counter_current", credit.mlp([6, 5, 3]), forward=credit.sgd(0.5, momentum=0.9))
START = jax.jit(RULE.init)(jax.random.key(2))


def held_out(state):
    return {"held": training.evaluate(lambda x: RULE.predict(state.forward, x), INPUTS[32:], LABELS[32:])}


LOOP = {
    "step": RULE.step,
    "fetch": lambda rows: credit.Batch(INPUTS[rows], LABELS[rows]),
    "rows": jnp.arange(32, dtype=jnp.int32),
    "batch_size": 8,
    "observe": held_out,
}


def same(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(np.asarray(x), np.asarray(y)), a, b)


@pytest.fixture(scope="module")
def whole():
    return training.fit(KEY, START, epochs=7, **LOOP)


def test_it_is_the_scan_over_epochs(whole):
    run = jax.jit(lambda state: training.epochs(KEY, state, epochs=7, **LOOP))(START)
    for a, b in zip(jax.tree.leaves(run), jax.tree.leaves((whole.state, whole.records, whole.info)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)  # bit for bit where this was written
    assert (whole.epochs_done, whole.selected_epoch) == (7, 7)
    assert int(whole.state.steps) == 28
    same(whole.selected, whole.state)


def test_it_goes_on_from_a_checkpoint_bit_for_bit(whole, tmp_path):
    seen = []
    kept = training.Checkpoints(tmp_path, {"rule": RULE.name})
    training.fit(KEY, START, epochs=5, every=2, checkpoints=kept, **LOOP)
    assert kept.epochs() == [4, 5]  # the last one too
    run = training.fit(
        KEY, START, epochs=7, every=2, checkpoints=kept, progress=lambda *news: seen.append(news), **LOOP
    )
    same(run, whole)
    assert [done for done, _, _ in seen] == [5, 6, 7]
    assert seen[-1][1] == 7
    np.testing.assert_array_equal(seen[-1][2]["held"].loss, whole.records["held"].loss[-1])
    again = training.fit(KEY, START, epochs=7, checkpoints=kept, **LOOP)  # nothing is left to do
    same(again, whole)


def test_a_damaged_checkpoint_costs_an_interval_only(whole, tmp_path):
    kept = training.Checkpoints(tmp_path, {"rule": RULE.name})
    training.fit(KEY, START, epochs=6, every=3, checkpoints=kept, **LOOP)
    (tmp_path / "000006" / "state" / "_METADATA").write_text("")
    with pytest.warns(UserWarning, match="000006 is damaged"):
        run = training.fit(KEY, START, epochs=7, every=3, checkpoints=kept, **LOOP)
    same(run, whole)
    assert kept.epochs() == [6, 7]  # the damaged one was made again


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": jax.random.key(6)}, r"another key: .* holds key = \[0, 5\], asked for \[0, 6\]"),
        ({"batch_size": 4}, "another batch_size: .* holds batch_size = 8, asked for 4"),
        ({"rows": jnp.arange(1, 33, dtype=jnp.int32)}, "another rows"),
        ({"stop": training.EarlyStopping("held.loss")}, "another stop"),
        ({"epochs": 1}, "epochs must be 2 or more, which the checkpoint in .* has done, got 1"),
    ],
)
def test_a_run_with_other_settings_does_not_go_on(two_epochs, change, message):
    arguments = {"key": KEY, "epochs": 2, "checkpoints": two_epochs, **LOOP, **change}
    with pytest.raises(ValueError, match=message):
        training.fit(arguments.pop("key"), START, **arguments)


@pytest.fixture(scope="module")
def two_epochs(tmp_path_factory):
    kept = training.Checkpoints(tmp_path_factory.mktemp("run"), {"rule": RULE.name})
    training.fit(KEY, START, epochs=2, checkpoints=kept, **LOOP)
    return kept


class Counter(NamedTuple):
    count: jax.Array


def counted(values, **stop):
    """A run whose measure follows a given curve; its state counts the epochs."""
    curve = jnp.asarray(values, jnp.float64)
    return training.fit(
        KEY,
        Counter(jnp.zeros((), jnp.int32)),
        step=lambda state, batch, key: (Counter(state.count + 1), ()),
        fetch=lambda rows: rows,
        rows=jnp.arange(3, dtype=jnp.int32),
        batch_size=3,
        epochs=len(values) - 1,
        observe=lambda state: {"curve": curve[state.count], "vector": curve},
        stop=training.EarlyStopping("curve", **stop),
    )


@pytest.mark.parametrize(
    ("values", "stop", "selected", "done"),
    [
        ([3, 2, 1, 1.5, 1.4, 1.3, 0], {"patience": 3}, 2, 5),
        ([3, 2, 1, 1.5, 1.4, 0.9, 0], {"patience": 3}, 6, 6),
        ([3, 2, 1, np.nan, np.nan, np.nan, 0], {"patience": 3}, 2, 5),
        ([3, 2, 1, 1.5, 1.4, 1.3, 0], {}, 6, 6),
        ([1, 5, 6, 6.5, 6.6, 6, 6], {"better": "higher", "patience": 2, "least_improvement": 0.7}, 2, 4),
    ],
)
def test_the_declared_criterion_selects_and_stops(values, stop, selected, done):
    run = counted(values, **stop)
    assert (run.selected_epoch, run.epochs_done) == (selected, done)
    assert (int(run.selected.count), int(run.state.count)) == (selected, done)
    assert run.records["curve"].shape == (done + 1,)
    if "least_improvement" not in stop:
        assert int(training.best_epoch(jnp.asarray(values, jnp.float64), **stop)) == selected


def test_a_stopped_run_stays_stopped_and_keeps_its_selection(tmp_path):
    kept = training.Checkpoints(tmp_path, {})
    stop = training.EarlyStopping("held.loss", patience=1)
    first = training.fit(KEY, START, epochs=30, checkpoints=kept, every=100, stop=stop, **LOOP)
    assert first.epochs_done < 30
    assert first.selected_epoch == int(np.argmin(first.records["held"].loss))
    np.testing.assert_allclose(
        held_out(first.selected)["held"].loss, first.records["held"].loss[first.selected_epoch], rtol=1e-12
    )
    same(training.fit(KEY, START, epochs=40, checkpoints=kept, every=100, stop=stop, **LOOP), first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stop": training.EarlyStopping("held.los")}, "no measure 'held.los': did you mean 'held.loss'"),
        ({"stop": training.EarlyStopping("zz")}, "no measure 'zz': there are held.loss, held.accuracy"),
        ({"stop": training.EarlyStopping("held.loss", patience=0)}, "patience must be 1 or more, got 0"),
        ({"stop": training.EarlyStopping("held.loss", better="less")}, "better must be one of 'lower', 'higher'"),
        ({"every": 0}, "every must be 1 or more, got 0"),
        ({"epochs": -1}, "epochs must be 0 or more, got -1"),
        ({"batch_size": 33}, "batch_size must be from 1 to the number of rows, 32, got 33"),
    ],
)
def test_bad_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        training.fit(KEY, START, **{"epochs": 2, **LOOP, **change})


def test_a_measure_must_be_a_number():
    with pytest.raises(ValueError, match=r"measure vector must have shape \(\), got \(3,\)"):
        training.fit(
            KEY,
            Counter(jnp.zeros(())),
            step=lambda state, batch, key: (state, ()),
            fetch=lambda rows: rows,
            rows=jnp.arange(3, dtype=jnp.int32),
            batch_size=3,
            epochs=1,
            observe=lambda state: {"vector": jnp.zeros(3)},
            stop=training.EarlyStopping("vector"),
        )


SCRIPT = """
    import os, signal, sys
    import jax, jax.numpy as jnp, numpy as np, optax
    from brainjax import training
    from brainjax.commands.backend import keep_programs

    assert not {"flax", "orbax"} & set(sys.modules), "slow to import, and needed by few"
    keep_programs(print)
    folder, last_breath = sys.argv[1], int(sys.argv[2])
    images = jnp.asarray(np.random.default_rng(0).standard_normal((60, 8)), jnp.float32)
    transform = optax.adam(0.05)

    def step(state, batch, key):
        weights, memory = state
        slope = 2 * batch.T @ (batch @ weights - 1) / 16 + 0.1 * jax.random.normal(key, (8,))
        change, memory = transform.update(slope, memory)
        return (weights + change, memory), jnp.mean(slope)

    def progress(done, epochs, record):
        if done == last_breath:
            os.kill(os.getpid(), signal.SIGKILL)

    def run(**options):
        state = jnp.zeros(8), transform.init(jnp.zeros(8))
        return training.fit(
            jax.random.key(1), state, step=step, fetch=lambda rows: images[rows], rows=np.arange(60), batch_size=16,
            epochs=8, observe=lambda state: jnp.linalg.norm(state[0]), **options,
        )

    found = run(checkpoints=training.Checkpoints(folder, {"seed": 0}), every=2, progress=progress)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(run()), strict=True):
        assert np.array_equal(np.asarray(a), np.asarray(b))
    print("the same")
"""


def test_killed_and_run_again_it_ends_bit_for_bit_as_if_never_interrupted(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(SCRIPT))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    def ran(last_breath):
        command = [sys.executable, str(script), str(tmp_path / "run"), str(last_breath)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert ran(5).returncode == -signal.SIGKILL
    assert training.Checkpoints(tmp_path / "run", {"seed": 0}).epochs() == [2, 4]
    done = ran(-1)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["the same"]), done.stderr
