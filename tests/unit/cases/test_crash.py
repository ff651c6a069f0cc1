"""An import that is killed leaves the store as it was. The kills are real: SIGKILL to a process of its own.

The process counts the steps that matter to the disk (fsync, rename, new file in the store, chunk read) and
kills itself at the step that the test asks for; the steps of one whole import are counted first.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from intake_samples import MAPPING, mapping, row, rows, write_csv

from safeborders_fed.cases.intake import import_file
from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.cases.store import CaseStore

PROGRAM = """
import os, pathlib, signal, sys
from safeborders_fed.cases import publication, snapshots, spill
from safeborders_fed.cases.intake import import_file
from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.cases.mapping import parse_mapping
from safeborders_fed.cases.store import CaseStore

directory, source, text, point = sys.argv[1:]
steps = 0

def step(original):
    def counted(*arguments, **named):
        global steps
        for after in (False, True):
            if steps == int(point):
                os.kill(os.getpid(), signal.SIGKILL)
            steps += 1
            if not after:
                result = original(*arguments, **named)
        return result
    return counted

publication.ROWS_PER_BUCKET = 32
keys = NodeKeys.load(pathlib.Path(directory) / "keys")
store = CaseStore.open(pathlib.Path(directory) / "store", keys)
os.fsync = step(os.fsync)
pathlib.Path.rename = step(pathlib.Path.rename)
snapshots.write_durably = step(snapshots.write_durably)
spill.Spill.add = step(spill.Spill.add)
import_file(pathlib.Path(source), parse_mapping(text, "m"), store)
print(steps)
"""


def _run(directory: Path, source: Path, point: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, str(directory), str(source), MAPPING, str(point)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    keys = NodeKeys.generate()
    keys.save(tmp_path / "keys")
    store = CaseStore.create(tmp_path / "store", keys)
    import_file(write_csv(tmp_path / "a.csv", rows(100)), mapping(), store)
    return tmp_path


def _second_file(directory: Path) -> Path:
    changed = [row(Дело=f"Д-{number}", Жертва=f"Ж-{number}", Пол="м") for number in range(50, 100)]
    return write_csv(directory / "b.csv", [*changed, *rows(60, start=200), row(Дело="")])


SHARES = (0.0, 0.2, 0.5, 0.8, 0.95, 1.0)
"""Where to kill, from the first step to the moment before the rename that publishes."""


def test_a_killed_import_leaves_the_store_as_it_was(directory: Path) -> None:
    store = CaseStore.open(directory / "store", NodeKeys.load(directory / "keys"))
    source, before, snapshots = _second_file(directory), store.cases(), store.snapshots()
    files = sorted(path.name for path in store.files.data.iterdir())

    total = _steps_of_a_whole_import(directory)
    assert total > 30
    rename = total - 4  # the four last steps: before and after the rename, before and after the last fsync
    for point in sorted({int(share * rename) for share in SHARES}):
        killed = _run(directory, source, point)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        store = CaseStore.open(directory / "store", NodeKeys.load(directory / "keys"))
        assert not list(store.files.work.iterdir())
        assert store.snapshots() == snapshots
        assert store.cases().equals(before)
        assert sorted(path.name for path in store.files.data.iterdir()) == files

    whole = _run(directory, source, 10**9)
    assert whole.returncode == 0, whole.stderr
    assert store.snapshots()[-1].rows == 160
    assert store.cases()["sex"].to_pylist().count("Masculine") == 50


def test_a_kill_right_after_the_rename_leaves_the_new_snapshot_whole(directory: Path) -> None:
    total = _steps_of_a_whole_import(directory)
    source = _second_file(directory)
    killed = _run(directory, source, total - 3)
    assert killed.returncode == -signal.SIGKILL
    store = CaseStore.open(directory / "store", NodeKeys.load(directory / "keys"))
    assert [entry.rows for entry in store.snapshots()] == [100, 160]
    assert store.cases().num_rows == 160
    assert import_file(source, mapping(), store).unchanged == 110


def _steps_of_a_whole_import(directory: Path) -> int:
    """Counted on a twin of the store, so that this one stays as it is."""
    twin = directory / "twin"
    twin.mkdir()
    keys = NodeKeys.load(directory / "keys")
    keys.save(twin / "keys")
    store = CaseStore.create(twin / "store", keys)
    import_file(directory / "a.csv", mapping(), store)
    done = _run(twin, _second_file(directory), 10**9)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)
