"""What nodes witness of each other's ledgers, and disputes over entries that are gone.

A head of this ledger that a witness knows and the chain lacks is a dispute: the ledger was put back from an
old copy. With an open dispute nothing is reserved or spent until two people settle it.

Guarantees: heads of other nodes are kept for good, few for each study; a settled dispute lets the chain go on
only after the furthest number that was witnessed, so that a second old copy is noticed too.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

from safeborders_fed.errors import RefusedError
from safeborders_fed.node.journal import Journal
from safeborders_fed.study import canonical
from safeborders_fed.study.handshake import Head

RESTORE: Final = "the restore from a backup"
"""Who stands as the witness of a dispute that a restore opened."""


class Witnesses:
    """Heads of other nodes, and disputes over this node's own. Kept in the ledger's database."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._db = journal.db

    def holds(self, head: Head) -> bool:
        """Whether the chain passed through a head, or two people settled that it lacks it."""
        settled = self._db.execute(
            "SELECT 1 FROM dispute WHERE entries = ? AND value = ? AND settled IS NOT NULL",
            (head.entries, head.value),
        ).fetchone()
        return settled is not None or self._journal.passed_through(head)

    def witnessed(self, node: str) -> tuple[Head, ...]:
        """All heads of another node that this node has seen, oldest first."""
        rows = self._db.execute(
            "SELECT entries, value, coalesce(study, ''), signature FROM witnessed WHERE node = ? "
            "ORDER BY entries, value",
            (node,),
        )
        return tuple(
            Head(entries=entries, value=value, study=study, signature=signature)
            for entries, value, study, signature in rows
        )

    def witness(self, heads: Mapping[str, Head]) -> None:
        """Remembers heads of other nodes, for good.

        None is ever replaced: a coordinator that repeats the handshake must not make a head forgotten that
        its node has not yet been shown.
        """
        with self._journal.transaction():
            self._db.executemany(
                "INSERT INTO witnessed VALUES (?, ?, ?, ?, NULL) ON CONFLICT DO UPDATE "
                "SET signature = excluded.signature, study = NULL WHERE study IS NOT NULL",
                [(node, head.entries, head.value, head.signature) for node, head in heads.items()],
            )

    def witness_round(self, study: str, heads: Mapping[str, Head]) -> None:
        """Remembers the heads stated in contributions to a study, inside a transaction: the latest of each.

        An earlier one of the same study may go: whoever states a later one in a contribution has shown, when
        it joined, that its journal holds all that was witnessed before. An earlier one that is shown again,
        or a later one stated elsewhere (``Head.study``), shows nothing, and takes no other's place.
        """
        for node, head in heads.items():
            self._db.execute(
                "DELETE FROM witnessed WHERE node = ? AND study = ? AND entries < ?",
                (node, study, head.entries),
            )
            self._db.execute(
                "INSERT OR IGNORE INTO witnessed VALUES (?, ?, ?, ?, ?)",
                (node, head.entries, head.value, head.signature, study),
            )

    def dispute(self, witness: str, head: Head) -> None:
        """Puts on record that a witness knows a head that the chain lacks."""
        with self._journal.transaction():
            self._db.execute(
                "INSERT OR IGNORE INTO dispute VALUES (?, ?, ?, NULL)", (witness, head.entries, head.value)
            )

    def dispute_restored(self, entries: int) -> None:
        """Puts on record, inside a transaction, that entries may be missing from this one on.

        The head is of no chain. It differs each time, so that approvals of one restore settle no other.
        """
        self._db.execute(
            "INSERT INTO dispute VALUES (?, ?, ?, NULL)", (RESTORE, entries, secrets.token_hex(32))
        )

    def disputes(self) -> list[tuple[str, Head]]:
        """Open disputes: witness and the head that the chain lacks."""
        rows = self._db.execute(
            "SELECT witness, entries, value FROM dispute WHERE settled IS NULL"
        ).fetchall()
        return [(witness, Head(entries=entries, value=value)) for witness, entries, value in rows]

    def settle(self) -> int:
        """Marks all open disputes as settled, inside a transaction; the furthest number witnessed.

        Raises:
            RefusedError: ``nothing-to-settle``.
        """
        open_disputes = self.disputes()
        if not open_disputes:
            raise RefusedError("nothing-to-settle", "the ledger is not disputed", "nothing needs to be done")
        self._db.execute(
            "UPDATE dispute SET settled = ? WHERE settled IS NULL", (self._journal.clock().isoformat(),)
        )
        return max(head.entries for _, head in open_disputes)

    def disputes_hash(self) -> str:
        """What two people sign when they settle all open disputes."""
        return canonical.sha256(
            canonical.serialise(sorted([head.value, head.entries] for _, head in self.disputes()))
        )

    def require_undisputed(self) -> None:
        """Raises RefusedError ``ledger-disputed`` while a dispute is open."""
        open_disputes = self.disputes()
        if open_disputes:
            witnesses = ", ".join(sorted({witness for witness, _ in open_disputes}))
            raise RefusedError(
                "ledger-disputed",
                f"{witnesses} witnessed entries that this ledger lacks: it was put back from an old copy",
                "let two approvers run `safeborders node ledger reconcile`",
            )
