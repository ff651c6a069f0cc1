"""Intake of good files: what is stored, what is counted, in every format."""

from __future__ import annotations

import errno
import json
from datetime import UTC, date, datetime
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from intake_samples import GOOD, HEADER, mapping, quarantined, row, rows, write_csv

from safeborders_fed.cases import chunks, snapshots
from safeborders_fed.cases.contract import field
from safeborders_fed.cases.intake import import_file, preview_file
from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.cases.rejection import Reason
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.errors import ConfigurationError, DataError, UsageError


def _bits(name: str, *codes: str) -> int:
    return sum(1 << field(name).codes.index(code) for code in codes)


def _only_row(store: CaseStore) -> dict[str, object]:
    (found,) = store.cases().to_pylist()
    return found


def test_a_row_becomes_contract_values(store: CaseStore, tmp_path: Path) -> None:
    import_file(write_csv(tmp_path / "a.csv", [GOOD]), mapping(), store)
    found = _only_row(store)
    assert found["registration_date"] == date(2020, 3, 5)
    assert found["registration_precision"] == "day"
    assert (found["sex"], found["age_band"], found["country_of_exploitation"]) == ("Feminine", "9--17", "BG")
    assert found["citizenship"] is None
    means = _bits("means_of_control", "DebtBondage", "PhysicalThreats")
    assert found["means_of_control"] == means
    assert found["means_of_control_known"] == 2 ** len(field("means_of_control").codes) - 1
    assert found["forms_of_exploitation"] == _bits("forms_of_exploitation", "ForcedLabour")
    both = _bits("forms_of_exploitation", "ForcedLabour", "SexualExploitation")
    assert found["forms_of_exploitation_known"] == both
    assert (found["roles"], found["roles_known"]) == (0, 0)


@pytest.mark.parametrize(
    ("text", "day", "precision"),
    [
        ("05.03.2020", date(2020, 3, 5), "day"),
        ("11/2021", date(2021, 11, 1), "month"),
        ("2019", date(2019, 1, 1), "year"),
    ],
)
def test_the_precision_of_a_date_follows_from_its_format(
    store: CaseStore, tmp_path: Path, text: str, day: date, precision: str
) -> None:
    import_file(write_csv(tmp_path / "a.csv", [row(Дата=text)]), mapping(), store)
    assert _only_row(store)["registration_date"] == day
    assert _only_row(store)["registration_precision"] == precision


@pytest.mark.parametrize(
    ("cells", "name", "value"),
    [
        ({"Пол": "?"}, "sex", None),
        ({"Пол": " м "}, "sex", "Masculine"),
        ({"Пол": "feminine"}, "sex", "Feminine"),
        ({"Пол": "н/д"}, "sex", None),
        ({"Възраст": "0"}, "age_band", "0--8"),
        ({"Възраст": "48"}, "age_band", "48+"),
        ({"Възраст": "120"}, "age_band", "48+"),
        ({"Възраст": ""}, "age_band", None),
        ({"Методи": ""}, "means_of_control_known", 0),
        ({"Методи": "дълг|н/д"}, "means_of_control_known", _bits("means_of_control", "DebtBondage")),
        ({"Методи": "дълг||"}, "means_of_control", _bits("means_of_control", "DebtBondage")),
        ({"Труд": ""}, "forms_of_exploitation_known", _bits("forms_of_exploitation", "SexualExploitation")),
        ({"Труд": "не", "Секс": "не"}, "forms_of_exploitation", 0),
    ],
)
def test_cells_mean_what_the_mapping_says(
    store: CaseStore, tmp_path: Path, cells: dict[str, str], name: str, value: object
) -> None:
    import_file(write_csv(tmp_path / "a.csv", [row(**cells)]), mapping(), store)
    assert _only_row(store)[name] == value


def test_unlisted_codes_are_null_only_where_the_mapping_says_so(store: CaseStore, tmp_path: Path) -> None:
    lenient = mapping(**{"ignore_case = true": 'ignore_case = true\nunknown = "null"'})
    import_file(write_csv(tmp_path / "a.csv", [row(Пол="x")]), lenient, store)
    assert _only_row(store)["sex"] is None


def test_incomplete_columns_say_nothing_of_values_they_do_not_list(store: CaseStore, tmp_path: Path) -> None:
    partial = mapping(**{'separator = "|"\nvalues': 'separator = "|"\ncomplete = false\nvalues'})
    import_file(write_csv(tmp_path / "a.csv", [row(Методи="дълг")]), partial, store)
    bit = _bits("means_of_control", "DebtBondage")
    assert (_only_row(store)["means_of_control"], _only_row(store)["means_of_control_known"]) == (bit, bit)


def test_identifiers_of_several_columns_need_all_of_them(store: CaseStore, tmp_path: Path) -> None:
    person = mapping(**{'column = "Телефон"\nseparator = "|"': 'columns = ["Телефон", "Пол"]'})
    content = [GOOD, row(Дело="Д-2", Пол="")]
    import_file(write_csv(tmp_path / "a.csv", content), person, store)
    assert store.identifiers()["value"].to_pylist() == ["+359 88 1|+359 88 2|Ж"]


def test_the_same_file_twice_changes_nothing(store: CaseStore, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", rows(30))
    first = import_file(path, mapping(), store)
    files = sorted(store.files.data.iterdir())
    second = import_file(path, mapping(), store)
    assert (first.new, second.new, second.unchanged, second.superseded) == (30, 0, 30, 0)
    assert second.snapshot == first.snapshot
    assert sorted(store.files.data.iterdir()) == files
    assert len(store.snapshots()) == 1


def test_a_changed_identifier_alone_supersedes_the_row(store: CaseStore, tmp_path: Path) -> None:
    import_file(write_csv(tmp_path / "a.csv", [GOOD]), mapping(), store)
    report = import_file(write_csv(tmp_path / "b.csv", [row(Телефон="+359 99")]), mapping(), store)
    assert report.superseded == 1
    assert store.identifiers()["value"].to_pylist() == ["+359 99"]


def test_one_victim_in_several_cases_is_one_victim_whose_rows_stand_together(
    store: CaseStore, tmp_path: Path
) -> None:
    content = [row(Дело=f"Д-{number}", Жертва=f"Ж-{number % 3}") for number in range(9)]
    import_file(write_csv(tmp_path / "a.csv", content), mapping(), store)
    victims = store.cases()["victim"].to_pylist()
    assert victims == sorted(victims)
    assert len(set(victims)) == 3
    assert store.snapshots()[0].victims == 3


def test_repeated_rows_count_once_and_differing_ones_are_quarantined(
    store: CaseStore, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "a.csv", [GOOD, GOOD, row(Пол="м"), row(Дело="Д-2")])
    report = import_file(path, mapping(), store)
    assert (report.read, report.accepted, report.new, report.repeated, report.rejected) == (4, 3, 2, 1, 1)
    (line,) = quarantined(report.quarantine_file)
    assert (line["row"], line["reason"]) == ("4", "duplicate-key")
    assert "row 2" in line["explanation"]
    assert store.cases()["sex"].to_pylist() == ["Feminine", "Feminine"]


def test_counts_of_a_report_add_up(store: CaseStore, tmp_path: Path) -> None:
    content = [*rows(5), row(Дело="Д-7", Пол="x", Възраст="200"), row(Дело=""), GOOD, rows(1)[0]]
    report = import_file(write_csv(tmp_path / "a.csv", content), mapping(), store)
    assert report.read == report.accepted + report.rejected == 9
    assert report.accepted == report.new + report.superseded + report.unchanged + report.repeated
    assert sum(report.reasons.values()) == report.rejected == 2
    assert len(quarantined(report.quarantine_file)) == 3  # a line for each bad cell


def test_row_numbers_stand_for_keys_where_the_mapping_says_so(store: CaseStore, tmp_path: Path) -> None:
    numbered = mapping(**{'column = "Дело"': "row_number = true", 'column = "Жертва"': "row_number = true"})
    import_file(write_csv(tmp_path / "a.csv", [GOOD, GOOD]), numbered, store)
    assert store.snapshots()[0].victims == 2
    assert set(store.raw_keys()["case_id"].to_pylist()) == {"example-bg: row 2", "example-bg: row 3"}


def test_a_dry_run_shows_contract_values_and_changes_nothing(store: CaseStore, tmp_path: Path) -> None:
    before = sorted(store.files.directory.rglob("*"))
    path = write_csv(tmp_path / "a.csv", [*rows(8), row(Дело="")], header=HEADER)
    report = import_file(path, mapping(), store, dry_run=True)
    assert (report.dry_run, report.new, report.rejected, report.snapshot) == (True, 8, 1, None)
    assert report.quarantine_file is None
    assert len(report.preview) == 5
    first = report.preview[0]
    assert (first["sex"], first["registration_date"]) == ("Feminine", "2020-03-05")
    assert first["forms_of_exploitation"] == {"present": ["ForcedLabour"], "absent": ["SexualExploitation"]}
    assert not {"case", "victim", "case_id", "victim_id", "identifiers"} & set(first)
    assert sorted(path for path in store.files.directory.rglob("*") if path.name != "lock") == before


def test_a_preview_needs_no_store_and_names_ignored_columns(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [(*GOOD, "дълъг текст")], header=(*HEADER, "Бележки"))
    report = preview_file(path, mapping())
    assert (report.new, report.ignored_columns) == (1, ("Бележки",))


def test_too_many_rejected_rows_leave_the_store_unchanged(store: CaseStore, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [*rows(5), row(Дело=""), row(Дело="")])
    with pytest.raises(DataError, match="too-many-rejected") as caught:
        import_file(path, mapping(), store, max_rejected=1)
    assert store.latest_snapshot() is None
    assert not list(store.files.data.iterdir())
    (kept,) = store.files.quarantine.iterdir()
    assert str(kept) in caught.value.fix
    assert import_file(path, mapping(), store, max_rejected=2).new == 5


def test_the_cap_on_victims_is_enforced(store: CaseStore, tmp_path: Path) -> None:
    store.max_victims = 6
    import_file(write_csv(tmp_path / "a.csv", rows(6)), mapping(), store)
    with pytest.raises(DataError, match="too-many-victims"):
        import_file(write_csv(tmp_path / "b.csv", rows(1, start=6)), mapping(), store)
    assert store.cases().num_rows == 6
    more_cases = write_csv(tmp_path / "c.csv", [row(Дело="Д-99", Жертва="Ж-0")])
    assert import_file(more_cases, mapping(), store).new == 1


def test_the_quarantine_is_private_and_harmless_in_a_spreadsheet(store: CaseStore, tmp_path: Path) -> None:
    bad = ["=HYPERLINK(1)", "+1", "-1", "@x", "plain"]
    content = [*rows(1, start=50), *(row(Дело=f"Д-{at}", Пол=text) for at, text in enumerate(bad))]
    target = tmp_path / "rejected.csv"
    report = import_file(write_csv(tmp_path / "a.csv", content), mapping(), store, quarantine=target)
    assert report.quarantine_file == target
    assert target.stat().st_mode & 0o777 == 0o600
    lines = quarantined(target)
    assert [line["value"] for line in lines] == ["'=HYPERLINK(1)", "'+1", "'-1", "'@x", "plain"]
    assert list(lines[0]) == ["row", "column", "value", "reason", "explanation"]
    assert {line["column"] for line in lines} == {"Пол"}
    assert not list(tmp_path.glob("*.partial"))
    with pytest.raises(UsageError, match="quarantine-exists"):
        import_file(tmp_path / "a.csv", mapping(), store, quarantine=target)


def test_progress_is_told(store: CaseStore, tmp_path: Path) -> None:
    told: list[tuple[int, float | None]] = []
    path = write_csv(tmp_path / "a.csv", rows(10))
    import_file(path, mapping(), store, progress=lambda count, share: told.append((count, share)))
    assert told[-1] == (10, 1.0)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251", "utf-16"])
def test_text_files_are_read_in_their_encoding(store: CaseStore, tmp_path: Path, encoding: str) -> None:
    path = write_csv(tmp_path / "a.csv", rows(3), encoding=encoding, delimiter=";")
    declared = "utf-8" if encoding == "utf-8-sig" else encoding
    report = import_file(path, mapping(f'encoding = "{declared}"\ndelimiter = ";"'), store)
    assert report.new == 3


@pytest.mark.parametrize(
    ("encoding", "yes"), [("cp1253", "φύλο"), ("cp1250", "żółć"), ("iso-8859-7", "όχι"), ("cp1252", "é")]
)
def test_greek_and_central_european_code_pages_are_read(
    store: CaseStore, tmp_path: Path, encoding: str, yes: str
) -> None:
    text = mapping().model_dump_json()
    for national, other in {
        "Дело": "A",
        "Жертва": "B",
        "Дата": "C",
        "Пол": yes,
        "Възраст": "E",
        "Методи": "F",
    }.items():
        text = text.replace(f'"{national}"', f'"{other}"')
    text = (
        text.replace('"Труд"', '"G"')
        .replace('"Секс"', '"H"')
        .replace('"Телефон"', '"I"')
        .replace('"ж"', f'"{yes}"')
    )
    content = json.loads(text.replace('"да"', f'"{yes}"'))
    content["file"] |= {"encoding": encoding, "null_values": [""]}
    content["fields"]["means_of_control"]["values"] = {}
    greek = mapping().model_validate(_without_nulls(content))
    path = write_csv(
        tmp_path / "a.csv",
        [("1", "2", "2020", yes, "7", "", yes, "", "")],
        ("A", "B", "C", yes, *"EFGHI"),
        encoding,
    )
    import_file(path, greek, store)
    assert _only_row(store)["sex"] == "Feminine"
    assert _only_row(store)["forms_of_exploitation"] == _bits("forms_of_exploitation", "ForcedLabour")


def _without_nulls(content: object) -> object:
    if isinstance(content, dict):
        return {name: _without_nulls(value) for name, value in content.items() if value is not None}
    return [_without_nulls(value) for value in content] if isinstance(content, list) else content


def test_decomposed_letters_and_spaces_make_no_difference(store: CaseStore, tmp_path: Path) -> None:
    import_file(write_csv(tmp_path / "a.csv", [row(Дело="й-1")]), mapping(), store)
    again = write_csv(tmp_path / "b.csv", [row(Дело=" и\u0306-1 ")])
    assert import_file(again, mapping(), store).unchanged == 1


def test_records_over_several_lines_keep_their_row_numbers(store: CaseStore, tmp_path: Path) -> None:
    header = (*HEADER, "Бележки")
    content = [(*row(Дело="Д-1"), "a\nb\r\nc"), (*row(Дело=""), "x\ny"), (*row(Дело="Д-3", Пол="z"), "")]
    report = import_file(write_csv(tmp_path / "a.csv", content, header), mapping(), store)
    assert [(line["row"], line["column"]) for line in quarantined(report.quarantine_file)] == [
        ("5", "Дело"),
        ("7", "Пол"),
    ]


def test_excel_cells_of_every_kind_are_read(store: CaseStore, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "Друг"
    sheet = book.create_sheet("Случаи")
    sheet.append([])
    sheet.append(HEADER)
    sheet.append(("Д-1", 17, date(2020, 3, 5), "Ж", 16, "дълг", "да", "не", 359881))
    sheet.append(("Д-2", 18.0, date(2020, 3, 6), "м", 16.0, None, True, None, None))
    sheet.append([])
    sheet.append(("Д-3", 19, "11/2021", "м", "7", None, None, None, None))
    sheet.append([None] * 9)
    sheet.append([""] * 9)
    path = tmp_path / "a.xlsx"
    book.save(path)
    chosen = mapping(
        'sheet = "Случаи"',
        **{'present = ["да"], absent = ["не"] },\n  {': 'present = ["да", "true"] },\n  {'},
    )
    report = import_file(path, chosen, store)
    assert (report.read, report.new) == (3, 3)
    days = sorted(store.cases()["registration_date"].to_pylist())
    assert days == [date(2020, 3, 5), date(2020, 3, 6), date(2021, 11, 1)]
    assert set(store.raw_keys()["victim_id"].to_pylist()) == {"17", "18", "19"}
    assert store.identifiers()["value"].to_pylist() == ["359881"]


def test_parquet_cells_of_every_kind_are_read(store: CaseStore, tmp_path: Path) -> None:
    table = pa.table(
        {
            "Дело": ["Д-1", "Д-2"],
            "Жертва": pa.array([1, 2], pa.int64()),
            "Дата": pa.array(
                [datetime(2020, 3, 4, 22, tzinfo=UTC), None], pa.timestamp("us", "Europe/Sofia")
            ),
            "Пол": pa.array(["ж", None]).dictionary_encode(),
            "Възраст": pa.array([16.0, None]),
            "Методи": pa.array([["дълг", "заплахи"], None]),
            "Труд": ["да", None],
            "Секс": ["не", None],
            "Телефон": pa.nulls(2),
        }
    )
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    report = import_file(path, mapping(), store)
    assert (report.new, report.reasons) == (1, {"missing-date": 1})
    assert quarantined(report.quarantine_file)[0]["row"] == "2"
    found = _only_row(store)
    assert found["registration_date"] == date(2020, 3, 5)  # the day on the wall in Sofia
    assert found["age_band"] == "9--17"
    assert found["means_of_control"] == _bits("means_of_control", "DebtBondage", "PhysicalThreats")


def test_json_lines_are_read_and_bad_ones_rejected_by_themselves(store: CaseStore, tmp_path: Path) -> None:
    good = dict(zip(HEADER, GOOD, strict=True))
    lines = [
        json.dumps(good, ensure_ascii=False),
        json.dumps(good | {"Дело": "Д-2", "Възраст": 16, "Методи": ["дълг"], "Пол": None}),
        "",
        "{broken",
        "[1]",
        json.dumps(good | {"Дело": {"nested": 1}}),
        json.dumps(good | {"Дело": "\ud800"}),
        '{"Дело": NaN}',
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    report = import_file(path, mapping(), store)
    assert (report.new, report.reasons) == (2, {"malformed-row": 5})
    assert [line["row"] for line in quarantined(report.quarantine_file)] == ["4", "5", "8", "6", "7"]


def test_a_column_that_no_json_line_has_is_missing(store: CaseStore, tmp_path: Path) -> None:
    good = dict(zip(HEADER, GOOD, strict=True))
    del good["Методи"]
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(good), encoding="utf-8")
    with pytest.raises(DataError, match="no column 'Методи'"):
        import_file(path, mapping(), store)
    assert store.latest_snapshot() is None


def test_reasons_are_hyphenated_words() -> None:
    assert all(reason.value == reason.name.lower().replace("_", "-") for reason in Reason)


def test_a_full_disk_is_reported_and_leaves_the_store(
    store: CaseStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_file(write_csv(tmp_path / "a.csv", rows(3)), mapping(), store)
    before = sorted(store.files.data.iterdir())

    def full(path: Path, content: bytes) -> None:
        path.write_bytes(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(snapshots, "write_durably", full)
    with pytest.raises(ConfigurationError, match=r"store-unwritable.*free space"):
        import_file(write_csv(tmp_path / "b.csv", rows(5)), mapping(), store)
    assert sorted(store.files.data.iterdir()) == before
    assert not list(store.files.work.iterdir())
    assert store.cases().num_rows == 3


def test_a_quarantine_file_that_cannot_be_written_stops_the_import_first(
    store: CaseStore, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "a.csv", rows(3))
    with pytest.raises(ConfigurationError, match="quarantine-unwritable"):
        import_file(path, mapping(), store, quarantine=tmp_path / "none" / "q.csv")
    assert store.latest_snapshot() is None


def test_chunks_of_any_size_give_the_same_store(
    store: CaseStore, keys: NodeKeys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = [*rows(40), row(Дело=""), *rows(10), row(Дело="Д-1", Жертва="Ж-1", Пол="м")]
    path = write_csv(tmp_path / "a.csv", content)
    whole = import_file(path, mapping(), store)
    monkeypatch.setattr(chunks, "MOST_ROWS", 7)
    monkeypatch.setattr(chunks, "LEAST_ROWS", 1)
    other = CaseStore.create(tmp_path / "other", keys)
    parts = import_file(path, mapping(), other)
    assert other.cases().equals(store.cases())
    counts = ("read", "new", "repeated", "rejected", "reasons")
    assert [getattr(parts, name) for name in counts] == [getattr(whole, name) for name in counts]
