"""Comparison with numbers that others report: a mean, a standard deviation, and of how many runs."""

import dataclasses
import math
from typing import Unpack

import numpy as np

from brainjax.claims._claim import Claim
from brainjax.claims._judge import About, Number, Numbers, within

__all__ = ["agrees_with"]


def agrees_with(
    name: str,
    statement: str,
    source: str,
    samples: Numbers,
    *,
    mean: Number,
    deviation: Number,
    runs: int,
    margin: Number,
    confidence: Number = 0.95,
    **about: Unpack[About],
) -> Claim:
    r"""Claims that the mean over seeds differs from a reported mean by at most a margin (an equivalence test).

    The runs of the report are not the seeds: nothing is paired. The interval of the difference is Welch's,

    .. math:: \bar x - \bar y \pm t_\nu \sqrt{s_x^2/n + s_y^2/m}, \qquad
       \nu = \frac{(s_x^2/n + s_y^2/m)^2}{(s_x^2/n)^2/(n-1) + (s_y^2/m)^2/(m-1)} .

    Holds when all of it lies within the margin, fails when it lies outside entirely.

    Args:
        name: Of the claim, like ``statement`` and ``source``: see :class:`Claim`.
        statement: What is claimed.
        source: Where.
        samples: One value per seed, ``(seeds,)``; those that are not finite are left out and counted.
        mean: The reported one.
        deviation: The reported standard deviation over runs.
        runs: How many these were, at least 2.
        margin: The largest difference that is called agreement, stated beforehand.
        confidence: Of the interval.
        about: ``unit`` and ``detail`` of the :class:`Claim`.

    Raises:
        ValueError: if ``runs`` is below 2, or ``deviation`` or ``margin`` is negative.
    """
    if runs < 2:
        raise ValueError(f"runs must be 2 or more, got {runs}")
    if deviation < 0 or margin < 0:
        raise ValueError(f"deviation and margin must not be negative, got {deviation} and {margin}")
    values = np.asarray(samples, dtype=np.float64) - float(mean)
    plain = within(name, statement, source, values, low=-margin, high=margin, confidence=confidence, **about)
    said = f"reported: {mean:g} ± {deviation:g} (sd of {runs} runs); Welch's interval of the difference"
    detail = "; ".join(text for text in (plain.detail, said) if text)
    if plain.n < 2:
        return dataclasses.replace(plain, detail=detail)
    from scipy.special import stdtrit

    own = float(np.var(values[np.isfinite(values)], ddof=1)) / plain.n
    theirs = float(deviation) ** 2 / runs
    both = own + theirs
    freedom = both**2 / (own**2 / (plain.n - 1) + theirs**2 / (runs - 1)) if both > 0 else math.inf
    half = float(stdtrit(freedom, 0.5 + confidence / 2)) * math.sqrt(both) if both > 0 else 0.0
    inside, apart = abs(plain.mean) + half <= margin, abs(plain.mean) - half > margin
    verdict = "holds" if inside else "fails" if apart else "inconclusive"
    return dataclasses.replace(plain, low=plain.mean - half, high=plain.mean + half, verdict=verdict, detail=detail)
