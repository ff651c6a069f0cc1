"""Trend tables count each victim once, and their noise is what they say."""

import math

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from federation_of import MAX_VICTIMS, analysis_table
from safeborders_fed.analyses.base import UNIT, Setting
from safeborders_fed.analyses.trends import COUNTS, SEVERAL_FORMS, Trends, TrendsParameters
from safeborders_fed.cases.encoding import merge
from variance_bounds import TOO_SMALL, bounds

TRENDS = Trends(TrendsParameters(first_year=2019, last_year=2025))


def tables(table: pa.Table, noise: float = 1e-6) -> np.ndarray:
    prepared = TRENDS.prepare(merge(table, TRENDS.fields()), "BG")
    (stage,) = TRENDS.stages()
    total = TRENDS.contribute(prepared, stage, {}, MAX_VICTIMS)
    state = TRENDS.advance(TRENDS.start(Setting(1, {COUNTS: noise})), total.values, noise)
    return TRENDS.result(state).arrays["table"]


def test_every_counted_victim_is_in_one_cell() -> None:
    table = analysis_table(3000, 1)
    statuses = table["trafficking_status"].to_pylist()
    counted = sum(status != "NotAVictimOfTrafficking" for status in statuses)
    found = tables(table)
    assert found.sum() == pytest.approx(counted, rel=1e-5)
    years = [day.year for day in table["registration_date"].to_pylist()]
    for index, year in enumerate(range(2019, 2026)):
        expected = sum(
            y == year and s != "NotAVictimOfTrafficking" for y, s in zip(years, statuses, strict=True)
        )
        assert found[index].sum() == pytest.approx(expected, abs=0.5)
    other = sum(y == 2018 and s != "NotAVictimOfTrafficking" for y, s in zip(years, statuses, strict=True))
    assert found[-1].sum() == pytest.approx(other, abs=0.5)
    assert other > 0


def test_a_victim_of_several_forms_counts_once_as_such() -> None:
    table = analysis_table(2000, 2)
    present = table["forms_of_exploitation"].to_pylist()
    counted = [status != "NotAVictimOfTrafficking" for status in table["trafficking_status"].to_pylist()]
    several = sum(bits.bit_count() > 1 and use for bits, use in zip(present, counted, strict=True))
    found = tables(table)[:, TRENDS.forms.index(SEVERAL_FORMS)].sum()
    assert found == pytest.approx(several, rel=1e-3)


def test_a_victim_with_two_records_counts_once_and_within_the_bound() -> None:
    table = analysis_table(1000, 3, records_per_victim=2)
    found = tables(table)
    assert found.sum() <= 500 + 1
    prepared = TRENDS.prepare(merge(table, TRENDS.fields()), "BG")
    (stage,) = TRENDS.stages()
    whole = TRENDS.contribute(prepared, stage, {}, MAX_VICTIMS).values
    for index in range(50):
        without = TRENDS.contribute(np.delete(prepared, index, 0), stage, {}, MAX_VICTIMS).values
        assert 0 < sum(int(v) ** 2 for v in whole - without) <= UNIT**2 == stage.bound**2


@pytest.mark.parametrize("real", [1.0, 0.7])
def test_standard_errors_are_those_of_repeated_noise(real: float) -> None:
    """Of cells and years; noise that is 30% smaller than claimed is told.

    False-alarm rate at most 1e-9 for both together (``variance_bounds``).
    """
    rng = np.random.default_rng(4)
    # So many victims in every cell that nothing is near zero: what is published is the estimate itself.
    shapes = TRENDS._choice.shapes()
    parts = zip(shapes, TRENDS._weights, strict=True)
    total = np.concatenate(
        [np.full(math.prod(s), 10**7 // math.prod(s) * int(weight)) for s, weight in parts]
    )
    noise = 0.5 * UNIT
    repeats, found = 1000, []
    for _ in range(repeats):
        noisy = total + np.rint(rng.normal(0, real * noise, total.size)).astype(np.int64)
        state = TRENDS.advance(TRENDS.start(Setting(1, {COUNTS: noise})), noisy, noise)
        release = TRENDS.result(state)
        found.append(release.arrays["table"])
    claimed = release.facts["standard_errors"]
    least, most = bounds(repeats, 1e-9 / 2)
    assert TOO_SMALL * most < least
    cells = np.array(found)
    for values, name in ((cells, "year x form x age"), (cells.sum(axis=(2, 3)), "year")):
        spread = float(values.var(axis=0, ddof=1).mean())
        assert (least < spread / claimed[name] ** 2 < most) == (real == 1), name


def test_years_must_be_in_order() -> None:
    with pytest.raises(ValidationError, match="precede"):
        TrendsParameters(first_year=2020, last_year=2019)
