"""What sums and broadcasts are held to."""

import numpy as np
import pytest

from federation_of import EIGHT, study
from safeborders_fed.study.sums import is_plausible, same_array, same_arrays, stages_by_round

MANIFEST = study(participants=EIGHT, trust="masked")
STAGE = next(stage for stage in stages_by_round(MANIFEST.build_analysis()) if stage.dimension > 8)
LARGEST = 8 * MANIFEST.max_victims * STAGE.bound


def test_the_largest_honest_sum_with_its_noise_is_plausible() -> None:
    total = np.zeros(STAGE.dimension, np.int64)
    total[0] = LARGEST
    rng = np.random.default_rng(1)
    noise = rng.normal(0, MANIFEST.noise(STAGE.name, 8), STAGE.dimension).astype(np.int64)
    assert is_plausible(MANIFEST, STAGE, total + noise, 8)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_of_a_norm_that_no_victims_make_is_not(sign: int) -> None:
    """Also where each coordinate for itself could be that of honest nodes."""
    total = np.full(STAGE.dimension, sign * LARGEST // 2, np.int64)
    assert not is_plausible(MANIFEST, STAGE, total, 8)
    assert not is_plausible(MANIFEST, STAGE, np.full(STAGE.dimension, np.iinfo(np.int64).min), 8)


def test_fewer_participants_have_smaller_sums() -> None:
    total = np.zeros(STAGE.dimension, np.int64)
    total[0] = LARGEST
    assert not is_plausible(MANIFEST, STAGE, total, 5)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([1.0, 1e-12], [1.0, 0.0], True),
        ([1.0, 0.0], [1.0 + 1e-8, 0.0], False),
        ([np.nan, 1.0], [np.nan, 1.0], True),
        ([np.nan, 1.0], [0.0, 1.0], False),
        ([np.inf], [-np.inf], False),
        ([], [], True),
        ([1.0], [1.0, 1.0], False),
    ],
)
def test_arrays_are_the_same_but_for_rounding(one: list[float], other: list[float], *, same: bool) -> None:
    left, right = np.array(one), np.array(other)
    assert same_array(left, right) == same
    assert same_arrays({"a": left}, {"a": right}) == same
    assert not same_arrays({"a": left}, {"b": left})
