"""Where every run of a sweep stands: the table that the plan, the store and the result share.

Knows neither JAX nor xarray; a layout is written to the store as JSON, and everything about the result's shape and
labels can be rebuilt from it.
"""

import dataclasses
import itertools
import json
import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from brainjax.sweep.axes import SEED, Axes, Axis, Field

FORMAT = 1
SALT = "point_salt"


@dataclasses.dataclass(frozen=True)
class Point:
    """One static point: its place, its program's name, and what goes in and out of one run.

    Attributes:
        index: position along each static axis.
        values: static field -> value.
        constants: traced fields zipped with a static one -> value at this point.
        fingerprint: hash of everything that determines the results of its runs.
        arguments: names and dtypes of the program's arguments, in calling order.
        outputs: name -> (shape, dtype) of one run.
    """

    index: tuple[int, ...]
    values: Mapping[str, Any]
    constants: Mapping[str, float]
    fingerprint: str
    arguments: tuple[tuple[str, str], ...]
    outputs: Mapping[str, tuple[tuple[int, ...], str]]

    @property
    def label(self) -> str:
        """The static values, for messages and for the nodes of a tree."""
        return ",".join(f"{field}={value}" for field, value in self.values.items()) or "all"


@dataclasses.dataclass(frozen=True)
class Layout:
    """All runs of a sweep: static points times the rows of each (the seed varies fastest)."""

    axes: Axes
    dims: Mapping[str, tuple[str, ...]]
    points: tuple[Point, ...]
    ragged: str
    facts: Mapping[str, Any]  # what else must agree between a store and a plan: config, width, versions, key rule

    @property
    def width(self) -> int:
        """Runs per chunk."""
        return self.facts["width"]

    @property
    def static_axes(self) -> tuple[Axis, ...]:
        """Axes along which the program changes."""
        return tuple(axis for axis in self.axes if axis.is_static)

    @property
    def batched_axes(self) -> tuple[Axis, ...]:
        """Axes along which one program is batched, in row order."""
        batched = [axis for axis in self.axes if not axis.is_static]
        return tuple(sorted(batched, key=lambda axis: axis.name == SEED))

    @property
    def rows(self) -> int:
        """Number of runs of one program."""
        return math.prod(len(axis) for axis in self.batched_axes)

    def arguments(self, point: Point) -> np.ndarray:
        """The arguments of all rows of one point: a structured array with one field per argument."""
        axes = self.batched_axes
        shape = tuple(len(axis) for axis in axes)
        table = np.empty(self.rows, dtype=[(name, np.dtype(dtype)) for name, dtype in point.arguments])
        for position, axis in enumerate(axes):
            for field in axis.fields:
                along = [1] * len(axes)
                along[position] = len(axis)
                values = np.asarray(field.values, dtype=table.dtype[field.name]).reshape(along)
                table[field.name] = np.broadcast_to(values, shape).ravel()
        for name, value in point.constants.items():
            table[name] = value
        if SALT in (table.dtype.names or ()):
            table[SALT] = _salts(point, table)
        return table

    def chunks(self) -> int:
        """Number of chunks of one program."""
        return -(-self.rows // self.width)

    def to_json(self) -> dict[str, Any]:
        """The layout as JSON."""
        return {
            "format": FORMAT,
            "axes": [
                {
                    "name": axis.name,
                    "fields": [{"name": f.name, "kind": f.kind, "values": list(f.values)} for f in axis.fields],
                }
                for axis in self.axes
            ],
            "dims": {name: list(names) for name, names in self.dims.items()},
            "points": [
                {
                    "index": list(point.index),
                    "values": dict(point.values),
                    "constants": dict(point.constants),
                    "fingerprint": point.fingerprint,
                    "arguments": [list(pair) for pair in point.arguments],
                    "outputs": {name: [list(shape), dtype] for name, (shape, dtype) in point.outputs.items()},
                }
                for point in self.points
            ],
            "ragged": self.ragged,
            "facts": dict(self.facts),
        }

    @classmethod
    def from_json(cls, doc: Mapping[str, Any]) -> "Layout":
        """Rebuilds a layout from `to_json`.

        Raises:
            ValueError: when the document has another format.
        """
        if doc.get("format") != FORMAT:
            raise ValueError(f"the plan file has format {doc.get('format')!r}, this version reads {FORMAT}")
        axes = Axes(
            tuple(
                Axis(
                    axis["name"],
                    tuple(Field(f["name"], f["kind"], tuple(map(_hashable, f["values"]))) for f in axis["fields"]),
                )
                for axis in doc["axes"]
            )
        )
        points = tuple(
            Point(
                tuple(point["index"]),
                {name: _hashable(value) for name, value in point["values"].items()},
                point["constants"],
                point["fingerprint"],
                tuple((name, dtype) for name, dtype in point["arguments"]),
                {name: (tuple(shape), dtype) for name, (shape, dtype) in point["outputs"].items()},
            )
            for point in doc["points"]
        )
        dims = {name: tuple(names) for name, names in doc["dims"].items()}
        return cls(axes, dims, points, doc["ragged"], doc["facts"])


def row_keys(table: np.ndarray) -> list[bytes]:
    """What identifies each row of one program: the bytes of its arguments."""
    size = table.dtype.itemsize
    data = np.ascontiguousarray(table).tobytes()
    return [data[start : start + size] for start in range(0, len(data), size)]


def differences(stored: Layout, asked: Layout) -> list[str]:
    """Why a store made by one layout cannot serve another; empty when the new one only adds points."""
    found = [
        f"{name}: the store has {old!r}, this plan {new!r}"
        for name, old, new in _paired(_flat(stored.facts), _flat(asked.facts))
        if old != new
    ]
    if stored.ragged != asked.ragged:
        found.append(f"ragged: the store has {stored.ragged!r}, this plan {asked.ragged!r}")
    if sorted(map(_signature, stored.axes)) != sorted(map(_signature, asked.axes)):
        found.append(f"axes: the store has {list(stored.axes.fields)}, this plan {list(asked.axes.fields)}")
        return found
    new_points = {_key(point): point for point in asked.points}
    for point in stored.points:
        twin = new_points.get(_key(point))
        if twin is not None and twin.fingerprint != point.fingerprint and not found:
            found.append(f"code: the program at {point.label} has changed since the store was made")
    for axis in stored.axes:
        twin_axis = asked.axes.axis_of(axis.fields[0].name)
        if twin_axis is None:
            continue
        had, has = (set(zip(*(f.values for f in a.fields), strict=True)) for a in (axis, twin_axis))
        missing = sorted(had - has, key=repr)
        if missing:
            text = ", ".join(str(value[0] if len(value) == 1 else value) for value in missing[:5])
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            found.append(f"{axis.name}: the store also has {text}{more}, which this plan leaves out")
    return found


def _salts(point: Point, table: np.ndarray) -> np.ndarray:
    static = json.dumps(dict(sorted(point.values.items())), default=str).encode()
    names = sorted(name for name in table.dtype.names or () if name not in (SEED, SALT))
    columns = np.empty((len(table), len(names)))
    for position, name in enumerate(names):
        columns[:, position] = table[name]
    return np.array([zlib.crc32(static + row.tobytes()) for row in columns], dtype=np.uint32)


def _signature(axis: Axis) -> str:
    return repr((axis.name, [(field.name, field.kind) for field in axis.fields]))


def _key(point: Point) -> str:
    return json.dumps([dict(sorted(point.values.items())), dict(sorted(point.constants.items()))], default=str)


def _flat(node: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(node, Mapping):
        items = (_flat(value, f"{prefix}{name}.") for name, value in node.items())
        return dict(itertools.chain.from_iterable(item.items() for item in items))
    return {prefix.rstrip("."): node}


def _paired(old: Mapping[str, Any], new: Mapping[str, Any]):
    for name in sorted({*old, *new}):
        yield name, old.get(name, "nothing"), new.get(name, "nothing")


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value
