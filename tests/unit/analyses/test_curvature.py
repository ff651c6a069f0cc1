"""What is known of the shape of the loss: eigenvalues beyond noise, and nothing else."""

import numpy as np
import pytest
from scipy.special import expit

from safeborders_fed.analyses.curvature import bending, curvature, starting_margin
from safeborders_fed.analyses.inputs import Counted, spread_of

COLUMNS = 60
COUNTED = Counted(20_000.0, 4_000.0, np.full(COLUMNS, 0.3))


def moments_of(features: np.ndarray) -> np.ndarray:
    z = (features - COUNTED.centre) / spread_of(COUNTED.centre)
    return (z.T @ z)[np.triu_indices(COLUMNS)]


def features_of(*, correlated: bool) -> np.ndarray:
    rng = np.random.default_rng(1)
    hidden = rng.normal(size=(20_000, 1)) * correlated
    return (rng.normal(size=(20_000, COLUMNS)) + hidden < -0.5244 * np.sqrt(1 + correlated)).astype(float)


def test_correlated_columns_show_one_steep_direction() -> None:
    found = curvature(COUNTED, moments_of(features_of(correlated=True)), 1.0)
    assert found.values[-1] > 8 * found.values[-2]
    assert np.abs(found.directions[:, -1]) == pytest.approx(COLUMNS**-0.5, rel=0.2)


def test_noise_alone_shows_no_direction() -> None:
    """Fifty draws, no eigenvalue beyond the semicircle's edge: the typical curvature stands."""
    rng = np.random.default_rng(2)
    size = COLUMNS * (COLUMNS + 1) // 2
    for _ in range(50):
        found = curvature(COUNTED, rng.normal(0, 40.0, size), 40.0)
        assert found.values[-1] == pytest.approx(found.values[0])


def test_doubt_is_one_where_noise_is_above_a_typical_curvature_and_none_without() -> None:
    exact = moments_of(features_of(correlated=False))
    assert curvature(COUNTED, exact, 1e-9).doubt == pytest.approx(0, abs=1e-6)
    assert curvature(COUNTED, exact, 1e6).doubt == 1


def test_curvatures_are_positive_whatever_the_sums() -> None:
    size = COLUMNS * (COLUMNS + 1) // 2
    for centre in (np.zeros(COLUMNS), np.ones(COLUMNS), np.full(COLUMNS, 0.5)):
        found = curvature(Counted(1.0, 0.0, centre), np.full(size, -1e9), 1.0)
        assert (found.values > 0).all()
        assert np.isfinite(found.directions).all()


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("spread", [0.5, 1.6, 3.0])
def test_bending_is_the_mean_over_calibrated_victims(rate: float, spread: float) -> None:
    rng = np.random.default_rng(3)
    mean = float(np.log(rate / (1 - rate)))
    margins = rng.normal(mean, spread, 400_000)
    chance = expit(margins)
    positive = chance.mean()  # a calibrated model of that rate
    target = rng.random(400_000) < chance
    free = np.abs(chance - target) < 0.5
    assert bending(mean, spread, positive, 0.5) == pytest.approx(
        (chance * (1 - chance) * free).mean(), rel=0.1
    )


def test_bending_stays_positive_far_from_any_data() -> None:
    for mean in (-500.0, 0.0, 500.0):
        assert bending(mean, 300.0, 1e-6, 0.5) > 0


@pytest.mark.parametrize("rate", [1e-6, 0.02, 0.3, 0.5, 0.98])
def test_clipped_gradients_cancel_at_the_starting_margin(rate: float) -> None:
    chance = expit(starting_margin(rate, 0.25))
    assert rate * min(0.25, 1 - chance) == pytest.approx((1 - rate) * min(0.25, chance), rel=1e-3)
