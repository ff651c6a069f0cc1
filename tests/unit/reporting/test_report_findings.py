from __future__ import annotations

import math
from typing import Any

import pytest
import report_samples

from safeborders_fed.reporting.figures import Count, PublishedTrends, publish
from safeborders_fed.reporting.findings import epsilon_in_words, key_findings
from safeborders_fed.reporting.model import TOTAL


def trends(first: dict[str, int], last: dict[str, int], margin: int) -> PublishedTrends:
    counts = {}
    for year, values in (("2020", first), ("2024", last)):
        counts |= {(year, form, TOTAL): Count(value, margin) for form, value in values.items()}
        counts[year, TOTAL, TOTAL] = Count(sum(values.values()), margin)
    counts |= {(TOTAL, form, TOTAL): Count(first[form] + last[form], margin) for form in first}
    return PublishedTrends(("2020", "2024"), ("2020", "2024"), tuple(first), (), counts)


def sentences(published: PublishedTrends, **changes: Any) -> str:
    return " ".join(key_findings(report_samples.report(**changes), published)).replace("\u00a0", " ")


def test_a_change_beyond_the_noise_is_told_with_margins() -> None:
    text = sentences(trends({"Begging": 40, "Labour": 100}, {"Begging": 90, "Labour": 101}, margin=8))
    assert "victims a year rose from 140 ± 8 to 191 ± 8, a change of +51 ± 16." in text
    assert "changed most is Begging: +50 ± 16 victims a year (40 ± 8 in 2020, 90 ± 8 in 2024)." in text


def test_a_fall_is_told_as_a_fall() -> None:
    text = sentences(trends({"Begging": 90}, {"Begging": 40}, margin=8))
    assert "victims a year fell from 90 ± 8 to 40 ± 8, a change of \u221250 ± 16." in text


def test_a_change_within_the_noise_is_not_told_as_a_change() -> None:
    text = sentences(trends({"Begging": 40, "Labour": 100}, {"Begging": 55, "Labour": 100}, margin=8))
    assert "went from 140 ± 8 to 155 ± 8: no change beyond the noise." in text
    assert "No form of exploitation changed by more than its noise between 2020 and 2024." in text
    assert "rose" not in text


def test_the_largest_form_is_named_only_when_margins_do_not_overlap() -> None:
    clear = sentences(trends({"Begging": 40, "Labour": 100}, {"Begging": 40, "Labour": 100}, margin=8))
    assert "The largest form of exploitation is Labour: 200 ± 8 victims." in clear
    close = sentences(trends({"Begging": 95, "Labour": 100}, {"Begging": 95, "Labour": 100}, margin=8))
    assert "cannot be named with confidence: Labour (200 ± 8) and Begging (190 ± 8)" in close


def test_one_year_alone_has_no_change() -> None:
    published = publish(report_samples.trend_tables(years=("2024",)))
    assert "Between" not in sentences(published)


def test_the_total_says_whom_it_leaves_out() -> None:
    published = publish(report_samples.trend_tables())
    total = published.of().text.replace("\u00a0", " ")
    assert (
        f"The files of the 8 nodes hold {total} victims, persons found not to be victims left out, all years"
        " together." in sentences(published)
    )


UNKNOWN = "The private evaluation could not tell whether the model ranks better than chance."


@pytest.mark.parametrize(
    ("area", "known"),
    [((0.8, 0.1), True), ((0.6, 0.1), False), ((0.45, 0.2), False), ((None, None), False), (None, False)],
)
def test_an_unknown_accuracy_is_a_key_finding(
    area: tuple[float | None, float | None] | None, *, known: bool
) -> None:
    measured = None if area is None else report_samples.accuracy_of(*area)
    published = publish(report_samples.trend_tables())
    text = sentences(published, card=report_samples.card(accuracy=measured))
    assert (UNKNOWN in text) is not known
    shown = area is not None and area[0] is not None
    assert ("ranks all held-out persons with an area" in text) is shown


def test_without_a_model_nothing_is_said_of_its_accuracy() -> None:
    assert UNKNOWN not in sentences(publish(report_samples.trend_tables()), card=None)


def test_detection_names_what_it_was_measured_on_and_both_rivals() -> None:
    text = sentences(publish(report_samples.trend_tables()))
    assert "On 2,412 held-out records" in text
    assert "0.884, 0.006 below a model that pools all files without privacy (0.890)" in text
    assert "nodes alone reach 0.701 (Finland) to 0.871 (Italy)" in text
    assert "ahead of the node's own model at 5 of the 6 nodes where both can be measured" in text


def test_detection_without_any_model_alone_claims_nothing_about_nodes() -> None:
    lonely = report_samples.detection(
        alone={"Belgium": None}, alone_reasons={"Belgium": "too few"}, own_records={"Belgium": (0.8, None)}
    )
    text = sentences(publish(report_samples.trend_tables()), detection=lonely)
    assert "alone reach" not in text
    assert "own held-out records" not in text


def test_equal_models_are_level() -> None:
    even = report_samples.detection(pooled_without_privacy=0.8841, alone={"Belgium": 0.8}, alone_reasons={})
    text = sentences(publish(report_samples.trend_tables()), detection=even)
    assert "of 0.884, level with a model" in text
    assert "Belgium alone reaches 0.800" in text


@pytest.mark.parametrize(
    ("epsilon", "sure"), [(0.0, "50%"), (1.0, "74%"), (3.0, "96%"), (6.0, "99.8%"), (40.0, "more than 99.9%")]
)
def test_epsilon_in_words_bounds_what_a_guess_can_become(epsilon: float, sure: str) -> None:
    promise, limits = epsilon_in_words(epsilon, 1e-6)
    assert f"at most {sure} sure" in promise
    assert "1 in 1,000,000" in promise
    assert "state" in limits


@pytest.mark.parametrize("epsilon", [0.01, 0.5, 1, 2, 4.5, 4.6, 6, 6.9])
def test_epsilon_in_words_is_never_too_low(epsilon: float) -> None:
    shown = epsilon_in_words(epsilon, 1e-6)[0].partition("at most ")[2].partition("%")[0]
    if shown.replace(".", "").isdecimal():
        assert float(shown) >= 100 * math.exp(epsilon) / (1 + math.exp(epsilon))
