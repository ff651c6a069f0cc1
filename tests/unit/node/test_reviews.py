"""Verdicts of reviewers: recorded with their history, sealed, and summed up for the node's own people."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

import referral_samples as samples
from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.cases.mapping import parse_mapping
from safeborders_fed.cases.sealing import Sealer
from safeborders_fed.errors import ConfigurationError, DataError, UsageError
from safeborders_fed.node import review_list
from safeborders_fed.node.list_files import read_verdicts
from safeborders_fed.node.review_list import ReviewList
from safeborders_fed.node.reviews import Reviews, Wanted
from safeborders_fed.node.score_session import record_verdicts, score_file, summarise
from safeborders_fed.node.settings import NodeSettings

AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> NodeSettings:
    return samples.node(tmp_path)[0]


@pytest.fixture
def review(settings: NodeSettings, tmp_path: Path) -> ReviewList:
    mapping = parse_mapping(samples.MAPPING, "referrals.toml")
    path = samples.write(tmp_path / "r.csv", samples.rows(20))
    return score_file(settings, path, mapping, by="Dana", purpose="A test")


def _reviews(settings: NodeSettings) -> Reviews:
    return Reviews(settings.home, settings.open_store().files.sealer)


def test_a_verdict_is_recorded_with_name_note_and_time(settings: NodeSettings, review: ReviewList) -> None:
    reviews = _reviews(settings)
    reviews.record([Wanted(f"{review.id}-003", "disagree", "Known to us.")], by="Emil", at=AT)
    (verdict,) = reviews.history(f"{review.id}-003")
    assert (verdict.number, verdict.verdict, verdict.by, verdict.note, verdict.at) == (
        3,
        "disagree",
        "Emil",
        "Known to us.",
        "2026-11-22T10:00:00+00:00",
    )
    assert reviews.history(f"{review.id}-004") == ()


def test_an_id_may_be_typed_in_small_letters(settings: NodeSettings, review: ReviewList) -> None:
    reviews = _reviews(settings)
    reviews.record([Wanted(f" {review.id.lower()}-7", "agree")], by="Emil", at=AT)
    assert len(reviews.history(f"{review.id}-007")) == 1


def test_a_second_verdict_replaces_the_first_which_stays_in_the_history(
    settings: NodeSettings, review: ReviewList
) -> None:
    reviews, wanted = _reviews(settings), f"{review.id}-001"
    reviews.record([Wanted(wanted, "agree")], by="Emil", at=AT)
    reviews.record([Wanted(wanted, "unsure")], by="Emil", at=AT)
    reviews.record([Wanted(wanted, "agree")], by="Fay", at=AT)
    assert [verdict.verdict for verdict in reviews.history(wanted)] == ["agree", "unsure", "agree"]
    totals = Counter[str]()
    for band in reviews.summary():
        totals.update(agree=band.agree, disagree=band.disagree, unsure=band.unsure, reviewed=band.reviewed)
    assert totals == {"agree": 1, "disagree": 0, "unsure": 1, "reviewed": 1}


def test_the_summary_counts_by_model_and_band(settings: NodeSettings, review: ReviewList) -> None:
    wanted = [Wanted(entry.id, "agree" if "above" in entry.band else "disagree") for entry in review.entries]
    record_verdicts(settings, wanted[:10], by="Emil")
    bands = Counter(entry.band for entry in review.entries)
    found = {band.band: band for band in summarise(settings)}
    assert {name: band.referrals for name, band in found.items()} == bands
    assert {band.model for band in found.values()} == {"detection-1"}
    reviewed = Counter(entry.band for entry in review.entries[:10])
    for name, band in found.items():
        assert band.reviewed == reviewed[name] == band.agree + band.disagree
        assert band.disagree == (0 if "above" in name else reviewed[name])


@pytest.mark.parametrize(
    "wanted", ["ABCDEFGH-001", "{id}-021", "{id}-000", "{id}", "{id}-1x", "../x-1", "", "{id}-1-1"]
)
def test_a_verdict_on_an_unknown_referral_is_refused(
    settings: NodeSettings, review: ReviewList, wanted: str
) -> None:
    with pytest.raises(DataError) as found:
        _reviews(settings).record([Wanted(wanted.replace("{id}", review.id), "agree")], by="Emil", at=AT)
    assert found.value.code == "unknown-review-id"


@pytest.mark.parametrize(
    ("verdict", "note", "code"), [("yes", "", "unknown-verdict"), ("agree", "x" * 2001, "note-too-long")]
)
def test_of_several_verdicts_all_or_none_are_recorded(
    settings: NodeSettings, review: ReviewList, verdict: str, note: str, code: str
) -> None:
    log = settings.audit_path.read_bytes()
    wanted = [Wanted(f"{review.id}-001", "agree"), Wanted(f"{review.id}-002", verdict, note)]
    with pytest.raises(DataError) as found:
        record_verdicts(settings, wanted, by="Emil")
    assert found.value.code == code
    assert _reviews(settings).history(f"{review.id}-001") == ()
    assert settings.audit_path.read_bytes() == log


def test_a_review_is_in_the_audit_log_without_its_content(settings: NodeSettings, review: ReviewList) -> None:
    record_verdicts(settings, [Wanted(f"{review.id}-001", "disagree", "A secret note")], by="Emil")
    entry = json.loads(settings.audit_path.read_text(encoding="utf-8").splitlines()[-1])
    assert (entry["operation"], entry["who"]) == ("review", "Emil")
    assert entry["details"].keys() == {"verdicts", "done_at", "key"}
    assert entry["details"]["verdicts"] == 1
    assert "disagree" not in json.dumps(entry)
    assert "secret" not in json.dumps(entry)


def test_a_verdict_without_a_name_is_refused(settings: NodeSettings, review: ReviewList) -> None:
    with pytest.raises(UsageError):
        record_verdicts(settings, [Wanted(f"{review.id}-001", "agree")], by="")
    assert _reviews(settings).history(f"{review.id}-001") == ()


def test_nothing_of_lists_and_verdicts_lies_in_clear(settings: NodeSettings, review: ReviewList) -> None:
    record_verdicts(settings, [Wanted(f"{review.id}-001", "disagree", "A secret note")], by="Emil")
    files = [path for path in (settings.home / "reviews").iterdir() if path.name != "lock"]
    assert len(files) == 2
    for path in files:
        content = path.read_bytes()
        assert path.stat().st_mode & 0o777 == 0o600
        for secret in ("secret", "Emil", "disagree", "average", review.victims[0]):
            assert secret.encode() not in content


def test_another_nodes_key_opens_nothing(settings: NodeSettings, review: ReviewList) -> None:
    other = Reviews(settings.home, Sealer(NodeKeys.generate()))
    with pytest.raises(ConfigurationError) as found:
        other.summary()
    assert found.value.code == "wrong-key"
    assert review.entries


def test_one_lists_verdicts_cannot_be_passed_off_as_anothers(
    settings: NodeSettings, review: ReviewList, tmp_path: Path
) -> None:
    mapping = parse_mapping(samples.MAPPING, "referrals.toml")
    other = score_file(settings, tmp_path / "r.csv", mapping, by="Dana", purpose="Again")
    record_verdicts(settings, [Wanted(f"{review.id}-001", "agree")], by="Emil")
    directory = settings.home / "reviews"
    content = (directory / f"{review.id}.verdicts.sealed").read_bytes()
    (directory / f"{other.id}.verdicts.sealed").write_bytes(content)
    with pytest.raises(ConfigurationError) as found:
        _reviews(settings).history(f"{other.id}-001")
    assert found.value.code == "wrong-key"


def test_the_same_file_scored_again_is_another_list(
    settings: NodeSettings, review: ReviewList, tmp_path: Path
) -> None:
    mapping = parse_mapping(samples.MAPPING, "referrals.toml")
    other = score_file(settings, tmp_path / "r.csv", mapping, by="Dana", purpose="Again")
    assert other.id != review.id
    assert [entry.person for entry in other.entries] == [entry.person for entry in review.entries]


def _filled(review: ReviewList, verdicts: dict[int, tuple[str, str]]) -> str:
    """The list as CSV with verdicts by number."""
    text = review_list.as_csv(review)
    head, body = text[: text.index("review_id")], text[text.index("review_id") :]
    rows = list(csv.DictReader(io.StringIO(body)))
    sink = io.StringIO()
    writer = csv.DictWriter(sink, rows[0].keys())
    writer.writeheader()
    for number, row in enumerate(rows, start=1):
        verdict, note = verdicts.get(number, ("", ""))
        writer.writerow(row | {"verdict": verdict, "reviewer_note": note})
    return head + sink.getvalue()


def test_verdicts_are_read_from_a_filled_in_list(
    settings: NodeSettings, review: ReviewList, tmp_path: Path
) -> None:
    path = tmp_path / "list.csv"
    filled = _filled(review, {2: ("Agree ", ""), 5: ("unsure", "Two\n# lines")})
    # A spreadsheet program quotes the remarks and adds a byte order mark.
    path.write_text("\ufeff" + filled.replace("# Review", '"# Review', 1).replace(".\n", '."\n', 1), "utf-8")
    wanted = read_verdicts(path)
    assert wanted == [
        Wanted(f"{review.id}-002", "agree", ""),
        Wanted(f"{review.id}-005", "unsure", "Two\n# lines"),
    ]
    record_verdicts(settings, wanted, by="Emil")
    assert sum(band.reviewed for band in summarise(settings)) == 2


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "not-a-review-list"),
        (b"a,b\n1,2\n", "not-a-review-list"),
        (b"\xff\xfe", "not-a-review-list"),
        (b'review_id,verdict,reviewer_note\n"x', "not-a-review-list"),
        (b"review_id,verdict,reviewer_note\nABC-1,,\n", "no-verdicts"),
    ],
)
def test_what_is_no_filled_in_list_is_refused(tmp_path: Path, content: bytes, code: str) -> None:
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(DataError) as found:
        read_verdicts(tmp_path / "list.csv")
    assert found.value.code == code
