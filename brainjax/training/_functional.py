r"""Flax modules as pure functions, and a training step for them that every loop here takes."""

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int, Int32

from brainjax.core.types import Array, PRNGKey

if TYPE_CHECKING:
    import flax.nnx
    import optax

__all__ = ["Functional", "ModuleState", "StepInfo", "functional", "supervised_state", "supervised_step"]


class Functional(NamedTuple):
    """A module as two pure functions."""

    init: Callable[[PRNGKey], tuple[Any, Any]]
    """``init(key) -> (params, rest)``: what is trained, and all else that the module keeps, as dicts of arrays."""
    apply: Callable[..., tuple[Any, Any]]
    """``apply(params, rest, inputs, *, training=False) -> (outputs, rest)``"""


class ModuleState(NamedTuple):
    """All that changes when a module is trained."""

    params: Any
    """What is trained: a dict of dicts of arrays, named as in the module."""
    rest: Any
    """Running statistics and the streams of random numbers, likewise."""
    memory: Any
    """What the optimiser remembers."""
    steps: Int32[Array, ""]
    """How many updates were done."""


class StepInfo(NamedTuple):
    """What is reported of a batch, before the update."""

    loss: Float[Array, ""]
    accuracy: Float[Array, ""]
    """Share of right answers; NaN if the targets are no labels."""


def functional(make: Callable[["flax.nnx.Rngs"], "flax.nnx.Module"]) -> Functional:
    """Turn a flax module into functions that can be compiled, mapped over keys and differentiated.

    ``params`` are the module's variables of type ``nnx.Param``; ``rest`` is everything else, such as the running means
    of ``BatchNorm`` and the random streams of ``Dropout``. Random numbers come from the streams in ``rest``, which
    starts at the key given to ``init`` and moves on with every call in training; nothing else is drawn. The module
    chooses its own precision, through flax's ``param_dtype``.

    Args:
        make: builds the module from ``nnx.Rngs``: ``lambda rngs: nnx.Linear(784, 10, rngs=rngs)``. It is called without
            data once here, and again by every ``init``.

    Returns:
        The functions. With ``training`` the module is in flax's training mode (``module.train()``: dropout is on,
        batch statistics are used and averaged), without it in evaluation mode, and ``rest`` comes back as it was.

    Raises:
        ValueError: from ``apply``, if ``params`` or ``rest`` are those of another module, or a call of the module makes
            state that it did not have.
    """
    from flax import nnx

    def split(module: Any) -> tuple[Any, Any, Any]:
        graph, params, rest = nnx.split(module, nnx.Param, ...)
        return graph, params, rest

    with _as_flax_expects():
        graph, *abstract = split(nnx.eval_shape(lambda: make(nnx.Rngs(jax.random.key(0)))))
    wanted = [jax.tree.structure(nnx.to_pure_dict(state)) for state in abstract]

    def init(key: PRNGKey) -> tuple[Any, Any]:
        with _as_flax_expects():
            _, params, rest = split(make(nnx.Rngs(key)))
        return nnx.to_pure_dict(params), nnx.to_pure_dict(rest)

    def filled(name: str, number: int, given: Any) -> Any:
        if jax.tree.structure(given) != wanted[number]:
            raise ValueError(f"{name} are not those of this module: the names differ")
        state = jax.tree.map(lambda leaf: leaf, abstract[number])  # a copy
        nnx.replace_by_pure_dict(state, given)
        return state

    def apply(params: Any, rest: Any, inputs: Any, *, training: bool = False) -> tuple[Any, Any]:
        module = nnx.merge(graph, filled("params", 0, params), filled("rest", 1, rest))
        module.train() if training else module.eval()
        with _as_flax_expects():
            outputs = module(inputs)
        after = nnx.to_pure_dict(split(module)[2])
        if jax.tree.structure(after) != wanted[1]:
            new = {_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(after)}
            old = {_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(rest)}
            raise ValueError(f"a call of the module must not make new state, got {', '.join(sorted(new - old))}")
        return outputs, after if training else rest

    return Functional(init, apply)


def supervised_state(key: PRNGKey, module: Functional, transform: "optax.GradientTransformation") -> ModuleState:
    """A module and its optimiser before training.

    Args:
        key: typed PRNG key of weights and random streams.
        module: from `functional`.
        transform: of optax.
    """
    params, rest = module.init(key)
    with jax.numpy_dtype_promotion("standard"):
        memory = transform.init(params)
    return ModuleState(params, rest, memory, jnp.zeros((), jnp.int32))


def supervised_step(
    module: Functional,
    transform: "optax.GradientTransformation",
    loss: Callable[[Any, Any], Array] | None = None,
) -> Callable[[ModuleState, Any, PRNGKey], tuple[ModuleState, StepInfo]]:
    """A step of gradient descent for `epochs` and `fit`: the same loop as for a rule of `brainjax.credit`.

    Args:
        module: from `functional`.
        transform: what optax makes of a gradient.
        loss: ``loss(outputs, targets)``, a number. By default the mean cross-entropy in nats of the softmax of outputs
            of shape (batch, classes) against labels of shape (batch,).

    Returns:
        ``step(state, batch, key) -> (state, info)``; a batch is a pair of inputs and targets. The key is not used: what
        is random in a module draws from the streams in its state.
    """
    objective = _cross_entropy if loss is None else loss

    def step(state: ModuleState, batch: Any, key: PRNGKey) -> tuple[ModuleState, StepInfo]:
        del key
        inputs, targets = batch

        def of(params: Any) -> tuple[Array, tuple[Any, Any]]:
            outputs, rest = module.apply(params, state.rest, inputs, training=True)
            return objective(outputs, targets), (outputs, rest)

        (value, (outputs, rest)), gradient = jax.value_and_grad(of, has_aux=True)(state.params)
        with jax.numpy_dtype_promotion("standard"):
            change, memory = transform.update(gradient, state.memory, state.params)
        params = jax.tree.map(lambda w, c: w + c.astype(w.dtype), state.params, change)
        return ModuleState(params, rest, memory, state.steps + 1), StepInfo(value, _accuracy(outputs, targets, value))

    return step


@contextmanager
def _as_flax_expects():
    """Flax mixes ranks and precisions where JAX's strict modes refuse it."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _cross_entropy(outputs: Float[Array, "batch classes"], labels: Int[Array, " batch"]) -> Array:
    onehot = jax.nn.one_hot(labels, outputs.shape[-1], dtype=outputs.dtype)
    return -jnp.mean(jnp.sum(onehot * jax.nn.log_softmax(outputs), -1))


def _accuracy(outputs: Any, targets: Any, value: Array) -> Array:
    """Share of right answers, where outputs and targets are those of a classification."""
    kind = getattr(targets, "dtype", None)
    labels = kind is not None and jnp.issubdtype(kind, jnp.integer) and jnp.shape(outputs)[:-1] == targets.shape
    if not labels:
        return jnp.full((), jnp.nan, value.dtype)
    return jnp.mean((jnp.argmax(outputs, -1).astype(targets.dtype) == targets).astype(value.dtype))
