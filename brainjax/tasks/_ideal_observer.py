r"""What nobody can beat: the accuracy of the ideal observer of a decision task, and the floor of its cross entropy.

The ideal observer knows the task and its parameters and sees all inputs. Of the evidence only the sum over the stimulus
steps of the difference of the two channels matters; divided by its standard deviation, :math:`\sigma\sqrt{2n}` for
:math:`n` steps, it is normal with variance 1 and mean :math:`\pm d`, the plus sign on one side and the minus sign on
the other, with the sensitivity

.. math:: d = \frac{c}{100} \frac{1}{\sigma} \sqrt{\frac n2}.

The floor is the mean over trials of :math:`-\log` of the posterior probability of the right choice, at the decision; at
every other step the right answer is certain. Averaged over the steps of a trial, it is multiplied by the share of
decision steps. All formulas of this module are our own derivation.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp, ndtr

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, Scalar, as_floats, is_concrete
from brainjax.tasks._decisions import CONTEXT_COHERENCES, TWO_COHERENCES, check_percentages

__all__ = [
    "context_accuracy",
    "context_floor",
    "match_accuracy",
    "match_floor",
    "two_alternative_accuracy",
    "two_alternative_floor",
]

_REACH = 8.5
"""Where the quadrature ends, in standard deviations: what lies outside has probability 2e-17."""


def two_alternative_accuracy(
    *,
    noise: ArrayLike = 0.1,
    coherences: ArrayLike | Sequence[float] = TWO_COHERENCES,
    stimulus: ArrayLike = 7,
) -> Scalar:
    r"""Accuracy of the ideal observer in two-alternative choice, :math:`\langle \Phi(d_c) \rangle_c`.

    The best choice is the side with more evidence whatever the coherence, so the observer need not know it.

    Args:
        noise: standard deviation of the noise per channel and step, above zero; may be traced.
        coherences: percentages, equally likely, of shape (coherences,); may be traced.
        stimulus: number of stimulus steps, one or more; may be traced.

    Returns:
        The probability of a right choice.

    Raises:
        ValueError: if the noise is not positive, a coherence is outside 0 to 100, or there is no stimulus.
    """
    return jnp.mean(ndtr(_sensitivities(noise, coherences, stimulus)))


def two_alternative_floor(
    *,
    noise: ArrayLike = 0.1,
    coherences: ArrayLike | Sequence[float] = TWO_COHERENCES,
    stimulus: ArrayLike = 7,
    decision: ArrayLike = 1,
    steps: ArrayLike = 8,
) -> Scalar:
    r"""The lowest mean cross entropy in two-alternative choice, in nats per step.

    The coherence is not shown, so the posterior odds of the two sides are those of two mixtures,

    .. math:: \Lambda(z) = \log \sum_c e^{d_c z - d_c^2/2} - \log \sum_c e^{-d_c z - d_c^2/2},

    and the floor is :math:`\langle \mathbb E_{z \sim N(d_c, 1)} \log(1 + e^{-\Lambda(z)}) \rangle_c` times the share of
    decision steps. The integral is a trapezoidal sum, which converges geometrically here.

    Args:
        noise: standard deviation of the noise per channel and step, above zero; may be traced.
        coherences: percentages, equally likely, of shape (coherences,); may be traced.
        stimulus: number of stimulus steps, one or more; may be traced.
        decision: number of decision steps.
        steps: number of steps over which the loss is averaged.

    Returns:
        The floor.

    Raises:
        ValueError: if the noise is not positive, a coherence is outside 0 to 100, there is no stimulus, or the trial
            has fewer steps than its decision.
    """
    d = _sensitivities(noise, coherences, stimulus)
    y, weights = _normal_rule(1025, d.dtype)
    z = d[:, None] + y[None, :]
    exponents = d[:, None, None] * z[None, :, :], d[:, None, None] ** 2 / 2
    odds = logsumexp(exponents[0] - exponents[1], 0) - logsumexp(-exponents[0] - exponents[1], 0)
    return jnp.mean(jax.nn.softplus(-odds) @ weights) * _share(decision, steps, d.dtype)


def context_accuracy(
    *,
    noise: ArrayLike = 0.1,
    coherences: ArrayLike | Sequence[float] = CONTEXT_COHERENCES,
    stimulus: ArrayLike = 2,
) -> Scalar:
    """Accuracy of the ideal observer in context-dependent decision: that of two-alternative choice.

    The context cue is free of noise at the decision at least, and the other modality says nothing about the choice.

    Args:
        noise: standard deviation of the noise per channel and step, above zero; may be traced.
        coherences: percentages, equally likely, of shape (coherences,); may be traced.
        stimulus: number of stimulus steps, one or more; may be traced.

    Returns:
        The probability of a right choice.

    Raises:
        ValueError: as `two_alternative_accuracy`.
    """
    return two_alternative_accuracy(noise=noise, coherences=coherences, stimulus=stimulus)


def context_floor(
    *,
    noise: ArrayLike = 0.1,
    coherences: ArrayLike | Sequence[float] = CONTEXT_COHERENCES,
    stimulus: ArrayLike = 2,
    decision: ArrayLike = 1,
    steps: ArrayLike = 8,
) -> Scalar:
    """The lowest mean cross entropy in context-dependent decision: that of two-alternative choice, in nats per step.

    Args:
        noise: standard deviation of the noise per channel and step, above zero; may be traced.
        coherences: percentages, equally likely, of shape (coherences,); may be traced.
        stimulus: number of stimulus steps, one or more; may be traced.
        decision: number of decision steps.
        steps: number of steps over which the loss is averaged.

    Returns:
        The floor.

    Raises:
        ValueError: as `two_alternative_floor`.
    """
    return two_alternative_floor(noise=noise, coherences=coherences, stimulus=stimulus, decision=decision, steps=steps)


def match_accuracy(*, noise: ArrayLike = 0.1, sample: ArrayLike = 1, test: ArrayLike = 1) -> Scalar:
    r"""Accuracy of the ideal observer in delayed match-to-sample.

    The best choice compares the signs of the evidence in sample and test. It is right if both signs are right or both
    are wrong: :math:`1 - \Phi(d_1) \Phi(-d_2) - \Phi(-d_1) \Phi(d_2)`, with the sensitivities of sample and test at
    coherence 100.

    Args:
        noise: standard deviation of the noise per channel and step, above zero; may be traced.
        sample: number of steps of the sample, one or more; may be traced.
        test: number of steps of the test, one or more; may be traced.

    Returns:
        The probability of a right choice.

    Raises:
        ValueError: if the noise is not positive, or sample or test is empty.
    """
    first, second = _match_sensitivities(noise, sample, test)
    return 1 - ndtr(first) * ndtr(-second) - ndtr(-first) * ndtr(second)


def match_floor(
    *,
    noise: ArrayLike = 0.1,
    sample: ArrayLike = 1,
    test: ArrayLike = 1,
    decision: ArrayLike = 1,
    steps: ArrayLike = 8,
) -> Scalar:
    r"""The lowest mean cross entropy in delayed match-to-sample, in nats per step.

    With evidence :math:`a = d_1 z_1` and :math:`b = d_2 z_2` of sample and test, the odds of a match are
    :math:`\cosh(a + b) : \cosh(a - b)`. The floor is the mean of :math:`\log(1 + \cosh(a - b) / \cosh(a + b))` over
    :math:`z_i \sim N(d_i, 1)` times the share of decision steps, by a trapezoidal sum over the plane.

    Args:
        noise: standard deviation of the noise per channel and step, above zero; may be traced.
        sample: number of steps of the sample, one or more; may be traced.
        test: number of steps of the test, one or more; may be traced.
        decision: number of decision steps.
        steps: number of steps over which the loss is averaged.

    Returns:
        The floor: of the order of 1e-12 at the noise of the presets.

    Raises:
        ValueError: if the noise is not positive, sample or test is empty, or the trial has fewer steps than its
            decision.
    """
    first, second = _match_sensitivities(noise, sample, test)
    y, weights = _normal_rule(513, first.dtype)
    a, b = (first * (first + y))[:, None], (second * (second + y))[None, :]
    loss = jax.nn.softplus(_log_cosh(a - b) - _log_cosh(a + b))
    return weights @ loss @ weights * _share(decision, steps, first.dtype)


def _sensitivities(noise: ArrayLike, coherences: ArrayLike | Sequence[float], steps: ArrayLike) -> Array:
    checks.shape_of("noise", noise, ())
    checks.positive("noise", noise)
    check_percentages("coherences", coherences)
    checks.at_least("stimulus", steps, 1)
    noise, coherences, steps = as_floats(noise, coherences, steps)
    return coherences / 100 / noise * jnp.sqrt(steps / 2)


def _match_sensitivities(noise: ArrayLike, sample: ArrayLike, test: ArrayLike) -> tuple[Scalar, Scalar]:
    checks.shape_of("noise", noise, ())
    checks.positive("noise", noise)
    checks.at_least("sample", sample, 1)
    checks.at_least("test", test, 1)
    noise, sample, test = as_floats(noise, sample, test)
    return jnp.sqrt(sample / 2) / noise, jnp.sqrt(test / 2) / noise


def _share(decision: ArrayLike, steps: ArrayLike, dtype: jnp.dtype) -> Scalar:
    if is_concrete((decision, steps)) and not 0 < np.asarray(decision) <= np.asarray(steps):
        raise ValueError(f"decision must be from 1 to steps, got {decision} of {steps}")
    return jnp.asarray(decision).astype(dtype) / jnp.asarray(steps).astype(dtype)


def _normal_rule(points: int, dtype: jnp.dtype) -> tuple[Array, Array]:
    """Points and weights for a mean over the standard normal distribution, by a trapezoidal sum."""
    y = np.linspace(-_REACH, _REACH, points)
    weights = np.exp(-(y**2) / 2)
    return jnp.asarray(y, dtype), jnp.asarray(weights / weights.sum(), dtype)


def _log_cosh(x: Array) -> Array:
    return jnp.logaddexp(x, -x) - np.log(2)
