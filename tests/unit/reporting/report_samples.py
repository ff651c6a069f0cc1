"""Made-up facts for tests of the report: no figure in here was measured on anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import Any

import numpy as np

from safeborders_fed.reporting.model import (
    TOTAL,
    Detection,
    NodeFacts,
    Report,
    StudyFacts,
    TrendCell,
    TrendTables,
)

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
    )
    return replace(sample, **changes)
