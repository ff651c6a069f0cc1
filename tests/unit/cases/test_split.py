"""Splitting one file into national ones."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from intake_samples import GOOD, HEADER, mapping, row, write_csv

from safeborders_fed.cases.intake import import_file, preview_file
from safeborders_fed.cases.split import split_file
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.errors import DataError, UsageError


def _with_country(countries: list[str]) -> list[tuple[str, ...]]:
    return [(*row(Дело=f"Д-{at}", Жертва=f"Ж-{at}"), country) for at, country in enumerate(countries)]


def test_the_largest_known_values_become_pieces_that_import_alike(store: CaseStore, tmp_path: Path) -> None:
    countries = ["RO"] * 5 + ["0"] * 9 + [""] * 9 + ["н/д"] * 9 + ["BG"] * 3 + [" BG"] + ["IT"] * 2 + ["FI"]
    source = mapping(
        'encoding = "cp1251"\ndelimiter = ";"',
        **{'constant = "BG"': 'column = "Държава"\nnull_values = ["0"]'},
    )
    path = write_csv(tmp_path / "a.csv", _with_country(countries), (*HEADER, "Държава"), "cp1251", ";")
    pieces = split_file(path, source, "Държава", tmp_path, largest=3)
    assert [piece.value for piece in pieces] == ["RO", "BG", "IT"]
    reports = [import_file(piece.path, piece.mapping, store) for piece in pieces]
    assert [report.new for report in reports] == [5, 4, 2]
    assert len({piece.mapping.name for piece in pieces}) == 3
    assert preview_file(pieces[0].path, pieces[0].mapping).ignored_columns == ()
    whole = import_file(path, source, store)
    assert whole.unchanged == 11  # what the pieces brought in is what the whole file says


def test_a_column_that_no_field_uses_can_be_split_by(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", _with_country(["x", "y/z", "y/z", ""]), (*HEADER, "Район"))
    pieces = split_file(path, mapping(), "Район", tmp_path)
    assert [piece.value for piece in pieces] == ["y/z", "x"]
    assert all(piece.path.parent == tmp_path for piece in pieces)


def test_typed_files_keep_their_dates(store: CaseStore, tmp_path: Path) -> None:
    columns = {name: [text] for name, text in zip(HEADER, GOOD, strict=True)} | {"Дата": [date(2020, 3, 5)]}
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table(columns), path)
    (piece,) = split_file(path, mapping(), "Пол", tmp_path)
    assert import_file(piece.path, piece.mapping, store).new == 1
    assert store.cases()["registration_date"].to_pylist() == [date(2020, 3, 5)]


def test_json_lines_can_be_split(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(dict(zip(HEADER, GOOD, strict=True))), encoding="utf-8")
    (piece,) = split_file(path, mapping(), "Пол", tmp_path)
    assert preview_file(piece.path, piece.mapping).new == 1


def test_a_missing_column_is_refused_with_those_there_are(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [GOOD])
    with pytest.raises(UsageError, match=r"no column 'Country'; it has Дело, Жертва"):
        split_file(path, mapping(), "Country", tmp_path)


def test_a_column_without_known_values_is_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [row(Пол=""), row(Пол="?"), row(Пол="жж")])
    with pytest.raises(DataError, match="nothing-to-split"):
        split_file(path, mapping(), "Пол", tmp_path)
