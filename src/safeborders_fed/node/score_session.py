"""Scoring and reviewing as a node's people do it: under a name, for a purpose, and written down.

Guarantees: before any score is shown and before any verdict is kept, what is done is in the audit log or,
while the node's service writes that, in a signed note on the disk which the service logs (``notices``). It
says who, why, which model and how many referrals, and nothing of the referrals. If it cannot be written,
nothing is shown or recorded. Rows that cannot be used are in a file with their reasons, whatever comes of the
rest.
"""

from __future__ import annotations

import secrets
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from safeborders_fed.audit import notices
from safeborders_fed.audit.chain import Operation
from safeborders_fed.audit.log import Event
from safeborders_fed.cases.mapping import Mapping
from safeborders_fed.cases.rejection import Quarantine
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.errors import ConfigurationError, DataError, UsageError
from safeborders_fed.node import review_list
from safeborders_fed.node.changes import alone
from safeborders_fed.node.models import Accepted, NodeModels
from safeborders_fed.node.referrals import Referrals, read_referrals
from safeborders_fed.node.review_list import ReviewList
from safeborders_fed.node.reviews import BandSummary, Reviews, Wanted
from safeborders_fed.node.scoring import needed_fields
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.study.key_files import load_key


def open_models(settings: NodeSettings) -> NodeModels:
    """The node's models, under the operators' keys that it pins. Raises as NodeModels."""
    return NodeModels(settings.home, settings.operator_keys, settings.operator_signatures)


@alone
def accept_model(settings: NodeSettings, path: Path, *, by: str) -> Accepted:
    """Accepts a model, or its withdrawal, in a person's name.

    What is not on record is not kept: its entry is written once all is verified, then the files.

    Raises:
        UsageError: ``purpose-missing``, for a name that is none.
        As NodeModels, NodeModels.accept, ``alone`` and ``notices.record``.
    """
    if not _is_text(by):
        raise UsageError(
            "purpose-missing",
            "a model is accepted by somebody, and --by is empty or holds marks that cannot be printed",
            "give your name with --by",
        )

    def record(accepted: Accepted) -> None:
        operation = Operation.APPROVE if accepted.action == "release" else Operation.REFUSE
        why = f"{accepted.action} of model {accepted.id}"
        details = {"model": str(accepted.id), "model_sha256": accepted.sha256}
        _put_on_record(settings, Event(operation, by, why, details))

    return open_models(settings).accept(path, record)


def score_file(
    settings: NodeSettings,
    path: Path,
    mapping: Mapping,
    *,
    by: str,
    purpose: str,
    model: str | None = None,
    rejected_file: Path | None = None,
) -> ReviewList:
    """Scores the referrals in a file; nothing of them is stored but what the review needs, sealed.

    Args:
        settings: The node.
        path: The national file.
        mapping: How to read it.
        by: Who scores.
        purpose: Why.
        model: ``NAME`` or ``NAME-VERSION``; None where the node knows one name only.
        rejected_file: New file for rows that cannot be used; None for one in the store's quarantine.

    Raises:
        UsageError: ``purpose-missing``, ``quarantine-exists``, ``unknown-format``, or as
            ``NodeModels.for_use``.
        DataError: ``nothing-accepted`` (the rejected rows are kept all the same), or as ``read_referrals``.
        ConfigurationError, PeerError, RefusedError: As ``NodeModels.for_use``, CaseStore.open and
            ``notices.record``.
    """
    if not _is_text(by) or not _is_text(purpose):
        raise UsageError(
            "purpose-missing",
            "a score is asked for by somebody, for a purpose, in marks that can be printed",
            "give --by and --purpose",
        )
    chosen = open_models(settings).for_use(model).model
    store = _store(settings)
    referrals = read_referrals(path, mapping, store.keys, needed_fields(chosen))
    kept = _keep_rejected(referrals, rejected_file, store)
    _require_some(referrals, path, kept)
    review = review_list.make(chosen, referrals, kept)
    details: dict[str, str | int] = {"model": review.model, "model_sha256": review.sha256}
    details |= {"referrals": len(review.entries), "review_list": review.id}
    _put_on_record(settings, Event(Operation.SCORE, by, purpose, details))
    _reviews(settings, store).keep(review)
    return review


def _require_some(referrals: Referrals, path: Path, kept: Path | None) -> None:
    if not len(referrals.victims):
        where = f"; see {kept}" if kept else ""
        raise DataError(
            "nothing-accepted",
            f"none of the {referrals.read:,} rows of {path.name} can be scored{where}",
            "correct the mapping or the file",
        )


def record_verdicts(settings: NodeSettings, wanted: list[Wanted], *, by: str) -> None:
    """Records one person's verdicts.

    Raises:
        DataError: As Reviews.check.
        ConfigurationError: As CaseStore.open, ``notices.record`` and Reviews.
        UsageError: ``bad-audit-entry``, for a name that is empty or too long.
    """
    reviews = _reviews(settings, _store(settings))
    reviews.check(wanted)
    event = Event(Operation.REVIEW, by, "verdicts on scored referrals", {"verdicts": len(wanted)})
    _put_on_record(settings, event)
    reviews.record(wanted, by=by, at=datetime.now(UTC))


def summarise(settings: NodeSettings) -> tuple[BandSummary, ...]:
    """Agreement by model and band. For this node's own people: it is case data. Raises as Reviews."""
    return _reviews(settings, _store(settings)).summary()


def _store(settings: NodeSettings) -> CaseStore:
    try:
        return settings.open_store()
    except OSError as error:
        raise ConfigurationError(
            "node-unwritable",
            f"the case store of {settings.home} cannot be opened: {error.strerror}",
            "free space on the disk, or mend the rights of the node's directory; it must not be read-only",
        ) from error


def _is_text(text: str) -> bool:
    return bool(text.strip()) and text.isprintable()


def _keep_rejected(referrals: Referrals, asked: Path | None, store: CaseStore) -> Path | None:
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}.csv"
    path = asked or store.files.quarantine / name
    try:
        with closing(Quarantine(path)) as quarantine:
            for rejection in referrals.rejections:
                quarantine.add(rejection)
            return quarantine.keep()
    except OSError as error:
        raise ConfigurationError(
            "quarantine-unwritable",
            f"{path} cannot be written: {error.strerror}",
            "choose a directory that exists, has space and that this user may write to",
        ) from error


def _reviews(settings: NodeSettings, store: CaseStore) -> Reviews:
    return Reviews(settings.home, store.files.sealer, store.require_current)


def _put_on_record(settings: NodeSettings, event: Event) -> None:
    key = load_key(settings.signing_key_path)
    notices.record(settings.home, key, settings.country, event, settings.open_audit_log)
