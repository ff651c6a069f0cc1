"""An anchor says nothing of its log, and shows when the log has lost what the anchor stands for."""

import json
from datetime import date
from pathlib import Path

import pytest

from audit_samples import KEY, NEXT_KEY, PUBLIC, events, open_log, write
from safeborders_fed.audit import anchors, verification
from safeborders_fed.audit.anchors import Anchor, lay, lines_of, missing, require, verify_all
from safeborders_fed.audit.chain import Operation
from safeborders_fed.errors import ConfigurationError, DataError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.study import canonical
from safeborders_fed.study.anchors import MOST, AnchorFile, KeptAnchor, keep, kept
from safeborders_fed.study.handshake import Head as LedgerHead
from safeborders_fed.study.handshake import Joined

DAY = date(2026, 5, 1)


def joined(anchor: str, *, study: str = "study-1", key: object = KEY, node: str = "PL") -> Joined:
    head = LedgerHead(entries=0, value="0" * 64).signed(key, node)  # type: ignore[arg-type] - a key
    unsigned = Joined(study=study, node=node, key=None, head=head, nonce="0" * 32, anchor=anchor)
    return unsigned.signed(key)  # type: ignore[arg-type] - a key


def laid(path: Path, study: str = "study-1", key: object = KEY) -> Anchor:
    with open_log(path, key) as log:  # type: ignore[arg-type] - a key
        return Anchor(lay(log, study).hash, study, "2026-05-01", "RO")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def test_two_anchors_of_the_same_study_have_nothing_in_common(path: Path) -> None:
    first, second = laid(path), laid(path)
    salts = {json.loads(line)["details"]["salt"] for line in lines_of(path, Operation.ANCHOR)}
    assert len(salts) == 2
    assert all(len(bytes.fromhex(salt)) == 16 for salt in salts)
    assert first.hash != second.hash


def test_anchors_are_found_among_other_entries_and_their_words(path: Path) -> None:
    write(path, 3)
    found = [laid(path)]
    with open_log(path) as log:
        log.append(Operation.VIEW, who="x", why='"operation":"anchor"', details={"operation": "anchor"})
    write(path, 2, 1)
    found.append(laid(path, "study-2"))
    assert missing(path, found) == []
    with path.open("ab") as file:
        file.write(b'{"operation":"anchor"')  # what a crash cut off
    assert missing(path, found) == []
    strange = Anchor("f" * 64, "study-3", "2026-05-02", "FI")
    assert missing(path, [*found, strange]) == [strange]


def test_a_cut_tail_a_deleted_log_and_another_log_are_found(path: Path) -> None:
    write(path, 4)
    before = path.read_bytes()
    anchor = laid(path)
    write(path, 2)
    require(path, [anchor])
    path.write_bytes(before)
    with pytest.raises(ConfigurationError, match="study study-1, 2026-05-01, kept by RO") as caught:
        require(path, [anchor])
    assert caught.value.code == "audit-log-cut"
    write(path, 9)  # grown again since, under the right key
    assert missing(path, [anchor]) == [anchor]
    path.write_bytes(b"")
    assert missing(path, [anchor]) == [anchor]
    path.unlink()
    assert missing(path, [anchor]) == [anchor]


def test_the_same_work_done_again_is_not_the_same_log(path: Path) -> None:
    """Who has the key can write the log anew, entry by entry: the salt is not theirs to choose afterwards."""
    write(path, 3)
    anchor = laid(path)
    path.unlink()
    write(path, 3)
    laid(path)
    assert missing(path, [anchor]) == [anchor]


def test_many_missing_anchors_are_named_as_far_as_one_can_read_them(path: Path) -> None:
    write(path, 1)
    lost = [Anchor(f"{number:064}", f"study-{number}", "2026-05-01", "RO") for number in range(9)]
    with pytest.raises(ConfigurationError, match=r"lacks 9 .*study-4, .*; and 4 more"):
        require(path, lost)


def test_a_restored_log_says_so_where_its_lost_anchors_are_named(path: Path) -> None:
    write(path, 2)
    before = path.read_bytes()
    anchor = laid(path)
    path.write_bytes(before)
    with open_log(path) as log:
        log.append(Operation.RESTORE, who="user ana", why="restored from a backup")
    with pytest.raises(ConfigurationError, match="entry 3 says that user ana restored it on 2026-05-01"):
        require(path, [anchor])


def _ended(path: Path, name: str = "audit.until-00000000.jsonl") -> Path:
    """The log of a lost key is moved aside, and the next one begins with its name and hash."""
    aside = path.with_name(name)
    digest = canonical.sha256(path.read_bytes())
    path.rename(aside)
    with open_log(path, NEXT_KEY) as log:
        log.append_many(events(1))
        details = {"file": aside.name, "sha256": digest}
        log.append(Operation.KEY_CHANGE, who="node", why="the signing key was lost", details=details)
    return aside


def test_an_anchor_in_the_file_of_a_lost_key_is_found_there(path: Path) -> None:
    anchor = laid(path)
    aside = _ended(path)
    later = laid(path, "study-2", NEXT_KEY)
    assert missing(path, [anchor, later]) == []
    keys = [*PUBLIC, public_hex(NEXT_KEY)]
    assert verify_all(path, keys).entries == 3
    assert verify_all(path, keys[1:]).entries == 3
    aside.write_bytes(aside.read_bytes()[:-1])
    with pytest.raises(ConfigurationError, match="which it follows on, is gone or was altered"):
        verify_all(path, keys)
    aside.unlink()
    assert missing(path, [anchor, later]) == [anchor]
    with pytest.raises(ConfigurationError, match="is gone"):
        verify_all(path, keys)


def test_who_has_the_later_key_cannot_begin_the_log_anew(path: Path) -> None:
    write(path, 2)
    with open_log(path) as log:
        log.change_key(NEXT_KEY, who="node", why="renewed")
    keys = [*PUBLIC, public_hex(NEXT_KEY)]
    assert verify_all(path, keys).entries == 3
    path.unlink()
    with open_log(path, NEXT_KEY) as log:
        log.append_many(events(3))
    with pytest.raises(ConfigurationError, match="begins with a later key"):
        verify_all(path, keys)


def test_a_file_elsewhere_is_not_followed(path: Path) -> None:
    anchor = laid(path)
    _ended(path, "other.jsonl")
    assert missing(path, [anchor]) == [anchor]


def test_a_log_is_verified_over_a_renewed_key_with_what_others_keep(path: Path) -> None:
    first = laid(path)
    with open_log(path) as log:
        log.change_key(NEXT_KEY, who="node", why="renewed")
    second = laid(path, "study-2", NEXT_KEY)
    keys = [*PUBLIC, public_hex(NEXT_KEY)]
    kept_there = AnchorFile(
        anchors=(
            KeptAnchor(kept_by="RO", kept_on=DAY, joined=joined(first.hash)),
            KeptAnchor(kept_by="coordinator", kept_on=DAY, joined=joined(second.hash, key=NEXT_KEY)),
        )
    )
    found = verification.sort([AnchorFile.from_bytes(kept_there.to_bytes())], keys)
    assert [anchor.keeper for anchor in found.own] == ["RO", "the coordinator"]
    assert verification.check(path, keys, found.own).entries == 3
    invented = Anchor("f" * 64, "study-3", "2026-05-02", "FI")
    with pytest.raises(ConfigurationError, match="kept by FI"):
        verification.check(path, keys, [*found.own, invented])


def test_nobody_accuses_a_node_with_an_anchor_that_it_did_not_sign(path: Path) -> None:
    laid(path)
    forged = joined("f" * 64).model_copy(update={"anchor": "e" * 64})
    foreign = joined("d" * 64, key=NEXT_KEY, node="RO")
    given = AnchorFile(
        anchors=tuple(KeptAnchor(kept_by="FI", kept_on=DAY, joined=one) for one in (forged, foreign))
    )
    assert verification.sort([given], PUBLIC) == ((), 2)


def test_an_altered_log_is_told_with_its_place_before_any_anchor(path: Path) -> None:
    write(path, 3)
    anchor = laid(path)
    path.write_bytes(path.read_bytes().replace(b'"salt":"', b'"salt":"0', 1))
    with pytest.raises(ConfigurationError) as caught:
        verification.check(path, PUBLIC, [anchor])
    assert caught.value.code == "audit-log-altered"
    assert "entry 4" in caught.value.cause
    path.unlink()
    with pytest.raises(ConfigurationError) as caught:
        verification.check(path, PUBLIC, [anchor])
    assert caught.value.code == "audit-log-cut"


def test_each_anchor_is_kept_once_and_a_node_fills_no_disk(tmp_path: Path) -> None:
    documents = [joined(canonical.sha256(bytes([number]))) for number in range(MOST + 9)]
    for one in documents[:3]:
        keep(tmp_path, [one, one], by="RO", today=DAY)
    assert [found.joined for found in kept(tmp_path)] == sorted(documents[:3], key=lambda one: one.anchor)
    keep(tmp_path, [documents[0]], by="RO", today=date(2026, 6, 1))
    assert {found.kept_on for found in kept(tmp_path, "PL")} == {DAY}, "the first day stands"
    keep(tmp_path, documents, by="RO", today=DAY)
    assert {found.joined.anchor for found in kept(tmp_path)} == {one.anchor for one in documents[:MOST]}
    keep(tmp_path, [joined("1" * 64, node="FI", key=NEXT_KEY)], by="RO", today=DAY)
    assert len(kept(tmp_path, "FI")) == 1, "others are kept all the same"


def test_a_damaged_anchor_is_passed_over(tmp_path: Path) -> None:
    keep(tmp_path, [joined("1" * 64), joined("2" * 64)], by="RO", today=DAY)
    (tmp_path / "anchors" / f"PL-{'1' * 16}.json").write_bytes(b"{}")
    assert [found.joined.anchor for found in kept(tmp_path)] == ["2" * 64]


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"anchors":[],"schema_version":2}', b"\xff"])
def test_a_file_that_holds_no_anchors_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="bad-anchors"):
        AnchorFile.from_bytes(data)


def test_lines_are_found_without_reading_those_between(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, 500)
    anchor = laid(path)
    hashed: list[bytes] = []
    monkeypatch.setattr(anchors.canonical, "sha256", lambda line: hashed.append(line) or anchor.hash)
    assert missing(path, [anchor]) == []
    assert len(hashed) == 1


@pytest.mark.parametrize("block", [1, 7, 100, 1 << 22])
def test_lines_are_found_wherever_a_block_ends(
    path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(anchors, "_BLOCK", block)
    found = [laid(path), laid(path)]
    write(path, 3)
    found.append(laid(path))
    assert len(list(lines_of(path, Operation.ANCHOR))) == 3
    assert missing(path, found) == []


def test_an_anchor_has_one_length_whatever_the_log_holds(path: Path) -> None:
    small = joined(laid(path).hash).encode()
    write(path, 900, 900)
    assert len(joined(laid(path).hash).encode()) == len(small)


def test_the_directory_of_the_first_anchor_is_on_the_disk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("safeborders_fed.study.durable.sync_directory", synced.append)
    keep(tmp_path, [joined("1" * 64)], by="RO", today=DAY)
    assert synced == [tmp_path, tmp_path / "anchors"]
