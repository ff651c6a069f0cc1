"""Telephone numbers.

Guarantees: a number that is written with its country, or that the numbering plan of the recording state
knows, becomes its E.164 form, which does not depend on who wrote it. A number that many share by its nature
(toll-free, premium, shared cost) is weak; an emergency or short number has no form. Hotlines are for the
stop-list.
"""

from __future__ import annotations

import re
from typing import Final

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType

from safeborders_fed.links.forms_base import Form, form

_SHARED: Final = frozenset(
    {
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.TOLL_FREE,
        PhoneNumberType.UAN,
        PhoneNumberType.VOICEMAIL,
    }
)
_FEWEST: Final = 7
"""Digits of the shortest national number that is one person's."""
_ABROAD: Final = re.compile(r"^\D*(?:\+|00)")


def phone_forms(text: str, state: str) -> tuple[Form, ...]:
    """The form of a telephone number that stands in a file of ``state``."""
    if sum(map(str.isdigit, text)) < _FEWEST:
        return ()
    number = _parsed(text, state)
    if number is not None and phonenumbers.is_valid_number(number):
        return (_valid(number),)
    digits = re.sub(r"\D", "", text)
    abroad = _parsed(f"+{digits.removeprefix('00')}", None)
    if abroad is not None and phonenumbers.is_valid_number(abroad):
        return (_valid(abroad),)
    if number is None or not _possible(number):
        return ()
    # Metadata lags behind the regulators: a full number abroad is a number, whatever the plan says.
    return (form("phone" if _ABROAD.match(text) else "phone-unallocated", _e164(number)),)


def _valid(number: PhoneNumber) -> Form:
    shared = phonenumbers.number_type(number) in _SHARED
    return form("phone-service" if shared else "phone", _e164(number))


def _possible(number: PhoneNumber) -> bool:
    long_enough = len(str(number.national_number)) >= _FEWEST
    return long_enough and phonenumbers.is_possible_number(number)


def _e164(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def _parsed(text: str, region: str | None) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region)
    except NumberParseException:
        return None
