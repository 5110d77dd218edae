"""A small fully connected network (torch), stopped early, on one process or several.

Distributed training is data-parallel (DDP over gloo): every process draws the
same permutation and takes its own batches of it, so a step sees BATCH rows a
process and gradients are averaged.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ml.estimators.scorer import Network

MAX_EPOCHS = 60
PATIENCE = 6
BATCH = 256

Rows = tuple[np.ndarray, np.ndarray]
Report = Callable[[int, float], None]


@dataclass(frozen=True)
class NetworkParameters:
    width: int = 16  # 0: no hidden layer, which is a logistic regression on every feature
    depth: int = 1
    learning_rate: float = 0.005
    weight_decay: float = 1e-3
    dropout: float = 0.1


def fit_network(
    parameters: NetworkParameters,
    train: Rows,
    validation: Rows,
    *,
    seed: int,
    threads: int,
    device: str = "cpu",
    processes: int = 1,
    report: Report | None = None,
) -> Network:
    """The network at its best epoch, as numpy weights with the scale learnt from `train`."""
    from ml.estimators.scorer import Network  # brings mlflow, which the processes do not need

    centre, scale = _scale(train[0])
    shape = Network(centre, scale, [])
    scaled = (shape.standardize(train[0]), train[1])
    rows = (scaled, (shape.standardize(validation[0]), validation[1]))
    if processes > 1:
        layers = _fit_distributed(parameters, rows, seed, device, processes)
    else:
        layers = _fit(parameters, *rows, seed=seed, threads=threads, device=device, report=report)
    return Network(centre, scale, layers)


def _scale(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and spread of each column; a column that never varies divides by one."""
    empty = np.isnan(matrix).all(axis=0)
    known = np.where(empty, 0.0, matrix)
    centre, spread = np.nanmedian(known, axis=0), np.nanstd(known, axis=0)
    return centre.astype(np.float32), np.where(spread > 1e-9, spread, 1.0).astype(np.float32)


def _build(parameters: NetworkParameters, inputs: int) -> Any:
    from torch import nn

    layers: list[Any] = []
    for _ in range(parameters.depth if parameters.width else 0):
        layers += [nn.Linear(inputs, parameters.width), nn.ReLU(), nn.Dropout(parameters.dropout)]
        inputs = parameters.width
    return nn.Sequential(*layers, nn.Linear(inputs, 1))


def _fit(
    parameters: NetworkParameters,
    train: Rows,
    validation: Rows,
    *,
    seed: int,
    threads: int,
    device: str,
    report: Report | None = None,
    rank: int = 0,
    world: int = 1,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The loop, in one place: epochs, batches, early stopping. `rank` takes its share."""
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    net = _build(parameters, train[0].shape[1]).to(device)
    model = torch.nn.parallel.DistributedDataParallel(net) if world > 1 else net
    loss_of = torch.nn.BCEWithLogitsLoss()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=parameters.learning_rate, weight_decay=parameters.weight_decay
    )
    x, y = (torch.as_tensor(a, dtype=torch.float32, device=device) for a in train)
    xv, yv = (torch.as_tensor(a, dtype=torch.float32, device=device) for a in validation)
    shuffle = torch.Generator().manual_seed(seed)
    best, best_loss, waited = net.state_dict(), float("inf"), 0

    for epoch in range(MAX_EPOCHS):
        model.train()
        order = torch.randperm(len(x), generator=shuffle)
        order = order[: len(x) // world * world] if world > 1 else order
        for start in range(0, len(order), BATCH * world):
            batch = order[start : start + BATCH * world][rank::world].to(device)
            optimizer.zero_grad(set_to_none=True)
            loss_of(model(x[batch])[:, 0], y[batch]).backward()
            optimizer.step()

        net.eval()
        with torch.no_grad():
            loss = float(loss_of(net(xv)[:, 0], yv))
        if report:
            report(epoch, loss)
        if loss < best_loss - 1e-5:
            best_loss, waited = loss, 0
            best = {k: v.detach().clone() for k, v in net.state_dict().items()}
        else:
            waited += 1
        if _agree(waited >= PATIENCE, world):
            break

    arrays = [tensor.cpu().numpy() for tensor in best.values()]
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def _agree(stop: bool, world: int) -> bool:
    """Rank 0 decides for all, or a rounding difference would leave one process waiting."""
    if world == 1:
        return stop
    import torch

    flag = torch.tensor([int(stop)])
    torch.distributed.broadcast(flag, src=0)
    return bool(flag.item())


def _fit_distributed(
    parameters: NetworkParameters, rows: tuple[Rows, Rows], seed: int, device: str, processes: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Start the processes, let them train, read what the first one wrote."""
    import torch.multiprocessing as processes_of

    with tempfile.TemporaryDirectory(prefix="distributed-") as folder:
        processes_of.spawn(
            _worker, args=(processes, folder, parameters, rows, seed, device), nprocs=processes
        )
        with np.load(Path(folder) / "weights.npz") as arrays:
            count = len(arrays.files) // 2
            return [(arrays[f"weight_{i}"], arrays[f"bias_{i}"]) for i in range(count)]


def _worker(
    rank: int,
    world: int,
    folder: str,
    parameters: NetworkParameters,
    rows: tuple[Rows, Rows],
    seed: int,
    device: str,
) -> None:
    """One process of a distributed training; gathers over a file, so it opens no fixed port."""
    import torch

    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/gather", rank=rank, world_size=world
    )
    try:
        if device == "cuda":
            device = f"cuda:{rank % torch.cuda.device_count()}"
        layers = _fit(
            parameters, *rows, seed=seed, threads=1, device=device, rank=rank, world=world
        )
        if rank == 0:
            named = {f"weight_{i}": w for i, (w, _) in enumerate(layers)}
            named |= {f"bias_{i}": b for i, (_, b) in enumerate(layers)}
            np.savez(Path(folder) / "weights.npz", **named)  # type: ignore[arg-type]
        torch.distributed.barrier()
    finally:
        torch.distributed.destroy_process_group()
