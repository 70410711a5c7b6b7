"""Rank-structured weights: what holds exactly for every draw, whatever the composition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import initializers as ini
from brainjax.core.spectra import singular_values, spectral_radius

KEY = jax.random.key(3)
GAIN = 1.25
N = 24


def draw(key=KEY, shape=(N, N), dtype=None, **settings):
    return ini.rank_structured(gain=GAIN, **settings)(key, shape, dtype)


@pytest.fixture(scope="module")
def base():
    return ini.gaussian(GAIN)(KEY, (N, N))


# ------------------------------------------------------------------------------------------------------- truncation
def test_full_rank_is_the_base_matrix_and_truncation_scales_its_first_values(base):
    np.testing.assert_array_equal(draw(spectrum=ini.truncated(N)), base)
    np.testing.assert_array_equal(draw(), base)
    np.testing.assert_array_equal(draw(spectrum=ini.truncated(N), normalize="radius"), base)
    left, values, right = np.linalg.svd(base)
    norm = np.linalg.norm(base)
    for rank in (1, 5, N - 1):
        found = draw(spectrum=ini.truncated(rank))
        kept = (left[:, :rank] * values[:rank]) @ right[:rank]
        np.testing.assert_allclose(found, kept * norm / np.linalg.norm(kept), atol=1e-13)
        assert np.linalg.matrix_rank(found) == rank
        np.testing.assert_allclose(ini.truncate(base, rank), kept, atol=1e-13)


def test_one_compilation_serves_a_sweep_and_vmap_a_grid(base):
    traces = []

    @jax.jit
    def weights(key, rank, exponent, angle, gain):
        traces.append(1)
        return (
            ini.rank_structured(spectrum=ini.truncated(rank), gain=gain)(key, (N, N)),
            ini.rank_structured(
                spectrum=ini.power_law(exponent, rank),
                gain=gain,
                normalize="spectral",
                directions=(jnp.eye(N)[:, :2], None),
                alignment=angle,
            )(key, (N, N)),
        )

    for rank, exponent, angle in ((1, 0.0, 0.0), (3, 1.0, 0.4), (N, 2.0, 1.5)):
        first, second = weights(KEY, rank, exponent, angle, GAIN)
        np.testing.assert_allclose(first, draw(spectrum=ini.truncated(rank)), atol=1e-12)
        found = np.linalg.svd(second)
        expected = np.where(np.arange(N) < rank, np.arange(1.0, N + 1) ** -exponent, 0)
        np.testing.assert_allclose(found.S, expected * np.linalg.norm(base, 2), atol=1e-12)
    assert len(traces) == 1
    ranks = jnp.arange(1, N + 1)
    grid = jax.jit(jax.vmap(lambda rank: draw(spectrum=ini.truncated(rank))))(ranks)
    np.testing.assert_allclose(np.linalg.norm(grid, axis=(1, 2)), np.linalg.norm(base), rtol=1e-12)
    np.testing.assert_array_equal(np.linalg.matrix_rank(grid), ranks)


def test_float32_and_leading_axes_and_narrow_types(base):
    init = ini.rank_structured(spectrum=ini.truncated(3), gain=GAIN)
    single = init(KEY, (2, 5, 7), jnp.float32)
    assert single.dtype == jnp.float32
    assert single.shape == (2, 5, 7)
    np.testing.assert_array_equal(np.linalg.matrix_rank(single, tol=1e-5), 3)
    plain = ini.gaussian(GAIN)(KEY, (2, 5, 7), jnp.float32)
    np.testing.assert_allclose(np.linalg.norm(single, axis=(1, 2)), np.linalg.norm(plain, axis=(1, 2)), rtol=1e-5)
    assert abs(single[0] - single[1]).max() > 0.1
    assert init(KEY, (4, 4), jnp.bfloat16).dtype == jnp.bfloat16


# ---------------------------------------------------------------------------------------------------- normalisation
@pytest.mark.parametrize("normalize", ["frobenius", "spectral", "radius"])
def test_norms_are_those_of_the_base_or_as_asked(base, normalize):
    measure = {
        "frobenius": np.linalg.norm,
        "spectral": lambda x: np.linalg.norm(x, 2),
        "radius": lambda x: np.abs(np.linalg.eigvals(x)).max(),
    }[normalize]
    exact = {"rtol": 1e-10}
    for settings in ({"spectrum": ini.truncated(4)}, {"spectrum": ini.flat(4), "basis": "gaussian"}):
        np.testing.assert_allclose(measure(draw(normalize=normalize, **settings)), measure(base), **exact)
    np.testing.assert_allclose(measure(draw(normalize=normalize, size=2.0, spectrum=ini.truncated(4))), 2, **exact)
    np.testing.assert_allclose(measure(ini.rescale(base, norm=normalize, size=0.3)), 0.3, **exact)
    np.testing.assert_allclose(ini.norm_of(base, normalize), measure(base), **exact)
    other = jax.nn.initializers.uniform(1.0)
    arm = ini.matched(lambda *args: other(*args), norm=normalize, like=ini.gaussian(GAIN))
    np.testing.assert_allclose(measure(arm(KEY, (N, N), jnp.float64)), measure(base), **exact)


def test_no_norm_and_zero():
    values = np.linspace(2, 0, N)
    np.testing.assert_allclose(singular_values(draw(spectrum=values, normalize="none")), values, atol=1e-13)
    zero = jnp.zeros((3, 3))
    for norm in ("frobenius", "spectral", "radius"):
        np.testing.assert_array_equal(ini.rescale(zero, norm=norm, size=1.0), zero)
    np.testing.assert_array_equal(draw(spectrum=np.zeros(N)), np.zeros((N, N)))


def test_haar_basis_is_the_polar_factor(base):
    left, _, right = np.linalg.svd(base)
    np.testing.assert_allclose(draw(basis="haar"), GAIN * left @ right, atol=1e-12)
    wide = np.asarray(draw(basis="haar", shape=(3, 8)))
    np.testing.assert_allclose(wide @ wide.T, GAIN**2 * np.eye(3), atol=1e-13)
    same = draw(basis="haar", spectrum=ini.flat(4))
    np.testing.assert_allclose(np.linalg.svd(same).S[:4], GAIN * np.sqrt(N / 4), rtol=1e-12)


# -------------------------------------------------------------------------------------------------------- alignment
def directions(k, seed=0):
    random = np.random.default_rng(seed)
    return tuple(np.linalg.qr(random.normal(size=(N, k)))[0] for _ in range(2))


@pytest.mark.parametrize("angle", [0.0, 0.7, np.pi / 2])
def test_the_first_singular_vectors_have_the_angle_and_the_spectrum_stays(angle):
    t_left, t_right = directions(3)
    spectrum = np.arange(N, 0, -1.0)
    found = draw(spectrum=spectrum, normalize="none", directions=(t_left, t_right), alignment=angle)
    left, values, right = np.linalg.svd(found)
    np.testing.assert_allclose(values, spectrum, rtol=1e-12)
    for vectors, task in ((left[:, :3], t_left), (right[:3].T, t_right)):
        np.testing.assert_allclose(np.abs(task.T @ vectors), np.cos(angle) * np.eye(3), atol=1e-12)
    # both vectors of a pair are turned, so that their signs agree with the directions
    first = (left[:, :3] * values[:3]) @ right[:3]
    np.testing.assert_allclose(t_left.T @ first @ t_right, np.cos(angle) ** 2 * np.diag(spectrum[:3]), atol=1e-11)


@pytest.mark.slow
def test_one_direction_on_one_side_and_a_whole_basis():
    t = np.eye(N)[:, 4]
    one_sided = draw(spectrum=ini.flat(1), directions=(None, t))
    free = draw(spectrum=ini.flat(1))
    scale = np.linalg.norm(one_sided)
    np.testing.assert_allclose(np.linalg.norm(one_sided @ t), scale, rtol=1e-12)
    np.testing.assert_allclose(np.abs(np.vdot(one_sided @ t, np.linalg.svd(free).U[:, 0])), scale, rtol=1e-12)
    left, right = directions(N)
    target = left @ right.T
    isometry = draw(spectrum=ini.flat(N), directions=(left, right))
    np.testing.assert_allclose(isometry, np.linalg.norm(isometry) / np.sqrt(N) * target, atol=1e-11)


@pytest.mark.slow
def test_rest_of_the_basis_stays_random():
    """At an angle of 90 degrees and in the complement of the direction, the mean of u u^T is isotropic."""
    t = np.zeros(8)
    t[0] = 1
    init = ini.rank_structured(
        spectrum=ini.flat(1), normalize="spectral", size=1.0, directions=(t, None), alignment=np.pi / 2
    )
    many = jax.jit(jax.vmap(lambda key: init(key, (8, 8))))(jax.random.split(KEY, 800))
    u = np.asarray(many @ jnp.swapaxes(many, 1, 2))  # u u^T
    assert np.abs(u[:, 0, 0]).max() < 1e-12
    error = u.std(0) / np.sqrt(len(u))
    z = (u.mean(0) - np.diag([0, *[1 / 7] * 7]))[1:, 1:] / error[1:, 1:]
    assert np.abs(z).max() < 4.5


# -------------------------------------------------------------------------------------------------------- bad input
UNIT = np.eye(4)[:, :1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"spectrum": lambda s: ini.truncated(5)(s)}, "rank must be at most 4, the smaller size of the matrix, got 5"),
        ({"spectrum": [1.0, 1.0, 0.0, -1.0]}, "spectrum must be zero or more, got -1"),
        ({"spectrum": [1.0, 1.0]}, r"spectrum must give 4 singular values, got shape \(2,\)"),
        ({"basis": "orthogonal"}, "basis must be one of 'gaussian', 'haar', got 'orthogonal'"),
        ({"normalize": "l1"}, "normalize must be one of .* got 'l1'"),
        ({"gain": -1.0}, r"gain must be positive and finite, got -1\.0"),
        ({"size": -1.0}, r"size must be zero or more, got -1\.0"),
        ({"size": 1.0, "normalize": "none"}, "size must be left out where normalize is 'none'"),
        ({"alignment": 0.5}, r"directions must be given where alignment is not 0, got 0\.5"),
        ({"alignment": 2.0, "directions": (UNIT, None)}, r"alignment must be between 0 and pi/2 \(radians\), got 2\.0"),
        ({"directions": (2 * UNIT, None)}, r"directions\[0\] \(left\) must be unit vectors, got one of length 2"),
        (
            {"directions": (None, np.repeat(UNIT, 2, 1))},
            r"directions\[1\] \(right\) must be orthogonal to one another, got an inner product of 1",
        ),
        (
            {"directions": (None, np.eye(5)[:, :2])},
            r"directions\[1\] \(right\) must have shape \(4, k\) with k at most 4 .* got \(5, 2\)",
        ),
        ({"directions": (UNIT, np.eye(4)[:, :2])}, "directions must be as many left as right, got 1 and 2"),
        (
            {"directions": (np.eye(4)[:, :3], None), "alignment": 0.1},
            "must number at most half of the 4 units .* got 3",
        ),
        ({"directions": [UNIT]}, r"directions must be a pair \(left, right\), got list"),
    ],
)
def test_refusals(settings, message):
    with pytest.raises(ValueError, match=message):
        ini.rank_structured(**settings)(KEY, (4, 4))


def test_refused_shapes_and_types():
    with pytest.raises(ValueError, match=r"shape must be \(\.\.\., N, N\) for a spectral radius, got \(2, 3\)"):
        draw(shape=(2, 3), normalize="radius")
    with pytest.raises(ValueError, match=r"shape must be \(\.\.\., rows, columns\), all positive, got \(3,\)"):
        ini.gaussian()(KEY, (3,))
    with pytest.raises(ValueError, match="dtype must be a floating-point type, got int32"):
        ini.gaussian()(KEY, (3, 3), jnp.int32)
    with pytest.raises(ValueError, match=r"a knob must be one number .* got shape \(2,\)"):
        ini.gaussian(np.ones(2))(KEY, (3, 3))
    with pytest.raises(ValueError, match="one of size and like must be given, got none"):
        ini.matched(ini.gaussian())
    with pytest.raises(ValueError, match="norm must be one of"):
        ini.rescale(np.eye(2), norm="nuclear", size=1.0)
    with pytest.raises(ValueError, match="rank must be at most 2"):
        ini.truncate(np.eye(2), 3)


# --------------------------------------------------------------------------------------------------------- protocol
def test_transposed_kernels():
    kernel = ini.transposed(ini.gaussian(2.0))(KEY, (2, 6, 3))
    np.testing.assert_array_equal(kernel, jnp.swapaxes(ini.gaussian(2.0)(KEY, (2, 3, 6)), -1, -2))


def test_it_is_an_initializer_of_jax_also_with_sharding():
    init = ini.rank_structured(spectrum=ini.flat(2))
    assert isinstance(init, jax.nn.initializers.Initializer)
    mesh = jax.make_mesh((2,), ("rows",))
    where = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("rows", None))
    placed = init(KEY, (4, 4), jnp.float32, out_sharding=where)
    assert placed.sharding == where
    np.testing.assert_array_equal(placed, init(KEY, (4, 4), jnp.float32))


def test_flax_layers_take_it_unchanged():
    nnx = pytest.importorskip("flax.nnx")
    layer = nnx.Linear(9, 6, kernel_init=ini.transposed(ini.rank_structured(spectrum=ini.flat(2))), rngs=nnx.Rngs(0))
    kernel = np.asarray(layer.kernel[...])
    assert kernel.shape == (9, 6)
    assert np.linalg.matrix_rank(kernel, tol=1e-5) == 2
    plain = nnx.Linear(9, 6, kernel_init=ini.gaussian(), rngs=nnx.Rngs(0))
    assert plain.kernel[...].dtype == jnp.float32


@pytest.mark.slow
def test_radius_of_a_stack_under_jit_and_vmap():
    init = ini.rank_structured(spectrum=ini.truncated(2), normalize="radius", size=0.9)
    many = jax.jit(jax.vmap(lambda key: init(key, (2, 5, 5))))(jax.random.split(KEY, 3))
    np.testing.assert_allclose(spectral_radius(many), np.full((3, 2), 0.9), rtol=1e-12)
