"""The replica of PyTorch's generator against numbers that torch 2.13.0 (CPU) printed."""

import numpy as np
import pytest

from tests.linear.torch_random import TorchGenerator


def test_normal_numbers():
    """``torch.manual_seed(1); torch.randn(20)[[0, 7, 8, 15, 16, 19]]``: a block of 16 and the tail that is redrawn."""
    drawn = TorchGenerator(1).randn(20)
    expected = [-1.5255959, 0.80730826, 0.43914157, -0.13162321, -0.79843974, 1.7163026]
    np.testing.assert_allclose(drawn[[0, 7, 8, 15, 16, 19]], expected, atol=2e-6)  # torch computes in float32


def test_orthogonal_matrices():
    """``torch.manual_seed(1); torch.nn.init.orthogonal_(torch.empty(4, 40))[:2, :3]``."""
    drawn = TorchGenerator(1).orthogonal(4, 40)
    expected = [[-0.26799786, -0.13179146, -0.11488329], [0.02001619, 0.0636755, -0.00850772]]
    np.testing.assert_allclose(drawn[:2, :3], expected, atol=1e-6)


def test_small_tensors_are_refused():
    with pytest.raises(ValueError, match="shape must hold 16"):
        TorchGenerator(0).randn(15)
