"""Reading a result that has several parts: what figures and claims of an experiment begin with.

May import: xarray, when called.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["parts_of", "setting"]


def setting(data: "xr.Dataset", field: str) -> Any:
    """A field of the configuration that a result was made with; dots lead into its groups.

    Raises:
        ValueError: when the configuration has no such field.
    """
    try:
        return functools.reduce(lambda node, name: node[name], field.split("."), json.loads(data.attrs["config"]))
    except (KeyError, TypeError):
        raise ValueError(f"field must be one of the result's configuration, got {field!r}") from None


def parts_of(results: "xr.DataTree", axes: Mapping[str, Sequence[str]]) -> "dict[str, xr.Dataset]":
    """The parts of a result, each with the axes that its figure and claims expect.

    A field that was pinned on the command line (``--config.depth=3``) has no axis in the result; here it becomes one of
    length one again. The static axis ``part``, which tells the parts apart, is left out.

    Args:
        results: one node per part, as `brainjax run` hands it on.
        axes: for every part, the axes that it must have.

    Raises:
        ValueError: when a result holds a part that ``axes`` does not name, or an axis is no field of the configuration.
    """
    parts = {}
    for name in results.children:
        if name not in axes:
            raise ValueError(f"axes must name the part {name!r}, got {', '.join(axes)}")
        data = results[name].to_dataset()
        data = data.squeeze("part", drop=True) if "part" in data.dims else data
        for axis in axes[name]:
            if axis not in data.dims:
                data = data.expand_dims({axis: [setting(data, axis)]})
        parts[name] = data
    return parts
