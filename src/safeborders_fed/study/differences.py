"""What differs between two studies of one kind, field by field, in plain words.

Guarantees: every field of the manifest is compared, but for its name and what follows from other fields
(bound, sigma and rho of each stage). What is not mentioned is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from safeborders_fed.study.manifest import Manifest

_SETS: Final = {"columns": "columns", "participants": "states"}
_VALUES: Final = {
    "purpose": "purpose",
    "purpose_category": "kind of purpose",
    "legal_basis": "legal basis",
    "analysis": "analysis",
    "epsilon": "epsilon",
    "delta": "delta",
    "unit": "unit",
    "trust": "trust",
    "minimum_participants": "fewest states",
    "tolerated_colluders": "colluders tolerated",
    "retries": "retries",
    "tick_seconds": "seconds between answers",
    "max_victims": "most victims at a state",
    "expires": "last day",
    "roster_hash": "roster",
    "contract_version": "data contract",
    "protocol": "protocol",
    "software_version": "software version",
    "code_hash": "code",
    "schema_version": "form of the manifest",
}
FOLLOWING: Final = frozenset({"id", "rho"})
"""Fields that are not compared: the name, and what follows from epsilon and delta."""


class Difference(NamedTuple):
    """One difference.

    Attributes:
        field: Which field; for a parameter its name behind ``parameters.``.
        text: The difference in plain words.
    """

    field: str
    text: str


def differences(before: Manifest, after: Manifest) -> list[Difference]:
    """What a study asks that an earlier one did not, and the other way round."""
    return [
        *_sets(before, after),
        *_values(before, after),
        *_parameters(before, after),
        *_rounds(before, after),
    ]


def _sets(before: Manifest, after: Manifest) -> Iterator[Difference]:
    for field, name in _SETS.items():
        old, new = getattr(before, field), getattr(after, field)
        more = [entry for entry in new if entry not in old]
        less = [entry for entry in old if entry not in new]
        words = [f"more: {_listed(more)}"] if more else []
        words += [f"no longer: {_listed(less)}"] if less else []
        if words:
            yield Difference(field, f"{name}: {'; '.join(words)}")


def _values(before: Manifest, after: Manifest) -> Iterator[Difference]:
    for field, name in _VALUES.items():
        old, new = getattr(before, field), getattr(after, field)
        if old != new:
            yield Difference(field, f"{name}: {_said(old)} before, {_said(new)} now")


def _parameters(before: Manifest, after: Manifest) -> Iterator[Difference]:
    for name in sorted({*before.parameters, *after.parameters}):
        old, new = before.parameters.get(name), after.parameters.get(name)
        if old != new:
            text = f"{name.replace('_', ' ')}: {_said(old)} before, {_said(new)} now"
            yield Difference(f"parameters.{name}", text)


def _rounds(before: Manifest, after: Manifest) -> Iterator[Difference]:
    old, new = (sum(stage.rounds for stage in manifest.stages) for manifest in (before, after))
    if old != new:
        yield Difference("stages", f"rounds: {old} before, {new} now")


def _listed(entries: Iterable[Any]) -> str:
    return ", ".join(map(str, entries))


def _said(value: Any) -> str:
    match value:
        case None:
            return "none"
        case float():
            return f"{value:.4g}"
        case list() | tuple():
            return _listed(value) or "none"
        case str() if len(value) == 64 and value.isalnum():
            return f"{value[:12]}..."
    return str(value)
