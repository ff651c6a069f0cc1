"""The table of attacks on links: every attack has a test, and the document says what came of it.

With SAFEBORDERS_LINK_ATTACKS naming a file, the table is written there.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import test_link_attacks
import test_link_attacks_hits
import test_link_attacks_keys

from federation_of import ROOT
from link_attacks import TABLE, table

DOCUMENT = ROOT / "docs" / "links.md"
MODULES = (test_link_attacks_keys, test_link_attacks, test_link_attacks_hits)


def test_every_test_in_these_modules_tries_an_attack_that_stands_in_the_table() -> None:
    tests = [name for module in MODULES for name in vars(module) if name.startswith("test_")]
    assert len(TABLE) == len(tests)
    assert len({row.what for row in TABLE}) == len(TABLE)
    if target := os.environ.get("SAFEBORDERS_LINK_ATTACKS"):
        Path(target).write_text(table() + "\n", encoding="utf-8")


@pytest.mark.skipif(
    not DOCUMENT.exists() or "| Attack | By whom |" not in DOCUMENT.read_text(encoding="utf-8"),
    reason="the document has no table of attacks",
)
def test_the_document_has_this_table() -> None:
    assert table() in DOCUMENT.read_text(encoding="utf-8")
