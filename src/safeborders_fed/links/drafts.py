"""Drafts for the secure channel: a SIENA message, and a European Investigation Order.

Guarantees: a draft is a text in a local file that only its owner may read; nothing here sends anything. It
holds what both states have exchanged and what the case file of this state is called here, and leaves open,
marked ``[...]``, all that a person must know and decide. It says first what a person must check.

Headings of the order are those of Annex A to Directive 2014/41/EU; which fields they have is for the form
itself, which the draft does not replace. Handling codes of a SIENA message are those of ``hit_records``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from safeborders_fed.errors import ConfigurationError, RefusedError
from safeborders_fed.links.hit_records import HANDLING
from safeborders_fed.links.hits import REMINDER
from safeborders_fed.study import durable

Kind = Literal["siena", "eio"]
OPEN: Final = "[...]"
TO_CHECK: Final = (
    "Does the identifier in this state's file really belong to the case, as it is written there?",
    "Is it shared by many (a hotline, a lawyer, a taxi, a shelter)? Then refute the hit instead.",
    "Is the exchange permitted by national law, for this purpose, in this case?",
    "Do the other state's handling codes and last day of use permit what you are about to do?",
    "Is anybody, a victim first of all, put at risk by the request?",
    "Every fact below: it was filled in by a program from a hit, and a hit is no evidence.",
)
SECTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "A": "Data on the issuing State and the executing State",
        "B": "Urgency",
        "C": "Investigative measure(s) to be carried out",
        "D": "Relation to an earlier EIO",
        "E": "Identity of the person concerned",
        "F": "Type of proceedings for which the EIO is issued",
        "G": "Grounds for issuing the EIO",
        "H": "Additional requirements for certain measures",
        "I": "Formalities and procedures requested for the execution",
        "J": "Legal remedies",
        "K": "Details of the authority which issued the EIO",
        "L": "Details of the judicial authority which validated the EIO",
    }
)
"""Headings of Annex A to Directive 2014/41/EU, in short."""


def text(kind: Kind, node: str, view: Mapping[str, Any], national: Mapping[str, str]) -> str:
    """A draft about a hit whose records are exchanged.

    Args:
        kind: Which.
        node: This state.
        view: What people may know of the hit (``hits.view``).
        national: Pseudonyms of own cases to their ids in the national file.

    Raises:
        RefusedError: ``no-record``, before the other state's record is here.
    """
    if view["record"] is None:
        raise RefusedError(
            "no-record",
            f"hit {view['hit'][:12]} is {view['state']}: the other state's record is not here",
            "wait until people of both states have approved and the next exchange has run",
        )
    body = _siena if kind == "siena" else _order
    lines = [
        "DRAFT, NOT SENT. To be checked, completed and sent by a person over the secure channel.",
        *(f"  {each}" for each in REMINDER),
        "",
        "Check before you send:",
        *(f"  [ ] {each}" for each in TO_CHECK),
        "",
        *body(node, view, view["record"], national),
    ]
    return "\n".join(lines) + "\n"


def write(path: Path, content: str) -> None:
    """Writes a draft to a new file that only its owner may read.

    Raises:
        ConfigurationError: ``draft-exists`` or ``draft-unwritable``.
    """
    try:
        durable.create(path, content.encode("utf-8"))
    except FileExistsError as error:
        raise ConfigurationError(
            "draft-exists", f"{path} is there already", "give the name of a new file"
        ) from error
    except OSError as error:
        raise ConfigurationError(
            "draft-unwritable", f"{path} cannot be written: {error.strerror}", "choose another place"
        ) from error


def _siena(
    node: str, view: Mapping[str, Any], record: Mapping[str, Any], national: Mapping[str, str]
) -> Sequence[str]:
    contact = record["contact"]
    return [
        "SIENA MESSAGE",
        f"From:             {node}, {OPEN}",
        f"To:               {record['state']}, {contact['unit']}",
        f"Urgency:          {view['urgency']}",
        f"Handling codes:   {OPEN} (yours; see below for those of the other state)",
        "Crime area:       trafficking in human beings",
        f"Purpose:          {record['purpose']}",
        f"Own reference:    {_own(view, national)}",
        f"Their reference:  {', '.join(record['cases'])} (case pseudonyms of {record['state']})",
        f"Hit:              {view['hit'][:12]}, found {str(view['opened'])[:10]}",
        "",
        f"Subject: an identifier of type {view['type']} stands in case files of both states",
        "",
        f"An identifier of type {view['type']} in our case ({view['means']}) stands in yours, too.",
        "Neither state has told the other the identifier. We ask you to:",
        f"  - {OPEN}",
        "",
        *_use(record),
    ]


def _order(
    node: str, view: Mapping[str, Any], record: Mapping[str, Any], national: Mapping[str, str]
) -> Sequence[str]:
    contact = record["contact"]
    known = {
        "A": f"Issuing State: {node}. Executing State: {record['state']}.",
        "B": f"Urgency that was stated with the hit: {view['urgency']}. Grounds: {OPEN}",
        "C": f"{OPEN} (a hit alone supports no coercive measure)",
        "E": f"{OPEN} (the exchange of links knows no person)",
        "G": f"An identifier of type {view['type']} of case {_own(view, national)} stands in case "
        f"{', '.join(record['cases'])} (pseudonym) of {record['state']}: {view['means']}. Necessity and "
        f"proportionality (Article 6): {OPEN}",
        "K": f"{OPEN}. Contact in the executing State: {contact['unit']}, {contact['email']}, "
        f"{contact['phone']}",
    }
    lines = ["EUROPEAN INVESTIGATION ORDER (Directive 2014/41/EU, Annex A): notes for the form"]
    for letter, heading in SECTIONS.items():
        lines += ["", f"SECTION {letter}: {heading}", f"  {known.get(letter, OPEN)}"]
    return [*lines, "", *_use(record)]


def _own(view: Mapping[str, Any], national: Mapping[str, str]) -> str:
    return ", ".join(national.get(case, f"{case} (pseudonym)") for case in view["cases"]) or OPEN


def _use(record: Mapping[str, Any]) -> Sequence[str]:
    return [
        f"How {record['state']} permits its record to be used:",
        *(f"  {code}: {HANDLING[code]}" for code in record["handling"]),
        f"  only for {record['purpose']}, until {record['expires']}",
    ]
