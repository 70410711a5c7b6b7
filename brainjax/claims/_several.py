"""Claims about many cells of a grid at once: samples that must all pass, and means that must all be those of a law."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from brainjax.claims._claim import FAILS, HOLDS, INCONCLUSIVE, Claim

__all__ = ["everywhere", "follows_law"]


def everywhere(
    judged: Callable[..., Claim],
    name: str,
    statement: str,
    source: str,
    samples: Mapping[str, Any],
    *,
    confidence: float = 0.95,
    **bounds: Any,
) -> Claim:
    """Claims the same of several samples, all of which must pass.

    Holds when all hold, fails when any fails, each judged at Bonferroni's confidence. The measured value is that of the
    worst sample, and the detail says which it is.

    Args:
        judged: How each is judged: `greater`, `below` or `within`.
        name: Of the claim, like ``statement`` and ``source``: see :class:`Claim`.
        statement: What is claimed.
        source: Where.
        samples: One value per seed, ``(seeds,)``, by the name of the cell.
        confidence: Of all intervals together.
        **bounds: Passed to ``judged``, such as ``than``, ``low``, ``high`` and ``unit``.

    Raises:
        ValueError: If there are no samples.
    """
    if not samples:
        raise ValueError("samples must hold at least one cell, got none")
    each = 1.0 - (1.0 - confidence) / len(samples)
    found = {cell: judged(name, statement, source, x, confidence=each, **bounds) for cell, x in samples.items()}
    order = {FAILS: 0, INCONCLUSIVE: 1, HOLDS: 2}

    def room(claim: Claim) -> float:
        low, high = (bounds.get(end, default) for end, default in (("low", -math.inf), ("high", math.inf)))
        if "than" in bounds and np.ndim(bounds["than"]) == 0:
            low, high = (bounds["than"], high) if claim.expected.startswith(">") else (low, bounds["than"])
        return min(claim.low - low, high - claim.high)

    cell, worst = min(found.items(), key=lambda item: (order[item[1].verdict], room(item[1])))
    held = sum(claim.verdict == HOLDS for claim in found.values())
    said = f"{held} of {len(found)} hold; shown: {cell}"
    return dataclasses.replace(worst, detail="; ".join(text for text in (worst.detail, said) if text))


def follows_law(
    name: str, statement: str, source: str, samples: Mapping[str, Any], law: Mapping[str, float], *, errors: float = 4.0
) -> Claim:
    """Claims that the mean over seeds is the number of an exact law, to some standard errors, in every cell of a grid.

    Fails when any cell is further from the law. Holds only if that had a chance to show: ``errors`` standard errors
    must be below a fifth of the law in every cell. The detail says how often chance alone would refuse a right law
    (Bonferroni, Student). A standard error is never smaller than the rounding of the samples.

    Args:
        name: Of the claim, like ``statement`` and ``source``: see :class:`Claim`.
        statement: What is claimed.
        source: Where.
        samples: One value per seed, ``(seeds,)``, by the name of the cell.
        law: The law's number in each of these cells, not zero.
        errors: How many standard errors are allowed.

    Raises:
        ValueError: If there are no samples, or the law lacks a cell or is zero in one.
    """
    from scipy.stats import t

    if not samples:
        raise ValueError("samples must hold at least one cell, got none")
    wrong = [cell for cell in samples if cell not in law or not float(law[cell])]
    if wrong:
        raise ValueError(f"law must be given and not be zero in every cell, got none or zero for {wrong[0]}")
    rows = np.array([np.asarray(x) for x in samples.values()])
    n, eps = rows.shape[1], np.finfo(rows.dtype).eps
    ratios = rows.astype(np.float64) / np.array([[float(law[cell])] for cell in samples]) - 1
    mean, error = ratios.mean(1), np.maximum(ratios.std(1, ddof=1) / math.sqrt(n), eps)
    apart = np.abs(mean) / error
    worst = int(np.argmax(apart))
    enough = HOLDS if errors * error.max() < 0.2 else INCONCLUSIVE
    verdict = INCONCLUSIVE if not np.isfinite(apart).all() else enough if apart[worst] < errors else FAILS
    chance = min(1.0, 2.0 * len(mean) * float(t.sf(errors, n - 1)))
    return Claim(
        name,
        statement,
        source,
        expected=f"0 within {errors:g} s.e., everywhere",
        mean=float(mean[worst]),
        low=float((mean - errors * error)[worst]),
        high=float((mean + errors * error)[worst]),
        n=n,
        verdict=verdict,
        unit="measured / law - 1, where furthest",
        detail=f"{len(mean)} cells; furthest at {list(samples)[worst]}, {apart[worst]:.2g} s.e.; "
        f"{errors:g} s.e. are at most {errors * error.max():.2g}; by chance once in {1 / chance:.3g}",
    )
