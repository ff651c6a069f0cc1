"""Noisy measurements for one analyst: what lies behind released tables, neither rounded nor suppressed.

Layout, in the coordinator's home directory::

    tables/ID.noisy.json                     the noisy measurements, ``reporting.exports``
    tables/ID.noisy.DIGEST.approval.json     signatures gathered for one analyst; DIGEST is of their name

Guarantees: as many operators sign as for a release, for a purpose of its own, and all of them the same
analyst, reason and bytes. The bytes are those whose hash is in the signed document, or nothing is handed
over; nor is it of tables that are not released or withdrawn. Every signature is in the coordinator's audit
log, and so is each time that something was handed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.audit.chain import Operation
from safeborders_fed.coordinator import handing_out, recording, table_releases
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.coordinator.table_releases import DIRECTORY, NOISY_SUFFIX
from safeborders_fed.errors import PeerError, RefusedError, UsageError
from safeborders_fed.study import canonical, model_file, model_statement, table_file, table_statement
from safeborders_fed.study.table_file import Loaded
from safeborders_fed.study.table_statement import NoisyStatement, SignedNoisy

LONGEST_NAME: Final = 200
_READERS: Final = "the people who inspect the audit log"


@dataclass(frozen=True)
class Wanted:
    """Who is to get what, and why.

    Attributes:
        tables: ``STUDY-VERSION``, or the latest of ``STUDY``.
        reader: Name of the analyst.
        reason: What they are for.
    """

    tables: str
    reader: str
    reason: str


@dataclass(frozen=True)
class Copy:
    """What the analyst gets: the noisy measurements, and the operators' statement about them."""

    noisy: bytes
    approval: bytes


@dataclass(frozen=True)
class Approved:
    """What a signature brought about.

    Attributes:
        signed: Names of those who have signed.
        missing: How many further operators must sign.
        copy: None as long as anybody is missing.
    """

    signed: tuple[str, ...]
    missing: int
    copy: Copy | None


def approve(
    home: CoordinatorHome, wanted: Wanted, *, by: str, key: Ed25519PrivateKey, today: date
) -> Approved:
    """One operator signs that an analyst gets the noisy measurements behind released tables.

    Args:
        home: The coordinator.
        wanted: Who gets what, and why; the same for all operators who sign.
        by: Name of the operator.
        key: Their key.
        today: UTC.

    Raises:
        RefusedError: ``not-an-operator``, ``not-your-key``, ``not-released-yet``, ``tables-withdrawn``,
            ``signed-already``, ``another-statement``.
        UsageError: ``unknown-tables``, ``reason-missing``, ``bad-name``.
        PeerError: ``noisy-altered``, or as ``table_releases.find``.
        ConfigurationError: As ``table_releases.find``.
    """
    home.require_operator(by, key)
    loaded = _released(home, wanted.tables)
    noisy = _noisy(home, loaded)
    path = home.path / DIRECTORY / _name(loaded, wanted.reader)
    before = _gathered(path)
    statement = _statement(loaded, wanted, noisy, today if before is None else before.statement.day)
    if before is not None and before.statement == statement and not handing_out.missing(home, before):
        signed = before  # signed by all: an operator writes the file again
    else:
        signed = table_statement.sign_noisy(statement, key, by, before)
    missing = handing_out.missing(home, signed)
    _note(home, statement, by, handed_over=not missing)
    handing_out.write(path, signed.to_bytes())
    recording.log(home)
    copy = None if missing else Copy(noisy, signed.to_bytes())
    return Approved(tuple(entry.by for entry in signed.signatures), missing, copy)


def _released(home: CoordinatorHome, wanted: str) -> Loaded:
    found = table_releases.find(home, wanted)
    if found.status != "released":
        raise RefusedError(
            "tables-withdrawn" if found.status == "withdrawn" else "not-released-yet",
            f"tables {found.loaded.tables.id} are {found.status}: their noisy measurements are for nobody",
            "name tables that are released",
        )
    return found.loaded


def _name(loaded: Loaded, reader: str) -> str:
    """The file of an analyst's approval.

    Raises:
        UsageError: ``bad-name``.
    """
    if not reader.strip() or len(reader) > LONGEST_NAME or not reader.isprintable():
        raise UsageError(
            "bad-name",
            f"the analyst's name is one line of 1 to {LONGEST_NAME} characters",
            "write the name of one person with --for",
        )
    digest = canonical.sha256(reader.encode("utf-8"))[:16]
    return f"{loaded.tables.id}{NOISY_SUFFIX.removesuffix('.json')}.{digest}.approval.json"


def _noisy(home: CoordinatorHome, loaded: Loaded) -> bytes:
    """The noisy measurements that the signed document names."""
    name = f"{loaded.tables.id}{NOISY_SUFFIX}"
    data = model_file.read_bounded(home.path / DIRECTORY / name, table_file.LARGEST)
    if canonical.sha256(data) != loaded.file.exports.get(name):
        raise PeerError(
            "noisy-altered",
            f"{name} is not the file whose hash the operators signed with {loaded.tables.id}",
            "restore it from the backup; do not hand it over",
        )
    return data


def _gathered(path: Path) -> SignedNoisy | None:
    if not path.exists():
        return None
    signed = table_statement.parse_noisy(model_file.read_bounded(path, model_statement.LARGEST_STATEMENT))
    signed.check((), 0)
    return signed


def _statement(loaded: Loaded, wanted: Wanted, noisy: bytes, day: date) -> NoisyStatement:
    return NoisyStatement(
        action="release",
        name=loaded.tables.study,
        version=loaded.tables.version,
        sha256=canonical.sha256(noisy),
        day=day,
        reason=handing_out.require_reason(wanted.reason, "release of noisy measurements", _READERS),
        reader=wanted.reader,
    )


def _note(home: CoordinatorHome, said: NoisyStatement, by: str, *, handed_over: bool) -> None:
    facts: dict[str, str | bool] = {
        "noisy_measurements": str(said.id),
        "sha256": said.sha256,
        "reader": said.reader,
        "handed_over": handed_over,
    }
    recording.note(home, Operation.EXPORT, who=by, why=said.reason[:2000], details=facts)
