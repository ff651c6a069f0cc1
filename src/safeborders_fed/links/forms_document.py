"""Numbers of identity and travel documents, and national numbers of persons.

Guarantees: a number's form does not depend on who recorded it; look-alike letters are folded, and so are O
and 0, I and 1. A short number without check digits may belong to several documents, and is weak. A national
number of the recording state that lost its leading zeros in a spreadsheet has the full form as well.
"""

from __future__ import annotations

from typing import Final

from stdnum.be import nn
from stdnum.bg import egn, pnf
from stdnum.exceptions import ValidationError
from stdnum.fi import hetu
from stdnum.gr import amka
from stdnum.it import codicefiscale
from stdnum.pl import pesel
from stdnum.pt import cc
from stdnum.ro import cnp

from safeborders_fed.links.forms_base import Form, capitals, form, table, unconfused

_NATIONAL: Final = {
    "BE": ((11, nn),),
    "BG": ((10, egn), (10, pnf)),
    "FI": ((10, hetu),),
    "GR": ((11, amka),),
    "IT": ((16, codicefiscale),),
    "PL": ((11, pesel),),
    "PT": ((12, cc),),
    "RO": ((13, cnp),),
}
"""For each state: characters of its national numbers, and the rule."""
_WORDS: Final = frozenset(table("words")["documents"])
_SENTENCE: Final = 4
"""Words of a text that names the kind of document first, as in "CI seria XR nr 123456"."""
_SHORTEST: Final = 5
_LONGEST: Final = 24
_TELLING: Final = 7
_TELLING_DIGITS: Final = 9
"""Characters, or digits where there is no letter, of a number that is not likely to exist twice."""
_MOST_ZEROS: Final = 2
_CITIZEN_DIGITS: Final = 8


def document_forms(text: str, state: str) -> tuple[Form, ...]:
    """The forms of a document number that stands in a file of ``state``."""
    number = capitals(_without_words(text))
    if not _SHORTEST <= len(number) <= _LONGEST or not any(map(str.isdigit, number)):
        return ()
    if not number.isascii():
        return ()
    telling = len(number) >= (_TELLING_DIGITS if number.isdecimal() else _TELLING) or _is_national(number)
    found = [form("document" if telling else "document-short", unconfused(number))]
    if number.isdecimal():
        found += [form("document", full) for full in _with_zeros(number, state)]
    elif len(number) == 12 and _valid(cc, number):
        # Portugal's citizen card: the civil number, its check digit, and which card it is.
        found.append(form("document-short", number[:_CITIZEN_DIGITS]))
    return tuple(found)


def _without_words(text: str) -> str:
    """``text`` without words such as "passport no.", wherever they stand."""
    words = text.split()
    if len(words) >= _SENTENCE and _is_word(words[1]) and words[0].isalpha():
        words = words[1:]
    return " ".join(word for word in words if not _is_word(word)) if len(words) > 1 else text


def _is_word(word: str) -> bool:
    letters = "".join(filter(str.isalnum, word)).lower()
    return letters in _WORDS


def _is_national(number: str) -> bool:
    return any(
        length == len(number) and _valid(rule, number)
        for rules in _NATIONAL.values()
        for length, rule in rules
    )


def _with_zeros(number: str, state: str) -> list[str]:
    """National numbers of ``state`` that ``number`` may be without its first zeros."""
    return list(
        dict.fromkeys(
            number.zfill(length)
            for length, rule in _NATIONAL.get(state, ())
            if 0 < length - len(number) <= _MOST_ZEROS and _valid(rule, number.zfill(length))
        )
    )


def _valid(rule: object, number: str) -> bool:
    try:
        rule.validate(number)  # type: ignore[attr-defined]
    except (ValidationError, ValueError, ArithmeticError):
        return False
    return True
