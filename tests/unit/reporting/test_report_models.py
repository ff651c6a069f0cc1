"""What was planted, and the model card, within the page of a demonstration."""

from __future__ import annotations

import re
from dataclasses import replace

import report_samples

from safeborders_fed.reporting import findings, model_charts
from safeborders_fed.reporting.accuracy import UNKNOWN
from safeborders_fed.reporting.figures import area_text, chance_text, count_of
from safeborders_fed.reporting.model import Demonstration
from safeborders_fed.reporting.planted import Planted

GAP = "\u00a0±\u00a0"


def sentences(facts: Demonstration) -> str:
    return " ".join(findings.of_demonstration(facts))


def texts(svg: str) -> list[str]:
    return re.findall(r"<text [^>]*>([^<]*)</text>", svg)


def test_findings_claim_a_worse_group_only_beyond_the_margins_of_both() -> None:
    report = report_samples.demonstration()
    assert f"state: Poland (0.790{GAP}0.141), within the margins." in sentences(report)
    accuracy = report_samples.accuracy()
    worse = replace(accuracy.groups["Sex"][1], auc=0.7, margin=0.05)
    changed = replace(accuracy, groups={"Sex": (worse,)})
    card = report_samples.card(accuracy=changed)
    assert f"sex: Male (0.700{GAP}0.051), beyond the margins of both." in sentences(
        replace(report, card=card)
    )
    assert "For 3 of 11 groups too little data" in sentences(report)


def test_findings_say_nothing_of_groups_where_none_can_be_measured() -> None:
    accuracy = report_samples.accuracy(groups={})
    said = sentences(report_samples.demonstration(card=report_samples.card(accuracy=accuracy)))
    assert "private evaluation" not in said


def test_every_group_is_a_row_with_its_area_or_too_little_data() -> None:
    accuracy = report_samples.accuracy()
    chart = model_charts.groups_chart(accuracy, name="c")
    drawn = texts(chart.svg)
    assert drawn.count("too little data") == 3
    for partition, groups in accuracy.groups.items():
        for group in groups:
            assert f"{partition}: {group.name}" in drawn
            assert group.auc is None or area_text(group) in drawn
    assert "8 of 11 groups can be measured; 3 have too little data" in chart.description


def test_charts_stand_where_nothing_could_be_measured() -> None:
    nothing = report_samples.accuracy()
    blank = replace(nothing.overall, auc=None, margin=None, reason="too few")
    points = tuple(replace(point, observed=None, margin=None) for point in nothing.points)
    nothing = replace(nothing, overall=blank, groups={}, points=points)
    groups = model_charts.groups_chart(nothing, name="c")
    assert texts(groups.svg).count("too little data") == 1
    assert groups.description.startswith("Too little data beyond the noise")
    assert "No bin of scores" in model_charts.calibration_chart(nothing, name="c").description


def test_the_calibration_chart_counts_the_points_on_the_line() -> None:
    accuracy = report_samples.accuracy()
    off = tuple(replace(point, predicted=0.9) if i == 0 else point for i, point in enumerate(accuracy.points))
    chart = model_charts.calibration_chart(replace(accuracy, points=off), name="c")
    assert "At 4 of 5 points" in chart.description


def test_noisy_numbers_are_written_with_margins_that_hold_their_rounding() -> None:
    assert count_of(-7.2, 2.0).text == f"0{GAP}5†"
    assert chance_text(0.314) == "31%"
    assert chance_text(0.314, 0.05) == f"31{GAP}6%"
    assert chance_text(None) == ":"


def test_a_report_without_types_and_card_has_neither_section() -> None:
    page = report_samples.page(planted=None, card=None)
    assert 'id="planted"' not in page
    assert 'href="#planted"' not in page
    assert 'href="#card"' not in page
    assert 'href="#detection"' in page


def test_a_card_without_accuracy_says_so() -> None:
    card = report_samples.card(accuracy=None, membership=None)
    page = report_samples.page(card=card)
    assert "Accuracy was not measured by a private evaluation." in page
    assert "give away who trained" not in page


def test_the_section_on_the_model_names_its_hash_and_warns_of_an_unknown_accuracy() -> None:
    page = report_samples.page()
    assert f"<dt>Model arrays (SHA-256)</dt><dd>{report_samples.card().model_hash}</dd>" in page
    assert "Model file" not in page
    assert 'aria-label="Warning"' not in page
    unsure = report_samples.card(accuracy=report_samples.accuracy_of(0.55, 0.06))
    section = report_samples.page(card=unsure).partition('<h2 id="card">')[2]
    assert section.index(UNKNOWN) < section.index("<dl>")


def test_persons_are_called_so_where_not_all_are_victims() -> None:
    page = report_samples.page()
    assert "eld-out victims" not in page
    assert "All held-out persons" in page
    nodes = page.partition('<h2 id="nodes">')[2].partition("</table>")[0]
    assert '<th scope="col">Persons on file</th>' in nodes
    assert "persons found not to be victims count as well" in nodes


def test_an_area_that_is_missing_is_said_in_words_that_the_symbols_explain() -> None:
    page = report_samples.page()
    assert "<td>too little data</td>" in page.partition('id="models-table"')[2].partition("</table>")[0]
    assert "<td>too little data</td>" in page.partition('id="own-table"')[2].partition("</table>")[0]
    assert "<td>too little data</td>" in page.partition('id="groups-table"')[2].partition("</table>")[0]
    assert "<dt>Too little data</dt>" in page.partition('<h2 id="symbols">')[2]


def test_types_stand_beside_the_planted_ways_only_where_the_truth_is_known() -> None:
    page = report_samples.page()
    types = page.partition('<h2 id="typologies">')[2].partition("</section>")[0]
    assert "The types reach 0.71." in types
    assert "without privacy reaches 0.75." in types
    assert '<th scope="row">T1</th><td class="text">Forced begging in families</td>' in types
    assert '<th scope="row">T2</th><td class="text">none of them</td>' in types
    assert "adjusted Rand index of 0.71" in sentences(report_samples.demonstration())
    assert "Rand" not in report_samples.page(planted=None)


def test_a_study_that_found_no_planted_way_says_so() -> None:
    page = report_samples.page(planted=Planted({}, None))
    assert "None of the ways in which the records were made up was found again." in page
