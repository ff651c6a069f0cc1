"""The ledger charges everything that can leave, once, and notices edits."""

import multiprocessing
import os
import random
import signal
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safeborders_fed.errors import ConfigurationError, RefusedError
from safeborders_fed.node.caps import Caps
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.study.handshake import Head

CAPS = Caps(study=1.0, year=2.0, lifetime=3.0)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite", CAPS)


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 5, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def test_a_contribution_is_stored_charged_and_read_back(ledger: Ledger) -> None:
    ledger.reserve("s", "m", 0.5)
    assert ledger.spend(("s", 0, 0), "r", b"bytes", 0.1) == b"bytes"
    assert ledger.stored(("s", 0, 0), "r") == b"bytes"
    totals = ledger.totals()
    assert totals.spent == pytest.approx(0.1)
    assert totals.reserved == pytest.approx(0.4)
    assert ledger.verify() == 2


def test_the_same_attempt_with_other_inputs_is_refused(ledger: Ledger) -> None:
    ledger.reserve("s", "m", 0.5)
    ledger.spend(("s", 0, 0), "r", b"bytes", 0.1)
    for key, request in ((("s", 0, 0), "other"), (("s", 1, 0), "r")):
        with pytest.raises(RefusedError, match="older than one answered"):
            ledger.stored(key, request)
        with pytest.raises(RefusedError, match="older than one answered"):
            ledger.spend(key, request, b"x", 0.1)
    assert ledger.totals().spent == pytest.approx(0.1)


def test_an_earlier_attempt_or_round_is_refused_once_a_later_one_was_seen(ledger: Ledger) -> None:
    ledger.reserve("s", "m", 0.5)
    ledger.spend(("s", 3, 5), "r", b"bytes", 0.1)
    for key in (("s", 3, 4), ("s", 2, 6), ("s", 4, 2)):
        with pytest.raises(RefusedError):
            ledger.stored(key, "new")
    assert ledger.stored(("s", 3, 6), "new") is None
    assert ledger.stored(("s", 4, 6), "new") is None


@pytest.mark.parametrize(("cap", "rho"), [("study", 1.01), ("year", 0.9), ("lifetime", 0.9)])
def test_caps_hold(tmp_path: Path, cap: str, rho: float) -> None:
    clock = Clock()
    ledger = Ledger(tmp_path / "l.sqlite", CAPS, clock)
    if cap != "study":
        for number in range({"year": 2, "lifetime": 3}[cap]):
            if cap == "lifetime":
                clock.now = clock.now.replace(year=2026 + number)
            ledger.reserve(f"s{number}", "m", 0.95)
            ledger.spend((f"s{number}", 0, 0), "r", b"", 0.95)
            ledger.end(f"s{number}")
        clock.now = clock.now.replace(year=2026 if cap == "year" else 2030)
    with pytest.raises(RefusedError, match=f"cap per {cap}"):
        ledger.reserve("last", "m", rho)


def test_a_clock_set_back_does_not_restore_the_lifetime_cap(tmp_path: Path) -> None:
    clock = Clock()
    ledger = Ledger(tmp_path / "l.sqlite", Caps(1.0, 1.0, 1.0), clock)
    ledger.reserve("a", "m", 0.9)
    ledger.spend(("a", 0, 0), "r", b"", 0.9)
    ledger.end("a")
    clock.now = datetime(1999, 1, 1, tzinfo=UTC)
    with pytest.raises(RefusedError, match="lifetime"):
        ledger.reserve("b", "m", 0.2)


def test_open_reservations_count_until_the_end_of_the_study(ledger: Ledger) -> None:
    ledger.reserve("a", "m", 1.0)
    ledger.reserve("b", "m", 1.0)
    with pytest.raises(RefusedError, match="budget"):
        ledger.reserve("c", "m", 0.5)
    ledger.spend(("b", 0, 0), "r", b"", 0.25)
    ledger.end("b")
    ledger.end("b")
    ledger.reserve("c", "m", 0.5)
    assert ledger.totals(study="b").reserved == 0.0


def test_a_study_spends_no_more_than_it_reserved(ledger: Ledger) -> None:
    ledger.reserve("s", "m", 0.25)
    ledger.spend(("s", 0, 0), "r", b"", 0.2)
    with pytest.raises(RefusedError, match="reserved"):
        ledger.spend(("s", 0, 1), "r2", b"", 0.2)
    assert ledger.totals().spent == pytest.approx(0.2)


def test_an_ended_study_and_one_that_reserved_nothing_are_refused(ledger: Ledger) -> None:
    with pytest.raises(RefusedError, match="reserved nothing"):
        ledger.spend(("s", 0, 0), "r", b"", 0.1)
    ledger.reserve("s", "m", 0.5)
    ledger.end("s")
    with pytest.raises(RefusedError, match="ended"):
        ledger.spend(("s", 0, 0), "r", b"", 0.1)
    with pytest.raises(RefusedError, match="ended"):
        ledger.reserve("s", "m", 0.5)


def test_reserving_again_is_free_for_the_same_manifest_and_refused_for_another(ledger: Ledger) -> None:
    ledger.reserve("s", "m", 0.5)
    ledger.reserve("s", "m", 0.5)
    assert ledger.totals().reserved == pytest.approx(0.5)
    with pytest.raises(RefusedError, match="another manifest"):
        ledger.reserve("s", "n", 0.5)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.integers(0, 6), st.sampled_from("xy")))
)
def test_any_order_of_requests_keeps_the_totals_right(
    tmp_path_factory: pytest.TempPathFactory, requests: list[tuple[str, int, int, str]]
) -> None:
    ledger = Ledger(tmp_path_factory.mktemp("l") / "l.sqlite", Caps(10, 30, 30))
    sent: dict[tuple[str, int], bytes] = {}
    for study in "abc":
        ledger.reserve(study, "m", 0.35)
    for study, round_number, attempt, request in requests:
        key = (study, round_number, attempt)
        try:
            data = ledger.stored(key, request) or ledger.spend(key, request, repr(key).encode(), 0.1)
        except RefusedError:
            continue
        assert sent.setdefault((study, attempt), data) == data
    assert ledger.totals().spent == pytest.approx(0.1 * len(sent))
    ledger.verify()


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE contribution SET rho = rho / 2",
        "DELETE FROM contribution WHERE attempt = 1",
        "DELETE FROM entry WHERE number = 1",
        "UPDATE entry SET content = CAST(replace(content, '0.1', '0.0') AS BLOB) WHERE number = 1",
        "UPDATE contribution SET payload = x'00' WHERE attempt = 0",
        "UPDATE entry SET number = number + 10 WHERE number > 0",
        "UPDATE study SET rho_reserved = 1e6",
        "UPDATE study SET ended = '2020-01-01'",
        "UPDATE study SET manifest_hash = 'other'",
    ],
)
def test_an_edit_is_found(tmp_path: Path, edit: str) -> None:
    path = tmp_path / "l.sqlite"
    ledger = Ledger(path, CAPS)
    ledger.reserve("s", "m", 0.5)
    for attempt in range(3):
        ledger.spend(("s", attempt, attempt), "r", b"bytes", 0.1)
    assert ledger.verify() == 4
    ledger.close()
    with sqlite3.connect(path) as database:
        database.execute(edit)
    with pytest.raises(ConfigurationError, match="was altered"):
        Ledger(path, CAPS).verify()


@pytest.mark.parametrize("content", [b"", b"not a database, but long enough to be read as one" * 100])
def test_a_file_that_is_no_ledger_is_refused_or_fresh(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "l.sqlite"
    path.write_bytes(content)
    if content:
        with pytest.raises(ConfigurationError, match="cannot be read"):
            Ledger(path, CAPS)
    else:
        assert Ledger(path, CAPS).totals().spent == 0


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    Ledger(tmp_path / "l.sqlite", CAPS)
    assert (tmp_path / "l.sqlite").stat().st_mode & 0o077 == 0


def _spend_for_ever(path: Path, sent: Path) -> None:
    ledger = Ledger(path, Caps(1e9, 1e9, 1e9))
    ledger.reserve("s", "m", 1e6)
    with sent.open("ab", buffering=0) as out:
        for number in range(100_000):
            key = ("s", number, number)
            data = ledger.stored(key, "r")
            if data is None:
                try:
                    data = ledger.spend(key, "r", f"payload {number}".encode(), 0.5)
                except RefusedError:
                    continue
            out.write(data + b"\n")


@pytest.mark.parametrize("seed", range(12))
def test_a_killed_process_has_charged_all_that_it_sent(tmp_path: Path, seed: int) -> None:
    path, sent = tmp_path / "l.sqlite", tmp_path / "sent"
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_spend_for_ever, args=(path, sent))
    process.start()
    while not sent.exists() and process.is_alive():
        time.sleep(0.01)
    time.sleep(random.Random(seed).random() * 0.1)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    ledger = Ledger(path, CAPS)
    entries = ledger.verify()
    lines = set(sent.read_bytes().splitlines())
    for line in lines:
        if line == line.strip() and line.startswith(b"payload "):
            number = int(line.split()[1])
            stored = ledger.stored(("s", number, number), "r")
            assert stored == line or len(line) < len(stored or b"")  # the last line may be cut off
    assert ledger.totals().spent == pytest.approx(0.5 * (entries - 1))


def test_a_full_disk_between_reserve_and_spend_charges_nothing_and_says_so(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite", CAPS)
    ledger.reserve("s", "m", 0.5)
    pages = ledger._db.execute("PRAGMA page_count").fetchone()[0]
    ledger._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        ledger.spend(("s", 0, 0), "r", bytes(100_000), 0.1)
    assert ledger.totals().spent == 0
    assert ledger.stored(("s", 0, 0), "r") is None
    ledger._db.execute("PRAGMA max_page_count = 100000")
    ledger.spend(("s", 0, 1), "r", bytes(100_000), 0.1)
    assert ledger.totals().spent == pytest.approx(0.1)
    ledger.verify()


def test_an_edit_of_a_settled_dispute_does_not_forge_a_head(ledger: Ledger) -> None:
    ledger.reserve("s", "m", 0.5)
    true = ledger.head()
    assert ledger.witnesses.holds(true)
    assert not ledger.witnesses.holds(true.model_copy(update={"value": "f" * 64}))
    assert not ledger.witnesses.holds(true.model_copy(update={"entries": 7}))


def test_two_disputes_over_one_number_can_both_be_settled_for_a_loss(ledger: Ledger) -> None:
    """As after a restore that lost one entry: first its own mark is settled, then what a witness knows."""
    ledger.reserve("study-1", "a" * 64, 0.1)
    ledger.mark_restored("b" * 64)
    ledger.settle(["Anna", "Boris"], 0.001)
    (number,) = {row[0] for row in ledger._db.execute("SELECT entries FROM dispute")}
    ledger.witnesses.dispute("FI", Head(entries=number, value="c" * 64))
    ledger.settle(["Anna", "Boris"], 0.002)
    assert ledger.totals().spent == pytest.approx(0.003)
    ledger.verify()


def test_every_head_of_another_node_is_kept(ledger: Ledger) -> None:
    heads = [Head(entries=entries, value=value * 64) for entries, value in ((3, "a"), (5, "b"), (4, "c"))]
    for head in [*heads, heads[0]]:
        ledger.witnesses.witness({"FI": head})
    assert set(ledger.witnesses.witnessed("FI")) == set(heads)
    assert ledger.witnesses.witnessed("PL") == ()


def test_the_snapshot_of_a_study_is_that_of_its_first_approval(ledger: Ledger) -> None:
    assert ledger.reserve("s", "m", 0.5, "snapshot-1") == "snapshot-1"
    assert ledger.reserve("s", "m", 0.5, "snapshot-2") == "snapshot-1"


def test_a_second_release_of_an_attempt_has_another_key_in_the_outbox(tmp_path: Path) -> None:
    """After an old copy was put back the same attempt may be charged again: the audit log must take both."""
    keys = []
    for name, payload in (("a", b"first noise"), ("b", b"second noise")):
        ledger = Ledger(tmp_path / name, CAPS)
        ledger.reserve("s", "m", 0.5)
        ledger.spend(("s", 0, 0), "r", payload, 0.1)
        keys += [key for key, _ in ledger.outbox()]
    assert len(set(keys)) == 2


def test_a_ledger_of_later_software_is_not_opened(tmp_path: Path) -> None:
    """It may hold charges in a table that this software does not count."""
    path = tmp_path / "l.sqlite"
    Ledger(path, CAPS).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigurationError, match="later software") as found:
        Ledger(path, CAPS)
    assert found.value.code == "ledger-newer"
