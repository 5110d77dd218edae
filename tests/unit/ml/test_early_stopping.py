"""Both estimators stop when validation no longer improves, and keep their best."""

from __future__ import annotations

import numpy as np
import pytest

from ml.estimators import boosting, network
from ml.estimators.boosting import BoostingParameters, fit_boosting
from ml.estimators.network import NetworkParameters, fit_network


def noise(seed: int, rows: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Labels that nothing explains."""
    random = np.random.default_rng(seed)
    return random.normal(size=(rows, 6)), random.integers(0, 2, rows).astype(float)


def test_boosting_stops_on_noise_and_is_cut_at_its_best_round():
    losses: list[float] = []
    booster = fit_boosting(
        BoostingParameters(min_child_weight=1.0), noise(1), noise(2), seed=17, threads=1,
        report=lambda _, loss: losses.append(loss),
    )  # fmt: skip
    best = int(np.argmin(losses)) + 1
    assert len(losses) == best + boosting.PATIENCE < boosting.MAX_ROUNDS
    assert booster.num_boosted_rounds() == best


def test_the_network_stops_on_noise_and_keeps_its_best_epoch():
    losses: list[float] = []
    parameters = NetworkParameters(learning_rate=0.02, weight_decay=0.0, dropout=0.0)
    best_net, epochs = fit_network(
        parameters, noise(1), noise(2), seed=17, threads=1,
        report=lambda _, loss: losses.append(loss),
    )  # fmt: skip
    assert epochs == int(np.argmin(losses)) + 1
    assert len(losses) == epochs + network.PATIENCE < network.MAX_EPOCHS
    rows, labels = noise(2)
    margin = best_net.margin(rows)
    assert np.mean(np.logaddexp(0, margin) - labels * margin) == pytest.approx(min(losses), 1e-3)


@pytest.mark.parametrize(("fit", "most"), [(fit_boosting, "rounds"), (fit_network, "epochs")])
def test_without_validation_rows_it_goes_on_to_the_end(fit, most):
    parameters = BoostingParameters() if fit is fit_boosting else NetworkParameters()
    fitted = fit(parameters, noise(1), seed=17, threads=1, **{most: 7})
    assert (fitted.num_boosted_rounds() if fit is fit_boosting else fitted[1]) == 7
