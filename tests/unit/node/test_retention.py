"""Retention: what is past its period goes by itself, and never under a study."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

import store_samples as samples
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.node.inventory import inventory
from safeborders_fed.node.retention import purge
from safeborders_fed.node.retention_terms import months_after, months_before
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.transport import keeper

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
TERMS = "\n[retention]\nmonths = 24\n"


def node(directory: Path, rows: list[samples.Row], terms: str = TERMS) -> NodeSettings:
    """The cases come in before there is a period."""
    return samples.with_settings(samples.node(directory, rows), terms)


def cases(settings: NodeSettings) -> set[str]:
    return set(settings.open_store().raw_keys()["case_id"].to_pylist())


@pytest.mark.parametrize(
    ("day", "stays"),
    [("2024-11-24", False), ("2024-11-25", False), ("2024-11-26", True), ("2020-01-01", False)],
)
def test_a_case_goes_on_the_day_its_period_has_passed(tmp_path: Path, day: str, *, stays: bool) -> None:
    settings = node(tmp_path, [samples.row(1, day=day), samples.row(2, day="2026-01-01")])
    assert purge(settings, NOW).rows == (not stays)
    assert cases(settings) == ({"case-1", "case-2"} if stays else {"case-2"})


@pytest.mark.parametrize(
    ("age", "minors", "stays"),
    [
        ("9", 48, True),
        ("40", 48, False),
        ("", 48, False),
        ("9", 12, False),
        ("40", 12, True),
        ("", 12, False),
    ],
)
def test_minors_may_have_another_period_and_unknown_ages_the_shorter_one(
    tmp_path: Path, age: str, minors: int, *, stays: bool
) -> None:
    day = "2024-06-01" if minors == 48 else "2025-06-01"
    terms = f"{TERMS}minors_months = {minors}\n"
    settings = node(tmp_path, [samples.row(1, day=day, age=age), samples.row(2, day="2026-11-01")], terms)
    purge(settings, NOW)
    assert ("case-1" in cases(settings)) == stays


def test_purged_cases_are_in_no_snapshot_and_on_no_disk(tmp_path: Path) -> None:
    settings = node(tmp_path, [samples.row(1, day="2020-01-01"), samples.row(2, day="2026-01-01")])
    samples.take_in(settings, [samples.row(3, day="2026-02-01")])
    before = {path.name for path in settings.open_store().files.data.iterdir()}
    found = purge(settings, NOW)
    # Looked at before anything opens the store, which would sweep.
    assert not before & {path.name for path in (settings.store_path / "data").iterdir()}
    assert (found.rows, found.victims, found.snapshots) == (1, 1, ())
    store = settings.open_store()
    assert [entry.rows for entry in store.snapshots()] == [1, 2, 2]
    assert store.latest_snapshot() == found.snapshot


def test_who_reads_meanwhile_gets_the_rows_that_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader has the manifest, then the rows go and the old files with them."""
    settings = node(tmp_path, [samples.row(1, day="2020-01-01"), samples.row(2, day="2026-01-01")])
    store = settings.open_store()
    snapshot, read = store.latest_snapshot(), type(store.files).read
    monkeypatch.setattr(
        type(store.files),
        "read",
        lambda files, stored: (monkeypatch.undo(), purge(settings, NOW), read(files, stored))[-1],
    )
    assert store.cases(snapshot).num_rows == 1


def test_the_log_says_how_many_and_nothing_more(tmp_path: Path) -> None:
    settings = node(tmp_path, [samples.row(1, day="2020-01-01"), samples.row(2, day="2026-01-01")])
    purge(settings, NOW)
    (entry,) = [entry for entry in samples.log_entries(settings) if entry["operation"] == "erase"]
    assert (entry["who"], entry["details"]["cases"]) == ("node", 1)
    assert "retention" in entry["why"]
    purge(settings, NOW)
    assert len([entry for entry in samples.log_entries(settings) if entry["operation"] == "erase"]) == 1


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    settings = node(tmp_path, [samples.row(1, day="2020-01-01"), samples.row(2, day="2026-01-01")])
    before = samples.all_bytes(settings.home)
    found = purge(settings, NOW, dry_run=True)
    assert (found.rows, found.snapshot) == (1, None)
    assert samples.all_bytes(settings.home) == before


def test_rows_wait_for_the_end_of_a_study(tmp_path: Path) -> None:
    settings = node(tmp_path, [samples.row(1, day="2020-01-01"), samples.row(2, day="2026-01-01")])
    snapshot = settings.open_store().latest_snapshot()
    assert snapshot is not None
    ledger = samples.open_study(settings, "s1", snapshot)
    found = purge(settings, NOW)
    assert (found.rows, found.waiting_for) == (0, ("s1",))
    assert settings.open_store().cases(snapshot).num_rows == 2
    ledger.end("s1")
    ledger.close()
    assert purge(settings, NOW).rows == 1


def test_old_snapshots_go_but_those_that_studies_run_on(tmp_path: Path) -> None:
    settings = node(tmp_path, [samples.row(1, day="2026-01-01")], f"{TERMS}snapshots_kept = 2\n")
    for number in range(2, 7):
        samples.take_in(settings, [samples.row(number, day="2026-01-01")])
    ids = [entry.id for entry in settings.open_store().snapshots()]
    ledger = samples.open_study(settings, "s1", ids[1])
    found = purge(settings, NOW)
    assert found.snapshots == (ids[0], ids[2], ids[3])
    assert [entry.id for entry in settings.open_store().snapshots()] == [ids[1], ids[4], ids[5]]
    assert settings.open_store().cases(ids[1]).num_rows == 2
    listed = {stored for entry in settings.open_store().snapshots() for stored in _files(settings, entry.id)}
    assert listed == {path.name for path in settings.open_store().files.data.iterdir()}
    ledger.end("s1")
    ledger.close()
    assert purge(settings, NOW).snapshots == (ids[1],)


def _files(settings: NodeSettings, snapshot: str) -> set[str]:
    buckets = settings.open_store().files.manifest(snapshot).buckets
    return {stored.name for bucket in buckets for stored in (bucket.cases, bucket.identity)}


def test_files_of_rejected_rows_have_a_period_too(tmp_path: Path) -> None:
    settings = node(tmp_path, [samples.row(1, day="2026-01-01"), samples.row(2, sex="?")])
    (path,) = (settings.store_path / "quarantine").iterdir()
    stamp = (NOW - timedelta(days=29)).timestamp()
    os.utime(path, (stamp, stamp))
    assert purge(settings, NOW).rejected_files == 0
    assert purge(settings, NOW + timedelta(days=2)).rejected_files == 1
    assert not path.exists()


def test_an_import_leaves_out_what_is_past_its_period(tmp_path: Path) -> None:
    settings = node(tmp_path, [samples.row(1, day="2026-01-01")], "\n[retention]\nmonths = 240\n")
    report = samples.take_in(settings, [samples.row(2, day="2001-01-01"), samples.row(3, day="2026-01-01")])
    assert (report.read, report.accepted, report.expired, report.rejected) == (2, 1, 1, 0)
    assert cases(settings) == {"case-1", "case-3"}


def test_without_a_period_nothing_goes(tmp_path: Path) -> None:
    settings = samples.node(tmp_path, [samples.row(1, day="2001-01-01")])
    with pytest.raises(ConfigurationError, match="no-retention"):
        purge(settings, NOW)
    assert not keeper.keep_once(settings.home, NOW)


@pytest.mark.parametrize(
    "terms",
    [
        "months = 0",
        "months = 12.5",
        'months = "12"',
        "",
        "months = 12\nyears = 1",
        "months = 12\nsnapshots_kept = 1",
        "months = 12\nminors_months = -1",
    ],
)
def test_wrong_terms_are_refused(tmp_path: Path, terms: str) -> None:
    settings = samples.node(tmp_path, [samples.row(1)])
    with pytest.raises(ConfigurationError, match="settings-invalid"):
        samples.with_settings(settings, f"\n[retention]\n{terms}\n")


def test_months_are_those_of_the_calendar() -> None:
    assert months_before(date(2026, 3, 31), 1) == date(2026, 2, 28)
    assert months_before(date(2026, 1, 5), 13) == date(2024, 12, 5)
    assert months_before(date(2026, 1, 5), 1200) == date(1926, 1, 5)
    assert months_after(date(2024, 2, 29), 12) == date(2025, 2, 28)
    assert months_after(date(2025, 11, 30), 3) == date(2026, 2, 28)


def test_the_list_names_the_day_on_which_a_case_is_due(tmp_path: Path) -> None:
    rows = [samples.row(1, day="2025-05-31"), samples.row(2, day="2025-03-01", age="9")]
    settings = node(tmp_path, rows, f"{TERMS}minors_months = 60\n")
    found = inventory(settings)
    assert found.next_purge == date(2027, 5, 31)
    (entry,) = found.snapshots
    assert (entry.rows, entry.victims, entry.studies) == (2, 2, ())
    assert entry.bytes == sum(path.stat().st_size for path in settings.open_store().files.data.iterdir())
    snapshot = settings.open_store().latest_snapshot()
    assert snapshot is not None
    samples.open_study(settings, "s1", snapshot).close()
    assert inventory(settings).snapshots[0].studies == ("s1",)


def test_the_keeper_looks_at_its_start_and_once_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = node(tmp_path, [samples.row(1, day="2024-11-26"), samples.row(2, day="2026-01-01")])
    times = [NOW, NOW + timedelta(hours=1), NOW + timedelta(days=1), NOW + timedelta(days=1, hours=1)]
    looked: list[datetime] = []

    def noted(home: Path, at: datetime) -> bool:
        looked.append(at)
        return keep_once(home, at)

    class Over(Exception):  # noqa: N818 - it ends the loop
        pass

    def clock() -> datetime:
        if not times:
            raise Over
        return times.pop(0)

    keep_once = keeper.keep_once
    monkeypatch.setattr(keeper, "keep_once", noted)
    with pytest.raises(Over):
        keeper.keep(settings.home, clock=clock, sleep=lambda _: None)
    assert looked == [NOW, NOW + timedelta(days=1)]
    assert cases(settings) == {"case-2"}


def test_the_keeper_survives_what_goes_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = node(tmp_path, [samples.row(1)])
    (settings.home.parent / "ro.key").chmod(0o644)
    assert not keeper.keep_once(settings.home, NOW)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(keeper, "purge", broken)
    assert not keeper.keep_once(settings.home, NOW)


def test_a_purge_beside_the_service_waits_in_a_note(tmp_path: Path) -> None:
    settings = node(tmp_path, [samples.row(1, day="2020-01-01"), samples.row(2, day="2026-01-01")])
    with settings.open_audit_log():
        assert purge(settings, NOW).rows == 1
    assert [entry["operation"] for entry in samples.log_entries(settings)].count("erase") == 1


def test_a_typo_in_a_period_is_named_with_the_key_that_was_meant(tmp_path: Path) -> None:
    settings = node(tmp_path, [samples.row(1)])
    text = (settings.home / "node.toml").read_text(encoding="utf-8").replace("months = 24", "month = 24")
    (settings.home / "node.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"retention\.month: .* did you mean 'months'\?"):
        NodeSettings.load(settings.home)
