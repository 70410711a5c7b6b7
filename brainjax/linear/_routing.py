r"""The routing network: several input and output domains around one shared layer, trained on some of the routes.

:math:`M` input domains and :math:`M` output domains, each with an edge of its own, meet in one shared hidden edge.
An example arrives in one domain and is asked for in another; only :math:`K` of the :math:`M` outputs are ever trained
for an input. Each of the :math:`M^2` routes comes up equally often, so that a trained route weighs
:math:`1/M^2`. By the race reduction, with balanced and decoupled edges, strengths :math:`b_1` (input),
:math:`b_2` (shared) and :math:`b_3` (output) of a mode obey

.. math:: \tau \dot b_1 = \tfrac{K}{M^2} b_2 b_3 (s - b_1 b_2 b_3), \quad
   \tau \dot b_2 = \tfrac{K}{M} b_1 b_3 (s - b_1 b_2 b_3), \quad
   \tau \dot b_3 = \tfrac{K}{M^2} b_1 b_2 (s - b_1 b_2 b_3)

:cite:`saxe2022race`. The shared edge lies on :math:`M` times as many routes as any other and learns the most;
:math:`K` is only a clock. The closed forms here hold for :math:`b_1 = b_3`.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.roots import monotone_root
from brainjax.core.types import Array, ArrayLike, as_floats
from brainjax.linear._gated_graph import GatedCorrelations, GatedGraph, gated_graph

__all__ = [
    "routing_conserved",
    "routing_correlations",
    "routing_graph",
    "routing_rate",
    "routing_shared_rate",
    "routing_time",
    "trained_routes",
]


def routing_graph(domains: int, *, dedicated: bool = False) -> GatedGraph:
    """The graph of all routes of a routing network, whether or not they will be trained.

    Edges are ``in0``, ..., ``shared``, ``out0``, ...; path number ``i * domains + j`` leads from input node ``x<i>``
    over the shared edge to output node ``y<j>``.

    Args:
        domains: number of input and of output domains, M.
        dedicated: whether every route also has a hidden edge of its own, ``own<i>_<j>``, beside the shared one. Their
            paths follow those over the shared edge, in the same order.

    Raises:
        ValueError: if there is no domain.
    """
    if domains < 1:
        raise ValueError(f"domains must be 1 or more, got {domains}")
    routes = [(i, j) for i in range(domains) for j in range(domains)]
    edges = {f"in{i}": (f"x{i}", "read") for i in range(domains)}
    edges["shared"] = ("read", "write")
    paths = [(f"in{i}", "shared", f"out{j}") for i, j in routes]
    if dedicated:
        edges |= {f"own{i}_{j}": ("read", "write") for i, j in routes}
        paths += [(f"in{i}", f"own{i}_{j}", f"out{j}") for i, j in routes]
    edges |= {f"out{j}": ("write", f"y{j}") for j in range(domains)}
    return gated_graph(edges, paths)


def trained_routes(domains: int, trained: ArrayLike) -> Float[Array, "inputs outputs"]:
    """Which routes are trained: a band of ``trained`` outputs around the input's own number, round the circle.

    Args:
        domains: number of input and of output domains, M.
        trained: how many outputs are trained for each input, K, from 0 to M; may be traced.

    Returns:
        1 for a trained route, 0 for another, of shape (inputs, outputs).

    Raises:
        ValueError: if a concrete ``trained`` is not an integer from 0 to M.
    """
    checks.non_negative("trained", trained)
    (k,) = as_floats(trained)
    checks.shape_of("trained", k, ())
    checks.require((k <= domains) & (k == jnp.round(k)), f"trained must be an integer up to {domains}, got {trained}")
    offset = np.arange(domains)[None, :] - np.arange(domains)[:, None]
    place = jnp.mod(jnp.asarray(offset, k.dtype) + jnp.floor((k - 1) / 2), domains)
    return jnp.where(place < k, 1, 0).astype(k.dtype)


def routing_correlations(
    graph: GatedGraph,
    *,
    sigma_yx: ArrayLike,
    sigma_xx: ArrayLike | None = None,
    routes: ArrayLike,
) -> GatedCorrelations:
    r"""Correlations of a routing network in which every route poses the same task.

    A route :math:`(i, j)` has :math:`\Sigma_{yx}(p) = r_{ij} \Sigma_{yx} / M^2`, and its examples take no other route,
    so that :math:`\Sigma_{xx}(j, p)` vanishes between routes. With dedicated edges both paths of a route are open.

    Args:
        graph: from `routing_graph`.
        sigma_yx: correlation of outputs with inputs in the task, of shape (out, in).
        sigma_xx: correlation of inputs, of shape (in, in); by default whitened, the identity.
        routes: how much each route is trained, such as from `trained_routes`, of shape (inputs, outputs); zero or more.

    Raises:
        ValueError: if a shape does not fit or a concrete weight is negative.
    """
    checks.non_negative("routes", routes)
    yx, r, xx = as_floats(sigma_yx, routes, 0.0 if sigma_xx is None else sigma_xx)
    domains = len(set(graph.sources))
    ways = len(graph.paths) // domains**2
    checks.shape_of("sigma_yx", yx, (None, None), "(out, in)")
    checks.shape_of("routes", r, (domains, domains), "(inputs, outputs)")
    inputs = yx.shape[1]
    xx = jnp.eye(inputs, dtype=yx.dtype) if sigma_xx is None else xx
    checks.shape_of("sigma_xx", xx, (inputs, inputs), "(in, in)")
    r = r / domains**2
    all_yx, all_xx = {}, {}
    for j in range(domains):
        all_yx[f"y{j}"] = jnp.tile(jnp.einsum("i,ab->aib", r[:, j], yx).reshape(yx.shape[0], -1), (1, ways))
        apart = jnp.einsum("ik,ab->iakb", jnp.diag(r[:, j]), xx).reshape((domains * inputs,) * 2)
        all_xx[f"y{j}"] = jnp.tile(apart, (ways, ways))
    return GatedCorrelations(all_yx, all_xx)


def routing_rate(
    strengths: ArrayLike, *, s: ArrayLike, domains: ArrayLike, trained: ArrayLike
) -> Float[Array, "3 modes"]:
    r"""How fast the input, shared and output edges of a routing network learn, by the race reduction.

    Args:
        strengths: :math:`b_1, b_2, b_3`, of shape (3, modes).
        s: singular values of the task, a number or of shape (modes,).
        domains: number of input and of output domains, M.
        trained: how many outputs are trained for each input, K.

    Returns:
        Of shape (3, modes).

    Raises:
        ValueError: if a shape does not fit or a concrete count is not positive.
    """
    checks.positive("domains", domains)
    checks.positive("trained", trained)
    b, s, m, k = as_floats(strengths, s, domains, trained)
    checks.shape_of("strengths", b, (3, None), "(edges, modes)")
    if s.shape not in ((), b.shape[1:]):
        raise ValueError(f"s must be a number or of shape {b.shape[1:]} (modes,), got {s.shape}")
    b1, b2, b3 = b
    error = k / m**2 * (s - b1 * b2 * b3)
    return jnp.stack([b2 * b3 * error, m * b1 * b3 * error, b1 * b2 * error])


def routing_conserved(strengths: ArrayLike, *, domains: ArrayLike) -> Float[Array, "2 modes"]:
    r"""What learning leaves as it is: :math:`b_2^2 - M b_1^2` and :math:`b_3^2 - b_1^2`.

    Exact for gradient flow; gradient descent changes them by the square of its rate in every update.

    Args:
        strengths: :math:`b_1, b_2, b_3`, of shape (3, modes).
        domains: number of input and of output domains, M.

    Raises:
        ValueError: if the shape does not fit.
    """
    b, m = as_floats(strengths, domains)
    checks.shape_of("strengths", b, (3, None), "(edges, modes)")
    return jnp.stack([b[1] ** 2 - m * b[0] ** 2, b[2] ** 2 - b[0] ** 2])


def routing_shared_rate(
    shared: ArrayLike, *, s: ArrayLike, domains: ArrayLike, trained: ArrayLike, conserved: ArrayLike
) -> Array:
    r"""The routing network as one equation, for the shared edge.

    .. math:: \tau \dot b_2 = \frac{K}{M^2} (b_2^2 - c) \Big(s - \frac{b_2 (b_2^2 - c)}{M}\Big)

    Args:
        shared: strength :math:`b_2`; its square is at least c.
        s: singular value of the task.
        domains: number of input and of output domains, M.
        trained: how many outputs are trained for each input, K.
        conserved: :math:`c = b_2^2 - M b_1^2`; negative if all edges start alike.

    Returns:
        The rate, of the common shape of the arguments.

    Raises:
        ValueError: if a concrete count is not positive.
    """
    checks.positive("domains", domains)
    checks.positive("trained", trained)
    b, s, m, k, c = as_floats(shared, s, domains, trained, conserved)
    rest = b**2 - c
    return k / m**2 * rest * (s - b * rest / m)


def routing_time(
    shared: ArrayLike,
    *,
    start: ArrayLike,
    s: ArrayLike,
    domains: ArrayLike,
    trained: ArrayLike,
    conserved: ArrayLike,
) -> Array:
    r"""When the shared edge of a routing network reaches a strength, in closed form; derived by us.

    `routing_shared_rate` integrates by partial fractions: with :math:`q = x^2 - c`,

    .. math:: \frac{K t}{M^2 \tau} = \int \frac{\mathrm dx}{q\,(s - xq/M)}
       = \frac1s \int \frac{\mathrm dx}{q} + \frac1s \int \frac{x\,\mathrm dx}{Ms - xq} ,

    and :math:`xq - Ms = (x - r)(x^2 + rx + r^2 - c)` with the final strength r as its real root above
    :math:`\sqrt{\max(c, 0)}`.

    Args:
        shared: strength :math:`b_2` to be reached, from ``start`` to below the final one.
        start: where the shared edge starts, positive, its square above ``conserved``.
        s: singular value of the task, positive.
        domains: number of input and of output domains, M.
        trained: how many outputs are trained for each input, K.
        conserved: :math:`c = b_2^2 - M b_1^2` at the start.

    Returns:
        Time in units of :math:`\tau`, of the common shape of the arguments; infinite at the final strength, NaN above.

    Raises:
        ValueError: if a concrete argument is not in its range.
    """
    for name, value in (("start", start), ("s", s), ("domains", domains), ("trained", trained)):
        checks.positive(name, value)
    b, b0, s, m, k, c = jnp.broadcast_arrays(*as_floats(shared, start, s, domains, trained, conserved))
    checks.require(b0**2 > c, "start must have a square above conserved, so that the input edges are not zero")
    flat = [x.reshape(-1) for x in (b, b0, s, m, k, c)]
    return jax.vmap(_routing_time)(*flat).reshape(b.shape)


def _routing_time(b: Array, b0: Array, s: Array, m: Array, k: Array, c: Array) -> Array:
    floor = jnp.sqrt(jnp.maximum(c, 0))
    # xq grows from 0 at the floor, and x = floor + (Ms)^(1/3) makes it at least Ms (for c < 0 sooner).
    r = monotone_root(lambda x: x * (x**2 - c) - m * s, floor, floor + jnp.cbrt(m * s))
    slope = 3 * r**2 - c  # of xq at r
    a, rest = r / slope, r**2 - c
    quadratic = [x**2 + r * x + rest for x in (b0, b)]
    linear = a * (rest / r + r / 2)
    fractions = (
        a * jnp.log((r - b0) / (r - b))
        + a / 2 * jnp.log(quadratic[1] / quadratic[0])
        - linear * _between(b0 + r / 2, b + r / 2, rest - r**2 / 4)
    )
    return m**2 / (k * s) * (_between(b0, b, -c) + fractions)


def _between(lower: Array, upper: Array, d: Array) -> Array:
    r"""The integral of :math:`1/(y^2 + d)` between positive ends where it has no pole, for d of either sign or zero."""
    z = (upper - lower) / (d + lower * upper)
    w = d * z**2
    small = jnp.abs(w) < 1e-3
    series = 1 - w * (1 / 3 - w * (1 / 5 - w * (1 / 7 - w * (1 / 9 - w / 11))))
    root = jnp.sqrt(jnp.where(small, 1, jnp.abs(w)))
    hyperbolic = jnp.arctanh(jnp.where(w < -1e-3, jnp.minimum(root, 1), 0))
    return z * jnp.where(small, series, jnp.where(w > 0, jnp.arctan(root), hyperbolic) / root)
