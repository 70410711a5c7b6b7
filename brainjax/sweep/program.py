"""One static point of a sweep as a program: traced once, named by its StableHLO, compiled ahead of time.

May import: jax, ``sweep.axes``. The user's function is traced exactly once per static point; the batched program, its
hash, the exported bytes for worker processes and the executable all come from that one trace.
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
import math
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core as jex_core

from brainjax.sweep.axes import SEED, config_value
from brainjax.sweep.layout import SALT

KEY_RULE = "fold_in(key(config.seed), seed)"
KEY_RULE_INDEPENDENT = "fold_in(fold_in(key(config.seed), seed), crc32(point))"

_CPU_OPTIONS: dict[str, Any] = {"xla_backend_optimization_level": 2}  # 3 compiles a third longer, to no faster code
_LAPACK = re.compile(r"(?:custom_call_target=\"|custom_call @)((?:lapack|blas)_\w+)(.*)")
_SINGLE = re.compile(r"num_batch_dims ?= ?\"0\"")
_CACHE_BYTES = 512 * 1024  # live state per core that stays in a second-level cache (measured; see benchmarks)
_NARROWEST = 4  # chunks: sums over one run come out the same in any chunk at least as wide
_SHARED_BYTES = 2**20  # constants from this size on are passed to a program, not written into it


@dataclasses.dataclass(frozen=True)
class Program:
    """A traced experiment at one static point.

    Attributes:
        label: the static values, for messages.
        arguments: names and dtypes of the batched arguments, in calling order (traced fields sorted, seed last).
        outputs: name -> (shape, dtype) of one run.
        live_bytes: estimated live state of one run between two steps of its innermost loop.
        jaxpr: the traced single run.
    """

    label: str
    arguments: tuple[tuple[str, str], ...]
    outputs: Mapping[str, tuple[tuple[int, ...], str]]
    live_bytes: int
    jaxpr: Any

    @property
    def one_by_one(self) -> bool:
        """Whether the runs of a chunk follow one another: on a CPU, where four at once would leave the cache.

        Measured at 100 units: 1.3 times faster than side by side; at 64 units, which still fit, 5 % slower.
        """
        return jax.default_backend() == "cpu" and 3 * self.live_bytes > _CACHE_BYTES

    @functools.cached_property
    def shared(self) -> tuple[jax.Array, ...]:
        """Large constants of the program, such as a data set, on the device: what its executable takes last."""
        return tuple(jax.device_put(const) for const in self.jaxpr.consts if _is_shared(const))

    def batched(self) -> Callable[..., list[jax.Array]]:
        """The program over a batch of runs: one array per argument in, one per output (sorted by name) out."""
        call = jex_core.jaxpr_as_fun(self.jaxpr)
        return lambda *arguments: self._over_runs(call, arguments)

    def _over_runs(self, call: Callable[..., Any], arguments: Any) -> Any:
        if self.one_by_one:
            return jax.lax.map(lambda values: call(*values), arguments)
        return jax.vmap(call)(*arguments)

    def specs(self, width: int) -> list[jax.ShapeDtypeStruct]:
        """Shapes of the arguments at a given chunk width."""
        return [jax.ShapeDtypeStruct((width,), np.dtype(dtype)) for _, dtype in self.arguments]

    def lower(self, width: int) -> jax.stages.Lowered:
        """The StableHLO of one chunk, a function of the arguments and then of the shared constants."""
        closed, count = self.jaxpr, len(self.arguments)

        def sweep_chunk(*given):
            shared = iter(given[count:])
            consts = [next(shared) if _is_shared(const) else const for const in closed.consts]
            call = jex_core.jaxpr_as_fun(jex_core.ClosedJaxpr(closed.jaxpr, consts))
            return self._over_runs(call, given[:count])

        shared_specs = [jax.ShapeDtypeStruct(c.shape, c.dtype) for c in closed.consts if _is_shared(c)]
        return jax.jit(sweep_chunk).lower(*self.specs(width), *shared_specs)

    def export(self, width: int) -> bytes:
        """The program of one chunk as bytes that another process can load and compile."""
        from jax import export

        checks = [export.DisabledSafetyCheck.custom_call(name) for name in lapack_calls(self.lower(width).as_text())]
        exported = export.export(jax.jit(self.batched()), disabled_checks=checks)(*self.specs(width))
        return bytes(exported.serialize())


def trace(
    run: Callable[..., Any], config: Any, traced_types: Mapping[str, str], *, label: str, salted: bool
) -> Program:
    """Traces one run of an experiment with its traced fields abstract.

    Args:
        run: ``run(key, config) -> dict`` of arrays.
        config: the configuration with this point's static values in place.
        traced_types: dtype of each traced field.
        label: the static values, for messages.
        salted: whether the key also depends on the other coordinates.

    Raises:
        ValueError: when the function uses a traced field where Python needs a number, or returns no dict of arrays.
    """
    names = (*sorted(traced_types), *((SALT,) if salted else ()), SEED)
    dtypes = {**traced_types, SALT: "uint32", SEED: "uint32"}
    base = int(config_value(config, "seed")) if "seed" in config else 0

    def one_run(*values):
        given = dict(zip(names, values, strict=True))
        key = jax.random.fold_in(jax.random.key(base), given.pop(SEED))
        if salted:
            key = jax.random.fold_in(key, given.pop(SALT))
        outputs = run(key, with_fields(config, given))
        if not isinstance(outputs, dict):
            raise ValueError(f"run must return a dict of arrays, got {type(outputs).__name__}")
        return tuple(jnp.asarray(outputs[name]) for name in _note(sorted(outputs)))

    returned: list[str] = []

    def _note(sorted_names):
        returned[:] = sorted_names
        return sorted_names

    specs = [jax.ShapeDtypeStruct((), np.dtype(dtypes[name])) for name in names]
    try:
        closed, shapes = jax.make_jaxpr(one_run, return_shape=True)(*specs)
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError, TypeError) as error:
        leaked = _fields_used_as_static(run, config, traced_types, base, error)
        if not leaked:
            raise
        fields = ", ".join(repr(name) for name in leaked)
        raise ValueError(
            f"run uses the traced field {fields} where Python needs a number (a shape, an `if`, a `range`): "
            f"move it to static(...)"
        ) from error
    outputs = {name: (tuple(out.shape), _storable(name, out.dtype)) for name, out in zip(returned, shapes, strict=True)}
    return Program(label, tuple((name, dtypes[name]) for name in names), outputs, live_bytes(closed), closed)


def with_fields(config: Any, values: Mapping[str, Any]) -> Any:
    """A copy of a ConfigDict with some (dotted) fields replaced, whatever their type."""
    copy = config.copy_and_resolve_references()
    with copy.unlocked(), copy.ignore_type():
        for field, value in values.items():
            *parents, last = field.split(".")
            node = functools.reduce(lambda n, p: n[p], parents, copy)
            with node.unlocked(), node.ignore_type():
                node[last] = value
    return copy.lock()


def traced_dtype(field: str, current: Any, values: tuple[Any, ...]) -> str:
    """The explicit dtype of a traced field: that of the configuration's own value, in the current precision.

    Raises:
        ValueError: when the values do not fit the field's type.
    """
    if isinstance(current, bool):
        if not all(isinstance(value, bool) for value in values):
            raise ValueError(f"{field}: the config holds a bool, the axis {list(values)}")
        return "bool"
    if isinstance(current, int):
        if not all(float(value).is_integer() for value in values):
            raise ValueError(f"{field}: the config holds the integer {current}, the axis {list(values)}")
        return jnp.result_type(int).name
    if isinstance(current, float):
        return float_name()
    raise ValueError(f"{field}: only a number can be traced, the config holds {current!r}; use static(...)")


def float_name() -> str:
    """JAX's current precision: "float32" or "float64"."""
    return jnp.result_type(float).name


def compiler_options() -> dict[str, Any]:
    """What every executable of a sweep is compiled with, here and in worker processes."""
    return dict(_CPU_OPTIONS) if jax.default_backend() == "cpu" else {}


def jaxlib_version() -> str:
    """Version of the compiler."""
    return importlib.metadata.version("jaxlib")


def fingerprint(program: Program, lowered_text: str, width: int, key_rule: str) -> str:
    """Names what determines a result: StableHLO, constants, versions, width, options, key rule, arguments, outputs."""
    digest = hashlib.sha256()
    parts = (
        lowered_text,
        jax.__version__,
        jaxlib_version(),
        jax.default_backend(),
        str(width),
        repr(compiler_options()),
        key_rule,
        repr(program.arguments),
        repr(sorted(program.outputs.items())),
    )
    for part in parts:
        digest.update(part.encode())
        digest.update(b"\0")
    for const in _constants(program.jaxpr):
        digest.update(np.ascontiguousarray(const).tobytes())
    return digest.hexdigest()


def lapack_calls(text: str) -> list[str]:
    """Names of the LAPACK and BLAS kernels that a program's text calls, with repetitions."""
    return [name for name, _ in _LAPACK.findall(text)]


def thread_hazard(text: str) -> str | None:
    """Why a program must not run in threads on a CPU, or None.

    A LAPACK call on a batch splits it over XLA's own threads and waits for them. When two threads run such a program,
    each can wait for what the other holds: seen with decompositions (SVD, eigh, QR, Cholesky) of about a hundred
    matrices and with any triangular or LU solve (2 cores, jax 0.10); and two independent calls in one program hang even
    alone. Calls on single matrices wait for nobody.
    """
    batched = [name for name, rest in _LAPACK.findall(text) if not _SINGLE.search(rest)]
    if not batched:
        return None
    count = "a batched LAPACK call" if len(batched) == 1 else f"{len(batched)} batched LAPACK calls"
    return f"the program holds {count} ({', '.join(sorted(set(batched)))})"


def width_for(live: int) -> int:
    """Chunk width on a CPU: the power of two in 4 … 256 whose live state stays in a core's second-level cache."""
    return max(_NARROWEST, min(256, 2 ** round(math.log2(max(_CACHE_BYTES / max(live, 1), 1)))))


def live_bytes(closed: Any) -> int:
    """Live state of one run, in bytes: the largest loop carry (its constants included), or the largest value.

    Constants that all runs share do not count.
    """
    shared = {(const.shape, np.dtype(const.dtype)) for const in closed.consts if _is_shared(const)}
    return max(1, _live(closed.jaxpr, shared))


def _live(jaxpr: Any, shared: set[Any]) -> int:
    def size(var: Any) -> int:
        known = (getattr(var.aval, "shape", None), getattr(var.aval, "dtype", None))
        return 0 if known in shared else _nbytes(var.aval)

    largest = 0
    for eqn in jaxpr.eqns:
        if eqn.primitive.name in ("scan", "while"):
            first, last = 0, None
            if eqn.primitive.name == "scan":
                last = eqn.params["num_consts"] + eqn.params["num_carry"]
            largest = max(largest, sum(size(var) for var in eqn.invars[first:last]))
        largest = max([largest, *(_live(inner, shared) for inner in _inner(eqn))])
    if largest == 0:
        largest = max([0, *(size(var) for eqn in jaxpr.eqns for var in eqn.outvars)])
    return largest


def _inner(eqn: Any):
    for value in eqn.params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            inner = getattr(item, "jaxpr", item)
            if hasattr(inner, "eqns"):
                yield inner


def _constants(closed: Any):
    yield from (const for const in closed.consts if hasattr(const, "shape") and not _is_key(const))
    stack = [closed.jaxpr]
    while stack:
        for eqn in stack.pop().eqns:
            for var in eqn.invars:
                if hasattr(var, "val") and getattr(var.val, "size", 0) > 1:
                    yield np.asarray(var.val)
            for value in eqn.params.values():
                for item in value if isinstance(value, tuple | list) else (value,):
                    if hasattr(item, "consts"):
                        yield from (c for c in item.consts if hasattr(c, "shape") and not _is_key(c))
            stack.extend(_inner(eqn))


def _is_shared(value: Any) -> bool:
    return getattr(value, "nbytes", 0) >= _SHARED_BYTES and not _is_key(value)


def _is_key(value: Any) -> bool:
    return jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def _nbytes(aval: Any) -> int:
    if not hasattr(aval, "shape") or not hasattr(aval, "dtype"):
        return 0
    return math.prod(aval.shape) * getattr(aval.dtype, "itemsize", 4)


def _storable(name: str, dtype: Any) -> str:
    if jnp.issubdtype(dtype, jax.dtypes.prng_key) or np.dtype(dtype).kind not in "biuf":
        raise ValueError(f"run returns {name!r} with dtype {dtype}: outputs are real numbers, integers or booleans")
    if np.dtype(dtype).name not in np.sctypeDict:
        raise ValueError(f"run returns {name!r} with dtype {dtype}: cast it to float32 or float64")
    return np.dtype(dtype).name


def _fields_used_as_static(
    run: Callable[..., Any], config: Any, traced_types: Mapping[str, str], base: int, error: Exception
) -> list[str]:
    """The traced fields that must be concrete for the function to trace, found by making each concrete in turn."""
    names = sorted(traced_types)

    def traces_with(concrete: set[str]) -> bool:
        abstract = [name for name in names if name not in concrete]

        def one_run(seed, *values):
            key = jax.random.fold_in(jax.random.key(base), seed)
            return run(key, with_fields(config, dict(zip(abstract, values, strict=True))))

        specs = [jax.ShapeDtypeStruct((), np.dtype(traced_types[name])) for name in abstract]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                jax.eval_shape(one_run, jax.ShapeDtypeStruct((), np.uint32), *specs)
        except Exception:  # any failure means: not yet
            return False
        return True

    if not traces_with(set(names)):
        return []
    needed = set(names)
    for name in names:
        if traces_with(needed - {name}):
            needed.discard(name)
    return sorted(needed)
