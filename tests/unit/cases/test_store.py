"""The case store: encryption, versions, damage, one writer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from intake_samples import GOOD, mapping, row, rows, write_csv

from safeborders_fed.cases import contract, publication
from safeborders_fed.cases.contract import FIELDS, Kind
from safeborders_fed.cases.intake import import_file
from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.cases.publication import writer_lock
from safeborders_fed.cases.sealing import Sealer
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.errors import ConfigurationError, DataError


@pytest.fixture
def filled(store: CaseStore, tmp_path: Path) -> CaseStore:
    import_file(write_csv(tmp_path / "a.csv", rows(40)), mapping(), store)
    return store


def test_the_analysis_table_has_the_agreed_columns(filled: CaseStore) -> None:
    table = filled.cases()
    expected: dict[str, pa.DataType] = {
        "victim": pa.string(),
        "case": pa.string(),
        "registration_date": pa.date32(),
        "registration_precision": pa.dictionary(pa.int16(), pa.string()),
    }
    for entry in FIELDS:
        if entry.kind == Kind.SINGLE:
            expected[entry.name] = pa.dictionary(pa.int16(), pa.string())
        elif entry.kind == Kind.MULTI:
            expected |= {entry.name: pa.uint32(), f"{entry.name}_known": pa.uint32()}
    assert dict(zip(table.schema.names, table.schema.types, strict=True)) == expected
    assert table.schema.metadata == {b"safeborders.contract_version": contract.CONTRACT_VERSION.encode()}


def test_rows_are_sorted_and_pseudonyms_are_32_hexadecimal_digits(filled: CaseStore) -> None:
    table = filled.cases()
    keys = list(zip(table["victim"].to_pylist(), table["case"].to_pylist(), strict=True))
    assert keys == sorted(keys)
    assert all(len(text) == 32 and int(text, 16) >= 0 for pair in keys for text in pair)
    assert not {victim for victim, _ in keys} & {case for _, case in keys}


def test_nothing_of_a_case_can_be_read_on_the_disk(filled: CaseStore) -> None:
    secret = [GOOD[0], GOOD[1], "+359 88 1", "DebtBondage", filled.cases()["victim"][0].as_py()]
    files = [path for path in filled.files.directory.rglob("*") if path.is_file()]
    assert len(files) > 3
    for path in files:
        content = path.read_bytes()
        assert not [text for text in secret if text.encode() in content]
        if path.suffix == ".parquet":
            assert content[:4] == b"PARE"  # encrypted footer
            with pytest.raises(OSError, match="encrypted"):
                pq.read_table(path)


def test_raw_keys_and_identifiers_lead_back_to_the_national_file(filled: CaseStore) -> None:
    raw = filled.raw_keys().to_pylist()
    assert {entry["victim_id"] for entry in raw} == {f"Ж-{number}" for number in range(40)}
    found = filled.identifiers()
    assert found.column_names == ["victim", "case", "type", "owner", "value"]
    assert set(found["value"].to_pylist()) == {"+359 88 1", "+359 88 2"}
    assert set(found["victim"].to_pylist()) == {entry["victim"] for entry in raw}
    assert not {"victim_id", "case_id", "identifiers"} & set(filled.cases().column_names)


def test_identifiers_are_encrypted_under_their_own_key(filled: CaseStore, keys: NodeKeys) -> None:
    sealer = Sealer(replace(keys, identifiers=NodeKeys.generate().identifiers))
    filled.files = replace(filled.files, sealer=sealer)
    assert filled.cases().num_rows == 40
    with pytest.raises(ConfigurationError, match="wrong-key"):
        filled.identifiers()


@pytest.mark.parametrize("name", ["pseudonym", "cases", "identifiers"])
def test_a_store_opens_only_with_all_of_its_keys(filled: CaseStore, keys: NodeKeys, name: str) -> None:
    wrong = replace(keys, **{name: NodeKeys.generate().cases})
    with pytest.raises(ConfigurationError, match="wrong-key"):
        CaseStore.open(filled.files.directory, wrong)
    assert CaseStore.open(filled.files.directory, keys).cases().num_rows == 40


def test_a_snapshot_of_another_contract_is_refused(
    filled: CaseStore, keys: NodeKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "CONTRACT_VERSION", "2")
    with pytest.raises(ConfigurationError, match="data contract 1; this program has 2"):
        filled.cases()
    with pytest.raises(ConfigurationError, match="contract-version"):
        CaseStore.open(filled.files.directory, keys)


def test_earlier_snapshots_stay_as_they_were(filled: CaseStore, tmp_path: Path) -> None:
    first, before = filled.latest_snapshot(), filled.cases()
    changed = write_csv(tmp_path / "b.csv", [row(Дело="Д-3", Жертва="Ж-3", Пол="м"), *rows(5, start=100)])
    report = import_file(changed, mapping(), filled)
    assert (report.superseded, report.new) == (1, 5)
    assert filled.cases(first).equals(before)
    assert filled.cases().num_rows == 45
    assert filled.cases(filled.latest_snapshot())["sex"].to_pylist().count("Masculine") == 1
    assert [entry.rows for entry in filled.snapshots()] == [40, 45]


def test_an_unknown_snapshot_and_an_empty_store_are_errors(store: CaseStore) -> None:
    with pytest.raises(DataError, match="empty-store"):
        store.cases()
    with pytest.raises(ConfigurationError, match="unknown-snapshot"):
        store.cases("000009-20200101T000000Z")
    assert store.latest_snapshot() is None
    assert store.snapshots() == ()


def test_damage_of_any_file_is_noticed(filled: CaseStore) -> None:
    for path in filled.files.data.iterdir():
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="store-damaged"):
        filled.cases()
    with pytest.raises(ConfigurationError, match="store-damaged"):
        filled.identifiers()
    for path in filled.files.data.iterdir():
        path.unlink()
    with pytest.raises(ConfigurationError, match="store-damaged"):
        filled.cases()


def test_a_manifest_of_another_snapshot_is_refused(filled: CaseStore) -> None:
    (only,) = filled.files.manifests.iterdir()
    only.rename(only.with_name("000002-20300101T000000Z.sealed"))
    with pytest.raises(ConfigurationError, match="wrong-key"):
        filled.cases()


def test_a_store_is_not_made_over_files_and_not_opened_without_a_head(tmp_path: Path, keys: NodeKeys) -> None:
    (tmp_path / "x").write_text("mine")
    with pytest.raises(ConfigurationError, match="store-exists"):
        CaseStore.create(tmp_path, keys)
    with pytest.raises(ConfigurationError, match="store-missing"):
        CaseStore.open(tmp_path, keys)
    (tmp_path / "store.json").write_text(json.dumps({"schema_version": 2}))
    with pytest.raises(ConfigurationError, match="store-damaged"):
        CaseStore.open(tmp_path, keys)
    with pytest.raises(ConfigurationError, match="max-victims"):
        CaseStore.create(tmp_path / "new", keys, max_victims=0)


def test_a_second_writer_is_refused_and_readers_are_not(
    filled: CaseStore, keys: NodeKeys, tmp_path: Path
) -> None:
    with writer_lock(filled.files, seconds=0):
        with pytest.raises(ConfigurationError, match="store-busy"), writer_lock(filled.files, seconds=0.1):
            pass
        assert CaseStore.open(filled.files.directory, keys).cases().num_rows == 40
    assert import_file(tmp_path / "a.csv", mapping(), filled).unchanged == 40


def test_only_changed_buckets_are_written_again(
    store: CaseStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publication, "ROWS_PER_BUCKET", 8)
    import_file(write_csv(tmp_path / "a.csv", rows(128)), mapping(), store)
    first = {path.name for path in store.files.data.iterdir()}
    assert len(first) == 2 * 16
    import_file(write_csv(tmp_path / "b.csv", [row(Дело="Д-3", Жертва="Ж-3", Пол="м")]), mapping(), store)
    assert len({path.name for path in store.files.data.iterdir()} - first) == 2


def test_a_growing_store_splits_its_buckets_and_loses_nothing(
    store: CaseStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publication, "ROWS_PER_BUCKET", 8)
    sizes = [3, 20, 150, 1000]
    for size in sizes:
        report = import_file(write_csv(tmp_path / f"{size}.csv", rows(size)), mapping(), store)
        table = store.cases()
        keys = list(zip(table["victim"].to_pylist(), table["case"].to_pylist(), strict=True))
        assert len(set(keys)) == size
        assert keys == sorted(keys)
        assert report.superseded == 0
    assert [entry.victims for entry in store.snapshots()] == sizes
    assert {entry["victim_id"] for entry in store.raw_keys().to_pylist()} == {f"Ж-{n}" for n in range(1000)}
