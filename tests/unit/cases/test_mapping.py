"""Mappings: what is read, and that every mistake is refused with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from intake_samples import MAPPING

from safeborders_fed.cases.mapping import load_mapping, parse_mapping
from safeborders_fed.errors import ConfigurationError, UsageError

ROOT = Path(__file__).resolve().parents[3]


def test_the_documented_example_is_a_mapping() -> None:
    text = (ROOT / "docs" / "mapping.md").read_text(encoding="utf-8")
    found = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert found is not None
    mapping = parse_mapping(found[1], "docs/mapping.md")
    assert mapping.period.first == 2018
    assert len(mapping.identifiers) == 2
    assert set(mapping.identifiers[1].sources) <= set(mapping.columns())


@pytest.mark.parametrize(
    "path", sorted((ROOT / "configs" / "mappings").glob("*.toml")), ids=lambda path: path.stem
)
def test_every_mapping_of_the_project_loads(path: Path) -> None:
    assert load_mapping(path).columns()


MISTAKES = {
    "unknown top-level key": ('name = "', 'nom = "x"\nname = "', "nom: no such key"),
    "unknown key of a field": ("ignore_case", "ignore_caps", "[fields.sex] ignore_caps: no such key"),
    "unknown field": ("[fields.sex]", "[fields.gender]", "no field 'gender'"),
    "unknown contract code": ('"Feminine"', '"Woman"', "[fields.sex] values.ж: 'Woman' is not a value"),
    "unknown constant": ('constant = "BG"', 'constant = "Bulgaria"', "constant: 'Bulgaria'"),
    "unknown flag value": ('value = "ForcedLabour"', 'value = "Work"', "flags.Труд: 'Work'"),
    "field mapped twice": ("[fields.age_band]", "[fields.sex]", "sex"),
    "required field missing": ('[fields.victim_id]\ncolumn = "Жертва"', "", "[fields.victim_id] is missing"),
    "key with two sources": (
        'column = "Дело"',
        'column = "Дело"\nrow_number = true',
        "exactly one of column",
    ),
    "constant and column": ('constant = "BG"', 'constant = "BG"\ncolumn = "x"', "exactly one of column"),
    "code with two meanings": ('["?"]', '["Ж"]', "'ж' is given two meanings"),
    "date without a year": ('"%m/%Y"', '"%d/%m"', "has no year"),
    "day without a month": ('"%m/%Y"', '"%d %Y"', "no month"),
    "unknown directive": ('"%m/%Y"', '"%x %Y"', "%x"),
    "number for another field": ("ignore_case = true", "number = true", "takes no values"),
    "period backwards": ("first = 2018", "first = 2028", "later than last"),
    "text for a number": ("first = 2018", 'first = "2018"', "period"),
    "unknown encoding": ("[file]", '[file]\nencoding = "klingon"', "[file] encoding: 'klingon'"),
    "binary codec": ("[file]", '[file]\nencoding = "base64"', "[file] encoding: 'base64'"),
    "long delimiter": ("[file]", '[file]\ndelimiter = "||"', "[file] delimiter"),
    "unknown identifier": ('type = "phone"', 'type = "fax"', "'fax' is not one of phone"),
    "unknown owner": ('"Exploiter"', '"Boss"', "'Boss' is not one of Victim"),
    "separator without column": ('column = "Методи"\n', "", "[fields.means_of_control]"),
    "other contract version": ('contract_version = "1"', 'contract_version = "9"', "contract_version '9'"),
    "name with spaces": ('"example-bg"', '"Example BG"', "name"),
    "not TOML": ("[file]", "[file", "line"),
}


@pytest.mark.parametrize(("old", "new", "shown"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_refused_and_named(tmp_path: Path, old: str, new: str, shown: str) -> None:
    assert old in MAPPING
    path = tmp_path / "wrong.toml"
    path.write_text(MAPPING.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_mapping(path)
    assert str(path) in caught.value.cause
    assert shown in caught.value.cause


def test_a_mapping_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="mapping-missing"):
        load_mapping(tmp_path / "none.toml")


def test_a_mapping_in_a_windows_code_page_is_refused_as_such(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_bytes(MAPPING.encode("cp1251"))
    with pytest.raises(ConfigurationError, match="UTF-8"):
        load_mapping(path)


def test_a_file_of_unknown_kind_needs_a_format() -> None:
    with pytest.raises(UsageError, match="unknown-format"):
        parse_mapping(MAPPING, "m").format_of(Path("cases.dat"))
