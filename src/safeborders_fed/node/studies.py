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
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from safeborders_fed.errors import ConfigurationError, PeerError, SafeBordersError, UsageError
from safeborders_fed.node.study_directory import changed, damaged, read, unknown, unwritable, write
from safeborders_fed.node.study_papers import StudyPapers
from safeborders_fed.study import anchors, canonical, publication
from safeborders_fed.study.anchors import KeptAnchor
from safeborders_fed.study.handshake import Joined
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.reviews import SharedReview
from safeborders_fed.study.state_changes import History

LOG: Final = logging.getLogger(__name__)
PUBLISHED: Final = "published.json"
_CHANGES: Final = "changes.json"
_REVIEWS: Final = "reviews"
_KEYS: Final = "keys.json"


@dataclass(frozen=True)
class Unreadable:
    """A study whose manifest does not verify now.

    Attributes:
        id: As its directory says.
        error: Why.
    """

    id: str
    error: SafeBordersError


class NodeStudies(StudyPapers):
    """The studies of one node.

    Args:
        home: The node's directory.
        operators: Public keys of the coordinator's operators that it has pinned.
    """

    def __init__(self, home: Path, operators: tuple[str, ...]) -> None:
        super().__init__(home)
        self.operators = operators

    def ids(self) -> tuple[str, ...]:
        """All studies that were offered, by name."""
        return tuple(sorted(path.parent.name for path in self._directory.glob(f"*/{PUBLISHED}")))

    def verified(self, data: bytes) -> Manifest:
        """The manifest of a published study that is kept, or could be. Raises as ``keep``, writes nothing."""
        manifest = publication.receive_from(data, self.operators)
        path = self.directory(manifest.id) / PUBLISHED
        if path.exists() and publication.unverified(read(path))[0] != manifest.hash():
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

    def history(self, study: str) -> History | None:
        """What became of a study, as it was told last; None if nothing was told.

        Raises:
            ConfigurationError: ``record-damaged``.
        """
        path = self.directory(study) / _CHANGES
        try:
            return History.from_bytes(read(path)) if path.exists() else None
        except PeerError as error:
            raise damaged(path) from error

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
                review = SharedReview.from_bytes(read(path))
            except PeerError as error:
                raise damaged(path) from error
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
        keys: dict[str, str] = canonical.parse(read(path))
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
            raise unknown(study, self._directory)
        return read(path)
