"""Invented identifiers and the ways in which the eight states write them.

Guarantees: an identifier has one canonical form (``Identifier.canonical``), whoever writes it. Accounts
use the bank code SYNB, which no bank has, with valid IBAN check digits; companies have valid national
check digits; addresses end in the reserved example domains. Telephone numbers are random within national
mobile ranges, or from the United Kingdom's range reserved for drama. No identifier is made twice.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from safeborders_fed.cases.synthetic.check_digits import COMPANY_COUNTRIES, company_base, company_number, iban
from safeborders_fed.cases.synthetic.parameters import table

_PHONES: Final = {  # country: calling code, trunk prefix, first digits, how many digits follow
    "BE": ("32", "0", "47", 7),
    "BG": ("359", "0", "88", 7),
    "FI": ("358", "0", "50", 7),
    "GR": ("30", "", "69", 8),
    "IT": ("39", "", "34", 8),
    "PL": ("48", "", "60", 7),
    "PT": ("351", "", "91", 7),
    "RO": ("40", "0", "72", 7),
    "GB": ("44", "0", "7700900", 3),
}
_PLATES: Final = {  # country: L a letter, 9 a digit, between them where the parts end
    "BE": "9 LLL 999",
    "BG": "LL 9999 LL",
    "FI": "LLL 999",
    "GR": "LLL 9999",
    "IT": "LL 999 LL",
    "PL": "LL 99999",
    "PT": "LL 99 LL",
    "RO": "LL 99 LLL",
}
_LETTERS: Final = "ABEHKMOPTYX"
"""Plates use letters that look alike in Latin, Cyrillic and Greek."""
_SCRIPT: Final = {"BG": 1, "GR": 2}
_BIRTH_DATES: Final = {"FI": "%Y-%m-%d", "BE": "%d/%m/%Y", "GR": "%d/%m/%Y", "IT": "%d/%m/%Y"}
_DOMAINS: Final = ("example.com", "example.org", "example.net")
_PLATFORMS: Final = ("telegram", "instagram", "tiktok", "snapchat")
_FROM_DRAMA_RANGE: Final = 0.02
"""Share of telephone numbers from the United Kingdom's range for drama; it holds a thousand."""
_DOCUMENT_LETTERS: Final = "BCDFGHJKLMNPRSTVWXZ"
_COMPANY_SERIAL: Final = 7
"""Digits of a company number that are free; Italy's go on with the office, which must exist."""
_COMPANY_CHECK_DIGITS: Final = {"BE": 2}
_ACCOUNT_COUNTRIES: Final = {"BG": 14, "RO": 16, "NL": 10, "IE": 14}


@dataclass(frozen=True, slots=True)
class Identifier:
    """One identifier.

    Attributes:
        type: As in the data contract.
        home: Country that issued it; empty where none does.
        parts: Its parts in Latin capitals or lower case, as the type needs; a person's are surname,
            given name and date of birth (ISO).
    """

    type: str
    home: str
    parts: tuple[str, ...]

    @property
    def canonical(self) -> str:
        """The one form that all ways of writing it stand for."""
        if self.type == "phone":
            return f"+{_PHONES[self.home][0]}{self.parts[0]}"
        if self.type == "person":
            return "|".join(self.parts).lower()
        return (":" if self.type == "handle" else "").join(self.parts)


class Maker:
    """Makes identifiers, none of them twice."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._made: set[str] = set()

    def make(self, kind: str, home: str) -> Identifier:
        """A new identifier of the type ``kind``, issued in ``home`` where its type has an issuer."""
        return self._new(lambda: _draw(self._random, kind, home))

    def near(self, identifier: Identifier) -> Identifier:
        """A different identifier that looks almost like ``identifier``: one digit apart, or a namesake.

        Check digits follow the digit that differs; a namesake was born on another day.
        """
        return self._new(lambda: _near(self._random, identifier))

    def _new(self, draw: Callable[[], Identifier]) -> Identifier:
        while True:
            identifier = draw()
            if identifier.canonical not in self._made:
                self._made.add(identifier.canonical)
                return identifier


def _digits(random: Random, count: int) -> str:
    return f"{random.randrange(10**count):0{count}d}"


def _draw(random: Random, kind: str, home: str) -> Identifier:
    match kind:
        case "phone":
            home = "GB" if random.random() < _FROM_DRAMA_RANGE else home
            parts: tuple[str, ...] = (_PHONES[home][2] + _digits(random, _PHONES[home][3]),)
        case "vehicle":
            kinds = {"L": _LETTERS, "9": "0123456789", " ": " "}
            parts = tuple("".join(random.choice(kinds[mark]) for mark in _PLATES[home]).split())
        case "document":
            parts = ("".join(random.choice(_DOCUMENT_LETTERS) for _ in range(2)), _digits(random, 7))
        case "account":
            home = random.choice(list(_ACCOUNT_COUNTRIES))
            parts = (iban(home, "SYNB" + _digits(random, _ACCOUNT_COUNTRIES[home])),)
        case "company":
            home = random.choice(COMPANY_COUNTRIES)
            parts = (home, company_number(home, company_base(home, random)))
        case _:
            return Identifier(kind, "", _draw_named(random, kind))
    return Identifier(kind, home, parts)


def _draw_named(random: Random, kind: str) -> tuple[str, ...]:
    """Parts of an identifier that is made from a name: a person, a handle or an e-mail address."""
    surname, given = (random.choice(table("names")[key])[0] for key in ("surnames", "given_names"))
    if kind == "person":
        born = dt.date(1960, 1, 1) + dt.timedelta(days=random.randrange(15_000))
        return (surname, given, born.isoformat())
    account = f"{given}.{surname}{_digits(random, 3)}".lower()
    if kind == "handle":
        return (random.choice(_PLATFORMS), account.replace(".", "_"))
    return (f"{account}@{random.choice(_DOMAINS)}",)


def _near(random: Random, identifier: Identifier) -> Identifier:
    parts = list(identifier.parts)
    if identifier.type == "person":
        born = dt.date.fromisoformat(parts[2])
        moved = born + dt.timedelta(days=random.choice([-1, 1]) * random.randrange(1, 1500))
        return Identifier("person", "", (parts[0], parts[1], moved.isoformat()))
    if identifier.type == "company":
        base = parts[1][: -_COMPANY_CHECK_DIGITS.get(identifier.home, 1)]
        changed = change_digit(random, base[:_COMPANY_SERIAL]) + base[_COMPANY_SERIAL:]
        number = company_number(identifier.home, changed)
        return Identifier("company", identifier.home, (parts[0], number))
    at = max(range(len(parts)), key=lambda i: sum(c.isdigit() for c in parts[i]))
    if identifier.type == "account":
        changed = change_digit(random, parts[at][8:])
        return Identifier("account", identifier.home, (iban(identifier.home, parts[at][4:8] + changed),))
    parts[at] = change_digit(random, parts[at])
    return Identifier(identifier.type, identifier.home, tuple(parts))


def change_digit(random: Random, text: str) -> str:
    """``text`` with one of its last three digits replaced by another."""
    at = random.choice([i for i, c in enumerate(text) if c.isdigit()][-3:])
    other = random.choice([digit for digit in "0123456789" if digit != text[at]])
    return text[:at] + other + text[at + 1 :]


def write(random: Random, identifier: Identifier, country: str) -> tuple[str, ...]:
    """The text of each cell as the state ``country`` would fill it: three for a person, otherwise one."""
    if identifier.type == "person":
        return _write_person(random, identifier, country)
    parts, joined = identifier.parts, "".join(identifier.parts)
    match identifier.type:
        case "phone":
            text = _write_phone(random, identifier, country)
        case "vehicle":
            letters = table("names")["plate_letters"].get(country, _LETTERS)
            text = random.choice(["", " ", "-"]).join(parts).translate(str.maketrans(_LETTERS, letters))
        case "document":
            text = random.choice([joined, " ".join(parts), joined.lower()])
        case "account":
            grouped = " ".join(joined[i : i + 4] for i in range(0, len(joined), 4))
            text = random.choice([joined, grouped, joined.lower()])
        case "company":
            text = random.choice(["", " "]).join(parts)
        case "handle":
            text = random.choice([":".join(parts), f"{parts[0].title()}: @{parts[1]}", ":@".join(parts)])
        case _:
            text = random.choice([joined, joined.title(), joined.upper()])
    return (text,)


def _write_phone(random: Random, identifier: Identifier, country: str) -> str:
    calling, trunk, _, _ = _PHONES[identifier.home]
    number = identifier.parts[0]
    groups = [number[:3], *(number[i : i + 3] for i in range(3, len(number), 3))]
    if country == identifier.home and random.random() < 0.75:
        return trunk + random.choice(["", " ", "-", "."]).join(groups)
    return random.choice([f"+{calling}", f"00{calling}", f"+{calling} "]) + random.choice(
        ["", " ", "-"]
    ).join(groups)


def _write_person(random: Random, identifier: Identifier, country: str) -> tuple[str, ...]:
    names = [
        next(row for row in table("names")[key] if row[0] == text)[_SCRIPT.get(country, 0)]
        for key, text in zip(("surnames", "given_names"), identifier.parts, strict=False)
    ]
    if random.random() < 0.3:
        names[0] = names[0].upper()
    born = dt.date.fromisoformat(identifier.parts[2])
    return (*names, born.strftime(_BIRTH_DATES.get(country, "%d.%m.%Y")))


def mistype(random: Random, identifier: Identifier, texts: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """``texts`` with a typing error, and its name: ``day_month``, ``letter`` or ``digit``."""
    if identifier.type != "person":
        return (change_digit(random, texts[0]),), "digit"
    year, month, day = identifier.parts[2].split("-")
    if int(day) <= 12 and day != month:
        swapped = dt.date(int(year), int(day), int(month))
        style = "%Y-%m-%d" if texts[2].startswith(year) else f"%d{texts[2][2]}%m{texts[2][2]}%Y"
        return (texts[0], texts[1], swapped.strftime(style)), "day_month"
    at = random.randrange(1, len(texts[0]) - 1)
    return (texts[0][:at] + texts[0][at + 1 :], *texts[1:]), "letter"
