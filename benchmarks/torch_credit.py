"""Backpropagation and counter-current learning in plain PyTorch, an epoch of Fashion-MNIST at a time."""

import itertools
import time

import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.credit_training import BACKPROP, COUNTER_CURRENT, numpy_split


def _data() -> tuple[torch.Tensor, torch.Tensor]:
    """Standardised images as vectors, and labels: all in memory before the clock starts."""
    images, labels, mean, deviation = numpy_split()
    x = torch.from_numpy(images.reshape(len(images), -1)).float() / 255
    return (x - mean) / deviation, torch.from_numpy(labels).long()


def _perceptron(widths: tuple[int, ...]) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(widths):
        layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def _timed(epoch, update_count: int) -> dict[str, float]:
    """Time of one epoch, after a short run that is not counted; ``epoch`` takes a largest number of updates."""
    epoch(5)
    start = time.perf_counter()
    loss = epoch(update_count)
    duration = time.perf_counter() - start
    return {"value": 1 / duration, "seconds": duration, "loss": loss}


def backprop(threads: int, *, loader: bool) -> dict[str, float]:
    """An epoch of the usual loop: over a shuffled DataLoader, or over random parts of tensors in memory."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    x, y = _data()
    network = _perceptron(BACKPROP.widths)
    optimiser = torch.optim.SGD(network.parameters(), lr=BACKPROP.rate, momentum=BACKPROP.momentum)
    batches = DataLoader(TensorDataset(x, y), batch_size=BACKPROP.batch, shuffle=True, drop_last=True)

    def parts():
        order = torch.randperm(len(x))
        for start in range(0, len(x) - BACKPROP.batch + 1, BACKPROP.batch):
            chosen = order[start : start + BACKPROP.batch]
            yield x[chosen], y[chosen]

    def epoch(most: int) -> float:
        total, count = torch.zeros(()), 0
        for inputs, labels in batches if loader else parts():
            if count == most:
                break
            optimiser.zero_grad()
            loss = functional.cross_entropy(network(inputs), labels)
            loss.backward()
            optimiser.step()
            total += loss.detach()
            count += 1
        return float(total / count)

    return _timed(epoch, BACKPROP.updates)


def counter_current(threads: int) -> dict[str, float]:
    """An epoch of counter-current learning: every layer sees its input detached, one loss over all levels."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    x, y = _data()
    settings, widths = COUNTER_CURRENT, COUNTER_CURRENT.widths
    pairs = list(itertools.pairwise(widths))
    forward = [torch.nn.Linear(m, n, bias=False) for m, n in pairs]
    feedback = [torch.nn.Linear(n, m, bias=False) for m, n in pairs]
    up = [layer.weight for layer in forward]
    down = [layer.weight for layer in feedback]
    optimisers = [torch.optim.SGD(weights, lr=settings.rate) for weights in (up, down)]
    identity = torch.eye(widths[-1])

    def update(inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        rising = [inputs]
        for layer in forward[:-1]:
            rising.append(functional.elu(layer(rising[-1].detach())))
        outputs = forward[-1](rising[-1].detach())
        falling = [identity]
        for layer in feedback[:0:-1]:
            falling.append(functional.elu(layer(falling[-1].detach())))
        falling.append(feedback[0](falling[-1].detach()))
        same = identity[labels]
        loss = functional.cross_entropy(outputs, labels)
        total = loss
        for a, b in zip(rising, falling[:0:-1], strict=True):
            total = total + 0.5 * (256 / a.shape[1]) * functional.mse_loss(a @ b.T, same)
        for optimiser in optimisers:
            optimiser.zero_grad()
        total.backward()
        for weights, optimiser in zip((up, down), optimisers, strict=True):
            torch.nn.utils.clip_grad_norm_(weights, settings.clip)
            optimiser.step()
        return loss.detach()

    def epoch(most: int) -> float:
        order, total = torch.randperm(len(x)), torch.zeros(())
        for number in range(most):
            chosen = order[number * settings.batch : (number + 1) * settings.batch]
            total += update(x[chosen], y[chosen])
        return float(total / most)

    return _timed(epoch, settings.updates)
