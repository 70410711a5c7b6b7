"""The labelled result of a sweep, filled run by run and handed out as an ``xarray.Dataset``."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from brainjax.sweep.axes import Axis
from brainjax.sweep.layout import Layout, Point, row_keys

if TYPE_CHECKING:
    import xarray as xr


class Results:
    """The outputs of all runs of a layout, and which of them are there."""

    def __init__(self, layout: Layout) -> None:
        """Reserves the memory."""
        self.layout = layout
        self.tables = [layout.arguments(point) for point in layout.points]
        self.present = [np.zeros(layout.rows, bool) for _ in layout.points]
        self._arrays = [
            {name: np.zeros((layout.rows, *shape), dtype) for name, (shape, dtype) in point.outputs.items()}
            for point in layout.points
        ]
        self._places: dict[str, list[tuple[int, dict[bytes, int]]]] = {}
        for number, (point, table) in enumerate(zip(layout.points, self.tables, strict=True)):
            index = {key: row for row, key in enumerate(row_keys(table))}
            self._places.setdefault(point.fingerprint, []).append((number, index))

    @property
    def done(self) -> int:
        """Number of runs that are there."""
        return int(sum(present.sum() for present in self.present))

    @property
    def total(self) -> int:
        """Number of runs of the layout."""
        return self.layout.rows * len(self.layout.points)

    def fill(self, fingerprint: str, table: np.ndarray, outputs: Mapping[str, np.ndarray]) -> None:
        """Puts the runs of a chunk or block where they belong; other runs are passed over."""
        keys = row_keys(table)
        for number, index in self._places.get(fingerprint, ()):
            if table.dtype != self.tables[number].dtype:
                continue
            found = [(row, index[key]) for row, key in enumerate(keys) if key in index]
            if not found:
                continue
            source, target = np.array(found).T
            for name, array in self._arrays[number].items():
                array[target] = outputs[name][source]
            self.present[number][target] = True

    def to_xarray(self) -> "xr.Dataset | xr.DataTree":
        """The result with named dimensions and coordinates: the axes in their order, then each output's own axes.

        With ``ragged="tree"`` a DataTree with one node per static point; with ``"pad"`` outputs are filled with NaN to
        a common shape and ``<axis>_length`` tells how much of each is real.
        """
        import xarray as xr

        if self.layout.ragged == "tree":
            nodes = {}
            for number, point in enumerate(self.layout.points):
                arrays = [self._arrays[number]]
                nodes[point.label.replace("/", "|")] = self._dataset(arrays, self.layout.batched_axes, [point], {})
            return xr.DataTree.from_dict(nodes, name=None)
        lengths: dict[str, np.ndarray] = {}
        arrays = self._arrays
        if self.layout.ragged == "pad":
            arrays, lengths = self._padded()
        return self._dataset(
            arrays, (*self.layout.static_axes, *self.layout.batched_axes), list(self.layout.points), lengths
        )

    def _dataset(
        self,
        arrays: list[dict[str, np.ndarray]],
        axes: tuple[Axis, ...],
        points: list[Point],
        lengths: Mapping[str, np.ndarray],
    ) -> "xr.Dataset":
        import xarray as xr

        sizes = [len(axis) for axis in axes]
        names = [axis.name for axis in axes]
        order = [axis.name for axis in self.layout.axes if axis in axes]
        variables: dict[str, Any] = {}
        diverged = np.zeros((len(points), self.layout.rows), bool)
        for name in points[0].outputs:
            stacked = np.stack([point_arrays[name] for point_arrays in arrays])
            if stacked.dtype.kind == "f":
                bad = ~np.isfinite(stacked.reshape(*stacked.shape[:2], -1))
                if self.layout.ragged == "pad":
                    bad = np.isinf(stacked.reshape(*stacked.shape[:2], -1))
                diverged |= bad.any(axis=-1)
            values = stacked.reshape(*sizes, *stacked.shape[2:])
            dims = self.layout.dims[name]
            variables[name] = xr.Variable((*names, *dims), values).transpose(*order, *dims)
        static_names = [axis.name for axis in self.layout.static_axes]
        for name, values in lengths.items():
            shape = [len(axis) for axis in self.layout.static_axes]
            variables[f"{name}_length"] = (static_names, values.reshape(shape))
        coords = {field.name: (axis.name, np.asarray(field.values)) for axis in axes for field in axis.fields}
        facts = self.layout.facts
        attrs = {
            "config": json.dumps(facts["config"]),
            "diverged_runs": int(diverged.sum()),
            **{name: facts[name] for name in ("precision", "width", "key_rule", "backend", "jax", "jaxlib")},
        }
        return xr.Dataset(variables, coords, attrs)

    def _padded(self) -> tuple[list[dict[str, np.ndarray]], dict[str, np.ndarray]]:
        points = self.layout.points
        lengths: dict[str, np.ndarray] = {}
        padded: list[dict[str, np.ndarray]] = [{} for _ in points]
        for name in points[0].outputs:
            shapes = np.array([point.outputs[name][0] for point in points]).reshape(len(points), -1)
            common = tuple(int(size) for size in shapes.max(axis=0))
            for axis, dim in enumerate(self.layout.dims[name]):
                if (shapes[:, axis] != common[axis]).any():
                    lengths[dim] = shapes[:, axis]
            for number, arrays in enumerate(self._arrays):
                values = arrays[name]
                if values.shape[1:] != common:
                    wide = np.full((len(values), *common), np.nan, values.dtype)
                    wide[(slice(None), *(slice(size) for size in values.shape[1:]))] = values
                    values = wide
                padded[number][name] = values
        return padded, lengths
