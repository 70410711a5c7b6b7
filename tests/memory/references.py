"""Each memory rule again, in plain numpy loops over single numbers or whole sums.

Where a rule has a definition that is no recurrence (least squares, running averages, weighted sums over the past), that
is what is computed here.
"""

import numpy as np


def run(name, q, k, v, controls, constants, state, read):
    """Answers and last state as a tuple in the order of the rule's state."""
    return _Run(q, k, v, controls, constants, state, read).go(REFERENCES[name])


class _Run:
    def __init__(self, q, k, v, controls, constants, state, read):
        self.q, self.k, self.v, self.u, self.c, self.read = q, k, v, controls, constants, read
        self.state = [np.array(x) for x in state]
        self.T, self.dk, self.dv = len(k), k.shape[1], v.shape[1]

    def go(self, reference):
        answers, state = reference(self)
        return np.array(answers), state

    def along(self, write, look=lambda s, q: s[0].T @ q):
        """Loop over steps with a write that changes the list of state arrays."""
        answers, s = [], self.state
        for t in range(self.T):
            if self.read == "before":
                answers.append(look(s, self.q[t]))
            s = write(t, [np.array(x) for x in s])
            if self.read == "after":
                answers.append(look(s, self.q[t]))
        return answers, s

    def past(self, t):
        return range(t + (self.read == "after"))


def _weighted_sum(r, weight, k, v):
    """Sums over the past with weight(t, s) of pair s in the memory after step t, weight(t, -1) of the start."""

    def matrix(t):
        return weight(t, -1) * r.state[0] + sum(
            (weight(t, s) * np.outer(k[s], v[s]) for s in range(t + 1)), start=0 * r.state[0]
        )

    offset = 0 if r.read == "after" else 1
    return [matrix(t - offset).T @ r.q[t] for t in range(r.T)], [matrix(r.T - 1)]


def hebb(r):
    return _weighted_sum(r, lambda t, s: 1.0 if s < 0 else r.u["beta"][s], r.k, r.v)


def hebb_decay(r):
    def weight(t, s):
        return (1.0 if s < 0 else r.u["beta"][s]) * np.exp(r.u["log_decay"][s + 1 : t + 1].sum())

    return _weighted_sum(r, weight, r.k, r.v)


def gated_hebb(r):
    def weight(t, s):
        return (1.0 if s < 0 else r.u["beta"][s]) * np.exp(r.u["log_decay"][s + 1 : t + 1].sum(0))[:, None]

    return _weighted_sum(r, weight, r.k, r.v)


def normalised_linear(r):
    def sums(t):
        weights = [np.exp(r.u["log_decay"][s + 1 : t + 1].sum()) for s in range(-1, t + 1)]
        s, z = weights[0] * r.state[0], weights[0] * r.state[1]
        for w, b, k, v in zip(weights[1:], r.u["beta"], r.k, r.v, strict=False):
            s, z = s + w * b * np.outer(k, v), z + w * b * k
        return s, z

    answers = []
    for t in range(r.T):
        s, z = sums(t if r.read == "after" else t - 1)
        answers.append(s.T @ r.q[t] / (z @ r.q[t] + r.c["epsilon"]))
    return answers, list(sums(r.T - 1))


def mlstm(r):
    """Without a stabiliser: the sums themselves."""
    start = np.exp(r.state[2])
    top = r.state[2]
    tops = []
    for g, i in zip(r.u["log_decay"], r.u["log_input"], strict=True):
        top = max(top + g, i)
        tops.append(top)

    def sums(t):
        w = np.exp(r.u["log_decay"][: t + 1].sum()) * start
        s, z = w * r.state[0], w * r.state[1]
        for j in range(t + 1):
            w = np.exp(r.u["log_decay"][j + 1 : t + 1].sum() + r.u["log_input"][j])
            s, z = s + w * np.outer(r.k[j], r.v[j]), z + w * r.k[j]
        return s, z

    answers = []
    for t in range(r.T):
        s, z = sums(t if r.read == "after" else t - 1)
        answers.append(s.T @ r.q[t] / max(abs(z @ r.q[t]), 1.0))
    s, z = sums(r.T - 1)
    return answers, [s / np.exp(top), z / np.exp(top), top]


def covariance(r):
    rate = r.c["mean_rate"]

    def write(t, s):
        s[0] += r.u["beta"][t] * np.outer(r.k[t] - s[1], r.v[t] - s[2])
        s[1] += rate * (r.k[t] - s[1])
        s[2] += rate * (r.v[t] - s[2])
        return s

    return r.along(write)


def trace(r):
    """Pairs of events, weighted by the time between them."""
    up, down = r.c["potentiation"], r.c["depression"]
    lk, lv = r.c["key_decay"], r.c["value_decay"]

    def write(t, s):
        keys = lk ** (t + 1) * r.state[1] + sum(lk ** (t - j) * r.k[j] for j in range(t + 1))
        values = lv**t * r.state[2] + sum((lv ** (t - 1 - j) * r.v[j] for j in range(t)), start=np.zeros(r.dv))
        s[0] += r.u["beta"][t] * (up * np.outer(keys, r.v[t]) - down * np.outer(r.k[t], values))
        return [s[0], keys, lv * values + r.v[t]]

    return r.along(write)


def oja(r):
    def write(t, s):
        y = s[0].T @ r.k[t] + r.c["drive"] * r.v[t]
        return [s[0] + r.u["beta"][t] * (np.outer(r.k[t], y) - s[0] @ np.outer(y, y))]

    return r.along(write)


def oja_clamped(r):
    def write(t, s):
        for j in range(r.dv):
            s[0][:, j] += r.u["beta"][t] * r.v[t, j] * (r.k[t] - r.v[t, j] * s[0][:, j])
        return s

    return r.along(write)


def _bcm(activity):
    def reference(r):
        def write(t, s):
            y = activity(r, t, s)
            s[0] += r.u["beta"][t] * np.outer(r.k[t], y * (y - s[1]))
            s[1] += r.c["threshold_rate"] * (y**2 - s[1])
            return s

        return r.along(write)

    return reference


def _error_correcting(rate, decay):
    def reference(r):
        def write(t, s):
            weights = decay(r, t) * s[0]
            error = np.array([r.v[t, j] - sum(weights[i, j] * r.k[t, i] for i in range(r.dk)) for j in range(r.dv)])
            return [weights + rate(r, t) * np.outer(r.k[t], error)]

        return r.along(write)

    return reference


def decoupled_delta(r):
    def write(t, s):
        k = r.k[t][:, None]
        erasing = np.eye(r.dk) - k @ (r.u["erase"][t][:, None] * k).T
        return [erasing @ np.diag(np.exp(r.u["log_decay"][t])) @ s[0] + k @ (r.u["write"][t] * r.v[t])[None]]

    return r.along(write)


def bush_mosteller(r):
    def write(t, s):
        for i in range(r.dk):
            for j in range(r.dv):
                s[0][i, j] += r.u["beta"][t] * r.k[t, i] * (r.v[t, j] - r.k[t, i] * s[0][i, j])
        return s

    return r.along(write)


def minibatch_delta(r, size=4):
    count = int(r.state[2])
    history = {}

    def write(t, s):
        at = count + t
        if at % size == 0:
            history["stale"] = s[0].copy()
        stale = history.get("stale", r.state[1])
        return [s[0] + r.u["beta"][t] * np.outer(r.k[t], r.v[t] - stale.T @ r.k[t]), stale, at + 1]

    return r.along(write)


def momentum(r):
    """The velocity as a sum over past gradients."""
    gradients = []

    def write(t, s):
        gradients.append(-r.u["beta"][t] * np.outer(r.k[t], r.v[t] - s[0].T @ r.k[t]))
        velocity = np.prod(r.u["momentum"][: t + 1]) * r.state[1]
        for j, gradient in enumerate(gradients):
            velocity = velocity - np.prod(r.u["momentum"][j + 1 : t + 1]) * gradient
        return [np.exp(r.u["log_decay"][t]) * s[0] + velocity, velocity]

    return r.along(write)


def recursive_least_squares(r):
    """The normal equations, solved anew at every step; the start counts as data."""
    moment0 = np.linalg.inv(r.state[1])

    def solved(t):
        kept = np.exp(r.u["log_decay"][: t + 1].sum())
        moment, cross = kept * moment0, kept * moment0 @ r.state[0]
        for j in range(t + 1):
            kept = np.exp(r.u["log_decay"][j + 1 : t + 1].sum())
            moment, cross = moment + kept * np.outer(r.k[j], r.k[j]), cross + kept * np.outer(r.k[j], r.v[j])
        return np.linalg.solve(moment, cross), np.linalg.inv(moment)

    offset = 0 if r.read == "after" else 1
    return [solved(t - offset)[0].T @ r.q[t] for t in range(r.T)], list(solved(r.T - 1))


def mackintosh(r):
    def write(t, s):
        weights, alpha = s[0].copy(), s[1].copy()
        for i in range(r.dk):
            change = 0.0
            for j in range(r.dv):
                alone = r.k[t, i] * s[0][i, j]
                rest = sum(r.k[t, h] * s[0][h, j] for h in range(r.dk) if h != i)
                weights[i, j] += r.u["beta"][t] * s[1][i] * r.k[t, i] * (r.v[t, j] - alone)
                change += abs(r.v[t, j] - rest) - abs(r.v[t, j] - alone)
            if r.k[t, i] != 0:
                alpha[i] = min(max(s[1][i] + r.c["theta"] * change, r.c["alpha_min"]), r.c["alpha_max"])
        return [weights, alpha]

    return r.along(write)


def pearce_hall(r):
    def write(t, s):
        excitatory, inhibitory, alpha = (x.copy() for x in s)
        errors = [r.v[t, j] - sum(r.k[t, i] * (s[0][i, j] - s[1][i, j]) for i in range(r.dk)) for j in range(r.dv)]
        for i in range(r.dk):
            for j, error in enumerate(errors):
                if error > 0:
                    excitatory[i, j] += r.u["beta"][t] * s[2][i] * r.k[t, i] * r.v[t, j]
                elif error < 0:
                    inhibitory[i, j] += r.u["beta_inhibitory"][t] * s[2][i] * r.k[t, i] * -error
            if r.k[t, i] != 0:
                moved = (1 - r.c["theta"]) * s[2][i] + r.c["theta"] * sum(abs(e) for e in errors)
                alpha[i] = min(max(moved, r.c["alpha_min"]), r.c["alpha_max"])
        return [excitatory, inhibitory, alpha]

    return r.along(write, lambda s, q: (s[0] - s[1]).T @ q)


def _temporal(trace_decay):
    """The backward view, with every past key's eligibility written out."""

    def reference(r):
        discount, keys = r.u["discount"], [r.state[1], *r.k]

        def eligibility(t):
            """After step t - 1."""
            past = [np.prod(trace_decay(r) * discount[j:t]) * r.k[j - 1] for j in range(1, t + 1)]
            return sum(past, start=np.prod(trace_decay(r) * discount[:t]) * r.state[2])

        def write(t, s):
            error = r.v[t] + discount[t] * s[0].T @ r.k[t] - s[0].T @ keys[t]
            return [s[0] + r.u["beta"][t] * np.outer(eligibility(t), error), r.k[t], eligibility(t + 1)]

        return r.along(write)

    return reference


def _exemplars(updates):
    def reference(r):
        room, count = len(r.state[0]), int(r.state[2])
        keys, values = [list(x[:count]) for x in r.state[:2]]
        answers = []
        for t in range(r.T):
            seen = count + t + (r.read == "after")
            keys.append(r.k[t])
            values.append(r.v[t])
            probe = r.q[t]
            for j in range(updates):
                likeness = np.exp(r.c["inverse_temperature"] * np.array([probe @ x for x in keys[:seen]]))
                source = values if j == updates - 1 else keys
                probe = np.array(source[:seen]).T @ (likeness / likeness.sum())
            answers.append(probe)
        empty = room - len(keys)
        store = [np.concatenate([x, np.zeros((empty, x[0].size))]) for x in (keys, values)]
        return answers, [*store, count + r.T]

    return reference


REFERENCES = {
    "hebb": hebb,
    "hebb_decay": hebb_decay,
    "gated_hebb": gated_hebb,
    "covariance": covariance,
    "trace": trace,
    "normalised_linear": normalised_linear,
    "mlstm": mlstm,
    "oja": oja,
    "oja_clamped": oja_clamped,
    "bcm": _bcm(lambda r, t, s: s[0].T @ r.k[t] + r.c["drive"] * r.v[t]),
    "bcm_clamped": _bcm(lambda r, t, s: r.v[t]),
    "delta": _error_correcting(lambda r, t: r.u["beta"][t], lambda r, t: 1.0),
    "gated_delta": _error_correcting(lambda r, t: r.u["beta"][t], lambda r, t: np.exp(r.u["log_decay"][t])),
    "normalised_delta": _error_correcting(
        lambda r, t: r.u["beta"][t] / (r.c["epsilon"] + sum(x**2 for x in r.k[t])), lambda r, t: 1.0
    ),
    "decoupled_delta": decoupled_delta,
    "bush_mosteller": bush_mosteller,
    "minibatch_delta": minibatch_delta,
    "momentum": momentum,
    "recursive_least_squares": recursive_least_squares,
    "mackintosh": mackintosh,
    "pearce_hall": pearce_hall,
    "td0": _temporal(lambda r: 0.0),
    "td_lambda": _temporal(lambda r: r.c["trace_decay"]),
    "softmax": _exemplars(1),
    "hopfield": _exemplars(1),
}
