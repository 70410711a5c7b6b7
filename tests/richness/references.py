"""What the tests of this room compare with: written in numpy, or by the plainest use of JAX."""

import jax
import jax.numpy as jnp
import numpy as np

SAMPLES, TIMES, OUTPUTS, UNITS, INPUTS = 3, 3, 2, 5, 2


def cosine(a, b):
    return np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b))


def centring(n):
    return np.eye(n) - np.ones((n, n)) / n


def positive(rng, n, rank=None):
    factor = rng.normal(size=(n, rank or n))
    return factor @ factor.T


# ------------------------------------------------------------------------------------ a small recurrent network of ours
def network(seed=0, gain=1.5):
    rng = np.random.default_rng(seed)
    weights = {
        "inputs": rng.normal(size=(UNITS, INPUTS)),
        "recurrent": gain / np.sqrt(UNITS) * rng.normal(size=(UNITS, UNITS)),
        "outputs": rng.normal(size=(OUTPUTS, UNITS)) / np.sqrt(UNITS),
    }
    return jax.tree.map(jnp.asarray, weights), jnp.asarray(rng.normal(size=(SAMPLES, TIMES, INPUTS)))


def run(weights, x, current):
    """Outputs (times, outputs) and states (times, units) of one sample, with an extra current into the units."""
    h = jnp.zeros(UNITS, x.dtype)
    states = []
    for t in range(x.shape[0]):
        h = jax.nn.relu(weights["inputs"] @ x[t] + weights["recurrent"] @ h + current[t])
        states.append(h)
    states = jnp.stack(states)
    return states @ weights["outputs"].T, states


def outputs_of(weights, x):
    """All outputs, shape (samples, times, outputs), as a function of the recurrent weights."""
    silence = jnp.zeros((x.shape[1], UNITS), x.dtype)
    return lambda recurrent: jax.vmap(lambda one: run({**weights, "recurrent": recurrent}, one, silence)[0])(x)


def factors(weights, x):
    """Sensitivities (samples, times, outputs, steps, units) by automatic differentiation, and previous states."""
    silence = jnp.zeros((x.shape[1], UNITS), x.dtype)
    deltas = jax.vmap(jax.jacrev(lambda c, one: run(weights, one, c)[0]), (None, 0))(silence, x)
    states = jax.vmap(lambda one: run(weights, one, silence)[1])(x)
    return deltas, jnp.concatenate([jnp.zeros_like(states[:, :1]), states[:, :-1]], axis=1)


# ------------------------------------------------------------------- two-layer linear networks, trained many at a time
def linear_starts(rng, runs, *, inputs, hidden, rank, size, readout):
    """First layers of equal singular values, rank and Frobenius norm ``size``, and readouts of norm ``readout``."""
    left = np.linalg.qr(rng.normal(size=(runs, hidden, hidden)))[0][:, :, :rank]
    right = np.linalg.qr(rng.normal(size=(runs, inputs, inputs)))[0][:, :, :rank]
    second = rng.normal(size=(runs, hidden))
    return (
        size / np.sqrt(rank) * left @ np.swapaxes(right, 1, 2),
        readout * second / np.linalg.norm(second, axis=1, keepdims=True),
    )


def unit_vectors(rng, runs, n):
    beta = rng.normal(size=(runs, n))
    return beta / np.linalg.norm(beta, axis=1, keepdims=True)


def train_linear(w1, w2, beta, *, rate=0.1, steps=500):
    """Gradient descent on |beta - w1^T w2|^2 / 2, for every member of the first axis."""
    for _ in range(steps):
        rest = beta - np.einsum("nhd,nh->nd", w1, w2)
        w1, w2 = w1 + rate * w2[:, :, None] * rest[:, None, :], w2 + rate * np.einsum("nhd,nd->nh", w1, rest)
    return w1, w2


def linear_kernels(w1, w2):
    return np.swapaxes(w1, 1, 2) @ w1 + np.sum(w2**2, 1)[:, None, None] * np.eye(w1.shape[2])
