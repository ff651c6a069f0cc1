"""Statements about published tables: that they are released, or withdrawn, under operators' signatures.

A third statement says that one analyst may have the noisy measurements behind released tables.

Guarantees: those of ``model_statement``; and a signature under one kind of statement is none under another,
since each is made for a purpose of its own.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field as Limit

from safeborders_fed.masking.signing import Purpose
from safeborders_fed.study import model_statement
from safeborders_fed.study.model_statement import SignedStatement, Statement


class TableStatement(Statement):
    """What is said of published tables; ``name`` is the study, ``sha256`` that of the tables' document."""

    purpose: ClassVar[Purpose] = Purpose.TABLES
    about: ClassVar[str] = "tables"


class NoisyStatement(Statement):
    """That an analyst may have noisy measurements; ``sha256`` is that of their file.

    Attributes:
        reader: The analyst.
    """

    purpose: ClassVar[Purpose] = Purpose.NOISY_COPY
    about: ClassVar[str] = "noisy measurements"

    reader: Annotated[str, Limit(min_length=1, max_length=200)]


class SignedTables(SignedStatement):
    """A statement about tables with its signatures."""

    statement: TableStatement


class SignedNoisy(SignedStatement):
    """A statement about noisy measurements with its signatures."""

    statement: NoisyStatement


def sign(
    statement: TableStatement, key: Ed25519PrivateKey, by: str, before: SignedTables | None = None
) -> SignedTables:
    """The statement with one more signature. Arguments and errors as ``model_statement.sign``."""
    made = model_statement.sign(statement, key, by, before)
    return SignedTables(statement=statement, signatures=made.signatures)


def sign_noisy(
    statement: NoisyStatement, key: Ed25519PrivateKey, by: str, before: SignedNoisy | None = None
) -> SignedNoisy:
    """The statement with one more signature. Arguments and errors as ``model_statement.sign``."""
    made = model_statement.sign(statement, key, by, before)
    return SignedNoisy(statement=statement, signatures=made.signatures)


def parse_noisy(data: bytes) -> SignedNoisy:
    """As ``parse``, of a statement about noisy measurements."""
    return model_statement.parse_as(data, SignedNoisy)


def parse(data: bytes) -> SignedTables:
    """The statement in the bytes of a file; its signatures are still to ``check``.

    Raises:
        PeerError: ``bad-statement``.
    """
    return model_statement.parse_as(data, SignedTables)
