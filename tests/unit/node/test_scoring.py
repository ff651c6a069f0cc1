"""Scores, their words, and the review list."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import model_samples
import referral_samples as samples
from federation_of import analysis_table
from safeborders_fed.audit.chain import verify
from safeborders_fed.cases.contract import field
from safeborders_fed.cases.encoding import Victims, design, merge
from safeborders_fed.cases.mapping import Mapping, parse_mapping
from safeborders_fed.cases.rejection import Reason
from safeborders_fed.errors import DataError, PeerError, RefusedError, UsageError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node import list_files, review_list, score_words, scoring
from safeborders_fed.node.referrals import MOST_ROWS, read_referrals
from safeborders_fed.node.review_list import Entry
from safeborders_fed.node.score_session import score_file
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.privacy.products import Indicators
from safeborders_fed.study.key_files import load_key
from safeborders_fed.study.model_file import Model

NODE = tuple[NodeSettings, model_samples.Operators]


MODEL = model_samples.model()
VICTIMS = merge(analysis_table(200, 9), scoring.needed_fields(MODEL))


def _fields(model: Model) -> list[Any]:
    return [entry for entry, _ in model.analysis.column_fields()]


def test_scores_are_the_calibrated_margins_of_the_model() -> None:
    model = model_samples.model(facts={"calibration": {"slope": 0.5, "intercept": -1.0}})
    scores = scoring.score(model, VICTIMS)
    x = Indicators(design(VICTIMS, _fields(model)))
    margins = model.analysis.learner.margins(model.arrays, x)
    assert np.allclose(scores.log_odds, 0.5 * margins - 1.0)
    assert np.allclose(scores.chance, 1 / (1 + np.exp(-scores.log_odds)))


def test_contributions_add_up_to_the_score_of_a_linear_model() -> None:
    scores = scoring.score(MODEL, VICTIMS)
    rest = scores.log_odds - scores.contributions.sum(axis=1)
    assert np.ptp(rest) < 1e-4
    assert np.ptp(scores.log_odds) > 0.5


def test_a_referrals_score_does_not_depend_on_the_others() -> None:
    whole = scoring.score(MODEL, VICTIMS)
    words = score_words.reasons(MODEL, VICTIMS, whole)
    for place in (0, 17, 199):
        alone = VICTIMS.take(np.arange(len(VICTIMS)) == place)
        scores = scoring.score(MODEL, alone)
        assert scores.log_odds[0] == whole.log_odds[place]
        assert (scores.contributions[0] == whole.contributions[place]).all()
        assert scores.record[0] == whole.record[place]
        assert score_words.reasons(MODEL, alone, scores) == tuple([column[place]] for column in words)


def test_scoring_never_reads_the_field_of_the_label() -> None:
    assert "trafficking_status" not in {entry.name for entry in scoring.needed_fields(MODEL)}
    assert "trafficking_status" not in VICTIMS.singles


@pytest.mark.parametrize(
    ("chance", "text"),
    [
        (0.0, "below 1%"),
        (0.004, "below 1%"),
        (0.012, "about 1%"),
        (0.43, "about 43%"),
        (0.994, "about 99%"),
        (0.996, "above 99%"),
        (1.0, "above 99%"),
    ],
)
def test_no_chance_is_none_or_certain(chance: float, text: str) -> None:
    assert score_words.chance_texts(np.array([chance])) == [text]


def test_bands_compare_with_the_average_of_the_training() -> None:
    facts = {"labelled_noisy": 1000, "positives_noisy": 200, "calibration": {"slope": 0.0, "intercept": 0.0}}
    odds = 200 / 800
    for factor, band in ((0.1, 0), (0.5, 1), (1.0, 2), (2.0, 3), (9.0, 4)):
        facts["calibration"] = {"slope": 0.0, "intercept": float(np.log(odds * factor))}
        scores = scoring.score(model_samples.model(facts=facts), VICTIMS)
        assert (scores.band == band).all()


@pytest.mark.parametrize("counts", [(0, 0), (-40, -3), (10, 50), (1000, 0)])
def test_noisy_counts_of_any_size_give_finite_bands(counts: tuple[int, int]) -> None:
    model = model_samples.model(facts={"labelled_noisy": counts[0], "positives_noisy": counts[1]})
    assert 0 <= scoring.average(model) <= 1
    scores = scoring.score(model, VICTIMS)
    assert set(scores.band.tolist()) <= set(range(5))


def test_a_rare_record_is_called_unusual_and_a_common_one_is_not() -> None:
    entries = _fields(MODEL)
    centre = np.zeros_like(MODEL.arrays["centre"])
    common: dict[str, int] = {}
    for entry, columns in MODEL.analysis.column_fields():
        if entry.name == "means_of_control":
            centre[columns.start] = 0.97
        else:
            centre[columns.start] = 0.98
            common[entry.name] = 0
    model = replace(MODEL, arrays=MODEL.arrays | {"centre": centre})
    kinds = {entry.name: entry for entry in entries}

    def victim(position: int, means: int) -> Victims:
        single = {name: np.array([position], np.int16) for name in kinds if name != "means_of_control"}
        bits = np.array([means], np.uint32)
        known = np.array([2**18 - 1], np.uint32)
        return Victims(
            np.array(["0" * 32]),
            np.array([2024], np.int16),
            single,
            {"means_of_control": bits},
            {"means_of_control": known},
            np.array([1], np.int8),
        )

    assert scoring.RECORDS[scoring.score(model, victim(0, 1)).record[0]] == "usual"
    assert scoring.RECORDS[scoring.score(model, victim(1, 0b1110)).record[0]] == "very unusual"


@given(st.integers(0, 2**32 - 1))
def test_surprise_is_finite_for_any_centre(seed: int) -> None:
    rng = np.random.default_rng(seed)
    centre = rng.choice([0.0, 1.0, 1e-9, 0.5], size=len(MODEL.arrays["centre"]))
    model = replace(MODEL, arrays=MODEL.arrays | {"centre": centre})
    found = scoring.surprise(model, Indicators(design(VICTIMS, _fields(MODEL))))
    assert np.isfinite(found).all()


def test_reasons_name_field_value_direction_and_strength() -> None:
    scores = scoring.score(MODEL, VICTIMS)
    entries = _fields(MODEL)
    found = score_words.reasons(MODEL, VICTIMS, scores)
    sex = next(index for index, entry in enumerate(entries) if entry.name == "sex")
    strengths = ((1.0, "much"), (0.4, "somewhat"), (0.1, "a little"))
    for place, (raises, lowers, unknown) in enumerate(zip(*found, strict=True)):
        amount = scores.contributions[place, sex]
        code = VICTIMS.singles["sex"][place]
        value = field("sex").values[code].label if code >= 0 else "not known"
        words = next((text for limit, text in strengths if abs(amount) >= limit), None)
        effect = "raises" if amount > 0 else "lowers"
        expected = {f"Sex: {value} — {effect} the score {words}"} if words else set()
        assert {text for text in (*raises, *lowers) if text.startswith("Sex:")} == expected
        assert ("Sex" in unknown) == (code < 0)


def test_reasons_stand_in_order_of_strength() -> None:
    scores = scoring.score(MODEL, VICTIMS)
    labels = [entry.label for entry in _fields(MODEL)]
    found = score_words.reasons(MODEL, VICTIMS, scores)
    for place, (raises, lowers) in enumerate(zip(found.raises, found.lowers, strict=True)):
        amounts = dict(zip(labels, scores.contributions[place], strict=True))

        def amount(text: str, amounts: dict[str, float] = amounts) -> float:
            return abs(next(value for label, value in amounts.items() if text.startswith(f"{label}:")))

        for texts in (raises, lowers):
            assert [amount(text) for text in texts] == sorted(map(amount, texts), reverse=True)
        assert len(raises) + len(lowers) == sum(abs(value) >= 0.1 for value in amounts.values())


def test_several_values_of_a_field_are_listed_and_none_is_said() -> None:
    assert score_words._several(field("means_of_control"), 0b1001 | 1 << 18, 1 << 18) == (
        "Threats of physical harm, Debt bondage"
    )
    assert score_words._several(field("means_of_control"), 1 << 18, 1 << 18) == score_words.NONE_PRESENT
    assert score_words._several(field("means_of_control"), 0, 1 << 18) == score_words.NOT_KNOWN


def test_no_phrase_says_that_somebody_is_or_is_not_anything() -> None:
    scores = scoring.score(MODEL, VICTIMS)
    found = score_words.reasons(MODEL, VICTIMS, scores)
    for texts in (*found.raises, *found.lowers):
        assert not any(" is " in text or "victim of" in text for text in texts)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("actual_victim", "actual victim of trafficking"),
        ("form:ForcedLabour", "Forced labour"),
        ("minor_exploited_by_group", "minor exploited by a group"),
    ],
)
def test_each_label_has_words(target: str, words: str) -> None:
    assert words in score_words.target_text(target)


def test_a_model_that_overflows_is_refused() -> None:
    model = model_samples.model(facts={"calibration": {"slope": 1e308, "intercept": 0.0}})
    with pytest.raises(RefusedError) as found:
        scoring.score(model, VICTIMS)
    assert found.value.code == "model-not-usable"


# Reading referrals


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> NODE:
    return samples.node(tmp_path_factory.mktemp("scoring"))


def _mapping() -> Mapping:
    return parse_mapping(samples.MAPPING, "referrals.toml")


def _score(settings: NodeSettings, path: Path, **changes: Any) -> review_list.ReviewList:
    terms = {"by": "Dana", "purpose": "Weekly referrals", **changes}
    return score_file(settings, path, _mapping(), **terms)


def _entries(review: review_list.ReviewList) -> dict[str, Entry]:
    return {entry.person: entry for entry in review.entries}


def test_each_person_is_one_referral_and_keeps_the_nodes_own_reference(node: NODE, tmp_path: Path) -> None:
    rows = samples.rows(20)
    again = ("C-2026-0099", rows[3][1], *rows[3][2:])
    review = _score(node[0], samples.write(tmp_path / "r.csv", [*rows, again]))
    assert (review.read, review.rejected, len(review.entries)) == (21, 0, 20)
    entries = _entries(review)
    assert set(entries) == {row[1] for row in rows}
    assert sorted(entries[rows[3][1]].cases) == ["C-2026-0004", "C-2026-0099"]
    assert entries[rows[3][1]].rows == (5, 22)
    assert entries[rows[0][1]].rows == (2,)


def test_bad_rows_are_kept_with_row_column_and_reason_and_the_rest_is_scored(
    node: NODE, tmp_path: Path
) -> None:
    rows = [list(row) for row in samples.rows(8)]
    rows[0][3] = "x"
    rows[1][4] = "two hundred"
    rows[2][2] = "2026-13-40"
    rows[3][0] = ""
    conflict = [*rows[4][:4], "33", *rows[4][5:]]
    rejected = tmp_path / "rejected.csv"
    path = samples.write(tmp_path / "r.csv", [*rows, conflict, rows[5]])
    review = _score(node[0], path, rejected_file=rejected)
    assert (review.read, review.rejected, review.repeated, len(review.entries)) == (10, 5, 1, 4)
    with rejected.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["row"], line["column"], line["reason"]) for line in lines] == [
        ("2", "sex", Reason.UNKNOWN_CODE),
        ("3", "age", Reason.NOT_A_NUMBER),
        ("4", "date", Reason.IMPOSSIBLE_DATE),
        ("5", "case", Reason.MISSING_KEY),
        ("10", "", Reason.DUPLICATE_KEY),
    ]
    assert rejected.stat().st_mode & 0o777 == 0o600
    assert review.rejected_file == rejected


def test_rows_that_are_all_bad_leave_their_reasons_behind(node: NODE, tmp_path: Path) -> None:
    rows = [[*row[:3], "x", *row[4:]] for row in samples.rows(3)]
    rejected = tmp_path / "rejected.csv"
    with pytest.raises(DataError) as found:
        _score(node[0], samples.write(tmp_path / "r.csv", rows), rejected_file=rejected)
    assert found.value.code == "nothing-accepted"
    assert rejected.read_text(encoding="utf-8").count("unknown-code") == 3


@pytest.mark.parametrize("content", ["", "case,person,date,sex,age,recruiter,means\n", "a,b\n1,2\n"])
def test_a_file_without_referrals_is_refused(node: NODE, tmp_path: Path, content: str) -> None:
    path = tmp_path / "r.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError):
        _score(node[0], path)


def test_a_whole_register_is_no_list_of_referrals(node: NODE, tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    line = "c,p,2026-01-01,f,20,,\n"
    path.write_text(",".join(samples.HEADER) + "\n" + line * (MOST_ROWS + 1), encoding="utf-8")
    with pytest.raises(DataError) as found:
        read_referrals(path, _mapping(), node[0].open_store().keys, scoring.needed_fields(MODEL))
    assert found.value.code == "too-many-referrals"


def test_referrals_are_not_put_into_the_case_store(node: NODE, tmp_path: Path) -> None:
    _score(node[0], samples.write(tmp_path / "r.csv", samples.rows(5)))
    assert node[0].open_store().latest_snapshot() is None
    secret = b"P-00003"
    for path in node[0].home.rglob("*"):
        assert not path.is_file() or secret not in path.read_bytes(), path


def test_scoring_by_nobody_or_for_nothing_is_refused(node: NODE, tmp_path: Path) -> None:
    path = samples.write(tmp_path / "r.csv", samples.rows(2))
    for changes in ({"by": " "}, {"purpose": ""}):
        with pytest.raises(UsageError) as found:
            _score(node[0], path, **changes)
        assert found.value.code == "purpose-missing"


def test_each_use_is_in_the_audit_log_without_any_name_of_a_case(node: NODE, tmp_path: Path) -> None:
    review = _score(node[0], samples.write(tmp_path / "r.csv", samples.rows(7)), purpose="Case 7/26")
    line = node[0].audit_path.read_text(encoding="utf-8").splitlines()[-1]
    entry = json.loads(line)
    assert (entry["operation"], entry["who"], entry["why"]) == ("score", "Dana", "Case 7/26")
    assert entry["details"].pop("done_at") <= entry["at"]
    assert entry["details"].pop("key"), "the number of the note"
    assert entry["details"] == {
        "model": "detection-1",
        "model_sha256": review.sha256,
        "referrals": 7,
        "review_list": review.id,
    }
    key = public_hex(load_key(node[0].signing_key_path))
    assert verify(node[0].audit_path, [key]).entries >= 2


def test_while_the_service_writes_the_log_a_scoring_is_done_and_the_service_logs_it(
    node: NODE, tmp_path: Path
) -> None:
    with node[0].open_audit_log() as log:
        before = log.head()
        review = _score(node[0], samples.write(tmp_path / "r.csv", samples.rows(3)), purpose="Case 9/26")
        assert log.head() == before
    node[0].open_audit_log().close()  # as the service does when it finds a note
    entry = json.loads(node[0].audit_path.read_text(encoding="utf-8").splitlines()[-1])
    assert (entry["operation"], entry["who"], entry["why"]) == ("score", "Dana", "Case 9/26")
    assert entry["details"]["review_list"] == review.id


def test_without_an_audit_log_nothing_is_scored(node: NODE, tmp_path: Path) -> None:
    path = samples.write(tmp_path / "r.csv", samples.rows(2))
    before = set((node[0].home / "reviews").iterdir()) if (node[0].home / "reviews").exists() else set()
    log = node[0].audit_path
    kept = log.rename(tmp_path / "kept")
    log.mkdir()
    try:
        with pytest.raises(Exception, match="audit log"):
            _score(node[0], path)
    finally:
        log.rmdir()
        kept.rename(log)
    after = set((node[0].home / "reviews").iterdir()) if (node[0].home / "reviews").exists() else set()
    assert before == after


def test_an_altered_model_scores_nothing(tmp_path: Path) -> None:
    settings, _ = samples.node(tmp_path)
    kept = settings.home / "models" / "detection-1.safetensors"
    kept.write_bytes(kept.read_bytes().replace(b"F64", b"F32", 1))
    with pytest.raises(PeerError) as found:
        _score(settings, samples.write(tmp_path / "r.csv", samples.rows(2)))
    assert found.value.code == "model-altered"


# The list


def test_the_list_begins_with_the_highest_score(node: NODE, tmp_path: Path) -> None:
    review = _score(node[0], samples.write(tmp_path / "r.csv", samples.rows(20)))
    order = [scoring.BANDS.index(entry.band) for entry in review.entries]
    assert order == sorted(order, reverse=True)
    assert [entry.id for entry in review.entries] == [f"{review.id}-{number:03d}" for number in range(1, 21)]
    assert sum(review.summary()["bands"].values()) == 20


def test_every_form_of_the_list_carries_the_reminder(node: NODE, tmp_path: Path) -> None:
    review = _score(node[0], samples.write(tmp_path / "r.csv", samples.rows(2)))
    forms = (review_list.as_text(review), review_list.as_csv(review), json.dumps(review_list.as_json(review)))
    for line in review_list.REMINDER:
        assert all(line in form for form in forms)
    whole = " ".join(review_list.REMINDER)
    for words in ("No evidence", "no clearance", "propensity to offend", "bias", "Annex III 6(a)", "Art. 14"):
        assert words in whole


def test_a_model_for_minors_scores_minors_only_and_loses_nobody(node: NODE, tmp_path: Path) -> None:
    model = model_samples.model(population="minors", facts=model_samples.KNOWN)
    rows = [
        [*row[:4], age, *row[5:]] for row, age in zip(samples.rows(4), ("12", "30", "", "17"), strict=True)
    ]
    path = samples.write(tmp_path / "r.csv", rows)
    keys = node[0].open_store().keys
    referrals = read_referrals(path, _mapping(), keys, scoring.needed_fields(model))
    review = review_list.make(model, referrals, None)
    scored = {entry.person: entry.band != review_list.NOT_SCORED for entry in review.entries}
    assert scored == {"P-00001": True, "P-00002": False, "P-00003": False, "P-00004": True}
    assert [entry.chance == "" for entry in review.entries] == [False, False, True, True]
    assert [entry.band == review_list.NOT_SCORED for entry in review.entries] == [False, False, True, True]
    assert "minors" in review.entries[-1].record


def test_files_are_new_and_for_their_owner_only(node: NODE, tmp_path: Path) -> None:
    review = _score(node[0], samples.write(tmp_path / "r.csv", samples.rows(3)))
    for name in ("list.csv", "list.json"):
        with list_files.new_file(tmp_path / name) as file:
            file.write(review)
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        with pytest.raises(UsageError) as found, list_files.new_file(tmp_path / name):
            pass
        assert found.value.code == "out-exists"
    with pytest.raises(UsageError), list_files.new_file(tmp_path / "list.xlsx"):
        pass
    content = json.loads((tmp_path / "list.json").read_text(encoding="utf-8"))
    assert len(content["referrals"]) == 3


def test_no_cell_is_run_by_a_spreadsheet(node: NODE, tmp_path: Path) -> None:
    rows = [["=HYPERLINK(1)", "+1", *row[2:]] for row in samples.rows(1)]
    review = _score(node[0], samples.write(tmp_path / "r.csv", rows))
    text = review_list.as_csv(review)
    body = text[text.index("review_id") :]
    (row,) = csv.DictReader(io.StringIO(body))
    assert (row["case"], row["person"]) == ("'=HYPERLINK(1)", "'+1")


def test_a_reader_is_told_when_scores_say_nothing() -> None:
    silent = model_samples.model(facts={"calibration": {"slope": 0.0, "intercept": 0.1}})
    unmeasured = model_samples.model(facts={"calibration": None})
    assert "no relation" in " ".join(review_list._context(silent, 0, None))
    assert "no calibration" in " ".join(review_list._context(unmeasured, 0, None))
