"""Hits as the node's people see them, and what they sign about them.

Layout, in the node's directory::

    hits/HIT.json    what people may know of a hit (``links.hits``)
    hits/papers/     where they leave their yes, no, outcome, or that they looked

Guarantees: a file is there as a whole or not at all. Where the node's roles are set, approvers read the
files and leave papers as users of their own; who is neither approver nor operator can do neither. So the box
is read with distrust (``node.boxes``): what is signed counts by its signature, and who looked is told by the
machine, which knows whose file it is. Nothing in here tells what the other state has not agreed to tell.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from safeborders_fed.errors import ConfigurationError, UsageError
from safeborders_fed.node.approvals import Approval
from safeborders_fed.node.boxes import papers
from safeborders_fed.node.hit_book import SHORTEST_PREFIX, unknown_hit
from safeborders_fed.node.layout import HITS, PAPERS, user_name
from safeborders_fed.study import canonical, durable
from safeborders_fed.study.roster import Digest

LOG: Final = logging.getLogger(__name__)
ALL: Final = "0" * 64
"""In the place of a hit, where somebody looked at the list."""
Act = Literal["approve", "decline", "outcome", "view"]


class HitPaper(BaseModel):
    """What one person did about a hit.

    Attributes:
        hit: Which; ``ALL`` for a look at the list.
        act: What.
        word: The urgency of an approval, the reason of a decline, or the outcome.
        seen_alarm: Whether who approves has seen the alarm on it.
        approval: Their signature; None for a look.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    hit: Digest
    act: Act
    word: Annotated[str, Field(pattern=r"^[a-z-]{0,40}$")] = ""
    seen_alarm: bool = False
    approval: Approval | None = None


def subject_hash(hit: str, act: Act, word: str) -> str:
    """What a person signs: the hit's own name to approve it, for which the other state looks too."""
    if act == "approve":
        return hit
    return canonical.sha256(canonical.serialise({"hit": hit, "act": act, "word": word}))


class HitPapers:
    """The files and papers of one node.

    Args:
        home: The node's directory.
    """

    def __init__(self, home: Path) -> None:
        self._directory = home / HITS

    def show(self, views: Mapping[str, Mapping[str, Any]]) -> None:
        """Writes what people may know of each hit, and removes the files of others.

        Raises:
            ConfigurationError: ``node-unwritable``.
        """
        try:
            self._open()
            for name, view in views.items():
                path, content = self._directory / f"{name}.json", canonical.serialise(dict(view))
                if not path.exists() or path.read_bytes() != content:
                    durable.replace(path, content, shared=True)
            for path in self._directory.glob("*.json"):
                if path.stem not in views:
                    path.unlink()
        except OSError as error:
            raise _unwritable(self._directory, error) from error

    def _open(self) -> None:
        """Makes the directory, for the node's own user: ``roles set`` opens it to approvers (``layout``)."""
        if not self._directory.is_dir():
            durable.make_directories(self._directory)
        durable.make_box(self._directory / PAPERS)

    def views(self) -> list[dict[str, Any]]:
        """What people may know of every hit; nothing before the first.

        Raises:
            ConfigurationError: ``hits-unreadable``.
        """
        try:
            return [json.loads(path.read_bytes()) for path in sorted(self._directory.glob("*.json"))]
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                "hits-unreadable",
                f"the hits in {self._directory} cannot be read",
                "ask the node's operator to run `safeborders node links hits`, which writes them again",
            ) from error

    def view(self, prefix: str) -> dict[str, Any]:
        """What people may know of the hit that these digits begin.

        Raises:
            UsageError: ``unknown-hit`` or ``ambiguous-hit``.
            ConfigurationError: ``hits-unreadable``.
        """
        word = prefix.lower()
        found = [view for view in self.views() if str(view["hit"]).startswith(word)]
        if len(word) < SHORTEST_PREFIX or not found:
            raise unknown_hit(prefix)
        if len(found) > 1:
            raise UsageError("ambiguous-hit", f"several hits begin with {word}", "give more of its digits")
        return found[0]

    def leave(self, paper: HitPaper) -> Path:
        """Leaves a person's paper for the node.

        Raises:
            ConfigurationError: ``node-unwritable``.
        """
        path = self._directory / PAPERS / f"{paper.act}-{paper.hit[:16]}-{secrets.token_hex(8)}.json"
        try:
            durable.replace(path, canonical.serialise(paper.model_dump(mode="json")), shared=True)
        except OSError as error:
            raise _unwritable(path.parent, error) from error
        return path

    def left(self) -> Iterator[tuple[Path, HitPaper, str]]:
        """Every paper that was left, with its path and the user of the machine who left it."""
        for path, data in papers(self._directory / PAPERS):
            try:
                paper = HitPaper.model_validate_json(data)
                user = user_name(path.lstat().st_uid)
            except (ValidationError, OSError):
                LOG.warning("paper %s about a hit is passed over: it is none", path.name)
                continue
            yield path, paper, user


def _unwritable(directory: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        "node-unwritable",
        f"{directory} cannot be written: {error.strerror}",
        "free space on its disk, or ask the node's operator to run `safeborders node doctor`",
    )
