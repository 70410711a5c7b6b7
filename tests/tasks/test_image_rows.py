"""Images as sequences of rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax.tasks import image_rows, row_sequences

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1, 5], np.uint8)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_rows_are_steps_and_the_last_is_judged(dtype):
    trials = row_sequences(IMAGES, LABELS, dtype=dtype)
    assert trials.inputs.dtype == trials.mask.dtype == dtype
    np.testing.assert_allclose(trials.inputs, IMAGES / 255, rtol=1e-6)
    np.testing.assert_array_equal(trials.labels, np.repeat(LABELS[:, None], 4, 1))
    np.testing.assert_array_equal(trials.mask, np.tile([0, 0, 0, 1], (5, 1)))
    np.testing.assert_array_equal(trials.decision, trials.mask == 1)
    one = row_sequences(IMAGES[2], LABELS[2], dtype=dtype)
    jax.tree.map(lambda some, all_: np.testing.assert_array_equal(some, all_[2]), one, trials)


def test_colours_stand_side_by_side():
    colours = np.random.default_rng(1).integers(0, 256, (2, 4, 3, 3), dtype=np.uint8)
    trials = row_sequences(colours, LABELS[:2])
    np.testing.assert_allclose(trials.inputs, colours.reshape(2, 4, 9) / 255, rtol=1e-15)


def test_images_are_drawn_evenly_and_keep_their_labels():
    trials = jax.jit(lambda key: image_rows(key, IMAGES, LABELS, size=2000))(jax.random.key(0))
    which = np.abs(np.asarray(trials.inputs)[:, None] - IMAGES[None] / 255).max((2, 3)).argmin(1)
    np.testing.assert_array_equal(trials.labels[:, -1], LABELS[which])
    z = (np.bincount(which, minlength=5) - 400) / np.sqrt(2000 * 0.2 * 0.8)
    assert np.abs(z).max() < 4
    assert image_rows(jax.random.key(0), IMAGES, LABELS).inputs.shape == (4, 3)


def test_refusals():
    key = jax.random.key(0)
    with pytest.raises(ValueError, match=r"images must be bytes \(uint8\), got float"):
        row_sequences(IMAGES / 255, LABELS)
    with pytest.raises(ValueError, match="labels must be whole numbers, got float64"):
        row_sequences(IMAGES, LABELS * 1.0)
    with pytest.raises(
        ValueError, match=r"images must have the axes of labels, .* got \(5, 4, 3\) for labels .* \(4,\)"
    ):
        image_rows(key, IMAGES, LABELS[:4])
    with pytest.raises(ValueError, match="images must hold at least one image, got none"):
        image_rows(key, IMAGES[:0], LABELS[:0])
    with pytest.raises(ValueError, match="size must be 1 or more, got 0"):
        image_rows(key, IMAGES, LABELS, size=0)
