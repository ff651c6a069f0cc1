"""The data contract, in words and as plain data."""

from __future__ import annotations

from typing import Any

from safeborders_fed.cases.contract import (
    CONTRACT_VERSION,
    FIELDS,
    IDENTIFIER_OWNERS,
    IDENTIFIER_TYPES,
    Field,
)


def contract_content() -> dict[str, Any]:
    """The contract as plain data."""
    return {
        "contract_version": CONTRACT_VERSION,
        "fields": [
            {
                "name": entry.name,
                "label": entry.label,
                "kind": entry.kind.value,
                "standard": entry.standard,
                "identifying": entry.identifying,
                "feature": entry.feature,
                "target": entry.target,
                "values": [
                    {"code": value.code, "label": value.label, "bin": value.bin} for value in entry.values
                ],
            }
            for entry in FIELDS
        ],
        "identifier_types": IDENTIFIER_TYPES,
        "identifier_owners": list(IDENTIFIER_OWNERS),
    }


def contract_text() -> str:
    """The contract for a reader: each field, what it is for, its values and their bins."""
    blocks = [f"Data contract, version {CONTRACT_VERSION}", *map(_field_text, FIELDS)]
    types = [f"  {name:<10} {label}" for name, label in IDENTIFIER_TYPES.items()]
    blocks.append("\n".join(["Identifiers (links only, never in an analysis)", *types]))
    blocks.append("Owners of identifiers: " + ", ".join(IDENTIFIER_OWNERS))
    return "\n\n".join(blocks)


def _field_text(entry: Field) -> str:
    uses = {"identifying": entry.identifying, "feature": entry.feature, "label": entry.target}
    marks = ", ".join(name for name, holds in uses.items() if holds) or "neither feature nor label"
    head = f"{entry.name} ({entry.kind}; {marks}): {entry.label}. {entry.standard}"
    if len(entry.values) > len(entry.bins) + len(entry.bins):  # many values a bin, as with countries
        members = {name: [value.code for value in entry.values if value.bin == name] for name in entry.bins}
        lines = [f"  {name}: {' '.join(codes)}" for name, codes in members.items()]
        return "\n".join([head, *lines])
    lines = [
        f"  {value.code:<48} {value.label}" + (f"  [bin {value.bin}]" if value.bin != value.code else "")
        for value in entry.values
    ]
    return "\n".join([head, *lines])
