"""Cues and outcomes as one sequence of tokens, the way that tasks put them to networks and probes put them again."""

import jax.numpy as jnp
from jaxtyping import Float

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, as_floats

__all__ = ["interleave", "token_size"]


def token_size(dimension: int, outcomes: int = 1) -> int:
    """Size of an `interleave` token: a cue's components, the outcomes, and a mark."""
    return dimension + outcomes + 1


def interleave(cues: ArrayLike, outcomes: ArrayLike) -> Float[Array, "*lead tokens size"]:
    """Make two tokens of every pair: first the cue, then the outcome.

    A token holds the cue's components (zeros in an outcome token), then the outcomes (zeros in a cue token), then a
    mark: 0 for a cue, 1 for an outcome. What a causal network says at a cue token, 0, 2, 4, ..., it says before it is
    told the outcome.

    Args:
        cues: shape (..., pairs, dimension).
        outcomes: shape (..., pairs, outcomes), with the same leading axes.

    Returns:
        The tokens, shape (..., 2 pairs, dimension + outcomes + 1).

    Raises:
        ValueError: if the shapes do not fit.
    """
    cues, outcomes = as_floats(cues, outcomes)
    if cues.ndim < 2 or outcomes.shape[:-1] != cues.shape[:-1]:
        raise ValueError(
            "outcomes must have shape (..., pairs, outcomes) with the leading axes and pairs of cues (..., pairs, "
            f"dimension), got {outcomes.shape} and {cues.shape}"
        )
    checks.at_least("pairs", cues.shape[-2], 1)
    blank = [(0, 0)] * (cues.ndim - 1)
    first = jnp.pad(cues, [*blank, (0, outcomes.shape[-1] + 1)])
    marked = jnp.concatenate([outcomes, jnp.ones_like(outcomes[..., :1])], -1)
    second = jnp.pad(marked, [*blank, (cues.shape[-1], 0)])
    return jnp.stack([first, second], -2).reshape(*cues.shape[:-2], 2 * cues.shape[-2], first.shape[-1])
