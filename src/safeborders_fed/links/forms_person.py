"""Persons: a name with a date of birth.

Guarantees: a name alone has no form. The exact form is the whole canonical name in any order with the whole
date; the strong one is the whole name by sound, surnames without gender, with day and month in either order;
weak ones take one given name, in any of its languages, and the consonants of one surname. At most
``MOST_FORMS`` forms, whatever the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from safeborders_fed.links.forms_base import Form, form, table
from safeborders_fed.links.forms_dates import Birth, birth_in
from safeborders_fed.links.forms_names import (
    given_key,
    is_given_name,
    plain,
    skeleton,
    sound,
    spelling,
    surname_sound,
    words_of,
)

MOST_FORMS: Final = 8
_TITLES: Final = frozenset(table("words")["titles"])
_PARTICLES: Final = frozenset(table("words")["particles"])


def person_forms(text: str) -> tuple[Form, ...]:
    """The forms of a person: surname, given names and date of birth joined by |, or one text with a date."""
    cells = text.split("|")
    birth, rest = birth_in(cells[-1])
    if birth is None:
        return ()
    surnames, given = _cells(cells, rest)
    whole = sorted(filter(None, map(spelling, (*surnames, *given))))
    if not whole:
        return ()
    sounds = " ".join(
        sorted({_sound(name) for name in _main(surnames)} | set(_given_sounds(surnames, given)))
    )
    if not birth.day:
        return (form("person-month", sounds, birth.iso),)
    loose = _loose(surnames, given, birth)
    if len(whole) == 1:
        return loose
    rule = "person-sound-new-year" if birth.is_new_year else "person-sound"
    return (form("person", " ".join(whole), birth.iso), form(rule, sounds, birth.unordered), *loose)


def _cells(cells: list[str], rest: str) -> tuple[list[str], list[str]]:
    """Surnames and given names in the cells of a person; ``rest`` is the last one without its date."""
    if len(cells) > 2:
        surnames, given = _names(" ".join(cells[:-2])), _names(cells[-2])
        if surnames and given:
            return surnames, given
        return _split(surnames + given)
    return _split(_names(" ".join((*cells[:-1], rest))))


def _names(cell: str) -> list[str]:
    """The names in a cell, without titles and initials where others remain."""
    words = words_of(cell)
    names = [word for word in words if len(plain(word)) > 1 and plain(word) not in _TITLES]
    return names or [word for word in words if plain(word)]


def _split(names: list[str]) -> tuple[list[str], list[str]]:
    """Surnames and given names of a text that does not tell them apart."""
    given = [name for name in names if is_given_name(name)] or names[:1]
    surnames = [name for name in names if name not in given]
    return (surnames, given) if surnames else (given[1:], given[:1])


def _main(names: list[str]) -> list[str]:
    """``names`` without particles, unless nothing else is left."""
    return [name for name in names if plain(name) not in _PARTICLES] or names


def _sound(surname: str) -> str:
    return sound(surname) if is_given_name(surname) else surname_sound(surname)


def _given_sounds(surnames: list[str], given: list[str]) -> Iterator[str]:
    fold = _sound if _swapped(surnames, given) else sound
    return map(fold, _main(given))


def _swapped(surnames: list[str], given: list[str]) -> bool:
    """Whether surnames stand where given names should, as far as the table of given names tells."""
    return any(map(is_given_name, _main(surnames)[:1])) and not any(map(is_given_name, _main(given)[:1]))


def _loose(surnames: list[str], given: list[str], birth: Birth) -> tuple[Form, ...]:
    """Weak forms: first and last given name with first, last and all surnames."""
    family, first = _main(surnames), _main(given)
    if not family or not first:
        name = (family or first)[0]
        return (form("person-loose", given_key(name), "", birth.unordered),)
    pairs = [
        (first[0], family[-1]),
        (first[0], family[0]),
        (first[0], "".join(surnames)),
        (first[-1], family[-1]),
        ("".join(first), family[-1]),
    ]
    if _swapped(surnames, given):
        pairs.append((family[0], first[0]))
    keys = ((given_key(one), skeleton(surname_sound(other))) for one, other in dict.fromkeys(pairs))
    return tuple(form("person-loose", *key, birth.unordered) for key in dict.fromkeys(keys))
