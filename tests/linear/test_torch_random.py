"""The replica of PyTorch's generator against numbers that torch 2.13.0 (CPU) printed; the authors' first weights."""

import numpy as np
import pytest

from tests.linear.authors_starts import completion_start, multipath_start
from tests.linear.torch_random import TorchGenerator


def test_normal_numbers():
    """``torch.manual_seed(1); torch.randn(20)[[0, 7, 8, 15, 16, 19]]``: a block of 16 and the tail that is redrawn."""
    drawn = TorchGenerator(1).randn(20)
    expected = [-1.5255959, 0.80730826, 0.43914157, -0.13162321, -0.79843974, 1.7163026]
    np.testing.assert_allclose(
        drawn[[0, 7, 8, 15, 16, 19]], expected, atol=2e-6
    )  # torch computes in float32, we in float64


def test_orthogonal_matrices():
    """``torch.manual_seed(1); torch.nn.init.orthogonal_(torch.empty(4, 40))[:2, :3]``."""
    drawn = TorchGenerator(1).orthogonal(4, 40)
    expected = [[-0.26799786, -0.13179146, -0.11488329], [0.02001619, 0.0636755, -0.00850772]]
    np.testing.assert_allclose(drawn[:2, :3], expected, atol=1e-6)


def test_one_stream_of_every_kind():
    """``torch.manual_seed(1)``, then ``randn(3), rand(2), randn(2), randperm(8), multinomial(ones(30), 6)``.

    The first of the second ``randn`` is the number kept by the first one.
    """
    torch = TorchGenerator(1)
    np.testing.assert_array_equal(torch.randn(3), np.float32([0.66135216, 0.26692411, 0.06167726]))
    np.testing.assert_array_equal(torch.rand(2), np.float32([0.56950849, 0.43877792]))
    np.testing.assert_array_equal(torch.randn(2), np.float32([0.62131733, 0.85900861]))
    np.testing.assert_array_equal(torch.randperm(8), [5, 6, 2, 4, 1, 3, 0, 7])
    np.testing.assert_array_equal(torch.choose(30, 6), [29, 16, 11, 12, 25, 7])


def test_choosing_many():
    """``torch.manual_seed(1); i = torch.multinomial(torch.ones(10000), 2000, replacement=False); i[:4], i.sum()``."""
    torch = TorchGenerator(1)
    chosen = torch.choose(10000, 2000)
    assert chosen[:4].tolist() == [9247, 5002, 1164, 4325]
    assert chosen.sum() == 10046349
    np.testing.assert_array_equal(torch.rand(2), np.float32([0.96722126, 0.22823930]))


@pytest.mark.parametrize("depth", [3, 4])
def test_multipath_weights_hold_the_published_strengths(depth):
    start = multipath_start(depth)
    published = [0.013411, 0.012567, 0.012302, 0.011853, 0.011820, 0.011586, 0.011521, 0.011389]
    np.testing.assert_allclose(start.strengths, published, atol=6e-7)
    total = np.linalg.multi_dot([layer.astype(float) for layer in reversed(start.layers)])
    in_basis = start.left.T @ total @ start.right
    np.testing.assert_allclose(in_basis, np.diag(start.strengths), atol=1e-8)
    spectrum = (start.left * start.singular_values) @ start.right.T
    np.testing.assert_allclose(spectrum, start.targets, atol=1e-6)  # the basis was printed in float32


def test_completion_weights():
    """The authors assert both of these in ``main.py``."""
    start = completion_start(3)
    seen = np.concatenate([matrix[start.mask == 1] for matrix in (start.first, start.second)])
    assert seen.size == 4000
    assert 0.8 < np.sqrt(np.mean(seen**2)) < 1.2
    norm = np.linalg.norm(np.linalg.multi_dot([layer.astype(float) for layer in reversed(start.layers)]))
    assert 0.8 < norm / (1e-3 * np.sqrt(100)) < 1.2
    assert np.linalg.matrix_rank(start.second, rtol=1e-5) == 5  # the code multiplies its factors in float32
