"""Identifiers that stand in case files everywhere and tell nothing: hotlines, shelters, taxis, lawyers.

Guarantees: what is on the list never goes into a batch. The list lies sealed: refuted hits add to it, and
they are identifiers of people. Each change is on record, by number and reason, without the identifier.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from safeborders_fed.audit.chain import Operation
from safeborders_fed.cases.contract import IDENTIFIER_TYPES
from safeborders_fed.errors import DataError, UsageError
from safeborders_fed.links import normalise
from safeborders_fed.links.epoch_keys import unwritable
from safeborders_fed.links.office import Office

NAME: Final = "stop-list"


class Stopped(BaseModel):
    """One normal form that is left out.

    Attributes:
        kind: Type of identifier.
        form: Its normal form.
        reason: Why.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: str
    form: Annotated[str, Field(min_length=1, max_length=1000)]
    reason: Annotated[str, Field(min_length=1, max_length=500)]


_LIST: Final = TypeAdapter(tuple[Stopped, ...])


def stopped(office: Office) -> tuple[Stopped, ...]:
    """The list.

    Raises:
        ConfigurationError: ``wrong-key``: without its list a node prepares no batch.
    """
    content = office.vault.load(NAME)
    return () if content is None else _LIST.validate_json(content)


def stopped_digests(office: Office) -> frozenset[bytes]:
    """The digests of all that is on the list. Raises as ``stopped``."""
    return frozenset(office.vault.digest(each.kind, each.form) for each in stopped(office))


def add(office: Office, entries: Iterable[Stopped], *, who: str, why: str) -> int:
    """Adds to the list what is not there yet; how many.

    Raises:
        ConfigurationError: ``wrong-key`` or ``links-unwritable``.
    """
    before = stopped(office)
    there = {(each.kind, each.form) for each in before}
    new = [each for each in dict.fromkeys(entries) if (each.kind, each.form) not in there]
    if not new:
        return 0
    try:
        office.vault.replace(NAME, _LIST.dump_json((*before, *new)))
    except OSError as error:
        raise unwritable(error) from error
    office.audit_log.append(
        Operation.LINK_SWITCH,
        who=who,
        why=why,
        details={"stop_list": len(before) + len(new), "new": len(new)},
    )
    return len(new)


def entries_of(kind: str, value: str, reason: str, *, state: str) -> list[Stopped]:
    """What to add for a value as a person writes it: each of its normal forms.

    Raises:
        UsageError: ``unknown-identifier-type``.
        DataError: ``no-normal-form``.
    """
    if kind not in IDENTIFIER_TYPES:
        raise UsageError(
            "unknown-identifier-type",
            f"{kind!r} is no type of identifier",
            f"choose one of {', '.join(IDENTIFIER_TYPES)}",
        )
    found = [
        Stopped(kind=kind, form=form.text, reason=reason)
        for form in normalise.forms(kind, value, state=state)
    ]
    if not found:
        raise DataError(
            "no-normal-form",
            f"the value has no normal form of type {kind}, so it takes part in nothing as it is",
            "nothing, for a short or emergency number; else write it as it stands in case files",
        )
    return found
