"""Where training computes: CUDA when it is there and not refused, else the CPU."""

from __future__ import annotations

from analytics.errors import TrainingError

CELLS_A_THREAD = 5_000_000


def resolve_device(gpu_enabled: bool | None) -> str:
    """'cuda' or 'cpu'. Unset takes CUDA if there; insisting without one is an error."""
    if gpu_enabled is False:
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if gpu_enabled:
        raise TrainingError(
            "ML_GPU_ENABLED is true but torch sees no CUDA device; install the GPU build of "
            "torch and the driver, or unset ML_GPU_ENABLED to train on the CPU"
        )
    return "cpu"


def boosting_device(device: str) -> str:
    """The device xgboost can use: its CPU-only build has no CUDA, whatever torch sees."""
    import xgboost as xgb

    return device if device == "cpu" or xgb.build_info().get("USE_CUDA") else "cpu"


def threads_for(matrix_size: int, allowed: int) -> int:
    """How many threads a fit of so many cells should use.

    On small tables threads wait for each other longer than they compute: 8,000 rows
    of 48 columns took 8 times as long on two threads of a busy machine as on one.
    """
    return max(1, min(allowed, matrix_size // CELLS_A_THREAD))
