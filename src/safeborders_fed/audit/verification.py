"""Whether an audit log holds, with all that others keep of it.

Guarantees: public keys, the log and what peers, coordinator and ledger keep are enough; nothing is written.
An anchor counts only if one of the node's given keys signed it, so nobody can accuse a node with an invented
one. The chain is checked first, so that an altered log is told, with the place, from one that was cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from safeborders_fed.audit.anchors import Anchor, require, verify_all
from safeborders_fed.audit.chain import Verified
from safeborders_fed.study.anchors import COORDINATOR, AnchorFile, KeptAnchor


class Sorted(NamedTuple):
    """Anchors that the node of the log signed, and how many it did not."""

    own: tuple[Anchor, ...]
    foreign: int


def sort(files: Iterable[AnchorFile], keys: Sequence[str]) -> Sorted:
    """The anchors that were signed with one of these keys; each once for each who keeps it."""
    own: dict[Anchor, None] = {}
    foreign = 0
    for file in files:
        for kept in file.anchors:
            if any(kept.is_signed_by(key) for key in keys):
                own[_anchor(kept)] = None
            else:
                foreign += 1
    return Sorted(tuple(own), foreign)


def _anchor(kept: KeptAnchor) -> Anchor:
    keeper = "the coordinator" if kept.kept_by == COORDINATOR else kept.kept_by
    return Anchor(kept.joined.anchor, kept.joined.study, kept.kept_on.isoformat(), keeper)


def check(
    path: Path, keys: Sequence[str], anchors: Sequence[Anchor], numbered: dict[int, str] | None = None
) -> Verified:
    """Checks a log from its first entry to its last, and that it has every anchored entry.

    Args:
        path: The log; files that it follows on lie beside it.
        keys: The node's public keys in the order of their use.
        anchors: What others keep.
        numbered: Further anchors, as ``audit.chain.verify`` takes them.

    Raises:
        ConfigurationError: ``audit-log-altered``, ``audit-log-cut``, ``audit-key-unknown`` or
            ``audit-log-unreadable``.
    """
    if not path.exists():
        require(path, anchors)
    found = verify_all(path, keys, numbered)
    require(path, anchors)
    return found
