"""Parts of a result: axes that were pinned come back, and what cannot be is refused."""

import json

import numpy as np
import pytest
import xarray as xr

from brainjax.sweep import parts_of, setting

CONFIG = {"depth": 3, "rate": 0.5, "own": {"width": 8}}


def tree():
    attrs = {"config": json.dumps(CONFIG)}
    one = xr.Dataset({"y": (("part", "depth", "seed"), np.ones((1, 2, 4)))}, {"part": ["one"]}, attrs)
    other = xr.Dataset({"y": (("part", "seed"), np.zeros((1, 4)))}, {"part": ["other"]}, attrs)
    return xr.DataTree.from_dict({"one": one, "other": other})


def test_pinned_fields_are_axes_of_length_one_again():
    parts = parts_of(tree(), {"one": ("depth",), "other": ("depth", "own.width")})
    assert parts["one"].sizes == {"depth": 2, "seed": 4}
    assert dict(parts["other"].sizes) == {"depth": 1, "own.width": 1, "seed": 4}
    assert parts["other"]["depth"].item() == 3
    assert parts["other"]["own.width"].item() == 8
    assert setting(parts["one"], "own.width") == 8
    assert setting(parts["one"], "own") == {"width": 8}


def test_refusals():
    with pytest.raises(ValueError, match="axes must name the part 'other', got one"):
        parts_of(tree(), {"one": ()})
    with pytest.raises(ValueError, match=r"field must be one .* got 'own\.size'"):
        parts_of(tree(), {"one": (), "other": ("own.size",)})
    with pytest.raises(ValueError, match=r"got 'depth\.more'"):
        setting(tree()["one"].to_dataset(), "depth.more")
