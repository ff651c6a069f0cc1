"""Studies before and beside their run: drafted, published by an operator, withdrawn.

Guarantees: a draft is for the roster of now and computed by ``study.draft``; what is published is exactly
what was drafted, and the operator names its hash; a study can be withdrawn until it has ended, also while it
runs.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.coordinator.study_files import AN_OFFER, StudyFiles
from safeborders_fed.coordinator.study_state import StudyState
from safeborders_fed.errors import RefusedError, UsageError
from safeborders_fed.study.draft import Wish
from safeborders_fed.study.draft import draft as drafted
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.publication import publish as signed
from safeborders_fed.study.roster import SignedRoster
from safeborders_fed.study.state_changes import LONGEST_NAME


def _now() -> datetime:
    return datetime.now(UTC)


def draft(
    home: CoordinatorHome,
    wish: Wish,
    roster: SignedRoster,
    *,
    by: str,
    clock: Callable[[], datetime] = _now,
) -> Manifest:
    """Drafts a study and keeps it. Nobody is asked anything.

    Args:
        home: The coordinator.
        wish: What is wanted, for the members of ``roster``.
        roster: The roster of now.
        by: Who drafts it.
        clock: Gives the time, UTC.

    Raises:
        RefusedError, ConfigurationError: As ``study.draft.draft``.
        RefusedError: A member's key has expired or is not valid yet.
        ConfigurationError: ``no-service-key``, or as ``CoordinatorHome.service_key``.
        UsageError: ``study-exists``; ``bad-terms``, for a name, purpose or number that no study can have;
            ``bad-words``.
    """
    today = clock().date()
    roster.roster.require_current(today, wish.participants)
    if wish.expires < today:
        raise _bad_terms(f"its last day, {wish.expires}, is past")
    try:
        manifest = drafted(wish)
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
        raise _bad_terms("; ".join(f"{_key(entry)}: {entry['msg']}" for entry in mistakes)) from error
    state = StudyState.drafted(manifest, home.service_key(), at=clock(), by=by)
    StudyFiles(home, manifest.id).create(manifest, roster, state)
    return manifest


def _key(mistake: ErrorDetails) -> str:
    return ".".join(map(str, mistake["loc"])) or "study"


def _bad_terms(what: str) -> UsageError:
    return UsageError(
        "bad-terms",
        f"no such study can be drafted: {what}",
        "correct that option; a name is made of lower-case letters, digits and hyphens",
    )


def publish(
    home: CoordinatorHome,
    study: str,
    *,
    by: str,
    key: Ed25519PrivateKey,
    manifest_hash: str,
    clock: Callable[[], datetime] = _now,
) -> Manifest:
    """An operator signs a draft, so that it can be offered.

    Raises:
        RefusedError: ``not-an-operator``, ``not-your-key``, ``another-hash``, ``wrong-state``,
            ``study-expired`` or ``study-busy``.
        UsageError: ``unknown-study``.
    """
    home.require_operator(by, key)
    files = StudyFiles(home, study)
    with files.lock():
        state = files.state()
        manifest = files.manifest()
        if manifest_hash.lower() != manifest.hash():
            raise RefusedError(
                "another-hash",
                f"the hash of study {study!r} is {manifest.hash()}, not the one that was given",
                f"read `safeborders coordinator study show {study}`, and sign the hash that it shows",
            )
        if clock().date() > manifest.expires:
            raise RefusedError("study-expired", f"study {study!r} has expired", "draft it again")
        why = f"signed {manifest.hash()}"
        state = state.changed("published", home.service_key(), at=clock(), by=by, why=why)
        files.publish(signed(manifest, key))
        files.save(state)
    return manifest


def withdraw(
    home: CoordinatorHome, study: str, *, by: str, why: str, clock: Callable[[], datetime] = _now
) -> bool:
    """Withdraws a study; whether it is withdrawn already, or will be after the round that runs.

    Raises:
        UsageError: ``reason-missing``, ``bad-words`` or ``unknown-study``.
        RefusedError: ``wrong-state``, when it has ended.
    """
    if not why.strip():
        raise UsageError("reason-missing", "a study is withdrawn for a reason", "give it with --reason")
    if not 0 < len(by) <= LONGEST_NAME:
        raise UsageError("bad-words", "a study is withdrawn by a person", "give their name with --by")
    files = StudyFiles(home, study)
    try:
        # A wish is found by a run only: nobody would find it after an offer or the end of a run.
        with files.lock() if files.state().state == "running" else files.lock(AN_OFFER):
            state = files.state()
            files.save(state.changed("withdrawn", home.service_key(), at=clock(), by=by, why=why))
    except RefusedError as error:
        if error.code != "study-busy":
            raise
        files.ask_to_withdraw(by, why)
        return False
    return True
