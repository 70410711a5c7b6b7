r"""Training over epochs with a loop on the host: progress, checkpoints, and a stop that was declared beforehand."""

import difflib
import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import eval_jaxpr
from jaxtyping import Int, Int32

from brainjax.core import checks
from brainjax.core.types import Array, ArrayLike, PRNGKey
from brainjax.training._checkpoints import Checkpoints
from brainjax.training._epochs import one_epoch

__all__ = ["EarlyStopping", "FitRun", "fit"]


class EarlyStopping(NamedTuple):
    """A criterion, declared before training, by which a state is selected and training ends.

    With ``least_improvement`` 0 it is that of `best_epoch`.
    """

    measure: str
    """A number in what ``observe`` returns, by name: ``"loss"``, or ``"validation.loss"`` for a field of a field."""
    better: str = "lower"
    """``"lower"`` or ``"higher"``. Values that are not finite are worse than all others."""
    patience: int | None = None
    """After how many epochs without a better value training ends; None for never, which only selects."""
    least_improvement: float = 0.0
    """A value is better if it is so by more than this."""


class FitRun(NamedTuple):
    """What `fit` leaves."""

    state: Any
    """After the last epoch."""
    records: Any
    """What was observed, with a first axis of length epochs_done + 1; the first is the state before training."""
    info: Any
    """What the step reported, mean over the updates of each epoch; a first axis of length epochs_done."""
    epochs_done: int
    selected: Any
    """The state that the criterion selects; the last one without a criterion."""
    selected_epoch: int


def fit(
    key: PRNGKey,
    state: Any,
    *,
    step: Callable[[Any, Any, PRNGKey], tuple[Any, Any]],
    fetch: Callable[[Int32[Array, " batch"]], Any],
    rows: Int[ArrayLike, " n"],
    batch_size: int,
    epochs: int,
    observe: Callable[[Any], Any] = lambda state: (),
    updates: int | None = None,
    shuffle: bool = True,
    checkpoints: Checkpoints | None = None,
    every: int = 1,
    stop: EarlyStopping | None = None,
    progress: Callable[[int, int, Any], Any] | None = None,
) -> FitRun:
    """Train as `epochs` does, one compiled epoch after the other.

    Orders, keys and updates are those of `epochs`. Here the number of epochs need not be known beforehand, training can
    be watched, and with checkpoints a run that was killed goes on where it was; its result is then, bit for bit, that
    of a run that was never interrupted. Use `epochs` to map over seeds and in sweeps.

    Args:
        key: typed PRNG key of orders and steps.
        state: to start from, any tree of arrays and keys.
        step: ``step(state, batch, key) -> (state, info)``.
        fetch: the batch of some rows.
        rows: numbers of the rows that are trained on, of shape (n,).
        batch_size: rows in an update.
        epochs: how many at most. A run that is done can be continued with more.
        observe: what to record of a state between epochs, a tree of arrays; nothing by default.
        updates: updates in an epoch, if it shall not be one pass through the rows.
        shuffle: whether rows come in random order.
        checkpoints: where to save. ``key``, ``rows``, ``batch_size``, ``updates``, ``shuffle`` and ``stop`` are added
            to its identity, so that no run goes on from a checkpoint of one with others.
        every: epochs between checkpoints. The last epoch is always saved.
        stop: by what a state is selected and training ends early; by default it goes to the end.
        progress: called before the first and after every epoch, with the number of epochs done, ``epochs``, and the
            last record.

    Returns:
        The last and the selected state, and what was recorded.

    Raises:
        ValueError: if a size is out of range, the criterion is not one (its measure is unknown or not a number, its
            patience below 1), or the checkpoints are those of another run or of more epochs.
    """
    checks.at_least("epochs", epochs, 0)
    checks.at_least("every", every, 1)
    rows = jnp.asarray(rows, jnp.int32)
    state = jax.tree.map(jnp.asarray, state)

    def advance(state: Any, number: Array) -> tuple[Any, Any, Any]:
        state, info = one_epoch(
            key,
            state,
            number,
            step=step,
            fetch=fetch,
            rows=rows,
            batch_size=batch_size,
            updates=updates,
            shuffle=shuffle,
        )
        return state, info, observe(state)

    run, (_, info, record) = _compiled(advance, state, jnp.zeros((), jnp.int32))
    _check_criterion(stop, record)
    done = saved = 0
    if checkpoints is not None:
        numbers = np.ravel(jax.random.key_data(key)).tolist()
        digest = hashlib.sha256(np.asarray(rows).tobytes()).hexdigest()[:16]
        facts = {"batch_size": batch_size, "updates": updates, "shuffle": shuffle, "stop": stop}
        checkpoints = checkpoints.of({"key": numbers, "rows": [len(rows), digest], **facts})
        done = saved = checkpoints.latest() or 0
    at = _Progress(state, () if stop is None else state, _several(record, done + 1), _several(info, done))
    if checkpoints is not None and saved:
        at = _resumed(checkpoints, saved, epochs, at)
    else:
        at = at._replace(records=_longer(_several(record, 0), _compiled(observe, state)[0](state)))
    while True:
        chosen, ended = _judged(stop, at.records, done)
        if stop is not None and chosen == done:
            at = at._replace(selected=at.state)
        ended = ended or done >= epochs
        if checkpoints is not None and done > saved and (ended or done % every == 0):
            checkpoints.save(done, at._asdict())
        if progress is not None:
            progress(done, epochs, jax.tree.map(lambda leaf: leaf[-1], at.records))
        if ended:
            return FitRun(at.state, at.records, at.info, done, at.state if stop is None else at.selected, chosen)
        state, info, record = run(at.state, jnp.asarray(done, jnp.int32))
        at = _Progress(state, at.selected, _longer(at.records, record), _longer(at.info, info))
        done += 1


class _Progress(NamedTuple):
    """Where a run is, and what a checkpoint holds: records and info along a first axis."""

    state: Any
    selected: Any
    """The best state up to now; nothing without a criterion."""
    records: Any
    info: Any


def _compiled(function: Callable[..., Any], *arguments: Any) -> tuple[Callable[..., Any], Any]:
    """A function compiled, and the shapes of what it returns.

    The arrays that it closes over, such as a data set, are handed to the program: written into it, they would be
    copied and take longer to compile than all the rest.
    """
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
    tree = jax.tree.structure(shapes)
    program = jax.jit(lambda constants, leaves: eval_jaxpr(closed.jaxpr, constants, *leaves))
    return lambda *values: jax.tree.unflatten(tree, program(closed.consts, jax.tree.leaves(values))), shapes


def _resumed(checkpoints: Checkpoints, saved: int, epochs: int, like: _Progress) -> _Progress:
    if saved > epochs:
        raise ValueError(
            f"epochs must be {saved} or more, which the checkpoint in {checkpoints.folder} has done, got {epochs}"
        )
    for damaged in checkpoints.epochs():
        if damaged > saved:
            checkpoints.remove(damaged)
    found = _Progress(**checkpoints.restore(saved, like._asdict()))
    records, info = jax.tree.map(np.asarray, (found.records, found.info))
    return found._replace(records=records, info=info)


def _several(leaf: Any, count: int) -> Any:
    return jax.tree.map(lambda one: np.zeros((count, *one.shape), one.dtype), leaf)


def _longer(several: Any, one: Any) -> Any:
    return jax.tree.map(lambda a, b: np.concatenate([a, np.asarray(b)[None]]), several, one)


def _named(tree: Any) -> dict[str, Any]:
    with_paths = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in with_paths}


def _check_criterion(stop: EarlyStopping | None, record: Any) -> None:
    if stop is None:
        return
    checks.one_of("better", stop.better, ("lower", "higher"))
    if stop.patience is not None:
        checks.at_least("patience", stop.patience, 1)
    checks.non_negative("least_improvement", stop.least_improvement)
    known = _named(record)
    if stop.measure not in known:
        near = difflib.get_close_matches(stop.measure, list(known), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known) or 'none'}"
        raise ValueError(f"observe returns no measure {stop.measure!r}: {hint}")
    checks.shape_of(f"measure {stop.measure}", known[stop.measure], ())


def _judged(stop: EarlyStopping | None, records: Any, done: int) -> tuple[int, bool]:
    """The epoch that the criterion selects up to now, and whether it ends training."""
    if stop is None:
        return done, False
    values = np.asarray(_named(records)[stop.measure])
    cost = np.where(np.isfinite(values), values if stop.better == "lower" else -values, np.inf)
    best, chosen, waited = np.inf, 0, 0
    for number, value in enumerate(cost):
        if value < best - (stop.least_improvement if np.isfinite(best) else 0):
            best, chosen, waited = value, number, 0
        else:
            waited += 1
    return chosen, stop.patience is not None and waited >= stop.patience
