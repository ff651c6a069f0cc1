"""Test vectors: what each version makes of identifiers may not change without another version."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from judged_names import all_persons

from safeborders_fed.links.normalise import VERSION, forms

FILE = json.loads(Path(__file__).with_name("vectors_normalise.json").read_text(encoding="utf-8"))


def made(kind: str, value: str, state: str) -> list[list[str]]:
    return [[form.text, form.strength] for form in forms(kind, value, state=state)]


@pytest.mark.parametrize(
    "vector", FILE["vectors"], ids=lambda vector: f"{vector['kind']} {vector['value']!a}"
)
def test_vector(vector: dict[str, Any]) -> None:
    assert made(vector["kind"], vector["value"], vector["state"]) == vector["forms"]


def test_a_change_of_any_form_needs_a_new_version() -> None:
    # What a version made stays what it made: raise VERSION, and add its line to the vectors.
    persons = [made("person", name, "BG") for name in all_persons()]
    others = [made(vector["kind"], vector["value"], vector["state"]) for vector in FILE["vectors"]]
    text = json.dumps(persons + others, ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == FILE["outputs"][VERSION]
