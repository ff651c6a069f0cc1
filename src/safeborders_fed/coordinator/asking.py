"""Asking all nodes of a study where they stand on it.

Guarantees: an answer counts only for the node that was asked, for this study and this manifest. What a node
says anew is in the coordinator's audit log. A review that a node shares is kept and passed on to the others
only if that node's key in the study's roster signed it and it is later than the one known; any other is
logged and ignored. Nothing here counts reviews: a study starts by what the nodes themselves answer.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from safeborders_fed.audit.chain import Operation
from safeborders_fed.coordinator import recording
from safeborders_fed.coordinator.federation import Federation, in_words, reply_of
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.coordinator.study_files import StudyFiles
from safeborders_fed.coordinator.study_state import NodeWord, StudyState
from safeborders_fed.errors import PeerError, SafeBordersError
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.offering import Offer, Offered, Status, Why
from safeborders_fed.study.reviews import SharedReview, bad_review
from safeborders_fed.study.sums import wrong_reply

_HAVE_APPROVED: Final = frozenset({Status.APPROVED, Status.TAKEN_ON})
_DECIDED: Final = frozenset({Status.REFUSED, Status.REJECTED})
"""With the reason of it, where other states name what is in their way."""
_NO_ANSWER: Final = "no-answer"
_OPERATIONS: Final = {
    Status.APPROVED: Operation.APPROVE,
    Status.TAKEN_ON: Operation.APPROVE,
    Status.REFUSED: Operation.REFUSE,
    Status.REJECTED: Operation.REFUSE,
}
_SAID: Final = "the answer of its node to an offer"

Answers = dict[str, Offered | SafeBordersError]


def ask_all(
    home: CoordinatorHome, files: StudyFiles, state: StudyState, federation: Federation, now: datetime
) -> tuple[Answers, StudyState]:
    """Shows the study to each of its nodes; what each said, or did instead, and the state that holds it.

    Raises:
        PeerError, ConfigurationError: The study's files do not verify, or the audit log cannot be written.
    """
    manifest = files.published()
    replies = federation.ask(_requests(files, state, manifest))
    answers = {node: _word(node, replies, manifest) for node in manifest.participants}
    at = now.isoformat()
    nodes = {node: _kept(found, at) for node, found in answers.items()}
    _log_answers(home, state, answers)
    reviews = _reviews(home, files, state, answers, now)
    return answers, state.model_copy(update={"nodes": nodes, "reviews": reviews})


def require_quorum(manifest: Manifest, answers: Mapping[str, Offered | SafeBordersError]) -> None:
    """Requires that as many nodes as the study needs would take it on now.

    Raises:
        PeerError: ``too-few-approvals``.
    """
    approved = [
        node
        for node, found in answers.items()
        if isinstance(found, Offered) and found.status in _HAVE_APPROVED and found.reason == Why.NONE
    ]
    if len(approved) < manifest.minimum_participants:
        others = ", ".join(
            f"{node}: {_said(found)}" for node, found in answers.items() if node not in approved
        )
        raise PeerError(
            "too-few-approvals",
            f"study {manifest.id!r} was not started: {len(approved)} nodes have approved it, "
            f"{manifest.minimum_participants} are needed ({others})",
            "wait for the approvals of the others and launch it again; nothing was spent",
        )


def _requests(files: StudyFiles, state: StudyState, manifest: Manifest) -> dict[str, bytes]:
    """The offer for each node: the same but for the reviews, which are those of the others."""
    published, history = files.published_text(), files.told(state)
    return {
        node: Offer(
            study=manifest.id,
            published=published,
            history=history,
            reviews=tuple(review for name, review in sorted(state.reviews.items()) if name != node),
            call=secrets.token_hex(16),
        ).encode()
        for node in manifest.participants
    }


def _kept(found: Offered | SafeBordersError, at: str) -> NodeWord:
    if isinstance(found, Offered):
        return NodeWord(status=found.status.value, reason=found.reason.value, at=at)
    return NodeWord(status=_NO_ANSWER, reason=found.code, advice=f"{found.cause}. Fix: {found.fix}", at=at)


def _word(node: str, replies: Mapping[str, bytes], manifest: Manifest) -> Offered | SafeBordersError:
    """What a node says of a study, or what it did instead."""
    try:
        message = reply_of(node, replies)
        if not isinstance(message, Offered) or (message.node, message.study) != (node, manifest.id):
            raise wrong_reply(node)
        if message.status != Status.REJECTED and message.manifest_hash != manifest.hash():
            raise wrong_reply(node)
    except SafeBordersError as error:
        return error
    return message


def _said(found: Offered | SafeBordersError) -> str:
    """What a node says, and what keeps it from taking on a study that its people have approved."""
    if not isinstance(found, Offered):
        return found.code
    if found.reason == Why.NONE:
        return str(found.status)
    if found.status in _DECIDED:
        return f"{found.status} ({found.reason})"
    return f"{found.status}, but {in_words(found.reason)}"


def _log_answers(home: CoordinatorHome, state: StudyState, answers: Answers) -> None:
    """Logs each decision that a node did not say the last time."""
    noted = False
    for node, found in answers.items():
        operation = _OPERATIONS.get(found.status) if isinstance(found, Offered) else None
        if operation is None or not isinstance(found, Offered):
            continue
        before = state.nodes.get(node)
        if before is not None and (before.status, before.reason) == (found.status.value, found.reason.value):
            continue
        details = {
            "study": state.study,
            "manifest": state.manifest_hash,
            "status": found.status.value,
            "reason": found.reason.value,
        }
        recording.note(home, operation, who=node, why=_SAID, details=details)
        noted = True
    if noted:
        recording.log(home)


def _reviews(
    home: CoordinatorHome, files: StudyFiles, state: StudyState, answers: Answers, now: datetime
) -> dict[str, SharedReview]:
    """The reviews known so far with those that came now."""
    kept = dict(state.reviews)
    given = {node: found.review for node, found in answers.items() if isinstance(found, Offered)}
    if not any(given.values()):
        return kept
    keys = files.roster().keys()
    for node, review in given.items():
        if review is None:
            continue
        try:
            if review.node != node:
                raise bad_review(f"{node} gave one of {review.node}")
            review.check(state.study, state.manifest_hash, keys, now)
            if review.follows(kept.get(node)):
                kept[node] = review
        except PeerError as error:
            details = {"study": state.study, "manifest": state.manifest_hash}
            recording.record(home, Operation.REFUSE_REQUEST, who=node, why=error.cause, details=details)
    return kept
