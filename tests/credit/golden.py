"""The deterministic network on which the authors' torch modules were run in double precision, and what they gave."""

import jax
import jax.numpy as jnp
import numpy as np

from brainjax import credit

WIDTHS = [6, 5, 4, 3]
NET = credit.mlp(WIDTHS)
LABELS = jnp.array([0, 2, 1, 2])


def fill(m, n, p):
    i, j = np.meshgrid(np.arange(m), np.arange(n), indexing="ij")
    return 0.5 * np.sin(1 + i * n + j + p)


INPUTS = jnp.asarray(2 * fill(4, 6, 0))
BATCH = credit.Batch(INPUTS, LABELS)
FORWARD = tuple({"kernel": jnp.asarray(fill(WIDTHS[l], WIDTHS[l - 1], 10 * l).T)} for l in (1, 2, 3))
FEEDBACK = tuple({"kernel": jnp.asarray(fill(WIDTHS[l - 1], WIDTHS[l], 100 * l).T)} for l in (1, 2, 3))
PARAMS = credit.Params(FORWARD, FEEDBACK, ())
KEY = jax.random.key(0)


def started(rule, params):
    """The rule's state with given weights, without the compilation of the random numbers of its own."""
    shapes = jax.eval_shape(rule.init, KEY)
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)._replace(params=params)


def filled(tree, seed=0):
    """Weights of given shapes."""
    numbers = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(numbers.normal(size=leaf.shape) / np.sqrt(leaf.size)), tree)


EXPECTED = {
    "mlp": {
        "local": [7.0659420729, 8.3323754576, 9.4930614304],
        "total": 25.9268708539,
        "forward": [0.8763595846, 4.4850106664, 0.0680228713],
        "feedback": [2.3050365830, 4.9879262171, 6.7734110926],
        "first": -0.0346787601,
        "last": -2.5600792245,
    },
    "cnn": {
        "local": [1.1870776480, 0.9538813841, 0.8718593382],
        "total": 4.0483102633,
        "forward": [0.0745900842, 0.5718558274, 0.0680228713],
        "feedback": [2.0647623617, 0.5888468335, 0.9803050861],
        "first": 0.0020754568,
        "last": -0.3717335791,
    },
}
CROSS_ENTROPY = 1.0354918930
OUTPUTS = [-0.3607756213, 0.0711517986, 0.2677597827]
TEMPLATE = [-0.0159806739, -0.0282891661, -0.0000684594, 0.0282503274, 0.0160955586, -0.0191189247]
