"""Recognising columns and codes of national files by words in the languages of the states.

Guarantees: words are compared without case and accents, as beginnings of words in the column's name; the
longest word that fits wins. They serve drafts that a human reviews, and nothing else. The words themselves
are in ``column_hints.toml``.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from importlib import resources
from typing import Final

from safeborders_fed.cases.contract import FIELDS, Kind

_STEM: Final = 14


def plain(text: str) -> str:
    """``text`` in lower case, without accents, words set apart by single spaces."""
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    marks = unicodedata.normalize("NFD", text.casefold().replace("ł", "l"))
    letters = "".join(mark if mark.isalnum() else " " for mark in marks if not unicodedata.combining(mark))
    return " ".join(letters.split())


_WORDS: Final = tomllib.loads(
    resources.files("safeborders_fed.cases").joinpath("column_hints.toml").read_text(encoding="utf-8")
)
Hints = Mapping[str, list[str]]
FIELD_HINTS: Final[Hints] = _WORDS["fields"]
IDENTIFIER_HINTS: Final[Hints] = _WORDS["identifiers"]
SEX_CODES: Final[dict[str, str]] = {
    plain(word): code for code, words in _WORDS["sex"].items() for word in words
}
PRESENT_WORDS: Final[frozenset[str]] = frozenset(map(plain, _WORDS["flags"]["present"]))
ABSENT_WORDS: Final[frozenset[str]] = frozenset(map(plain, _WORDS["flags"]["absent"]))

DATE_FORMATS: Final[list[str]] = _WORDS["dates"]["formats"]


def best_hint(column: str, hints: Hints) -> tuple[str, int] | None:
    """The name whose hint fits the column best, and the length of that hint."""
    name = f" {plain(column)}"
    found = [(len(hint), key) for key, words in hints.items() for hint in words if f" {plain(hint)}" in name]
    if not found:
        return None
    length, key = max(found)
    return key, length


def flag_value(column: str) -> tuple[str, str] | None:
    """The multi field and value that a column is probably the flag of, by the value's name."""
    name = f" {plain(column)}"
    for entry in FIELDS:
        for value in entry.values if entry.kind == Kind.MULTI else ():
            # The beginning of the name is enough: "isSexualExploit" is a flag of SexualExploitation.
            stems = {plain(text)[:_STEM] for text in (value.code, value.label)}
            if value.code != "Other" and any(f" {stem}" in name for stem in stems):
                return entry.name, value.code
    return None
