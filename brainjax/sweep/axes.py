"""Axes of a sweep: which configuration fields vary, over which values, and how they are combined.

Knows neither JAX nor xarray. A *static* value becomes part of the program (one compilation each), a *traced* value is
an argument of it, and a *seed* selects the random key of a run.
"""

import dataclasses
import math
import numbers
from collections.abc import Iterable, Sequence
from typing import Any, Literal

Kind = Literal["static", "traced", "seed"]
SEED = "seed"


@dataclasses.dataclass(frozen=True)
class Field:
    """One configuration field along an axis: its name, whether it is static, traced or the seed, and its values."""

    name: str
    kind: Kind
    values: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Axis:
    """One dimension of the result; its fields (usually one, several when zipped) vary together along it."""

    name: str
    fields: tuple[Field, ...]

    def __len__(self) -> int:
        return len(self.fields[0].values)

    @property
    def is_static(self) -> bool:
        """Whether moving along this axis changes the program."""
        return any(field.kind == "static" for field in self.fields)


@dataclasses.dataclass(frozen=True)
class Axes:
    """The axes of a sweep, in the order of the result's dimensions."""

    axes: tuple[Axis, ...] = ()

    def __post_init__(self) -> None:
        names: set[str] = set()
        for axis in self.axes:
            for name in {axis.name, *(field.name for field in axis.fields)}:
                if name in names:
                    raise ValueError(f"axes: {name!r} is given twice; each field varies along exactly one axis")
                names.add(name)

    def __iter__(self):
        return iter(self.axes)

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of all fields that vary, the seed included."""
        return tuple(field.name for axis in self.axes for field in axis.fields)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values along each axis."""
        return tuple(len(axis) for axis in self.axes)

    @property
    def size(self) -> int:
        """Number of runs: the product of the axes' lengths."""
        return math.prod(self.shape)

    def axis_of(self, field: str) -> Axis | None:
        """The axis along which a field varies, or None."""
        return next((axis for axis in self.axes if field in [f.name for f in axis.fields]), None)

    def with_values(self, field: str, values: Iterable[Any], config: Any) -> "Axes":
        """Replaces the values of one field, or adds an axis for it (traced where the config holds a float).

        Args:
            field: dotted name of a configuration field.
            values: the new values.
            config: the configuration, asked for the field's type when the axis is new.

        Raises:
            ValueError: when the field is zipped with others and the number of values changes.
        """
        values = tuple(values)
        old = self.axis_of(field)
        if old is None:
            current = config_value(config, field)
            is_float = isinstance(current, float)
            new = (traced if is_float else static)(**{field: values})
            return product(new, self)
        if len(old.fields) > 1 and len(values) != len(old):
            raise ValueError(
                f"{field}: it varies together with {[f.name for f in old.fields if f.name != field]} "
                f"along {old.name!r} and needs {len(old)} values, got {len(values)}"
            )
        fields = tuple(
            Field(f.name, f.kind, _values(f.name, values, f.kind)) if f.name == field else f for f in old.fields
        )
        return Axes(tuple(Axis(a.name, fields) if a is old else a for a in self.axes))

    def without(self, field: str) -> "Axes":
        """Pins a field: it no longer varies, and an axis that held only this field goes away."""
        kept = []
        for axis in self.axes:
            fields = tuple(f for f in axis.fields if f.name != field)
            if fields:
                kept.append(Axis(axis.name, fields))
        return Axes(tuple(kept))

    def with_seeds(self, seeds_: int | Sequence[int]) -> "Axes":
        """Replaces the seeds, or adds them as the last axis."""
        new = seeds(seeds_)
        if self.axis_of(SEED) is None:
            return product(self, new)
        return Axes(tuple(new.axes[0] if axis.name == SEED else axis for axis in self.axes))


def static(**fields: Iterable[Any]) -> Axes:
    """Fields whose values change the program: each value is one compilation.

    Write a nested field as ``static(**{"model.depth": [2, 3]})``. Several fields make a product.

    Raises:
        ValueError: when a field has no values, or the same value twice.
    """
    return _single_axes(fields, "static")


def traced(**fields: Iterable[float]) -> Axes:
    """Numeric fields that are arguments of the compiled program: any number of values, one compilation.

    Raises:
        ValueError: when a field has no values, the same value twice, or a value that is not a number.
    """
    return _single_axes(fields, "traced")


def seeds(n: int | Sequence[int]) -> Axes:
    """Random seeds: ``seeds(64)`` is 0 … 63; a sequence names them one by one.

    A run's key is ``fold_in(key(config.seed), seed)``: it depends on the seed's value alone, never on its position.

    Raises:
        ValueError: when there are no seeds, a seed is repeated, or lies outside 0 … 2**32 − 1.
    """
    if isinstance(n, int) and n < 1:
        raise ValueError(f"seeds: needs at least one seed, got {n}")
    values = range(n) if isinstance(n, int) else n
    return Axes((Axis(SEED, (Field(SEED, "seed", _values(SEED, values, "seed")),)),))


def zipped(name: str, *axes: Axes) -> Axes:
    """Fields that vary together along one dimension called ``name``, value by value.

    Raises:
        ValueError: when the lengths differ or no axis is given.
    """
    fields = tuple(field for part in axes for axis in part for field in axis.fields)
    if not fields:
        raise ValueError(f"zipped({name!r}): needs at least one axis")
    lengths = {field.name: len(field.values) for field in fields}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"zipped({name!r}): the axes must have equal lengths, got {lengths}")
    if any(field.kind == "seed" for field in fields):
        raise ValueError(f"zipped({name!r}): seeds cannot be zipped; they are an axis of their own")
    return Axes((Axis(name, fields),))


def product(*axes: Axes) -> Axes:
    """Every combination of the given axes, in this order of dimensions.

    Raises:
        ValueError: when a field appears on two axes.
    """
    return Axes(tuple(axis for part in axes for axis in part))


def config_value(config: Any, field: str) -> Any:
    """The value of a dotted field of a (nested) configuration.

    Raises:
        ValueError: when there is no such field; the message suggests the nearest name.
    """
    node = config
    for part in field.split("."):
        try:
            node = node[part]
        except (KeyError, TypeError, AttributeError):
            raise unknown_field(config, field) from None
    return node


def config_fields(config: Any, prefix: str = "") -> list[str]:
    """Dotted names of all leaves of a nested configuration."""
    names: list[str] = []
    for name in config:
        value = config[name]
        if hasattr(value, "keys"):
            names += config_fields(value, f"{prefix}{name}.")
        else:
            names.append(f"{prefix}{name}")
    return names


def unknown_field(config: Any, field: str) -> ValueError:
    """The error for a field that the configuration does not have, with the nearest name."""
    import difflib

    known = config_fields(config)
    near = difflib.get_close_matches(field, known, n=1, cutoff=0.5)
    remedy = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
    return ValueError(f"the config has no field {field!r}: {remedy}")


def _single_axes(fields: dict[str, Iterable[Any]], kind: Kind) -> Axes:
    if SEED in fields:
        raise ValueError(f"{kind}: the seed is an axis of its own; use seeds(...)")
    return Axes(tuple(Axis(name, (Field(name, kind, _values(name, values, kind)),)) for name, values in fields.items()))


def _values(name: str, values: Iterable[Any], kind: Kind) -> tuple[Any, ...]:
    if isinstance(values, str | numbers.Number):
        raise ValueError(f"{name}: needs a sequence of values, got {values!r}")
    out = tuple(_plain(value) for value in values)
    if not out:
        raise ValueError(f"{name}: an axis needs at least one value, got none")
    for value in out:
        if kind != "static" and not isinstance(value, numbers.Real):
            raise ValueError(f"{name}: a {kind} value must be a number, got {value!r}; use static(...) for others")
        if kind == "seed" and not (isinstance(value, int) and 0 <= value < 2**32):
            raise ValueError(f"seeds: each must be a whole number in 0 … 2**32 - 1, got {value!r}")
        if kind == "static" and not isinstance(value, numbers.Real | str | tuple | None):
            raise ValueError(f"{name}: a static value must be a number, text, tuple or None, got {value!r}")
    seen: set[Any] = set()
    for value in out:
        if value in seen:
            raise ValueError(f"{name}: the value {value!r} is given twice")
        seen.add(value)
    return out


def _plain(value: Any) -> Any:
    """A Python number for a numpy or JAX scalar; other values as they are."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value
