"""Fixtures that several kinds of tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from federation_of import ROOT


@pytest.fixture(scope="session")
def data_directory() -> Path:
    """The directory of public data sets; tests that need it are skipped where it is absent."""
    path = Path(os.environ.get("SAFEBORDERS_DATA", ROOT / ".." / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no data directory at {path}: set SAFEBORDERS_DATA")
    return path
