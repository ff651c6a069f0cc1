"""The ledger: a node's durable record of rho reserved and spent, and of every contribution's bytes.

Guarantees:

- A contribution's bytes and its cost are written in one transaction, before anything can be sent; what is
  sent is read back from here. So nothing leaves uncharged, and the same request gets the same bytes again.
- A study reserves its whole cost when it starts. Spending draws on the reservation. What is left is released
  only after the study's end is on record, so no sequence of studies exceeds a cap.
- For one attempt there is one contribution. Attempt numbers only grow: an earlier attempt, or the same one
  with other inputs, is refused once a later one, or that one, was stored.
- Totals per study, per calendar year (UTC) and for the lifetime are checked when a study reserves; open
  reservations count as spent. Costs add across analyses (``privacy.accounting``).
- Entries are hash-chained and salted (128 bits each, so that a head confirms no guess about others);
  ``verify`` finds an edit. SQLite runs with WAL and ``synchronous=FULL``: a commit survives a crash.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from safeborders_fed.errors import ConfigurationError, DefectError, RefusedError
from safeborders_fed.study import canonical
from safeborders_fed.study.messages import Attempt

_GENESIS: Final = "0" * 64
_SCHEMA: Final = """
CREATE TABLE study (
    id TEXT PRIMARY KEY,
    manifest_hash TEXT NOT NULL,
    rho_reserved REAL NOT NULL CHECK (rho_reserved > 0),
    opened TEXT NOT NULL,
    ended TEXT
) STRICT;
CREATE TABLE contribution (
    study TEXT NOT NULL REFERENCES study(id),
    round INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    request_hash TEXT NOT NULL,
    rho REAL NOT NULL CHECK (rho > 0),
    stored TEXT NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (study, attempt)
) STRICT;
CREATE TABLE entry (
    number INTEGER PRIMARY KEY,
    content BLOB NOT NULL,
    head TEXT NOT NULL
) STRICT;
PRAGMA user_version = 1;
"""


@dataclass(frozen=True, slots=True)
class Caps:
    """Largest rho that a node allows: for one study, in a calendar year, and ever."""

    study: float
    year: float
    lifetime: float


@dataclass(frozen=True, slots=True)
class Totals:
    """Rho so far. ``reserved`` is what open studies hold and have not spent."""

    spent: float
    reserved: float


def _now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """One node's ledger.

    Args:
        path: The database file; made when absent.
        caps: What the node allows.
        clock: Gives the time, UTC (tests inject it).

    Raises:
        ConfigurationError: ``ledger-unreadable``.
    """

    def __init__(self, path: Path, caps: Caps, clock: Callable[[], datetime] = _now) -> None:
        self._caps = caps
        self._clock = clock
        fresh = not path.exists()
        try:
            # Rounds may be answered from another thread than the one that opened the ledger, one at a time.
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            if fresh:
                path.chmod(0o600)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
            if not self._db.execute("PRAGMA user_version").fetchone()[0]:
                with self._transaction():
                    for statement in _SCHEMA.split(";\n"):
                        self._db.execute(statement)
        except sqlite3.DatabaseError as error:
            raise ConfigurationError(
                "ledger-unreadable",
                f"the ledger {path.name} cannot be read: {error}",
                "restore the node directory from backup; do not delete the ledger, it guards the budget",
            ) from error

    def close(self) -> None:
        """Closes the database."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _record(self, kind: str, **facts: str | float) -> None:
        """Appends an entry to the chain; only inside a transaction."""
        row = self._db.execute("SELECT number, head FROM entry ORDER BY number DESC LIMIT 1").fetchone()
        number, head = (row[0] + 1, row[1]) if row else (0, _GENESIS)
        content = canonical.serialise(
            {"kind": kind, "at": self._clock().isoformat(), "salt": secrets.token_hex(16), **facts}
        )
        self._db.execute(
            "INSERT INTO entry VALUES (?, ?, ?)",
            (number, content, canonical.sha256(bytes.fromhex(head) + content)),
        )

    def reserve(self, study: str, manifest_hash: str, rho: float) -> None:
        """Sets a study's whole cost aside. Repeating it for the same manifest changes nothing.

        Raises:
            RefusedError: ``budget-exhausted``, ``study-changed`` or ``study-ended``.
        """
        with self._transaction():
            row = self._db.execute("SELECT manifest_hash, ended FROM study WHERE id = ?", (study,)).fetchone()
            if row is not None:
                if row[0] != manifest_hash:
                    raise RefusedError(
                        "study-changed",
                        f"study {study!r} is already open here with another manifest",
                        "draft the changed study under a new id",
                    )
                self._require_open(study, row[1])
                return
            self._require_budget(study, rho)
            self._db.execute(
                "INSERT INTO study VALUES (?, ?, ?, ?, NULL)",
                (study, manifest_hash, rho, self._clock().isoformat()),
            )
            self._record("reserve", study=study, manifest=manifest_hash, rho=rho)

    def _require_budget(self, study: str, rho: float) -> None:
        year = self.totals(year=self._clock().year)
        ever = self.totals()
        for name, cap, held in (
            ("study", self._caps.study, 0.0),
            ("year", self._caps.year, year.spent + ever.reserved),
            ("lifetime", self._caps.lifetime, ever.spent + ever.reserved),
        ):
            if not held + rho <= cap:
                raise RefusedError(
                    "budget-exhausted",
                    f"study {study!r} costs rho {rho:.6g}; the cap per {name} is {cap:.6g}, of which "
                    f"{held:.6g} is spent or reserved",
                    "decline the study, or let two approvers raise the cap in node.toml",
                )

    @staticmethod
    def _require_open(study: str, ended: str | None) -> None:
        if ended is not None:
            raise RefusedError("study-ended", f"study {study!r} has ended", "draft a new study")

    def stored(self, key: Attempt, request_hash: str) -> bytes | None:
        """The bytes already stored for an attempt, or None if it may be built.

        Raises:
            RefusedError: ``attempt-replayed``, when the attempt was answered for other inputs, or a later
                attempt was.
        """
        study, round_number, attempt = key
        row = self._db.execute(
            "SELECT request_hash, payload, round FROM contribution WHERE study = ? AND attempt = ?",
            (study, attempt),
        ).fetchone()
        if row is not None and row[0] == request_hash and row[2] == round_number:
            return bytes(row[1])
        later = self._db.execute(
            "SELECT 1 FROM contribution WHERE study = ? AND (attempt >= ? OR round > ?)",
            (study, attempt, round_number),
        ).fetchone()
        if later is not None:
            raise RefusedError(
                "attempt-replayed",
                f"attempt {attempt} at round {round_number} of study {study!r} is older than one answered, "
                "or was answered for other inputs",
                "start a new attempt with a higher number",
            )
        return None

    def spend(self, key: Attempt, request_hash: str, payload: bytes, rho: float) -> bytes:
        """Charges an attempt and stores its bytes, in one transaction; returns them as read back.

        Raises:
            RefusedError: ``attempt-replayed``, ``study-ended``, or ``reservation-exhausted`` when the study
                would spend more than it reserved.
        """
        study, round_number, attempt = key
        with self._transaction():
            row = self._db.execute("SELECT rho_reserved, ended FROM study WHERE id = ?", (study,)).fetchone()
            if row is None:
                raise RefusedError(
                    "not-reserved", f"study {study!r} has reserved nothing", "approve it first"
                )
            self._require_open(study, row[1])
            if self.stored(key, request_hash) is not None:
                raise DefectError("double-build", "an attempt was built twice", "report this")
            spent = self._spent_by(study)
            if not spent + rho <= row[0] * (1 + 1e-9):
                raise RefusedError(
                    "reservation-exhausted",
                    f"study {study!r} reserved rho {row[0]:.6g} and has spent {spent:.6g}",
                    "let the study fail; draft a new one with more retries",
                )
            self._db.execute(
                "INSERT INTO contribution VALUES (?, ?, ?, ?, ?, ?, ?)",
                (study, round_number, attempt, request_hash, rho, self._clock().isoformat(), payload),
            )
            digest = canonical.sha256(payload)
            self._record(
                "spend", study=study, round=round_number, attempt=attempt, rho=rho, contribution=digest
            )
        stored = self.stored(key, request_hash)
        if stored is None:
            raise DefectError("lost-write", "a stored contribution cannot be read back", "check the disk")
        return stored

    def end(self, study: str) -> None:
        """Puts a study's end on record, which releases what it reserved and did not spend."""
        with self._transaction():
            changed = self._db.execute(
                "UPDATE study SET ended = ? WHERE id = ? AND ended IS NULL",
                (self._clock().isoformat(), study),
            )
            if changed.rowcount:
                self._record("end", study=study, spent=self._spent_by(study))

    def _spent_by(self, study: str) -> float:
        row = self._db.execute("SELECT total(rho) FROM contribution WHERE study = ?", (study,)).fetchone()
        return float(row[0])

    def totals(self, *, study: str | None = None, year: int | None = None) -> Totals:
        """Rho spent and reserved: of a study, in a calendar year (UTC), or ever."""
        spent = self._db.execute(
            "SELECT total(rho) FROM contribution WHERE (?1 IS NULL OR study = ?1) "
            "AND (?2 IS NULL OR substr(stored, 1, 4) = ?2)",
            (study, None if year is None else f"{year:04}"),
        ).fetchone()[0]
        reserved = self._db.execute(
            "SELECT total(max(0, rho_reserved - "
            "(SELECT total(rho) FROM contribution c WHERE c.study = s.id))) FROM study s "
            "WHERE ended IS NULL AND (?1 IS NULL OR id = ?1) "
            "AND (?2 IS NULL OR substr(opened, 1, 4) = ?2)",
            (study, None if year is None else f"{year:04}"),
        ).fetchone()[0]
        return Totals(float(spent), float(reserved))

    def head(self) -> str:
        """The chain's head, hexadecimal: it stands for all entries so far."""
        row = self._db.execute("SELECT head FROM entry ORDER BY number DESC LIMIT 1").fetchone()
        return str(row[0]) if row else _GENESIS

    def verify(self) -> int:
        """Checks the chain and returns the number of entries.

        Raises:
            ConfigurationError: ``ledger-altered``, naming the first entry that does not fit, or when the
                contributions on record are not those that the chain charged.
        """
        head, charged = _GENESIS, []
        rows = self._db.execute("SELECT number, content, head FROM entry ORDER BY number").fetchall()
        for expected, (number, content, claimed) in enumerate(rows):
            head = canonical.sha256(bytes.fromhex(head) + content)
            if number != expected or head != claimed:
                raise _altered(f"entry {expected} does not fit the one before it")
            facts = canonical.parse(content)
            if facts["kind"] == "spend":
                charged.append((facts["study"], facts["attempt"], facts["rho"], facts["contribution"]))
        found = [
            (study, attempt, rho, canonical.sha256(payload))
            for study, attempt, rho, payload in self._db.execute(
                "SELECT study, attempt, rho, payload FROM contribution ORDER BY stored, study, attempt"
            )
        ]
        if sorted(charged) != sorted(found):
            raise _altered("contributions are not those that its entries charged")
        return len(rows)


def _altered(what: str) -> ConfigurationError:
    return ConfigurationError(
        "ledger-altered",
        f"the ledger was altered: {what}",
        "stop the node, keep the file as evidence and restore from backup",
    )
