"""What attackers on links do: to messages on their way, and as a node with a valid key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from link_federation import LinkFederation, LinkNode
from safeborders_fed.study import canonical
from safeborders_fed.study.link_messages import LinkAnswer, LinkAsk, Said, Words, array_hash, say

AskChange = Callable[[str, LinkAsk], LinkAsk]
AnswerChange = Callable[[str, LinkAsk, LinkAnswer], LinkAnswer]


@dataclass(frozen=True)
class Attack:
    """One row of the table in docs/links.md."""

    what: str
    who: str
    outcome: str
    place: tuple[str, int]


TABLE: list[Attack] = []
"""All attacks that a test tries."""
Test = Callable[..., None]


def attack(what: str, *, by: str, outcome: str) -> Callable[[Test], Test]:
    """Marks a test as one that tries an attack and requires an outcome."""

    def marked(test: Test) -> Test:
        TABLE.append(Attack(what, by, outcome, (test.__module__, test.__code__.co_firstlineno)))
        return test

    return marked


def table() -> str:
    """The attacks and their outcomes as Markdown."""
    head = ["| Attack | By whom | Outcome |", "|---|---|---|"]
    rows = sorted(TABLE, key=lambda row: row.place)
    return "\n".join([*head, *(f"| {row.what} | {row.who} | {row.outcome} |" for row in rows)])


def content(said: Said) -> dict[str, Any]:
    """What a saying holds."""
    found: dict[str, Any] = canonical.parse(said.text.encode("utf-8"))
    return found


def resaid(node: LinkNode, said: Said, **changes: Any) -> Said:
    """A node signs something else in place of what its software said."""
    return say(node.name, node.office.key, said.kind, content(said) | changes)


def lying_answer(node: LinkNode, answer: LinkAnswer, **changes: Any) -> LinkAnswer:
    """A node's answer with other content, signed by it; arrays given here go with their hash."""
    arrays = {
        name: value for name, value in changes.items() if not isinstance(value, str | int | list | dict)
    }
    hashes = {name: array_hash(array) for name, array in arrays.items()}
    said = resaid(node, answer.said, **{**changes, **hashes})
    return replace(answer, said=said, arrays={**answer.arrays, **arrays})


def at_step(step: str, node: str | None, change: AnswerChange) -> AnswerChange:
    """Changes the answers of one node (or of all) in one step."""

    def changed(name: str, ask: LinkAsk, answer: LinkAnswer) -> LinkAnswer:
        return change(name, ask, answer) if ask.step == step and node in {None, name} else answer

    return changed


def asks_at(step: str, node: str | None, change: AskChange) -> AskChange:
    """Changes what one node (or all) is asked in one step."""

    def changed(name: str, ask: LinkAsk) -> LinkAsk:
        return change(name, ask) if ask.step == step and node in {None, name} else ask

    return changed


def with_points(ask: LinkAsk, points: Words) -> LinkAsk:
    """A question with other points."""
    return replace(ask, arrays={"points": points})


def charged(made: LinkFederation, node: str) -> int:
    """Points that a node has charged, by its audit log."""
    return sum(
        int(entry.details["points"])
        for entry in made[node].log()
        if entry.operation == "link-answer" and "points" in entry.details
    )


def alarms(made: LinkFederation, node: str) -> set[str]:
    """Kinds of the alarms at a node."""
    return {str(row[1]).removeprefix("hits-") for row in made[node].office.book.alarms()}


def case_references(made: LinkFederation) -> set[str]:
    """Pseudonyms of all cases of all nodes: none of them may pass."""
    return {each.case for node in made.nodes.values() for each in node.office.identified()}


def require_no_reference(made: LinkFederation) -> None:
    """No case of anybody stands in anything that passed."""
    references = case_references(made)
    for _, _, answer in made.wire.passed:
        if isinstance(answer, LinkAnswer) and any(case in answer.said.text for case in references):
            pytest.fail("a case reference passed")
