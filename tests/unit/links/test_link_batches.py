"""What goes into a batch, what stays out, what its prosecutors bind, and what is noticed."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import cast

import pytest

from link_offices import Clock, LinkNode, make_keys, next_chunk, nodes, phone, phones, run, spread
from safeborders_fed.audit.chain import Operation
from safeborders_fed.errors import ConfigurationError, RefusedError, UsageError
from safeborders_fed.links import alarms, batches, stop_list
from safeborders_fed.links.batches import Prepared
from safeborders_fed.study.link_messages import to_rows


@pytest.fixture
def made(tmp_path: Path) -> dict[str, LinkNode]:
    made = nodes(tmp_path, ("BG", "RO"), clock=Clock(), monthly=20_000, first_load=0)
    make_keys(made)
    return made


@pytest.fixture
def ro(made: dict[str, LinkNode]) -> LinkNode:
    return made["RO"]


def prepare(node: LinkNode) -> Prepared:
    return batches.prepare(
        node.office, purpose="investigation", legal_basis="order 7/2026", days=30, who="Ana"
    )


def test_an_identifier_in_many_cases_is_one_and_all_its_cases_are_bound(ro: LinkNode) -> None:
    number = phone(12_345_678)
    ro.cases.rows = [
        ("v1", "c1", "phone", "Exploiter", number),
        ("v2", "c2", "phone", "Recruiter", number.replace(" ", "-")),
        ("v1", "c1", "phone", "Facilitator", number),
    ]
    done = prepare(ro)
    assert done.identifiers == {"phone": 1}
    assert done.statement.counts == {"phone": 64}
    found = batches.audit(ro.office, done.statement.hash(), "auditor")
    assert found.holds
    assert sorted(leaf.case for leaf in found.leaves) == ["c1", "c2"]
    assert ro.entries()[-1].operation == Operation.VIEW


def test_what_is_in_a_batch_or_has_a_token_is_not_new(made: dict[str, LinkNode], ro: LinkNode) -> None:
    ro.cases.rows = phones(spread(5))
    prepare(ro)
    with pytest.raises(RefusedError, match="nothing-new"):
        prepare(ro)
    (own,) = ro.office.book.batches.all()
    ro.sign(own.id)
    assert run(made, "RO") == 1
    with pytest.raises(RefusedError, match="nothing-new"):
        prepare(ro)
    ro.cases.rows += phones(spread(2, start=90))
    assert prepare(ro).identifiers == {"phone": 2}


def test_what_waits_in_a_batch_that_has_expired_is_new(ro: LinkNode) -> None:
    ro.cases.rows = phones(spread(5))
    prepare(ro)
    cast("Clock", ro.office.clock).forward(days=30)
    assert prepare(ro).identifiers == {"phone": 5}


def test_victims_identifiers_stay_out_also_where_they_are_somebody_elses(ro: LinkNode) -> None:
    ro.cases.rows = phones(spread(3)) + phones(spread(1), owner="Victim") + phones(spread(1, 70), "Victim")
    done = prepare(ro)
    assert done.identifiers == {"phone": 2}
    assert done.left_out == {"a victim's": 2}


def test_victims_identifiers_go_in_with_a_legal_basis_for_it(tmp_path: Path) -> None:
    ro = nodes(tmp_path, ("RO",), owners=["Victim"])["RO"]
    ro.cases.rows = phones(spread(1), owner="Victim")
    assert prepare(ro).identifiers == {"phone": 1}


def test_other_types_and_owners_stay_out(ro: LinkNode) -> None:
    ro.office.policy = ro.office.policy.model_copy(update={"owners": frozenset({"Recruiter"})})
    ro.cases.rows = [
        ("v", "c", "phone", "Recruiter", phone(11_111_111)),
        ("v", "c", "phone", "Exploiter", phone(22_222_222)),
        ("v", "c", "handle", "Recruiter", "telegram:somebody"),
    ]
    done = prepare(ro)
    assert done.identifiers == {"phone": 1}
    assert sum(done.left_out.values()) == 2


def test_what_is_on_the_stop_list_stays_out(ro: LinkNode) -> None:
    hotline = phone(80_045_678)
    entries = stop_list.entries_of("phone", hotline, "hotline", state="RO")
    assert stop_list.add(ro.office, entries, who="Ana", why="a hotline") == len(entries)
    assert stop_list.add(ro.office, entries, who="Ana", why="a hotline") == 0
    ro.cases.rows = [("v", "c", "phone", "Unknown", hotline), *phones(spread(2))]
    assert prepare(ro).identifiers == {"phone": 2}
    stored = b"".join(path.read_bytes() for path in (ro.office.home / "links").iterdir())
    assert entries[0].form.encode() not in stored


def test_a_list_that_does_not_open_prepares_no_batch(ro: LinkNode) -> None:
    ro.cases.rows = phones(spread(2))
    entries = stop_list.entries_of("phone", phone(80_045_678), "hotline", state="RO")
    stop_list.add(ro.office, entries, who="Ana", why="a hotline")
    path = ro.office.vault.path(stop_list.NAME)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(ConfigurationError, match="wrong-key"):
        prepare(ro)


def test_ten_thousand_sequential_numbers_are_noticed_where_they_are_prepared_and_where_they_are_asked(
    tmp_path: Path,
) -> None:
    made = nodes(tmp_path, ("BG", "RO"), clock=Clock(), monthly=20_000, first_load=0)
    make_keys(made)
    ro, bg = made["RO"], made["BG"]
    ro.cases.rows = phones(range(20_000_000, 20_010_000))
    done = prepare(ro)
    assert "10,000 of 10,000 identifiers of type phone" in done.alarms[0]
    assert ro.office.book.alarms()[0][1] == alarms.RUN
    ro.sign(done.statement.hash())
    assert run(made, "RO") > 0
    (alarm,) = bg.office.book.alarms()
    assert alarm[1] == alarms.VOLUME
    (entry,) = [each for each in bg.entries() if each.operation == Operation.LINK_ALARM]
    assert entry.details["requester"] == "RO"


def test_numbers_of_case_files_are_no_run() -> None:
    assert alarms.runs(phone(number) for number in spread(5000)) == (0, 0)
    assert alarms.runs([]) == (0, 0)
    assert alarms.runs(["person|1980", "12"]) == (0, 0)
    assert alarms.runs(f"+40700000{at:03}" for at in range(0, 60, 2)) == (30, 30)
    assert alarms.runs(f"+40700000{at:03}" for at in range(19)) == (0, 0)


def test_points_do_not_tell_padding_from_identifiers_and_differ_each_time(ro: LinkNode) -> None:
    ro.cases.rows = phones(spread(5))
    first = prepare(ro)
    ro.sign(first.statement.hash())
    points = to_rows(next_chunk(ro).arrays["points"])
    assert len(set(points)) == 64
    ro.office.book.batches.end(first.statement.hash(), "stopped")
    second = prepare(ro)
    ro.sign(second.statement.hash())
    assert not set(points) & set(to_rows(next_chunk(ro).arrays["points"]))
    assert first.statement.root != second.statement.root


def test_an_altered_batch_does_not_hold(ro: LinkNode) -> None:
    ro.cases.rows = phones(spread(3))
    batch = prepare(ro).statement.hash()
    forged = zlib.compress(b'["' + b"ab" * 32 + b'",[["phone:1","c"]]]')
    other = batches._sealed(ro.office, forged, "leaves")
    ro.office.book._db.execute("UPDATE batch SET leaves = ?", (other,))
    assert not batches.audit(ro.office, batch, "auditor").holds


def test_nothing_of_an_identifier_lies_in_clear(made: dict[str, LinkNode], ro: LinkNode) -> None:
    ro.cases.rows = [("v", "case-pseudonym-7", "phone", "Exploiter", phone(12_345_678))]
    ro.sign(prepare(ro).statement.hash())
    next_chunk(ro)

    def lies() -> bytes:
        return b"".join(path.read_bytes() for path in ro.office.home.rglob("*") if path.is_file())

    for secret in (b"12345678", b"case-pseudonym-7"):
        assert secret not in lies()
    run(made, "RO")
    (row,) = ro.office.book.tokens("2026")
    held = ro.office.secrets("2026")
    for hidden in (row.token, held.secret("phone"), held.pair_secret.private_bytes_raw(), held.handle_key):
        assert hidden not in lies()
        assert hidden.hex().encode() not in lies()


def test_a_purpose_or_legal_basis_that_is_none_is_refused(ro: LinkNode) -> None:
    ro.cases.rows = phones(spread(3))
    with pytest.raises(RefusedError, match="link-policy"):
        batches.prepare(ro.office, purpose="curiosity", legal_basis="x", days=30, who="Ana")
    for basis, days in (("", 30), ("a\nb", 30), ("x", 0), ("x", 93)):
        with pytest.raises(UsageError, match="bad-batch"):
            batches.prepare(ro.office, purpose="investigation", legal_basis=basis, days=days, who="Ana")
