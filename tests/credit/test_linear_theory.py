"""Counter-current learning without activation functions: what its docstring proves, checked."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import credit

WIDTHS = (5, 4, 6, 3)
RNG = np.random.default_rng(0)
UP = [RNG.normal(size=(n, m)) for m, n in itertools.pairwise(WIDTHS)]
DOWN = [RNG.normal(size=u.T.shape) for u in UP]
MIRROR = [u.T for u in UP]
WEIGHTS = np.array([0.5, 2.0, 1.5, 0.7])
X = RNG.normal(size=(12, 5)) * np.array([1.0, 2.0, 0.5, 0.1, 1.0])
LABELS = np.arange(12) % 3
XX, YX = X.T @ X / 12, np.eye(3)[LABELS].T @ X / 12
SEEN = np.diag([1.0, 0.8, 0.6, 0.4, 0.3])  # inputs and least-squares predictor of the tests that train
TARGET, HALF = RNG.normal(size=(3, 5)), SEEN**0.5


def norm(matrix):
    return np.linalg.norm(matrix, 2)


def products(up, down):
    rising, falling = [np.eye(5)], [np.eye(3)]
    for u, v in zip(up, down[::-1], strict=True):
        rising, falling = [*rising, u @ rising[-1]], [v @ falling[0], *falling]
    return rising, falling


def test_it_is_the_flow_of_the_rule_with_the_identity_for_an_activation():
    """The hidden levels and the input's; at the outputs the rule has cross-entropy."""
    rule = credit.make("counter_current", credit.mlp(WIDTHS, "identity"), loss="mlp")
    forward, feedback = (tuple({"kernel": jnp.asarray(w.T)} for w in ws) for ws in (UP, DOWN))
    params = credit.Params(forward, feedback, ())
    found = jax.jit(rule.grads)(params, credit.Batch(X, LABELS.astype(np.int32)), jax.random.key(0))
    weights = np.append(2 * 0.5 * 256 / (np.array(WIDTHS[:-1]) * 3), 1.0)
    rise, fall = credit.linear_flow(UP, DOWN, sigma_yx=YX, sigma_xx=XX, weights=weights)
    for one, other in zip([*rise[:-1], *fall], [*found.forward[:-1], *found.feedback], strict=True):
        np.testing.assert_allclose(-other["kernel"].T, one, rtol=1e-12)


@pytest.mark.parametrize("targets", [YX, RNG.normal(size=(3, 5))], ids=["the task's", "any"])
def test_the_asymmetry_contracts_by_the_law_and_never_grows_within_the_bound(targets):
    rising, falling = products(UP, DOWN)
    factors = [(b @ b.T, a @ XX @ a.T) for b, a in zip(falling[1:], rising[:-1], strict=True)]
    rate = 2 / max(norm(m) * norm(n) for m, n in factors)
    rise, fall = credit.linear_flow(UP, DOWN, sigma_yx=targets, sigma_xx=XX)
    after = [[w + rate * c for w, c in zip(ws, cs, strict=True)] for ws, cs in ((UP, rise), (DOWN, fall))]
    before, then = credit.linear_asymmetry(UP, DOWN), credit.linear_asymmetry(*after)
    for d, e, (m, n) in zip(before, then, factors, strict=True):
        np.testing.assert_allclose(e, d - rate * m @ d @ n, rtol=1e-9, atol=1e-12)
        assert np.linalg.norm(e) <= np.linalg.norm(d)


def test_symmetric_networks_do_backpropagation():
    def loss(layers):
        residual = jnp.asarray(X) @ jnp.linalg.multi_dot(layers[::-1]).T - np.eye(3)[LABELS]
        return 0.5 * jnp.mean(jnp.sum(residual**2, 1))

    exact = jax.grad(loss)([jnp.asarray(u) for u in UP])
    rise, fall = credit.linear_flow(UP, MIRROR, sigma_yx=YX, sigma_xx=XX)
    for g, u, v in zip(exact, rise, fall, strict=True):
        np.testing.assert_allclose(u, -g, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(v.T, -g, rtol=1e-11, atol=1e-13)
    levels = credit.linear_predictors(UP, MIRROR)
    np.testing.assert_allclose(levels, np.broadcast_to(levels[-1], levels.shape), rtol=1e-12)


def test_every_hidden_level_conserves_the_difference_of_its_two_sides():
    rise, fall = credit.linear_flow(UP, DOWN, sigma_yx=YX, sigma_xx=XX, weights=WEIGHTS)
    for l in range(2):
        up, down = rise[l] @ UP[l].T, DOWN[l + 1] @ fall[l + 1].T
        scale = np.abs(up).max()
        np.testing.assert_allclose(up + up.T, down + down.T, rtol=0, atol=1e-13 * scale)
        assert np.abs(up + up.T).max() > 0.1 * scale


@jax.jit
def settle(up, down, weights):
    def step(layers, _):
        change = credit.linear_flow(*layers, sigma_yx=TARGET @ SEEN, sigma_xx=SEEN, weights=weights)
        return jax.tree.map(lambda w, c: w + 0.05 * c, layers, change), None

    (up, down), _ = jax.lax.scan(step, (tuple(up), tuple(down)), length=20000)
    return up, down, credit.linear_predictors(up, down)


@pytest.mark.parametrize("weights", [np.ones(4), np.array([0.3, 1.0, 0.7, 1.4])], ids=["equal", "unequal"])
def test_all_levels_end_at_least_squares_for_any_weights_of_the_levels(weights):
    up, down = ([jnp.asarray(0.5 * w) for w in ws] for ws in (UP, DOWN))
    *_, levels = settle(up, down, weights)
    assert np.abs((np.asarray(levels) - TARGET) @ HALF).max() < 1e-5


def test_with_too_few_units_all_levels_end_at_the_same_projection_of_it():
    narrow = [0.5 * w for w in (UP[0][:2], UP[1][:, :2], UP[2])]
    back = [0.5 * w for w in (DOWN[0][:, :2], DOWN[1][:2], DOWN[2])]
    _, down, levels = (jax.tree.map(np.asarray, x) for x in settle(narrow, back, np.ones(4)))
    rows = np.linalg.qr((down[1] @ down[2]).T)[0]  # two of three dimensions
    assert np.abs((levels - rows @ rows.T @ TARGET) @ HALF).max() < 1e-5
    modes = np.linalg.svd(TARGET @ HALF)[0][:, :2]  # the larger canonical modes: where descent ends
    np.testing.assert_allclose(rows @ rows.T, modes @ modes.T, atol=1e-4)


def test_stability_at_a_symmetric_minimum_is_that_of_backpropagation():
    widths = (3, 3, 2)
    up = [RNG.normal(size=(n, m)) for m, n in itertools.pairwise(widths)]
    root = RNG.normal(size=(3, 3))
    xx = root @ root.T
    yx = up[1] @ up[0] @ xx
    shapes = [w.shape for w in up]

    def flow(flat):
        w1, w2, v1, v2 = jnp.split(flat, np.cumsum([9, 6, 9]))
        one = [w1.reshape(shapes[0]), w2.reshape(shapes[1])]
        other = [v1.reshape(shapes[0]).T, v2.reshape(shapes[1]).T]
        rise, fall = credit.linear_flow(one, other, sigma_yx=yx, sigma_xx=xx)
        return jnp.concatenate([w.ravel() for w in rise] + [w.T.ravel() for w in fall])

    here = np.concatenate([w.ravel() for w in up])
    found = np.linalg.eigvals(jax.jit(jax.jacfwd(flow))(np.concatenate([here, here])))
    slopes = np.hstack([np.kron(up[1], root.T), np.kron(np.eye(2), (up[0] @ root).T)])  # of the predictions
    hessian = np.linalg.eigvalsh(slopes.T @ slopes)
    own = [np.kron(up[1].T @ up[1], xx), np.kron(np.eye(2), up[0] @ xx @ up[0].T)]
    rates = np.concatenate([np.linalg.eigvalsh(m) for m in own])
    # defective zero eigenvalues are known to the square root of the rounding only
    np.testing.assert_allclose(np.sort(-found.real), np.sort(np.concatenate([hessian, rates])), atol=1e-5)
    assert rates.max() <= hessian.max()


def test_the_two_layer_law_solves_the_flow():
    def law(t, s):
        return credit.linear_two_layer_levels(t, s=s, p0=0.02, below=0.1, above=-0.05)

    slope = jax.jit(jax.vmap(jax.jacfwd(law), (0, None)))
    time = np.array([0.0, 1.0, 3.0, 10.0])
    for s in (0.8, 0.0):
        for levels, change in zip(np.asarray(law(time, s)), np.asarray(slope(time, s)), strict=True):
            p = levels[1] ** 0.5
            u1, u2, v1, v2 = p, levels[2] / p, levels[0] / p, p
            layers = [[[u1]], [[u2]]], [[[v1]], [[v2]]]
            (r1, r2), (f1, f2) = credit.linear_flow(*map(np.array, layers), sigma_yx=[[s]], sigma_xx=[[1.0]])
            expected = [f1 * v2 + v1 * f2, r1 * v2 + u1 * f2, r1 * u2 + u1 * r2]
            np.testing.assert_allclose(change, np.ravel(expected), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(law(np.zeros(1), 0.8)[0], [0.02 - 0.02**0.5 * 0.1, 0.02, 0.02 - 0.02**0.5 * 0.05])
    assert np.all(np.isfinite(law(np.array([1e6]), 0.8)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feedback": DOWN[:2]}, "forward and feedback must have as many layers"),
        ({"feedback": UP}, r"feedback\[0\] must have shape \(5, 4\)"),
        ({"forward": [UP[0], UP[2], UP[2]]}, r"forward\[1\] must have shape \(any, 4\)"),
        ({"sigma_yx": XX}, r"sigma_yx must have shape \(3, 5\)"),
        ({"sigma_xx": YX}, r"sigma_xx must have shape \(5, 5\)"),
        ({"weights": np.ones(3)}, r"weights must be a number or of shape \(4,\)"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(change, message):
    given = {"forward": UP, "feedback": DOWN, "sigma_yx": YX, "sigma_xx": XX} | change
    with pytest.raises(ValueError, match=message) as caught:
        credit.linear_flow(given.pop("forward"), given.pop("feedback"), **given)
    assert "\n" not in str(caught.value)
