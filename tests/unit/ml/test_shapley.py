"""A network's Shapley values: exact sums, SHAP's own exact answer, no row moved by its company."""

from itertools import pairwise

import numpy as np
import pytest

from ml.estimators.scorer import Network
from ml.explain.shapley import network_pushes


def a_network(*sizes: int, seed: int = 3) -> Network:
    draw = np.random.default_rng(seed)
    layers = [
        (draw.normal(size=(out, into)).astype("float32"), draw.normal(size=out).astype("float32"))
        for into, out in pairwise(sizes)
    ]
    return Network(np.zeros(sizes[0]), np.ones(sizes[0]), layers)


def some_rows(count: int, columns: int, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, columns)).astype("float32")


@pytest.mark.parametrize("sizes", [(9, 1), (9, 16, 1), (9, 16, 8, 1)])
def test_pushes_sum_to_what_sets_a_row_apart_however_few_rounds_are_walked(sizes):
    network, rows, background = a_network(*sizes), some_rows(40, 9), some_rows(12, 9, seed=6)
    pushes = network_pushes(network.layers, rows, background, seed=1, rounds=1)
    layers = [(weight.astype(float), bias.astype(float)) for weight, bias in network.layers]
    exact = Network(network.centre, network.scale, layers)
    apart = exact.forward(rows.astype(float)) - exact.forward(background.astype(float)).mean()
    assert pushes.sum(axis=1) == pytest.approx(apart, abs=1e-9)


def test_many_rounds_come_to_shap_s_exact_answer():
    import shap

    network, rows, background = a_network(6, 16, 1), some_rows(10, 6), some_rows(5, 6, seed=6)
    explainer = shap.ExactExplainer(network.forward, shap.maskers.Independent(background))
    exact = explainer(rows, silent=True).values
    size = np.abs(exact).mean()
    far = [
        np.abs(network_pushes(network.layers, rows, background, seed=1, rounds=n) - exact).mean()
        for n in (1, 30, 900)
    ]
    assert far[0] > far[1] > far[2]
    assert far[2] < 0.02 * size


def test_a_column_without_weight_pushes_nothing_and_twins_push_alike():
    network = a_network(4, 8, 1)
    first = network.layers[0][0]
    first[:, 2] = 0
    first[:, 1] = first[:, 0]
    rows, background = some_rows(20, 4), some_rows(6, 4, seed=6)
    rows[:, 1], background[:, 1] = rows[:, 0], background[:, 0]
    pushes = network_pushes(network.layers, rows, background, seed=1, rounds=400)
    assert (pushes[:, 2] == 0).all()
    assert pushes[:, 0] == pytest.approx(pushes[:, 1], abs=0.05 * np.abs(pushes).max())


def test_no_row_s_pushes_depend_on_the_rows_beside_it():
    network, rows, background = a_network(9, 16, 1), some_rows(50, 9), some_rows(12, 9, seed=6)
    whole = network_pushes(network.layers, rows, background, seed=1)
    small = network_pushes(network.layers, rows, background, seed=1, cells=1)
    turned = network_pushes(network.layers, rows[::-1], background, seed=1)[::-1]
    assert small == pytest.approx(whole, abs=1e-12)
    assert turned == pytest.approx(whole, abs=1e-12)
    assert (network_pushes(network.layers, rows, background, seed=1) == whole).all()
