"""Each victim is one row, whatever the order and number of their records."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation_of import analysis_table
from safeborders_fed.cases.contract import FIELDS, Kind, features, field
from safeborders_fed.cases.encoding import bin_names, design, labels, merge
from safeborders_fed.errors import UsageError

USED = [entry for entry in FIELDS if entry.kind in {Kind.SINGLE, Kind.MULTI}]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 100), st.permutations(range(60)))
def test_the_order_of_records_never_matters(seed: int, order: list[int]) -> None:
    table = analysis_table(60, seed, records_per_victim=3)
    first, second = merge(table, USED), merge(table.take(order), USED)
    assert len(first) == 20
    assert first.pseudonyms.tolist() == second.pseudonyms.tolist()
    assert (first.years == second.years).all()
    for name in first.singles:
        assert (first.singles[name] == second.singles[name]).all()
    for name in first.present:
        assert (first.present[name] == second.present[name]).all()
        assert (first.known[name] == second.known[name]).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 100), st.integers(0, 19))
def test_leaving_a_victim_out_leaves_all_others_as_they_were(seed: int, out: int) -> None:
    table = analysis_table(60, seed, records_per_victim=3)
    whole = merge(table, USED)
    left = merge(table.filter([v != whole.pseudonyms[out] for v in table["victim"].to_pylist()]), USED)
    used = list(features())
    assert (design(left, used).toarray() == np.delete(design(whole, used).toarray(), out, axis=0)).all()


def test_the_latest_record_decides_and_earlier_ones_fill_in() -> None:
    base = analysis_table(3, 1, records_per_victim=3)
    sex = pa.array(["Feminine", "Masculine", None], pa.dictionary(pa.int16(), pa.string()))
    changed = {
        **{name: base[name] for name in base.column_names},
        "registration_date": pa.array([date(2020, 1, 1), date(2021, 1, 1), date(2022, 1, 1)]),
        "sex": sex,
        "means_of_control": pa.array([0b001, 0b100, 0], pa.uint32()),
        "means_of_control_known": pa.array([0b011, 0b100, 0], pa.uint32()),
    }
    victims = merge(pa.table(changed), [field("sex"), field("means_of_control")])
    assert len(victims) == 1
    assert victims.years.tolist() == [2022]
    assert field("sex").codes[victims.singles["sex"][0]] == "Masculine"
    assert victims.present["means_of_control"].tolist() == [0b101]
    assert victims.known["means_of_control"].tolist() == [0b111]


def test_every_single_field_sets_exactly_one_column_of_its_block() -> None:
    victims = merge(analysis_table(500, 2), USED)
    for entry in features():
        block = design(victims, [entry]).toarray()
        assert block.shape == (500, len(bin_names(entry)))
        if entry.kind == Kind.SINGLE:
            assert (block.sum(axis=1) == 1).all()
        else:
            assert ((block[:, -1] == 1) == (victims.known[entry.name] == 0)).all()


def test_labels_are_known_only_where_the_record_says_so() -> None:
    victims = merge(analysis_table(800, 3), USED)
    status = victims.singles["trafficking_status"]
    assert labels(victims, "actual_victim").tolist() == [{1: 1, 2: 0}.get(int(code), -1) for code in status]
    form = labels(victims, "form:SexualExploitation")
    known = victims.known["forms_of_exploitation"] & 2
    assert ((form >= 0) == (known > 0)).all()
    assert ((form == 1) == (victims.present["forms_of_exploitation"] & 2 > 0)).all()


@pytest.mark.parametrize("target", ["suspect", "form:Theft", "form:", ""])
def test_unknown_targets_are_refused(target: str) -> None:
    with pytest.raises(UsageError, match="not a label"):
        labels(merge(analysis_table(5, 1), USED), target)


def test_an_empty_table_gives_no_victims() -> None:
    victims = merge(analysis_table(1, 1).slice(0, 0), USED)
    assert len(victims) == 0
    assert design(victims, [field("sex")]).shape == (0, 4)
    assert labels(victims, "actual_victim").shape == (0,)
    assert victims.held_out(20).shape == (0,)
