"""The coordinator's half of the key ceremony of an epoch: commit, reveal, pin, pinned.

Guarantees: a step is taken when the one before is complete and on the disk, so that all nodes are shown the
same sayings however often a run is cut off; the coordinator passes on what nodes said and adds nothing. It
checks keys as each node does, so that who gives wrong ones is named here too; the nodes do not rely on that:
each checks commitments, signatures and proofs for itself, pins one set for the epoch, and sees signed by all
that they pinned the same one. If a share is refused or wrong, or the roster has changed before all have
pinned, the ceremony begins again, and who has revealed a share makes another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from safeborders_fed.coordinator.federation import NO_REPLY
from safeborders_fed.errors import PeerError
from safeborders_fed.links.calling import Caller
from safeborders_fed.links.exchange_files import LinkFiles
from safeborders_fed.links.key_set import KeySet, key_set
from safeborders_fed.study import canonical
from safeborders_fed.study.link_messages import Said

_STEPS: Final = (("commit", "commitment"), ("reveal", "share"), ("pin", "key-set"), ("pinned", "ready"))


def hold(files: LinkFiles, caller: Caller, roster_hash: str, tell: Callable[[str], None]) -> KeySet | None:
    """Goes through the steps that are left; the keys that all nodes have pinned, or None.

    Args:
        files: Where what nodes said is kept.
        caller: Asks all nodes of the roster.
        roster_hash: Hash of the roster.
        tell: Told of each step that is done.

    Raises:
        PeerError: what is wrong with the keys of a node, by name, or ``different-keys``.
        ConfigurationError: ``coordinator-unwritable`` or ``links-damaged``.
    """
    said: tuple[Said, ...] = ()
    nodes = participants(files, caller.keys)
    for step, kind in _STEPS:
        known = files.ceremony(step)
        if known is None:
            # Whoever has revealed a share in a ceremony of which nothing is here must make another.
            content = {"epoch": files.epoch, "anew": True}
            heard = caller.ask(step, dict.fromkeys(nodes, caller.asking(step, content, said)), kind)
            if heard.keys() != set(nodes):
                if step == "reveal" and any(_refused(caller, node) for node in nodes):
                    files.begin_ceremony_again()
                return None
            known = tuple(heard[node].said for node in nodes)
            if step == "reveal":
                files.keep_key_set(_checked(files, caller, said, known, roster_hash))
            if step == "pin":
                _require_one_set(known, caller)
            files.keep_ceremony(step, known)
            tell(step)
        said = known
    return files.key_set()


def participants(files: LinkFiles, keys: Mapping[str, str]) -> tuple[str, ...]:
    """The nodes of an epoch: those that hold its keys or, before the ceremony, all of the roster."""
    known = files.key_set()
    return tuple(sorted(keys)) if known is None else known.nodes


def keep_to_roster(files: LinkFiles, caller: Caller, roster_hash: str) -> None:
    """Begins the ceremony again if the roster has changed before all nodes had pinned. Raises as ``hold``."""
    commitments = files.ceremony("commit")
    if commitments is None or files.ceremony("pin") is not None:
        return
    nodes = {each.node for each in commitments}
    rosters = {canonical.parse(each.text.encode("utf-8")).get("roster") for each in commitments}
    if nodes != set(caller.keys) or rosters != {roster_hash}:
        files.begin_ceremony_again()


def _refused(caller: Caller, node: str) -> bool:
    """Whether a node did something else than reveal its share, or be silent."""
    return caller.code_of(node, "reveal") not in {"", NO_REPLY}


def _checked(
    files: LinkFiles,
    caller: Caller,
    commitments: tuple[Said, ...],
    shares: tuple[Said, ...],
    roster_hash: str,
) -> KeySet:
    """The keys, if nodes may pin them; otherwise the ceremony begins again with the next run."""
    try:
        return key_set(commitments, shares, caller.keys, files.epoch, roster_hash)
    except PeerError:
        files.begin_ceremony_again()
        raise


def _require_one_set(said: tuple[Said, ...], caller: Caller) -> None:
    sets = {str(each.content(caller.keys[each.node], "key-set").get("keys")) for each in said}
    if len(sets) != 1:
        raise PeerError(
            "different-keys",
            f"the nodes {', '.join(each.node for each in said)} pinned {len(sets)} different sets of keys",
            "no token of this epoch can be made: ask all teams, and compare what each has pinned",
        )
