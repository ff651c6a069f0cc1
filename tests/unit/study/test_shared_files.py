"""Files and directories are their owner's only, unless both caller and directory say that they are shared."""

import os
import stat
from pathlib import Path

import pytest

from safeborders_fed.study import durable


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o077], autouse=True, ids=lambda mask: f"umask-{mask:03o}")
def _umask(request: pytest.FixtureRequest) -> object:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.fixture
def marked(tmp_path: Path) -> Path:
    path = tmp_path / "marked"
    path.mkdir()
    path.chmod(0o2750)
    return path


def test_a_file_is_its_owners_only_unless_both_say_that_it_is_shared(tmp_path: Path, marked: Path) -> None:
    for directory, shared, wanted in (
        (tmp_path, False, 0o600),
        (tmp_path, True, 0o600),
        (marked, False, 0o600),
        (marked, True, 0o640),
    ):
        path = directory / f"{shared}"
        durable.replace(path, b"x", shared=shared)
        assert mode(path) == wanted
        durable.create(directory / f"new-{shared}", b"x")
        assert mode(directory / f"new-{shared}") == 0o600
        assert list(directory.glob(".*.partial")) == []


def test_a_directory_likewise_and_it_hands_the_mark_on(tmp_path: Path, marked: Path) -> None:
    for above, shared, wanted in (
        (tmp_path, False, 0o700),
        (tmp_path, True, 0o700),
        (marked, False, 0o2700),
        (marked, True, 0o2750),
    ):
        path = above / f"one{shared}" / "two"
        durable.make_directories(path, shared=shared)
        assert (mode(path.parent), mode(path)) == (wanted, wanted)
        durable.make_directories(path, shared=not shared)
        assert mode(path) == wanted, "what is there is left as it is"


def test_a_box_is_open_to_the_group_only_below_a_mark_and_keeps_the_papers_of_each(
    tmp_path: Path, marked: Path
) -> None:
    durable.make_box(tmp_path / "one" / "box")
    assert mode(tmp_path / "one" / "box") == 0o700
    box = marked / "study" / "box"
    durable.make_box(box)
    assert mode(box) & 0o1777 == durable.BOX
    assert durable.is_box(box.stat().st_mode)
    durable.replace(box / "paper", b"x", shared=True)
    assert mode(box / "paper") == 0o644
    durable.replace(box / "own", b"x")
    assert mode(box / "own") == 0o600


@pytest.mark.parametrize("wrong", [0o1777, 0o1771, 0o770, 0o1750, 0o700])
def test_a_directory_that_everybody_enters_is_no_box(tmp_path: Path, wrong: int) -> None:
    tmp_path.chmod(wrong)
    durable.replace(tmp_path / "paper", b"x", shared=True)
    assert mode(tmp_path / "paper") == 0o600
    tmp_path.chmod(0o700)


def test_the_umask_is_as_before(tmp_path: Path) -> None:
    before = os.umask(0o027)
    os.umask(0o027)
    durable.make_box(tmp_path / "box")
    assert os.umask(before) == 0o027
