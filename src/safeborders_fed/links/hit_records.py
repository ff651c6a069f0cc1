"""What a state tells another about a hit when people of both have approved: its record of it.

Guarantees: the model has no field for an identifier, a name, anything about a victim, or a third state, and
takes no other fields. Texts that people write are the name, e-mail and telephone of a unit, bounded and
without marks that a text could hide in; they come from a file of the node's team (``contact.toml``) and not
from a case. ``seal_ready`` refuses a record in which a form of an identifier of its cases occurs all the
same. A record has at most ``LONGEST`` bytes.

Handling codes are those of messages in Europol's SIENA (Council document 6243/18, "handling of information"):
how the receiver may use what it is told.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from safeborders_fed.cases.contract import IDENTIFIER_TYPES
from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError
from safeborders_fed.study import canonical

FILE: Final = "contact.toml"
LONGEST: Final = 8_192
MOST_CASES: Final = 64
HANDLING: Final[Mapping[str, str]] = MappingProxyType(
    {
        "H0": "only for preventing and combating crime, under the law that applies",
        "H1": "not to be disclosed in judicial proceedings without the permission of the provider",
        "H2": "not to be disseminated without the permission of the provider",
        "H3": "other restrictions: ask the contact point before any use",
    }
)
"""Codes and what each means."""
URGENCIES: Final = ("routine", "urgent", "immediate")
_SHORTEST_PART: Final = 5
_STRICT: Final = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)
_Code = Literal["H0", "H1", "H2", "H3"]
_Purpose = Literal["investigation", "prosecution", "victim-identification"]
_Urgency = Literal["routine", "urgent", "immediate"]
_Pseudonym = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class Contact(BaseModel):
    """A unit that answers questions about a hit: never a person.

    Attributes:
        unit: Its name: letters, digits, blanks and ``.,()/&'-``.
        email: Its e-mail address.
        phone: Its telephone number, with the country's code.
    """

    model_config = _STRICT

    unit: Annotated[str, Field(min_length=3, max_length=100, pattern=r"^[\w .,()/&'-]+$")]
    email: Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$")]
    phone: Annotated[str, Field(max_length=25, pattern=r"^\+[0-9][0-9 ]{5,23}$")]


class Terms(BaseModel):
    """The file ``contact.toml``: whom the other state may ask, and how it may use what it is told.

    Attributes:
        contact: The unit.
        handling: Handling codes.
        purpose: For which the other state may use it.
        valid_days: After how many days it may not use it any more.
    """

    model_config = _STRICT

    contact: Contact
    handling: Annotated[tuple[_Code, ...], Field(min_length=1, max_length=4, strict=False)] = ("H1", "H2")
    purpose: _Purpose = "investigation"
    valid_days: Annotated[int, Field(ge=1, le=366)] = 180

    @field_validator("handling")
    @classmethod
    def _once_each(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(codes)))

    @classmethod
    def load(cls, home: Path) -> Terms:
        """What the node's team has written.

        Raises:
            ConfigurationError: ``no-contact`` or ``bad-contact``.
        """
        path = home / FILE
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise ConfigurationError(
                "no-contact",
                f"{path} cannot be read, so the other state would not know whom to ask about a hit",
                "write it: a table [contact] with `unit`, `email` and `phone` of a unit; see docs/links.md",
            ) from error
        except ValidationError as error:
            problems = ", ".join(".".join(map(str, item["loc"])) for item in error.errors())
            raise ConfigurationError(
                "bad-contact",
                f"{path}: wrong or missing: {problems}",
                "mend them; docs/links.md has an example",
            ) from None
        except ValueError as error:
            raise ConfigurationError(
                "bad-contact", f"{path} is not TOML: {error}", "mend the line named"
            ) from error


class HitRecord(BaseModel):
    """The record that a state seals for the other about one hit.

    Attributes:
        schema_version: 1.
        hit: The hit.
        state: Whose record it is.
        cases: Pseudonyms of its own cases that hold the identifier.
        contact: Whom to ask.
        type: Of the identifier.
        strength: Class of the equal form.
        handling: Handling codes.
        purpose: For which it may be used.
        urgency: How soon an answer is asked for.
        expires: Last day on which it may be used.
    """

    model_config = _STRICT

    schema_version: Literal[1] = 1
    hit: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    state: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    cases: Annotated[tuple[_Pseudonym, ...], Field(min_length=1, max_length=MOST_CASES)]
    contact: Contact
    type: str
    strength: Literal["exact", "strong", "weak"]
    handling: Annotated[tuple[_Code, ...], Field(min_length=1, max_length=4)]
    purpose: _Purpose
    urgency: _Urgency
    expires: date

    @field_validator("type")
    @classmethod
    def _known_type(cls, word: str) -> str:
        if word not in IDENTIFIER_TYPES:
            raise ValueError("not a type of identifier")
        return word

    def content(self) -> dict[str, Any]:
        """As JSON values."""
        return self.model_dump(mode="json")

    def to_bytes(self) -> bytes:
        """The canonical form."""
        return canonical.serialise(self.content())

    @classmethod
    def from_bytes(cls, data: bytes) -> HitRecord:
        """A record that came.

        Raises:
            PeerError: ``bad-hit-record`` or ``not-canonical``; nothing of it is quoted.
        """
        if len(data) > LONGEST:
            raise _bad_record("it is too long")
        canonical.parse(data)
        try:
            record = cls.model_validate_json(data)
        except ValidationError as error:
            places = sorted({str(item["loc"][0]) for item in error.errors() if item["loc"]})
            raise _bad_record(f"wrong or missing: {', '.join(places)[:200]}") from None
        if record.to_bytes() != data:
            raise _bad_record("it is not written in its one form")
        return record


def make(
    terms: Terms,
    *,
    hit: str,
    state: str,
    cases: Iterable[str],
    kind: str,
    strength: str,
    urgency: str,
    today: date,
) -> HitRecord:
    """A node's record about a hit.

    Raises:
        ConfigurationError: ``bad-contact``, when it would be no record.
    """
    try:
        return HitRecord.model_validate(
            {
                "hit": hit,
                "state": state,
                "cases": tuple(sorted(cases)[:MOST_CASES]),
                "contact": terms.contact,
                "type": kind,
                "strength": strength,
                "handling": terms.handling,
                "purpose": terms.purpose,
                "urgency": urgency,
                "expires": today + timedelta(days=terms.valid_days),
            }
        )
    except ValidationError as error:
        places = sorted({str(item["loc"][0]) for item in error.errors() if item["loc"]})
        raise ConfigurationError(
            "bad-contact",
            f"no record can be made: {', '.join(places)}",
            f"see {FILE}; docs/links.md explains it",
        ) from None


def seal_ready(record: HitRecord, forms: Iterable[str]) -> bytes:
    """The bytes of a record, after a last look that no identifier of its cases stands in what people wrote.

    Args:
        record: The record.
        forms: Normal forms of all identifiers of the cases that it names (``links.normalise``).

    Raises:
        RefusedError: ``identifier-in-record``; the identifier is not quoted.
    """
    data = record.to_bytes()
    written = _plain(f"{record.contact.unit}|{record.contact.email}|{record.contact.phone}")
    parts = {_plain(part) for form in forms for part in form.split(":")[1:]}  # the first names a rule
    if any(len(part) >= _SHORTEST_PART and part in written for part in parts):
        raise RefusedError(
            "identifier-in-record",
            "the contact point is an identifier of the case itself, or contains one",
            f"give the unit's own address and number in {FILE}",
        )
    if len(data) > LONGEST:
        raise RefusedError("record-too-long", "the record would be too long", f"shorten {FILE}")
    return data


def _plain(text: str) -> str:
    return "".join(mark for mark in text.casefold() if mark.isalnum())


def _bad_record(what: str) -> PeerError:
    return PeerError(
        "bad-hit-record",
        f"the other state's record of a hit is none: {what}",
        "ask its contact point, over another line, and check that both run the same version",
    )
