"""Chosen trend tables: bounds, public codes, and what the release says of its errors."""

import hashlib
from dataclasses import replace
from datetime import date
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from federation_of import MAX_VICTIMS, analysis_table
from safeborders_fed.analyses import trend_axes, trend_choice
from safeborders_fed.analyses.base import UNIT, Release, Setting
from safeborders_fed.analyses.registry import build
from safeborders_fed.analyses.trend_choice import CATALOGUE, TableName
from safeborders_fed.analyses.trends import COUNTS, Trends, TrendsParameters
from safeborders_fed.cases.contract import UNKNOWN, field
from safeborders_fed.cases.encoding import NO_VICTIM, Victims, merge
from safeborders_fed.errors import ConfigurationError, RefusedError
from variance_bounds import TOO_SMALL, bounds

STATES = ("BE", "BG", "FI")
LARGEST = "corridors-over-time"
EVERY: dict[str, Any] = {
    "first_year": 2019,
    "last_year": 2025,
    "tables": [name for name in CATALOGUE if name != LARGEST],
    "states": list(STATES),
}


def trends(**changes: Any) -> Trends:
    found = build("trends", {**EVERY, **changes})
    assert isinstance(found, Trends)
    return found


def people(analysis: Trends, rows: int = 2000, seed: int = 1, records: int = 1) -> Victims:
    return merge(analysis_table(rows, seed, records_per_victim=records), analysis.fields())


def total_of(analysis: Trends, parts: dict[str, Victims]) -> np.ndarray:
    (stage,) = analysis.stages()
    return np.sum(
        [
            analysis.contribute(analysis.prepare(own, node), stage, {}, MAX_VICTIMS).values
            for node, own in parts.items()
        ],
        axis=0,
    )


def release_of(analysis: Trends, total: np.ndarray, noise: float = 1e-6) -> Release:
    return analysis.result(analysis.advance(analysis.start(Setting(3, {COUNTS: noise})), total, noise))


def test_the_catalogue_is_what_a_manifest_may_name() -> None:
    assert set(get_args(TableName)) == set(CATALOGUE)
    assert set(trend_axes.GAPS) <= {entry.name for entry in trends().fields()}


@pytest.mark.parametrize("frequency", ["A", "Q"])
def test_no_victim_moves_the_tables_by_more_than_the_bound(frequency: str) -> None:
    analysis = trends(frequency=frequency)
    own = people(analysis, 400, records=2)
    prepared = analysis.prepare(own, "BG")
    (stage,) = analysis.stages()
    whole = analysis.contribute(prepared, stage, {}, MAX_VICTIMS).values
    squares = set()
    for index in range(len(prepared)):
        without = analysis.contribute(np.delete(prepared, index, 0), stage, {}, MAX_VICTIMS).values
        squares.add(sum(int(value) ** 2 for value in whole - without))
    # Whoever is counted moves the sum by the same, in every table, and by no more than the bound.
    assert len(squares) == 1
    assert 0.999 * UNIT**2 < squares.pop() <= UNIT**2 == stage.bound**2


def test_a_victim_of_everything_stands_at_one_cell_of_each_table() -> None:
    analysis = trends()
    one = people(analysis, 60).take(np.arange(60) == 0)
    everything = {
        name: np.array([2 ** len(field(name).codes) - 1], np.uint32)
        for name in ("forms_of_exploitation", "means_of_control", "method_of_recruitment")
    }
    full = replace(one, present=everything, known=everything)
    full.singles["trafficking_status"][:] = 1
    release = release_of(analysis, total_of(analysis, {"BG": full}))
    for name, counts in release.arrays.items():
        assert counts.sum() == pytest.approx(1, abs=0.01), name
    axes = release.facts["axes"]
    for axis, code in (("form", trend_axes.SEVERAL_FORMS), ("means", "Several"), ("recruitment", "Several")):
        assert release.arrays[axis][axes[axis].index(code)] == pytest.approx(1, abs=0.01)


def test_tables_hold_exactly_the_victims_and_agree() -> None:
    analysis = trends()
    parts = {"BE": people(analysis, 1500, 2), "BG": people(analysis, 2500, 3)}
    release = release_of(analysis, total_of(analysis, parts))
    status = field("trafficking_status").codes.index(NO_VICTIM)
    counted = {node: own.singles["trafficking_status"] != status for node, own in parts.items()}
    everyone = sum(int(who.sum()) for who in counted.values())
    assert float(release.arrays["total"]) == pytest.approx(everyone, abs=0.1)
    axes = release.facts["axes"]
    states = release.arrays["state"]
    # A state that sends no victims is there, with none.
    assert states[axes["state"].index("FI")] == pytest.approx(0, abs=0.1)
    assert states[axes["state"].index("BG")] == pytest.approx(counted["BG"].sum(), abs=0.1)
    own = sum(
        int((counted[node] & (part.singles["citizenship"] == field("citizenship").codes.index(node))).sum())
        for node, part in parts.items()
    )
    assert release.arrays["group"][axes["group"].index("Own")] == pytest.approx(own, abs=0.1)
    unknown = sum(int((who & (parts[node].singles["sex"] < 0)).sum()) for node, who in counted.items())
    assert release.arrays["sex x age"][axes["sex"].index(UNKNOWN)].sum() == pytest.approx(unknown, abs=0.1)
    for name, counts in release.arrays.items():
        assert counts.min() >= 0
        assert counts.sum() == pytest.approx(everyone, abs=0.2), name


def test_a_value_of_one_state_only_and_a_missing_field_are_counted() -> None:
    analysis = trends(tables=["corridors", "gaps"])
    own = people(analysis, 500, 4)
    code = field("citizenship").codes.index("VN")
    others = replace(own, singles={**own.singles, "citizenship": np.full(len(own), 0, np.int16)})
    only = replace(own, singles={**own.singles, "citizenship": np.full(len(own), code, np.int16)})
    release = release_of(analysis, total_of(analysis, {"BE": others, "BG": only}))
    status = field("trafficking_status").codes.index(NO_VICTIM)
    counted = int((own.singles["trafficking_status"] != status).sum())
    vietnamese = release.arrays["citizenship"][release.facts["axes"]["citizenship"].index("VN")]
    assert vietnamese == pytest.approx(counted, abs=0.1)
    assert release.arrays["gap"].sum() == pytest.approx(2 * counted, abs=0.1)
    assert release.facts["axes"]["gap"] == [trend_axes.COMPLETE, *trend_axes.GAPS, trend_axes.SEVERAL]


def test_quarters_are_those_of_the_latest_registration() -> None:
    analysis = trends(tables=["forms"], states=[], frequency="Q", first_quarter=2, last_quarter=3)
    own = people(analysis, 3000, 5)
    assert set(own.quarters) == {1, 2, 3, 4}
    own.singles["trafficking_status"][:] = 1
    empty = (own.years == 2021) & (own.quarters == 3)
    own = own.take(~empty)
    release = release_of(analysis, total_of(analysis, {"BG": own}))
    quarters = release.facts["axes"]["quarter"]
    assert (quarters[0], quarters[-2:]) == ("2019-Q2", ["2025-Q3", "Other"])
    assert len(quarters) == 4 * 7 - 2 + 1
    counts = release.arrays["quarter"]
    for name, count in zip(quarters[:-1], counts[:-1], strict=True):
        year, quarter = int(name[:4]), int(name[-1])
        assert count == pytest.approx(((own.years == year) & (own.quarters == quarter)).sum(), abs=0.1)
    assert counts[quarters.index("2021-Q3")] == pytest.approx(0, abs=0.1)


def test_the_latest_of_several_records_gives_year_and_quarter() -> None:
    table = analysis_table(200, 8, records_per_victim=2)
    latest: dict[str, date] = {}
    for victim, day in zip(table["victim"].to_pylist(), table["registration_date"].to_pylist(), strict=True):
        latest[victim] = max(day, latest.get(victim, day))
    own = merge(table, trends().fields())
    found = list(zip(own.years.tolist(), own.quarters.tolist(), strict=True))
    assert found == [(latest[name].year, (latest[name].month + 2) // 3) for name in own.pseudonyms]


def test_a_registration_known_to_the_year_is_in_no_quarter() -> None:
    analysis = trends(tables=["forms"], states=[], frequency="Q")
    table = analysis_table(50, 6)
    precision = ["year"] * 25 + ["month"] * 25
    place = table.column_names.index("registration_precision")
    table = table.set_column(place, "registration_precision", pa.array(precision).dictionary_encode())
    own = merge(table, analysis.fields())
    names = {hashlib.sha256(f"6 {at}".encode()).hexdigest()[:32] for at in range(25)}
    assert [quarter == 0 for quarter in own.quarters] == [name in names for name in own.pseudonyms]
    own.singles["trafficking_status"][:] = 1
    release = release_of(analysis, total_of(analysis, {"BG": own}))
    assert release.arrays["quarter"][-1] >= 25 - 0.1


@pytest.mark.parametrize("real", [1.0, 0.7])
def test_standard_errors_are_those_of_repeated_noise(real: float) -> None:
    """Of a dozen tables; noise that is 30% smaller than claimed is told in every one.

    False-alarm rate at most 1e-9 for all tables together (``variance_bounds``).
    """
    analysis = trends(tables=["forms", "forms-ages", "ages-sexes"], states=[])
    rng = np.random.default_rng(7)
    (stage,) = analysis.stages()
    # So many victims in every cell that nothing is near zero: what is published is the estimate itself.
    full = np.concatenate(
        [
            np.full(int(np.prod(shape)), 10**7 // int(np.prod(shape)) * int(weight))
            for shape, weight in zip(analysis._choice.shapes(), analysis._weights, strict=True)
        ]
    )
    noise = 2.0 * UNIT
    repeats, found = 1000, []
    for _ in range(repeats):
        noisy = full + np.rint(rng.normal(0, real * noise, stage.dimension)).astype(np.int64)
        found.append(release_of(analysis, noisy, noise))
    claims = found[0].facts["standard_errors"]
    least, most = bounds(repeats, 1e-9 / len(claims))
    assert TOO_SMALL * most < least
    for name, claimed in claims.items():
        values = np.stack([release.arrays[name] for release in found])
        spread = float(values.var(axis=0, ddof=1).mean())
        assert (least < spread / claimed**2 < most) == (real == 1), name


def test_the_whole_default_is_the_cross_of_year_form_and_age() -> None:
    default = Trends(TrendsParameters(first_year=2019, last_year=2025))
    release = release_of(default, np.zeros(default.stages()[0].dimension, np.int64), UNIT)
    assert release.arrays.keys() == {"table"}
    assert release.arrays["table"].shape == tuple(
        len(release.facts[name]) for name in ("years", "forms", "ages")
    )


def test_a_node_that_is_no_state_of_the_study_is_refused() -> None:
    analysis = trends()
    with pytest.raises(RefusedError, match="not among the states"):
        analysis.prepare(people(analysis, 10), "RO")


def test_shares_move_precision_between_tables() -> None:
    few: dict[str, Any] = {"tables": ["forms", "corridors"], "states": []}

    def errors(**changes: Any) -> dict[str, float]:
        analysis = trends(**few, **changes)
        zero = np.zeros(analysis.stages()[0].dimension, np.int64)
        return dict(release_of(analysis, zero, float(UNIT)).facts["standard_errors"])

    equal, shifted = errors(), errors(shares=[1.0, 4.0])
    assert errors(shares=[3.0, 3.0]) == pytest.approx(equal)
    assert shifted["citizenship x exploitation"] < equal["citizenship x exploitation"]
    assert shifted["year x form"] > equal["year x form"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tables": ["forms", "forms"]}, "named twice"),
        ({"states": ["BE", "BE"]}, "named twice"),
        ({"tables": ["form"]}, "forms-ages"),
        ({"states": []}, "name the participants"),
        ({"tables": ["forms"]}, "name the participants with these only"),
        ({"shares": [1.0]}, "one number from 0.01"),
        ({"shares": [1.0] * (len(EVERY["tables"]) - 1) + [0.0]}, "one number from 0.01"),
        ({"tables": [], "states": [], "frequency": "Q"}, "name tables"),
        ({"first_quarter": 2}, "for frequency Q only"),
        ({"frequency": "Q", "first_year": 2025, "first_quarter": 4, "last_quarter": 3}, "must not precede"),
        ({"frequency": "Q", "first_year": 1990}, "10,000 are the most"),
        ({"tables": [LARGEST], "states": [], "first_year": 2019}, "10,000 are the most"),
    ],
)
def test_a_choice_that_does_not_hold_is_refused_in_words(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as found:
        trends(**changes)
    assert found.value.code == "bad-parameters"


def test_forty_quarters_of_series_fit_a_study_and_six_of_corridors() -> None:
    series = [name for name in CATALOGUE if name.endswith("-over-time") and name != LARGEST]
    long = {"frequency": "Q", "first_year": 2016, "last_year": 2025, "states": []}
    names = {table.rpartition(" x ")[2] for table in expected_tables(trends(**long, tables=series))}
    assert {"citizenship", "exploitation", "recruitment", "means"} <= names
    six = {**long, "first_year": 2024, "first_quarter": 3, "tables": [LARGEST]}
    assert "quarter x citizenship x exploitation" in expected_tables(trends(**six))


def expected_tables(analysis: Trends) -> set[str]:
    """Names of the tables that a study of these releases."""
    (stage,) = analysis.stages()
    return set(release_of(analysis, np.zeros(stage.dimension, np.int64)).arrays)


def test_names_of_parameters_are_strict() -> None:
    with pytest.raises(ValidationError):
        TrendsParameters(first_year=2019, last_year=2020, tables=["forms"])  # type: ignore[arg-type]
    assert trend_choice.MOST_CELLS == 10_000
