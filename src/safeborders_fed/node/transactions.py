"""One transaction of a node's databases: the ledger, the book of links and the hits.

Guarantees: all that is written within is written, or nothing. What keeps a database from being written (a
full disk, rights) comes out as the error that its owner names.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from safeborders_fed.errors import ConfigurationError


@contextmanager
def immediate(
    db: sqlite3.Connection, unwritable: Callable[[sqlite3.OperationalError], ConfigurationError]
) -> Iterator[None]:
    """A transaction that no other writer can come between.

    Args:
        db: A connection without implicit transactions.
        unwritable: The error for a database that cannot be written.

    Raises:
        ConfigurationError: as ``unwritable`` says; nothing was written.
    """
    try:
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:  # a full disk may have rolled it back already
                db.execute("ROLLBACK")
            raise
    except sqlite3.OperationalError as error:
        raise unwritable(error) from error
