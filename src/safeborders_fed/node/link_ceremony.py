"""How far the keys of an epoch have come at this node: its own share, commitments, the pinned set.

Guarantees: one share of its own for an epoch at a time, and none that was given up comes back; a share is
revealed to one set of commitments only; one set is pinned for an epoch and never another; an epoch that was
destroyed never begins again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from safeborders_fed.errors import RefusedError
from safeborders_fed.node.link_database import LinkDatabase


@dataclass(frozen=True)
class Ceremony:
    """The keys of an epoch, as far as they have come.

    Attributes:
        share: The text of this node's share; empty after ``renew``, until another one is made.
        commitments: What all nodes committed to, as it was shown here before the share was revealed.
        key_set: The pinned set.
        pinned: What all nodes said of the set; with it the epoch can be used.
        destroyed: When its secrets were destroyed.
    """

    share: str
    commitments: bytes | None
    key_set: bytes | None
    pinned: bytes | None
    destroyed: str | None


class Ceremonies:
    """The epochs in a link book."""

    def __init__(self, database: LinkDatabase, clock: Callable[[], datetime]) -> None:
        self._database, self._db, self._clock = database, database.db, clock

    def of(self, epoch: str) -> Ceremony | None:
        """How far an epoch has come; None before its first step."""
        row = self._db.execute(
            "SELECT share, commitments, key_set, pinned, destroyed FROM ceremony WHERE epoch = ?", (epoch,)
        ).fetchone()
        return None if row is None else Ceremony(*row)

    def epochs(self) -> list[str]:
        """All epochs of which there is anything."""
        return [str(row[0]) for row in self._db.execute("SELECT epoch FROM ceremony ORDER BY epoch")]

    def begin(self, epoch: str, share: str) -> Ceremony:
        """Keeps this node's share, unless it has one; the one that is kept.

        Raises:
            RefusedError: ``link-epoch``.
        """
        with self._database.transaction():
            self._db.execute(
                "INSERT INTO ceremony VALUES (?, ?, NULL, NULL, NULL, NULL) "
                "ON CONFLICT DO UPDATE SET share = excluded.share WHERE share = '' AND destroyed IS NULL",
                (epoch, share),
            )
            found = self.of(epoch)
            if found is None or found.destroyed is not None:
                raise destroyed(epoch)
        return found

    def renew(self, epoch: str) -> bool:
        """Gives this node's share up for good, before another is made; false once a set is pinned."""
        with self._database.transaction():
            done = self._db.execute(
                "UPDATE ceremony SET share = '', commitments = NULL "
                "WHERE epoch = ? AND key_set IS NULL AND destroyed IS NULL",
                (epoch,),
            )
        return bool(done.rowcount)

    def commit(self, epoch: str, commitments: bytes) -> None:
        """Keeps what all nodes committed to, before this node's share is revealed to them.

        Raises:
            RefusedError: ``link-epoch``, when it was revealed to others and no set is pinned yet: who had
                seen it could have chosen its own commitment after it.
        """
        with self._database.transaction():
            found = self.of(epoch)
            if found is None or found.destroyed is not None:
                raise destroyed(epoch)
            if found.key_set is not None or found.commitments == commitments:
                return
            if found.commitments is not None:
                raise RefusedError(
                    "link-epoch",
                    f"this node's share of epoch {epoch} was revealed to other commitments",
                    "begin the ceremony again: it then makes another share",
                )
            self._db.execute("UPDATE ceremony SET commitments = ? WHERE epoch = ?", (commitments, epoch))

    def pin(self, epoch: str, key_set: bytes) -> None:
        """Pins a set of keys for an epoch.

        Raises:
            RefusedError: ``link-epoch``, when another one is pinned or the epoch is destroyed.
        """
        with self._database.transaction():
            found = self.of(epoch)
            if found is None or found.destroyed is not None:
                raise destroyed(epoch)
            if found.key_set not in {None, key_set}:
                raise RefusedError(
                    "link-epoch",
                    f"another set of keys is pinned for epoch {epoch}",
                    "ask the coordinator's operator which nodes it showed which set: one epoch has one",
                )
            self._db.execute("UPDATE ceremony SET key_set = ? WHERE epoch = ?", (key_set, epoch))

    def ready(self, epoch: str, pinned: bytes) -> None:
        """Keeps what all nodes said of the set: from now on the epoch can be used."""
        with self._database.transaction():
            self._db.execute(
                "UPDATE ceremony SET pinned = coalesce(pinned, ?) WHERE epoch = ?", (pinned, epoch)
            )

    def destroy(self, epoch: str) -> None:
        """Puts on record that an epoch is over for good at this node."""
        with self._database.transaction():
            self._db.execute(
                "INSERT INTO ceremony VALUES (?1, '', NULL, NULL, NULL, ?2) "
                "ON CONFLICT DO UPDATE SET destroyed = coalesce(destroyed, ?2)",
                (epoch, self._clock().isoformat(timespec="seconds")),
            )


def destroyed(epoch: str) -> RefusedError:
    """The error for an epoch whose secrets are gone, or were never made."""
    return RefusedError(
        "link-epoch",
        f"this node has no secrets of epoch {epoch}, or has destroyed them",
        "ask for identifiers anew in the epoch of today",
    )
