"""From samples to verdicts: intervals over seeds, orders of levels, spreads, and discretisation errors."""

import dataclasses
import itertools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np

from brainjax.claims._claim import FAILS, HOLDS, INCONCLUSIVE, Claim

Numbers = Any  # whatever numpy.asarray takes: a number, a list, an array, an xarray.DataArray
Number = float | int | np.number
Estimate = tuple[float, float, float, int, int]  # mean, low, high, seeds used, samples left out


class About(TypedDict, total=False):
    """What a constructor passes on to the claim as it is."""

    unit: str
    detail: str


class Head(NamedTuple):
    """What a claim says, before anything is measured."""

    name: str
    statement: str
    source: str
    unit: str = ""
    detail: str = ""

    def noting(self, text: str) -> "Head":
        return self._replace(detail="; ".join(t for t in (self.detail, text) if t))


def interval(samples: Numbers, *, confidence: Number = 0.95) -> tuple[float, float, float, int, int]:
    r"""Mean over seeds with its Student interval: :math:`\bar x \pm t_{n-1}\, s/\sqrt{n}`.

    The half-width is never smaller than the rounding of the samples (their machine epsilon times the largest one), so
    that identical samples do not pretend to infinite precision. Samples that are not finite are left out and counted.

    Returns:
        ``(mean, low, high, n, excluded)``; ends are NaN when fewer than two samples are finite.
    """
    values, eps = _samples(samples, "samples")
    _check_confidence(confidence)
    finite = values[np.isfinite(values)]
    n, excluded = finite.size, values.size - finite.size
    if n == 0:
        return math.nan, math.nan, math.nan, 0, excluded
    mean = float(finite.mean())
    if n == 1:
        return mean, math.nan, math.nan, 1, excluded
    half = _student(confidence, n - 1) * float(finite.std(ddof=1)) / math.sqrt(n)
    half = max(half, eps * float(np.abs(finite).max()))
    return mean, mean - half, mean + half, n, excluded


def greater(
    name: str,
    statement: str,
    source: str,
    samples: Numbers,
    *,
    than: Numbers = 0.0,
    confidence: Number = 0.95,
    **about: Unpack[About],
) -> Claim:
    """Claims that the mean over seeds is greater than a number, or than a second sample paired by seed.

    Args:
        name: Of the claim, like ``statement`` and ``source``: see :class:`Claim`.
        statement: What is claimed.
        source: Where.
        samples: One value per seed, ``(seeds,)``.
        than: A number, or one value per seed in the same order: then the interval is that of the paired differences.
        confidence: Of the interval.
        about: ``unit`` and ``detail`` of the :class:`Claim`.
    """
    return _one_sided(Head(name, statement, source, **about), samples, than, ">", confidence)


def below(
    name: str,
    statement: str,
    source: str,
    samples: Numbers,
    *,
    than: Numbers = 0.0,
    confidence: Number = 0.95,
    **about: Unpack[About],
) -> Claim:
    """Claims that the mean over seeds is below a number, or below a second sample paired by seed; see `greater`."""
    return _one_sided(Head(name, statement, source, **about), samples, than, "<", confidence)


def within(
    name: str,
    statement: str,
    source: str,
    samples: Numbers,
    *,
    low: Number,
    high: Number,
    confidence: Number = 0.95,
    **about: Unpack[About],
) -> Claim:
    """Claims that the mean over seeds lies in ``[low, high]``, a bound stated beforehand (an equivalence test).

    Holds when the whole interval lies inside, fails when it lies entirely outside.
    """
    _check_bounds(low, high)
    return _decide(Head(name, statement, source, **about), interval(samples, confidence=confidence), low, high)


def increasing(
    name: str,
    statement: str,
    source: str,
    samples_by_level: Mapping[Any, Numbers] | Numbers,
    *,
    confidence: Number = 0.95,
    **about: Unpack[About],
) -> Claim:
    """Claims that the mean over seeds grows at every step from one level to the next.

    Consecutive levels are compared by differences paired by seed, with Bonferroni intervals over the steps. Holds when
    every interval is above zero, fails when any is below. The measured value is that of the decisive step.

    Args:
        name: Of the claim, like ``statement`` and ``source``: see :class:`Claim`.
        statement: What is claimed.
        source: Where.
        samples_by_level: ``{level: (seeds,)}`` in the order claimed, or an array ``(levels, seeds)``.
        confidence: Of all steps together.
        about: ``unit`` and ``detail`` of the :class:`Claim`.
    """
    return _ordered(Head(name, statement, source, **about), samples_by_level, 1, confidence)


def decreasing(
    name: str,
    statement: str,
    source: str,
    samples_by_level: Mapping[Any, Numbers] | Numbers,
    *,
    confidence: Number = 0.95,
    **about: Unpack[About],
) -> Claim:
    """Claims that the mean over seeds falls at every step from one level to the next; see `increasing`."""
    return _ordered(Head(name, statement, source, **about), samples_by_level, -1, confidence)


def spread_increasing(
    name: str,
    statement: str,
    source: str,
    samples_by_level: Mapping[Any, Numbers] | Numbers,
    *,
    confidence: Number = 0.95,
    **about: Unpack[About],
) -> Claim:
    r"""Claims that the standard deviation over seeds grows at every step from one level to the next.

    The interval of each ratio of consecutive standard deviations is a Student interval of its logarithm with the
    jackknife standard error over seeds (levels stay paired by seed; no normality is assumed), Bonferroni over steps.
    """
    return _spread(Head(name, statement, source, **about), samples_by_level, 1, confidence)


def spread_decreasing(
    name: str,
    statement: str,
    source: str,
    samples_by_level: Mapping[Any, Numbers] | Numbers,
    *,
    confidence: Number = 0.95,
    **about: Unpack[About],
) -> Claim:
    """Claims that the standard deviation over seeds falls at every step; see `spread_increasing`."""
    return _spread(Head(name, statement, source, **about), samples_by_level, -1, confidence)


def deterministic(
    name: str,
    statement: str,
    source: str,
    value: Numbers,
    error: Numbers,
    *,
    low: Number = -math.inf,
    high: Number = math.inf,
    **about: Unpack[About],
) -> Claim:
    """Claims that a value without randomness lies between bounds, given its discretisation error.

    Args:
        name: Of the claim, like ``statement`` and ``source``: see :class:`Claim`.
        statement: What is claimed.
        source: Where.
        value: A number; or several, which must all lie between the bounds (the decisive one is shown).
        error: Its discretisation error, of the same shape, e.g. from `halving_error`.
        low: Lower bound; alone it is strict (``> low``), with ``high`` it is included.
        high: Upper bound, likewise.
        about: ``unit`` and ``detail`` of the :class:`Claim`.
    """
    _check_bounds(low, high)
    if math.isinf(low) and math.isinf(high):
        raise ValueError("deterministic needs low, high or both: without a bound the claim cannot fail")
    values, errors = (np.ravel(np.asarray(x, dtype=np.float64)) for x in (value, error))
    if values.size == 0 or values.shape != errors.shape:
        raise ValueError(f"value and error must have the same shape; got {values.size} and {errors.size} numbers")
    if np.any(errors < 0):
        raise ValueError(f"error must not be negative; got {errors.min():g}")
    head = Head(name, statement, source, **about)
    claims = []
    for v, e in zip(values.tolist(), errors.tolist(), strict=True):
        known = math.isfinite(v) and math.isfinite(e)
        said = head if known else head.noting("the value or its discretisation error is not finite")
        ends = (v - e, v + e) if known else (math.nan, math.nan)
        claims.append(_decide(said, (v, *ends, 0, 0), low, high))
    worst = _decisive(claims, low, high)
    if len(claims) > 1:
        held = sum(c.verdict == HOLDS for c in claims)
        said = head._replace(detail=worst.detail).noting(f"{held} of {len(claims)} values hold")
        worst = dataclasses.replace(worst, detail=said.detail)
    return worst


def halving_error(coarse: Numbers, fine: Numbers, *, order: int = 1) -> np.ndarray:
    r"""Discretisation error of ``fine`` from the same quantity at twice its step, ``coarse``.

    .. math:: |x_h - x| \approx |x_{2h} - x_h| / (2^p - 1)

    for a method of order :math:`p` (Euler: 1), by Richardson's argument; valid once the error falls as :math:`h^p`.
    """
    if order < 1:
        raise ValueError(f"order must be at least 1; got {order}")
    difference = np.asarray(coarse, dtype=np.float64) - np.asarray(fine, dtype=np.float64)
    return np.asarray(np.abs(difference) / (2.0**order - 1.0))


def _samples(samples: Numbers, what: str) -> tuple[np.ndarray, float]:
    """Samples over seeds as float64 ``(seeds,)``, and the machine epsilon of the type they came in."""
    array = np.asarray(samples)
    if array.ndim != 1:
        raise ValueError(f"{what} must have one value per seed, shape (seeds,); got shape {array.shape}")
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{what} must be real numbers; got {array.dtype}")
    eps = float(np.finfo(array.dtype if array.dtype.kind == "f" else np.float64).eps)
    return array.astype(np.float64), eps


def _student(confidence: Number, df: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(df, 0.5 + confidence / 2.0))


def _check_confidence(confidence: Number) -> None:
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1; got {confidence}")


def _check_bounds(low: Number, high: Number) -> None:
    if not low <= high:
        raise ValueError(f"low must not exceed high; got low={low}, high={high}")


def _decide(head: Head, estimate: Estimate, lower: Number, upper: Number) -> Claim:
    """The verdict of one interval: one bound is strict, two bounds are included."""
    mean, low, high, n, excluded = estimate
    if math.isinf(upper):
        expected, inside = f"> {lower:.4g}", low > lower
    elif math.isinf(lower):
        expected, inside = f"< {upper:.4g}", high < upper
    else:
        expected, inside = f"in [{lower:.4g}, {upper:.4g}]", lower <= low and high <= upper
    if math.isnan(low) or math.isnan(high):
        verdict = INCONCLUSIVE
        if not head.detail or n or excluded:
            head = head.noting(f"{n} finite seed{'' if n == 1 else 's'}: too few for an interval")
    elif inside:
        verdict = HOLDS
    elif high < lower or low > upper:
        verdict = FAILS
    else:
        verdict = INCONCLUSIVE
    name, statement, source, unit, detail = head
    return Claim(name, statement, source, expected, mean, low, high, n, verdict, unit, detail, excluded)


def _one_sided(head: Head, samples: Numbers, than: Numbers, sign: str, confidence: Number) -> Claim:
    values, other = np.asarray(samples), np.asarray(than)
    bound = 0.0
    if other.ndim == 0:
        bound = float(other)
    elif other.shape == values.shape:
        values, head = values - other, head.noting("differences paired by seed")
    else:
        raise ValueError(f"than must be a number or match samples, shape {values.shape}; got shape {other.shape}")
    lower, upper = (bound, math.inf) if sign == ">" else (-math.inf, bound)
    return _decide(head, interval(values, confidence=confidence), lower, upper)


def _levels(samples_by_level: Mapping[Any, Numbers] | Numbers) -> tuple[list[str], list[np.ndarray], float]:
    """Names of the steps between levels, the samples of the levels ``(seeds,)``, and their machine epsilon."""
    if isinstance(samples_by_level, Mapping):
        names, rows = [str(k) for k in samples_by_level], list(samples_by_level.values())
    else:
        array = np.asarray(samples_by_level)
        if array.ndim != 2:
            raise ValueError(f"samples_by_level must have shape (levels, seeds); got shape {array.shape}")
        names, rows = [str(i) for i in range(array.shape[0])], list(array)
    if len(rows) < 2:
        raise ValueError(f"an order needs at least two levels; got {len(rows)}")
    checked = [_samples(row, f"samples of level {label}") for label, row in zip(names, rows, strict=True)]
    sizes = {values.size for values, _ in checked}
    if len(sizes) > 1:
        raise ValueError(f"levels are paired by seed and need the same number of seeds; got {sorted(sizes)}")
    steps = [f"{a}→{b}" for a, b in itertools.pairwise(names)]
    return steps, [values for values, _ in checked], max(eps for _, eps in checked)


def _bonferroni(confidence: Number, comparisons: int) -> float:
    _check_confidence(confidence)
    return 1.0 - (1.0 - confidence) / comparisons


def _ordered(head: Head, samples_by_level: Any, sign: int, confidence: Number) -> Claim:
    steps, rows, _ = _levels(samples_by_level)
    each = _bonferroni(confidence, len(steps))
    estimates = [interval(y - x, confidence=each) for x, y in itertools.pairwise(rows)]
    return _all_steps(head, steps, estimates, 0.0, sign)


def _spread(head: Head, samples_by_level: Any, sign: int, confidence: Number) -> Claim:
    steps, rows, eps = _levels(samples_by_level)
    each = _bonferroni(confidence, len(steps))
    estimates = [_sd_ratio(x, y, eps, each) for x, y in itertools.pairwise(rows)]
    flat = [s for s, e in zip(steps, estimates, strict=True) if e[3] >= 3 and math.isnan(e[1])]
    if flat:
        head = head.noting(f"no ratio at {', '.join(flat)}: the spread of a level is zero or rests on one seed")
    return _all_steps(head, steps, estimates, 1.0, sign)


def _sd_ratio(x: np.ndarray, y: np.ndarray, eps: float, confidence: Number) -> Estimate:
    """sd(y)/sd(x) over the seeds finite in both, with the jackknife interval of its logarithm."""
    both = np.isfinite(x) & np.isfinite(y)
    n, excluded = int(both.sum()), int(x.size - both.sum())
    if n < 3:
        return math.nan, math.nan, math.nan, n, excluded
    logs, held_out = [], []
    for v in (x[both], y[both]):
        squares = (v - v.mean()) ** 2
        total = squares.sum()
        without = total - squares * n / (n - 1)  # sum of squares of the others about their own mean
        if without.min() <= n * (eps * np.abs(v).max()) ** 2:
            return math.nan, math.nan, math.nan, n, excluded
        logs.append(0.5 * math.log(total / (n - 1)))
        held_out.append(0.5 * np.log(without / (n - 2)))
    estimate, left = logs[1] - logs[0], held_out[1] - held_out[0]
    error = math.sqrt((n - 1) / n * float(((left - left.mean()) ** 2).sum()))
    half = _student(confidence, n - 1) * error
    return math.exp(estimate), math.exp(estimate - half), math.exp(estimate + half), n, excluded


def _all_steps(head: Head, steps: list[str], estimates: list[Estimate], bound: float, sign: int) -> Claim:
    """One claim from the intervals of several steps, each of which must lie on the claimed side of the bound."""
    lower, upper = (bound, math.inf) if sign > 0 else (-math.inf, bound)
    worst = _decisive([_decide(head, estimate, lower, upper) for estimate in estimates], lower, upper)
    if len(steps) == 1:
        return worst
    shown = ", ".join(
        f"{step}: {m:.3g} [{low:.3g}, {high:.3g}]" for step, (m, low, high, _, _) in zip(steps, estimates, strict=True)
    )
    return dataclasses.replace(
        worst,
        expected=f"{worst.expected} at each of {len(steps)} steps",
        detail=head._replace(detail=worst.detail).noting(shown).detail,
        excluded=max(estimate[4] for estimate in estimates),
    )


def _decisive(claims: list[Claim], lower: Number, upper: Number) -> Claim:
    """The claim that settles a conjunction: the worst failure, else something unknown, else the tightest."""
    order = {FAILS: 0, INCONCLUSIVE: 1, HOLDS: 2}

    def room(c: Claim) -> float:
        return -math.inf if math.isnan(c.low) else min(c.low - lower, upper - c.high)

    return min(claims, key=lambda c: (order[c.verdict], room(c)))
