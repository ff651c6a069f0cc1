"""Companies, by registration number or by name.

Guarantees: a number is exact only if its check digits are right under the rule of the country that it names,
or of the recording state where it names none. Its digits alone, and a company's name, are weak.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any, Final

import stdnum
from stdnum.be import vat as be_vat
from stdnum.bg import vat as bg_vat
from stdnum.exceptions import ValidationError
from stdnum.fi import ytunnus
from stdnum.gr import vat as gr_vat
from stdnum.it import iva
from stdnum.pl import nip, regon
from stdnum.pt import nif
from stdnum.ro import cui

from safeborders_fed.links.forms_base import Form, form, table
from safeborders_fed.links.forms_names import sound, words_of

_RULES: Final[dict[str, tuple[ModuleType, ...]]] = {
    "BE": (be_vat,),
    "BG": (bg_vat,),
    "FI": (ytunnus,),
    "GR": (gr_vat,),
    "IT": (iva,),
    "PL": (nip, regon),
    "PT": (nif,),
    "RO": (cui,),
}
_OTHERS: Final = frozenset(
    [
        "AT",
        "CY",
        "CZ",
        "DE",
        "DK",
        "EE",
        "ES",
        "FR",
        "HR",
        "HU",
        "IE",
        "LT",
        "LU",
        "LV",
        "MT",
        "NL",
        "SE",
        "SI",
        "SK",
        "GB",
        "CH",
        "NO",
    ]
)
_NUMBER: Final = re.compile(r"(?<!\d)(?:([A-Za-z]{2})[\s:.-]?)?(\d[\d .\-/]{4,18}\d)(?![^\W_])")
_FEWEST: Final = 6
_TRADE_REGISTER: Final = re.compile(r"\b([JFC])\s?(\d{1,2})\s?/\s?(\d{1,6})\s?/\s?(\d{4})\b")
_LABELS: Final = frozenset(table("words")["company_numbers"])
_LEGAL: Final = frozenset(table("words")["legal_forms"])
_SHORTEST_NAME: Final = 4


def company_forms(text: str, state: str) -> tuple[Form, ...]:
    """The forms of a company in a file of ``state``: of its number and of its name, whatever stands there."""
    registered = _TRADE_REGISTER.search(text.upper())
    if registered:
        letter, county, serial, year = registered.groups()
        number = [form("company", "RO", f"{letter}{int(county):02d}/{int(serial)}/{year}")]
        return (*number, *_name_forms(_TRADE_REGISTER.sub(" ", text.upper())))
    found = _NUMBER.search(text)
    if not found:
        return _name_forms(text)
    rest = f"{text[: found.start()]} {text[found.end() :]}"
    return (*_number_forms(found[1] or "", found[2], state), *_name_forms(rest))


def _number_forms(prefix: str, written: str, state: str) -> Iterator[Form]:
    digits = re.sub(r"\D", "", written)
    if len(digits) < _FEWEST:
        return
    country = {"EL": "GR"}.get(prefix.upper(), prefix.upper())
    known = country in _RULES or country in _OTHERS
    number = _valid(country if known else state, digits)
    if number:
        yield form("company", country if known else state, number)
    if not known or number:
        # Compared with a number elsewhere that names no country.
        yield form("company-digits", (number or digits).lstrip("0"))


@cache
def _rules(country: str) -> tuple[Any, ...]:
    if country in _OTHERS:
        module = stdnum.get_cc_module(country.lower(), "vat")
        return (module,) if module else ()
    return _RULES.get(country, ())


def _valid(country: str, digits: str) -> str:
    """The number in its country's full length, or an empty text."""
    for rule in _rules(country):
        try:
            return re.sub(r"\D", "", str(rule.validate(digits)))
        except (ValidationError, ValueError, ArithmeticError):
            continue
    return ""


def _name_forms(text: str) -> tuple[Form, ...]:
    text = re.sub(r"(?<=\b\w)\.\s?(?=\w\b)", "", text.replace("&", " "))
    words = [word for word in words_of(text) if word not in _LEGAL and word not in _LABELS]
    if sum(map(len, words)) < _SHORTEST_NAME:
        return ()
    return (form("company-name", " ".join(sorted(sound(word) for word in words))),)
