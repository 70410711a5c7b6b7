r"""How many unit keys a softmax read tells apart.

The read :math:`o_j = \sum_i v_i e^{b\, k_i \cdot k_j} / \sum_i e^{b\, k_i \cdot k_j}` of :math:`N` pairs with keys
uniform on the unit sphere. Attention scaled as usual, keys of norm :math:`\sqrt d` and logits over :math:`\sqrt d`, has
:math:`b = \sqrt d`.
"""

import jax.numpy as jnp

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, as_floats, broadcast
from brainjax.memory._special import log_sphere_mean, wright_omega

__all__ = ["hopfield_capacity", "softmax_capacity", "softmax_competition", "softmax_error"]


def softmax_competition(pairs: ArrayLike, dimension: ArrayLike, sharpness: ArrayLike) -> Array:
    r"""Mean total weight of the other pairs relative to that of the probed one.

    .. math:: x = (N - 1)\, e^{-b}\, \Gamma(\tfrac d2) \left(\tfrac 2b\right)^{d/2 - 1} I_{d/2 - 1}(b)

    Exact. The common estimate :math:`N e^{b^2 / (2d) - b}` is its limit for :math:`b \ll d` and overstates the
    competition otherwise (6.6-fold at :math:`d = b = 16`, the squared error 16-fold).

    Args:
        pairs: number of stored pairs, 1 or more.
        dimension: of the keys, 2 or more.
        sharpness: inverse temperature :math:`b`, zero or more.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    n, d, b = _arguments(pairs, dimension, sharpness)
    return (n - 1) * _mean_weight(b, d, 1)


def softmax_capacity(dimension: ArrayLike, sharpness: ArrayLike, *, competition: ArrayLike = 1.0) -> Array:
    r"""How many pairs a softmax read holds before the others weigh as much as the probed one.

    .. math:: N^* = 1 + x \frac{e^{b}}{\mathbb E\, e^{b t}} \simeq e^{b - b^2 / (2 d)} \quad (x = 1,\ b \ll d)

    About :math:`e^{\sqrt d - 1/2}` with the usual scaling :math:`b = \sqrt d`: exponential in the root of the
    dimension.

    Args:
        dimension: of the keys, 2 or more.
        sharpness: inverse temperature :math:`b`, zero or more.
        competition: :math:`x`, the weight of the others that is tolerated, see `softmax_competition`.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    checks.non_negative("competition", competition)
    _, d, b = _arguments(1.0, dimension, sharpness)
    x, d, b = broadcast(*as_floats(competition, d, b))
    return 1 + x / _mean_weight(b, d, 1)


def softmax_error(pairs: ArrayLike, dimension: ArrayLike, sharpness: ArrayLike) -> Array:
    r"""NMSE of a softmax read probed with a stored key, for independent zero-mean values.

    .. math:: \mathrm{NMSE} \simeq \frac{x^2 + x_2}{(1 + x)^2}
       + \frac{1 - 2 x}{(1 + x)^4} \Big(x_2 - \frac{x^2}{N - 1}\Big), \quad
       x = (N - 1)\, \mathbb E\, e^{b (t - 1)},\ x_2 = (N - 1)\, \mathbb E\, e^{2 b (t - 1)}

    The exact error is the mean of :math:`(X^2 + Q) / (1 + X)^2` over the sums :math:`X, Q` of the other pairs' relative
    weights and their squares. Here these are replaced by their means, and the variance of :math:`X` (the bracket) is
    kept to first order: right where many competitors matter, as with :math:`b = \sqrt d`, and within a tenth at
    :math:`d = b = 16`; not where single near keys decide. Derived here.

    Arguments and errors as `softmax_competition`.
    """
    n, d, b = _arguments(pairs, dimension, sharpness)
    first, second = _mean_weight(b, d, 1), _mean_weight(b, d, 2)
    x, squares = (n - 1) * first, (n - 1) * second
    variance = (n - 1) * (second - first**2)
    return (x**2 + squares) / (1 + x) ** 2 + (1 - 2 * x) / (1 + x) ** 4 * variance


def hopfield_capacity(
    dimension: ArrayLike, *, sharpness: ArrayLike = 1.0, radius: ArrayLike = 1.0, failure: ArrayLike = 0.001
) -> Array:
    r"""How many random patterns a modern Hopfield network is guaranteed to store: Theorem 3 of :cite:`ramsauer2021`.

    Patterns on a sphere of radius :math:`K \sqrt{d - 1}`, update :math:`\xi \leftarrow X \operatorname{softmax}(\beta
    X^\top \xi)`; with probability :math:`1 - p` all of

    .. math:: N = \sqrt p\, c^{(d - 1)/4}, \qquad c = \frac{b}{W_0(e^{a + \ln b})}, \quad b = \frac{2 K^2 \beta}{5},
       \quad a = \frac{2}{d - 1} \left(1 + \ln(2 \beta K^2 p (d - 1))\right)

    are stored. A lower bound, and exponential in :math:`d`: the patterns' norm grows with :math:`\sqrt d`. The theorem
    also asks for :math:`c \ge (2 / \sqrt p)^{4 / (d - 1)}`, that is :math:`N \ge 2`.

    Args:
        dimension: :math:`d`, 2 or more.
        sharpness: :math:`\beta`, positive.
        radius: :math:`K`, positive.
        failure: :math:`p`, above 0 and at most 1.

    Raises:
        ValueError: if a concrete argument is out of range.
    """
    checks.positive("sharpness", sharpness)
    checks.positive("radius", radius)
    checks.positive("failure", failure)
    checks.unit("failure", failure)
    checks.at_least("dimension", dimension, 2)
    d, beta, radius, p = broadcast(*as_floats(dimension, sharpness, radius, failure))
    b = 2 * radius**2 * beta / 5
    a = 2 / (d - 1) * (1 + jnp.log(2 * beta * radius**2 * p * (d - 1)))
    c = b / wright_omega(a + jnp.log(b))
    return jnp.exp(0.5 * jnp.log(p) + (d - 1) / 4 * jnp.log(c))


def _arguments(pairs: ArrayLike, dimension: ArrayLike, sharpness: ArrayLike) -> tuple[Array, Array, Array]:
    checks.at_least("pairs", pairs, 1)
    checks.at_least("dimension", dimension, 2)
    checks.non_negative("sharpness", sharpness)
    checks.finite("sharpness", sharpness)
    n, d, b = broadcast(*as_floats(pairs, dimension, sharpness))
    return n, d, b


def _mean_weight(b: Array, d: Array, power: int) -> Array:
    return jnp.exp(jnp.vectorize(log_sphere_mean)(power * b, d) - power * b)
