"""The initial state of the published code of :cite:`kleinman2024`, commit c3c1f47, rebuilt without PyTorch.

What the code draws depends on its generators only, except for one thing: the singular vectors of the hierarchical task,
which are not unique (three singular values are shared). Those that torch 2.13.0 (CPU, MKL) chose are below.
"""

from typing import NamedTuple

import numpy as np

from tests.linear.torch_random import TorchGenerator

__all__ = ["CompletionStart", "MultipathStart", "completion_start", "multipath_start"]


class CompletionStart(NamedTuple):
    """Where ``matrixcompletion/main.py`` begins. The code's end-to-end matrix is the product of ``layers``."""

    first: np.ndarray  # matrix of task 1, (n, n)
    second: np.ndarray  # matrix of task 2, (n, n)
    observed: np.ndarray  # row * n + column of the observed entries, in the order in which they were drawn
    mask: np.ndarray  # 1 where observed, (n, n)
    layers: list[np.ndarray]  # float32; the one that acts first is first, so that the product is W_D ... W_1


class MultipathStart(NamedTuple):
    """Where a run of ``multipath/*.py`` begins; both paths start from the same layers."""

    layers: list[np.ndarray]  # float32, the input's first: (100, 8), (100, 100), ..., (15, 100)
    strengths: np.ndarray  # diagonal of U^T Omega V of a path, (8,)
    left: np.ndarray  # U, the first eight columns, (15, 8)
    right: np.ndarray  # V, (8, 8)
    singular_values: np.ndarray  # of Y^T, (8,)
    targets: np.ndarray  # Y^T, (15, 8); the inputs are the identity


def completion_start(
    depth: int,
    *,
    ranks: tuple[int, int] = (10, 5),
    count: int = 2000,
    n: int = 100,
    init_scale: float = 1e-3,
    seed: int = 1,
) -> CompletionStart:
    """Data and Gaussian weights of ``main.py``; its ``us, vs`` are ``divmod(observed, n)``.

    ``main-num-examples.py`` draws alike: give its larger number as ``count`` and take the first entries of ``observed``
    for its first task.
    """
    numbers = np.random.RandomState(seed)
    matrices = []
    for rank in ranks:
        factors = [numbers.randn(n, rank).astype(np.float32) for _ in range(2)]
        matrix = factors[0] @ factors[1].T / np.sqrt(rank)
        matrices.append(matrix / np.linalg.norm(matrix) * n)
    first, second = matrices
    observed = TorchGenerator(seed).choose(n * n, count)
    mask = np.zeros(n * n)
    mask[observed] = 1
    torch = TorchGenerator(seed)  # the weights are drawn after seeding again
    weights = [torch.randn(n, n) * np.float32(init_scale ** (1 / depth) * n**-0.5) for _ in range(depth)]
    return CompletionStart(
        first, second, observed, mask.reshape(n, n), [weight.T.copy() for weight in reversed(weights)]
    )


def multipath_start(
    depth: int, *, run: int = 0, width: int = 100, eps: float = 0.01, noise: float = 0.1, seed: int = 0
) -> MultipathStart:
    """Weights at the start of run number ``run`` (0 early, 1 middle, 2 late) of Figures 2 (depth 4), 3, 11, 12 (3).

    The runs share the strengths. The rotation of the hidden units is drawn anew; only non-linear paths depend on it.
    """
    torch = TorchGenerator(seed)
    drawn = np.sort((torch.randn(width) * np.float32(noise) + np.float32(1)) * np.float32(eps))[::-1]
    rotation = np.eye(width)
    for _ in range(run + 1):
        torch.orthogonal(width, 8)  # drawn by the code and not used
        rotation = torch.orthogonal(width, width).astype(float)
        torch.skip(2 * width * (8 + (depth - 2) * width + 15))  # nn.Linear draws weights that are then replaced
    tree = np.vstack([np.kron(np.eye(groups), np.ones(8 // groups)) for groups in (1, 2, 4, 8)])
    right = _singular_basis()
    singular_values = np.sqrt([15.0, 7, 3, 3, 1, 1, 1, 1])
    left = tree @ right / singular_values
    each = np.diag(drawn.astype(float) ** (1 / depth))
    layers = [rotation @ each[:, :8] @ right.T]
    layers += [rotation @ each @ rotation.T] * (depth - 2)
    layers += [left @ each[:8] @ rotation.T]
    layers = [layer.astype(np.float32) for layer in layers]
    return MultipathStart(layers, drawn[:8].astype(float), left, right, singular_values, tree)


def _singular_basis() -> np.ndarray:
    """V of ``torch.svd(Y.T / 8, some=False)``: in the last eigenspace each column has opposite signs within a pair."""
    differences = np.array(
        [
            [0, 0, 0.70710695, 0],
            [-0.70420289, 0.02306193, 0, 0.05972020],
            [0.04526772, -0.28705075, 0, 0.64463353],
            [-0.04526780, -0.64580953, 0, -0.28439546],
        ]
    )
    differences /= np.linalg.norm(differences, axis=0)
    half = np.sqrt(0.5)
    halves = np.kron([[1, 1], [1, -1]], np.ones((4, 1))) * [
        -half / 2,
        -half / 2,
    ]  # all alike; one half against the other
    quarters = np.kron([[0, -0.5], [0, 0.5], [0.5, 0], [-0.5, 0]], np.ones((2, 1)))
    return np.hstack([halves, quarters, np.kron(differences * half, [[1.0], [-1.0]])])
