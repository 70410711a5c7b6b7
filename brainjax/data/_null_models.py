"""What a connectome is compared with: the same degrees, the same weights, or other signs, and all else at random."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, PRNGKey, as_floats, is_concrete
from brainjax.data._connectomes import Connectome

__all__ = ["random_signs", "recurrent_core", "rewired", "scattered"]


def recurrent_core(found: Connectome) -> Connectome:
    """The cells of a connectome that both receive from and send to others of them.

    Cells without inputs or without outputs, such as muscles, are left out again and again until none is left. What
    remains can be the recurrent weights of a network without units that are idle by construction.

    Args:
        found: the connectome.

    Returns:
        The connectome among these cells, in the same order.

    Raises:
        ValueError: if no cell is left.
    """
    weights, kept = found.weights, np.arange(len(found.names))
    while True:
        others = (weights != 0) & ~np.eye(len(weights), dtype=bool)
        both = others.any(0) & others.any(1)
        if both.all():
            break
        weights, kept = weights[np.ix_(both, both)], kept[both]
    if not len(kept):
        raise ValueError("connectome must have a cell that both receives and sends, this one has none")
    signs = None if found.signs is None else found.signs[np.ix_(kept, kept)]
    return found._replace(weights=weights, names=tuple(found.names[i] for i in kept), signs=signs)


def rewired(key: PRNGKey, weights: ArrayLike, *, swaps: int = 10) -> Float[Array, "post pre"]:
    r"""A random network with the in- and out-degrees of every unit kept: the configuration model, by swaps of edges.

    Two connections :math:`j \to i` and :math:`l \to k` become :math:`j \to k` and :math:`l \to i` if neither is there
    yet and neither joins a unit to itself :cite:`maslov2002`. A weight stays with its presynaptic unit, so that
    out-strengths and presynaptic signs are kept too; in-strengths are not. Connections of a unit with itself stay.

    Args:
        key: typed PRNG key.
        weights: of shape (post, pre), square; must be concrete.
        swaps: attempts per connection; ten mix the networks of neurons well.

    Returns:
        Of the shape and dtype of ``weights``.

    Raises:
        ValueError: if the weights are traced, not square or not finite, or ``swaps`` is negative.
    """
    if not is_concrete(weights):
        raise ValueError("weights must be concrete for rewired: which connections there are decides the shape")
    checks.finite("weights", weights)
    checks.at_least("swaps", swaps, 0)
    given = np.asarray(weights)
    floating = np.issubdtype(given.dtype, np.floating)
    dtype = jax.dtypes.canonicalize_dtype(given.dtype) if floating else jnp.result_type(float)
    if given.ndim != 2 or given.shape[0] != given.shape[1]:
        raise ValueError(f"weights must have shape (N, N), got {given.shape}")
    own = np.diag(np.diag(given))
    first, pre_ = np.nonzero(given - own)
    edges = len(first)
    if edges < 2:
        return jnp.asarray(given, dtype)
    pre = jnp.asarray(pre_, jnp.int32)
    pairs = jax.random.randint(key, (swaps * edges, 2), 0, edges, jnp.int32)

    def attempt(state: tuple[Array, Array], pair: Array) -> tuple[tuple[Array, Array], None]:
        post, taken = state
        a, b = pair[0], pair[1]
        i, j, k, l = post[a], pre[a], post[b], pre[b]
        free = ~(taken[k, j] | taken[i, l] | (k == j) | (i == l))
        taken = taken.at[i, j].set(~free).at[k, l].set(~free)
        taken = taken.at[k, j].set(taken[k, j] | free)
        taken = taken.at[i, l].set(taken[i, l] | free)
        post = post.at[a].set(jnp.where(free, k, i))
        post = post.at[b].set(jnp.where(free, i, post[b]))
        return (post, taken), None

    state = jnp.asarray(first, jnp.int32), jnp.asarray(given != 0)
    (post, _), _ = lax.scan(attempt, state, pairs)
    return jnp.asarray(own, dtype).at[post, pre].set(jnp.asarray(given[first, pre_], dtype))


def scattered(key: PRNGKey, weights: ArrayLike) -> Float[Array, "post pre"]:
    """The same weights in random places off the diagonal: density and distribution stay, degrees do not.

    Args:
        key: typed PRNG key.
        weights: of shape (post, pre), square; may be traced.

    Returns:
        Of the shape of ``weights``; the diagonal stays.

    Raises:
        ValueError: if the weights are not square.
    """
    (dense,) = as_floats(weights)
    checks.shape_of("weights", dense, (dense.shape[0] if dense.ndim else None,) * 2, "(N, N)")
    n = dense.shape[0]
    rows, columns = np.nonzero(~np.eye(n, dtype=bool))
    return dense.at[rows, columns].set(jax.random.permutation(key, dense[rows, columns]))


def random_signs(key: PRNGKey, weights: ArrayLike, *, excitatory: ArrayLike = 0.5) -> Float[Array, "post pre"]:
    """The same magnitudes with presynaptic signs drawn anew: every unit excites only, or inhibits only.

    Args:
        key: typed PRNG key.
        weights: of shape (post, pre); may be traced.
        excitatory: the fraction of excitatory units, from 0 to 1, rounded to a whole number of them; may be traced.

    Returns:
        Of the shape of ``weights``.

    Raises:
        ValueError: if the weights have not two axes or the fraction is not between 0 and 1.
    """
    checks.unit("excitatory", excitatory)
    (dense,) = as_floats(weights)
    checks.shape_of("weights", dense, (None, None), "(post, pre)")
    units = dense.shape[1]
    count = jnp.round(jnp.asarray(excitatory).astype(dense.dtype) * units)
    order = jax.random.permutation(key, jnp.arange(units, dtype=jnp.int32)).astype(dense.dtype)
    return jnp.abs(dense) * jnp.where(order < count, 1, -1).astype(dense.dtype)[None, :]
