"""Vehicle registration plates.

Guarantees: letters that look alike in Latin, Cyrillic and Greek are the same, and so are O and 0, I and 1.
Nothing depends on the state whose file holds the plate: a foreign plate in a national file names no country,
and so does the same plate at home. A country that the text names is part of the exact form, so plates of
different countries share no form; with one that names no country such a plate meets in a strong form, if the
country is a state with such plates.
"""

from __future__ import annotations

import re
from typing import Final

from safeborders_fed.cases.countries import STATES
from safeborders_fed.links.forms_base import Form, capitals, form, table, unconfused


def _patterns(letter: str, digit: str) -> dict[str, re.Pattern[str]]:
    return {
        country: re.compile("|".join(f.replace("9", digit).replace("L", letter) for f in formats))
        for country, formats in table("plates")["formats"].items()
    }


_FORMATS: Final = _patterns("[A-Z]", "[0-9]")
_UNCONFUSED: Final = _patterns("[A-Z01]", "[0-9]")
_SIGNS: Final[dict[str, str]] = {country: country for country in _FORMATS} | table("plates")["signs"]
_BRACKETED: Final = re.compile(r"[(\[]([^\W\d_]{1,3})[)\]]")
_HEAD: Final = re.compile(r"^([^\W\d_]{1,3})[\s:/|-]+(.+)$")
_TAIL: Final = re.compile(r"^(.+?)[\s:/|,-]+([^\W\d_]{1,3})$")
_SHORTEST: Final = 4
_LONGEST: Final = 11
_WITH_SIGN: Final = 4
"""Parts of a plate with its country's sign before or after: no plate itself has so many."""
_MOST_STATES: Final = 4
_FEWEST_DIGITS: Final = 2
_TELLING: Final = 6
"""Characters of a plate that is not likely to exist twice."""


def plate_forms(text: str) -> tuple[Form, ...]:
    """The forms of a plate: with the country it names, if any, and for each state that may have issued it."""
    country, rest = _country(text)
    written = capitals(rest)
    plate = unconfused(written)
    digits = sum(map(str.isdigit, plate))
    if not _SHORTEST <= len(plate) <= _LONGEST or not digits or not plate.isascii():
        return ()
    if len(plate) < _TELLING or digits < _FEWEST_DIGITS or digits == len(plate):
        return (form("plate-short", plate),)
    if country:
        return (form("plate-of", country, plate), form("plate-maybe", country, plate))
    maybe = [state for state in _fitting(written) if state in STATES]
    return (form("plate", plate), *(form("plate-maybe", state, plate) for state in maybe[:_MOST_STATES]))


def _fitting(plate: str) -> list[str]:
    """Countries with such a plate; where there is none, with one that has O for 0 or I for 1."""
    exactly = [country for country, pattern in _FORMATS.items() if pattern.fullmatch(plate)]
    plate = unconfused(plate)
    return exactly or [country for country, pattern in _UNCONFUSED.items() if pattern.fullmatch(plate)]


def _country(text: str) -> tuple[str, str]:
    """The country that ``text`` names, empty if none, and the rest.

    A sign in brackets is one; a sign before or after the plate only if the plate is none with it and is one
    of that country without it: B 123 ABC is a plate of Bucharest.
    """
    bracketed = _BRACKETED.search(text)
    if bracketed:
        rest = text.replace(bracketed[0], " ")
        return _SIGNS.get(capitals(bracketed[1]), ""), rest
    if len(text.split()) < _WITH_SIGN and _fitting(capitals(text)):
        return "", text
    for pattern, sign, plate in ((_HEAD, 1, 2), (_TAIL, 2, 1)):
        found = pattern.match(text)
        country = _SIGNS.get(capitals(found[sign]), "") if found else ""
        if found and country in _fitting(capitals(found[plate])):
            return country, found[plate]
    return "", text
