"""A data set as a task: standardised inputs, shapes, rows of the training split."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("sklearn")

from brainjax import data


@pytest.fixture(scope="module")
def task():
    return data.image_task("digits")


def test_inputs_are_standardised_over_the_training_split(task):
    raw = data.load("digits", split="train")
    inputs = np.asarray(task.inputs(task.images))
    assert inputs.shape == (len(raw.labels), 64)
    assert task.size == 64
    np.testing.assert_allclose([inputs.mean(), inputs.std()], [0, 1], atol=1e-6)
    fractions = np.asarray(raw.images, float) / raw.white
    expected = (fractions - fractions.mean()) / fractions.std()
    np.testing.assert_allclose(inputs, expected.reshape(-1, 64), atol=1e-6)


def test_shapes(task):
    few = task.images[:3]
    assert task.inputs(few, flat=False).shape == (3, 8, 8, 1)
    assert task.inputs(few, flat=False, pad=2).shape == (3, 12, 12, 1)
    black = task.inputs(jnp.zeros_like(few))[0, 0]
    np.testing.assert_allclose(task.inputs(few, flat=False, pad=2)[:, :2], black, rtol=1e-12)  # filled up with black
    colour = jnp.stack([few] * 3, -1)
    assert task.inputs(colour, flat=False).shape == (3, 8, 8, 3)


@pytest.mark.parametrize("how", [{}, {"flat": False}, {"flat": False, "pad": 1}])
def test_a_batch_is_rows_of_the_training_split(task, how):
    rows = jnp.array([5, 0, 5], jnp.int32)
    inputs, labels = jax.jit(lambda r: task.batch(r, **how))(rows)
    np.testing.assert_allclose(inputs, task.inputs(task.images[rows], **how), rtol=1e-12)
    np.testing.assert_array_equal(labels, task.labels[rows])


def test_it_is_read_once_and_can_be_cut(task):
    assert data.image_task("digits") is task
    few = data.image_task("digits", train=40, test=7)
    assert (few.images.shape[0], few.test_images.shape[0]) == (40, 7)
    np.testing.assert_array_equal(few.images, task.images[:40])
    np.testing.assert_allclose(np.asarray(few.inputs(few.images)).mean(), 0, atol=1e-6)
    assert few.images.dtype == jnp.uint8
    assert len(few.classes) == 10
    with pytest.raises(ValueError, match=r"train: must be from 1 to the .* images of the split, got 0"):
        data.image_task("digits", train=0)
