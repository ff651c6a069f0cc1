"""The erasure of victims: from everything at the node, at once, and remembered without being named."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

import referral_samples
import store_samples as samples
from safeborders_fed.cases import publication
from safeborders_fed.cases.mapping import parse_mapping
from safeborders_fed.cases.publication import lock
from safeborders_fed.errors import ConfigurationError, DataError, RefusedError
from safeborders_fed.node.backup import back_up
from safeborders_fed.node.erasing import Concerned, checked, concerned, erase, pseudonyms
from safeborders_fed.node.restoring import restore
from safeborders_fed.node.reviews import Reviews, Wanted
from safeborders_fed.node.score_session import record_verdicts, score_file, summarise
from safeborders_fed.node.settings import NodeSettings

AT = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
WHO = "person-7"


@pytest.fixture
def settings(tmp_path: Path) -> NodeSettings:
    """Two snapshots; victim 7 is in both, and has a second case in the later one."""
    settings = samples.node(tmp_path)
    samples.take_in(settings, [samples.row(7, case="case-7b"), samples.row(50)])
    return settings


def victim(settings: NodeSettings, name: str = WHO) -> tuple[str, ...]:
    return pseudonyms(settings.store_keys(), [name])


def do(settings: NodeSettings, victims: tuple[str, ...], why: str = "asked for") -> Concerned:
    records = concerned(settings, victims).records
    return erase(settings, victims, confirmed=records, by="Dana", why=why, now=AT)


def names(settings: NodeSettings) -> list[set[str]]:
    """Whom each snapshot holds."""
    store = settings.open_store()
    return [set(store.raw_keys(entry.id)["victim_id"].to_pylist()) for entry in store.snapshots()]


def test_the_victim_is_in_no_snapshot_any_more_and_the_others_are(settings: NodeSettings) -> None:
    before, (pseudonym,) = names(settings), victim(settings)
    ids = [entry.id for entry in settings.open_store().snapshots()]
    found = concerned(settings, (pseudonym,))
    assert (found.rows, found.snapshots, found.records) == (2, 2, 2)
    done = do(settings, (pseudonym,))
    assert names(settings) == [*(held - {WHO} for held in before), before[-1] - {WHO}]
    store = settings.open_store()
    assert [entry.id for entry in store.snapshots()] == [*ids, done.snapshot]
    for entry in store.snapshots():
        table = store.cases(entry.id)
        assert pseudonym not in table["victim"].to_pylist()
        assert pseudonym not in store.identifiers(entry.id)["victim"].to_pylist()
        assert (entry.rows, entry.victims) == (table.num_rows, len(set(table["victim"].to_pylist())))


def test_in_a_store_of_many_buckets_the_right_ones_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publication, "ROWS_PER_BUCKET", 4)
    settings = samples.node(tmp_path, map(samples.row, range(20)))
    samples.take_in(settings, map(samples.row, range(100)))  # the later snapshot has more buckets
    store = settings.open_store()
    assert {store.files.manifest(entry.id).bits for entry in store.snapshots()} == {3, 5}
    gone = {"person-3", "person-19", "person-77"}
    victims = tuple(victim(settings, name)[0] for name in sorted(gone))
    files = {path.name for path in store.files.data.iterdir()}
    done = do(settings, victims)
    assert (done.rows, done.snapshots) == (3, 2)
    everybody = {f"person-{number}" for number in range(100)}
    assert names(settings)[1:] == [everybody - gone, everybody - gone]
    rewritten = {path.name for path in store.files.data.iterdir()} - files
    assert len(rewritten) <= 2 * 5  # no bucket of the others was written again


def test_no_file_of_the_store_holds_it_even_for_who_has_the_keys(settings: NodeSettings) -> None:
    (pseudonym,) = victim(settings)
    files = settings.open_store().files
    do(settings, (pseudonym,))  # nothing opens the store after it, which would sweep
    assert not list(files.work.iterdir())
    assert sorted(path.name for path in files.directory.iterdir()) == sorted(
        ["data", "erased.sealed", "lock", "quarantine", "snapshots", "store.json", "work"]
    )
    for path in files.data.iterdir():
        table = files.sealer.open_parquet(path.read_bytes())
        assert pseudonym not in table["victim"].to_pylist()


def test_rejected_rows_go_as_well(settings: NodeSettings) -> None:
    report = samples.take_in(settings, [samples.row(7, sex="unknown!"), samples.row(90)])
    assert report.quarantine_file is not None
    assert do(settings, victim(settings)).rejected_files == 1
    assert not report.quarantine_file.exists()


def test_the_same_national_file_does_not_bring_the_victim_back(settings: NodeSettings) -> None:
    do(settings, victim(settings))
    rows = [*map(samples.row, range(20)), samples.row(7, case="bad", sex="nobody")]
    report = samples.take_in(settings, rows)
    assert (report.erased, report.rejected, report.unchanged, report.accepted) == (2, 0, 19, 19)
    assert report.quarantine_file is None
    assert WHO not in names(settings)[-1]


def test_restore_brings_the_victim_back_for_good(settings: NodeSettings) -> None:
    do(settings, (*victim(settings), *victim(settings, "person-8")))
    report = samples.take_in(settings, [samples.row(7)], restore=True)
    assert (report.erased, report.new) == (0, 1)
    report = samples.take_in(settings, [samples.row(7), samples.row(8)])
    assert (report.erased, report.unchanged) == (1, 1)
    assert (WHO in names(settings)[-1], "person-8" in names(settings)[-1]) == (True, False)


def test_an_id_means_what_it_means_to_an_import(settings: NodeSettings) -> None:
    assert victim(settings, "  person-7 ") == victim(settings)
    assert victim(settings) == checked([victim(settings)[0].upper()])
    with pytest.raises(DataError, match="no-victim"):
        pseudonyms(settings.store_keys(), ["", " "])
    with pytest.raises(DataError, match="not-a-pseudonym") as caught:
        checked([WHO])
    assert WHO not in str(caught.value)


def test_a_backup_made_after_it_remembers_and_names_nobody(settings: NodeSettings, tmp_path: Path) -> None:
    do(settings, victim(settings))
    back_up(settings, tmp_path / "b.tar", "Dana")
    assert victim(settings)[0].encode() not in (tmp_path / "b.tar").read_bytes()
    restore(tmp_path / "b.tar", tmp_path / "again", "Dana")
    restored = NodeSettings.load(tmp_path / "again")
    assert concerned(restored, victim(settings)).erased_before == 1
    assert samples.take_in(restored, [samples.row(7)]).erased == 1


def test_a_backup_waits_for_no_change_and_copies_none(settings: NodeSettings, tmp_path: Path) -> None:
    with lock(settings.store_path), pytest.raises(ConfigurationError, match="store-busy"):
        back_up(settings, tmp_path / "b.tar", "Dana")
    assert not (tmp_path / "b.tar").exists()


def test_neither_log_nor_list_leads_to_the_victim(settings: NodeSettings) -> None:
    (pseudonym,) = victim(settings)
    keys = settings.store_keys()
    do(settings, (pseudonym,))
    (entry,) = [entry for entry in samples.log_entries(settings) if entry["operation"] == "erase"]
    assert entry["details"]["victims"] == 1
    text = json.dumps(entry)
    assert WHO not in text
    assert pseudonym not in text
    assert pseudonym[:8] not in text
    from safeborders_fed.cases.withholding import FILE, Tombstones  # noqa: PLC0415 - used once

    store = settings.open_store()
    plain = store.files.sealer.unseal((store.files.directory / FILE).read_bytes(), FILE).decode()
    assert pseudonym not in plain
    assert WHO not in plain
    digest = Tombstones(store.files, keys).digest(pseudonym)
    assert digest in plain
    assert digest not in text


def test_the_log_says_so_before_anything_changes(
    settings: NodeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = names(settings)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safeborders_fed.cases.staging.Staged.commit", fail)
    with pytest.raises(ConfigurationError, match="store-unwritable"):
        do(settings, victim(settings))
    monkeypatch.undo()
    assert names(settings) == before
    assert samples.log_entries(settings)[-1]["operation"] == "erase"


def test_the_number_shown_must_be_repeated(settings: NodeSettings) -> None:
    before = samples.all_bytes(settings.store_path)
    for number in (0, 1, 3):
        with pytest.raises(RefusedError, match="confirmation-differs"):
            erase(settings, victim(settings), confirmed=number, by="Dana", why="asked", now=AT)
    assert samples.all_bytes(settings.store_path) == before


def test_it_refuses_beside_the_service(settings: NodeSettings) -> None:
    with settings.open_audit_log(), pytest.raises(ConfigurationError, match="service-running"):
        erase(settings, victim(settings), confirmed=2, by="Dana", why="asked", now=AT)


def test_somebody_unknown_is_left_out_from_now_on(settings: NodeSettings) -> None:
    done = do(settings, victim(settings, "person-99"))
    assert (done.records, done.snapshot) == (0, None)
    assert samples.take_in(settings, [samples.row(99)]).erased == 1
    assert concerned(settings, victim(settings, "person-99")).erased_before == 1


def test_the_last_victim_may_go(tmp_path: Path) -> None:
    settings = samples.node(tmp_path, [samples.row(7)])
    done = do(settings, victim(settings))
    assert settings.open_store().cases(done.snapshot).num_rows == 0
    assert samples.take_in(settings, [samples.row(8)]).new == 1


def test_a_study_under_way_goes_on_without_the_victim_on_its_snapshot(settings: NodeSettings) -> None:
    snapshot = settings.open_store().latest_snapshot()
    assert snapshot is not None
    ledger = samples.open_study(settings, "s1", snapshot)
    spent, head = ledger.totals(), ledger.head()
    assert concerned(settings, victim(settings)).studies == ("s1",)
    do(settings, victim(settings))
    assert ledger.head() == head
    assert ledger.totals() == spent
    assert ledger.verify() > 0
    held = ledger.reservation("s1")
    assert held is not None
    assert settings.open_store().cases(held.snapshot).num_rows == 40
    ledger.close()


def test_review_lists_keep_the_number_and_nothing_else(tmp_path: Path) -> None:
    settings, _ = referral_samples.node(tmp_path)
    mapping = parse_mapping(referral_samples.MAPPING, "referrals.toml")
    file = referral_samples.write(tmp_path / "r.csv", referral_samples.rows(5))
    review = score_file(settings, file, mapping, by="Dana", purpose="A test")
    record_verdicts(settings, [Wanted(f"{review.id}-00{n}", "agree", f"note {n}") for n in (2, 3)], by="Emil")
    gone = review.victims[1]
    assert concerned(settings, [gone]).listed == 1
    do(settings, (gone,))
    reviews = Reviews(settings.home, settings.open_store().files.sealer)
    assert reviews.history(f"{review.id}-002") == ()
    assert [verdict.note for verdict in reviews.history(f"{review.id}-003")] == ["note 3"]
    with pytest.raises(DataError, match="unknown-review-id"):
        record_verdicts(settings, [Wanted(f"{review.id}-002", "agree")], by="Emil")
    assert sum(entry.referrals for entry in summarise(settings)) == 4
    for path in (settings.home / "reviews").glob("*.sealed"):
        plain = settings.open_store().files.sealer.unseal(path.read_bytes(), f"reviews/{path.name}")
        assert gone.encode() not in plain
        assert b"note 2" not in plain
    assert concerned(settings, [gone]).listed == 0
