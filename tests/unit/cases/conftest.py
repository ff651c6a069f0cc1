"""A case store with its keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.cases.store import CaseStore


@pytest.fixture
def keys() -> NodeKeys:
    return NodeKeys.generate()


@pytest.fixture
def store(tmp_path: Path, keys: NodeKeys) -> CaseStore:
    return CaseStore.create(tmp_path / "store", keys)
