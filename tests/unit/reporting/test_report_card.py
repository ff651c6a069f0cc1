from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
import report_samples

from safeborders_fed.errors import ConfigurationError, DefectError
from safeborders_fed.reporting import card_sections
from safeborders_fed.reporting.accuracy import UNKNOWN
from safeborders_fed.reporting.card import card, render_card

HOSTILE = "<script>alert(1)</script>\"'&{{ 7 * 7 }}"


def text_of(facts: Any) -> str:
    return json.dumps(card(facts)["sections"], ensure_ascii=False)


@pytest.fixture(scope="module")
def markup() -> str:
    return render_card(card(report_samples.card()))


def test_a_card_is_finite_json_with_a_schema_version() -> None:
    made = card(report_samples.card())
    assert made["schema_version"] == 1
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_sections_follow_the_nine_headings_of_annex_iv() -> None:
    headings = [section["heading"] for section in card(report_samples.card())["sections"]]
    assert [heading.partition(".")[0] for heading in headings] == [str(number) for number in range(1, 10)]
    for heading, word in zip(
        headings,
        (
            "General description",
            "Development",
            "Monitoring, functioning and control",
            "Performance",
            "Risk management",
            "Changes",
            "Standards",
            "declaration of conformity",
            "after release",
        ),
        strict=True,
    ):
        assert word in heading


def test_the_card_says_what_people_ask_of_a_model() -> None:
    facts = report_samples.card()
    text = text_of(facts)
    for wanted in (
        facts.purpose,
        facts.label,
        facts.model_hash,
        facts.manifest_hash,
        "0.722 at delta 1 in 1,000,000",  # rounded up from .7213
        "7,318\u00a0±\u00a043",
        "0.872\u00a0±\u00a00.037",
        "Article 5(1)(d)",
        '["Finland", "1"]',
        "0.508\u00a0±\u00a00.014",
        "1.210\u00a0±\u00a00.158",
        "\u22120.140",
        "too few victims of one label",
        *card_sections.NOT_FOR,
    ):
        assert wanted in text, wanted


def test_groups_without_data_are_named_among_the_limits() -> None:
    assert (
        "Not measured for want of data beyond the noise: Sex: Other or not known; State: Finland; State:"
        " Portugal. Nothing is known of accuracy there." in text_of(report_samples.card())
    )


def test_what_was_not_measured_is_said_to_be_so() -> None:
    text = text_of(report_samples.card(accuracy=None, membership=None, labelled=None, positives=None))
    for wanted in (
        "Its accuracy was not measured",
        "Calibration was not measured",
        "No attack on membership was run",
    ):
        assert wanted in text
    assert "Persons trained on" not in text
    bare = report_samples.accuracy(groups={})
    assert "accuracy by sex, age, citizenship and state was not measured" in text_of(
        report_samples.card(accuracy=bare)
    )


@pytest.mark.parametrize("measured", [None, (None, None), (0.55, 0.06)])
def test_an_unknown_accuracy_is_a_warning_above_all_sections(
    measured: tuple[float | None, float | None] | None, markup: str
) -> None:
    accuracy = None if measured is None else report_samples.accuracy_of(*measured)
    made = card(report_samples.card(accuracy=accuracy))
    assert made["warnings"] == [UNKNOWN]
    page = render_card(made)
    assert 0 < page.index('aria-label="Warning"') < page.index(UNKNOWN) < page.index("<main")
    assert "Warning" not in markup
    assert card(report_samples.card())["warnings"] == []


def test_an_area_that_is_missing_is_said_in_words(markup: str) -> None:
    table = next(
        entry
        for section in card(report_samples.card())["sections"]
        for entry in section["tables"]
        if entry["id"] == "card-accuracy"
    )
    areas = [row[3] for row in table["rows"]]
    assert areas.count("too little data") == 3
    assert ":" not in areas
    assert "too little data: no area can be told from the noise" in markup


def test_a_model_that_started_from_another_names_it() -> None:
    assert "started from nothing" in text_of(report_samples.card())
    assert "b1" * 32 in text_of(report_samples.card(started_from="b1" * 32))


def test_machines_read_the_numbers_that_people_read() -> None:
    measured = card(report_samples.card())["measurements"]
    assert measured["accuracy"]["overall"]["victims"] == 2412
    assert measured["accuracy"]["groups"]["State"]["Finland"]["auc"] is None
    assert measured["membership"]["guesses"][1]["permitted"] == 0.103
    assert measured["approvals"]["Finland"] == 1


def test_every_sentence_ends_and_none_is_cut_short() -> None:
    for facts in (report_samples.card(), report_samples.card(accuracy=None, membership=None)):
        for section in card(facts)["sections"]:
            for text in (
                *section["paragraphs"],
                *(entry for _, entries in section["lists"] for entry in entries),
            ):
                assert text.endswith(".")
                assert "  " not in text


def test_the_page_permits_nothing_but_its_style_and_has_no_script(markup: str) -> None:
    assert "default-src 'none'" in markup
    assert "<script" not in markup
    assert not re.search(r'(?:src|href)="(?!#)', markup)
    assert " style=" not in markup


def test_the_page_links_to_all_of_its_sections(markup: str) -> None:
    targets = re.findall(r'href="#([^"]+)"', markup)
    ids = re.findall(r'id="([^"]+)"', markup)
    assert set(targets) <= set(ids)
    assert len(ids) == len(set(ids))
    assert len(targets) == 10


def test_a_synthetic_model_is_called_so_and_a_real_one_is_not(markup: str) -> None:
    assert "every record behind this model is made up" in markup
    real = render_card(card(report_samples.card(synthetic=False, purpose="P")))
    assert "synthetic" not in real.lower()


def test_hostile_text_is_shown_as_text() -> None:
    facts = replace(
        report_samples.card(),
        **dict.fromkeys(
            ("name", "purpose", "legal_basis", "label", "population", "study", "analysis"), HOSTILE
        ),
        features=(HOSTILE,),
    )
    page = render_card(card(facts))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 8


def test_the_same_facts_give_the_same_page(markup: str) -> None:
    assert render_card(card(report_samples.card())) == markup


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"delta": 0.0}, "delta of model"),
        ({"rho": -1.0}, "rho of model"),
        ({"approvals": {"Belgium": 2}}, "approvals of model"),
        ({"created": report_samples.card().created.replace(tzinfo=None)}, "no time zone"),
    ],
)
def test_facts_that_contradict_themselves_are_refused(changes: dict[str, Any], cause: str) -> None:
    with pytest.raises(DefectError, match=cause):
        report_samples.card(**changes)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys  # noqa: PLC0415 - only here

    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ConfigurationError, match="not installed: jinja2"):
        render_card(card(report_samples.card()))
