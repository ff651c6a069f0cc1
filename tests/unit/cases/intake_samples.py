"""A small register and its mapping, for the tests of intake."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from safeborders_fed.cases.mapping import Mapping, parse_mapping

MAPPING = """
schema_version = 1
name = "example-bg"
description = "An example"
contract_version = "1"
period = { first = 2018, last = 2025 }
[file]
null_values = ["", "н/д"]
[fields.case_id]
column = "Дело"
[fields.victim_id]
column = "Жертва"
[fields.registration_date]
column = "Дата"
formats = ["%d.%m.%Y", "%m/%Y", "%Y"]
[fields.sex]
column = "Пол"
values = { "ж" = "Feminine", "м" = "Masculine" }
null_values = ["?"]
ignore_case = true
[fields.age_band]
column = "Възраст"
number = true
[fields.country_of_exploitation]
constant = "BG"
[fields.means_of_control]
column = "Методи"
separator = "|"
values = { "дълг" = "DebtBondage", "заплахи" = "PhysicalThreats" }
[fields.forms_of_exploitation]
flags = [
  { column = "Труд", value = "ForcedLabour", present = ["да"], absent = ["не"] },
  { column = "Секс", value = "SexualExploitation", present = ["да"], absent = ["не"] },
]
[[identifiers]]
type = "phone"
owner = "Exploiter"
column = "Телефон"
separator = "|"
"""
HEADER = ("Дело", "Жертва", "Дата", "Пол", "Възраст", "Методи", "Труд", "Секс", "Телефон")
GOOD = ("Д-1", "Ж-1", "05.03.2020", "Ж", "16", "дълг|заплахи", "да", "не", "+359 88 1|+359 88 2")


def mapping(file: str = "", **replaced: str) -> Mapping:
    """The sample mapping, with further keys of its [file] table, and some texts replaced."""
    text = MAPPING.replace("[file]\n", f"[file]\n{file}\n")
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    return parse_mapping(text, "sample.toml")


def row(**cells: str) -> tuple[str, ...]:
    """A good row with some cells replaced, by column."""
    return tuple(cells.get(name, text) for name, text in zip(HEADER, GOOD, strict=True))


def rows(count: int, start: int = 0) -> list[tuple[str, ...]]:
    """Good rows of different victims."""
    return [row(Дело=f"Д-{number}", Жертва=f"Ж-{number}") for number in range(start, start + count)]


def write_csv(
    path: Path,
    content: Iterable[Sequence[str]],
    header: Sequence[str] = HEADER,
    encoding: str = "utf-8",
    delimiter: str = ",",
) -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(header)
        writer.writerows(content)
    return path


def quarantined(path: Path | None) -> list[dict[str, str]]:
    """The lines of a quarantine file."""
    assert path is not None
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
