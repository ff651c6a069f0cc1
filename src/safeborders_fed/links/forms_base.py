"""What all kinds of identifiers share: forms with their strengths, clean text, look-alike letters, tables.

Guarantees: a form's strength follows from the rule that its text begins with, so both states of a hit give
it the same strength. A form's text is never longer than ``LONGEST_FORM`` and has no control, format,
private-use or surrogate characters: it can always be encoded. Nothing here reads anything but the tables
that are installed with it.
"""

from __future__ import annotations

import tomllib
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

VERSION: Final = "1"
"""Version of all rules and tables. A batch names it: forms of two versions would miss each other unseen."""
LONGEST_TEXT: Final = 400
"""Characters of a value that is still read. No identifier is longer, and time stays bounded."""
LONGEST_FORM: Final = 500
Strength = Literal["exact", "strong", "weak"]

STRENGTHS: Final[dict[str, Strength]] = {
    "phone": "exact",
    "phone-unallocated": "weak",
    "phone-service": "weak",
    "email": "exact",
    "handle": "exact",
    "handle-bare": "weak",
    "plate": "exact",
    "plate-of": "exact",
    "plate-maybe": "strong",
    "plate-short": "weak",
    "document": "exact",
    "document-short": "weak",
    "iban": "exact",
    "card": "exact",
    "wallet": "exact",
    "payment-email": "exact",
    "account-unchecked": "weak",
    "company": "exact",
    "company-digits": "weak",
    "company-name": "weak",
    "person": "exact",
    "person-sound": "strong",
    "person-sound-new-year": "weak",
    "person-loose": "weak",
    "person-month": "weak",
}
"""The strength of every rule that makes forms."""


@dataclass(frozen=True, slots=True, order=True)
class Form:
    """One normal form of an identifier.

    Attributes:
        text: The rule, a colon, and the normal form. Equal texts of one type mean the same.
        strength: ``exact`` for the same identifier; ``strong`` for one that tolerant spelling or swapped
            day and month make the same; ``weak`` for a lead that needs another beside it.
    """

    text: str
    strength: Strength


def form(rule: str, *parts: str) -> Form:
    """The form that ``rule`` makes of ``parts``."""
    return Form(":".join((rule, *parts))[:LONGEST_FORM], STRENGTHS[rule])


@cache
def table(name: str) -> dict[str, Any]:
    """The table ``name`` (without the ending)."""
    text = files("safeborders_fed.links").joinpath("tables", f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def clean(value: str) -> str:
    """``value`` in Unicode's compatibility form, without invisible characters, single spaces between words.

    Empty for a value longer than ``LONGEST_TEXT``. Digits of all scripts become 0 to 9.
    """
    if len(value) > LONGEST_TEXT:
        return ""
    if not value.isascii():
        value = "".join(map(_visible, unicodedata.normalize("NFKC", value)))
        value = unicodedata.normalize("NFKC", value)
    elif not value.isprintable():
        value = "".join(map(_visible, value))
    return " ".join(value.split())[:LONGEST_TEXT]


def _visible(character: str) -> str:
    """A character as it is kept: digits as ASCII, white space as a space, what cannot be seen as nothing."""
    if character.isspace():
        return " "
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    return "" if unicodedata.category(character).startswith("C") else character


def _pairs(script: str, ending: str = "") -> dict[str, str]:
    alike = table("scripts")["look_alike"]
    return dict(zip(alike[script + ending], alike[f"{script}{ending}_as"], strict=True))


_CAPITALS: Final = str.maketrans(_pairs("cyrillic") | _pairs("greek"))
_SMALL: Final = str.maketrans(_pairs("cyrillic", "_small") | _pairs("greek", "_small"))
_BACK: Final = {
    script: str.maketrans({latin: own for own, latin in _pairs(script, "_small").items()})
    for script in ("cyrillic", "greek")
}
_CONFUSABLE: Final = str.maketrans("OI", "01")
_REST: Final = str.maketrans(
    {
        letter.upper(): latin.upper()
        for script in ("greek", "bulgarian")
        for letter, latin in table(script)["letters"].items()
        if letter != "ς"
    }
)


def capitals(text: str) -> str:
    """Letters and digits of ``text`` as Latin capitals: look-alike letters folded, others spelt in Latin."""
    if not text.isascii():
        text = unicodedata.normalize("NFD", text.upper()).translate(_CAPITALS).translate(_REST)
    return "".join(filter(str.isalnum, text.upper()))


def unconfused(text: str) -> str:
    """``text`` with O written as 0 and I as 1. A format fixes where letters stand, so few numbers meet."""
    return text.translate(_CONFUSABLE)


def script_of(character: str) -> str:
    """``latin``, ``cyrillic``, ``greek`` or empty."""
    code = ord(character)
    if code < 0x250:
        return "latin" if character.isalpha() else ""
    if 0x370 <= code < 0x400 or 0x1F00 <= code < 0x2000:
        return "greek"
    return "cyrillic" if 0x400 <= code < 0x530 else ""


def one_script(word: str) -> str:
    """A small-letter ``word`` of mixed scripts in the one that most of its telling letters have.

    A letter is telling if no letter of another script looks like it. Nothing changes in a word of one script.
    """
    if word.isascii():
        return word
    scripts = [script_of(character) for character in word]
    kinds = set(scripts) - {""}
    if len(kinds) < 2:
        return word
    as_latin = word.translate(_SMALL)
    telling = [script_of(character) for character in as_latin if script_of(character) not in {"", "latin"}]
    if not telling:
        return unicodedata.normalize("NFC", as_latin)
    script = max(sorted(set(telling)), key=telling.count)
    return unicodedata.normalize("NFC", word.translate(_BACK[script]))
