"""Models at the coordinator: candidates, releases, withdrawals.

A study's release becomes a candidate (``store``): a model file that nobody has signed. Operators read it, and
each signs its hash (``release``). With enough signatures the file and the statement of release are put into
``released/``, which is what nodes get. A withdrawal needs one operator: stopping is easier than starting.

Guarantees: what is signed is the SHA-256 of the file's bytes, which are read and checked again each time; a
version is given once and never to other bytes; nothing that was released is changed or removed; a model
that may rank no better than chance is released only by people who say that they know. Each signature is in
the coordinator's audit log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import safeborders_fed
from safeborders_fed.analyses.base import Release
from safeborders_fed.audit.chain import Operation
from safeborders_fed.cases.contract import CONTRACT_VERSION
from safeborders_fed.coordinator import handing_out, recording
from safeborders_fed.coordinator.handing_out import Signed
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.errors import PeerError, RefusedError, UsageError
from safeborders_fed.study import canonical, model_file, model_statement
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.model_file import SUFFIX, Head, Model, ModelId
from safeborders_fed.study.model_statement import Action, SignedStatement, Statement

CARD_SUFFIX: Final = ".card.json"
NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
Status = Literal["candidate", "released", "withdrawn"]


@dataclass(frozen=True)
class Listed:
    """A model and what became of it.

    Attributes:
        model: The model, checked.
        status: ``candidate`` until it is released.
        signed: Names of those who signed its release so far.
        withdrawal: Why it was withdrawn, if it was.
    """

    model: Model
    status: Status
    signed: tuple[str, ...]
    withdrawal: str | None


def store(
    home: CoordinatorHome,
    release: Release,
    manifest: Manifest,
    *,
    name: str,
    today: date,
    card: bytes | None = None,
) -> Model:
    """Keep what a study released as a candidate, under the next version of ``name``.

    Args:
        home: The coordinator.
        release: Of a detection study.
        manifest: Of that study.
        name: What people will call the model: lower-case letters, digits, hyphens.
        today: UTC.
        card: JSON of its model card; the model file holds its SHA-256.

    Raises:
        RefusedError: ``not-its-study``, when manifest and release do not belong together, or
            ``unknown-model-kind``, when the study made no model.
        UsageError: ``bad-model-name``.
        PeerError: As ``model_file.read``, when the release is not a usable model.
        ConfigurationError: ``coordinator-unwritable``.
    """
    if release.kind != manifest.analysis:
        raise RefusedError(
            "not-its-study",
            f"a release of kind {release.kind!r} cannot come from study {manifest.id!r}, a study of kind "
            f"{manifest.analysis!r}",
            "give the manifest of the study that made it",
        )
    head = Head(
        schema_version=1,
        kind=release.kind,
        name=name,
        version=_next_version(home, name),
        study=manifest.id,
        manifest_hash=manifest.hash(),
        facts=release.facts,
        parameters=manifest.parameters,
        contract_version=CONTRACT_VERSION,
        software_version=safeborders_fed.__version__,
        created=today,
        card_hash=None if card is None else canonical.sha256(card),
    )
    data = model_file.write(head, release.arrays)
    if card is not None:
        handing_out.write(home.models / f"{head.id}{CARD_SUFFIX}", card)
    handing_out.write(home.models / f"{head.id}{SUFFIX}", data)
    return model_file.read(data)


def _next_version(home: CoordinatorHome, name: str) -> int:
    if not NAME.fullmatch(name):
        raise UsageError(
            "bad-model-name",
            f"{name!r} cannot name a model",
            "use up to 64 lower-case letters, digits and hyphens, not beginning with a hyphen",
        )
    versions = [known.version for known in model_file.ids_in(home.models) if known.name == name]
    return 1 + max(versions, default=0)


def listed(home: CoordinatorHome) -> tuple[Listed, ...]:
    """All models by name and version. Raises as ``find``."""
    return tuple(find(home, str(entry)) for entry in model_file.ids_in(home.models))


def find(home: CoordinatorHome, wanted: str) -> Listed:
    """A model by ``NAME-VERSION``, or the latest of ``NAME``.

    Raises:
        UsageError: ``unknown-model``.
        ConfigurationError: ``model-missing``.
        PeerError, RefusedError: When a file there was altered (as ``model_file.read``,
            ``model_statement.parse``, ``model-altered``).
    """
    known = model_file.ids_in(home.models)
    named = [entry for entry in known if entry.name == wanted]
    chosen = named[-1] if named else next((entry for entry in known if str(entry) == wanted), None)
    if chosen is None:
        raise UsageError(
            "unknown-model",
            f"there is no model {wanted!r} in {home.models}",
            "choose one that `safeborders coordinator models list` shows",
        )
    model = model_file.load(home.models / f"{chosen}{SUFFIX}")
    release, withdrawal = (_statement(home, model, action) for action in _actions())
    signed = () if release is None else tuple(entry.by for entry in release.signatures)
    handed_out = (home.released / f"{chosen}{SUFFIX}").exists()
    status: Status = "withdrawn" if withdrawal else "released" if handed_out else "candidate"
    return Listed(model, status, signed, withdrawal.statement.reason if withdrawal else None)


def release(
    home: CoordinatorHome,
    wanted: str,
    *,
    sha256: str,
    by: str,
    key: Ed25519PrivateKey,
    today: date,
    reason: str | None = None,
    although_unknown: bool = False,
) -> Signed:
    """One operator signs the release of a model; with enough signatures it is handed out.

    Args:
        home: The coordinator.
        wanted: As ``find``.
        sha256: Hash of the model file that the operator has read about: hexadecimal, in either case.
        by: Name of the operator.
        key: Their key.
        today: UTC.
        reason: What it is released for. The first operator gives it; the others sign the same.
        although_unknown: Whether to release it although ``Model.accuracy_known`` does not hold.

    Raises:
        RefusedError: ``not-an-operator``, ``not-your-key``, ``another-hash``, ``model-withdrawn``,
            ``accuracy-unknown``, ``signed-already``, ``another-statement``.
        UsageError: ``unknown-model``, ``reason-missing``.
        PeerError, ConfigurationError: As ``find``.
    """
    home.require_operator(by, key)
    found = find(home, wanted)
    _require_hash(found.model, sha256.lower())
    if found.status == "withdrawn":
        raise RefusedError(
            "model-withdrawn", f"model {found.model.head.id} is withdrawn", "release another version"
        )
    if not although_unknown:
        _require_accuracy(found.model)
    before = _statement(home, found.model, "release")
    if before is None:
        statement = _new_statement(found.model, "release", today, reason)
    else:
        statement = before.statement
        if reason is not None:
            statement = statement.model_copy(update={"reason": reason})
    signed = model_statement.sign(statement, key, by, before)
    _note(home, Operation.RELEASE, found.model, by, statement.reason)
    handing_out.write(_path(home, found.model.head.id, "release"), signed.to_bytes())
    missing = handing_out.missing(home, signed)
    files = () if missing else _hand_out(home, found.model.head.id, "release")
    recording.log(home)
    return Signed(tuple(entry.by for entry in signed.signatures), missing, files)


def withdraw(
    home: CoordinatorHome, wanted: str, *, by: str, key: Ed25519PrivateKey, today: date, reason: str
) -> Signed:
    """One operator withdraws a model: nodes that get the statement stop scoring with it.

    Raises:
        RefusedError: ``not-an-operator``, ``not-your-key``, ``withdrawn-already``.
        UsageError: ``unknown-model``, ``reason-missing``.
        PeerError, ConfigurationError: As ``find``.
    """
    home.require_operator(by, key)
    found = find(home, wanted)
    if found.status == "withdrawn":
        raise RefusedError(
            "withdrawn-already",
            f"model {found.model.head.id} is withdrawn already",
            f"hand out the statement in {home.released}",
        )
    statement = _new_statement(found.model, "withdrawal", today, reason)
    signed = model_statement.sign(statement, key, by)
    _note(home, Operation.WITHDRAW, found.model, by, reason)
    handing_out.write(_path(home, found.model.head.id, "withdrawal"), signed.to_bytes())
    files = _hand_out(home, found.model.head.id, "withdrawal")
    recording.log(home)
    return Signed((by,), 0, files)


def _note(home: CoordinatorHome, operation: Operation, model: Model, by: str, reason: str) -> None:
    """Leaves a note of a signature for the audit log."""
    facts = {"model": str(model.head.id), "sha256": model.sha256, "study": model.head.study}
    recording.note(home, operation, who=by, why=reason[:2000], details=facts)


def _actions() -> tuple[Action, Action]:
    return ("release", "withdrawal")


def _path(home: CoordinatorHome, model: ModelId, action: Action) -> Path:
    return home.models / f"{model}.{action}.json"


def _statement(home: CoordinatorHome, model: Model, action: Action) -> SignedStatement | None:
    """What was signed of a model so far, checked; None if nothing was."""
    path = _path(home, model.head.id, action)
    if not path.exists():
        return None
    signed = model_statement.parse(model_file.read_bounded(path, model_statement.LARGEST_STATEMENT))
    signed.check((), 0)
    said = signed.statement
    if (said.action, said.id, said.sha256) != (action, model.head.id, model.sha256):
        raise PeerError(
            "model-altered",
            f"{path} is about other bytes than the model file beside it holds",
            "restore both from the backup; do not release them",
        )
    return signed


def _new_statement(model: Model, action: Action, today: date, reason: str | None) -> Statement:
    said = handing_out.require_reason(reason, f"{action} of a model", "the people at the nodes")
    return Statement(
        action=action,
        name=model.head.name,
        version=model.head.version,
        sha256=model.sha256,
        day=today,
        reason=said,
    )


def _require_accuracy(model: Model) -> None:
    if not model.accuracy_known:
        raise RefusedError(
            "accuracy-unknown",
            f"the private evaluation could not tell whether model {model.head.id} ranks better than chance",
            "repeat the study with more victims or a larger budget; to release the model all the same, say so"
            " with --although-accuracy-unknown, and say why in the reason",
        )


def _require_hash(model: Model, sha256: str) -> None:
    if sha256 != model.sha256:
        raise RefusedError(
            "another-hash",
            f"the hash of model {model.head.id} is {model.sha256}, not the one that was given",
            "read `safeborders coordinator models show`, and sign the hash that you have read about",
        )


def _hand_out(home: CoordinatorHome, model: ModelId, action: Action) -> tuple[Path, ...]:
    """Copies the files that nodes get, the statement last, so that it never stands alone."""
    names = [f"{model}{SUFFIX}", f"{model}{CARD_SUFFIX}"] if action == "release" else []
    copied = []
    for name in (*names, f"{model}.{action}.json"):
        source = home.models / name
        if source.exists():
            handing_out.write(home.released / name, source.read_bytes())
            copied.append(home.released / name)
    return tuple(copied)
