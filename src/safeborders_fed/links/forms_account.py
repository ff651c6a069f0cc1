"""Bank and payment accounts.

Guarantees: an IBAN has an exact form only if its length and check digits are right (ISO 13616), a card number
only if its check digit is (ISO/IEC 7812), a wallet only if it has the shape of one. Whatever else looks like
an account number is weak.
"""

from __future__ import annotations

import re
from typing import Final

from stdnum import iban, luhn
from stdnum.exceptions import ValidationError

from safeborders_fed.links.forms_base import Form, capitals, form
from safeborders_fed.links.forms_online import mailbox_of

_IBAN: Final = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")
_WALLET: Final = re.compile(r"0x[0-9a-fA-F]{40}|bc1[02-9ac-hj-np-z]{11,71}|[13][1-9A-HJ-NP-Za-km-z]{25,34}")
_TRON: Final = re.compile(r"T[1-9A-HJ-NP-Za-km-z]{33}")
_DIGITS: Final = 6
_LONGEST: Final = 40
_CARD: Final = range(15, 20)


def account_forms(text: str, state: str) -> tuple[Form, ...]:
    """The form of an account that stands in a file of ``state``."""
    if "@" in text:
        mailbox = mailbox_of(text)
        return (form("payment-email", mailbox),) if mailbox else ()
    if _WALLET.fullmatch(text) or _TRON.fullmatch(text):
        same_case = text.startswith(("0x", "bc1"))
        return (form("wallet", text.lower() if same_case else text),)
    number = capitals(text).removeprefix("IBAN")
    enough = number.isascii() and len(number) <= _LONGEST and sum(map(str.isdigit, number)) >= _DIGITS
    return (_numbered(number, state),) if enough else ()


def _numbered(number: str, state: str) -> Form:
    if _IBAN.fullmatch(number):
        return form("iban" if _valid_iban(number) else "account-unchecked", number)
    if number.isdecimal() and _valid_iban(state + number):
        return form("iban", state + number)
    if number.isdecimal() and len(number) in _CARD and luhn.is_valid(number):
        return form("card", number)
    return form("account-unchecked", number)


def _valid_iban(number: str) -> bool:
    try:
        # Without national rules, which not every bank code of a fusion keeps.
        iban.validate(number, check_country=False)
    except (ValidationError, ValueError):
        return False
    return True
