"""What a sweep will do, before it does it: points, programs, chunk width, and where the programs may run.

May import: jax, ``sweep.axes``, ``sweep.program``. Executes nothing.
"""

import dataclasses
import functools
import itertools
import math
import os
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import numpy as np

from brainjax.sweep import program as programs
from brainjax.sweep.axes import SEED, Axes, Axis, Field, config_value, product, seeds, unknown_field
from brainjax.sweep.layout import Layout, Point

Ragged = Literal["error", "pad", "tree"]


@dataclasses.dataclass(frozen=True)
class Plan:
    """A sweep that is ready to execute; ``print(plan)`` says what it will do. Made by `make_plan`.

    Attributes:
        name: how it calls itself.
        run: the experiment's function.
        layout: every run, its place and its program's name.
        programs: the traced program of each static point.
        lowered: its StableHLO at the plan's width.
        width_is_given: whether the user chose the width.
        workers: threads or processes.
        shard: (i, n): this plan executes every n-th chunk, starting with the i-th.
    """

    name: str
    run: Callable[..., Any]
    layout: Layout
    programs: tuple[programs.Program, ...]
    lowered: tuple[Any, ...]
    width_is_given: bool
    workers: int
    shard: tuple[int, int]

    @property
    def axes(self) -> Axes:
        """What varies."""
        return self.layout.axes

    @property
    def dims(self) -> Mapping[str, tuple[str, ...]]:
        """Output name -> names of its axes."""
        return self.layout.dims

    @property
    def width(self) -> int:
        """Runs per chunk."""
        return self.layout.width

    @property
    def precision(self) -> str:
        """Either "float32" or "float64"."""
        return self.layout.facts["precision"]

    @property
    def runs(self) -> int:
        """Number of runs in the whole sweep, all shards together."""
        return self.axes.size

    @property
    def compilations(self) -> int:
        """Number of programs: one per static point."""
        return len(self.programs)

    @property
    def output_bytes(self) -> int:
        """Size of the result in memory."""
        outputs = [output for program in self.programs for output in program.outputs.values()]
        return self.layout.rows * sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in outputs)

    @functools.cached_property
    def hazard(self) -> str | None:
        """Why the programs run in worker processes rather than in threads; None when threads are safe."""
        if jax.default_backend() != "cpu":
            return None
        found = (programs.thread_hazard(lowered.as_text()) for lowered in self.lowered)
        return next((reason for reason in found if reason), None)

    def with_width(self, width: int) -> "Plan":
        """The same plan at another chunk width (a resumed store keeps the width it was made with)."""
        if width == self.width:
            return self
        facts = {**self.layout.facts, "width": width}
        layout, lowered = _named(dataclasses.replace(self.layout, facts=facts), self.programs)
        return dataclasses.replace(self, layout=layout, lowered=lowered)

    def __str__(self) -> str:
        live = max(program.live_bytes for program in self.programs)
        sizes = " x ".join(f"{axis.name} {len(axis)} ({_kind(axis)})" for axis in self.axes)
        chunks = self.layout.chunks() * len(self.programs)
        if jax.default_backend() != "cpu":
            place = f"one {jax.devices()[0].device_kind}, one chunk after another"
        elif self.hazard:
            place = f"{self.workers} worker process(es), because {self.hazard}: in threads that deadlocks on few cores"
        else:
            place = f"{self.workers} thread(s), each running whole chunks"
        outputs = ", ".join(f"{name} ({', '.join(self.dims[name]) or 'scalar'})" for name in self.programs[0].outputs)
        lines = [
            ("plan of", self.name),
            ("runs", f"{self.runs} = {sizes}"),
            ("compilations", f"{self.compilations}"),
            ("chunk", f"{self.width} runs; {chunks} chunks" + (" (width chosen)" if self.width_is_given else "")),
            ("memory", f"about {_bytes(live * self.width)} of live state per chunk"),
            ("runs in", place),
            ("precision", self.precision),
            ("output", f"{outputs}: {_bytes(self.output_bytes)}"),
            ("key", self.layout.facts["key_rule"]),
        ]
        if self.shard != (0, 1):
            lines.append(("shard", f"{self.shard[0]} of {self.shard[1]}"))
        return "\n".join(f"{name:<13} {text}" for name, text in lines)


def make_plan(
    run: Callable[..., Any],
    config: Any,
    axes: Axes,
    *,
    dims: Mapping[str, tuple[str, ...]] | None = None,
    check: Callable[[Any], None] | None = None,
    precision: str | None = None,
    width: int | Literal["auto"] = "auto",
    workers: int | None = None,
    independent: bool = False,
    ragged: Ragged = "error",
    shard: tuple[int, int] = (0, 1),
    name: str | None = None,
) -> Plan:
    """Plans a sweep: checks every point, traces one program per static point, chooses the chunk width.

    Args:
        run: ``run(key, config) -> dict`` of arrays; pure.
        config: an ``ml_collections.ConfigDict``.
        axes: what varies.
        dims: output name -> names of its axes; by default ``DIMS`` of the module that defines ``run``.
        check: called with the config of every grid point before anything is traced; by default that module's ``check``.
        precision: "float32" or "float64"; must agree with JAX's own setting, which is the default.
        width: runs per chunk (at least 4). By default so that the live state stays in a core's cache; where a single
            run's does not, runs follow one another anyway and each is a chunk.
        workers: threads or processes; by default one per core that this process may use.
        independent: also fold the other coordinates into the key (by default all points share their seeds' keys).
        ragged: what to do when a static axis changes the outputs' shapes: "error", "pad" (NaN) or "tree" (DataTree).
        shard: (i, n): execute only every n-th chunk, starting with the i-th.
        name: how the plan calls itself.

    Raises:
        ValueError: one line that names the field and the remedy.
    """
    module = getattr(run, "__globals__", {})
    dims = module.get("DIMS") if dims is None else dims
    if dims is None:
        raise ValueError("dims: give the names of the outputs' axes, or define DIMS beside run")
    dims = {key: (value,) if isinstance(value, str) else tuple(value) for key, value in dims.items()}
    check = module.get("check") if check is None else check
    actual = programs.float_name()
    if precision not in (None, actual):
        raise ValueError(
            f"precision: asked for {precision!r}, but JAX is set to {actual}; set jax_enable_x64 before planning"
        )
    if width != "auto" and (not isinstance(width, int) or width < 4):
        raise ValueError(f"width: needs a whole number of at least 4, or 'auto', got {width!r}")
    if workers is not None and workers < 1:
        raise ValueError(f"workers: needs at least one, got {workers}")
    if ragged not in ("error", "pad", "tree"):
        raise ValueError(f"ragged: must be 'error', 'pad' or 'tree', got {ragged!r}")
    if not (0 <= shard[0] < shard[1]):
        raise ValueError(f"shard: needs i/n with 0 <= i < n, got {shard[0]}/{shard[1]}")
    if axes.axis_of(SEED) is None:
        axes = product(axes, seeds(1))
    axes = _fitted(axes, config)
    if check is not None:
        _check_points(check, config, axes)

    key_rule = programs.KEY_RULE_INDEPENDENT if independent else programs.KEY_RULE
    types = {
        field.name: programs.traced_dtype(field.name, config_value(config, field.name), field.values)
        for axis in axes
        for field in axis.fields
        if field.kind == "traced"
    }
    static_points = list(_static_points(axes))
    traced = tuple(_trace(run, config, values, types, independent) for _, values, _ in static_points)
    _check_outputs(traced, dims, axes, ragged)
    live = max(program.live_bytes for program in traced)
    if width == "auto":
        chosen = programs.width_for(live) if jax.default_backend() == "cpu" else _accelerator_width(axes, live)
        chosen = 1 if all(program.one_by_one for program in traced) else chosen
    else:
        chosen = width
    points = tuple(
        Point(index, values, constants, "", program.arguments, program.outputs)
        for (index, values, constants), program in zip(static_points, traced, strict=True)
    )
    facts = {
        "config": _plain(config, skip=set(axes.fields)),
        "width": chosen,
        "precision": actual,
        "key_rule": key_rule,
        "backend": jax.default_backend(),
        "jax": jax.__version__,
        "jaxlib": programs.jaxlib_version(),
    }
    layout, lowered = _named(Layout(axes, dims, points, ragged, facts), traced)
    if workers is None:
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return Plan(
        name=name or getattr(run, "__module__", "sweep"),
        run=run,
        layout=layout,
        programs=traced,
        lowered=lowered,
        width_is_given=width != "auto",
        workers=workers if jax.default_backend() == "cpu" else 1,
        shard=shard,
    )


def _trace(run, config, values, types, independent) -> programs.Program:
    label = ", ".join(f"{field}={value}" for field, value in values.items()) or "the only point"
    return programs.trace(run, programs.with_fields(config, values), types, label=label, salted=independent)


def _named(layout: Layout, traced: tuple[programs.Program, ...]) -> tuple[Layout, tuple[Any, ...]]:
    """The layout with each point's fingerprint at its width, and the StableHLO that the fingerprints name."""
    lowered = tuple(program.lower(layout.width) for program in traced)
    points = tuple(
        dataclasses.replace(
            point,
            fingerprint=programs.fingerprint(program, low.as_text(), layout.width, layout.facts["key_rule"]),
        )
        for point, program, low in zip(layout.points, traced, lowered, strict=True)
    )
    return dataclasses.replace(layout, points=points), lowered


def _static_points(axes: Axes):
    static_axes = [axis for axis in axes if axis.is_static]
    for index in itertools.product(*(range(len(axis)) for axis in static_axes)):
        values: dict[str, Any] = {}
        constants: dict[str, float] = {}
        for axis, position in zip(static_axes, index, strict=True):
            for field in axis.fields:
                (values if field.kind == "static" else constants)[field.name] = field.values[position]
        yield index, values, constants


def _fitted(axes: Axes, config: Any) -> Axes:
    """The same axes with static values converted to the type that the config holds; unknown fields are refused."""

    def fit(field: Field) -> Field:
        if field.kind == "seed":
            return field
        current = config_value(config, field.name)
        if hasattr(current, "keys"):
            raise unknown_field(config, field.name)
        if field.kind == "traced" or current is None:
            return field
        values = tuple(_fit(field.name, value, current) for value in field.values)
        return dataclasses.replace(field, values=values)

    return Axes(tuple(Axis(axis.name, tuple(fit(field) for field in axis.fields)) for axis in axes))


def _fit(name: str, value: Any, current: Any) -> Any:
    if value is None or type(value) is type(current):
        return value
    if isinstance(current, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(current, int) and not isinstance(current, bool) and isinstance(value, float) and value.is_integer():
        return int(value)
    raise ValueError(f"{name}: the config holds the {type(current).__name__} {current!r}, the axis {value!r}")


def _check_points(check: Callable[[Any], None], config: Any, axes: Axes) -> None:
    copy = config.copy_and_resolve_references()
    varying = [axis for axis in axes if axis.name != SEED]
    with copy.unlocked(), copy.ignore_type():
        for index in itertools.product(*(range(len(axis)) for axis in varying)):
            for axis, position in zip(varying, index, strict=True):
                for field in axis.fields:
                    *parents, last = field.name.split(".")
                    node = copy
                    for parent in parents:
                        node = node[parent]
                    with node.unlocked(), node.ignore_type():
                        node[last] = field.values[position]
            check(copy)


def _check_outputs(
    traced: tuple[programs.Program, ...], dims: Mapping[str, tuple[str, ...]], axes: Axes, ragged: Ragged
) -> None:
    import difflib

    taken = {axis.name for axis in axes} | set(axes.fields)
    for program in traced:
        sizes: dict[str, int] = {}
        if not program.outputs:
            raise ValueError("run returns no outputs")
        for name, (shape, _) in program.outputs.items():
            if name not in dims:
                near = difflib.get_close_matches(name, dims, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"run returns {name!r}, which DIMS does not name{hint}")
            if len(dims[name]) != len(shape):
                raise ValueError(f"DIMS[{name!r}] names {len(dims[name])} axes {dims[name]}, run returns shape {shape}")
            for dim, size in zip(dims[name], shape, strict=True):
                if dim in taken:
                    raise ValueError(f"DIMS[{name!r}] uses {dim!r}, which is an axis of the sweep; rename one of them")
                if sizes.setdefault(dim, size) != size:
                    raise ValueError(f"DIMS: {dim!r} is {sizes[dim]} long in one output and {size} in {name!r}")
            if name in taken or name in {d for ds in dims.values() for d in ds}:
                raise ValueError(f"run returns {name!r}, which is also the name of an axis; rename one of them")
    first = traced[0]
    for other in traced[1:]:
        if other.outputs != first.outputs and ragged == "error":
            changed = sorted(
                name for name in {*first.outputs, *other.outputs} if first.outputs.get(name) != other.outputs.get(name)
            )
            raise ValueError(
                f"the outputs {changed} differ between {first.label} and {other.label}: a static axis changes their "
                f"shape; choose ragged='pad' or ragged='tree'"
            )
        if ragged == "pad":
            _check_paddable(first, other)


def _check_paddable(first: programs.Program, other: programs.Program) -> None:
    if set(first.outputs) != set(other.outputs):
        raise ValueError(f"ragged='pad' needs the same outputs at {first.label} and {other.label}; use ragged='tree'")
    for name, (shape, dtype) in other.outputs.items():
        base_shape, base_dtype = first.outputs[name]
        if dtype != base_dtype or len(shape) != len(base_shape):
            raise ValueError(f"ragged='pad': {name!r} changes its dtype or rank at {other.label}; use ragged='tree'")
        if shape != base_shape and np.dtype(dtype).kind != "f":
            raise ValueError(f"ragged='pad' fills with NaN, but {name!r} holds {dtype}; use ragged='tree'")


def _accelerator_width(axes: Axes, live: int) -> int:
    rows = math.prod(len(axis) for axis in axes if not axis.is_static)
    stats = jax.devices()[0].memory_stats() or {}
    budget = stats.get("bytes_limit", 8 * 2**30) // 4
    fits = max(4, 2 ** int(math.log2(max(budget / max(3 * live, 1), 4))))
    return int(min(fits, max(4, 2 ** math.ceil(math.log2(max(rows, 1))))))


def _plain(node: Any, skip: set[str], prefix: str = "") -> Any:
    """A configuration as JSON values, without the fields that the sweep varies."""
    if hasattr(node, "keys"):
        names = [name for name in node if f"{prefix}{name}" not in skip]
        return {name: _plain(node[name], skip, f"{prefix}{name}.") for name in names}
    if isinstance(node, tuple | list):
        return [_plain(item, set()) for item in node]
    return node if node is None or isinstance(node, bool | int | float | str) else repr(node)


def _kind(axis: Axis) -> str:
    kinds = sorted({field.kind for field in axis.fields})
    return "zipped " + "+".join(kinds) if len(axis.fields) > 1 else kinds[0]


def _bytes(n: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000 or unit == "GB":
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    raise ValueError(f"not a size: {n}")
