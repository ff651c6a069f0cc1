"""docs/walkthrough-approval.md: each command runs as written, prints what is printed, and ends as is said.

The document starts where docs/operations.md has three states connected; the federation that the other tests
use stands in for it. Within a block of kind ``console`` a line that begins with ``$`` is a command, the lines
after it are what it prints, in that order (``…`` stands for anything), and ``[exit N]`` is how it ends if not
with 0. Lines that a command prints beyond those are not held against it.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from loopback import Loopback, wait_for

from federation_of import ROOT
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.coordinator.study_files import StudyFiles

DOCUMENT = ROOT / "docs" / "walkthrough-approval.md"
STATES = ("BG", "FI", "GR")
BLOCK = re.compile(r"```(console|toml [^\n]+)\n(.*?)```", flags=re.DOTALL)
HOLE = re.compile(r"HASH-OF-([a-z0-9-]+)|(LAST-DAY)")
EXIT = re.compile(r"\[exit (\d+)\]")


@dataclass(frozen=True)
class Step:
    """A command with what it is to print, or a file with its content."""

    command: str
    expected: tuple[str, ...]
    status: int


def steps(text: str) -> Iterator[tuple[str, str] | Step]:
    """Each file and each command of the document, in order."""
    for kind, block in BLOCK.findall(text):
        if kind != "console":
            yield kind.removeprefix("toml "), block
            continue
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, rest = part.replace("\\\n", " ").partition("\n")
            lines = [line.rstrip() for line in rest.splitlines() if line.strip()]
            ends = [EXIT.fullmatch(line) for line in lines]
            status = next((int(end[1]) for end in ends if end), 0)
            expected = tuple(line for line, end in zip(lines, ends, strict=True) if not end)
            yield Step(command, expected, status)


def missing(expected: tuple[str, ...], printed: str) -> str | None:
    """The first line that was not printed after those before it; None if all were."""
    left = printed.splitlines()
    for line in expected:
        pattern = ".*".join(re.escape(part.strip()) for part in line.split("…"))
        found = next((at for at, text in enumerate(left) if re.fullmatch(pattern, text.strip())), None)
        if found is None:
            return line
        left = left[found + 1 :]
    return None


class Reader:
    """Types what the document says, at a federation that runs."""

    def __init__(self, made: Loopback) -> None:
        self.made = made

    def path(self, text: str) -> str:
        for state in STATES:
            text = text.replace(f"/srv/{state}", str(self.made.nodes[state].home))
        text = text.replace("/srv/coordinator", str(self.made.coordinator.home))
        return text.replace("/media/", f"{self.made.keys}/").replace("/srv/", f"{self.made.root}/")

    def fill(self, hole: re.Match[str]) -> str:
        if hole[2]:
            return str((datetime.now(UTC) + timedelta(days=20)).date())
        return StudyFiles(CoordinatorHome.load(self.made.coordinator.home), hole[1]).manifest().hash()

    def do(self, step: Step) -> None:
        words = shlex.split(self.path(HOLE.sub(self.fill, step.command)))
        assert words.pop(0) == "safeborders"
        if {"approve", "refuse", "withdraw-approval"} & set(words):
            words += ["--passphrase-file", str(self.made.keys / "passphrase")]
        if words[:3] == ["node", "study", "show"]:
            published = Path(words[words.index("--home") + 1]) / "studies" / words[3] / "published.json"
            wait_for(published.exists, 30, f"{words[3]} at the node")
        program = [sys.executable, "-m", "safeborders_fed", *words]
        done = subprocess.run(program, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        status, printed = done.returncode, done.stdout + done.stderr
        lacking = missing(tuple(self.path(HOLE.sub(self.fill, line)) for line in step.expected), printed)
        assert (status, lacking) == (step.status, None), f"$ {step.command}\n{printed}"


def permit_minors_only(settings: Path) -> None:
    """What the document says that FI's team wrote into its policy."""
    text = settings.read_text(encoding="utf-8")
    changed = text.replace('\npopulations = ["all", "minors"]', '\npopulations = ["minors"]')
    assert changed != text
    settings.write_text(changed, encoding="utf-8")


def test_a_line_that_is_not_printed_is_noticed() -> None:
    printed = "Study:  tables\nCosts:  epsilon 1 at delta 1e-06\nHash:   abc"
    assert missing(("Study:  tables", "Hash: …"), printed) is None
    assert missing(("Hash: …", "Study: …"), printed) == "Study: …"
    assert missing(("Costs: epsilon 2 …",), printed) == "Costs: epsilon 2 …"


@pytest.mark.slow
def test_every_command_prints_what_is_written(tmp_path: Path) -> None:
    found = list(steps(DOCUMENT.read_text(encoding="utf-8")))
    assert sum(isinstance(step, Step) for step in found) > 20
    made = Loopback(tmp_path / "federation", nodes=STATES)
    made.found()
    permit_minors_only(made.nodes["FI"].home / "node.toml")
    try:
        made.start()
        reader = Reader(made)
        for step in found:
            if isinstance(step, Step):
                reader.do(step)
            else:
                name, content = step
                Path(reader.path(name)).write_text(content, encoding="utf-8")
    finally:
        codes = {machine.name: machine.stop() for machine in made.machines}
    assert set(codes.values()) == {0}
