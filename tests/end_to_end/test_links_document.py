"""docs/links.md: each command of its walk-through runs as written, prints what is printed, ends as is said.

Blocks are read as ``test_walkthrough_document`` reads them. What the document leaves to the reader ("a second
prosecutor approves in the same way", "and those of BE on their side") is done after the command before it.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from test_links_over_services import PROSECUTORS, SHARED, STATES, Linked
from test_walkthrough_document import Step, missing, steps

from federation_of import ROOT

pytestmark = pytest.mark.slow
DOCUMENT = ROOT / "docs" / "links.md"
HOLE = re.compile(r"\b(OTHER-HIT|HIT|BATCH|KEY|YEAR)\b")
SIGNING = {"create-key", "approve", "approve-hit", "decline", "outcome"}


class Shared(Linked):
    """Two numbers stand in files of both BE and BG: one hit to approve, one to decline."""

    shared = (SHARED, "+32 2 555 13 13")
    many = 100


class Reader:
    """Types what the document says."""

    def __init__(self, made: Shared, directory: Path) -> None:
        self.made = made
        self.directory = directory
        self.known = {"YEAR": f"{datetime.now(UTC):%Y}"}

    def path(self, text: str) -> str:
        for state in STATES:
            text = text.replace(f"/srv/{state}", str(self.made.nodes[state].home))
        text = text.replace("/srv/coordinator", str(self.made.coordinator.home))
        return text.replace("/media/", f"{self.made.keys}/")

    def fill(self, hole: re.Match[str]) -> str:
        if hole[1] == "BATCH" and "BATCH" not in self.known:
            (batch,) = self.made.node_command("BG", "links", "status")["batches"]
            self.known["BATCH"] = batch["batch"][:12]
        if hole[1].endswith("HIT") and "HIT" not in self.known:
            self.known["HIT"], self.known["OTHER-HIT"] = (hit["hit"] for hit in self.made.hits("BG"))
        return self.known[hole[1]]

    def do(self, step: Step) -> None:
        words = shlex.split(self.path(HOLE.sub(self.fill, step.command)))
        assert words.pop(0) == "safeborders"
        asked = list(words)
        if SIGNING & set(words):
            asked += ["--passphrase-file", str(self.made.keys / "passphrase")]
        if "approve-hit" in words:
            asked += ["--hit-hash", self.known["HIT"]]
        if "--wait" in words:
            self.made.offer("BE")
        program = [sys.executable, "-m", "safeborders_fed", *asked]
        done = subprocess.run(  # as at a terminal: what is said on the way comes before the result
            program,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            cwd=self.directory,
        )
        printed = done.stdout
        lacking = missing(tuple(map(self.path, step.expected)), printed)
        assert (done.returncode, lacking) == (step.status, None), f"$ {step.command}\n{printed}"
        if "create-key" in words:
            self.known["KEY"] = re.findall(r"^[0-9a-f]{64}$", printed, re.MULTILINE)[0]
        self.others(words)

    def others(self, words: list[str]) -> None:
        """What the document says that others do in the same way."""
        made = self.made
        if "approve" in words:
            made.node_command("BG", "links", "approve", self.known["BATCH"], *made.signed("BG", "Petra"))
        if "approve-hit" in words:
            hit = self.known["HIT"]
            for node, name in (("BG", "Petra"), *(("BE", name) for name in PROSECUTORS)):
                signed = ("--hit-hash", hit, *made.signed(node, name))
                made.node_command(node, "links", "approve-hit", hit, *signed)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    found = Shared(tmp_path_factory.mktemp("document") / "federation", STATES, port=25143, deadline=60.0)
    try:
        found.found()
        found.prepare_links()
        found.start()
        yield found
    finally:
        found.stop()


def test_every_command_of_the_document_prints_what_is_written(made: Shared, tmp_path: Path) -> None:
    found = list(steps(DOCUMENT.read_text(encoding="utf-8")))
    assert sum(isinstance(step, Step) for step in found) > 20
    reader = Reader(made, tmp_path)
    for step in found:
        if isinstance(step, Step):
            reader.do(step)
        else:
            name, content = step
            Path(reader.path(name)).write_text(content, encoding="utf-8")
    assert "+359 2 000000" in str(made.hits("BE")), "the contact point of the document was not what BE got"
