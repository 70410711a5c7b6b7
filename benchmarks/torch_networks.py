"""The same networks in PyTorch, three ways: a loop over seeds, torch.func, and batched products by hand."""

import torch

from benchmarks.layered_sweep import DEPTH, RATE, SCALE
from benchmarks.method import seconds


def _start(size: int, batch: tuple[int, ...]) -> list[list[torch.Tensor]]:
    torch.manual_seed(0)
    return [[torch.randn(*batch, size, size) * (SCALE / size**0.5) for _ in range(DEPTH)] for _ in range(2)]


def _target(size: int) -> torch.Tensor:
    return torch.diag(torch.linspace(1.0, 0.1, size))


def _map(layers) -> torch.Tensor:
    total = layers[0]
    for layer in layers[1:]:
        total = layer @ total
    return total


def _loss(paths, target: torch.Tensor) -> torch.Tensor:
    return 0.5 * ((target - _map(paths[0]) - _map(paths[1])) ** 2).sum((-2, -1))


def _numbers(work, size: int, steps: int, seeds: int, threads: int) -> dict[str, float]:
    torch.set_num_threads(threads)
    losses = []
    duration = seconds(lambda: losses.append(float(work().mean())), 1)
    return {"value": seeds * steps / duration, "loss": losses[-1]}


def loop(size: int, steps: int, seeds: int, threads: int) -> dict[str, float]:
    """One network after the other, autograd and plain SGD."""
    target = _target(size)

    def work():
        losses = []
        for seed in range(seeds):
            paths = [[w[seed].clone().requires_grad_() for w in path] for path in _start(size, (seeds,))]
            optimiser = torch.optim.SGD([w for path in paths for w in path], lr=RATE)
            for _ in range(steps):
                optimiser.zero_grad()
                _loss(paths, target).backward()
                optimiser.step()
            losses.append(_loss(paths, target).detach())
        return torch.stack(losses)

    return _numbers(work, size, steps, seeds, threads)


def functional(size: int, steps: int, seeds: int, threads: int) -> dict[str, float]:
    """``torch.func``: the gradient of one network, vmapped over all."""
    target = _target(size)
    gradient = torch.func.vmap(torch.func.grad(lambda paths: _loss(paths, target)))

    def work():
        paths = _start(size, (seeds,))
        with torch.no_grad():
            for _ in range(steps):
                change = gradient(paths)
                paths = [
                    [w - RATE * g for w, g in zip(path, grads, strict=True)]
                    for path, grads in zip(paths, change, strict=True)
                ]
        return _loss(paths, target)

    return _numbers(work, size, steps, seeds, threads)


@torch.no_grad()
def by_hand(size: int, steps: int, seeds: int, threads: int) -> dict[str, float]:
    """Both paths of all seeds as one batch of products, the gradient written out, updates in place."""
    target = _target(size)

    def work():
        first, second = _start(size, (seeds,))
        layers = [torch.cat(pair) for pair in zip(first, second, strict=True)]  # (2 seeds, size, size)
        for _ in range(steps):
            below = [layers[0]]
            for layer in layers[1:]:
                below.append(torch.bmm(layer, below[-1]))
            error = target - below[-1][:seeds] - below[-1][seeds:]
            above = torch.cat([error, error])
            for number in range(DEPTH - 1, 0, -1):
                lower = torch.bmm(layers[number].mT, above)
                layers[number].baddbmm_(above, below[number - 1].mT, alpha=RATE)
                above = lower
            layers[0] = layers[0] + RATE * above  # not in place: below[0] is this layer
        return _loss([[w[:seeds] for w in layers], [w[seeds:] for w in layers]], target)

    return _numbers(work, size, steps, seeds, threads)
