"""Tangent kernel of recurrent weights: 300 units, 32 trials of 8 steps, 3 outputs; so 768 x 768 over 90,000 weights.

The field's way is a backward pass per output, each gradient a row of the Jacobian, then the product of the Jacobian
with itself; published code joins the rows one at a time, which copies what is there 768 times. The library computes the
kernel from its factors. Every method starts from the weights and the input and ends with the kernel; compiling is not
counted, and reported.
"""

import resource
import time
from collections.abc import Callable

import numpy as np

from benchmarks.method import Benchmark, Goal, Method, over, seconds

UNITS, TRIALS, STEPS, OUTPUTS, INPUTS, GAIN = 300, 32, 8, 3, 3, 1.25
ALL = TRIALS * STEPS * OUTPUTS


def _problem() -> tuple[list[np.ndarray], np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = ((UNITS, INPUTS), (UNITS, UNITS), (OUTPUTS, UNITS))
    scales = (1 / INPUTS**0.5, GAIN / UNITS**0.5, 1 / UNITS**0.5)
    weights = [(scale * rng.normal(size=shape)).astype(np.float32) for scale, shape in zip(scales, shapes, strict=True)]
    return weights, rng.normal(size=(TRIALS, STEPS, INPUTS)).astype(np.float32)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _with_jax(explicit: bool) -> dict[str, float]:
    import jax

    from brainjax import recurrent, richness

    def factored(network, x):
        deltas, previous = recurrent.sensitivities(network, x)
        return richness.factored_kernel(deltas[..., 1:, :], previous[:, 1:], causal=True)

    def by_jacobian(network, x):
        def outputs(w):
            changed = network._replace(recurrent=w)
            return recurrent.readout(changed, recurrent.states(changed, x))

        return richness.explicit_kernel(outputs, network.recurrent)

    weights, x = _problem()
    given = jax.device_put((recurrent.RateNetwork(*weights), x))
    start = time.perf_counter()
    compiled = jax.jit(by_jacobian if explicit else factored).lower(*given).compile()
    compiling = time.perf_counter() - start
    before = _peak()
    kernel = np.asarray(compiled(*given))
    grown = _peak() - before
    duration = seconds(lambda: jax.block_until_ready(compiled(*given)), 3 if explicit else 15)
    sizes = compiled.memory_analysis()
    assert sizes is not None
    return {
        "value": 1 / duration,
        "seconds": duration,
        "compiling": compiling,
        "megabytes": (sizes.temp_size_in_bytes + sizes.output_size_in_bytes) / 2**20,
        "resident": grown,
        **_facts(kernel),
    }


def _with_torch(threads: int, joined: bool = False) -> dict[str, float]:
    import torch

    torch.set_num_threads(threads)
    arrays, inputs = _problem()
    (w_in, w, w_out), x = (torch.from_numpy(a) for a in arrays), torch.from_numpy(inputs)
    w.requires_grad_()

    def outputs():
        h, found = torch.zeros(TRIALS, UNITS), []
        for t in range(STEPS):
            h = torch.relu(x[:, t] @ w_in.T + h @ w.T)
            found.append(h @ w_out.T)
        return torch.stack(found, 1).reshape(-1)

    def gradient(o):
        return torch.autograd.grad(o, w, retain_graph=True)[0].reshape(1, -1)

    def kernel():
        every = outputs()
        if joined:
            rows = gradient(every[0])
            for o in every[1:]:
                rows = torch.cat([rows, gradient(o)])
        else:
            rows = torch.empty(ALL, UNITS * UNITS)
            for i, o in enumerate(every):
                rows[i] = gradient(o)
        return rows @ rows.T

    before = _peak()
    found = kernel() if not joined else None
    grown = _peak() - before
    start = time.perf_counter()
    found = kernel()
    duration = time.perf_counter() - start
    return {"value": 1 / duration, "seconds": duration, "resident": grown, **_facts(found.numpy())}


def _facts(kernel: np.ndarray) -> dict[str, float]:
    """For the eye: every method has found the same."""
    assert kernel.shape == (ALL, ALL)
    return {"trace": float(np.trace(kernel)), "norm": float(np.linalg.norm(kernel))}


def _threaded(name: str, threads: int, measure: Callable[[], dict[str, float]]) -> Method:
    plural = "s" * (threads > 1)
    return Method(f"{name}, {threads} thread{plural}", measure, {"OMP_NUM_THREADS": str(threads)}, ("torch",))


_LOOPS = tuple(_threaded("PyTorch, a pass per output", n, lambda n=n: _with_torch(n)) for n in (1, 2))
_JOINED = _threaded("PyTorch, rows joined one by one", 1, lambda: _with_torch(1, joined=True))

BENCHMARKS = (
    Benchmark(
        "recurrent_kernel",
        f"tangent kernel {ALL} x {ALL} of the recurrent weights of {UNITS} units",
        "kernels/s",
        (
            Method("factored", lambda: _with_jax(explicit=False)),
            Method("explicit Jacobian", lambda: _with_jax(explicit=True)),
            *_LOOPS,
            _JOINED,
        ),
        (
            Goal("factored over a backward pass per output", over("factored", *(m.name for m in _LOOPS)), 50),
            Goal(
                "memory of the factored form over that of the explicit Jacobian",
                lambda round_: round_["factored"]["megabytes"] / round_["explicit Jacobian"]["megabytes"],
                at_most=0.25,
            ),
            Goal("factored over rows joined one by one", over("factored", _JOINED.name), 50),
        ),
    ),
)
