"""The tables of a node's link book (``node.link_book``)."""

from __future__ import annotations

from typing import Final

_SCHEMA: Final = """
CREATE TABLE quota (
    requester TEXT NOT NULL,
    kind TEXT NOT NULL,
    period TEXT NOT NULL,
    batch TEXT NOT NULL,
    points INTEGER NOT NULL CHECK (points >= 0),
    PRIMARY KEY (requester, kind, period, batch)
) STRICT, WITHOUT ROWID;
CREATE TABLE spent (
    period TEXT PRIMARY KEY,
    why TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE answered (
    requester TEXT NOT NULL,
    batch TEXT NOT NULL,
    number INTEGER NOT NULL,
    kind TEXT NOT NULL,
    count INTEGER NOT NULL CHECK (count > 0),
    asked TEXT NOT NULL,
    at TEXT NOT NULL,
    points BLOB,
    answer BLOB,
    PRIMARY KEY (requester, batch, number)
) STRICT;
CREATE TABLE foreign_batch (
    requester TEXT NOT NULL,
    batch TEXT NOT NULL,
    total INTEGER NOT NULL,
    expires TEXT NOT NULL,
    PRIMARY KEY (requester, batch)
) STRICT;
CREATE TABLE outbox (
    key TEXT PRIMARY KEY,
    content BLOB NOT NULL
) STRICT;
CREATE TABLE ceremony (
    epoch TEXT PRIMARY KEY,
    share TEXT NOT NULL,
    commitments BLOB,
    key_set BLOB,
    pinned BLOB,
    destroyed TEXT
) STRICT;
CREATE TABLE token (
    id INTEGER PRIMARY KEY,
    epoch TEXT NOT NULL,
    digest BLOB NOT NULL,
    kind TEXT NOT NULL,
    strength TEXT NOT NULL,
    token BLOB NOT NULL,
    UNIQUE (epoch, digest)
) STRICT;
CREATE TABLE tagged (
    epoch TEXT NOT NULL,
    partner TEXT NOT NULL,
    exchange TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (epoch, partner, exchange, first)
) STRICT, WITHOUT ROWID;
CREATE TABLE batch (
    id TEXT PRIMARY KEY,
    place INTEGER NOT NULL UNIQUE,
    epoch TEXT NOT NULL,
    statement BLOB NOT NULL,
    leaves BLOB NOT NULL,
    prepared TEXT NOT NULL,
    ended TEXT,
    outcome TEXT
) STRICT;
CREATE TABLE approval (
    batch TEXT NOT NULL REFERENCES batch(id),
    approver TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (batch, approver)
) STRICT;
CREATE TABLE chunk (
    batch TEXT NOT NULL REFERENCES batch(id),
    number INTEGER NOT NULL,
    kind TEXT NOT NULL,
    count INTEGER NOT NULL,
    points BLOB,
    items BLOB,
    said BLOB,
    sent TEXT UNIQUE,
    taken TEXT,
    PRIMARY KEY (batch, number)
) STRICT;
CREATE TABLE alarm (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL UNIQUE,
    said TEXT NOT NULL
) STRICT;
"""
STEPS: Final = (_SCHEMA,)
"""What brings a database from each version to the next."""
