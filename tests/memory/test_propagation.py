"""Chains of retrievals and averages of heads against simulations, in standard errors."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from brainjax import memory
from tests.memory.test_capacity import FAST, unit, z_score

D, N, SETS = 24, 18, 1500


def test_noise_along_a_chain_of_memories():
    rng = np.random.default_rng(0)
    codes = [unit(rng, SETS, N, D) for _ in range(4)]
    reads, y = codes[0], (N - 1) / D
    for hop in range(1, 4):
        scores = np.einsum("sid,sjd->sij", reads, codes[hop - 1], optimize=True)
        reads = np.einsum("sij,sjd->sid", scores, codes[hop], optimize=True)
        noise = ((reads - codes[hop]) ** 2).sum(-1).mean(-1)
        assert z_score(noise, memory.chain_noise(y, layers=hop)) < 4
        if hop > 1:
            assert z_score(noise, memory.chain_noise(y, layers=hop, spread="isotropic")) > 4
    assert float(memory.tolerated_depth(memory.chain_noise(y, layers=2.5), y)) == pytest.approx(2.5)
    assert float(memory.chain_noise(0.0, layers=3, spread="isotropic")) == 0


def test_isotropic_noise_is_a_geometric_sum():
    for y in (0.3, 1.0, 1.0 + 1e-9, 1.7):
        noise = 0.0
        for _ in range(5):
            noise = y + y * noise
        assert float(memory.chain_noise(y, layers=5, spread="isotropic")) == pytest.approx(noise, rel=1e-6)


def test_clean_chains_and_redundancy():
    rng = np.random.default_rng(1)
    failed = rng.random((20_000, 3, 4)) < 0.05
    assert z_score(~failed.any((1, 2)) * 1.0, memory.chain_success(0.05, layers=3, width=4)) < 4
    assert float(memory.chain_success(1.0, layers=2)) == 0
    assert float(memory.chain_success(1.0, layers=0)) == 1
    for copies in (1, 3, 7):
        lost = scipy.stats.binom.sf(copies // 2, copies, 0.3)  # more than half fail
        assert float(memory.redundant_failure(0.3, copies=copies, decision="majority")) == pytest.approx(lost)
        assert float(memory.redundant_failure(0.3, copies=copies, decision="majority_bound")) >= lost
        assert float(memory.redundant_failure(0.3, copies=copies)) == pytest.approx(0.3**copies)
    for decision in ("any", "majority_bound"):
        needed = memory.redundancy_needed(0.2, layers=6, width=5, tolerance=0.01, decision=decision)
        eps = memory.redundant_failure(0.2, copies=needed, decision=decision)
        assert float(eps) * 30 == pytest.approx(0.01)
        assert float(memory.chain_success(eps, layers=6, width=5)) > 0.99


@pytest.mark.parametrize("arrangement", ["shared", "partitioned", "independent", "random"])
def test_what_heads_buy(arrangement):
    rng = np.random.default_rng(2)
    heads, d_k, d_v = 3, 8, 4
    stream = heads * d_k
    codes, values = unit(rng, SETS, N, stream), rng.normal(size=(SETS, N, d_v)) / math.sqrt(d_v)
    if arrangement == "shared":  # each head rotates one code of d_k dimensions
        small, rotations = unit(rng, SETS, N, d_k), np.linalg.qr(rng.normal(size=(heads, d_k, d_k)))[0]
        keys = np.einsum("hij,snj->hsni", rotations, small)
    elif arrangement == "partitioned":  # the parts of a unit code, whose squared lengths sum to 1
        keys = np.stack(np.split(codes, heads, axis=-1)) * math.sqrt(heads)
    elif arrangement == "independent":
        keys = unit(rng, heads, SETS, N, d_k)
    else:
        keys = np.einsum("shij,snj->hsni", rng.normal(size=(SETS, heads, d_k, stream)) / math.sqrt(d_k), codes)
    kernel = np.einsum("hsid,hsjd->sij", keys, keys, optimize=True) / heads
    errors = ((kernel @ values - values) ** 2).sum(-1).mean(-1)
    wide = {"stream_dimension": stream} if arrangement == "random" else {}
    assert z_score(errors, memory.heads_error(N, d_k, heads, arrangement=arrangement, **wide)) < 4
    others = {"shared": "partitioned", "partitioned": "shared", "independent": "shared", "random": "independent"}
    assert z_score(errors, memory.heads_error(N, d_k, heads, arrangement=others[arrangement])) > 8


def test_fewer_and_wider_heads_hold_more():
    held = np.array([float(memory.heads_capacity_law(512.0, h)) for h in (1, 4, 16)])
    each = held / np.array([1, 4, 16])
    np.testing.assert_allclose(held, 512**2 / (2 * np.array([1, 4, 16]) * np.log(each)), rtol=1e-10)
    assert np.all(np.diff(held) < 0)
    all_pairs = float(memory.heads_capacity_law(512.0, 4, every=True))
    assert all_pairs == pytest.approx(512**2 / (8 * 4 * math.log(all_pairs / 4)))


@pytest.mark.slow
def test_derivatives_and_precision():
    def everything(y, eps):
        return (
            memory.chain_noise(y, layers=3.0),
            memory.chain_noise(y, layers=3.0, spread="isotropic"),
            memory.tolerated_depth(0.5, y),
            memory.chain_success(eps, layers=3.0, width=2.0),
            memory.redundant_failure(eps, copies=3.0, decision="majority"),
            memory.redundancy_needed(eps, layers=3.0, width=y + 1, tolerance=0.01),
            memory.heads_error(1 + 9 * y, 8.0, 2.0, arrangement="random", stream_dimension=16.0),
            memory.heads_capacity_law(64.0, 1 + y),
        )

    both = jax.jit(lambda *a: (everything(*a), jax.jacfwd(everything, argnums=(0, 1))(*a)), compiler_options=FAST)
    values, slopes = both(0.4, 0.1)
    single, _ = both(jnp.float32(0.4), jnp.float32(0.1))
    for value, low, pair in zip(values, single, slopes, strict=True):
        assert low.dtype == jnp.float32
        assert float(low) == pytest.approx(float(value), rel=1e-5)
        assert np.isfinite(pair).all()
    y = 0.4
    assert float(slopes[1][0]) == pytest.approx(1 + 2 * y + 3 * y**2)
    assert float(slopes[3][1]) == pytest.approx(-6 * 0.9**5)
    assert float(slopes[4][1]) == pytest.approx(6 * 0.1 * 0.9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: memory.chain_success(1.2, layers=1), "failure must be between 0 and 1"),
        (lambda: memory.redundant_failure(0.1, copies=0), "copies must be 1 or more"),
        (lambda: memory.redundant_failure(0.1, copies=1, decision="all"), "decision must be one of"),
        (
            lambda: memory.redundancy_needed(0.6, layers=1, width=1, tolerance=0.1, decision="majority_bound"),
            "failure must be below 0.5",
        ),
        (lambda: memory.chain_noise(-0.1, layers=1), "load must be zero or more"),
        (lambda: memory.heads_error(3, 4, 2, arrangement="random"), "stream_dimension must be given"),
        (lambda: memory.heads_error(3, 4, 2, stream_dimension=8), "stream_dimension must be given"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
