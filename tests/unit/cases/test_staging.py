"""A change of many files takes place as a whole, or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from safeborders_fed.cases import staging
from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.cases.publication import lock
from safeborders_fed.cases.staging import Staged
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.errors import ConfigurationError


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A store, with a file beside it that changes as well."""
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "x").write_bytes(b"old")
    made = tmp_path / "place"
    made.mkdir()
    (made / "a").write_bytes(b"old")
    (made / "b").write_bytes(b"old")
    return made


def _staged(directory: Path) -> Staged:
    staged = Staged(directory)
    staged.put(directory / "a", b"new")
    staged.put(directory.parent / "beside" / "x", b"new")
    staged.remove(directory / "b")
    return staged


def _state(directory: Path) -> list[bytes | None]:
    paths = (directory / "a", directory.parent / "beside" / "x", directory / "b")
    return [path.read_bytes() if path.exists() else None for path in paths]


def test_nothing_changes_before_the_decision(directory: Path) -> None:
    _staged(directory)
    assert not staging.is_committed(directory)
    assert not staging.finish(directory)
    assert _state(directory) == [b"old"] * 3
    Staged(directory)  # the next one begins from nothing
    assert not list((directory / "next").iterdir())


def test_after_the_decision_everybody_may_finish_and_again(directory: Path) -> None:
    _staged(directory).commit()
    assert _state(directory) == [b"old"] * 3
    shutil.copytree(directory / "committed", directory.parent / "kept")
    assert staging.finish(directory)
    assert _state(directory) == [b"new", b"new", None]
    shutil.copytree(directory.parent / "kept", directory / "committed")
    assert staging.finish(directory)
    assert _state(directory) == [b"new", b"new", None]
    assert not staging.finish(directory)
    assert sorted(path.name for path in directory.iterdir()) == ["a"]


def test_a_directory_that_was_moved_is_finished_where_it_is(directory: Path) -> None:
    _staged(directory).commit()
    home = directory.parent
    moved = home.with_name("moved")
    home.rename(moved)
    assert staging.finish(moved / "place")
    assert _state(moved / "place") == [b"new", b"new", None]
    moved.rename(home)


@pytest.mark.parametrize("plan", [None, b"", b"{}", b'{"moves": 7, "removed": []}', b"\xff"])
def test_a_decision_that_cannot_be_read_is_damage(tmp_path: Path, plan: bytes | None) -> None:
    keys = NodeKeys.generate()
    CaseStore.create(tmp_path / "store", keys)
    Staged(tmp_path / "store").commit()
    path = tmp_path / "store" / "committed" / "plan.json"
    path.unlink() if plan is None else path.write_bytes(plan)
    with pytest.raises(ConfigurationError, match="store-damaged"):
        CaseStore.open(tmp_path / "store", keys)


def test_a_full_disk_leaves_the_decision_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = NodeKeys.generate()
    CaseStore.create(tmp_path / "store", keys)
    staged = Staged(tmp_path / "store")
    staged.put(tmp_path / "store" / "erased.sealed", b"new")
    staged.commit()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(staging, "write_durably", full)
    with pytest.raises(ConfigurationError, match="store-unwritable"):
        CaseStore.open(tmp_path / "store", keys)
    monkeypatch.undo()
    CaseStore.open(tmp_path / "store", keys)
    assert (tmp_path / "store" / "erased.sealed").read_bytes() == b"new"


def test_a_store_is_not_read_or_written_before_its_change_is_finished(tmp_path: Path) -> None:
    keys = NodeKeys.generate()
    store = CaseStore.create(tmp_path / "store", keys)
    staged = Staged(tmp_path / "store")
    staged.put(tmp_path / "store" / "erased.sealed", b"new")
    staged.commit()
    with pytest.raises(ConfigurationError, match="store-unfinished"):
        CaseStore.look(tmp_path / "store", keys)
    with pytest.raises(ConfigurationError, match="store-changed"), store.writing():
        pass
    with lock(tmp_path / "store"), pytest.raises(ConfigurationError, match="store-busy"):
        CaseStore.open(tmp_path / "store", keys)
    CaseStore.open(tmp_path / "store", keys)
    assert (tmp_path / "store" / "erased.sealed").read_bytes() == b"new"
