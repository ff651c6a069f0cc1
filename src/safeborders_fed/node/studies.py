"""The studies that a node was offered, on its disk.

Layout, in the node's home directory::

    studies/ID/published.json     the manifest under the operator's signature
    studies/ID/approvals/KEY.json one person's signed yes; KEY is the beginning of their public key
    studies/ID/refusals/KEY.json  one person's signed no, as that person left it
    studies/ID/withdrawals/KEY.json one person's signed word that their yes counts no more
    studies/ID/refusal.json       the no that stands
    studies/ID/changes.json       what became of it, as the coordinator signed it
    studies/ID/reviews/XX.json    what another state shares of its decision
    studies/ID/keys.json          the nodes' keys as accepted here when the study was taken on
    studies/ID/anchors/           anchors of the other nodes' audit logs (``study.anchors``)
    studies/ID/outcome.json       how the coordinator said it ended
    studies/ID/transcript/        the record of it, in parts
    studies/ID/release.json       what it released

Guarantees: a manifest is kept only if an operator whose key this node pinned signed it, is verified again
each time it is read, and is never replaced by another of the same id. Files are there as a whole or not at
all. Whether a study runs is not written here: documents that people signed, and the ledger, decide it.

Where the node's roles are set (``node.roles``), approvers leave their papers in ``approvals``,
``refusals`` and ``withdrawals`` as users of their own, who cannot write anywhere else in here nor touch each
other's papers. So these three are read with distrust (``node.boxes``), and a no in there counts only if its
signature holds.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError, SafeBordersError, UsageError
from safeborders_fed.node.approvals import Approval, Approver
from safeborders_fed.node.boxes import papers, require_room
from safeborders_fed.node.refusals import StudyRefusal
from safeborders_fed.node.taking_back import ApprovalWithdrawal
from safeborders_fed.study import anchors, canonical, durable, publication
from safeborders_fed.study.anchors import KeptAnchor
from safeborders_fed.study.handshake import Joined
from safeborders_fed.study.manifest import IDENTIFIER, Manifest
from safeborders_fed.study.reviews import SharedReview
from safeborders_fed.study.state_changes import History

LOG: Final = logging.getLogger(__name__)
DIRECTORY: Final = "studies"
PUBLISHED: Final = "published.json"
APPROVALS: Final = "approvals"
REFUSALS: Final = "refusals"
WITHDRAWALS: Final = "withdrawals"
_REFUSAL: Final = "refusal.json"
_CHANGES: Final = "changes.json"
_REVIEWS: Final = "reviews"
_KEYS: Final = "keys.json"
_LONGEST_DOCUMENT: Final = 2**23


@dataclass(frozen=True)
class Unreadable:
    """A study whose manifest does not verify now.

    Attributes:
        id: As its directory says.
        error: Why.
    """

    id: str
    error: SafeBordersError


class NodeStudies:
    """The studies of one node.

    Args:
        home: The node's directory.
        operators: Public keys of the coordinator's operators that it has pinned.
    """

    def __init__(self, home: Path, operators: tuple[str, ...]) -> None:
        self._directory = Path(home) / DIRECTORY
        self.operators = operators

    def directory(self, study: str) -> Path:
        """Where a study's files are.

        Raises:
            UsageError: ``unknown-study``, when the id is none.
        """
        if not IDENTIFIER.fullmatch(study):
            raise _unknown(study, self._directory)
        return self._directory / study

    def ids(self) -> tuple[str, ...]:
        """All studies that were offered, by name."""
        return tuple(sorted(path.parent.name for path in self._directory.glob(f"*/{PUBLISHED}")))

    def verified(self, data: bytes) -> Manifest:
        """The manifest of a published study that is kept, or could be. Raises as ``keep``, writes nothing."""
        manifest = publication.receive_from(data, self.operators)
        path = self.directory(manifest.id) / PUBLISHED
        if path.exists() and publication.unverified(_read(path))[0] != manifest.hash():
            raise changed(manifest.id)
        return manifest

    def keep(self, data: bytes) -> Manifest:
        """Keeps a published study; the same manifest again changes nothing.

        Raises:
            PeerError: ``not-canonical``, ``bad-publication``, ``wrong-operator`` or ``bad-signature``.
            ConfigurationError: ``bad-manifest`` or ``node-unwritable``.
            RefusedError: ``study-changed``, when another manifest of this id was kept before; or from
                ``Manifest.check``.
        """
        manifest = self.verified(data)
        path = self.directory(manifest.id) / PUBLISHED
        if not path.exists() or not self._verifies(manifest.id):
            write(path, data, shared=True)
        self.open_boxes(manifest.id)  # each time: the node may have been stopped before it had made all
        return manifest

    def open_boxes(self, study: str) -> None:
        """Makes the places where people leave what they sign.

        Raises:
            ConfigurationError: ``node-unwritable``.
        """
        for name in (APPROVALS, REFUSALS, WITHDRAWALS):
            box = self.directory(study) / name
            try:
                durable.make_box(box)
            except OSError as error:
                raise unwritable(box, error) from error

    def _verifies(self, study: str) -> bool:
        """Whether the manifest kept verifies: not so if another operator signs now."""
        try:
            self.manifest(study)
        except SafeBordersError:
            return False
        return True

    def manifest(self, study: str) -> Manifest:
        """The manifest of a study that was offered, verified.

        Raises:
            UsageError: ``unknown-study``.
            PeerError, ConfigurationError, RefusedError: As ``keep``.
        """
        manifest = self.verified(self._published(study))
        if manifest.id != study:
            raise ConfigurationError(
                "study-misplaced",
                f"the directory of study {study!r} holds another study",
                "restore the directory from backup, or remove it and have the study offered again",
            )
        return manifest

    def listed(self) -> list[Manifest | Unreadable]:
        """Every study, with those that do not verify now."""
        found: list[Manifest | Unreadable] = []
        for study in self.ids():
            try:
                found.append(self.manifest(study))
            except SafeBordersError as error:
                found.append(Unreadable(study, error))
        return found

    def expiry(self, study: str, manifest_hash: str) -> date | None:
        """The last day of a study whose manifest was approved here under this hash; None if it is not kept.

        Whoever signed it: an operator's key that is no longer pinned must not keep a study open.
        """
        try:
            found, content = publication.unverified(self._published(study))
            return date.fromisoformat(content["expires"]) if found == manifest_hash else None
        except (SafeBordersError, KeyError, TypeError, ValueError):
            return None

    def approvals(self, study: str) -> tuple[Approval, ...]:
        """What people have signed, without what is damaged; what counts is for ``require_approvals``."""
        found = []
        for path, data in papers(self.directory(study) / APPROVALS):
            try:
                found.append(Approval.from_bytes(data))
            except SafeBordersError as error:
                LOG.warning("approval %s of study %s is passed over: %s", path.name, study, error)
        return tuple(found)

    def add_approval(self, study: str, approval: Approval) -> Path:
        """Keeps a person's approval, in place of an earlier one of theirs.

        Raises:
            ConfigurationError: ``node-unwritable``.
        """
        return self._leave(study, APPROVALS, approval.approver, approval.to_bytes())

    def _leave(self, study: str, box: str, key: str, content: bytes) -> Path:
        """Leaves a person's paper; under another name if somebody else has taken the one that is theirs."""
        path = self.directory(study) / box / f"{key[:16]}.json"
        try:
            if not path.parent.is_dir():
                self.open_boxes(study)
            try:
                durable.replace(path, content, shared=True)
            except PermissionError:
                if not path.is_symlink() and not path.exists():
                    raise
                path = path.with_name(f"{key[:16]}-{secrets.token_hex(8)}.json")
                durable.replace(path, content, shared=True)
        except OSError as error:
            raise unwritable(path, error) from error
        return path

    def refusal(self, study: str) -> StudyRefusal | None:
        """The no that stands against it, if there is one; its signature was checked when it came here.

        Raises:
            PeerError: ``not-canonical`` or ``bad-refusal``.
        """
        path = self.directory(study) / _REFUSAL
        return StudyRefusal.from_bytes(_read(path)) if path.exists() else None

    def left_refusals(self, study: str, people: Collection[Approver]) -> tuple[StudyRefusal, ...]:
        """What people left against it, the earliest first: without what no approver of the list has signed.

        A key that was revoked since counts: who could say no may have said it before.

        Raises:
            ConfigurationError: ``box-overfull``.
        """
        found, box = [], self.directory(study) / REFUSALS
        require_room(box)
        for path, data in papers(box):
            try:
                refusal = StudyRefusal.from_bytes(data)
                refusal.check([person.model_copy(update={"revoked": None}) for person in people])
                if refusal.study != study:
                    raise changed(study)
            except SafeBordersError as error:
                LOG.warning("refusal %s of study %s is passed over: %s", path.name, study, error)
            else:
                found.append(refusal)
        return tuple(sorted(found, key=lambda refusal: (refusal.signed_at, refusal.approver)))

    def keep_refusal(self, refusal: StudyRefusal) -> None:
        """Keeps a refusal that somebody left as the one that stands, whatever becomes of the paper.

        Raises:
            ConfigurationError: ``node-unwritable``.
        """
        path = self.directory(refusal.study) / _REFUSAL
        if not path.exists():
            write(path, refusal.to_bytes(), shared=True)

    def add_refusal(self, refusal: StudyRefusal) -> Path:
        """Keeps a person's refusal; the first one stands. Who may not keep it leaves it for the service.

        Raises:
            RefusedError: ``refused-already``.
            ConfigurationError: ``node-unwritable``.
        """
        path = self.directory(refusal.study) / _REFUSAL
        if path.exists():
            raise RefusedError(
                "refused-already", f"study {refusal.study!r} is refused here already", "nothing is left to do"
            )
        if path.parent.is_dir() and not os.access(path.parent, os.W_OK):
            return self._leave(refusal.study, REFUSALS, refusal.approver, refusal.to_bytes())
        write(path, refusal.to_bytes(), shared=True)
        return path

    def withdrawals(self, study: str) -> tuple[ApprovalWithdrawal, ...]:
        """The approvals that people have taken back, without what the key that approved has not signed.

        Raises:
            ConfigurationError: ``box-overfull``.
        """
        found, box = [], self.directory(study) / WITHDRAWALS
        require_room(box)
        for path, data in papers(box):
            try:
                withdrawal = ApprovalWithdrawal.from_bytes(data)
                withdrawal.check()
                if withdrawal.study != study:
                    raise changed(study)
            except SafeBordersError as error:
                LOG.warning("withdrawal %s of study %s is passed over: %s", path.name, study, error)
            else:
                found.append(withdrawal)
        return tuple(found)

    def add_withdrawal(self, withdrawal: ApprovalWithdrawal) -> Path:
        """Keeps that a person takes their approval back, in place of an earlier time.

        Raises:
            ConfigurationError: ``node-unwritable``.
        """
        return self._leave(withdrawal.study, WITHDRAWALS, withdrawal.approver, withdrawal.to_bytes())

    def history(self, study: str) -> History | None:
        """What became of a study, as it was told last; None if nothing was told.

        Raises:
            ConfigurationError: ``record-damaged``.
        """
        path = self.directory(study) / _CHANGES
        try:
            return History.from_bytes(_read(path)) if path.exists() else None
        except PeerError as error:
            raise _damaged(path) from error

    def keep_history(self, study: str, history: History) -> None:
        """Keeps what became of a study. Raises ConfigurationError ``node-unwritable``."""
        write(self.directory(study) / _CHANGES, history.to_bytes(), shared=True)

    def reviews(self, study: str) -> dict[str, SharedReview]:
        """What other states share, by node, as it was when it came; whether it holds now is not checked.

        Raises:
            ConfigurationError: ``record-damaged``.
        """
        found = {}
        for path in sorted((self.directory(study) / _REVIEWS).glob("*.json")):
            try:
                review = SharedReview.from_bytes(_read(path))
            except PeerError as error:
                raise _damaged(path) from error
            found[review.node] = review
        return found

    def keep_review(self, review: SharedReview) -> None:
        """Keeps what a state shares. Raises ConfigurationError ``node-unwritable``."""
        write(self.directory(review.study) / _REVIEWS / f"{review.node}.json", review.to_bytes(), shared=True)

    def keep_keys(self, study: str, keys: Mapping[str, str]) -> None:
        """Keeps the nodes' keys as accepted when the study was taken on: a replay checks against these.

        Raises:
            ConfigurationError: ``node-unwritable``.
        """
        write(self.directory(study) / _KEYS, canonical.serialise(dict(keys)), shared=True)

    def keys(self, study: str) -> dict[str, str]:
        """The nodes' keys when the study was taken on.

        Raises:
            UsageError: ``not-taken-on``.
            PeerError: ``not-canonical``.
        """
        path = self.directory(study) / _KEYS
        if not path.exists():
            raise UsageError(
                "not-taken-on",
                f"this node did not take part in study {study!r}",
                "verify it at a node that did",
            )
        keys: dict[str, str] = canonical.parse(_read(path))
        return keys

    def keep_anchors(self, study: str, joined: Sequence[Joined], *, by: str, today: date) -> None:
        """Keeps what other nodes signed when they joined; its signatures were checked.

        Raises:
            ConfigurationError: ``node-unwritable``.
        """
        directory = self.directory(study)
        try:
            anchors.keep(directory, joined, by=by, today=today)
        except OSError as error:
            raise unwritable(directory, error) from error

    def anchors(self, node: str) -> tuple[KeptAnchor, ...]:
        """All anchors of a node's audit log that are kept here."""
        found = sorted(self._directory.glob(f"*/{anchors.DIRECTORY}"))
        return tuple(kept for path in found for kept in anchors.kept(path.parent, node))

    def _published(self, study: str) -> bytes:
        path = self.directory(study) / PUBLISHED
        if not path.exists():
            raise _unknown(study, self._directory)
        return _read(path)


def write(path: Path, content: bytes, *, shared: bool = False) -> None:
    """Writes a file of a node as a whole or not at all, with the directories it needs.

    Args:
        path: The file.
        content: What it is to hold.
        shared: Whether those may read it to whom its directory is open (``study.durable``).

    Raises:
        ConfigurationError: ``node-unwritable``.
    """
    try:
        durable.make_directories(path.parent, shared=shared)
        durable.replace(path, content, shared=shared)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> ConfigurationError:
    """The error for a directory of the node that cannot be written."""
    return ConfigurationError(
        "node-unwritable",
        f"{path} cannot be written: {error.strerror}",
        "free space on its disk, or mend the rights of the node's directory",
    )


def changed(study: str) -> RefusedError:
    """The error for something else under a name that stands for something already."""
    return RefusedError(
        "study-changed",
        f"study {study!r} is known here with other content",
        "draft the changed study under a new id",
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST_DOCUMENT + 1)
    except OSError as error:
        raise ConfigurationError(
            "document-unreadable", f"{path} cannot be read: {error.strerror}", "restore it from backup"
        ) from error
    if len(data) > _LONGEST_DOCUMENT:
        raise PeerError("document-too-long", f"{path} is too long for what it should be", "remove it")
    return data


def _damaged(path: Path) -> ConfigurationError:
    return ConfigurationError("record-damaged", f"{path} is damaged", "restore it from backup")


def _unknown(study: str, directory: Path) -> UsageError:
    return UsageError(
        "unknown-study",
        f"there is no study {study[:64]!r} in {directory}",
        "choose one that `safeborders node study list` shows; the coordinator offers studies",
    )
