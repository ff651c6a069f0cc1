"""The book of hits and its letters."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from safeborders_fed.audit.chain import Operation
from safeborders_fed.errors import ConfigurationError, DefectError, RefusedError, UsageError
from safeborders_fed.node.hit_book import FILE, FOUND, NEXT, HitBook, HitRow, hit_id
from safeborders_fed.node.hit_letters import HitLetters, Letter

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


class Log:
    """Takes what the book has for the audit log."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def append_if_new(self, key: str, operation: Operation, **_: Any) -> None:
        assert operation
        if key not in self.keys:
            self.keys.append(key)


def row(number: int = 1, **changes: Any) -> HitRow:
    own, their = f"{number:032x}", f"{number:031x}f"
    facts = {
        "id": hit_id("2026", {"BE": own, "BG": their}),
        "epoch": "2026",
        "partner": "BG",
        "kind": "phone",
        "strength": "exact",
        "digest": bytes(16),
        "own_handle": own,
        "their_handle": their,
        "exchange": "x1",
        "state": FOUND,
        "found_at": NOW,
    }
    return HitRow(**{**facts, **changes})


def fail(book: HitBook, work: Callable[[], object]) -> None:
    """A transaction that fails at its end."""
    with book.transaction():
        work()
        raise ZeroDivisionError


@pytest.fixture
def book(tmp_path: Path) -> HitBook:
    return HitBook(tmp_path / FILE, lambda: NOW)


def test_the_file_is_for_its_owner_only(tmp_path: Path, book: HitBook) -> None:
    assert book.path.stat().st_mode & 0o777 == 0o600
    assert book.path == tmp_path / FILE


def test_a_hit_has_the_same_name_at_both_states() -> None:
    assert hit_id("2026", {"BE": "aa", "BG": "bb"}) == hit_id("2026", {"BG": "bb", "BE": "aa"})
    assert hit_id("2026", {"BE": "aa", "BG": "bb"}) != hit_id("2027", {"BE": "aa", "BG": "bb"})
    assert hit_id("2026", {"BE": "aa", "BG": "bb"}) != hit_id("2026", {"BE": "bb", "BG": "aa"})


def test_what_is_found_is_shown_to_nobody(book: HitBook) -> None:
    book.set_found("x1", [row()])
    assert book.shown() == []
    assert book.known(row().id, "BG") is None
    with pytest.raises(UsageError, match="unknown-hit"):
        book.find(row().id)


def test_what_was_found_in_another_exchange_goes(book: HitBook) -> None:
    book.set_found("x1", [row(1), row(2)])
    book.step(row(1).id, "open", opened_at=NOW)
    book.set_found("x2", [row(3, exchange="x2")])
    assert sorted(each.own_handle[-1] for each in book.in_states(NEXT.keys())) == ["1", "3"]


@pytest.mark.parametrize("state", sorted(NEXT))
def test_a_hit_goes_through_its_states_in_their_order_only(book: HitBook, state: str) -> None:
    book.set_found("x1", [row(state=state)])
    for to in sorted(NEXT.keys() - NEXT[state]):
        with pytest.raises(RefusedError, match="hit-state"):
            book.step(row().id, to)
    for to in NEXT[state]:
        book.change(row().id, state=state)
        assert book.step(row().id, to).state == to


def test_a_book_holds_what_was_committed_when_it_is_opened_again(tmp_path: Path, book: HitBook) -> None:
    book.set_found("x1", [row()])
    opened = book.step(row().id, "open", opened_at=NOW, cases=("aa", "bb"), alarm=True)
    with pytest.raises(ZeroDivisionError):
        fail(book, lambda: book.step(row().id, "declined"))
    book.close()
    assert HitBook(tmp_path / FILE).hit(row().id) == opened
    assert (opened.cases, opened.alarm, opened.opened_at) == (("aa", "bb"), True, NOW)


def test_what_is_to_be_logged_is_committed_with_what_it_is_about(tmp_path: Path, book: HitBook) -> None:
    with pytest.raises(ZeroDivisionError):
        fail(book, lambda: book.note("k0", Operation.LINK_HIT, who="BE", why="x", details={}))
    with book.transaction():
        book.note("k1", Operation.LINK_HIT, who="BE", why="x", details={})
        book.note("k1", Operation.LINK_HIT, who="BE", why="x", details={})
    book.close()
    log, again = Log(), HitBook(tmp_path / FILE)
    assert (again.settle(log), again.settle(log)) == (1, 0)
    assert log.keys == ["k1"]


def test_a_hit_is_found_by_enough_of_its_digits(book: HitBook) -> None:
    book.set_found("x1", [row()])
    book.step(row().id, "open")
    assert book.find(row().id[:8].upper()).id == row().id
    for wrong in (row().id[:7], "", "%" * 8, "zzzzzzzz", "_" * 64):
        with pytest.raises(UsageError, match="unknown-hit"):
            book.find(wrong)


def test_only_columns_are_changed(book: HitBook) -> None:
    with pytest.raises(DefectError, match="unknown-column"):
        book.change(row().id, nothing=1)


def test_a_book_of_later_software_is_refused(book: HitBook) -> None:
    book.db.execute("PRAGMA user_version = 99")
    book.close()
    with pytest.raises(ConfigurationError, match="link-book-newer"):
        HitBook(book.path)


def test_messages_of_tags_are_counted_by_partner_and_epoch(book: HitBook) -> None:
    assert book.keep_tagging("x1", "BG", "2026", fresh=3, dummies=45).number == 1
    assert book.keep_tagging("x1", "BG", "2026", fresh=9, dummies=9).fresh == 3
    assert book.keep_tagging("x2", "BG", "2026", fresh=0, dummies=48).number == 2
    assert book.keep_tagging("x1", "RO", "2026", fresh=3, dummies=45).number == 1
    assert [each.exchange for each in book.taggings("2026", "BG")] == ["x1", "x2"]
    book.keep_canaries("x1", "BG", ["a", "b", "a"])
    assert (book.canaries("x1", "BG"), book.canaries("x1", "RO")) == (2, 0)


def test_a_letter_waits_until_it_has_arrived(book: HitBook) -> None:
    book.set_found("x1", [row()])
    box = HitLetters(book)
    first = box.put_out("2026", "BG", row().id, "approval", b"{}")
    second = box.put_out("2026", "BG", row().id, "outcome", b"{}")
    assert [letter.id for letter in box.waiting("2026", "BG")] == [first, second]
    box.have_arrived("RO", [first])  # another partner's word
    assert len(box.waiting("2026", "BG")) == 2
    box.have_arrived("BG", [first, "unknown"])
    assert [letter.id for letter in box.waiting("2026", "BG")] == [second]
    assert box.epochs("BG") == ["2026"]
    assert box.waiting("2027", "BG") == box.waiting("2026", "RO") == []


def test_a_letter_that_comes_again_counts_once_and_is_acknowledged_again(book: HitBook) -> None:
    book.set_found("x1", [row()])
    box, letter = HitLetters(book), Letter("ab" * 16, "2026", row().id, "label", b'{"label":{}}')
    assert box.take_in("BG", letter)
    assert box.owed("BG") == [letter.id]
    box.have_said("BG", [letter.id])
    assert box.owed("BG") == []
    assert not box.take_in("BG", letter)
    assert box.owed("BG") == [letter.id]
    assert box.received("label") == [("BG", letter)]
    assert box.received("record") == []


def test_a_bundle_is_found_again_in_its_exchange_only(book: HitBook) -> None:
    box = HitLetters(book)
    box.keep_bundle("BG", "x1", "facts", b"said")
    assert box.bundle("BG", "x1", "facts") == b"said"
    assert box.bundle("BG", "x1", "others") is None
    assert box.bundle("BG", "x2", "facts") is None
    assert box.bundle("RO", "x1", "facts") is None
