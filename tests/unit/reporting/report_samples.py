"""Made-up facts for tests of the report: no figure in here was measured on anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import Any

import numpy as np

from safeborders_fed.reporting.accuracy import Accuracy, CalibrationPoint, Estimate, GroupAccuracy
from safeborders_fed.reporting.card_facts import Guess, MembershipTest, ModelCardFacts
from safeborders_fed.reporting.model import (
    TOTAL,
    Detection,
    NodeFacts,
    Report,
    StudyFacts,
    TrendCell,
    TrendTables,
)
from safeborders_fed.reporting.typologies import Trait, Typologies, TypologyFacts

Names = tuple[str, ...]

STATES = ("Belgium", "България", "Finland", "Ελλάδα", "Italy", "Poland", "Portugal", "Romania")
YEARS = (*(str(year) for year in range(2016, 2026)), "Other")
FORMS = (
    "Forced labour",
    "Sexual exploitation",
    "Child labour",
    "Forced marriage",
    "Servitude",
    "Forced military service by non-state actors",
    "Organ removal",
    "Forced begging",
    "Illegal adoption",
    "Surrogacy",
    "Forced criminal activity (Directive 2011/36/EU)",
    "Other",
    "Unknown",
)
AGES = ("0-8", "9-17", "18-20", "21-23", "24-26", "27-29", "30-38", "39-47", "48 or over", "Unknown")
FORM_WEIGHTS = (0.22, 0.4, 0.03, 0.02, 0.02, 0.001, 0.0, 0.09, 0.004, 0.0, 0.12, 0.035, 0.06)
AGE_WEIGHTS = (0.04, 0.24, 0.14, 0.12, 0.1, 0.09, 0.13, 0.06, 0.03, 0.05)


def trend_tables(
    *,
    years: Names = YEARS,
    forms: Names = FORMS,
    ages: Names = AGES,
    victims: int = 12_000,
    sigma: float = 2.4,
) -> TrendTables:
    """Tables of the size that the eight states would have, with growth in some forms."""
    draw = np.random.default_rng(11)
    growth = np.array([[1 + 0.06 * i * (j % 3 == 1) for j in range(len(forms))] for i in range(len(years))])
    growth[-1] *= 0.08
    shape = growth[:, :, None] * np.array(FORM_WEIGHTS[: len(forms)])[:, None] * AGE_WEIGHTS[: len(ages)]
    mean = victims * shape / shape.sum()
    values = np.maximum(0, draw.poisson(mean) + draw.normal(0, sigma, mean.shape))

    def rows(names: list[tuple[str, ...]], table: np.ndarray, error: float) -> tuple[TrendCell, ...]:
        return tuple(
            TrendCell(*key, value=float(value), standard_error=error)
            for key, value in zip(product(*names), table.ravel(), strict=True)
        )

    total = (TOTAL,)
    return TrendTables(
        cells=rows([years, forms, ages], values, sigma),
        by_year_form=rows([years, forms, total], values.sum(2), 1.6 * sigma),
        by_year_age=rows([years, total, ages], values.sum(1), 1.7 * sigma),
        by_year=rows([years, total, total], values.sum((1, 2)), 2.1 * sigma),
        by_form=rows([total, forms, total], values.sum((0, 2)), 2.4 * sigma),
        total=TrendCell(TOTAL, TOTAL, TOTAL, float(values.sum()), 3.1 * sigma),
    )


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


TRAITS = (
    Trait("Method of recruitment", "Through online social networks", 0.684, 0.021, 0.19),
    Trait("Recruiter's relationship to the victim", "Intimate partner", 0.57, 0.03, 0.131),
    Trait("Means of control", "Restricts access to money", 0.412, 0.018, 0.222),
)


def typologies(**changes: Any) -> Typologies:
    """Four types, of which one is found in a single state and one in none."""
    draw = np.random.default_rng(5)
    shares, years = (0.46, 0.33, 0.2, 0.01), YEARS[-5:]
    planted = (
        "Sexual exploitation by an intimate partner met online",
        "Forced begging in families",
        None,
        None,
    )
    found_in = (STATES, ("България", "Italy", "Romania"), ("Finland",), ())
    types = []
    for i, share in enumerate(shares):
        in_states = {
            state: Estimate(300 * share * (3 if state in found_in[i] else 0) + draw.normal(0, 8), 8.3)
            for state in STATES
        }
        in_years = {year: Estimate(900 * share + draw.normal(0, 12), 12.1) for year in years}
        victims = Estimate(4_000 * share, 22.4)
        traits = TRAITS[: 3 - i]
        types.append(
            TypologyFacts(f"T{i + 1}", victims, share, traits, in_states, in_years, found_in[i], planted[i])
        )
    sample = Typologies(tuple(types), STATES, years, adjusted_rand=0.712, adjusted_rand_pooled=0.754)
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


def report(**changes: Any) -> Report:
    """A whole report, clearly made up; ``changes`` replace single facts."""
    sample = Report(
        title="Sample report on child trafficking over eight made-up states",
        created=datetime(2026, 11, 21, 20, 5, tzinfo=UTC),
        synthetic=True,
        software_version="0.1.0",
        seed=7,
        total_rho=0.0212,
        total_epsilon=0.9974,
        delta=1e-6,
        studies=studies(),
        nodes=tuple(NodeFacts(state, 400 + 317 * i, (13 * i) % 29) for i, state in enumerate(STATES)),
        detection=detection(),
        trends=trend_tables(),
        seconds={"Making the files": 2.41, "Intake at eight nodes": 9.3, "Training": 31.07, "Tables": 1.2},
        typologies=typologies(),
        card=card(),
    )
    return replace(sample, **changes)
