"""The hash of the installed code."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import safeborders_fed
from safeborders_fed.study.code_version import code_hash, hash_of

PACKAGE = Path(safeborders_fed.__file__).parent


def test_it_is_of_the_files_and_nothing_else(tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for path in copy.rglob("*.py"):
        os.utime(path, (0, 0))
    (copy / "__pycache__").mkdir()
    (copy / "__pycache__" / "errors.cpython-311.pyc").write_bytes(b"compiled")
    assert hash_of(copy) == code_hash()


def test_any_change_changes_it(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one")
    (tmp_path / "b.py").write_text("two")
    seen = {hash_of(tmp_path)}
    (tmp_path / "b.py").write_text("twO")
    seen.add(hash_of(tmp_path))
    (tmp_path / "b.py").rename(tmp_path / "c.py")
    seen.add(hash_of(tmp_path))
    (tmp_path / "a.py").write_text("onectwO")  # the same bytes over another border of two files
    (tmp_path / "c.py").unlink()
    seen.add(hash_of(tmp_path))
    assert len(seen) == 4
