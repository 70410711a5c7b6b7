"""Closed forms of the two-layer linear network against means over tasks and against gradient descent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import richness
from tests.richness.references import cosine, linear_kernels, linear_starts, positive, train_linear, unit_vectors

D, HIDDEN, RUNS = 6, 8, 200


def flat_kernel(d, rank, readout):
    """Rank equal singular values of total square 1, and a readout of square norm ``readout``."""
    return np.diag([1 / rank] * rank + [0.0] * (d - rank)) + readout * np.eye(d)


def test_linear_kernel():
    rng = np.random.default_rng(0)
    w1, w2 = rng.normal(size=(HIDDEN, D)), rng.normal(size=HIDDEN)
    x = np.linalg.qr(rng.normal(size=(D, D)))[0]  # white inputs, not along the axes
    kernel = richness.explicit_kernel(lambda p: p[1] @ p[0] @ x, (jnp.asarray(w1), jnp.asarray(w2)))
    np.testing.assert_allclose(x.T @ richness.linear_kernel(w1, w2) @ x, kernel, rtol=1e-11, atol=1e-11)
    np.testing.assert_array_equal(richness.linear_kernel(w1, w2[None]), richness.linear_kernel(w1, w2))


@pytest.mark.parametrize(
    ("rank", "readout", "expected"),
    # vanishing readout: (1 + 1/d) sqrt(r / (d + 3)); a readout of the size of W_1: from the published simulation's law
    [(1, 0.0, 0.3051), (3, 0.0, 0.5284), (10, 0.0, 0.9648), (1, 1.0, 0.931), (2, 1.0, 0.949), (5, 1.0, 0.961)],
)
def test_values_for_flat_spectra(rank, readout, expected):
    assert richness.expected_alignment(flat_kernel(10, rank, readout)) == pytest.approx(expected, abs=5e-4)


def test_full_rank_has_one_alignment_for_every_task():
    for readout in (0.0, 0.3, 5.0):
        kernel = flat_kernel(D, D, readout)
        expected = (D + 1) / np.sqrt(D * (D + 3))
        assert richness.expected_alignment(kernel) == pytest.approx(expected, rel=1e-13)
        assert richness.alignment_variance(kernel) == pytest.approx(0, abs=1e-30)
        assert richness.task_alignment(kernel, np.arange(1.0, D + 1)) == pytest.approx(expected, rel=1e-13)


def test_aligned_rank_one_needs_a_balanced_readout():
    rng = np.random.default_rng(1)
    beta = unit_vectors(rng, 1, D)[0]
    for readout, expected in ((1.0, 1.0), (0.0, 2 / np.sqrt(D + 3))):
        kernel = np.outer(beta, beta) + readout * np.eye(D)
        assert richness.task_alignment(kernel, -4 * beta) == pytest.approx(expected, rel=1e-13)
    other = unit_vectors(rng, 1, D)[0]
    balanced = np.outer(other, other) + np.eye(D)
    assert richness.task_alignment(balanced, beta) == pytest.approx((D + 2 + (other @ beta) ** 2) / (D + 3), rel=1e-12)


def test_mean_and_variance_over_tasks():
    rng = np.random.default_rng(2)
    kernel = positive(rng, D, 2) + 0.1 * np.eye(D)
    tasks = unit_vectors(rng, 20_000, D)
    values = np.asarray(jax.vmap(lambda beta: richness.task_alignment(kernel, beta))(tasks))
    last = np.outer(tasks[0], tasks[0]) + np.eye(D)
    assert values[0] == pytest.approx(cosine(kernel, last), rel=1e-12)
    error = values.std() / len(values) ** 0.5
    assert abs(values.mean() - richness.expected_alignment(kernel)) < 4 * error
    assert abs(values.mean() - richness.expected_alignment(kernel) * (D / (D + 1))) > 8 * error  # without 1 + 1/d
    squares = (values - values.mean()) ** 2
    spread = squares.std() / len(values) ** 0.5
    assert abs(squares.mean() - richness.alignment_variance(kernel)) < 4 * spread
    assert abs(squares.mean() - richness.alignment_variance(kernel) * (D + 2) / D) > 8 * spread


@pytest.fixture(scope="module")
def simulated():
    """First kernels, tasks and simulated alignments of networks of three ranks, at two initial sizes."""
    results = {}
    for size in (1e-1, 1e-2):
        for rank in (1, 2, D):
            rng = np.random.default_rng(rank)
            start = linear_starts(rng, RUNS, inputs=D, hidden=HIDDEN, rank=rank, size=size, readout=0.1 * size)
            beta = unit_vectors(rng, RUNS, D)
            first, last = linear_kernels(*start), linear_kernels(*train_linear(*start, beta))
            results[size, rank] = first, beta, np.array([cosine(a, b) for a, b in zip(first, last, strict=True)])
    return results


def test_each_network_meets_its_prediction_up_to_the_square_of_its_size(simulated):
    predict = jax.jit(jax.vmap(richness.task_alignment))
    for rank in (1, 2, D):
        worst = {}
        for size in (1e-1, 1e-2):
            first, beta, found = simulated[size, rank]
            worst[size] = np.abs(np.asarray(predict(first, beta)) - found).max()
        assert worst[1e-1] / worst[1e-2] == pytest.approx(100, rel=0.2)
        assert worst[1e-2] < 1e-4


def test_mean_over_networks_is_the_expected_alignment(simulated):
    for size in (1e-1, 1e-2):
        means = []
        for rank in (1, 2):
            first, _, found = simulated[size, rank]
            error = found.std(ddof=1) / RUNS**0.5
            assert abs(found.mean() - richness.expected_alignment(first[0])) < 4 * error
            means.append(found.mean())
        assert means[1] - means[0] > 20 * error
        whole = float(richness.expected_alignment(np.eye(D)))
        assert simulated[size, D][2].mean() == pytest.approx(whole, abs=0.1 * size**2)


def test_balanced_aligned_network_keeps_the_direction_of_its_kernel_but_not_its_weights():
    rng = np.random.default_rng(3)
    beta = unit_vectors(rng, 4, D)
    a = unit_vectors(rng, 4, HIDDEN)
    size = 1e-3
    start = size * a[:, :, None] * beta[:, None, :], size * a
    end = train_linear(*start, beta)
    for first, last in zip(linear_kernels(*start), linear_kernels(*end), strict=True):
        assert richness.kernel_alignment(first, last) == pytest.approx(1, abs=1e-12)
        assert richness.kernel_change(first, last) == pytest.approx(1 / size**2 - 1, rel=1e-6)
    moved = richness.weight_change((start[0][0], start[1][0]), (end[0][0], end[1][0]), relative=True)
    assert moved == pytest.approx(999, rel=1e-6)
    difference = [np.einsum("nhd,ngd->nhg", w, w) - np.einsum("nh,ng->nhg", v, v) for w, v in (start, end)]
    np.testing.assert_allclose(difference[1], difference[0], atol=1e-14)


def test_silence_batches_and_float32():
    zero, kernel = jnp.zeros((D, D), jnp.float32), jnp.asarray(positive(np.random.default_rng(4), D), jnp.float32)
    beta = jnp.ones(D, jnp.float32)

    @jax.jit
    @jax.vmap
    def everything(k):
        measures = (
            richness.expected_alignment,
            richness.alignment_variance,
            lambda k0: richness.task_alignment(k0, beta),
        )
        return [jax.value_and_grad(measure)(k) for measure in measures]

    for value, gradient in everything(jnp.stack([zero, kernel])):
        assert value.dtype == jnp.float32
        assert value[0] == 0
        assert value[1] > 0
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: richness.expected_alignment(np.ones((2, 3))), r"k0 must have shape \(inputs, inputs\)"),
        (lambda: richness.task_alignment(np.eye(3), np.ones(2)), r"beta must have shape \(3"),
        (lambda: richness.task_alignment(np.eye(3), np.zeros(3)), "beta must not be zero"),
        (lambda: richness.task_alignment(np.eye(2), [np.nan, 1.0]), "beta must be finite"),
        (lambda: richness.linear_kernel(np.ones(3), np.ones(3)), "w1 must have shape"),
        (lambda: richness.linear_kernel(np.ones((2, 3)), np.ones(3)), "w2 must have shape"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message):
        call()
