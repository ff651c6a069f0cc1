"""How links stand at a node, in words for people."""

from __future__ import annotations

from typing import Any

from safeborders_fed.cli import output


def status_text(content: dict[str, Any]) -> str:
    """The text of ``controls.status``."""
    lines = ["Links are on." if content["on"] else f"LINKS ARE OFF: {content['off']}"]
    lines.append(f"Epoch {content['epoch']}: keys {content['keys']}; {content['tokens']:,} tokens.")
    lines += [
        f"The secrets of epoch {epoch} are still here: `safeborders node links destroy {epoch}`."
        for epoch in content["overdue_epochs"]
    ]
    for period in content["counted_as_spent"]:
        lines.append(f"All quotas of {period} count as spent, since the node was restored from a backup.")
    lines += [f"ALARM {each['at'][:16]} {each['said']}" for each in content["alarms"]]
    lines += ["", *_batches(content["batches"]), "", *_asked(content)]
    return "\n".join(lines)


def batch_text(content: dict[str, Any]) -> str:
    """The text of ``controls.batch_facts``: what a prosecutor reads before signing."""
    people = content["approved_by"]
    lines = [
        f"Batch {content['batch']}: {content['state']}",
        f"Purpose: {content['purpose']}. Legal basis: {content['legal_basis']}",
        f"Epoch {content['epoch']}; others may answer until {content['expires'][:16]} UTC.",
        "What it asks tokens for:",
        *(
            f"  {kind}: {count:,} identifiers of this node, sent as {content['points'][kind]:,} points"
            for kind, count in content["identifiers"].items()
        ),
        "The others learn the points by type, purpose, legal basis and your name; no identifier and no case.",
        f"Bound to its cases by {content['root']}, which `safeborders node links audit` opens.",
        f"Approvals: {len(people)} of {content['approvals_needed']} ({', '.join(people) or 'nobody'}).",
        f"Chunks with their tokens: {content['taken']} of {content['chunks']}.",
    ]
    return "\n".join([*lines, *(f"LOOK FIRST: {said}" for said in content["alarms"])])


def _batches(batches: list[dict[str, Any]]) -> list[str]:
    if not batches:
        return ["No batch was prepared here."]
    rows = [
        [
            each["batch"][:12],
            each["state"],
            sum(each["identifiers"].values()),
            f"{each['taken']}/{each['chunks']}",
        ]
        for each in batches
    ]
    return [output.table(["batch", "state", "identifiers", "chunks"], rows)]


def _asked(content: dict[str, Any]) -> list[str]:
    rows = [
        [each["state"], each["type"], each["points"], period]
        for period, name in (("this month", "asked_this_month"), ("first load", "first_loads"))
        for each in content[name]
    ]
    if not rows:
        return ["No state has asked for points this month."]
    return [output.table(["state", "type", "points", "when"], rows)]
