"""Memories along 1024 steps against recurrences in plain PyTorch, 8 heads of 64 dimensions, float32.

The rival is what public reference code for linear transformers does: a Python loop over steps, all heads at once, and
automatic differentiation through the loop (our own loop, for the gated delta rule and for gated linear attention).
Both sides get the same arrays; ``loss`` is what they computed of them. Values are passes per second.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.memory_training import compiled, draw, memory_head
from benchmarks.method import Benchmark, Goal, Method, over, seconds

STEPS = 1024


def _arrays(rule: str) -> tuple[Any, ...]:
    """Those of `draw`; gated linear attention gets a log decay per key component, all of a step alike."""
    import numpy as np

    q, k, v, beta, log_decay = draw(STEPS)
    if rule == "gated_hebb":
        log_decay = np.ascontiguousarray(np.broadcast_to(log_decay[..., None], k.shape))
    return q, k, v, beta, log_decay


def library(rule: str, form: str, *, backward: bool) -> dict[str, float]:
    """One compiled program."""
    import jax
    import jax.numpy as jnp

    work = compiled(jax.vmap(memory_head(rule, form)), _arrays(rule), backward=backward)
    found = work()
    loss = found[0] if backward else 0.5 * jnp.sum(found**2)
    return {"value": 1 / seconds(work, 5), "loss": float(loss)}


def torch_loop(rule: str, threads: int, *, backward: bool) -> dict[str, float]:
    """A loop over steps; tensors are (heads, ...) with the matrix of weights (heads, d_k, d_v)."""
    import torch

    torch.set_num_threads(threads)
    leaves = [torch.from_numpy(x).requires_grad_(backward) for x in _arrays(rule)]

    def forward() -> Any:
        q, k, v, beta, log_decay = leaves
        weights = torch.zeros(k.shape[0], k.shape[2], v.shape[2])
        outputs = []
        for t in range(STEPS):
            gate = log_decay[:, t].exp()
            weights = weights * (gate[:, None, None] if gate.ndim == 1 else gate[:, :, None])
            written = v[:, t]
            if rule == "gated_delta":
                written = written - (weights * k[:, t, :, None]).sum(1)
            weights = weights + k[:, t, :, None] * (beta[:, t, None] * written)[:, None, :]
            outputs.append(torch.einsum("hk,hkv->hv", q[:, t], weights))
        return 0.5 * (torch.stack(outputs, 1) ** 2).sum()

    def work() -> Any:
        loss = forward()
        return (loss, torch.autograd.grad(loss, leaves)) if backward else (loss,)

    loss = float(work()[0].detach())
    return {"value": 1 / seconds(work, 3), "loss": loss}


TITLES = {"gated_delta": "gated delta rule", "gated_hebb": "gated linear attention"}
FORMS = {("gated_delta", True): "chunked", ("gated_delta", False): "sequential", ("gated_hebb", True): "chunked"}
"""What is measured, and the form that suits it: on a CPU a scan is the faster one where nothing is to be trained."""


def _methods(rule: str, backward: bool) -> tuple[tuple[Method, ...], Goal]:
    what = f"{TITLES[rule]}, {'gradients' if backward else 'outputs'}"
    ours = Method(f"{what}", lambda: library(rule, FORMS[rule, backward], backward=backward))

    def rival(threads: int) -> Method:
        work: Callable[[], dict[str, float]] = lambda: torch_loop(rule, threads, backward=backward)  # noqa: E731
        name = f"{what}, torch loop, {threads} thread{'s' * (threads > 1)}"
        return Method(name, work, {"OMP_NUM_THREADS": str(threads)}, ("torch",))

    rivals = tuple(rival(threads) for threads in (1, 2))
    goal = Goal(f"{what}: library over the better torch loop", over(ours.name, *(m.name for m in rivals)), at_least=10)
    return (ours, *rivals), goal


_ALL = [_methods(rule, backward) for rule, backward in FORMS]

BENCHMARKS = (
    Benchmark(
        "memory_torch",
        "1024 steps of 8 heads of 64 dimensions against loops over steps in PyTorch",
        "passes/s",
        tuple(method for methods, _ in _ALL for method in methods),
        tuple(goal for _, goal in _ALL),
    ),
)
