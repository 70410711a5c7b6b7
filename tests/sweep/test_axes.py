import numpy as np
import pytest
from ml_collections import ConfigDict

from brainjax.sweep import product, seeds, static, traced, zipped

CONFIG = ConfigDict({"seed": 0, "depth": 2, "lr": 0.1, "deficit": {"onset": 0.0}})


def test_product_has_one_dimension_per_field_in_the_order_given():
    axes = product(static(depth=[2, 3]), traced(lr=[0.1, 0.2, 0.3]), seeds(4))
    assert [axis.name for axis in axes] == ["depth", "lr", "seed"]
    assert axes.shape == (2, 3, 4)
    assert axes.size == 24


def test_zipped_fields_share_one_dimension():
    axes = product(zipped("case", traced(lr=[0.1, 0.2]), static(depth=[2, 3])), seeds([7, 3]))
    assert axes.shape == (2, 2)
    assert axes.fields == ("lr", "depth", "seed")


def test_numpy_values_become_python_numbers():
    (axis,) = traced(lr=np.linspace(0, 1, 3))
    assert axis.fields[0].values == (0.0, 0.5, 1.0)
    assert all(type(value) is float for value in axis.fields[0].values)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: traced(lr=[]), ["lr", "at least one value"]),
        (lambda: static(depth=[2, 2]), ["depth", "twice"]),
        (lambda: traced(lr=["a"]), ["lr", "number", "static"]),
        (lambda: traced(lr=0.3), ["lr", "sequence"]),
        (lambda: seeds(0), ["seeds", "at least one"]),
        (lambda: seeds([1, 1]), ["seed", "twice"]),
        (lambda: seeds([-1]), ["seeds", "-1"]),
        (lambda: seeds([0.5]), ["seeds", "0.5"]),
        (lambda: static(seed=[1]), ["seed", "seeds(...)"]),
        (lambda: product(static(depth=[2]), traced(depth=[3.0])), ["depth", "twice"]),
        (lambda: product(seeds(2), seeds(3)), ["seed", "twice"]),
        (lambda: zipped("case", traced(lr=[0.1, 0.2]), static(depth=[2])), ["case", "equal lengths"]),
        (lambda: zipped("case"), ["case", "at least one"]),
        (lambda: zipped("case", seeds(2)), ["case", "seeds"]),
    ],
)
def test_bad_axes_are_refused_in_one_line(make, words):
    with pytest.raises(ValueError) as caught:
        make()
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_overriding_replaces_adds_and_pins():
    axes = product(traced(lr=[0.1, 0.2]), seeds(2))
    assert axes.with_values("lr", [0.5], CONFIG).shape == (1, 2)
    added = axes.with_values("deficit.onset", [0.0, 1.0], CONFIG)
    assert added.axis_of("deficit.onset").fields[0].kind == "traced"
    assert axes.with_values("depth", [2, 3], CONFIG).axis_of("depth").is_static
    assert axes.without("lr").fields == ("seed",)
    assert axes.with_seeds(5).shape == (2, 5)
    assert traced(lr=[0.1]).with_seeds([4]).fields == ("lr", "seed")
    with pytest.raises(ValueError, match=r"lrr.*did you mean 'lr'"):
        axes.with_values("lrr", [0.1], CONFIG)
    both = zipped("case", traced(lr=[0.1, 0.2]), static(depth=[2, 3]))
    with pytest.raises(ValueError, match="needs 2 values"):
        both.with_values("lr", [0.1], CONFIG)
