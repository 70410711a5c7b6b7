import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax.core import checks
from brainjax.core.types import as_floats, broadcast, is_concrete

REFUSED = [
    (checks.positive, (0.0,), r"^x must be positive and finite, got 0\.0$"),
    (checks.positive, (np.array([1.0, -2.0]),), r"^x must be positive and finite, got -2\.0 \(in \[ *1\., *-2\.\]\)$"),
    (checks.positive, (np.inf,), "x must be positive"),
    (checks.non_negative, (-1,), r"^x must be zero or more, got -1$"),
    (checks.non_negative, (np.nan,), "zero or more, got nan"),
    (checks.finite, (jnp.asarray([1.0, jnp.inf]),), "x must be finite, got inf"),
    (checks.unit, ([0.5, 1.5],), "x must be between 0 and 1, got 1.5"),
    (checks.at_least, (0.5, 1), "^x must be 1 or more, got 0.5$"),
    (checks.increasing, ([1.0, 1.0],), "x must be strictly increasing, got"),
    (checks.one_of, ("c", ("a", "b")), "^x must be one of 'a', 'b', got 'c'$"),
    (checks.shape_of, (np.zeros((2, 3)), (2, None, 4)), r"^x must have shape \(2, any, 4\), got \(2, 3\)$"),
]


@pytest.mark.parametrize(("check", "arguments", "message"), REFUSED)
def test_bad_values_are_refused_in_one_line_that_names_them(check, arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        check("x", *arguments)
    assert "\n" not in str(caught.value)


def test_a_message_stays_short_however_large_the_array():
    with pytest.raises(ValueError) as caught:
        checks.positive("x", -np.ones((50, 50)))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_good_values_pass():
    checks.positive("x", [1, 2.0])
    checks.non_negative("x", np.inf)
    checks.unit("x", jnp.asarray([0.0, 1.0]))
    checks.at_least("x", 1, 1)
    checks.increasing("x", [1, 1, 2], strictly=False)
    checks.one_of("x", "a", ("a",))
    checks.shape_of("x", np.zeros((2, 3)), (2, None))
    checks.require(np.array([True, True]), "no")


def test_traced_values_pass_untouched():
    @jax.jit
    def f(x):
        assert not is_concrete([1.0, x])
        for check in (checks.positive, checks.unit, checks.finite, checks.increasing):
            check("x", x)
        checks.require(x > 0, "never seen")
        return x

    np.testing.assert_array_equal(f(jnp.asarray([-3.0, -4.0])), [-3.0, -4.0])


def test_arrays_decide_the_dtype_and_numbers_follow():
    assert [x.dtype for x in as_floats(1, 2.0)] == [jnp.float64] * 2
    assert [x.dtype for x in as_floats(np.float32(1), 2.0, [1, 2.0])] == [jnp.float32] * 3
    assert [x.dtype for x in as_floats(np.float32(1), np.zeros(2))] == [jnp.float64] * 2
    assert as_floats(np.arange(3))[0].dtype == jnp.float64
    assert as_floats([np.float32(1), 2.0])[0].dtype == jnp.float32


def test_broadcasting_changes_rank_explicitly():
    a, b = broadcast(jnp.zeros(3), jnp.zeros((2, 1)))
    assert a.shape == b.shape == (2, 3)
