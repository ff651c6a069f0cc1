"""Identifiers as the eight synthetic files write them, on seeds that no rule was made on."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from judged_names import strongest

from safeborders_fed.cases.synthetic.generate import generate

SEEDS = (811, 902, 4711)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[list[tuple[str, str, dict[str, Any]]]]:
    """Of each seed, all planted identifiers as (type, canonical, entry)."""
    entries = []
    for seed in SEEDS:
        directory: Path = tmp_path_factory.mktemp("synthetic")
        generate(directory, seed, 0.2)
        truth = json.loads((directory / "truth.json").read_text(encoding="utf-8"))
        planted = [
            (identifier["type"], identifier["canonical"], entry)
            for network in truth["networks"]
            for identifier in network["identifiers"]
            for entry in identifier["written"]
        ]
        missed = [(miss["type"], miss["canonical"], miss) for miss in truth["near_misses"]]
        entries.append(planted + missed)
    return entries


def compared(entries: list[Any]) -> list[tuple[str, bool, str, str]]:
    """For pairs of entries of two states: type, whether they are one identifier, typing error, strength."""
    found = []
    for (kind, canonical, one), (other_kind, other_canonical, other) in itertools.combinations(entries, 2):
        if kind == other_kind and one["country"] != other["country"]:
            states = (one["country"], other["country"])
            error = one["typing_error"] or other["typing_error"]
            strength = strongest(one["text"], other["text"], kind, states)
            found.append((kind, canonical == other_canonical, error, strength))
    return found


def test_every_equal_identifier_has_an_exact_form_in_common(written: list[Any]) -> None:
    for entries in written:
        clean = [pair for pair in compared(entries) if pair[1] and not pair[2]]
        assert clean
        assert {strength for *_, strength in clean} == {"exact"}


def test_no_other_identifier_has_any_form_in_common(written: list[Any]) -> None:
    for entries in written:
        assert {strength for _, same, _, strength in compared(entries) if not same} == {"none"}


def test_swapped_days_are_found_and_wrong_digits_are_not(written: list[Any]) -> None:
    wrong = [pair for entries in written for pair in compared(entries) if pair[1] and pair[2]]
    by_error = Counter((error, strength) for _, _, error, strength in wrong)
    assert by_error[("day_month", "none")] == 0
    assert by_error[("digit", "exact")] == 0
