"""The link book: charges with their answers, tokens at rest, and what an identifier costs on the disk."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safeborders_fed.errors import ConfigurationError, RefusedError
from safeborders_fed.node.link_book import Asked, LinkBook, Terms, TokenRow

KEY = secrets.token_bytes(64)
NOW = datetime(2026, 11, 2, tzinfo=UTC)
TERMS = Terms(monthly=100, first_load=200, at_once=4)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[LinkBook]:
    opened = LinkBook(tmp_path / "links.sqlite", lambda _: KEY, lambda: NOW)
    yield opened
    opened.close()


def asked(number: int = 0, count: int = 50, batch: str = "b1", text: str = "", **changes: object) -> Asked:
    facts = {
        "requester": "RO",
        "batch": batch,
        "total": 1000,
        "expires": "2026-12-01T00:00:00+00:00",
        "number": number,
        "kind": "phone",
        "epoch": "2026",
        "month": "2026-11",
        "hash": text or f"{batch}/{number}",
        "count": count,
    }
    return Asked(**{**facts, **changes})  # type: ignore[arg-type]


def charge(book: LinkBook, ask: Asked, terms: Terms = TERMS) -> bytes:
    return book.charge(ask, terms, b"points", b"answer", {"requester": ask.requester})


def token(number: int) -> TokenRow:
    return TokenRow("phone", number.to_bytes(16, "little"), secrets.token_bytes(32), "exact")


def test_charge_and_answer_are_one(book: LinkBook, tmp_path: Path) -> None:
    charge(book, asked())
    with pytest.raises(RefusedError, match="link-quota"):
        charge(book, asked(1, count=1000))
    other = LinkBook(tmp_path / "links.sqlite", lambda _: KEY, lambda: NOW)
    assert other.stored(asked()) == b"answer"
    assert other.stored(asked(1)) is None
    assert other.first_load("RO", "phone", "2026") == 50
    other.close()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 120), st.sampled_from(["b1", "b2"]), st.sampled_from("pe")), max_size=12
    )
)
def test_no_sequence_of_chunks_gets_more_than_the_quotas(chunks: list[tuple[int, str, str]]) -> None:
    with TemporaryDirectory() as directory:
        book = LinkBook(Path(directory) / "links.sqlite", lambda _: KEY, lambda: NOW)
        got: dict[str, int] = {}
        for number, (count, batch, kind) in enumerate(chunks):
            try:
                charge(book, asked(number, count, batch, kind=kind))
            except RefusedError:
                continue
            got[kind] = got.get(kind, 0) + count
        for kind, points in got.items():
            assert points <= TERMS.monthly + TERMS.first_load
            assert book.months("RO", kind).get("2026-11", 0) <= TERMS.monthly
        book.close()


def test_states_and_types_have_quotas_of_their_own(book: LinkBook) -> None:
    charge(book, asked(0, 300))
    with pytest.raises(RefusedError, match="link-quota"):
        charge(book, asked(1, 1))
    charge(book, asked(2, 300, kind="email"))
    charge(book, asked(0, 300, requester="BE"))


def test_the_first_load_is_for_one_batch(book: LinkBook) -> None:
    charge(book, asked(0, 10))
    charge(book, asked(0, 90, batch="b2"))
    with pytest.raises(RefusedError, match="link-quota"):
        charge(book, asked(1, 11, batch="b2"))
    charge(book, asked(1, 190))  # of the first batch's first load


def test_after_a_restore_the_months_quota_counts_as_spent(book: LinkBook) -> None:
    book.mark_restored()
    with pytest.raises(RefusedError, match="link-quota"):
        charge(book, asked(0, 1))
    assert book.spent_periods() == ("2026", "2026-11")
    charge(book, asked(0, 100, month="2026-12"))
    with pytest.raises(RefusedError, match="link-quota"):
        charge(book, asked(1, 1, month="2026-12"))


def test_a_full_disk_charges_nothing(book: LinkBook) -> None:
    book._db.execute("PRAGMA max_page_count = 1")
    with pytest.raises((ConfigurationError, sqlite3.OperationalError)):
        book.charge(asked(), TERMS, bytes(10**6), bytes(10**6), {"requester": "RO"})
    book._db.execute("PRAGMA max_page_count = 1000000")
    assert book.stored(asked()) is None
    assert book.charged("2026") == []
    assert book.outbox() == []


def test_a_book_of_later_software_is_refused(tmp_path: Path) -> None:
    LinkBook(tmp_path / "links.sqlite", lambda _: KEY).close()
    database = sqlite3.connect(tmp_path / "links.sqlite")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(ConfigurationError, match="link-book-newer"):
        LinkBook(tmp_path / "links.sqlite", lambda _: KEY)
    assert (tmp_path / "links.sqlite").stat().st_mode & 0o077 == 0


def keep(book: LinkBook, rows: list[TokenRow]) -> None:
    with book._database.transaction():
        book._tokens.keep("2026", rows)


def test_tokens_are_kept_once_and_tagged_by_partner_and_exchange(book: LinkBook) -> None:
    rows = [token(number) for number in range(10)]
    keep(book, rows)
    keep(book, [TokenRow("phone", rows[0].digest, bytes(32), "weak")])
    assert book.tokens("2026") == rows
    book.mark_tagged("2026", "BE", "e1", [row.digest for row in (rows[1], rows[2], rows[7])])
    book.mark_tagged("2026", "BE", "e1", [rows[1].digest])
    book.mark_tagged("2026", "BE", "e2", [row.digest for row in rows[3:7]])
    assert book.untagged("2026", "BE") == [rows[0], rows[8], rows[9]]
    assert book.untagged("2026", "FI") == rows
    assert book.tagged("2026", "BE", "e1") == [rows[1], rows[2], rows[7]]
    assert book.tagged("2026", "BE") == rows[1:8]
    assert book.tagged("2026", "BE", "e3") == []
    assert book.forget_epoch("2026") == 10
    assert book.tagged("2026", "BE") == []


def test_tokens_do_not_lie_in_clear_and_cannot_be_swapped(book: LinkBook, tmp_path: Path) -> None:
    rows = [token(1), token(2)]
    keep(book, rows)
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert all(row.token not in stored for row in rows)
    _, other = (row[0] for row in book._db.execute("SELECT token FROM token ORDER BY id"))
    book._db.execute("UPDATE token SET token = ? WHERE id = 1", (other,))
    with pytest.raises(ConfigurationError, match="link-book-altered"):
        book.tokens("2026")


def test_an_identifier_costs_at_most_200_bytes(book: LinkBook, tmp_path: Path) -> None:
    rows = [token(number) for number in range(20_000)]
    keep(book, rows)
    for partner in ("BE", "BG", "FI", "GR", "IT", "PL", "PT"):
        book.mark_tagged("2026", partner, "e1", [row.digest for row in rows])
    book._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    # What a batch keeps for audit comes to some 45 bytes more (measured in docs/links.md).
    assert (tmp_path / "links.sqlite").stat().st_size / len(rows) <= 200 - 45
