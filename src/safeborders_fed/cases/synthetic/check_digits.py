"""Check digits of accounts and companies, so that invented ones pass where real ones would.

Guarantees: IBAN check digits follow ISO 13616 (modulo 97); company numbers follow the national rules of
Belgium (modulo 97), Bulgaria (modulo 11, EIK), Italy (Luhn) and Romania (modulo 11, CUI).
"""

from __future__ import annotations

from random import Random
from typing import Final

from safeborders_fed.errors import DefectError

COMPANY_COUNTRIES: Final = ("BE", "BG", "IT", "RO")
"""Countries whose company numbers are known here."""
_TEN: Final = 10
"""A remainder that has no digit: Bulgaria then takes a second set of weights."""


def iban(country: str, account: str) -> str:
    """The IBAN of a national account number (capital letters and digits)."""
    digits = "".join(str(int(c, 36)) for c in f"{account}{country}00")
    return f"{country}{98 - int(digits) % 97:02d}{account}"


def company_base(country: str, random: Random) -> str:
    """The digits of a random company number before its check digits."""
    if country == "BE":
        return f"0{random.randrange(2_000_000, 9_999_999):07d}"
    if country == "IT":
        return f"{random.randrange(10**6, 10**7):07d}{random.randrange(1, 101):03d}"
    return str(random.randrange(10**7, 10**8))


def company_number(country: str, base: str) -> str:
    """``base`` with its check digits.

    Raises:
        DefectError: ``no-company-rule``, for a country without a rule here.
    """
    match country:
        case "BE":
            check = f"{97 - int(base) % 97:02d}"
        case "BG":
            first = _weighted(base, range(1, 9)) % 11
            check = str(first if first < _TEN else _weighted(base, range(3, 11)) % 11 % 10)
        case "IT":
            check = str(-sum(sum(divmod(int(d) * (1 + i % 2), 10)) for i, d in enumerate(base)) % 10)
        case "RO":
            check = str(10 * _weighted(base, (5, 3, 2, 1, 7, 5, 3, 2)) % 11 % 10)
        case _:
            raise DefectError(
                "no-company-rule", f"no rule for companies of {country}", "report this to the developers"
            )
    return base + check


def _weighted(digits: str, weights: range | tuple[int, ...]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True))
