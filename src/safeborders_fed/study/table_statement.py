"""Statements about published tables: that they are released, or withdrawn, under operators' signatures.

Guarantees: those of ``model_statement``; and a signature under a statement about tables is none under one
about a model, since each is made for a purpose of its own.
"""

from __future__ import annotations

from typing import ClassVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.masking.signing import Purpose
from safeborders_fed.study import model_statement
from safeborders_fed.study.model_statement import SignedStatement, Statement


class TableStatement(Statement):
    """What is said of published tables; ``name`` is the study, ``sha256`` that of the tables' document."""

    purpose: ClassVar[Purpose] = Purpose.TABLES
    about: ClassVar[str] = "tables"


class SignedTables(SignedStatement):
    """A statement about tables with its signatures."""

    statement: TableStatement


def sign(
    statement: TableStatement, key: Ed25519PrivateKey, by: str, before: SignedTables | None = None
) -> SignedTables:
    """The statement with one more signature. Arguments and errors as ``model_statement.sign``."""
    made = model_statement.sign(statement, key, by, before)
    return SignedTables(statement=statement, signatures=made.signatures)


def parse(data: bytes) -> SignedTables:
    """The statement in the bytes of a file; its signatures are still to ``check``.

    Raises:
        PeerError: ``bad-statement``.
    """
    return model_statement.parse_as(data, SignedTables)
