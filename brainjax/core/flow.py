"""Adaptive integration of a differential equation that switches at given times."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, PyTree

from brainjax.core.types import Array, Scalar

__all__ = ["piecewise_flow"]


def piecewise_flow(
    field: Callable[[Scalar, Any, Any], Any],
    start: PyTree[Array],
    edges: Array,
    pieces: PyTree[Array],
    *,
    rtol: float | None = None,
    atol: float | None = None,
    max_steps: int = 10_000,
    solver: Any = None,
    adjoint: Any = None,
) -> tuple[PyTree[Array], Bool[Array, " pieces"]]:
    r"""Integrate :math:`\dot y = f(t, y, \theta_k)` through edges in time, with parameters that change at each edge.

    Each piece is integrated on the unit interval with its length as a factor, so no step crosses an edge, derivatives
    with respect to the edges are exact, and pieces of length zero are harmless. A piece that fails gives NaN from there
    on.

    Args:
        field: ``field(t, y, parameters)``, the time derivative, of the structure of ``y``.
        start: state at ``edges[0]``, a tree of floating-point arrays of one dtype.
        edges: times in increasing order, of shape (pieces + 1,); they may coincide.
        pieces: parameters of each piece, a tree of arrays with a first axis of length pieces.
        rtol: relative tolerance; 1e-9 in float64 and 1e-6 in float32 by default.
        atol: absolute tolerance; a thousandth of ``rtol`` by default.
        max_steps: most steps in one piece.
        solver: a diffrax solver; Tsitouras' method of order 5 by default. For stiff equations take an implicit one.
        adjoint: a diffrax adjoint; by default the one for reverse mode, which refuses forward mode. Pass
            ``diffrax.ForwardMode()`` for that.

    Returns:
        States at the edges, with a new first axis of length pieces + 1, and which pieces succeeded.
    """
    dtype = edges.dtype
    if rtol is None:
        rtol = 1e-9 if jnp.finfo(dtype).bits >= 64 else 1e-6
    import diffrax  # half a second; most users never integrate

    controller = diffrax.PIDController(rtol=rtol, atol=rtol * 1e-3 if atol is None else atol)
    solver = diffrax.Tsit5() if solver is None else solver
    adjoint = diffrax.RecursiveCheckpointAdjoint() if adjoint is None else adjoint

    def scaled(u, y, args):
        begin, length, parameters = args
        return jax.tree.map(lambda v: length * v, field(begin + length * u, y, parameters))

    def piece(y, inputs):
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(scaled),
            solver,
            t0=jnp.zeros((), dtype),
            t1=jnp.ones((), dtype),
            dt0=None,
            y0=y,
            args=inputs,
            saveat=diffrax.SaveAt(t1=True),
            stepsize_controller=controller,
            adjoint=adjoint,
            max_steps=max_steps,
            throw=False,
        )
        success = solution.result == diffrax.RESULTS.successful
        assert solution.ys is not None
        end = jax.tree.map(lambda v: jnp.where(success, v[0], jnp.nan), solution.ys)
        return end, (end, success)

    # diffrax mixes dtypes and ranks in ways that the strictest settings of JAX refuse.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        _, (states, success) = lax.scan(piece, start, (edges[:-1], jnp.diff(edges), pieces))
    return jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), start, states), success
