"""What is left in a box is read as if an enemy had left it."""

import os
from pathlib import Path

import pytest

from safeborders_fed.node import boxes
from safeborders_fed.node.boxes import papers


def names(directory: Path) -> list[str]:
    return [path.name for path, _ in papers(directory)]


def test_plain_papers_are_read_in_order(tmp_path: Path) -> None:
    for name in ("b.json", "a.json", ".c.json", "d.txt", ".e.json.partial"):
        (tmp_path / name).write_text(name)
    assert list(papers(tmp_path)) == [(tmp_path / "a.json", b"a.json"), (tmp_path / "b.json", b"b.json")]


def test_no_box_holds_no_paper(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert names(tmp_path / "none") == names(tmp_path / "file") == []


def test_links_pipes_directories_and_large_files_are_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    box = tmp_path / "box"
    box.mkdir()
    (box / "link.json").symlink_to(secret)
    (box / "loop.json").symlink_to("loop.json")
    os.mkfifo(box / "pipe.json")
    (box / "directory.json").mkdir()
    (box / "most.json").write_bytes(b"x" * boxes.LONGEST_PAPER)
    (box / "more.json").write_bytes(b"x" * (boxes.LONGEST_PAPER + 1))
    (box / "sparse.json").touch()
    os.truncate(box / "sparse.json", 2**40)
    assert names(box) == ["most.json"]
    assert {path.name for path in box.iterdir() if f"{path.name} is passed over" in caplog.text} == {
        "link.json",
        "loop.json",
        "pipe.json",
        "directory.json",
        "more.json",
        "sparse.json",
    }
    assert "secret" not in caplog.text.replace(str(secret), "")


def test_a_flood_of_papers_costs_a_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(boxes, "MOST_PAPERS", 3)
    for number in range(5):
        (tmp_path / f"{number}.json").touch()
    assert len(names(tmp_path)) == 3
    assert "5 papers" in caplog.text


NO_NAMES = (b"\xff.json", b"a\n.json", "\u0430.json".encode(), b"-" * 200 + b".json", b"a b.json", b"\\.json")


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_name_that_no_paper_has_is_passed_over(tmp_path: Path, name: bytes) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).touch()
    assert names(tmp_path) == []
