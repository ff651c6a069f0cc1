"""Pseudonyms and the reading of single cells."""

from __future__ import annotations

import hmac

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safeborders_fed.cases.contract import field
from safeborders_fed.cases.conversion import Pseudonyms
from safeborders_fed.cases.interpreters import BAD, Interpreter, UnreadableError, many, single, unpack
from safeborders_fed.cases.rejection import Reason
from safeborders_fed.cases.sources import MultiSource, SingleSource, clean, clean_all


@given(st.binary(min_size=32, max_size=32), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_pseudonym_is_the_standard_hmac_cut_to_128_bits(key: bytes, text: str) -> None:
    expected = hmac.digest(key, b"safeborders case_id\0" + text.encode(), "sha256")[:16]
    assert Pseudonyms(key, "case_id").of([text]) == expected


def test_kinds_of_ids_and_keys_have_pseudonyms_of_their_own() -> None:
    texts = ["17", "17"]
    one = Pseudonyms(bytes(32), "case_id").of(texts)
    assert one[:16] == one[16:]
    assert one != Pseudonyms(bytes(32), "victim_id").of(texts)
    assert one != Pseudonyms(b"1" * 32, "case_id").of(texts)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_cleaning_a_column_is_cleaning_each_text(texts: list[str]) -> None:
    assert clean_all(texts) == [clean(text) for text in texts]


def test_each_text_is_interpreted_once() -> None:
    seen = []

    def read(text: str) -> int:
        seen.append(text)
        if text == "bad":
            raise UnreadableError(Reason.UNKNOWN_CODE, "bad")
        return len(text)

    interpreter = Interpreter("column", read)
    numbers = interpreter.numbers(["a", "bad", "a", "bb", "bad"] * 10)
    assert numbers.tolist() == [1, BAD, 1, 2, BAD] * 10
    assert seen == ["a", "bad", "bb"]


def test_memory_for_texts_is_bounded() -> None:
    interpreter = Interpreter("column", len)
    interpreter.numbers([str(number) for number in range(60_000)])
    assert len(interpreter) == 50_000
    assert interpreter.numbers(["59999"]).tolist() == [5]


@given(st.integers(min_value=-5, max_value=200))
def test_an_age_falls_into_its_band_or_is_rejected(years: int) -> None:
    entry = field("age_band")
    (number,) = single(entry, SingleSource(column="a", number=True), ()).numbers([str(years)])
    if not 0 <= years <= 120:
        assert number == BAD
        return
    code = entry.codes[number]
    first, _, last = code.partition("--")
    assert years >= 48 if code == "48+" else int(first) <= years <= int(last)
    assert code not in {"0--17", "18+"}


@given(codes=st.sets(st.sampled_from(field("roles").codes)), complete=st.booleans())
def test_many_values_in_a_cell_are_two_bit_sets(codes: set[str], *, complete: bool) -> None:
    entry = field("roles")
    source = MultiSource(column="a", separator=";", complete=complete)
    present, known = unpack(many(entry, source, ()).numbers(["; ".join(codes)]))
    assert {code for bit, code in enumerate(entry.codes) if present[0] >> bit & 1} == codes
    full = 2 ** len(entry.codes) - 1 if complete and codes else present[0]
    assert known[0] == full
    assert (present & ~known == 0).all()
    assert present.dtype == np.uint32


@pytest.mark.parametrize(
    ("text", "number"), [("", -1), ("n/a", -1), ("0", 0), ("NA", 1), ("x", -2), ("Alone", 0), ("alone", -2)]
)
def test_a_listed_code_wins_over_the_null_values_of_the_file(text: str, number: int) -> None:
    source = SingleSource(column="a", values={"0": "Alone", "NA": "Group"}, null_values=("n/a",))
    assert single(field("exploiter"), source, ("", "NA", "0")).numbers([text]).tolist() == [number]
