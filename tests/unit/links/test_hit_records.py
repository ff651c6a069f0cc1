"""The record that a state seals about a hit: what can be in it, and what cannot."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hit_pair import CONTACT
from safeborders_fed.cases.contract import IDENTIFIER_TYPES
from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError
from safeborders_fed.links.hit_records import LONGEST, MOST_CASES, HitRecord, Terms, make, seal_ready
from safeborders_fed.study import canonical

TERMS = Terms.model_validate(
    {"contact": {"unit": "Unit for Organised Crime", "email": "unit@police.example", "phone": "+32 2 555 01"}}
)
ANY: dict[str, Any] = {
    "hit": "ab" * 32,
    "state": "BE",
    "cases": ["01" * 16],
    "kind": "phone",
    "strength": "exact",
    "urgency": "urgent",
    "today": date(2026, 11, 2),
}


def record(**changes: Any) -> HitRecord:
    return make(TERMS, **{**ANY, **changes})


def test_a_record_comes_back_as_it_was() -> None:
    assert HitRecord.from_bytes(record().to_bytes()) == record()
    assert record().expires == date(2027, 5, 1)


@pytest.mark.parametrize(
    "more",
    [
        {"identifier": "+32470123456"},
        {"name": "somebody"},
        {"victim": "v1"},
        {"partner": "RO"},
        {"states": ["BE", "RO"]},
        {"note": "free text"},
    ],
)
def test_no_other_field_gets_in(more: dict[str, Any]) -> None:
    content = record().content() | more
    with pytest.raises(PeerError, match="bad-hit-record") as error:
        HitRecord.from_bytes(canonical.serialise(content))
    assert str(next(iter(more.values()))) not in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cases", ["Smith, John"]),
        ("cases", []),
        ("cases", ["01" * 16] * (MOST_CASES + 1)),
        ("type", "victim"),
        ("strength", "John"),
        ("handling", ["H9"]),
        ("handling", []),
        ("purpose", "curiosity"),
        ("urgency", "now"),
        ("state", "Belgium"),
        ("expires", "soon"),
        ("contact", {"unit": "x\ny: z", "email": "unit@police.example", "phone": "+32 2 555 01"}),
        ("contact", {"unit": "Unit", "email": "unit@police.example", "phone": "call John"}),
        ("contact", {"unit": "U" * 101, "email": "unit@police.example", "phone": "+32 2 555 01"}),
        ("contact", {"unit": "Unit", "email": "<script>", "phone": "+32 2 555 01"}),
    ],
)
def test_no_field_takes_free_text(field: str, value: Any) -> None:
    with pytest.raises(PeerError, match="bad-hit-record"):
        HitRecord.from_bytes(canonical.serialise(record().content() | {field: value}))


def test_a_record_is_bounded() -> None:
    largest = record(cases=[f"{number:032x}" for number in range(10 * MOST_CASES)])
    assert len(largest.to_bytes()) < LONGEST
    with pytest.raises(PeerError, match="too long"):
        HitRecord.from_bytes(b" " * (LONGEST + 1))


def test_another_form_of_the_same_record_is_refused() -> None:
    content = record().content()
    content["handling"] = ["H2", "H1"]
    del content["schema_version"]
    with pytest.raises(PeerError):
        HitRecord.from_bytes(canonical.serialise(content))


FORMS = st.one_of(
    st.from_regex(r"\+[1-9][0-9]{7,13}", fullmatch=True),
    st.from_regex(r"[a-z]{3,12}\.[a-z]{3,12}@[a-z]{3,12}\.(com|eu|bg)", fullmatch=True),
    st.from_regex(r"(telegram|facebook):[a-z_]{5,20}", fullmatch=True),
    st.from_regex(r"[A-Z]{2}[0-9]{4}[A-Z]{2}", fullmatch=True),
    st.from_regex(r"BE[0-9]{14}", fullmatch=True),
    st.from_regex(r"[A-Z]{3,12}\|[A-Z]{3,12}\|(19|20)[0-9]{2}-[01][0-9]-[0-3][0-9]", fullmatch=True),
)


@given(
    forms=st.lists(FORMS, min_size=1, max_size=6),
    kind=st.sampled_from(sorted(IDENTIFIER_TYPES)),
    strength=st.sampled_from(["exact", "strong", "weak"]),
    digits=st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=4),
)
def test_no_form_of_an_identifier_is_in_the_bytes(
    forms: list[str], kind: str, strength: str, digits: list[bytes]
) -> None:
    made = record(kind=kind, strength=strength, cases=[each.hex() for each in digits])
    data = seal_ready(made, [f"rule:{form}" for form in forms])
    for form in forms:
        assert form.encode() not in data
        assert form.casefold().encode() not in data.lower()


@pytest.mark.parametrize(
    "form", ["phone:+32255501", "email:unit@police.example", "person:unit for organised crime:1980-02-03"]
)
def test_a_contact_point_that_is_an_identifier_of_the_case_is_refused(form: str) -> None:
    with pytest.raises(RefusedError, match="identifier-in-record") as error:
        seal_ready(record(), ["phone:+40711111111", form])
    assert form not in str(error.value)


def test_the_contact_point_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "contact.toml").write_text(f'handling = ["H2", "H1", "H2"]\nvalid_days = 30\n{CONTACT}')
    terms = Terms.load(tmp_path)
    assert terms.handling == ("H1", "H2")
    assert (terms.purpose, terms.valid_days) == ("investigation", 30)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "no-contact"),
        ("[contact", "bad-contact"),
        ("[contact]\nunit = 'Unit'", "bad-contact"),
        (CONTACT.replace("unit@police.example", "somebody"), "bad-contact"),
        (CONTACT + 'name = "John"', "bad-contact"),
    ],
)
def test_a_missing_or_wrong_contact_point_is_said(tmp_path: Path, content: str | None, code: str) -> None:
    if content is not None:
        (tmp_path / "contact.toml").write_text(content)
    with pytest.raises(ConfigurationError, match=code):
        Terms.load(tmp_path)
