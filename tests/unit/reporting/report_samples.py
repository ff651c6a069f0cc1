"""Made-up facts for tests of the report: no figure in here was measured on anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import type_samples
from safeborders_fed.reporting.accuracy import Accuracy, CalibrationPoint, Estimate, GroupAccuracy
from safeborders_fed.reporting.building import build
from safeborders_fed.reporting.card_facts import Guess, MembershipTest, ModelCardFacts
from safeborders_fed.reporting.model import Demonstration, Detection, NodeFacts, StudyFacts
from safeborders_fed.reporting.planted import Planted
from table_samples import counts, loaded, release, released

TITLE = "Sample report · Жертви на трафик · Θύματα εμπορίας"
STATES = ("Belgium", "България", "Finland", "Ελλάδα", "Italy", "Poland", "Portugal", "Romania")


def studies() -> tuple[StudyFacts, ...]:
    common = {
        "purpose": "Prevention of trafficking in human beings (made up)",
        "states": STATES,
        "delta": 1e-6,
    }
    return (
        StudyFacts(
            id="sample-victims-1",
            question="How many victims take part, so that the rules of training can follow it?",
            analysis="trends",
            rounds=1,
            rho=0.0004,
            epsilon=0.13,
            trust="masked",
            noise="Discrete Gaussian noise of standard deviation 35 is in the one count.",
            columns=("Trafficking status",),
            **common,
        ),
        StudyFacts(
            id="sample-detection-1",
            question="Which traits of a referral tell actual victims from others?",
            analysis="logistic",
            rounds=40,
            rho=0.0121,
            epsilon=0.72,
            trust="masked",
            noise="Discrete Gaussian noise is in every coordinate of the summed gradient of each round.",
            columns=("Age", "Sex", "Citizenship", "Means of control", "Method of recruitment", "Transport"),
            **common,
        ),
        StudyFacts(
            id="sample-trends-1",
            question="How do victims spread over years, forms of exploitation and age?",
            analysis="trends",
            rounds=1,
            rho=0.0087,
            epsilon=0.61,
            trust="masked",
            noise="Discrete Gaussian noise of standard deviation 2.4 is in every count.",
            columns=("Date of registration", "Forms of exploitation", "Age"),
            **common,
        ),
    )


def detection(**changes: Any) -> Detection:
    alone = dict(zip(STATES, (0.842, 0.835, 0.701, None, 0.871, 0.838, 0.776, 0.861), strict=True))
    own = {
        "Belgium": (0.884, 0.861),
        "България": (0.879, 0.866),
        "Finland": (0.861, 0.724),
        "Ελλάδα": (0.872, None),
        "Italy": (0.893, 0.894),
        "Poland": (0.881, 0.852),
        "Portugal": (None, None),
        "Romania": (0.886, 0.884),
    }
    sample = Detection(
        label="actual victim of trafficking",
        federated=0.8841,
        pooled_without_privacy=0.8903,
        alone=alone,
        alone_reasons={"Ελλάδα": "all records of the training part have the same status"},
        own_records=own,
        bayes_optimum=0.9012,
        records_held_out=2_412,
    )
    return replace(sample, **changes)


def _group(name: str, victims: float, auc: float | None, margin: float | None) -> GroupAccuracy:
    reason = "too few victims of one label to tell beyond the noise" if auc is None else None
    return GroupAccuracy(name, Estimate(victims, 31.2), Estimate(0.29 * victims, 22.1), auc, margin, reason)


def accuracy(**changes: Any) -> Accuracy:
    """An evaluation by all four partitions, with groups too small to measure."""
    areas = (
        (0.861, 0.11),
        (0.842, 0.08),
        None,
        (0.884, 0.1),
        (0.903, 0.062),
        (0.79, 0.14),
        None,
        (0.88, 0.1),
    )
    by_state = tuple(
        _group(state, 80 if area is None else 340, *(area or (None, None)))
        for state, area in zip(STATES, areas, strict=True)
    )
    chances = (0.04, 0.11, 0.22, 0.38, 0.57, 0.83)
    sample = Accuracy(
        overall=_group("All held-out persons", 2_412, 0.872, 0.036),
        groups={
            "Sex": (
                _group("Female", 1_420, 0.881, 0.048),
                _group("Male", 890, 0.852, 0.061),
                _group("Other or not known", -12, None, None),
            ),
            "State": by_state,
        },
        slope=1.21,
        intercept=-0.14,
        slope_error=0.08,
        points=tuple(
            CalibrationPoint(
                400, chance**1.2, chance, None if i == 2 else chance + 0.02, None if i == 2 else 0.05
            )
            for i, chance in enumerate(chances)
        ),
    )
    return replace(sample, **changes)


def accuracy_of(auc: float | None, margin: float | None) -> Accuracy:
    """An evaluation with that area over all held-out persons."""
    return accuracy(overall=_group("All held-out persons", 2_412, auc, margin))


def card(**changes: Any) -> ModelCardFacts:
    """A released model, made up."""
    sample = ModelCardFacts(
        name="detection-actual-victim 3",
        created=datetime(2026, 11, 21, 19, 0, tzinfo=UTC),
        synthetic=True,
        software_version="0.1.0",
        contract_version="1",
        analysis="logistic",
        study="sample-detection-1",
        purpose="Prevention of trafficking in human beings (made up)",
        legal_basis="none: a sample",
        label="actual victim of trafficking",
        population="all persons in case files",
        features=("Age", "Sex", "Means of control", "Method of recruitment"),
        states=STATES,
        held_out=25,
        rounds=24,
        rho=0.0121,
        epsilon=0.7213,
        delta=1e-6,
        trust="masked",
        tolerated_colluders=1,
        labelled=Estimate(7_318.4, 21.3),
        positives=Estimate(2_120.7, 21.3),
        accuracy=accuracy(),
        membership=MembershipTest(
            0.508,
            0.013,
            0.673,
            7_320,
            2_412,
            (Guess(0.01, 0.011, 0.008, 0.014, 0.0206), Guess(0.05, 0.052, 0.047, 0.058, 0.103)),
        ),
        approvals=dict.fromkeys(STATES, 2) | {"Finland": 1},
        model_hash="3f" * 32,
        manifest_hash="a7" * 32,
    )
    return replace(sample, **changes)


def demonstration(**changes: Any) -> Demonstration:
    """All facts of a demonstration, clearly made up; ``changes`` replace single facts."""
    sample = Demonstration(
        seed=7,
        total_rho=0.0212,
        total_epsilon=0.9974,
        delta=1e-6,
        studies=studies(),
        nodes=tuple(NodeFacts(state, 400 + 317 * i, (13 * i) % 29) for i, state in enumerate(STATES)),
        detection=detection(),
        seconds={"Making the files": 2.41, "Intake at eight nodes": 9.3, "Training": 31.07, "Tables": 1.2},
        planted=Planted({"T1": "Forced begging in families"}, 0.712, 0.754),
        card=card(),
    )
    return replace(sample, **changes)


def page(title: str = TITLE, *, synthetic: bool = True, **changes: Any) -> str:
    """The page of a small made-up release with such a demonstration."""
    one = released(loaded(release(counts(4))))
    types = released(loaded(type_samples.typed()))
    return build([one], title, typologies=types, synthetic=synthetic, extra=demonstration(**changes))
