"""Codes of published files, and the words for them.

Guarantees: a code has letters, digits and ``_ @ $ -`` only, as SDMX wants, and none is a formula; two codes
of one axis never become one; words come from the data contract, and a code without any stands for itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from safeborders_fed.cases.contract import UNKNOWN, field
from safeborders_fed.cases.countries import STATES
from safeborders_fed.reporting.checks import refuse

TOTAL: Final = "_T"
NOT_APPLICABLE: Final = "_Z"
UNKNOWN_CODE: Final = "_U"
OTHER_CODE: Final = "_O"
COLUMNS: Final = {
    "year": "TIME_PERIOD",
    "quarter": "TIME_PERIOD",
    "period": "TIME_PERIOD",
    "exploitation": "REF_AREA",
    "state": "REF_AREA",
    "citizenship": "CITIZEN",
    "group": "CITIZEN",
    "sex": "SEX",
    "age": "AGE",
    "form": "FORM",
    "means": "MEANS",
}
"""Column of SDMX-CSV for each axis that has one; of two for one column, that of more tables, or the first."""
_FIELDS: Final = {
    "form": "forms_of_exploitation",
    "age": "age_band",
    "sex": "sex",
    "means": "means_of_control",
    "recruiter": "recruiter_relationship",
    "recruitment": "method_of_recruitment",
    "citizenship": "citizenship",
    "exploitation": "country_of_exploitation",
}
"""Field of the data contract whose words an axis uses."""
_LINKS: Final = {
    "phone": "Telephone number",
    "email": "E-mail address",
    "handle": "Online handle",
    "vehicle": "Vehicle plate",
    "document": "Document number",
    "account": "Bank account",
    "company": "Company",
    "person": "Person with date of birth",
}
"""Short words for the types of identifiers."""
_WORDS: Final = {
    UNKNOWN: "Not known",
    "NoLink": "No link",
    "Other": "Other",
    "SeveralForms": "Several forms",
    "Several": "Several",
    "Own": "Own citizens",
    "OtherEU": "Other EU",
    "NonEU": "Non-EU",
    "30+": "30 or older",
}
_BETWEEN: Final = re.compile(r"(\d+)--(\d+)")
_FROM: Final = re.compile(r"(\d+)\+")
_QUARTER: Final = re.compile(r"(\d{4})-?Q([1-4])")
_NOT_ALLOWED: Final = re.compile(r"[^A-Za-z0-9_@$-]")


def code_of(code: str) -> str:
    """The SDMX code for a code: ``Y18-29``, ``Y_GE30``, ``2024-Q1``; ``_U`` for what is not known."""
    if code in (UNKNOWN, "Other"):
        return UNKNOWN_CODE if code == UNKNOWN else OTHER_CODE
    for pattern, form in ((_BETWEEN, r"Y\1-\2"), (_FROM, r"Y_GE\1"), (_QUARTER, r"\1-Q\2")):
        if pattern.fullmatch(code):
            return pattern.sub(form, code)
    allowed = _NOT_ALLOWED.sub("_", code)
    return f"_{allowed}" if allowed.startswith(("-", "@")) else allowed


def codes_of(axis: str, codes: Sequence[str]) -> dict[str, str]:
    """The SDMX codes of an axis.

    Raises:
        DefectError: ``report-facts``, when two codes would become one.
    """
    found = {code: code_of(code) for code in codes}
    if len(set(found.values())) != len(found):
        raise refuse(f"two codes of axis {axis!r} have one SDMX code")
    return found


def label_of(axis: str, code: str) -> str:
    """The words for a code."""
    known = _FIELDS.get(axis)
    if known is not None:
        for value in field(known).values:
            if value.code == code:
                return value.label
    if axis in ("state", "partner"):
        return STATES.get(code, _WORDS.get(code, code))
    if axis == "link" and code in _LINKS:
        return _LINKS[code]
    between = _BETWEEN.fullmatch(code)
    return _WORDS.get(code, f"{between[1]} to {between[2]}" if between else code)
