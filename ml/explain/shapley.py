"""Shapley values of a fully connected network, for all rows at once.

Method  sampled permutations (Štrumbelj & Kononenko 2014, "Explaining prediction models and
        individual predictions with feature contributions"), each walked forwards and back,
        against an interventional background (Lundberg & Lee 2017, "A unified approach to
        interpreting model predictions").
Why     a step along a permutation moves one column, so the first layer's answer moves by one
        column's share of it: no row's first layer is ever computed twice, and every row takes
        the step in the same call.
"""

from __future__ import annotations

import numpy as np

Layers = list[tuple[np.ndarray, np.ndarray]]

ROUNDS = 3  # permutations, each also walked backwards
CELLS = 200_000  # numbers of a layer held at a time: few enough for the processor's cache


def network_pushes(
    layers: Layers,
    rows: np.ndarray,
    background: np.ndarray,
    *,
    seed: int,
    rounds: int = ROUNDS,
    cells: int = CELLS,
) -> np.ndarray:
    """Each column's push on the network's answer, away from the background's mean answer.

    `layers` are (weight, bias) with ReLU between them, `rows` (n, d), `background` (b, d);
    the answer is (n, d). A row's pushes sum to its answer less the background's mean,
    exactly (to float64's last bits), however few rounds are walked. The permutations are
    drawn from `seed` alone, so no row's pushes depend on the rows beside it.
    """
    layers = [(weight.astype("float64"), bias.astype("float64")) for weight, bias in layers]
    rows, background = rows.astype("float64"), background.astype("float64")
    draw = np.random.default_rng(seed)
    orders = [draw.permutation(rows.shape[1]) for _ in range(rounds)]
    widest = max(weight.shape[0] for weight, _ in layers)
    step = max(1, cells // (len(background) * widest))
    pushes = np.zeros_like(rows)
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        for order in orders:
            pushes[part] += _walk(layers, rows[part], background, order)
            pushes[part] += _walk(layers, rows[part], background, order[::-1])
    return pushes / (2 * rounds)


def _walk(
    layers: Layers, rows: np.ndarray, background: np.ndarray, order: np.ndarray
) -> np.ndarray:
    """What each column adds as the background's columns turn into the rows', one by one."""
    weight, bias = layers[0]
    moved = np.zeros((len(rows), len(bias)))  # first layer: columns that are the rows' by now
    still = background @ weight.T + bias  # and those that are the background's still
    before = _answer(layers, moved, still)
    pushes = np.empty_like(rows)
    for column in order:
        moved += rows[:, column, None] * weight[:, column]
        still -= background[:, column, None] * weight[:, column]
        after = _answer(layers, moved, still)
        pushes[:, column] = after - before
        before = after
    return pushes


def _answer(layers: Layers, moved: np.ndarray, still: np.ndarray) -> np.ndarray:
    """The mean answer over the background, (n,), from both parts of the first layer."""
    signal = (moved[:, None, :] + still[None, :, :]).reshape(-1, still.shape[1])
    for weight, bias in layers[1:]:
        np.maximum(signal, 0, out=signal)
        signal = signal @ weight.T + bias
    return signal[:, 0].reshape(len(moved), len(still)).mean(axis=1)
