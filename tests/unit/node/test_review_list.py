"""What a review list says of the model, of rows that are missing, and of records that hold nothing."""

from __future__ import annotations

import csv
import errno
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import referral_samples as samples
from model_samples import KNOWN, model
from safeborders_fed.cases.mapping import parse_mapping
from safeborders_fed.errors import ConfigurationError, DataError, UsageError
from safeborders_fed.node import list_files, model_trust, review_list, scoring
from safeborders_fed.node.list_files import new_file, read_verdicts
from safeborders_fed.node.referrals import read_referrals
from safeborders_fed.node.review_list import ReviewList
from safeborders_fed.node.reviews import Wanted
from safeborders_fed.node.score_session import accept_model, record_verdicts, score_file, summarise
from safeborders_fed.node.settings import NodeSettings

EVALUATION = "evaluation"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> NodeSettings:
    return samples.node(tmp_path_factory.mktemp("lists"))[0]


def _list(
    settings: NodeSettings, path: Path, facts: dict[str, Any], rejected: Path | None = None
) -> ReviewList:
    made = model(facts=KNOWN | facts)
    mapping = parse_mapping(samples.MAPPING, "referrals.toml")
    found = read_referrals(path, mapping, settings.open_store().keys, scoring.needed_fields(made))
    return review_list.make(made, found, rejected)


def _forms(review: ReviewList) -> Iterator[str]:
    yield review_list.as_text(review)
    yield review_list.as_csv(review)
    yield json.dumps(review_list.as_json(review), ensure_ascii=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return samples.write(tmp_path / "r.csv", samples.rows(12))


@pytest.mark.parametrize(
    "evaluation",
    [
        None,
        {},
        {"overall": None},
        {"overall": {"auc": None, "margin": None, "reason": "too few"}},
        {"overall": {"auc": 0.6, "margin": 0.1}},
        {"overall": {"auc": 0.55, "margin": 0.2}},
        {"overall": {"auc": 0.9}},
        {"overall": {"auc": "0.9", "margin": 0.01}},
    ],
)
def test_a_model_that_may_be_guessing_says_so_first_and_gives_no_chance(
    settings: NodeSettings, path: Path, evaluation: object
) -> None:
    review = _list(settings, path, {EVALUATION: evaluation})
    assert review.context[0] == "! It is not known whether this model ranks better than chance."
    for form in _forms(review):
        assert review.context[0] in form
        assert "chance about" not in form
    assert {entry.chance for entry in review.entries} == {""}
    assert review_list.NO_BAND not in {entry.band for entry in review.entries}


def test_a_model_that_ranks_better_than_chance_gives_chances(settings: NodeSettings, path: Path) -> None:
    review = _list(settings, path, {})
    assert all("%" in entry.chance for entry in review.entries)
    for form in _forms(review):
        assert model_trust.RANK_NOT_KNOWN not in form
        assert "Average: of the labelled victims that the model learnt from, about 30% carry" in form


@pytest.mark.parametrize(("labelled", "positives"), [(1000, 41), (1000, 959), (1000, -5), (10, 300), (0, 0)])
def test_an_average_within_the_noise_is_left_out_with_its_bands(
    settings: NodeSettings, path: Path, labelled: int, positives: int
) -> None:
    review = _list(settings, path, {"labelled_noisy": labelled, "positives_noisy": positives})
    for form in _forms(review):
        assert model_trust.AVERAGE_NOT_KNOWN in form
        assert "Average:" not in form
        assert not any(band in form for band in scoring.BANDS)
    assert review.summary()["bands"] == {review_list.NO_BAND: 12}


@pytest.mark.parametrize("positives", [42, 958])
def test_an_average_beyond_the_noise_is_given(settings: NodeSettings, path: Path, positives: int) -> None:
    review = _list(settings, path, {"positives_noisy": positives})
    assert any(line.startswith("Average: ") for line in review.context)
    assert review_list.NO_BAND not in review.summary()["bands"]


def test_scores_that_are_not_compared_are_summed_up_too(
    settings: NodeSettings, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_trust, "average_is_known", lambda _: False)
    mapping = parse_mapping(samples.MAPPING, "referrals.toml")
    score_file(settings, path, mapping, by="Dana", purpose="A test")
    assert {band.band for band in summarise(settings)} >= {review_list.NO_BAND}


@pytest.mark.parametrize(
    ("bad", "words"), [(1, "1 row of the file is not in"), (3, "3 rows of the file are not in")]
)
def test_missing_rows_are_announced_with_their_file(
    settings: NodeSettings, tmp_path: Path, bad: int, words: str
) -> None:
    rows = [list(row) for row in samples.rows(6)]
    for row in rows[:bad]:
        row[3] = "?"
    path = samples.write(tmp_path / "r.csv", rows)
    rejected = tmp_path / "rejected\n.csv"
    review = _list(settings, path, {}, rejected)
    line = review.context[0]
    assert line.startswith(f"{words} this list: see {tmp_path}/rejected .csv, and look at ")
    for form in _forms(review):
        assert line in form


def test_a_list_without_missing_rows_announces_none(settings: NodeSettings, path: Path) -> None:
    assert "not in this list" not in review_list.as_text(_list(settings, path, {}))


def test_a_record_of_which_half_is_not_known_is_not_called_usual(
    settings: NodeSettings, tmp_path: Path
) -> None:
    date = f"{datetime.now(UTC).year}-01-02"
    rows = [("c1", "p1", date, "f", "", "", ""), ("c2", "p2", date, "f", "20", "", "")]
    rows += [("c3", "p3", date, "f", "20", "IntimatePartner", "")]
    review = _list(settings, samples.write(tmp_path / "r.csv", rows), {})
    records = {entry.person: (entry.record, len(entry.unknown)) for entry in review.entries}
    hardly = "hardly anything known: the score says little"
    assert records["p1"] == (hardly, 3)
    assert records["p2"] == (hardly, 2)
    assert records["p3"][1] == 1
    assert records["p3"][0] != hardly
    for form in _forms(review):
        assert form.count(hardly) == 2


def test_new_referrals_may_be_newer_than_the_period_of_the_mapping(
    settings: NodeSettings, tmp_path: Path
) -> None:
    year = datetime.now(UTC).year
    rows = [(f"c{y}", f"p{y}", f"{y}-01-01", "f", "20", "", "") for y in (2017, 2018, 2020, year, year + 1)]
    path = samples.write(tmp_path / "r.csv", rows)
    mapping = parse_mapping(samples.MAPPING.replace("last = 2026", "last = 2019"), "referrals.toml")
    found = read_referrals(path, mapping, settings.open_store().keys, ())
    assert {reference.person for reference in found.references} == {"p2018", "p2020", f"p{year}"}
    assert [rejection.reason.value for rejection in found.rejections] == ["outside-period"] * 2
    assert mapping.period.last == 2019


def test_a_file_for_which_no_list_comes_is_removed(tmp_path: Path) -> None:
    out = tmp_path / "list.csv"

    def fail() -> None:
        with new_file(out):
            assert out.stat().st_mode & 0o777 == 0o600
            raise DataError("nothing-accepted", "none", "correct it")

    with pytest.raises(DataError):
        fail()
    assert not out.exists()


@pytest.mark.parametrize("name", ["no/list.csv", "file/list.csv", f"{'x' * 300}.csv"])
def test_a_list_that_cannot_be_written_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigurationError) as found, new_file(tmp_path / name):
        pass
    assert found.value.code == "out-unwritable"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "list.csv").symlink_to(tmp_path / "elsewhere.csv")
    with pytest.raises(UsageError) as found, new_file(tmp_path / "list.csv"):
        pass
    assert found.value.code == "out-exists"


def test_csv_has_a_byte_order_mark_and_json_has_none(
    settings: NodeSettings, path: Path, tmp_path: Path
) -> None:
    review = _list(settings, path, {})
    for name, start in (("a.csv", b"\xef\xbb\xbf#"), ("a.json", b"{")):
        with new_file(tmp_path / name) as file:
            file.write(review)
        assert (tmp_path / name).read_bytes().startswith(start)


def _saved(review: ReviewList, separator: str, encoding: str) -> bytes:
    """The list as a spreadsheet program saves it again, a verdict in its second row."""
    lines = list(csv.reader(io.StringIO(review_list.as_csv(review))))
    place = next(index for index, line in enumerate(lines) if line[0] == "review_id")
    verdict, note = (lines[place].index(name) for name in review_list.VERDICT_COLUMNS)
    lines[place + 2][verdict], lines[place + 2][note] = "agree", "Ägypten; a, b\tc"
    sink = io.StringIO()
    csv.writer(sink, delimiter=separator).writerows(
        line + [""] * (len(lines[place]) - len(line)) for line in lines
    )
    return sink.getvalue().encode(encoding)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_list_comes_back_as_spreadsheet_programs_save_it(
    settings: NodeSettings, path: Path, tmp_path: Path, separator: str, encoding: str
) -> None:
    review = _list(settings, path, {})
    (tmp_path / "list.csv").write_bytes(_saved(review, separator, encoding))
    assert read_verdicts(tmp_path / "list.csv") == [Wanted(f"{review.id}-002", "agree", "Ägypten; a, b\tc")]


@pytest.mark.parametrize(("encoding", "named"), [("cp1252", "Windows-1252"), ("utf-16", "UTF-16")])
def test_another_encoding_is_named(
    settings: NodeSettings, path: Path, tmp_path: Path, encoding: str, named: str
) -> None:
    content = _saved(_list(settings, path, {}), ";", "utf-8").decode()
    (tmp_path / "list.csv").write_bytes(content.encode(encoding, "replace"))
    with pytest.raises(DataError) as found:
        read_verdicts(tmp_path / "list.csv")
    assert named in found.value.cause
    assert "UTF-8" in found.value.fix


def test_a_list_of_any_size_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_files, "_LARGEST", 5)
    with pytest.raises(DataError, match="more than 5 bytes"):
        read_verdicts(path)


@pytest.mark.parametrize("by", ["", "  ", "Da\nna", "\x1b[1m"])
def test_a_model_is_accepted_by_somebody_or_not_at_all(tmp_path: Path, by: str) -> None:
    settings, operators = samples.node(tmp_path)
    file = operators.release(name="labour")
    log = settings.audit_path.read_bytes()
    with pytest.raises(UsageError) as found:
        accept_model(settings, file, by=by)
    assert (found.value.code, "--by" in found.value.cause) == ("purpose-missing", True)
    assert not list((settings.home / "models").glob("labour*"))
    assert settings.audit_path.read_bytes() == log


def test_a_model_that_the_audit_log_refuses_is_not_kept(tmp_path: Path) -> None:
    settings, operators = samples.node(tmp_path)
    with pytest.raises(UsageError) as found:
        accept_model(settings, operators.release(name="labour"), by="x" * 10_000)
    assert found.value.code == "bad-audit-entry"
    assert not list((settings.home / "models").glob("labour*"))


def test_rejected_rows_that_cannot_be_kept_are_no_defect(settings: NodeSettings, tmp_path: Path) -> None:
    rows = [[*samples.rows(1)[0][:3], "?", "20", "", ""], samples.rows(2)[1]]
    path = samples.write(tmp_path / "r.csv", rows)
    mapping = parse_mapping(samples.MAPPING, "referrals.toml")
    for name in ("no/rejected.csv", f"{'x' * 300}.csv"):
        with pytest.raises(ConfigurationError) as found:
            score_file(settings, path, mapping, by="Dana", purpose="A test", rejected_file=tmp_path / name)
        assert found.value.code == "quarantine-unwritable"


def test_a_read_only_file_system_is_no_defect(
    settings: NodeSettings, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: NodeSettings) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(NodeSettings, "open_store", fail)
    mapping = parse_mapping(samples.MAPPING, "referrals.toml")
    for action in (
        lambda: score_file(settings, path, mapping, by="Dana", purpose="A test"),
        lambda: summarise(settings),
        lambda: record_verdicts(settings, [Wanted("7QK2M9XD-001", "agree")], by="Emil"),
    ):
        with pytest.raises(ConfigurationError, match="Read-only") as found:
            action()
        assert found.value.code == "node-unwritable"
