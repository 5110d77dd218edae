"""A small fully connected network (torch), stopped early, on one process or several.

Distributed training is data-parallel (DDP over gloo): every process draws the
same permutation and takes its share of each batch, and gradients are averaged.
A step therefore sees the same rows whatever the number of processes.
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

MAX_EPOCHS = 40
PATIENCE = 5
BATCH = 256

Rows = tuple[np.ndarray, np.ndarray]
Report = Callable[[int, float], None]
Layers = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class NetworkParameters:
    width: int = 16  # 0: no hidden layer, which is a logistic regression on every feature
    depth: int = 1
    learning_rate: float = 0.004
    weight_decay: float = 0.1
    dropout: float = 0.3


def fit_network(
    parameters: NetworkParameters,
    train: Rows,
    validation: Rows | None = None,
    *,
    seed: int,
    threads: int,
    device: str = "cpu",
    processes: int = 1,
    epochs: int = MAX_EPOCHS,
    report: Report | None = None,
) -> tuple[Network, int]:
    """The network and its number of epochs, as numpy weights with the scale learnt from `train`.

    With validation rows it is the one of the best epoch; without, the one after
    exactly `epochs`, which several processes may share.
    """
    from ml.estimators.scorer import Network  # brings mlflow, which the processes do not need

    shape = Network.scaled_by(train[0])
    rows = (shape.standardize(train[0]), train[1])
    if validation is not None:
        judged = (shape.standardize(validation[0]), validation[1])
        layers, epochs = _fit(
            parameters, rows, judged, seed=seed, threads=threads, device=device, epochs=epochs,
            report=report,
        )  # fmt: skip
    elif processes > 1:
        layers = _fit_distributed(parameters, rows, seed, device, processes, epochs)
    else:
        layers, _ = _fit(
            parameters, rows, None, seed=seed, threads=threads, device=device, epochs=epochs
        )
    return Network(shape.centre, shape.scale, layers), epochs


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
    validation: Rows | None,
    *,
    seed: int,
    threads: int,
    device: str,
    epochs: int,
    report: Report | None = None,
    rank: int = 0,
    world: int = 1,
) -> tuple[Layers, int]:
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
    x, y = _tensors(train, device)
    judged = _tensors(validation, device) if validation else None
    shuffle = torch.Generator().manual_seed(seed)
    step = BATCH // world * world  # so that every process has as many rows of a batch
    best, best_loss, best_epoch = net.state_dict(), float("inf"), epochs

    for epoch in range(epochs):
        model.train()
        order = torch.randperm(len(x), generator=shuffle)[: len(x) // world * world]
        for start in range(0, len(order), step):
            batch = order[start : start + step][rank::world].to(device)
            optimizer.zero_grad(set_to_none=True)
            loss_of(model(x[batch])[:, 0], y[batch]).backward()
            optimizer.step()
        if judged is None:
            continue

        net.eval()
        with torch.no_grad():
            loss = float(loss_of(net(judged[0])[:, 0], judged[1]))
        if report:
            report(epoch, loss)
        if loss < best_loss - 1e-5:
            best_loss, best_epoch = loss, epoch + 1
            best = {k: v.detach().clone() for k, v in net.state_dict().items()}
        elif epoch + 1 - best_epoch >= PATIENCE:
            break

    arrays = [tensor.cpu().numpy() for tensor in best.values()]
    return list(zip(arrays[::2], arrays[1::2], strict=True)), best_epoch


def _tensors(rows: Rows, device: str) -> Any:
    import torch

    return [torch.as_tensor(a, dtype=torch.float32, device=device) for a in rows]


def _fit_distributed(
    parameters: NetworkParameters, rows: Rows, seed: int, device: str, processes: int, epochs: int
) -> Layers:
    """Start the processes, let them train, read what the first one wrote."""
    import torch.multiprocessing as processes_of

    with tempfile.TemporaryDirectory(prefix="distributed-") as folder:
        processes_of.spawn(
            _worker,
            args=(processes, folder, parameters, rows, seed, device, epochs),
            nprocs=processes,
        )
        with np.load(Path(folder) / "weights.npz") as arrays:
            count = len(arrays.files) // 2
            return [(arrays[f"weight_{i}"], arrays[f"bias_{i}"]) for i in range(count)]


def _worker(
    rank: int,
    world: int,
    folder: str,
    parameters: NetworkParameters,
    rows: Rows,
    seed: int,
    device: str,
    epochs: int,
) -> None:
    """One process of a distributed training; gathers over a file, so it opens no fixed port."""
    import torch

    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/gather", rank=rank, world_size=world
    )
    try:
        if device == "cuda":
            device = f"cuda:{rank % torch.cuda.device_count()}"
        layers, _ = _fit(
            parameters, rows, None, seed=seed, threads=1, device=device, epochs=epochs,
            rank=rank, world=world,
        )  # fmt: skip
        if rank == 0:
            named = {f"weight_{i}": w for i, (w, _) in enumerate(layers)}
            named |= {f"bias_{i}": b for i, (_, b) in enumerate(layers)}
            np.savez(Path(folder) / "weights.npz", **named)  # type: ignore[arg-type]
        torch.distributed.barrier()
    finally:
        torch.distributed.destroy_process_group()
