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
from stdnum.gr import amka
from stdnum.pl import pesel
from stdnum.pt import cc
from stdnum.ro import cnp

from safeborders_fed.links.forms_base import Form, capitals, form, table, unconfused

_NATIONAL: Final = {
    "BE": ((11, nn),),
    "BG": ((10, egn), (10, pnf)),
    "GR": ((11, amka),),
    "PL": ((11, pesel),),
    "RO": ((13, cnp),),
}
"""National numbers of digits alone: for each state, how many, and the rule."""
_WORDS: Final = frozenset(table("words")["documents"])
_SENTENCE: Final = 4
"""Words of a text that names the kind of document first, as in "CI seria XR nr 123456"."""
_SHORTEST: Final = 5
_LONGEST: Final = 24
_TELLING: Final = 7
_TELLING_DIGITS: Final = 9
"""Characters, or digits where there is no letter, of a number that is not likely to exist twice."""
_MOST_ZEROS: Final = 2
_CITIZEN_CARD: Final = 12
_CITIZEN_DIGITS: Final = 8


def document_forms(text: str, state: str) -> tuple[Form, ...]:
    """The forms of a document number that stands in a file of ``state``."""
    written = capitals(_without_words(text))
    number = unconfused(written)
    if not _SHORTEST <= len(number) <= _LONGEST or not number.isascii() or not any(map(str.isdigit, number)):
        return ()
    telling = len(number) >= (_TELLING_DIGITS if number.isdecimal() else _TELLING)
    found = [form("document" if telling else "document-short", number)]
    if number.isdecimal():
        found += [form("document", full) for full in _with_zeros(number, state)]
    elif len(number) == _CITIZEN_CARD and _valid(cc, written):
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
