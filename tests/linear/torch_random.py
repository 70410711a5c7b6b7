"""PyTorch's random numbers on a CPU, in numpy: so that a test can begin from exactly the authors' random weights.

A generator is MT19937 seeded as numpy's legacy one. How many of its 32-bit words a number costs depends on the call:

* a uniform float32 takes one word, of which it uses 24 bits;
* a float32 tensor of 16 normal numbers or more is filled with uniform ones, which the Box-Muller transform turns into
  normal ones in blocks of 16: the first eight of a block give the radii, the last eight the angles. If the size is no
  multiple of 16, the last 16 entries are drawn anew;
* a smaller one draws normal numbers in pairs from uniform doubles (two words, 53 bits), angle before radius; the
  second of a pair is kept for the next such call;
* an exponential number takes one uniform double; choosing k of n without replacement orders n exponential numbers.
"""

import numpy as np

__all__ = ["TorchGenerator"]


class TorchGenerator:
    """The default generator of PyTorch after ``torch.manual_seed(seed)``."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.RandomState(seed)._bit_generator  # RandomState: the legacy way of seeding
        self._kept: float | None = None

    def skip(self, words: int) -> None:
        """Pass over what something else has drawn: a word for each uniform float32 entry, as in ``nn.Linear(...)``."""
        self._bits.random_raw(words)

    def rand(self, *shape: int) -> np.ndarray:
        """``torch.rand(*shape)`` in float32, exactly."""
        words = self._bits.random_raw(int(np.prod(shape)))
        return ((words & (2**24 - 1)).astype(np.float32) * np.float32(2**-24)).reshape(shape)

    def randn(self, *shape: int) -> np.ndarray:
        """``torch.randn(*shape)`` in float32, to rounding; times ``std`` it is ``torch.nn.init.normal_``."""
        size = int(np.prod(shape))
        if size < 16:
            return np.array([self._normal() for _ in range(size)], np.float32).reshape(shape)
        flat = self.rand(size)
        whole = size - size % 16
        flat[:whole] = _box_muller(flat[:whole])
        if size % 16:
            flat[-16:] = _box_muller(self.rand(16))
        return flat.reshape(shape)

    def orthogonal(self, rows: int, columns: int) -> np.ndarray:
        """``torch.nn.init.orthogonal_`` of an empty float32 matrix, to rounding."""
        flat = self.randn(rows, columns)
        q, r = np.linalg.qr((flat if rows >= columns else flat.T).astype(np.float64))
        q = q * np.sign(np.diag(r))
        return (q if rows >= columns else q.T).astype(np.float32)

    def randperm(self, size: int) -> np.ndarray:
        """``torch.randperm(size)``, exactly."""
        order = np.arange(size)
        for i, word in enumerate(self._bits.random_raw(max(size - 1, 0))):
            j = i + int(word) % (size - i)
            order[[i, j]] = order[[j, i]]
        return order

    def choose(self, size: int, count: int) -> np.ndarray:
        """``torch.multinomial(torch.ones(size), count, replacement=False)``, exactly and in its order."""
        waits = -np.log1p(-self._doubles(size))
        return np.argsort(-(np.float32(1) / waits.astype(np.float32)), kind="stable")[:count]

    def _doubles(self, size: int) -> np.ndarray:
        high, low = self._bits.random_raw(2 * size).astype(np.uint64).reshape(-1, 2).T
        return ((high << np.uint64(32) | low) & np.uint64(2**53 - 1)).astype(np.float64) * 2.0**-53

    def _normal(self) -> float:
        if self._kept is not None:
            value, self._kept = self._kept, None
            return value
        turn, height = self._doubles(2)
        radius = np.sqrt(-2 * np.log1p(-height))
        self._kept = radius * np.sin(2 * np.pi * turn)
        return radius * np.cos(2 * np.pi * turn)


def _box_muller(uniform: np.ndarray) -> np.ndarray:
    blocks = uniform.astype(np.float64).reshape(-1, 2, 8)
    radius = np.sqrt(-2 * np.log1p(-blocks[:, 0]))
    angle = 2 * np.pi * blocks[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1).astype(np.float32)
