from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import report_samples

from safeborders_fed.errors import DefectError
from safeborders_fed.reporting.model import NodeFacts
from safeborders_fed.reporting.planted import Planted


def refusal(build: Callable[[], object], match: str) -> None:
    with pytest.raises(DefectError, match=match) as caught:
        build()
    assert caught.value.code == "report-facts"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1])
def test_counts_that_are_no_counts_are_refused(value: float) -> None:
    refusal(lambda: report_samples.demonstration(total_rho=value), "total_rho")
    refusal(lambda: report_samples.demonstration(seconds={"Training": value}), "Training of the timings")


def test_negative_intake_is_refused() -> None:
    refusal(lambda: NodeFacts("Belgium", -1, 0), "victims of node 'Belgium'")


def test_areas_above_one_are_refused() -> None:
    refusal(lambda: report_samples.detection(federated=1.2), "more than 1")
    refusal(
        lambda: report_samples.detection(own_records={"Belgium": (0.8, 1.01)}),
        "own of own records of 'Belgium'",
    )


def test_a_node_without_model_needs_a_reason() -> None:
    refusal(lambda: report_samples.detection(alone_reasons={}), "no reason is given why node 'Ελλάδα'")


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-6, float("nan")])
def test_delta_must_be_a_probability_between_zero_and_one(delta: float) -> None:
    refusal(lambda: report_samples.demonstration(delta=delta), "delta of the demonstration")
    refusal(lambda: replace(report_samples.studies()[0], delta=delta), "delta of study 'sample-victims-1'")


def test_an_unknown_trust_mode_is_refused() -> None:
    refusal(lambda: replace(report_samples.studies()[0], trust="hopeful"), "not 'local' or 'masked'")


@pytest.mark.parametrize("agreement", [float("nan"), 1.2, -1.01])
def test_an_index_of_agreement_lies_between_minus_one_and_one(agreement: float) -> None:
    refusal(lambda: Planted({}, agreement), "adjusted Rand index")
    refusal(lambda: Planted({}, 0.5, agreement), "adjusted Rand index")
    assert Planted({}, None).adjusted_rand is None
