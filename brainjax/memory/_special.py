"""Special functions that JAX lacks in a form that is stable, differentiable in every argument and fast."""

import math

import jax.numpy as jnp

from brainjax.core.quadrature import integral
from brainjax.core.types import Array

__all__ = ["half_gamma_ratio", "log_sphere_mean", "wright_omega"]

# (2 - 2^{1 - 2k}) B_{2k} / (2k (2k - 1)), k = 1 ... 6: the series of ln Gamma(x + 1/2) - ln Gamma(x) - ln(x) / 2
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730)
_SERIES = tuple((2 - 2.0 ** (1 - 2 * k)) * b / (2 * k * (2 * k - 1)) for k, b in enumerate(_BERNOULLI, 1))
_SHIFT = 8


def half_gamma_ratio(x: Array) -> Array:
    r""":math:`\Gamma(x) / \Gamma(x + \tfrac12)` for :math:`x > 0`, elementwise.

    A difference of log-gamma functions loses all digits that the two have in common (0.2 % at x = 5000 in float32).
    Here the argument is shifted upwards by :math:`\Gamma(x) = \Gamma(x + 8) / (x (x + 1) \cdots (x + 7))`, where six
    terms of Stirling's series are exact to 1e-14.
    """
    shifted = x + _SHIFT
    series = jnp.zeros_like(x)
    for k, term in reversed(list(enumerate(_SERIES, 1))):
        series = series + term / shifted ** (2 * k - 1)
    ratio = jnp.exp(series) / jnp.sqrt(shifted)
    for k in range(_SHIFT):
        ratio = ratio * ((x + k + 0.5) / (x + k))
    return ratio


def wright_omega(x: Array) -> Array:
    r"""The solution of :math:`\omega + \ln \omega = x`, so that :math:`W_0(e^x) = \omega(x)`; elementwise."""
    large = x > 1
    above = jnp.where(large, x, 1)
    omega = jnp.where(large, above - jnp.log(above), jnp.exp(jnp.where(large, 1, x) - 1))
    for _ in range(7):
        omega = omega * (1 + x - jnp.log(omega)) / (1 + omega)
    return omega


def log_sphere_mean(sharpness: Array, dimension: Array, *, order: int = 128) -> Array:
    r"""Log of the mean of :math:`e^{b t}` over a sphere, :math:`t` being one coordinate of a random unit vector.

    .. math:: \mathbb E\, e^{b t}
       = \frac{\int_0^\pi e^{b \cos\theta} \sin^{d - 2}\theta \,\mathrm d\theta}
              {\int_0^\pi \sin^{d - 2}\theta \,\mathrm d\theta}
       = \Gamma(\tfrac d2) \left(\tfrac 2b\right)^{d/2 - 1} I_{d/2 - 1}(b)

    The integral is taken by Gauss's rule over the twenty standard deviations around the peak of the integrand, with the
    value at the peak divided out: no Bessel function of real order is needed, nothing overflows, and derivatives
    with respect to both arguments exist (with respect to the dimension to three digits only at d = 2). Real dimensions
    of 2 or more, sharpness of zero or more; scalars (vectorise with ``jax.vmap``).
    """
    b, power = sharpness, dimension - 2
    inside = power**2 + 4 * b**2
    root = power + jnp.where(inside > 0, jnp.sqrt(jnp.where(inside > 0, inside, 1)), 0)
    safe = jnp.where(root > 0, root, 1)
    cosine = jnp.where(root > 0, 2 * b / safe, 1)  # of the peak's angle
    square = jnp.where(root > 0, 2 * power / safe, 0)  # of its sine
    curvature = b * cosine + root / 2
    flat = jnp.where(curvature > 0, curvature, 1)
    width = jnp.where(curvature > 0, 20 / jnp.sqrt(flat), math.pi)
    # atan2 has no derivative at the origin and arccos none at 1; only d = 2 peaks there
    peak = jnp.where(square > 0, jnp.arctan2(jnp.sqrt(jnp.where(square > 0, square, 1)), cosine), 0)
    log_peak_sine = 0.5 * jnp.log(jnp.where(square > 0, square, 1))

    def shape(angle):
        # cos(angle) - cos(peak) without cancellation
        turn = -2 * jnp.sin((angle + peak) / 2) * jnp.sin((angle - peak) / 2)
        sine = jnp.sin(angle)
        log_sine = jnp.log(jnp.where(sine > 0, sine, 1))
        return jnp.where(sine > 0, jnp.exp(b * turn + power * (log_sine - log_peak_sine)), 0)

    lower, upper = jnp.maximum(peak - width, 0), jnp.minimum(peak + width, math.pi)
    area = integral(shape, lower, upper, order)
    whole = math.sqrt(math.pi) * half_gamma_ratio((dimension - 1) / 2)
    # the cosine of the angle used above, so that its derivative cancels also where d = 2 holds that angle at 0
    return b * jnp.cos(peak) + power * log_peak_sine + jnp.log(area / whole)
