"""Keys of an epoch: made once, pinned once, the same everywhere, and destroyed for good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from link_offices import (
    Clock,
    LinkNode,
    ask_all,
    evaluated,
    make_keys,
    next_chunk,
    nodes,
    phones,
    run,
    spread,
)
from safeborders_fed.audit.chain import Operation
from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError, UsageError
from safeborders_fed.links import controls
from safeborders_fed.links.epoch_keys import EpochKeys
from safeborders_fed.links.key_shares import NodeSecrets
from safeborders_fed.study.link_messages import LinkAsk, Said


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def made(tmp_path: Path, clock: Clock) -> dict[str, LinkNode]:
    return nodes(tmp_path, clock=clock)


def shares(made: dict[str, LinkNode]) -> list[Said]:
    return ask_all(made, "reveal", ask_all(made, "commit", epoch="2026"))


def test_the_same_share_after_a_restart(made: dict[str, LinkNode]) -> None:
    before = ask_all(made, "commit", epoch="2026")
    again = {name: node.reopened() for name, node in made.items()}
    assert [each.text for each in ask_all(again, "commit", epoch="2026")] == [each.text for each in before]


def test_all_pin_the_same_set_and_may_then_use_it(made: dict[str, LinkNode]) -> None:
    make_keys(made)
    keys = {node.office.require_key_set("2026").hash for node in made.values()}
    assert len(keys) == 1
    for node in made.values():
        operations = [each.operation for each in node.entries()]
        assert operations.count(Operation.LINK_KEYS) == 2


def test_nothing_is_revealed_before_all_have_committed(made: dict[str, LinkNode]) -> None:
    commitments = ask_all(made, "commit", epoch="2026")
    with pytest.raises(PeerError, match="RO says no 'commitment'"):
        made["BG"].desk.answer(LinkAsk("e1", "reveal", tuple(commitments[:2])))


def test_a_second_set_is_refused(made: dict[str, LinkNode]) -> None:
    make_keys(made)
    bg = made["BG"]
    bg.office.keys.destroy("2026")  # a node that lost its secrets cannot slip new ones in
    with pytest.raises(RefusedError, match="link-epoch"):
        bg.desk.answer(LinkAsk("e2", "commit", (), {"epoch": "2026"}))
    ro = made["RO"]
    others = nodes(ro.office.home, ("BE", "BG", "RO"), clock=Clock())
    with pytest.raises(PeerError):
        ask_all({"RO": ro}, "pin", shares(others))


def test_a_share_that_was_not_committed_to_is_refused_and_its_node_named(made: dict[str, LinkNode]) -> None:
    said = shares(made)
    bg = made["BG"].office
    other = json.loads(said[1].text) | {"nonce": "00" * 32}
    said[1] = bg.said("share", other)
    with pytest.raises(PeerError, match="BG"):
        made["RO"].desk.answer(LinkAsk("e1", "pin", tuple(said)))


def test_an_epoch_is_not_used_while_one_node_has_pinned_other_keys(made: dict[str, LinkNode]) -> None:
    sets = ask_all(made, "pin", shares(made))
    content = json.loads(sets[0].text) | {"keys": "ab" * 32}
    sets[0] = made["BE"].office.said("key-set", content)
    with pytest.raises(PeerError, match="BE says that it pinned other keys"):
        made["RO"].desk.answer(LinkAsk("e1", "pinned", tuple(sets)))
    assert made["RO"].office.key_set("2026") is None
    with pytest.raises(ConfigurationError, match="no-link-keys"):
        made["RO"].office.pair("2026", "BG")


@pytest.mark.parametrize("epoch", ["2025", "2027", "next"])
def test_only_the_epoch_of_today_begins(made: dict[str, LinkNode], epoch: str) -> None:
    with pytest.raises(RefusedError, match="link-epoch"):
        ask_all(made, "commit", epoch=epoch)


def test_without_prosecutors_there_are_no_keys(made: dict[str, LinkNode]) -> None:
    made["BG"].office.approvers = [made["BG"].people[0].enrolled]
    with pytest.raises(ConfigurationError, match="no-prosecutors"):
        ask_all(made, "commit", epoch="2026")


def test_secrets_lie_sealed_and_open_with_the_nodes_keys_only(made: dict[str, LinkNode]) -> None:
    make_keys(made)
    office = made["BG"].office
    path = office.vault.path("epoch-2026")
    assert path.stat().st_mode & 0o077 == 0
    held = office.secrets("2026")
    assert all(scalar not in path.read_bytes() for scalar in held.scalars.values())
    moved = made["RO"].office.vault.path("epoch-2026")
    moved.write_bytes(path.read_bytes())
    fresh = made["RO"].reopened()
    with pytest.raises(ConfigurationError, match="wrong-key"):
        fresh.office.secrets("2026")


def test_a_destroyed_epoch_makes_and_tests_no_token_though_the_service_runs(
    made: dict[str, LinkNode],
) -> None:
    make_keys(made)
    made["RO"].cases.rows = phones(spread(70))
    made["RO"].prepared()
    chunk = next_chunk(made["RO"])
    office = made["BG"].office
    sealed = office.vault.path("epoch-2026")
    inode = sealed.open("rb")
    before = inode.read()
    with pytest.raises(RefusedError, match="epoch-not-over"):
        controls.destroy(office, "2026", who="Ana", reason="over", early=False)
    controls.destroy(office, "2026", who="Ana", reason="the year is over", early=True)
    assert not sealed.exists()
    inode.seek(0)
    assert inode.read() != before, "what lay on the disk was not overwritten"
    inode.close()
    with pytest.raises(RefusedError, match="link-epoch"):
        office.secrets("2026")
    assert json.loads(evaluated(made["BG"], chunk).said.text)["reason"] == "epoch"
    with pytest.raises(RefusedError, match="link-epoch"):
        ask_all({"BG": made["BG"]}, "commit", epoch="2026")
    assert made["BG"].entries()[-2].details["tokens"] == 0
    assert controls.destroy(office, "2026", who="Ana", reason="again", early=True) == 0
    with pytest.raises(UsageError, match="unknown-epoch"):
        controls.destroy(office, "2020", who="Ana", reason="over", early=False)


def test_tokens_of_a_destroyed_epoch_are_gone(made: dict[str, LinkNode], clock: Clock) -> None:
    make_keys(made)
    made["RO"].cases.rows = phones(spread(70))
    made["RO"].prepared()
    run(made, "RO")
    token = made["RO"].office.book.tokens("2026")[0].token
    sealed_token = made["RO"].office.book._db.execute("SELECT token FROM token LIMIT 1").fetchone()[0]
    clock.at = clock.at.replace(year=2027, month=1, day=2)
    assert controls.status(made["RO"].office)["overdue_epochs"] == ["2026"]
    assert controls.destroy(made["RO"].office, "2026", who="Ana", reason="over", early=False) == 70
    assert made["RO"].office.book.tokens("2026") == []
    made["RO"].office.book._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    stored = b"".join(path.read_bytes() for path in made["RO"].office.home.rglob("links*") if path.is_file())
    assert token not in stored
    assert sealed_token not in stored
    assert controls.status(made["RO"].office)["overdue_epochs"] == []


def test_secrets_of_two_epochs_have_nothing_in_common(made: dict[str, LinkNode], clock: Clock) -> None:
    make_keys(made)
    first = made["BG"].office.secrets("2026")
    clock.at = clock.at.replace(year=2027)
    make_keys(made, "2027")
    second = made["BG"].office.secrets("2027")

    def all_of(held: NodeSecrets) -> set[bytes]:
        return {*held.scalars.values(), held.handle_key, held.pair_secret.private_bytes_raw()}

    assert not all_of(first) & all_of(second)
    assert made["BG"].office.keys.token_key("2026") != made["BG"].office.keys.token_key("2027")


def test_what_another_process_destroys_is_gone_for_this_one(made: dict[str, LinkNode], clock: Clock) -> None:
    make_keys(made)
    office = made["BG"].office
    office.secrets("2026")  # in memory from here on
    assert EpochKeys(office.vault, clock).destroy("2026")
    for read in (office.secrets, office.keys.token_key):
        with pytest.raises(RefusedError, match="link-epoch"):
            read("2026")


def test_one_set_is_pinned_for_an_epoch_and_none_for_one_that_is_destroyed(made: dict[str, LinkNode]) -> None:
    make_keys(made)
    ceremonies = made["BG"].office.book.ceremonies
    found = ceremonies.of("2026")
    assert found is not None
    assert found.key_set is not None
    ceremonies.pin("2026", found.key_set)
    with pytest.raises(RefusedError, match="another set"):
        ceremonies.pin("2026", b"another")
    ceremonies.commit("2026", b"later commitments")
    assert ceremonies.of("2026") == found
    ceremonies.destroy("2026")
    with pytest.raises(RefusedError, match="link-epoch"):
        ceremonies.pin("2026", found.key_set)
    with pytest.raises(RefusedError, match="link-epoch"):
        ceremonies.begin("2026", "a new share")


def committed(node: LinkNode, **more: bool) -> Said:
    return node.desk.answer(LinkAsk("e1", "commit", (), {"epoch": "2026", **more})).said


def with_other_keys(node: LinkNode, said: list[Said]) -> list[Said]:
    """What a state says that commits to another key after it has seen those of the others."""
    content = json.loads(said[0].text) | {"commitment": "cd" * 32}
    return [node.office.said("commitment", content), *said[1:]]


def test_a_share_is_revealed_to_one_set_of_commitments_only(made: dict[str, LinkNode]) -> None:
    commitments = ask_all(made, "commit", epoch="2026")
    shown = made["RO"].desk.answer(LinkAsk("e1", "reveal", tuple(commitments)))
    repeated = made["RO"].desk.answer(LinkAsk("e1", "reveal", tuple(reversed(commitments))))
    assert repeated.said == shown.said
    with pytest.raises(RefusedError, match="revealed to other commitments"):
        made["RO"].desk.answer(LinkAsk("e1", "reveal", tuple(with_other_keys(made["BE"], commitments))))


def test_who_has_revealed_makes_other_secrets_when_the_ceremony_begins_again(
    made: dict[str, LinkNode],
) -> None:
    commitments = ask_all(made, "commit", epoch="2026")
    ro = made["RO"]
    ro.desk.answer(LinkAsk("e1", "reveal", tuple(commitments)))
    before = ro.office.secrets("2026")
    assert committed(ro).text == commitments[2].text  # a roll call changes nothing
    anew = committed(ro, anew=True)
    assert anew.text != commitments[2].text
    assert committed(ro, anew=True).text == committed(ro).text == anew.text
    after = ro.office.secrets("2026")
    assert not set(before.scalars.values()) & set(after.scalars.values())
    assert before.handle_key != after.handle_key
    assert committed(made["BG"], anew=True).text == commitments[1].text  # it has revealed nothing
    make_keys(made)
    keys = ro.office.require_key_set("2026")
    assert committed(ro, anew=True).text == anew.text  # what is pinned stays
    assert ro.office.require_key_set("2026") == keys


def test_a_share_that_was_given_up_does_not_come_back_after_a_crash(
    made: dict[str, LinkNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    commitments = ask_all(made, "commit", epoch="2026")
    ro = made["RO"]
    ro.desk.answer(LinkAsk("e1", "reveal", tuple(commitments)))
    before = ro.office.secrets("2026")
    with monkeypatch.context() as patch:
        patch.setattr(EpochKeys, "destroy", lambda *_: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            committed(ro, anew=True)
    again = ro.reopened()
    assert committed(again).text != commitments[2].text
    assert not set(before.scalars.values()) & set(again.office.secrets("2026").scalars.values())


def test_a_roster_that_changes_before_a_set_is_pinned_gets_shares_of_its_own(
    made: dict[str, LinkNode],
) -> None:
    before = shares(made)
    for node in made.values():
        node.office.roster_hash = "ef" * 32
    with pytest.raises(PeerError):
        ask_all(made, "pin", before)
    make_keys(made)
    keys = {node.office.require_key_set("2026").roster for node in made.values()}
    assert keys == {"ef" * 32}
    for node in made.values():  # and one that changes later leaves the year's keys alone
        node.office.roster_hash = "01" * 32
        committed(node, anew=True)
        assert node.office.require_key_set("2026").roster == "ef" * 32
