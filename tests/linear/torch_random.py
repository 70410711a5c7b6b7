"""PyTorch's normal numbers on a CPU, in numpy: so that a test can begin from exactly the authors' random weights.

A generator is MT19937 seeded as numpy's legacy one. A float32 tensor of 16 entries or more is filled with uniform
numbers of 24 bits, which the Box-Muller transform turns into normal ones in blocks of 16: the first eight of a block
give the radii, the last eight the angles. If the size is no multiple of 16, the last 16 entries are drawn anew.
"""

import numpy as np

__all__ = ["TorchGenerator"]


class TorchGenerator:
    """The default generator of PyTorch after ``torch.manual_seed(seed)``."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.RandomState(seed)._bit_generator  # RandomState: the legacy way of seeding

    def _uniform(self, size: int) -> np.ndarray:
        return (self._bits.random_raw(size) & (2**24 - 1)).astype(np.float32) * np.float32(2**-24)

    def randn(self, *shape: int) -> np.ndarray:
        """``torch.randn(*shape)`` in float32, to rounding; at least 16 entries."""
        size = int(np.prod(shape))
        if size < 16:
            raise ValueError(f"shape must hold 16 entries or more (smaller tensors are drawn otherwise), got {shape}")
        flat = self._uniform(size)
        whole = size - size % 16
        flat[:whole] = _box_muller(flat[:whole])
        if size % 16:
            flat[-16:] = _box_muller(self._uniform(16))
        return flat.reshape(shape)

    def orthogonal(self, rows: int, columns: int) -> np.ndarray:
        """``torch.nn.init.orthogonal_`` of an empty float32 matrix."""
        flat = self.randn(rows, columns)
        q, r = np.linalg.qr((flat if rows >= columns else flat.T).astype(np.float64))
        q = q * np.sign(np.diag(r))
        return (q if rows >= columns else q.T).astype(np.float32)


def _box_muller(uniform: np.ndarray) -> np.ndarray:
    blocks = uniform.astype(np.float64).reshape(-1, 2, 8)
    radius = np.sqrt(-2 * np.log1p(-blocks[:, 0]))
    angle = 2 * np.pi * blocks[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1).astype(np.float32)
