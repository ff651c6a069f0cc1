"""A node with a few cases, for the tests of what changes its whole store."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safeborders_fed.audit.chain import verify
from safeborders_fed.cases.intake import ImportReport, import_file
from safeborders_fed.cases.mapping import Mapping, parse_mapping
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.caps import Caps
from safeborders_fed.node.creating import create_node
from safeborders_fed.node.intake_terms import current_cutoffs
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.study.key_files import load_key

MAPPING = """
schema_version = 1
name = "register"
description = "A small register"
contract_version = "1"
period = { first = 2000, last = 2026 }
[fields.case_id]
column = "case"
[fields.victim_id]
column = "victim"
[fields.registration_date]
column = "day"
formats = ["%Y-%m-%d"]
[fields.sex]
column = "sex"
values = { f = "Feminine", m = "Masculine" }
[fields.age_band]
column = "age"
number = true
null_values = [""]
[[identifiers]]
type = "phone"
owner = "Exploiter"
column = "phone"
"""
Row = tuple[str, str, str, str, str, str]


def mapping() -> Mapping:
    return parse_mapping(MAPPING, "register.toml")


def row(number: int, *, case: str = "", day: str = "2024-03-05", sex: str = "f", age: str = "30") -> Row:
    return (case or f"case-{number}", f"person-{number}", day, sex, age, f"+40 700 {number}")


def write(path: Path, rows: Iterable[Row]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("case", "victim", "day", "sex", "age", "phone"))
        writer.writerows(rows)
    return path


def node(directory: Path, rows: Iterable[Row] | None = None) -> NodeSettings:
    """A node of RO with one snapshot."""
    settings = create_node(directory / "ro", "RO", directory / "ro.key", 1000)
    take_in(settings, map(row, range(40)) if rows is None else rows)
    return settings


def take_in(settings: NodeSettings, rows: Iterable[Row], *, restore: bool = False) -> ImportReport:
    """Imports rows as ``safeborders node import`` does."""
    file = write(settings.home.parent / "register.csv", rows)
    store = settings.open_store()
    return import_file(file, mapping(), store, cutoffs=current_cutoffs(settings), restore=restore)


def with_settings(settings: NodeSettings, text: str) -> NodeSettings:
    """The node with more text in its node.toml."""
    with (settings.home / "node.toml").open("a", encoding="utf-8") as file:
        file.write(text)
    return NodeSettings.load(settings.home)


def open_study(settings: NodeSettings, study: str, snapshot: str) -> Ledger:
    """A study under way on a snapshot."""
    ledger = Ledger(settings.home / "ledger.sqlite", Caps(1.0, 1.0, 1.0))
    ledger.reserve(study, "ab" * 32, 0.01, snapshot)
    return ledger


def log_entries(settings: NodeSettings) -> list[dict[str, Any]]:
    """All entries of the audit log, which holds."""
    settings.open_audit_log().close()
    verify(settings.audit_path, [public_hex(load_key(settings.signing_key_path))])
    return [json.loads(line) for line in settings.audit_path.read_bytes().splitlines()]


def all_bytes(directory: Path) -> dict[str, bytes]:
    """The content of every file below a directory, but the lock."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != "lock"
    }
