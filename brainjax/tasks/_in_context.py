"""Association in context: what a cue is worth can only be known from the trials of the same sequence."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from brainjax.core import checks
from brainjax.core.draws import uniform
from brainjax.core.interleaved import interleave
from brainjax.core.types import Array, ArrayLike, PRNGKey

__all__ = ["ContextSequence", "in_context_regression"]


class ContextSequence(NamedTuple):
    """One sequence of trials."""

    tokens: Float[Array, "tokens size"]
    """What the network sees, two per trial, first the cue and then the outcome: see `brainjax.core.interleaved`."""
    targets: Float[Array, "trials"]
    """What it is to say at each cue token, tokens 0, 2, 4, ...: the outcome of that trial."""
    known: Bool[Array, "trials"]
    """Whether each of the trial's cues was there on an earlier trial."""
    intensities: Float[Array, "trials cues"]
    """1 where a cue is there, 0 elsewhere."""
    codes: Float[Array, "cues dimension"]
    """Of the cues, of length 1, drawn anew for every sequence."""


def in_context_regression(
    key: PRNGKey,
    *,
    cues: int,
    dimension: int,
    trials: int,
    compound: ArrayLike = 0.0,
    change: ArrayLike = 0.0,
    noise: ArrayLike = 0.0,
    shuffled: ArrayLike = 0.0,
    dtype: Any = None,
) -> ContextSequence:
    r"""Draw a sequence of trials in which cues predict a number: in-context regression with sparse inputs.

    On trial t the cues :math:`x_t \in \{0, 1\}^n` are there, one or, with probability ``compound``, two, each choice
    equally likely, and the outcome is

    .. math:: y_t = \sum_i x_{ti}\, w_{ti} + \text{noise} \cdot \epsilon_t, \qquad w_{ti}, \epsilon_t \sim N(0, 1) .

    A cue keeps its worth :math:`w_{ti}` from trial to trial, or is given a new one with probability ``change``. With
    ``compound`` = 0 the world is one of single cues, in which nothing can be learned about sums; above it is additive.
    The cue token is the sum :math:`\sum_i x_{ti} c_i` of random codes on the unit sphere. All codes and worths are
    drawn anew for every sequence (as in :cite:`garg2022`, where inputs are dense): nothing about them can be learned by
    heart.

    Args:
        key: typed PRNG key.
        cues: number of cues in a sequence, :math:`n`, 2 or more.
        dimension: of their codes.
        trials: in a sequence.
        compound: probability of a second cue on a trial.
        change: probability that a cue's worth is drawn again before a trial, for each cue and trial.
        noise: standard deviation of what no cue predicts.
        shuffled: probability that the outcomes of the sequence are put in random order, so that no cue predicts
            anything: a control.
        dtype: of tokens and targets; JAX's default float by default.

    Returns:
        The sequence. Batches by ``jax.vmap`` over keys, or `batch`.

    Raises:
        ValueError: if a size is too small, or a concrete probability or noise is out of range.
    """
    checks.at_least("cues", cues, 2)
    checks.at_least("dimension", dimension, 1)
    checks.at_least("trials", trials, 1)
    for name, value in (("compound", compound), ("change", change), ("shuffled", shuffled)):
        checks.unit(name, value)
    checks.non_negative("noise", noise)
    dtype = jnp.result_type(float) if dtype is None else jnp.dtype(dtype)
    compound, change, noise, shuffled = (jnp.asarray(x).astype(dtype) for x in (compound, change, noise, shuffled))
    # one draw for everything, since compiling draws is most of what this costs: u in (-1, 1), as for normal numbers
    sizes = (cues * dimension, trials * (cues + 1), trials * (cues + 4))
    edge = jnp.nextafter(jnp.asarray(-1, dtype), jnp.asarray(0, dtype))
    u = uniform(key, (sum(sizes) + 1,), dtype, low=edge, high=1.0)
    gauss = 2**0.5 * jax.lax.erf_inv(u[: sizes[0] + sizes[1]])
    codes = gauss[: sizes[0]].reshape(cues, dimension)
    codes = codes / jnp.sqrt(jnp.sum(codes**2, 1, keepdims=True))
    fresh, epsilon = jnp.split(gauss[sizes[0] :].reshape(trials, cues + 1), [cues], 1)
    even = (u[sizes[0] + sizes[1] :] + 1) / 2
    mixed, draws = even[-1] < shuffled, even[:-1].reshape(trials, cues + 4)

    number = jnp.arange(cues, dtype=dtype)
    first = jnp.minimum(jnp.floor(draws[:, 0] * cues), cues - 1)
    further = 1 + jnp.minimum(jnp.floor(draws[:, 1] * (cues - 1)), cues - 2)
    second = jnp.where(draws[:, 2] < compound, (first + further) % cues, -1)
    intensities = (first[:, None] == number[None]) | (second[:, None] == number[None])
    intensities = intensities.astype(dtype)

    trial = jnp.arange(trials, dtype=jnp.int32)
    redrawn = (draws[:, 4:] < change).at[0].set(True)
    earlier = jnp.tri(trials, dtype=bool)[:, :, None] & redrawn[None]
    since = jnp.max(jnp.where(earlier, trial[None, :, None], 0), 1)
    worth = jnp.sum(jnp.where(since[:, None] == trial[None, :, None], fresh[None], 0), 1)
    outcomes = jnp.sum(intensities * worth, 1) + noise * epsilon[:, 0]
    rank = jnp.sum(draws[None, :, 3] < draws[:, 3, None], 1)
    outcomes = jnp.where(mixed, outcomes[rank], outcomes)

    seen = jnp.cumsum(intensities, 0) - intensities > 0
    known = jnp.all(seen | (intensities == 0), 1)
    return ContextSequence(interleave(intensities @ codes, outcomes[:, None]), outcomes, known, intensities, codes)
