"""What the coordinator tells a node of a study besides its manifest: what became of it, and others' reviews.

Guarantees:

- A change of the study's state is believed only if the whole chain holds (``study.state_changes``), under
  operators that this node has pinned, and begins with all that was told before. Each change is then in the
  audit log, once, with who brought it about and why. Anything else is refused, and that is logged.
- A review is kept only if the state that it names signed it, with the key accepted here, for exactly this
  study, and later than the one kept before. Any other is logged and ignored. A review permits nothing here:
  no code that decides reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from safeborders_fed.audit.chain import Operation
from safeborders_fed.errors import PeerError
from safeborders_fed.study import canonical
from safeborders_fed.study.reviews import SharedReview
from safeborders_fed.study.state_changes import History, bad_changes

if TYPE_CHECKING:
    from safeborders_fed.audit.log import AuditLog
    from safeborders_fed.node.desk import Desk
    from safeborders_fed.node.studies import NodeStudies
    from safeborders_fed.study.manifest import Manifest

_COORDINATOR: Final = "coordinator"


def require_history(
    studies: NodeStudies, log: AuditLog, manifest: Manifest, history: History, ending: str | None = None
) -> None:
    """Requires that what became of a study, as told, holds and continues what was told before.

    Args:
        studies: Those of the node.
        log: Its audit log.
        manifest: The study.
        history: What is told.
        ending: How the study is said to have ended, which the last change must say too; None if it has not.

    Raises:
        PeerError: ``bad-state-changes``; the audit log says so.
        ConfigurationError: ``record-damaged``, when what was kept here is damaged.
    """
    digest = manifest.hash()
    try:
        history.check(manifest.id, digest, studies.operators)
        if not history.continues(studies.history(manifest.id)):
            raise bad_changes("it does not continue what the coordinator said before")
        if ending is not None and history.state != ending:
            raise bad_changes(f"it is {history.state}, and not {ending}")
    except PeerError as error:
        log.append_if_new(
            f"history/{manifest.id}/{canonical.sha256(history.to_bytes())}/{ending}",
            Operation.REFUSE_REQUEST,
            who=_COORDINATOR,
            why=error.cause,
            details={"study": manifest.id, "manifest": digest},
        )
        raise


def keep_history(studies: NodeStudies, log: AuditLog, manifest: Manifest, history: History) -> None:
    """Logs and keeps what ``require_history`` has let pass.

    Raises:
        ConfigurationError: ``node-unwritable``, ``record-damaged``, or as AuditLog.append.
    """
    known = studies.history(manifest.id)
    if known == history:
        return
    for change in history.changes[0 if known is None else len(known.changes) :]:
        log.append_if_new(
            f"state/{change.hash()}",
            Operation.STUDY_STATE,
            who=change.by,
            why=change.why,
            details={
                "study": change.study,
                "manifest": change.manifest_hash,
                "number": change.number,
                "state": change.state,
                "changed_at": change.at,
                "hash": change.hash(),
            },
        )
    studies.keep_history(manifest.id, history)


def keep_reviews(desk: Desk, log: AuditLog, manifest: Manifest, reviews: Sequence[SharedReview]) -> None:
    """Keeps what other states share of their decision.

    Raises:
        ConfigurationError: ``node-unwritable`` or ``record-damaged``, or as AuditLog.append.
    """
    kept = desk.studies.reviews(manifest.id)
    for review in reviews:
        try:
            review.check(manifest.id, manifest.hash(), desk.others(manifest), desk.clock())
            if review.follows(kept.get(review.node)):
                desk.studies.keep_review(review)
                kept[review.node] = review
        except PeerError as error:
            log.append_if_new(
                f"review/{canonical.sha256(review.to_bytes())}",
                Operation.REFUSE_REQUEST,
                who=_COORDINATOR,
                why=error.cause,
                details={"study": manifest.id, "node": review.node},
            )


def reviews_of(desk: Desk, manifest: Manifest) -> dict[str, SharedReview]:
    """The reviews kept here that hold today, by node: those of a key that is accepted no more do not.

    Raises:
        ConfigurationError: ``record-damaged``.
    """
    found = {}
    for node, review in sorted(desk.studies.reviews(manifest.id).items()):
        try:
            review.check(manifest.id, manifest.hash(), desk.others(manifest), desk.clock())
        except PeerError:
            continue
        found[node] = review
    return found
