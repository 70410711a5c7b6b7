"""The loops of the published code of Kleinman, Achille & Soatto (2024), written anew in PyTorch: what users replace.

One network at a time, automatic differentiation, an optimiser object, and the same measurements at the same times; no
figures and no printing.
"""

import itertools

import torch

__all__ = ["completion", "tree_task"]


def completion(iterations: int, *, depth: int = 3, n: int = 100, threads: int = 1) -> float:
    """Matrix completion: both losses in every iteration, the error, and all singular values in every tenth."""
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    tasks = [torch.randn(n, rank) @ torch.randn(n, rank).T / rank**0.5 for rank in (10, 5)]
    entries = torch.randperm(n * n)[:2000]
    rows, columns = entries // n, entries % n
    answers = [task[rows, columns] for task in tasks]
    layers = [torch.nn.Linear(n, n, bias=False) for _ in range(depth)]
    network = torch.nn.Sequential(*layers)
    for layer in layers:
        torch.nn.init.normal_(layer.weight, std=1e-3 ** (1 / depth) * n**-0.5)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.2)
    values, error = [], torch.tensor(0.0)
    for iteration in range(iterations):
        total = layers[0].weight.T
        for layer in layers[1:]:
            total = total @ layer.weight.T
        losses = [(total[rows, columns] - answer).pow(2).mean() / 2 for answer in answers]
        size = torch.stack([weight.pow(2).sum() for weight in network.parameters()]).sum()
        optimiser.zero_grad()
        losses[iteration % 2].backward()
        with torch.no_grad():
            error = (total - tasks[iteration % 2]).pow(2).mean()
        optimiser.step()
        if iteration % 10 == 0:
            values.append((torch.linalg.svd(total.detach()).S[:10].numpy(), float(size)))
    return float(error)


class _Path(torch.nn.Module):
    def __init__(self, sizes: list[int], strength: float) -> None:
        super().__init__()
        depth = len(sizes) - 1
        layers = [torch.nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(sizes)]
        self.layers = torch.nn.ModuleList(layers)
        for layer in layers:
            torch.nn.init.eye_(layer.weight)
            layer.weight.data *= strength ** (1 / depth)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def tree_task(networks: int, *, depth: int = 4, width: int = 100, steps: int = 1000, threads: int = 1) -> float:
    """Two paths on the tree task, one of them gated early on; the map of each path is kept in every update."""
    torch.set_num_threads(threads)
    targets = torch.cat([torch.kron(torch.eye(k), torch.ones(8 // k)) for k in (1, 2, 4, 8)]).T  # items, features
    items = torch.eye(8)
    left, _, right = torch.linalg.svd(targets.T)
    gap = 0.0
    for number in range(networks):
        paths = torch.nn.ModuleList(_Path([8, *[width] * (depth - 1), 15], 0.01 + 1e-4 * number) for _ in range(2))
        optimiser = torch.optim.SGD(paths.parameters(), lr=0.01)
        loss, losses, maps = torch.nn.MSELoss(reduction="sum"), [], []
        for step in range(steps):
            free, gated = (path(items) for path in paths)
            error = loss(free + (gated.detach() if step < 150 else gated), targets) / 2
            losses.append(error.detach().numpy())
            with torch.no_grad():
                maps.append([path(items).T for path in paths])
            error.backward()
            optimiser.step()
            optimiser.zero_grad()
        strengths = [[left.T @ omega @ right.T for omega in pair] for pair in maps]
        gap += float(strengths[-1][0][0, 0] - strengths[-1][1][0, 0])
    return gap
