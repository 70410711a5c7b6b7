"""The product primitive against plain ``@`` in every mode, and what its compiled backward pass is made of."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax.core.products import SMALL, chain, matmul, matmul_batch_last, transposed

MORE_SHAPES = [(7, 7, 7), (1, 4, 1), (15, 8, 8)]
SHAPES = [(4, 4, 4), (5, 3, 6), *(pytest.param(shape, marks=pytest.mark.slow) for shape in MORE_SHAPES)]
BATCHED_SHAPES = [(4, 4, 4), (5, 3, 6), (10, 10, 10)]
BATCH = 5


def plain(a, b):
    return a @ b


def objective(product):
    """A scalar function of two matrices in which both derivatives of the product, and second ones, matter."""

    def value(a, b):
        c = product(a, b)
        return jnp.sum(jnp.sin(c)) + jnp.sum(product(c, jnp.swapaxes(c, 0, 1)) ** 2) / 10

    return value


def pair(shape, dtype, batch=()):
    rows, inner, columns = shape
    rng = np.random.default_rng(rows * 100 + inner * 10 + columns)
    scale = 1 / np.sqrt(inner)
    a = rng.standard_normal((*batch, rows, inner)) * scale
    b = rng.standard_normal((*batch, inner, columns)) * scale
    return jnp.asarray(a, dtype), jnp.asarray(b, dtype)


MODES = {
    "value": lambda f, g: f,
    "jit": lambda f, g: jax.jit(f),
    "grad": lambda f, g: jax.grad(g, (0, 1)),
    "jvp": lambda f, g: lambda a, b: jax.jvp(f, (a, b), (b[:1, :1] * a, jnp.cos(b))),
    "vjp": lambda f, g: lambda a, b: jax.vjp(f, a, b)[1](jnp.cos(f(a, b))),
    "jacfwd": lambda f, g: jax.jacfwd(f, (0, 1)),
    "jacrev": lambda f, g: jax.jacrev(f, (0, 1)),
    "hessian": lambda f, g: jax.hessian(g, (0, 1)),
    "grad of grad": lambda f, g: jax.grad(lambda a, b: jnp.sum(jnp.sin(jax.grad(g, 1)(a, b))), (0, 1)),
    "jvp of grad": lambda f, g: lambda a, b: jax.jvp(jax.grad(g), (a, b), (jnp.sin(a), jnp.cos(b))),
}
BATCHED_MODES = {
    "vmap": lambda f, g: jax.vmap(f),
    "vmap at the end": lambda f, g: lambda a, b: jax.vmap(f, 2, 2)(jnp.moveaxis(a, 0, 2), jnp.moveaxis(b, 0, 2)),
    "left only": lambda f, g: lambda a, b: jax.vmap(f, (0, None))(a, b[0]),
    "right only": lambda f, g: lambda a, b: jax.vmap(f, (None, 0))(a[0], b),
    "vmap of grad": lambda f, g: jax.vmap(jax.grad(g, (0, 1))),
    "vmap of hessian": lambda f, g: jax.vmap(jax.hessian(g)),
    "vmap of jvp": lambda f, g: jax.vmap(lambda a, b: jax.jvp(g, (a, b), (jnp.sin(a), jnp.cos(b)))),
    "grad of vmap": lambda f, g: jax.grad(lambda a, b: jnp.sum(jax.vmap(g)(a, b)), (0, 1)),
    "grad of half-batched": lambda f, g: (
        lambda a, b: jax.grad(lambda a, b: jnp.sum(jax.vmap(g, (0, None))(a, b)), (0, 1))(a, b[0])
    ),
    "jvp of vmap": lambda f, g: lambda a, b: jax.jvp(jax.vmap(f), (a, b), (jnp.sin(a), jnp.cos(b))),
    "jacfwd of vmap": lambda f, g: jax.jacfwd(jax.vmap(f)),
    "jacrev of vmap": lambda f, g: jax.jacrev(jax.vmap(f), 1),
    "nested, all pairs": lambda f, g: lambda a, b: jax.vmap(lambda x: jax.vmap(lambda y: f(x, y))(b))(a),
    "nested, both": lambda f, g: lambda a, b: jax.vmap(jax.vmap(f))(jnp.stack([a, -a]), jnp.stack([b, 2 * b])),
    "nested, one": lambda f, g: lambda a, b: jax.vmap(lambda x: jax.vmap(f)(x, b))(jnp.stack([a, -a])),
    "grad of nested": lambda f, g: (
        lambda a, b: jax.vmap(jax.grad(lambda x, y: jnp.sum(jax.vmap(g, (0, None))(x, y)), (0, 1)))(
            jnp.stack([a, -a]), b[:2]
        )
    ),
    "scan": lambda f, g: jax.vmap(
        lambda a, b: jax.lax.scan(lambda w, _: (w - 0.1 * jax.grad(g)(w, b), g(w, b)), a, length=3)
    ),
}


def agree(ours, theirs, dtype):
    tolerance = 3e-5 if dtype == jnp.float32 else 1e-12
    ours, theirs = jax.tree.leaves(ours), jax.tree.leaves(theirs)
    assert len(ours) == len(theirs)
    for x, y in zip(ours, theirs, strict=True):
        assert x.dtype == y.dtype == dtype
        np.testing.assert_allclose(x, y, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("dtype", [jnp.float32, pytest.param(jnp.float64, marks=pytest.mark.slow)])
@pytest.mark.parametrize("shape", SHAPES)
def test_one_product_equals_the_plain_one_in_every_mode(shape, dtype):
    a, b = pair(shape, dtype)
    for mode in MODES.values():
        agree(jax.jit(mode(matmul, objective(matmul)))(a, b), jax.jit(mode(plain, objective(plain)))(a, b), dtype)


@pytest.mark.parametrize("mode", BATCHED_MODES)
@pytest.mark.parametrize("shape", BATCHED_SHAPES)
def test_batched_products_equal_the_plain_ones_in_every_mode(shape, mode):
    a, b = pair(shape, jnp.float64, (BATCH,))
    transform = BATCHED_MODES[mode]
    agree(
        jax.jit(transform(matmul, objective(matmul)))(a, b),
        jax.jit(transform(plain, objective(plain)))(a, b),
        jnp.float64,
    )


@pytest.mark.parametrize("mode", ["vmap", "vmap of grad", "jvp of vmap"])
@pytest.mark.parametrize("size", [4, 16])
def test_without_jit_and_in_float32(size, mode):
    a, b = pair((size, size, size), jnp.float32, (BATCH,))
    transform = BATCHED_MODES[mode]
    agree(transform(matmul, objective(matmul))(a, b), transform(plain, objective(plain))(a, b), jnp.float32)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(5, 5, 5), (7, 6, 4), (2, 7, 7)])
def test_a_wide_batch_of_small_products_in_every_derivative(shape):
    a, b = pair(shape, jnp.float64, (70,))
    for mode in ("vmap", "vmap of grad", "vmap of jvp", "grad of vmap", "scan"):
        transform = BATCHED_MODES[mode]
        ours, theirs = transform(matmul, objective(matmul)), transform(plain, objective(plain))
        agree(jax.jit(ours)(a, b), jax.jit(theirs)(a, b), jnp.float64)


@pytest.mark.parametrize("batch", [1, 64, 65])
@pytest.mark.parametrize("shape", [(4, 4, 4), (3, 5, 2), (12, 12, 8), (1, 1, 1)])
def test_batch_last_products(shape, batch):
    a, b = pair(shape, jnp.float64, (batch,))
    ours = matmul_batch_last(jnp.moveaxis(a, 0, 2), jnp.moveaxis(b, 0, 2))
    np.testing.assert_allclose(jnp.moveaxis(ours, 2, 0), a @ b, atol=1e-13)


@pytest.mark.parametrize("size", [3, 12])
def test_chain_multiplies_from_the_input_side(size):
    rng = np.random.default_rng(0)
    first, second, third = (rng.standard_normal(s) for s in [(size, 2), (size, size), (5, size)])
    np.testing.assert_allclose(chain([first, second, third]), third @ second @ first, rtol=1e-12)
    np.testing.assert_allclose(chain([first]), first)


def test_transposed_is_the_transpose_under_vmap_and_grad():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, 4, 6)))
    np.testing.assert_array_equal(transposed(x[0]), x[0].T)
    np.testing.assert_array_equal(jax.jit(jax.vmap(jax.vmap(transposed)))(x[None])[0], jnp.swapaxes(x, 1, 2))
    weights = jnp.cos(jnp.swapaxes(x, 1, 2))
    np.testing.assert_allclose(jax.grad(lambda x: jnp.sum(weights * jax.vmap(transposed)(x)))(x), jnp.cos(x))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: matmul(jnp.ones((2, 3)), jnp.ones((2, 3))), "shapes"),
        (lambda: matmul(jnp.ones(3), jnp.ones((3, 2))), "shapes"),
        (lambda: chain([]), "at least one"),
        (lambda: transposed(jnp.ones(3)), "rows, columns"),
    ],
)
def test_bad_shapes_are_refused_in_one_line(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "\n" not in str(error.value)


def test_two_dtypes_are_refused_by_strict_promotion():
    with pytest.raises(Exception, match="promotion"):
        matmul(jnp.ones((2, 2), jnp.float32), jnp.ones((2, 2), jnp.float64))


def transposed_left_dots(function, *args):
    """Batched dots of the compiled program that contract the first non-batch axis of both operands."""
    text = jax.jit(function).lower(*args).compile().as_text() or ""
    dots = re.findall(r" dot\(.*", text)
    pattern = r"lhs_batch_dims=\{0\}, lhs_contracting_dims=\{1\}, rhs_batch_dims=\{0\}, rhs_contracting_dims=\{1\}"
    return dots, [dot for dot in dots if re.search(pattern, dot)]


def test_compiled_backward_pass_has_no_batched_product_with_a_transposed_left_operand():
    a, b = pair((16, 16, 16), jnp.float32, (64,))

    def gradients(product):
        return jax.vmap(jax.grad(lambda a, b: jnp.sum(jnp.sin(product(a, product(a, b)))), (0, 1)))

    dots, slow = transposed_left_dots(gradients(plain), a, b)
    assert dots
    assert slow, "the control must show the form that we avoid"
    dots, slow = transposed_left_dots(gradients(matmul), a, b)
    assert len(dots) >= 4
    assert not slow


def test_small_batched_products_are_sums_of_outer_products_and_large_ones_are_not():
    for size, expected in [(3, False), (SMALL, False), (SMALL + 1, True)]:
        a, b = pair((size, size, size), jnp.float32, (64,))
        text = jax.jit(jax.vmap(matmul)).lower(a, b).as_text()
        assert ("dot_general" in text) == expected


def test_on_an_accelerator_the_product_is_the_plain_one(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    a, b = pair((5, 5, 5), jnp.float32, (8,))
    text = jax.jit(jax.vmap(jax.grad(objective(matmul), (0, 1)))).lower(a, b).as_text()
    assert "optimization_barrier" not in text
    assert "dot_general" in text


def test_the_product_runs_inside_shard_map():
    mesh = jax.make_mesh((2,), ("runs",), (jax.sharding.AxisType.Auto,), devices=jax.devices()[:2])
    a, b = pair((5, 5, 5), jnp.float64, (128,))
    spec = jax.sharding.PartitionSpec("runs")
    grads = jax.vmap(jax.grad(objective(matmul), (0, 1)))
    sharded = jax.jit(jax.shard_map(grads, mesh=mesh, in_specs=(spec, spec), out_specs=(spec, spec)))
    agree(sharded(a, b), grads(a, b), jnp.float64)
