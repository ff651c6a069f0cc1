"""Published tables at the coordinator: candidates, releases, withdrawals.

Layout, in the coordinator's home directory::

    tables/ID.tables.json              the tables as they would be published, ``study.table_file``
    tables/ID.noisy.json               the noisy measurements, for analysts whom the operators approve
    tables/ID.tables.release.json      signatures gathered so far
    tables/ID.tables.withdrawal.json   why they were withdrawn
    released/                          what is handed out: tables and statements

Guarantees: what is signed is the SHA-256 of the document's bytes, which are read and checked again each time;
a version is given once and never to other bytes; nothing that was released is changed or removed. Tables that
were not compared with everything that is handed out (``reporting.disclosure``) are not released. Each
signature is in the coordinator's audit log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.audit.chain import Operation
from safeborders_fed.coordinator import handing_out, recording
from safeborders_fed.coordinator.handing_out import Signed
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.errors import PeerError, RefusedError, UsageError
from safeborders_fed.study import model_file, model_statement, table_file, table_statement
from safeborders_fed.study.model_statement import Action
from safeborders_fed.study.table_file import SUFFIX, Loaded, Tables
from safeborders_fed.study.table_statement import SignedTables, TableStatement

DIRECTORY: Final = "tables"
NOISY_SUFFIX: Final = ".noisy.json"
READERS: Final = "readers of the tables"
Status = Literal["candidate", "released", "withdrawn"]


@dataclass(frozen=True)
class ListedTables:
    """Tables and what became of them.

    Attributes:
        loaded: The tables, checked.
        status: ``candidate`` until they are released.
        signed: Names of those who signed their release so far.
        withdrawal: Why they were withdrawn, if they were.
    """

    loaded: Loaded
    status: Status
    signed: tuple[str, ...]
    withdrawal: str | None


def next_version(home: CoordinatorHome, study: str) -> int:
    """The version of the next tables of a study."""
    known = table_file.ids_in(home.path / DIRECTORY)
    return 1 + max((version for name, version in known if name == study), default=0)


def store(home: CoordinatorHome, data: bytes, noisy: bytes) -> Loaded:
    """Keeps tables as a candidate, with their noisy measurements.

    Args:
        home: The coordinator.
        data: The document of tables with the next version of their study.
        noisy: The noisy measurements.

    Raises:
        PeerError: ``bad-tables``.
        RefusedError: ``version-taken``.
        ConfigurationError: ``coordinator-unwritable``.
    """
    loaded = table_file.read(data)
    if loaded.tables.version != next_version(home, loaded.tables.study):
        raise RefusedError(
            "version-taken", f"there are tables {loaded.tables.id} already", "prepare the tables again"
        )
    handing_out.write(home.path / DIRECTORY / f"{loaded.tables.id}{NOISY_SUFFIX}", noisy)
    handing_out.write(home.path / DIRECTORY / f"{loaded.tables.id}{SUFFIX}", data)
    return loaded


def listed(home: CoordinatorHome) -> tuple[ListedTables, ...]:
    """All tables by study and version. Raises as ``find``."""
    known = table_file.ids_in(home.path / DIRECTORY)
    return tuple(find(home, f"{study}-{version}") for study, version in known)


def handed_out(home: CoordinatorHome) -> tuple[Loaded, ...]:
    """Everything that readers may hold: released tables, also those withdrawn since. Raises as ``find``."""
    return tuple(each.loaded for each in listed(home) if _released(home, each.loaded.tables).exists())


def find(home: CoordinatorHome, wanted: str) -> ListedTables:
    """Tables by ``STUDY-VERSION``, or the latest of ``STUDY``.

    Raises:
        UsageError: ``unknown-tables``.
        ConfigurationError: ``model-missing``.
        PeerError: When a file there was altered (``bad-tables``, ``bad-statement``, ``tables-altered``).
    """
    known = table_file.ids_in(home.path / DIRECTORY)
    named = [entry for entry in known if entry[0] == wanted]
    every = [f"{study}-{version}" for study, version in known]
    chosen = f"{wanted}-{named[-1][1]}" if named else wanted
    if chosen not in every:
        raise UsageError(
            "unknown-tables",
            f"there are no tables {wanted!r}",
            f"choose {table_file.nearest(wanted, every)}"
            if every
            else "run `safeborders coordinator tables prepare`",
        )
    path = home.path / DIRECTORY / f"{chosen}{SUFFIX}"
    loaded = table_file.read(model_file.read_bounded(path, table_file.LARGEST))
    if loaded.tables.id != chosen:
        raise _altered(path)
    release, withdrawal = (_statement(home, loaded, action) for action in ("release", "withdrawal"))
    signed = () if release is None else tuple(entry.by for entry in release.signatures)
    out = _released(home, loaded.tables).exists()
    status: Status = "withdrawn" if withdrawal else "released" if out else "candidate"
    return ListedTables(loaded, status, signed, withdrawal.statement.reason if withdrawal else None)


def release(
    home: CoordinatorHome,
    wanted: str,
    *,
    sha256: str,
    by: str,
    key: Ed25519PrivateKey,
    today: date,
    reason: str | None = None,
) -> Signed:
    """One operator signs the release of tables; with enough signatures they are handed out.

    Args:
        home: The coordinator.
        wanted: As ``find``.
        sha256: Hash of the document that the operator has read: hexadecimal, in either case.
        by: Name of the operator.
        key: Their key.
        today: UTC.
        reason: What they are released for. The first operator gives it; the others sign the same.

    Raises:
        RefusedError: ``not-an-operator``, ``not-your-key``, ``another-hash``, ``tables-withdrawn``,
            ``not-compared``, ``signed-already``, ``another-statement``.
        UsageError: ``unknown-tables``, ``reason-missing``.
        PeerError, ConfigurationError: As ``find``.
    """
    home.require_operator(by, key)
    found = find(home, wanted)
    tables = found.loaded.tables
    _require_hash(found.loaded, sha256.lower())
    if found.status == "withdrawn":
        raise RefusedError("tables-withdrawn", f"tables {tables.id} are withdrawn", "release another version")
    _require_compared(tables, handed_out(home))
    before = _statement(home, found.loaded, "release")
    if before is None:
        statement = _new_statement(found.loaded, "release", today, reason)
    else:
        statement = before.statement
        if reason is not None:
            statement = statement.model_copy(update={"reason": reason})
    signed = table_statement.sign(statement, key, by, before)
    _note(home, Operation.RELEASE, found.loaded, by, statement.reason)
    handing_out.write(_path(home, tables, "release"), signed.to_bytes())
    missing = handing_out.missing(home, signed)
    files = () if missing else _hand_out(home, tables, "release")
    recording.log(home)
    return Signed(tuple(entry.by for entry in signed.signatures), missing, files)


def withdraw(
    home: CoordinatorHome, wanted: str, *, by: str, key: Ed25519PrivateKey, today: date, reason: str
) -> Signed:
    """One operator withdraws tables: whoever gets the statement beside them is refused them.

    Raises:
        RefusedError: ``not-an-operator``, ``not-your-key``, ``withdrawn-already``.
        UsageError: ``unknown-tables``, ``reason-missing``.
        PeerError, ConfigurationError: As ``find``.
    """
    home.require_operator(by, key)
    found = find(home, wanted)
    tables = found.loaded.tables
    if found.status == "withdrawn":
        raise RefusedError(
            "withdrawn-already",
            f"tables {tables.id} are withdrawn already",
            f"hand out the statement in {home.released}",
        )
    statement = _new_statement(found.loaded, "withdrawal", today, reason)
    signed = table_statement.sign(statement, key, by)
    _note(home, Operation.WITHDRAW, found.loaded, by, reason)
    handing_out.write(_path(home, tables, "withdrawal"), signed.to_bytes())
    files = _hand_out(home, tables, "withdrawal")
    recording.log(home)
    return Signed((by,), 0, files)


def statement_name(tables_id: str, action: Action) -> str:
    """File name of a statement beside the tables that it is about."""
    return f"{tables_id}.tables.{action}.json"


def _path(home: CoordinatorHome, tables: Tables, action: Action) -> Path:
    return home.path / DIRECTORY / statement_name(tables.id, action)


def _released(home: CoordinatorHome, tables: Tables) -> Path:
    return home.released / f"{tables.id}{SUFFIX}"


def _statement(home: CoordinatorHome, loaded: Loaded, action: Action) -> SignedTables | None:
    """What was signed of tables so far, checked; None if nothing was."""
    path = _path(home, loaded.tables, action)
    if not path.exists():
        return None
    signed = table_statement.parse(model_file.read_bounded(path, model_statement.LARGEST_STATEMENT))
    signed.check((), 0)
    said = signed.statement
    if (said.action, str(said.id), said.sha256) != (action, loaded.tables.id, loaded.sha256):
        raise _altered(path)
    return signed


def _altered(path: Path) -> PeerError:
    return PeerError(
        "tables-altered",
        f"{path} is about other bytes than the tables beside it hold",
        "restore both from the backup; do not release them",
    )


def _new_statement(loaded: Loaded, action: Action, today: date, reason: str | None) -> TableStatement:
    return TableStatement(
        action=action,
        name=loaded.tables.study,
        version=loaded.tables.version,
        sha256=loaded.sha256,
        day=today,
        reason=handing_out.require_reason(reason, f"{action} of tables", READERS),
    )


def _require_hash(loaded: Loaded, sha256: str) -> None:
    if sha256 != loaded.sha256:
        raise RefusedError(
            "another-hash",
            f"the hash of tables {loaded.tables.id} is {loaded.sha256}, not the one that was given",
            "read `safeborders coordinator tables show`, and sign the hash that you have read about",
        )


def _require_compared(tables: Tables, out: Sequence[Loaded]) -> None:
    """Refuses tables that were made before others were handed out: they were not compared with these."""
    unknown = [
        each.tables.id
        for each in out
        if each.tables.id != tables.id and tables.compared.get(each.tables.id) != each.sha256
    ]
    if unknown:
        raise RefusedError(
            "not-compared",
            f"tables {tables.id} were not compared with {', '.join(unknown)}, released since: the difference"
            " could undo suppression",
            "prepare the tables again with `safeborders coordinator tables prepare`",
        )


def _note(home: CoordinatorHome, operation: Operation, loaded: Loaded, by: str, reason: str) -> None:
    facts = {"tables": loaded.tables.id, "sha256": loaded.sha256, "study": loaded.tables.study}
    recording.note(home, operation, who=by, why=reason[:2000], details=facts)


def _hand_out(home: CoordinatorHome, tables: Tables, action: Action) -> tuple[Path, ...]:
    """Copies what readers get, the statement last, so that it never stands alone."""
    names = [f"{tables.id}{SUFFIX}"] if action == "release" else []
    copied = []
    for name in (*names, statement_name(tables.id, action)):
        handing_out.write(home.released / name, (home.path / DIRECTORY / name).read_bytes())
        copied.append(home.released / name)
    return tuple(copied)
