from __future__ import annotations

import math
from typing import Any

import pytest
import report_samples

from safeborders_fed.reporting.findings import epsilon_in_words, of_demonstration


def sentences(**changes: Any) -> str:
    return " ".join(of_demonstration(report_samples.demonstration(**changes))).replace("\u00a0", " ")


UNKNOWN = "The private evaluation could not tell whether the model ranks better than chance."


@pytest.mark.parametrize(
    ("area", "known"),
    [((0.8, 0.1), True), ((0.6, 0.1), False), ((0.45, 0.2), False), ((None, None), False), (None, False)],
)
def test_an_unknown_accuracy_is_a_key_finding(
    area: tuple[float | None, float | None] | None, *, known: bool
) -> None:
    measured = None if area is None else report_samples.accuracy_of(*area)
    text = sentences(card=report_samples.card(accuracy=measured))
    assert (UNKNOWN in text) is not known
    shown = area is not None and area[0] is not None
    assert ("ranks all held-out persons with an area" in text) is shown


def test_without_a_model_nothing_is_said_of_its_accuracy() -> None:
    assert UNKNOWN not in sentences(card=None)


def test_detection_names_what_it_was_measured_on_and_both_rivals() -> None:
    text = sentences()
    assert "On 2,412 held-out records" in text
    assert "0.884, 0.006 below a model that pools all files without privacy (0.890)" in text
    assert "nodes alone reach 0.701 (Finland) to 0.871 (Italy)" in text
    assert "ahead of the node's own model at 5 of the 6 nodes where both can be measured" in text


def test_detection_without_any_model_alone_claims_nothing_about_nodes() -> None:
    lonely = report_samples.detection(
        alone={"Belgium": None}, alone_reasons={"Belgium": "too few"}, own_records={"Belgium": (0.8, None)}
    )
    text = sentences(detection=lonely)
    assert "alone reach" not in text
    assert "own held-out records" not in text


def test_equal_models_are_level() -> None:
    even = report_samples.detection(pooled_without_privacy=0.8841, alone={"Belgium": 0.8}, alone_reasons={})
    text = sentences(detection=even)
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
