"""Second derivations that the tests of this folder compare with: scipy's ODE solver and its quadrature, no JAX."""

import numpy as np
from scipy.integrate import quad, solve_ivp


def mode_ode(t, s, u0, depth):
    """The strength of one balanced mode at a time, by integrating ln p."""
    start = np.log(u0) / depth
    solution = solve_ivp(
        lambda _, z: np.exp((depth - 2) * z) * (s - np.exp(depth * z)),
        (0, t),
        [start],
        method="DOP853",
        rtol=1e-12,
        atol=1e-13,
    )
    return np.exp(depth * solution.y[0, -1])


def mode_quadrature(u, s, u0, depth):
    """The time to a strength, by adaptive quadrature over ln u."""
    value, _ = quad(
        lambda x: np.exp((2 / depth - 1) * x) / (s - np.exp(x)), np.log(u0), np.log(u), epsabs=1e-13, epsrel=1e-12
    )
    return value / depth


def pathway_ode(p0, spans, *, s, depth, imbalance=0.0, present=True):
    """The layers of pathways, of shape (paths,), after spans of time given as pairs (length, gates)."""
    p, depth = np.asarray(p0, float), np.asarray(depth, float)

    def reach(p):
        return (p**2 + imbalance) ** ((depth - 1) / 2)

    for length, gates in spans:
        if length > 0:
            gates = np.asarray(gates, float) * present

            def rate(_, p, gates=gates):
                return gates * reach(p) * (s - np.sum(present * p * reach(p)))

            p = solve_ivp(rate, (0, length), p, method="DOP853", rtol=1e-12, atol=1e-14).y[:, -1]
    return p, p * reach(p)
