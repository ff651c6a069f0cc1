"""New keys, an erasure and a purge are killed at every step that matters to the disk: SIGKILL, for real.

A forked process counts these steps and kills itself at the one that the test asks for. Whatever step it was,
the store then opens with the key file that is there, holds either what it held or what it was to hold, and
the same command can be given again.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

import store_samples as samples
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.node import key_source, key_succession
from safeborders_fed.node.erasing import concerned, erase, pseudonyms
from safeborders_fed.node.rekeying import rekey
from safeborders_fed.node.retention import purge
from safeborders_fed.node.settings import NodeSettings

P = ParamSpec("P")
R = TypeVar("R")
NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
WHO = "person-7"
QUICK = 12
"""Kill points of each change in the quick suite, spread over all its steps."""


def _rekey(settings: NodeSettings) -> None:
    rekey(settings, by="Dana", why="test")


def _erase(settings: NodeSettings) -> None:
    victims = pseudonyms(settings.store_keys(), [WHO])
    records = concerned(settings, victims).records
    erase(settings, victims, confirmed=records, by="Dana", why="test", now=NOW)


def _purge(settings: NodeSettings) -> None:
    purge(settings, NOW)


def _open(settings: NodeSettings) -> None:
    settings.open_store()


COMMANDS: dict[str, Callable[[NodeSettings], None]] = {
    "rekey": _rekey,
    "erase": _erase,
    "purge": _purge,
    "open": _open,
}
CHANGES = ("rekey", "erase", "purge")


def _counted(home: Path, change: str, point: int, steps: Path) -> None:
    """In a process of its own: does a change, and kills itself before step ``point``."""
    count = 0

    def step(original: Callable[P, R]) -> Callable[P, R]:
        def counted(*arguments: P.args, **named: P.kwargs) -> R:
            nonlocal count
            if count == point:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1
            return original(*arguments, **named)

        return counted

    for name in ("fsync", "rename", "replace", "unlink", "link"):
        setattr(os, name, step(getattr(os, name)))
    for name in ("rename", "replace", "unlink", "mkdir"):
        setattr(Path, name, step(getattr(Path, name)))
    COMMANDS[change](NodeSettings.load(home))
    steps.write_text(str(count), encoding="ascii")
    os._exit(0)


def _run(home: Path, change: str, point: int) -> int | None:
    """The number of steps if the change ended; None if it was killed."""
    steps = home.parent / "steps"
    steps.unlink(missing_ok=True)
    process = multiprocessing.get_context("fork").Process(target=_counted, args=(home, change, point, steps))
    process.start()
    process.join(60)
    assert process.exitcode in {0, -signal.SIGKILL}
    return int(steps.read_text(encoding="ascii")) if steps.exists() else None


def _made(directory: Path) -> NodeSettings:
    """Two snapshots with one victim to be erased, who has a case past its period; a file of rejected rows."""
    old = samples.row(7, day="2020-01-01")
    settings = samples.node(directory, [old, *(samples.row(n, day="2026-01-01") for n in range(10, 20))])
    samples.take_in(settings, [samples.row(30, day="2026-01-01"), samples.row(31, sex="?")])
    return samples.with_settings(settings, "\n[retention]\nmonths = 24\n")


def _held(settings: NodeSettings) -> dict[str, list[str]]:
    """What each snapshot holds, by national ids, in both of its tables."""
    store = settings.open_store()
    found = {}
    for entry in store.snapshots():
        raw = store.raw_keys(entry.id)
        assert raw.select(["victim", "case"]).equals(store.cases(entry.id).select(["victim", "case"]))
        found[entry.id] = sorted(raw["victim_id"].to_pylist())
    return found


def _check(home: Path, change: str, before: dict[str, list[str]], old_keys: bytes) -> bool:
    """Whether the change has happened; it has as a whole, or not at all."""
    settings = NodeSettings.load(home)
    held = _held(settings)
    files = settings.open_store().files
    for part in ("next", "committed"):
        assert not (files.directory / part).exists()
    assert not key_succession.successor(settings.key_path).exists()
    done: bool
    if change == "rekey":
        assert held == before
        done = settings.store_keys().to_bytes() != old_keys
    else:
        without = {name: [who for who in whom if who != WHO] for name, whom in before.items()}
        done = held != before
        if done:
            assert {name: held[name] for name in before} == without
            assert list(held.values())[-1] == without[list(without)[-1]]
            assert len(held) == len(before) + 1
        assert files.quarantine.exists()
        assert bool(list(files.quarantine.iterdir())) == (not done or change == "purge")
    listed = {
        stored.name
        for name in files.snapshots()
        for bucket in files.manifest(name).buckets
        for stored in (bucket.cases, bucket.identity)
    }
    assert listed == {path.name for path in files.data.iterdir()}
    return done


def _try(directory: Path, change: str, share_of: int | None) -> tuple[int, int]:
    """Kills at some points or at all; how many tries left the store before and after the change."""
    original = directory / "original"
    original.mkdir()
    settings = _made(original)
    before, old_keys = _held(settings), settings.store_keys().to_bytes()
    # node.toml names its key file by an absolute path, so every try happens in the same place.
    kept = directory / "kept"
    shutil.copytree(original, kept)
    total = _run(settings.home, change, 10**9)
    assert total is not None
    assert total > 20
    assert _check(settings.home, change, before, old_keys)
    step = 1 if share_of is None else max(1, total // share_of)
    outcomes = []
    for point in sorted({*range(0, total, step), *range(total - 4, total)}):
        shutil.rmtree(original)
        shutil.copytree(kept, original)
        assert _run(settings.home, change, point) is None
        done = _check(settings.home, change, before, old_keys)
        outcomes.append(done)
        again = NodeSettings.load(settings.home)
        if not done:
            COMMANDS[change](again)
            assert _check(settings.home, change, before, old_keys)
        operation = "rekey" if change == "rekey" else "erase"
        assert operation in {entry["operation"] for entry in samples.log_entries(again)}
    assert outcomes == sorted(outcomes)  # once it is decided, it stays decided
    return outcomes.count(False), outcomes.count(True)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_is_killed_has_happened_or_not(tmp_path: Path, change: str) -> None:
    before, after = _try(tmp_path, change, QUICK)
    assert before > 3
    assert after > 1


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_every_kill_point(tmp_path: Path, change: str) -> None:
    before, after = _try(tmp_path, change, None)
    assert before > 10
    assert after > 10


def test_the_finish_of_a_change_may_be_killed_too(tmp_path: Path) -> None:
    """Whoever finds a decided change finishes it; a kill meanwhile leaves it to the next."""
    original, kept = tmp_path / "original", tmp_path / "kept"
    original.mkdir()
    settings = _made(original)
    before, old_keys = _held(settings), settings.store_keys().to_bytes()
    shutil.copytree(original, kept)
    point = _run(settings.home, "rekey", 10**9)
    assert point is not None
    while not (settings.store_path / "committed").exists():
        point -= 1
        shutil.rmtree(original)
        shutil.copytree(kept, original)
        assert _run(settings.home, "rekey", point) is None
    for step in range(4):
        assert _run(settings.home, "open", step) is None
    assert _check(settings.home, "rekey", before, old_keys)


def test_a_torn_successor_is_removed_and_never_believed(tmp_path: Path) -> None:
    settings = samples.node(tmp_path)
    waiting = key_succession.successor(settings.key_path)
    waiting.write_bytes(b'{"kind": "safebor')
    waiting.chmod(0o600)
    keys = key_source.load(settings, settings.key_path)
    assert settings.store_keys() == keys
    assert not waiting.exists()
    assert [path.read_bytes() for path in tmp_path.glob("ro.key.undone-*")] == [b'{"kind": "safebor']
    assert "interrupted" in samples.log_entries(settings)[-1]["why"]


def test_two_key_files_that_do_not_fit_both_stay(tmp_path: Path) -> None:
    settings = samples.node(tmp_path)
    other = samples.node(tmp_path / "other")
    waiting = key_succession.successor(settings.key_path)
    shutil.copy(settings.key_path, tmp_path / "right")
    shutil.copy(other.key_path, settings.key_path)
    shutil.copy(other.key_path, waiting)
    with pytest.raises(ConfigurationError, match="wrong-key"):
        settings.open_store()
    assert waiting.exists()
    shutil.copy(tmp_path / "right", waiting)
    assert settings.open_store().cases().num_rows == 40
    assert not waiting.exists()
