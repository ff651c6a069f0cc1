"""What is published of typologies: counts by the rules of all tables, traits only of published types."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation_of import study
from safeborders_fed.analyses.base import Release
from safeborders_fed.cases.contract import features
from safeborders_fed.errors import PeerError, RefusedError
from safeborders_fed.reporting import exports
from safeborders_fed.reporting.comparing import compare
from safeborders_fed.reporting.noisy_tables import tables_of
from safeborders_fed.reporting.published_types import by_size
from safeborders_fed.reporting.table_release import Origin, document
from safeborders_fed.study import canonical, release_file
from safeborders_fed.study.release_file import Published
from safeborders_fed.study.table_file import Rules, TableFile, read
from safeborders_fed.study.table_notes import Trait, TypeFacts
from table_samples import TODAY, counts, loaded, release, released
from type_samples import LARGE, STATES, YEARS, facts, trait, typed


def made(content: dict[str, Any] | None = None, rules: Rules | None = None) -> TableFile:
    return document(typed(content), rules or Rules(), Origin("b" * 64, 1, TODAY), (), 0.05)


def types(file: TableFile) -> tuple[TypeFacts, ...]:
    found = file.tables.types
    assert found is not None
    return found


def test_a_typology_release_becomes_three_tables_with_their_errors() -> None:
    manifest = study()
    content = facts() | {"states": list(STATES)}
    of = Published(manifest.id, manifest.hash(), Release("typology", content, {}))
    found = tables_of(of, manifest)
    assert [(table.name, table.deviation) for table in found.tables] == [
        ("type", 2.95),
        ("type x state", 2.0),
        ("type x year", 2.0),
    ]
    assert found.table("type x year").axes[1].codes == YEARS
    assert found.table("type x state").counts.tolist() == [list(row) for row in LARGE]
    assert found.types is not None
    assert found.types[0].traits[0].share == 0.72


def test_without_types_there_is_nothing_to_publish() -> None:
    with pytest.raises(RefusedError, match="no-types"):
        typed(facts(()))


def test_an_estimate_below_zero_is_noise() -> None:
    found = typed(facts(((50.0, -3.0, 20.0),)))
    assert found.table("type x state").counts.tolist() == [[50.0, 0.0, 20.0]]


def test_types_are_rounded_suppressed_and_described_in_whole_per_cent() -> None:
    tables = made().tables
    assert tables.table("type").cells == (260, 135, 60)
    assert tables.table("type x state").cells[-2:] == (None, None)  # 2 below the floor, 15 to protect it
    first = types(made())[0]
    (said,) = first.traits
    assert (said.share, said.margin, said.overall, said.overall_margin) == (72, 5, 20, 2)
    assert read(made().to_bytes()).tables.types == types(made())


def test_a_type_whose_count_is_suppressed_has_no_traits() -> None:
    found = types(made(facts(((120.0, 80.0, 60.0), (2.0, 2.0, 2.0)))))
    assert [(len(each.traits), each.withheld) for each in found] == [(1, 0), (0, 1)]


def test_a_trait_of_too_few_victims_is_withheld_and_counted() -> None:
    rare = trait(0.04, share_overall=0.01)  # 4% of 60 victims
    found = types(made(facts(traits=(rare, trait()))))
    assert [(len(each.traits), each.withheld) for each in found] == [(2, 0), (1, 1), (1, 1)]


def test_no_suppressed_type_lies_between_published_ones() -> None:
    """They are named by size: the one between would be known."""
    content = facts(((120.0, 80.0, 60.0), (90.0, 32.0, 31.0), (40.0, 22.0, 35.0)))
    release_of = typed(content)
    tables = document(release_of, Rules(), Origin("b" * 64, 1, TODAY)).tables
    sizes = tables.table("type")
    assert None not in sizes.cells
    gap = sizes.model_copy(update={"cells": (sizes.cells[0], None, sizes.cells[2])})
    others = tuple(table for table in tables.tables if table.name != "type")
    shown = by_size(tables.model_copy(update={"tables": (gap, *others)}), release_of, ())
    (again,) = (table for table in shown if table.name == "type")
    assert again.cells[0] is not None
    assert again.cells[1:] == (None, None)
    # and no sum over states or years tells them
    for table in shown:
        rows = np.array(table.cells, dtype=object).reshape(3, -1)
        assert all(sum(cell is None for cell in row) != 0 for row in rows[1:])


below = st.lists(st.floats(0, 7.4), min_size=3, max_size=3)


@settings(max_examples=40, deadline=None)
@given(below, st.floats(0, 1), st.floats(0, 7.4))
def test_what_is_suppressed_changes_no_byte(low: list[float], share: float, total: float) -> None:
    """Counts below the floor, and all that is said of their type."""
    fixed = facts(((120.0, 80.0, 60.0), (2.0, 2.0, 2.0)))
    moved = facts(((120.0, 80.0, 60.0), tuple(low)), traits=(trait(),))
    fixed["classes"][1]["prevalence"] = 2.0
    moved["classes"][1] |= {
        "prevalence": total,
        "by_year": fixed["classes"][1]["by_year"],
        "distinguishing": [trait(share)],
    }
    assert _public(made(moved)) == _public(made(fixed))


def _public(file: TableFile) -> bytes:
    """Without the hash of the noisy measurements, which is one of counts with noise, and of 256 bits."""
    name = exports.names(file.tables.id)["noisy"]
    return TableFile(tables=file.tables, exports={**file.exports, name: "0" * 64}).to_bytes()


def test_t1_of_one_study_is_not_compared_with_t1_of_another() -> None:
    one = released(loaded(typed()))
    other = released(loaded(typed(study="types-two", manifest="c")))
    trends = released(loaded(release(counts(4), manifest="d")))
    for pair in ((one, other), (one, trends), (trends, one)):
        with pytest.raises(RefusedError) as error:
            compare(*pair)
        assert error.value.code == "types-differ"


def test_what_was_suppressed_of_t2_elsewhere_is_not_suppressed_here() -> None:
    before = loaded(typed(facts(((120.0, 80.0, 60.0), (2.0, 2.0, 2.0))), study="types-two", manifest="c"))
    alone = document(typed(), Rules(), Origin("b" * 64, 1, TODAY))
    beside = document(typed(), Rules(), Origin("b" * 64, 1, TODAY), (before,))
    assert beside.tables.tables == alone.tables.tables
    assert beside.tables.compared == {"types-two-1": before.sha256}


def test_the_next_version_of_a_study_keeps_its_rules_and_what_it_suppressed() -> None:
    one = loaded(typed())
    again = document(typed(), Rules(), Origin("b" * 64, 2, TODAY), (one,))
    assert again.tables.tables == one.tables.tables
    with pytest.raises(RefusedError, match="other-rules"):
        document(typed(), Rules(base=10), Origin("b" * 64, 2, TODAY), (one,))


def test_exports_name_what_they_leave_out() -> None:
    tables = made().tables
    assert exports.left_out(tables) == ("type", "type x state", "type x year")
    assert exports.only_in_document(tables) == ("what sets types apart", "early warnings")
    assert b"type x state,T1" in exports.labelled_csv(tables)


def test_a_document_without_types_or_warnings_has_neither_field() -> None:
    plain = document(release(counts(4)), Rules(), Origin("b" * 64, 1, TODAY))
    assert b'"types"' not in plain.to_bytes()
    assert b'"warnings"' not in plain.to_bytes()
    assert b"null" in plain.to_bytes()
    assert read(plain.to_bytes()).tables.types is None


def _first(content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = content["tables"]["types"][0]
    return found


def _drop_table(content: dict[str, Any]) -> None:
    content["tables"]["tables"] = content["tables"]["tables"][1:]


def _add_traits_to_a_suppressed_type(content: dict[str, Any]) -> None:
    content["tables"]["tables"][0]["cells"][0] = None


BAD = {
    "another name": lambda content: _first(content).update(name="T9"),
    "one type fewer": lambda content: content["tables"]["types"].pop(),
    "no table of types": _drop_table,
    "traits of a suppressed type": _add_traits_to_a_suppressed_type,
    "a trait of too few": lambda content: _first(content)["traits"][0].update(share=3),
    "a share of 101%": lambda content: _first(content)["traits"][0].update(share=101),
    "a share that is no whole number": lambda content: _first(content)["traits"][0].update(share=71.6),
    "no margin": lambda content: _first(content)["traits"][0].update(margin=0),
    "a field more": lambda content: _first(content).update(prevalence=260.65),
    "an empty field": lambda content: content["tables"].update(types=None),
}


@pytest.mark.parametrize("change", BAD.values(), ids=list(BAD))
def test_a_document_that_says_more_than_it_may_is_refused(change: Any) -> None:
    content = canonical.parse(made().to_bytes())
    change(content)
    with pytest.raises(PeerError, match="bad-tables"):
        read(canonical.serialise(content))


def test_every_value_of_the_contract_can_be_said() -> None:
    for field in features():
        for value in (*field.bins, "Unknown"):
            Trait(field=field.name, value=value, share=50, margin=1, overall=9, overall_margin=1)


def test_a_release_read_back_is_the_same_tables() -> None:
    manifest = study()
    document_of = release_file.to_bytes(Release("typology", facts(), {}), manifest)
    found = tables_of(release_file.from_bytes(document_of), manifest)
    assert found.tables[1].counts.tolist() == typed().tables[1].counts.tolist()
    assert replace(found, tables=()).types == typed().types
