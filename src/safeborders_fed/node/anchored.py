"""The anchors of the node's audit log in its ledger.

Guarantees: they stand in the ledger's hash-chained journal, so the heads that are stated from then on stand
for them too. Who cuts the audit log off must cut the ledger as well, and then it lacks heads that other nodes
have witnessed (``node.witnesses``). The number of the entry stays here: journal entries are salted.
"""

from __future__ import annotations

from safeborders_fed.audit.anchors import Anchor
from safeborders_fed.audit.chain import Head
from safeborders_fed.node.journal import Journal


class Anchored:
    """The anchors of one ledger."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def add(self, study: str, anchor: Head) -> None:
        """Puts an anchor on record; the line that it is the hash of is on the disk.

        Raises:
            ConfigurationError: ``ledger-unwritable``.
        """
        with self._journal.transaction():
            self._journal.record("anchor", study=study, line=anchor.hash, audit_entry=anchor.number)

    def all(self) -> list[Anchor]:
        """All of them in order; the journal is checked on the way.

        Raises:
            ConfigurationError: ``ledger-altered``.
        """
        return [
            Anchor(
                facts["line"],
                facts["study"],
                facts["at"][:10],
                f"this node's ledger as entry {facts['audit_entry']}",
            )
            for facts in self._journal.entries()
            if facts["kind"] == "anchor"
        ]
