"""A named table of bad files: each is refused with a clear message, or loses its bad rows only."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as parquet_encryption
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from intake_samples import GOOD, HEADER, mapping, quarantined, row, rows, write_csv

from safeborders_fed.cases import text_readers
from safeborders_fed.cases.intake import import_file, preview_file
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.errors import ConfigurationError, DataError

LINE = ",".join(GOOD)
HEAD = ",".join(HEADER)


def _text(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def _parquet(path: Path) -> Path:
    pq.write_table(pa.table({name: [text] for name, text in zip(HEADER, GOOD, strict=True)}), path)
    return path


def _truncated_parquet(directory: Path) -> Path:
    path = _parquet(directory / "a.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    return path


def _holed_parquet(directory: Path) -> Path:
    path = _parquet(directory / "a.parquet")
    content = path.read_bytes()
    path.write_bytes(content[:8] + bytes(200) + content[208:])
    return path


def _encrypted_parquet(directory: Path) -> Path:
    class Kms(parquet_encryption.KmsClient):  # type: ignore[misc]  # pyarrow is untyped
        def __init__(self) -> None:
            super().__init__()

        def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> str:
            return key_bytes.hex() + master_key_identifier

    factory = parquet_encryption.CryptoFactory(lambda _: Kms())
    configuration = parquet_encryption.EncryptionConfiguration("k", uniform_encryption=True)
    properties = factory.file_encryption_properties(parquet_encryption.KmsConnectionConfig(), configuration)
    path = directory / "a.parquet"
    pq.write_table(pa.table({"a": [1]}), path, encryption_properties=properties)
    return path


def _nested_parquet(directory: Path) -> Path:
    path = directory / "a.parquet"
    columns = dict.fromkeys(HEADER, pa.array(["1"])) | {"Пол": pa.array([{"a": 1}])}
    pq.write_table(pa.table(columns), path)
    return path


def _truncated_excel(directory: Path) -> Path:
    path = directory / "a.xlsx"
    book = openpyxl.Workbook()
    book.active.append(HEADER)
    book.save(path)
    path.write_bytes(path.read_bytes()[:-200])
    return path


def _zip_called_excel(directory: Path) -> Path:
    path = directory / "a.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")
    return path


def _empty_excel(directory: Path) -> Path:
    path = directory / "a.xlsx"
    openpyxl.Workbook().save(path)
    return path


REFUSED: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "no file": (lambda d: d / "none.csv", "file-missing", "No such file"),
    "a directory": (lambda d: (d / "x.csv").mkdir() or d / "x.csv", "file-missing", "directory"),
    "empty file": (lambda d: _text(d / "a.csv", ""), "empty-file", "a.csv is empty"),
    "blank lines only": (lambda d: _text(d / "a.csv", "\n \n\n"), "empty-file", "is empty"),
    "byte order mark only": (lambda d: _text(d / "a.csv", "\ufeff"), "empty-file", "is empty"),
    "header only": (lambda d: _text(d / "a.csv", HEAD + "\n"), "nothing-accepted", "a header and no rows"),
    "missing column": (
        lambda d: write_csv(d / "a.csv", [GOOD[:-1]], HEADER[:-1]),
        "missing-column",
        "no column 'Телефон'; its columns are 'Дело'",
    ),
    "header of 100,000 columns": (
        lambda d: write_csv(d / "a.csv", [], [f"column {at}" for at in range(100_000)]),
        "too-many-columns",
        "100,000 columns in its header; at most 2,000",
    ),
    "mapped column twice": (
        lambda d: write_csv(d / "a.csv", [(*GOOD, "x")], (*HEADER, "Пол")),
        "duplicate-column",
        "more than one column called 'Пол'",
    ),
    "UTF-16 instead of UTF-8": (
        lambda d: write_csv(d / "a.csv", rows(9), encoding="utf-16"),
        "wrong-encoding",
        "it looks like utf-16",
    ),
    "UTF-16 without a mark": (
        lambda d: write_csv(d / "a.csv", [("a",) * 9] * 9, list("abcdefghi"), "utf-16-le"),
        "wrong-encoding",
        "it looks like utf-16-le",
    ),
    "cp1251 instead of UTF-8": (
        lambda d: write_csv(d / "a.csv", rows(9), encoding="cp1251"),
        "wrong-encoding",
        "it looks like cp1251",
    ),
    "every row unusable": (
        lambda d: write_csv(d / "a.csv", [row(Дата="31.02.2020")] * 3),
        "nothing-accepted",
        "all 3 rows of a.csv were rejected (impossible-date 3)",
    ),
    "header with an open quote": (
        lambda d: _text(d / "a.csv", f'"{HEAD}\n{LINE}\n'),
        "unreadable-file",
        "header",
    ),
    "truncated Parquet": (_truncated_parquet, "unreadable-file", "a.parquet cannot be read as Parquet"),
    "damaged Parquet": (_holed_parquet, "unreadable-file", "a.parquet cannot be read as Parquet"),
    "encrypted Parquet": (_encrypted_parquet, "unreadable-file", "a.parquet cannot be read as Parquet"),
    "nested Parquet": (_nested_parquet, "column-type", "'Пол'"),
    "text called Parquet": (lambda d: _text(d / "a.parquet", HEAD), "unreadable-file", "Parquet"),
    "truncated Excel": (_truncated_excel, "unreadable-file", "an Excel workbook"),
    "text called Excel": (lambda d: _text(d / "a.xlsx", HEAD), "unreadable-file", "an Excel workbook"),
    "archive called Excel": (_zip_called_excel, "unreadable-file", "an Excel workbook"),
    "Excel without cells": (_empty_excel, "empty-file", "is empty"),
    "JSON lines without objects": (lambda d: _text(d / "a.jsonl", "1\n2\n"), "missing-column", "no column"),
}


@pytest.mark.parametrize(("make", "code", "shown"), REFUSED.values(), ids=REFUSED)
def test_a_bad_file_is_refused_with_a_clear_message(
    store: CaseStore, tmp_path: Path, make: Callable[[Path], Path], code: str, shown: str
) -> None:
    path = make(tmp_path)
    with pytest.raises(DataError) as caught:
        import_file(path, mapping(), store)
    assert caught.value.code == code
    assert shown in caught.value.cause
    assert caught.value.exit_code == 3
    assert caught.value.fix
    assert store.latest_snapshot() is None
    assert not list(store.files.data.iterdir())
    assert not list(store.files.work.iterdir())


BAD_ROWS = {
    "unknown code": (row(Пол="жж"), "Пол", "жж", "unknown-code"),
    "unknown code among several": (row(Методи="дълг|магия"), "Методи", "дълг|магия", "unknown-code"),
    "unknown flag": (row(Труд="може би"), "Труд", "може би", "unknown-code"),
    "impossible date": (row(Дата="31.02.2020"), "Дата", "31.02.2020", "impossible-date"),
    "not a date": (row(Дата="скоро"), "Дата", "скоро", "impossible-date"),
    "year zero": (row(Дата="0000"), "Дата", "0000", "impossible-date"),
    "date outside the period": (row(Дата="2017"), "Дата", "2017", "outside-period"),
    "missing date": (row(Дата=""), "Дата", "", "missing-date"),
    "null value as date": (row(Дата="н/д"), "Дата", "н/д", "missing-date"),
    "missing case": (row(Дело=" "), "Дело", "", "missing-key"),
    "null value as victim": (row(Жертва="н/д"), "Жертва", "", "missing-key"),
    "age in words": (row(Възраст="десет"), "Възраст", "десет", "not-a-number"),
    "half years": (row(Възраст="16.5"), "Възраст", "16.5", "not-a-number"),
    "age of 121": (row(Възраст="121"), "Възраст", "121", "age-out-of-range"),
    "negative age": (row(Възраст="-1"), "Възраст", "'-1", "age-out-of-range"),
    "duplicate case id": (row(Дело="Д-0", Жертва="Ж-0", Пол="м"), "Дело + Жертва", "", "duplicate-key"),
    "too few fields": (GOOD[:5], "", "", "wrong-number-of-fields"),
    "too many fields": ((*GOOD, "x"), "", "", "wrong-number-of-fields"),
    "NUL byte": (row(Пол="ж\0"), "Пол", "ж\\x00", "nul-byte"),
}


@pytest.mark.parametrize("case", BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_goes_to_the_quarantine_and_the_good_ones_go_in(
    store: CaseStore, tmp_path: Path, case: tuple[tuple[str, ...], str, str, str]
) -> None:
    bad, column, value, reason = case
    path = write_csv(tmp_path / "a.csv", [*rows(3), bad, *rows(2, start=10)])
    report = import_file(path, mapping(), store)
    assert (report.accepted, report.rejected, report.reasons) == (5, 1, {reason: 1})
    (line,) = quarantined(report.quarantine_file)
    assert (line["row"], line["column"], line["value"], line["reason"]) == ("5", column, value, reason)
    assert line["explanation"]
    assert store.cases().num_rows == 5


def test_rows_with_undecodable_bytes_are_rejected_by_themselves(store: CaseStore, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [*rows(4), row(Пол="XY"), *rows(2, start=10)])
    path.write_bytes(path.read_bytes().replace(b"XY", b"\xe6\xff"))
    report = import_file(path, mapping(), store)
    assert (report.accepted, report.reasons) == (6, {"wrong-encoding": 1})
    (line,) = quarantined(report.quarantine_file)
    assert (line["row"], line["column"], line["value"]) == ("6", "Пол", "\\xe6\\xff")


def test_a_file_that_turns_out_to_be_of_another_encoding_is_refused(store: CaseStore, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    ascii_rows = [
        row(Дело=f"{at}", Жертва=f"{at}", Пол="", Методи="", Труд="", Секс="") for at in range(3000)
    ]
    write_csv(path, ascii_rows)
    with path.open("ab") as file:
        for line in rows(20_000):
            file.write((",".join(line) + "\r\n").encode("cp1251"))
    with pytest.raises(DataError, match="wrong-encoding"):
        import_file(path, mapping(), store)
    assert store.latest_snapshot() is None


def test_a_wrong_delimiter_or_code_page_is_recognised_by_the_columns(
    store: CaseStore, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "a.csv", rows(3), encoding="cp1251", delimiter=";")
    with pytest.raises(DataError) as caught:
        import_file(path, mapping('encoding = "iso-8859-1"'), store)
    assert 'encoding = "cp1251" and delimiter = ";"' in caught.value.fix


def test_a_stray_quote_costs_its_own_row_only(store: CaseStore, tmp_path: Path) -> None:
    lines = [
        HEAD,
        *(",".join(entry) for entry in rows(3)),
        '"' + LINE,
        *(",".join(entry) for entry in rows(400, 10)),
    ]
    lines[2] = lines[2].replace("дълг", '"дъ"лг')
    report = import_file(_text(tmp_path / "a.csv", "\n".join(lines) + "\n"), mapping(), store)
    assert report.reasons == {"malformed-row": 2}
    assert [line["row"] for line in quarantined(report.quarantine_file)] == ["3", "5"]
    assert report.accepted == 402


def test_a_formula_in_a_mapped_cell_is_not_evaluated(store: CaseStore, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append((*HEADER, "Бележки"))
    sheet.append((*GOOD, "=1+1"))
    sheet.append((*row(Дело="Д-2", Пол='=HYPERLINK("x")'), ""))
    path = tmp_path / "a.xlsx"
    book.save(path)
    report = import_file(path, mapping(), store)
    assert (report.new, report.reasons) == (1, {"formula": 1})
    (line,) = quarantined(report.quarantine_file)
    assert (line["row"], line["column"], line["value"]) == ("3", "Пол", '\'=HYPERLINK("x")')


def test_a_missing_sheet_is_a_mistake_of_the_mapping(store: CaseStore, tmp_path: Path) -> None:
    path = _empty_excel(tmp_path)
    with pytest.raises(ConfigurationError, match="no sheet 'Случаи'; it has 'Sheet'"):
        import_file(path, mapping('sheet = "Случаи"'), store)


def test_an_endless_line_is_refused(
    store: CaseStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_readers, "LONGEST_LINE", 1000)
    path = write_csv(tmp_path / "a.csv", [row(Дело="Д" * 2000)])
    with pytest.raises(DataError, match="line-too-long"):
        import_file(path, mapping(), store)


def test_a_blank_row_is_no_row(store: CaseStore, tmp_path: Path) -> None:
    path = _text(tmp_path / "a.csv", f"\n{HEAD}\n\n,,,,,,,,\n{LINE}\n\n")
    report = import_file(path, mapping(), store)
    assert (report.read, report.new) == (1, 1)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(), st.sampled_from([".csv", ".jsonl", ".parquet", ".xlsx"]), st.binary(max_size=4))
def test_any_damage_ends_in_a_report_or_a_coded_error(
    tmp_path: Path, seed: int, suffix: str, patch: bytes
) -> None:
    chance = random.Random(seed)
    path = tmp_path / f"damaged{suffix}"
    _make(path)
    content = bytearray(path.read_bytes())
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(content))
        content[at : at + chance.randint(0, 3)] = patch
    path.write_bytes(content)
    with suppress(DataError, ConfigurationError):  # any other exception fails the test
        report = preview_file(path, mapping())
        assert report.read == report.accepted + report.rejected


def _make(path: Path) -> None:
    if path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        for entry in (HEADER, GOOD, *rows(3, start=5)):
            book.active.append(entry)
        book.save(path)
    elif path.suffix == ".parquet":
        _parquet(path)
    elif path.suffix == ".jsonl":
        pairs = ", ".join(f'"{name}": "{text}"' for name, text in zip(HEADER, GOOD, strict=True))
        path.write_text(f"{{{pairs}}}\n" * 3, encoding="utf-8")
    else:
        write_csv(path, rows(5))
