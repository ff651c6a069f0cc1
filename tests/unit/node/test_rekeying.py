"""New keys for the case store: everything under them, ids as before, and nothing lost whenever it stops."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import referral_samples
import store_samples as samples
from safeborders_fed.cases import publication, rewriting, staging
from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.cases.mapping import parse_mapping
from safeborders_fed.cases.publication import lock
from safeborders_fed.cases.sealing import Sealer
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.node import key_succession
from safeborders_fed.node.erasing import erase
from safeborders_fed.node.rekeying import Rekeyed, rekey
from safeborders_fed.node.reviews import Reviews, Wanted
from safeborders_fed.node.score_session import record_verdicts, score_file
from safeborders_fed.node.settings import NodeSettings

AT = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> NodeSettings:
    settings = samples.node(tmp_path)
    samples.take_in(settings, map(samples.row, range(30, 60)))
    return settings


def do(settings: NodeSettings) -> Rekeyed:
    return rekey(settings, by="Dana", why="yearly")


def test_all_snapshots_are_under_new_keys_and_keep_their_ids(settings: NodeSettings) -> None:
    store, old = settings.open_store(), settings.store_keys()
    tables = {entry.id: (store.cases(entry.id), store.raw_keys(entry.id)) for entry in store.snapshots()}
    seen: list[tuple[int, float | None]] = []
    done = rekey(settings, by="Dana", why="yearly", progress=lambda *told: seen.append(told))
    assert (done.snapshots, done.rows) == (2, 100)
    assert seen[-1] == (100, 1.0)

    new = settings.store_keys()
    assert new.pseudonym == old.pseudonym
    assert len({old.cases, old.identifiers, new.cases, new.identifiers}) == 4
    store = settings.open_store()
    assert [entry.id for entry in store.snapshots()] == list(tables)
    for snapshot, (cases, raw) in tables.items():
        assert store.cases(snapshot).equals(cases)
        assert store.raw_keys(snapshot).equals(raw)


def test_the_old_keys_open_nothing_any_more(settings: NodeSettings, tmp_path: Path) -> None:
    old = settings.store_keys()
    before = {path.name for path in settings.open_store().files.data.iterdir()}
    do(settings)
    # Looked at before anything opens the store, which would sweep.
    assert not before & {path.name for path in (settings.store_path / "data").iterdir()}
    with pytest.raises(ConfigurationError, match="wrong-key"):
        CaseStore.open(settings.store_path, old)
    files = replace(settings.open_store().files, sealer=Sealer(old))
    for path in files.data.iterdir():
        with pytest.raises(ConfigurationError, match="wrong-key"):
            files.sealer.open_parquet(path.read_bytes())
    for snapshot in files.snapshots():
        with pytest.raises(ConfigurationError, match="wrong-key"):
            files.manifest(snapshot)
    assert sorted(path.name for path in tmp_path.glob("ro.key*")) == [
        "ro.key",
        "ro.key.signing",
        "ro.key.transport",
    ]
    assert old.to_bytes() not in samples.all_bytes(tmp_path).values()


def test_an_import_goes_on_with_the_same_pseudonyms(settings: NodeSettings) -> None:
    do(settings)
    report = samples.take_in(settings, map(samples.row, range(60)))
    assert (report.unchanged, report.new) == (60, 0)


def test_it_is_in_the_log_before_and_after(settings: NodeSettings) -> None:
    do(settings)
    entries = [entry for entry in samples.log_entries(settings) if entry["operation"] == "rekey"]
    assert [entry["who"] for entry in entries] == ["Dana", "Dana"]
    assert entries[0]["why"] == "yearly"
    assert "gone" in entries[1]["why"]


def test_reviews_and_erased_victims_come_along(tmp_path: Path) -> None:
    settings, _ = referral_samples.node(tmp_path)
    mapping = parse_mapping(referral_samples.MAPPING, "referrals.toml")
    file = referral_samples.write(tmp_path / "r.csv", referral_samples.rows(5))
    review = score_file(settings, file, mapping, by="Dana", purpose="A test")
    record_verdicts(settings, [Wanted(f"{review.id}-002", "agree", "a note")], by="Emil")
    erase(settings, ["ab" * 16], confirmed=0, by="Dana", why="asked for", now=AT)
    before = Reviews(settings.home, settings.open_store().files.sealer)
    assert rekey(settings, by="Dana", why="yearly").review_files == 2
    with pytest.raises(ConfigurationError, match="wrong-key"):
        before.history(f"{review.id}-002")
    after = Reviews(settings.home, settings.open_store().files.sealer)
    assert [verdict.note for verdict in after.history(f"{review.id}-002")] == ["a note"]
    from safeborders_fed.cases.withholding import Tombstones  # noqa: PLC0415 - used once

    store = settings.open_store()
    assert Tombstones(store.files, store.keys).holds("ab" * 16)


def test_it_refuses_beside_the_service_or_an_import(settings: NodeSettings) -> None:
    before = samples.all_bytes(settings.home.parent)
    with settings.open_audit_log(), pytest.raises(ConfigurationError, match="service-running"):
        do(settings)
    with lock(settings.store_path), pytest.raises(ConfigurationError, match="store-busy"):
        do(settings)
    after = samples.all_bytes(settings.home.parent)
    assert {name: after[name] for name in before if "audit" not in name} == {
        name: before[name] for name in before if "audit" not in name
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_another_user_than_the_owner_changes_nothing(settings: NodeSettings) -> None:
    os.chown(settings.store_path, 12345, -1)
    with pytest.raises(ConfigurationError, match="wrong-user"):
        do(settings)
    os.chown(settings.store_path, 0, -1)
    do(settings)


def test_a_failure_before_the_decision_leaves_everything_as_it_was(
    settings: NodeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = samples.all_bytes(settings.store_path), settings.store_keys()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(staging.Staged, "commit", full)
    with pytest.raises(ConfigurationError, match="store-unwritable"):
        do(settings)
    assert (samples.all_bytes(settings.store_path), settings.store_keys()) == before
    assert not key_succession.successor(settings.key_path).exists()


def test_a_key_file_that_cannot_be_replaced_is_noticed_first(
    settings: NodeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = samples.all_bytes(settings.store_path)
    monkeypatch.setattr(NodeSettings, "key_path", property(lambda _: Path("/proc/ro.key")))
    monkeypatch.setattr(NodeSettings, "store_keys", lambda _: NodeKeys.load(settings.home.parent / "ro.key"))
    with pytest.raises(ConfigurationError, match="key-file-unwritable"):
        do(settings)
    assert samples.all_bytes(settings.store_path) == before


def test_a_damaged_bucket_stops_it(settings: NodeSettings) -> None:
    path = next(settings.open_store().files.data.iterdir())
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    keys = settings.store_keys()
    with pytest.raises(ConfigurationError, match="store-damaged"):
        do(settings)
    assert settings.store_keys() == keys


def test_who_opened_the_store_before_writes_nothing_under_the_old_keys(
    settings: NodeSettings,
) -> None:
    early = settings.open_store()
    do(settings)
    with pytest.raises(ConfigurationError, match="store-changed"), early.writing():
        pass
    reviews = Reviews(settings.home, early.files.sealer, early.require_current)
    with pytest.raises(ConfigurationError, match="store-changed"), reviews.writing():
        pass


def test_a_reader_meanwhile_sees_the_old_store(
    settings: NodeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int] = []
    commit = staging.Staged.commit

    def look_first(self: staging.Staged) -> None:
        def read() -> None:
            found.append(settings.open_store().cases().num_rows)

        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
        commit(self)

    monkeypatch.setattr(staging.Staged, "commit", look_first)
    do(settings)
    assert found == [60]
    assert settings.open_store().cases().num_rows == 60


def test_a_store_of_many_buckets_is_encrypted_anew_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publication, "ROWS_PER_BUCKET", 4)
    settings = samples.node(tmp_path)
    samples.take_in(settings, map(samples.row, range(30, 60)))
    store = settings.open_store()
    tables = [store.cases(entry.id) for entry in store.snapshots()]
    do(settings)
    store = settings.open_store()
    assert all(
        store.cases(entry.id).equals(table) for entry, table in zip(store.snapshots(), tables, strict=True)
    )


def test_a_file_that_comes_out_otherwise_is_a_defect(
    settings: NodeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = rewriting.StoreFiles.write
    monkeypatch.setattr(
        rewriting.StoreFiles, "write", lambda files, table, key: written(files, table.slice(1), key)
    )
    keys = settings.store_keys()
    with pytest.raises(Exception, match="rekey-differs"):
        do(settings)
    assert settings.store_keys() == keys
