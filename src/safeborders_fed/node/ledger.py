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
- A population's noised count is charged to the year and the lifetime, and drawn once (``count_once``).
- With an open dispute (``node.witnesses``) nothing is reserved or spent until two people settle it.
- Each charge leaves an entry for the audit log in an outbox, in the same transaction.
- Everything stands in a hash-chained journal (``node.journal``); ``verify`` finds an edit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from safeborders_fed.errors import DefectError, RefusedError
from safeborders_fed.node.anchored import Anchored
from safeborders_fed.node.caps import Caps, Totals, exceeded, require_room
from safeborders_fed.node.journal import GENESIS, Journal, now
from safeborders_fed.node.ledger_check import verified
from safeborders_fed.node.population_counts import KIND, NoisedCount, PopulationCounts
from safeborders_fed.node.witnesses import Witnesses
from safeborders_fed.study import canonical
from safeborders_fed.study.handshake import Head
from safeborders_fed.study.messages import Attempt


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a study has reserved, for which manifest, on which snapshot, and when it ended, if it did."""

    manifest_hash: str
    rho: float
    snapshot: str
    ended: str | None


class Ledger:
    """One node's ledger.

    Args:
        path: The database file; made when absent.
        caps: What the node allows.
        clock: Gives the time, UTC (tests inject it).

    Raises:
        ConfigurationError: ``ledger-unreadable``.
    """

    def __init__(self, path: Path, caps: Caps, clock: Callable[[], datetime] = now) -> None:
        self._caps = caps
        self._journal = Journal(path, clock)
        self._db = self._journal.db
        self.witnesses = Witnesses(self._journal)
        self.counts = PopulationCounts(self._journal)
        self.anchors = Anchored(self._journal)

    def close(self) -> None:
        """Closes the database."""
        self._journal.close()

    def head(self) -> Head:
        """The journal's head: it stands for all entries so far."""
        return self._journal.head()

    def reserve(self, study: str, manifest_hash: str, rho: float, snapshot: str = "") -> str:
        """Sets a study's whole cost aside; the snapshot of the case store that the study runs on.

        Repeating it for the same manifest changes nothing, and gives the snapshot of the first time.

        Raises:
            RefusedError: ``budget-exhausted``, ``study-changed`` or ``study-ended``.
        """
        with self._journal.transaction():
            self.witnesses.require_undisputed()
            row = self._db.execute(
                "SELECT manifest_hash, ended, snapshot FROM study WHERE id = ?", (study,)
            ).fetchone()
            if row is not None:
                if row[0] != manifest_hash:
                    raise RefusedError(
                        "study-changed",
                        f"study {study!r} is already open here with another manifest",
                        "draft the changed study under a new id",
                    )
                self._require_open(study, row[1])
                return str(row[2])
            self.require_budget(study, rho)
            self._db.execute(
                "INSERT INTO study VALUES (?, ?, ?, ?, ?, NULL)",
                (study, manifest_hash, rho, snapshot, self._journal.clock().isoformat()),
            )
            self._journal.record("reserve", study=study, manifest=manifest_hash, rho=rho, snapshot=snapshot)
            return snapshot

    def reservation(self, study: str) -> Reservation | None:
        """What a study has reserved here; None if it never did."""
        row = self._db.execute(
            "SELECT manifest_hash, rho_reserved, snapshot, ended FROM study WHERE id = ?", (study,)
        ).fetchone()
        return None if row is None else Reservation(*row)

    def require_budget(self, study: str, rho: float, *, count: float = 0.0) -> None:
        """Raises RefusedError ``budget-exhausted`` unless a study could reserve so much now.

        Args:
            study: Its id.
            rho: What it costs.
            count: What counting its population costs besides, in the year and the lifetime.
        """
        require_room(study, rho, count, self.exceeded(rho, count))

    def exceeded(self, rho: float, count: float = 0.0) -> dict[str, str]:
        """The caps that such a cost would exceed now, each with why; arguments as ``require_budget``."""
        year = self.totals(year=self._journal.clock().year)
        return exceeded(self._caps, rho, count, year=year, ever=self.totals())

    def count_once(self, study: str, rho: float, count: NoisedCount) -> NoisedCount:
        """Charges a population's noised count and keeps it for good; as read back.

        If one was kept before, that one: what was drawn now is forgotten, and nothing is charged.

        Args:
            study: The study that it is drawn for.
            rho: What the study costs: nothing is counted for one that could not reserve it.
            count: The count.

        Raises:
            RefusedError: ``budget-exhausted`` or ``ledger-disputed``.
        """
        with self._journal.transaction():
            if self.counts.remembered(count.population, count.snapshot) is None:
                self.witnesses.require_undisputed()
                self.require_budget(study, rho, count=count.rho)
                self.counts.keep(count, study)
                # Without the count itself: the audit log travels further than the ledger.
                facts = {"population": count.population, "snapshot": count.snapshot, "rho": count.rho}
                self._put_out(f"{KIND}/{count.population}/{count.snapshot}", {"study": study, **facts})
        kept = self.counts.remembered(count.population, count.snapshot)
        if kept is None:
            raise DefectError("lost-write", "a stored count cannot be read back", "check the disk")
        return kept

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

    def spend(
        self,
        key: Attempt,
        request_hash: str,
        payload: bytes,
        rho: float,
        *,
        heads: Mapping[str, Head] | None = None,
    ) -> bytes:
        """Charges an attempt and stores its bytes, in one transaction; returns them as read back.

        Args:
            key: The attempt.
            request_hash: SHA-256 of the request.
            payload: The bytes to send.
            rho: What they cost.
            heads: Ledger heads of other nodes that the request shows, to be witnessed.

        Raises:
            RefusedError: ``attempt-replayed``, ``study-ended``, or ``reservation-exhausted`` when the study
                would spend more than it reserved.
        """
        study, round_number, attempt = key
        with self._journal.transaction():
            self.witnesses.require_undisputed()
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
                (study, round_number, attempt, request_hash, rho, self._journal.clock().isoformat(), payload),
            )
            self.witnesses.witness_round(study, heads or {})
            digest = canonical.sha256(payload)
            facts = {"study": study, "round": round_number, "attempt": attempt, "rho": rho}
            self._journal.record("spend", **facts, contribution=digest)
            self._put_out(f"{study}/{attempt}/{digest}", {**facts, "contribution": digest})
        stored = self.stored(key, request_hash)
        if stored is None:
            raise DefectError("lost-write", "a stored contribution cannot be read back", "check the disk")
        return stored

    def end(self, study: str) -> None:
        """Puts a study's end on record, which releases what it reserved and did not spend."""
        with self._journal.transaction():
            changed = self._db.execute(
                "UPDATE study SET ended = ? WHERE id = ? AND ended IS NULL",
                (self._journal.clock().isoformat(), study),
            )
            if changed.rowcount:
                self._journal.record("end", study=study, spent=self._spent_by(study))

    def answers(self, study: str) -> dict[int, bytes]:
        """The bytes of every contribution to a study, by attempt."""
        rows = self._db.execute(
            "SELECT attempt, payload FROM contribution WHERE study = ? ORDER BY attempt", (study,)
        )
        return {attempt: bytes(payload) for attempt, payload in rows}

    def _put_out(self, key: str, facts: Mapping[str, Any]) -> None:
        # Whoever charges has written all earlier charges to the audit log before (see ``node.door``).
        self._db.execute("DELETE FROM outbox")
        self._db.execute("INSERT INTO outbox VALUES (?, ?)", (key, canonical.serialise(facts)))

    def _spent_by(self, study: str) -> float:
        row = self._db.execute("SELECT total(rho) FROM contribution WHERE study = ?", (study,)).fetchone()
        return float(row[0])

    def totals(self, *, study: str | None = None, year: int | None = None) -> Totals:
        """Rho spent and reserved: of a study, in a calendar year (UTC), or ever; counts are of no study."""
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
        counted = self.counts.spent(year) if study is None else 0.0
        return Totals(float(spent) + counted, float(reserved))

    def outbox(self) -> list[tuple[str, dict[str, Any]]]:
        """Charges since the one before the last: what the audit log may not hold yet. Key and facts."""
        rows = self._db.execute("SELECT key, content FROM outbox ORDER BY rowid").fetchall()
        return [(key, canonical.parse(content)) for key, content in rows]

    def settle(self, people: Sequence[str], lost_rho: float) -> None:
        """Settles all open disputes: two people vouch for it, and charge what the lost entries had spent.

        The chain goes on after the furthest number that was witnessed, so that witnesses follow it again and
        a second old copy is noticed too.

        Args:
            people: Who vouches; their approvals were checked.
            lost_rho: What the lost entries had spent at most, charged now.

        Raises:
            RefusedError: ``nothing-to-settle``.
        """
        if not (math.isfinite(lost_rho) and lost_rho >= 0):
            raise RefusedError("bad-rho", f"a loss of rho {lost_rho!r} cannot be charged", "give 0 or more")
        with self._journal.transaction():
            resume = self.witnesses.settle()
            self._journal.record("reconcile", resume=resume, people=list(people), rho=lost_rho)
            if lost_rho > 0:
                # Named by its own entry: two disputes may be over the same number.
                self._charge_loss(f"reconciled at entry {self._journal.head().entries}", lost_rho)

    def mark_restored(self, backup: str) -> None:
        """Puts on record that this is a copy: nothing is reserved or spent until two people settle it.

        Args:
            backup: SHA-256 of the backup's manifest.
        """
        with self._journal.transaction():
            self._journal.record("restored", backup=backup)
            self.witnesses.dispute_restored(self._journal.head().entries)

    def copy_to(self, path: Path) -> None:
        """Copies the ledger to one file while others may write it. Raises as Journal.copy_to."""
        self._journal.copy_to(path)

    def _charge_loss(self, study: str, rho: float) -> None:
        at = self._journal.clock().isoformat()
        self._db.execute("INSERT INTO study VALUES (?, ?, ?, ?, ?, ?)", (study, GENESIS, rho, "", at, at))
        self._journal.record("reserve", study=study, manifest=GENESIS, rho=rho, snapshot="")
        self._db.execute(
            "INSERT INTO contribution VALUES (?, 0, 0, ?, ?, ?, ?)", (study, GENESIS, rho, at, b"")
        )
        digest = canonical.sha256(b"")
        self._journal.record("spend", study=study, round=0, attempt=0, rho=rho, contribution=digest)
        self._journal.record("end", study=study, spent=rho)

    def studies(self) -> list[dict[str, Any]]:
        """Every study by approval: id, opened, ended, attempts answered, rho reserved and spent."""
        rows = self._db.execute(
            "SELECT s.id, s.opened, s.ended, count(c.attempt), s.rho_reserved, total(c.rho) "
            "FROM study s LEFT JOIN contribution c ON c.study = s.id GROUP BY s.id ORDER BY s.opened, s.id"
        ).fetchall()
        names = ("id", "opened", "ended", "attempts", "rho_reserved", "rho_spent")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def verify(self) -> int:
        """Checks the journal and the contributions on record; the number of entries.

        Raises:
            ConfigurationError: ``ledger-altered``.
        """
        with self._journal.snapshot():
            return verified(self._journal, self.counts)
