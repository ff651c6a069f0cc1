"""One hit in plain words, for the people who decide about it.

Guarantees: it says first what a hit is not. It shows what it is given and nothing else.
"""

from __future__ import annotations

from typing import Any

from safeborders_fed.cases.contract import IDENTIFIER_TYPES


def text_of(shown: dict[str, Any]) -> str:
    """The text about a hit, from what ``links.hits.view`` says of it."""
    lines = [*shown["reminder"], ""]
    lines += [
        f"Hit {shown['hit']}",
        f"Your case handle {shown['handle']}: there is a hit with {shown['partner']},",
        f"strength class {shown['strength']}.",
        f"  What is equal:  {IDENTIFIER_TYPES[shown['type']]}; {shown['means']}.",
        f"  Where it stands: {shown['state']}: {shown['standing']}.",
        f"  Found on {str(shown['opened'])[:10]}{_due(shown)}",
        f"  Own cases (pseudonyms): {', '.join(shown['cases']) or 'none any more'}",
    ]
    for case, known in (shown.get("national_cases") or {}).items():
        lines.append(f"    {case} is {known} in the national file")
    lines += _approvals(shown)
    if shown["alarm"]:
        lines.append("  ALARM: far more hits than usual came with it. Somebody may be fishing: look first.")
    if shown["state"] == "approved-both" and shown["reason"]:
        lines.append(f"  NOTHING IS SENT YET ({shown['reason']}): the node's operator must mend that first.")
    if shown["record"] is not None:
        lines += _record(shown)
    if shown["partner_outcome"]:
        lines.append(f"  The other state says: {shown['partner_outcome']}.")
    lines += ["", *_next(shown)]
    return "\n".join(lines)


def _due(shown: dict[str, Any]) -> str:
    if shown["due"] is None:
        return "."
    return f"; due on {shown['due'][:10]}{', OVERDUE' if shown['overdue'] else ''}."


def _approvals(shown: dict[str, Any]) -> list[str]:
    people = ", ".join(shown["approved_by"]) or "nobody"
    return [f"  Approved here by: {people}; {shown['approvals_needed']} people must."]


def _record(shown: dict[str, Any]) -> list[str]:
    record = shown["record"]
    contact = record["contact"]
    return [
        f"  Record of {record['state']}:",
        f"    cases (their pseudonyms): {', '.join(record['cases'])}",
        f"    contact: {contact['unit']}, {contact['email']}, {contact['phone']}",
        f"    handling codes: {', '.join(record['handling'])}; purpose: {record['purpose']}",
        f"    urgency: {record['urgency']}; may be used until {record['expires']}",
    ]


def _next(shown: dict[str, Any]) -> list[str]:
    name = shown["hit"][:12]
    if shown["state"] == "open":
        return [
            "If you approve, the other state gets your case pseudonyms and your unit's contact point, once",
            "its people have approved too. It never gets the identifier, a name, or anything about a victim.",
            f"Next: `safeborders node links approve-hit {name}`, or `decline {name} --reason ...`",
        ]
    if shown["state"] in {"exchanged", "followed-up"}:
        return [
            f"Next: `safeborders node links draft {name} --out FILE` writes a draft for the secure channel;",
            f"`safeborders node links outcome {name} --what ...` says what came of it.",
        ]
    return ["Nothing is to be done here now."]
