"""Checkpoints: a tree comes back as it was, other runs are refused, damage is found, incomplete ones are not used."""

import json
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from brainjax import training

IDENTITY = {"rule": "counter_current", "widths": (784, 256, 10), "seed": 3}


class State(NamedTuple):
    params: Any
    memory: Any
    key: Any
    steps: Any


def tree(number=0.0):
    params = ({"kernel": jnp.arange(6.0).reshape(2, 3) + number}, {"kernel": jnp.ones((3,), jnp.bfloat16)})
    memory = optax.sgd(0.1, momentum=0.9).init(params)
    return State(params, memory, jax.random.key(7), {"n": 4, "nothing": jnp.zeros((0, 2)), "empty": ()})


@pytest.fixture
def folder(tmp_path):
    """Two checkpoints, of epochs 3 and 5."""
    kept = training.Checkpoints(tmp_path / "run", IDENTITY)
    for epoch in (1, 3, 5):
        kept.save(epoch, tree(epoch))
    return tmp_path / "run"


def test_a_tree_comes_back_as_it_was_and_the_newest_two_are_kept(folder):
    kept = training.Checkpoints(folder, IDENTITY)
    assert kept.epochs() == [3, 5]
    assert kept.latest() == 5
    assert sorted(path.name for path in folder.iterdir()) == ["000003", "000003.json", "000005", "000005.json"]
    like = jax.eval_shape(lambda: tree())  # shapes only
    back, saved = kept.restore(5, like), tree(5)
    assert jax.tree.structure(back) == jax.tree.structure(saved)
    assert back.key == saved.key
    for a, b in zip(jax.tree.leaves(back._replace(key=0)), jax.tree.leaves(saved._replace(key=0)), strict=True):
        assert jnp.asarray(a).dtype == jnp.asarray(b).dtype
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_a_checkpoint_is_replaced_by_one_of_the_same_epoch(folder):
    kept = training.Checkpoints(folder, IDENTITY)
    kept.save(5, tree(9))
    assert kept.epochs() == [3, 5]
    assert kept.restore(5, tree()).params[0]["kernel"][0, 0] == 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rule": "backprop"}, 'another rule: .* holds rule = "counter_current", asked for "backprop"$'),
        ({"widths": [784, 10]}, r"another widths: .* holds widths = \[784, 256, 10\], asked for \[784, 10\]$"),
        ({"batch": 32}, "another batch: .* holds batch = nothing, asked for 32$"),
    ],
)
def test_those_of_another_run_are_refused(folder, change, message):
    with pytest.raises(ValueError, match=message):
        training.Checkpoints(folder, {**IDENTITY, **change})


def of_arrays(folder, epoch):
    """The largest file of a checkpoint: arrays."""
    return max(
        (path for path in (folder / f"{epoch:06d}").rglob("*") if path.is_file()), key=lambda p: p.stat().st_size
    )


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "flipped": lambda folder: flip(of_arrays(folder, 5)),
    "truncated": lambda folder: of_arrays(folder, 5).write_bytes(of_arrays(folder, 5).read_bytes()[:-9]),
    "missing": lambda folder: of_arrays(folder, 5).unlink(),
    "description": lambda folder: (folder / "000005.json").write_text("{"),
}


@pytest.mark.parametrize("how", DAMAGES)
def test_damage_is_said_and_the_one_before_is_used(folder, how):
    DAMAGES[how](folder)
    kept = training.Checkpoints(folder, IDENTITY)
    with pytest.warns(UserWarning, match="000005 is damaged .*: the one before it is used"):
        assert kept.latest() == 3
    with pytest.raises(ValueError, match="000005 is damaged: "):
        kept.restore(5, tree())
    assert kept.restore(3, tree()).params[0]["kernel"][0, 0] == 3


def test_what_was_not_finished_does_not_count(folder, monkeypatch):
    kept = training.Checkpoints(folder, IDENTITY)
    monkeypatch.setattr("os.replace", lambda *names: (_ for _ in ()).throw(KeyboardInterrupt))  # before the last move
    with pytest.raises(KeyboardInterrupt):
        kept.save(6, tree())
    assert kept.latest() == 5
    monkeypatch.undo()
    (folder / "000009.tmp").mkdir()  # what a kill leaves
    kept.save(7, tree(7))
    assert kept.latest() == 7
    assert sorted(path.name for path in folder.iterdir()) == ["000005", "000005.json", "000007", "000007.json"]


@pytest.mark.parametrize(
    ("like", "message"),
    [
        (tree()._replace(steps={"n": 4}), "the checkpoint also holds steps/nothing"),
        (tree()._replace(params=()), "the checkpoint also holds params/0/kernel"),
        (tree()._replace(key=(jax.random.key(0), 1)), "the checkpoint lacks key/0"),
        (tree()._replace(key=jnp.zeros(2)), r"key must be float64 of shape \(2,\), the checkpoint holds key<fry> of"),
    ],
)
def test_what_is_not_like_it_is_refused(folder, like, message):
    with pytest.raises(ValueError, match=message):
        training.Checkpoints(folder, IDENTITY).restore(5, like)


def test_bad_arguments(folder):
    kept = training.Checkpoints(folder, IDENTITY)
    with pytest.raises(ValueError, match=r"no checkpoint of epoch 4 in .*, but of \[3, 5\]"):
        kept.restore(4, tree())
    with pytest.raises(ValueError, match="keep must be 1 or more, got 0"):
        training.Checkpoints(folder, IDENTITY, keep=0)
    with pytest.raises(ValueError, match="identity must be what JSON can hold"):
        training.Checkpoints(folder, {"seed": np.arange(3)})
    with pytest.raises(ValueError, match="epoch must be 0 or more, got -1"):
        kept.save(-1, tree())
    assert training.Checkpoints(folder / "nowhere", {}).latest() is None
    assert json.loads((folder / "000005.json").read_text())["identity"]["seed"] == 3
