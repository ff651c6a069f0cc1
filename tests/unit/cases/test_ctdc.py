"""The CTDC 2020 file comes in through its mapping alone."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from safeborders_fed.cases.contract import field
from safeborders_fed.cases.intake import import_file
from safeborders_fed.cases.mapping import load_mapping
from safeborders_fed.cases.split import split_file
from safeborders_fed.cases.store import CaseStore

ROOT = Path(__file__).resolve().parents[3]
MAPPING = load_mapping(ROOT / "configs" / "mappings" / "ctdc-2020.toml")

pytestmark = pytest.mark.needs_data


@pytest.fixture
def source(data_directory: Path) -> Path:
    return data_directory / "ctdc_global_2020.csv"


def test_every_row_is_accepted_and_every_count_is_kept(store: CaseStore, source: Path) -> None:
    report = import_file(source, MAPPING, store)
    assert (report.read, report.new, report.rejected) == (48_773, 48_773, 0)
    assert report.ignored_columns == ()
    with source.open(encoding="utf-8", newline="") as file:
        raw = list(csv.DictReader(file))
    table = store.cases()

    def counts(name: str) -> Counter[str | None]:
        return Counter(table[name].to_pylist())

    unknown = {"": None, "0": None}
    for column, name in (
        ("citizenship", "citizenship"),
        ("CountryOfExploitation", "country_of_exploitation"),
    ):
        assert counts(name) == Counter(unknown.get(entry[column], entry[column]) for entry in raw)
    assert counts("age_band") == Counter(entry["ageBroad"] or None for entry in raw)
    assert sum(counts("age_band")[band] for band in ("0--8", "9--17")) == 10_201
    sexes = {"Female": "Feminine", "Male": "Masculine"}
    assert counts("sex") == Counter(sexes[entry["gender"]] for entry in raw)
    years = Counter(day.year for day in table["registration_date"].to_pylist())
    assert years == Counter(int(entry["yearOfRegistration"]) for entry in raw)
    for column, code in (("isForcedLabour", "ForcedLabour"), ("isSexualExploit", "SexualExploitation")):
        bit = field("forms_of_exploitation").codes.index(code)
        present = sum(bits >> bit & 1 for bits in table["forms_of_exploitation"].to_pylist())
        known = sum(bits >> bit & 1 for bits in table["forms_of_exploitation_known"].to_pylist())
        assert present == sum(entry[column] == "1.0" for entry in raw)
        assert known == sum(entry[column] != "" for entry in raw)


def test_namibia_is_a_country(store: CaseStore, source: Path, tmp_path: Path) -> None:
    lines = source.read_text(encoding="utf-8").splitlines()
    namibian = [line for line in lines if line.split(",")[3] == "NA" or line.split(",")[6] == "NA"]
    path = tmp_path / "na.csv"
    path.write_text(
        "\n".join([lines[0], *(namibian or ["2010,Female,9--17,NA,0.0,1.0,NA"])]), encoding="utf-8"
    )
    import_file(path, MAPPING, store)
    found = store.cases().to_pylist()
    assert all("NA" in {entry["citizenship"], entry["country_of_exploitation"]} for entry in found)


def test_it_splits_into_the_eight_largest_countries(source: Path, tmp_path: Path) -> None:
    pieces = split_file(source, MAPPING, "CountryOfExploitation", tmp_path)
    assert [piece.value for piece in pieces] == ["US", "UA", "MD", "RU", "PH", "ID", "KH", "MY"]
    with pieces[0].path.open(encoding="utf-8") as file:
        assert sum(1 for _ in file) == 12_513
