"""Intervals over seeds for quantities that are not means, such as the coefficients of a regression."""

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["jackknife"]


def jackknife(estimate: Callable[..., float], *samples: Any) -> np.ndarray:
    r"""Pseudo-values of an estimate over seeds, to be judged as if they were samples.

    .. math:: \tilde\theta_i = n\,\hat\theta - (n - 1)\,\hat\theta_{(-i)}

    where :math:`\hat\theta_{(-i)}` leaves seed i out. Their mean is the estimate with its bias of order :math:`1/n`
    removed, their standard error the jackknife's :cite:`tukey1958`. For the mean itself they are the samples.

    Args:
        estimate: from arrays with seeds on the first axis to a number; smooth in each seed's values (not a median).
        *samples: arrays with seeds on the first axis. A seed with a value that is not finite is left out of all.

    Returns:
        One value per seed, NaN for those left out and throughout if fewer than three remain.

    Raises:
        ValueError: if no samples are given or their numbers of seeds differ.
    """
    arrays = [np.asarray(s, dtype=np.float64) for s in samples]
    if not arrays or any(a.ndim < 1 for a in arrays) or len({a.shape[0] for a in arrays}) != 1:
        raise ValueError(f"samples must have seeds on their first axis, got shapes {[a.shape for a in arrays]}")
    some = np.all([np.isfinite(a).reshape(a.shape[0], -1).all(1) for a in arrays], axis=0)
    n, found = int(some.sum()), np.full(some.shape, np.nan)
    if n < 3:
        return found
    kept = [a[some] for a in arrays]
    whole = estimate(*kept)
    found[some] = [n * whole - (n - 1) * estimate(*(np.delete(a, i, axis=0) for a in kept)) for i in range(n)]
    return found
