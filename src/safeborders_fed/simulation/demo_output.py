"""What the demonstration leaves behind: summary, manifests, the released model with its card, the report."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

import safeborders_fed
from safeborders_fed.analyses.trends import OTHER_YEARS, SEVERAL_FORMS
from safeborders_fed.cases.contract import UNKNOWN, field
from safeborders_fed.privacy import accounting
from safeborders_fed.reporting import card as cards
from safeborders_fed.reporting import from_release
from safeborders_fed.reporting import model as page
from safeborders_fed.reporting.card_facts import ModelCardFacts
from safeborders_fed.reporting.typologies import Typologies
from safeborders_fed.simulation import demo_models, demo_tables
from safeborders_fed.simulation.demo import Result, StudyDone, peak_memory_mib

_YEAR, _FORM, _AGE = 0, 1, 2
_QUESTIONS: Final = {
    "logistic": "Which values of the listed fields go with the label {target}, over all states together?",
    "typology": "In which distinct ways is the crime done, and in which states does each occur?",
    "trends": "How many victims were registered, by year, form of exploitation and age band?",
}


def write(result: Result, write_report: Callable[[page.Report, Path], None]) -> None:
    """Writes everything into the output directory, and has the model released.

    Args:
        result: What the demonstration found.
        write_report: ``reporting.report.write``.
    """
    out = result.options.out
    for done in result.studies:
        (out / f"{done.manifest.id}.manifest.json").write_bytes(done.manifest.canonical())
        heads = {node: head.model_dump() for node, head in done.outcome.heads.items()}
        (out / f"{done.manifest.id}.heads.json").write_text(_json(heads), encoding="utf-8")
    began = datetime.now(UTC)
    facts = demo_models.card_facts(result, began)
    card = cards.card(facts)
    (out / "model-card.json").write_bytes(demo_models.card_bytes(card))
    (out / "model-card.html").write_text(cards.render_card(card), encoding="utf-8")
    home, keys = demo_models.found_coordinator(out)
    demo_models.release_model(result, home, keys, card, began)
    demo_tables.release_tables(home, result.tables, keys, began.date())
    write_report(report(result, began, facts), out / "report.html")
    result.seconds["report"] = (datetime.now(UTC) - began).total_seconds()
    (out / "summary.json").write_text(_json(summary(result)), encoding="utf-8")


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def summary(result: Result) -> dict[str, Any]:
    """The figures of the demonstration, as JSON values."""
    comparison = result.comparison
    seconds = {step: round(took, 3) for step, took in result.seconds.items()}
    seconds["total"] = round(sum(result.seconds.values()), 3)
    return {
        "schema_version": 1,
        "software_version": safeborders_fed.__version__,
        "seed": result.options.seed if result.truth is not None else None,
        "nodes": [
            {
                "name": node.name,
                "victims": node.victims,
                "rows": node.report.read,
                "quarantined": node.report.rejected,
                "reasons": node.report.reasons,
            }
            for node in result.nodes
        ],
        "study": {
            "rounds": sum(done.outcome.rounds for done in result.studies),
            "rho": result.rho,
            "epsilon": result.epsilon,
            "delta": result.options.delta,
            "trust": result.training.manifest.trust,
            "budget_epsilon": result.options.epsilon,
        },
        "studies": [_study_summary(done) for done in result.studies],
        "target": result.target,
        "auc": {
            "federated": comparison.federated,
            "pooled_without_privacy": comparison.pooled,
            "alone": comparison.alone,
            "alone_reasons": comparison.alone_reasons,
            "own_records": {
                node: {"federated": pair[0], "alone": pair[1]}
                for node, pair in comparison.own_records.items()
            },
            "bayes_optimum": bayes_optimum(result),
            "held_out": comparison.held_out,
        },
        "typologies": _typology_summary(result),
        "evaluation": result.training.outcome.release.facts["evaluation"],
        "tables": _tables(result),
        "seconds": seconds,
        "peak_memory_mib": round(peak_memory_mib(), 1),
    }


def _study_summary(done: StudyDone) -> dict[str, Any]:
    return {
        "id": done.manifest.id,
        "analysis": done.manifest.analysis,
        "manifest_hash": done.manifest.hash(),
        "rounds": done.outcome.rounds,
        "attempts": done.outcome.attempts,
        "rho": done.outcome.rho_spent,
        "rho_reserved": done.manifest.rho,
        "trust": done.manifest.trust,
    }


def bayes_optimum(result: Result) -> float | None:
    """What the best possible model could reach, where the files are synthetic and the label is theirs."""
    if result.truth is None or result.target != "actual_victim":
        return None
    optimum: float = result.truth["detection"]["bayes_auc"]
    return optimum


def _typology_summary(result: Result) -> dict[str, Any]:
    facts, recovery = result.typologies.outcome.release.facts, result.recovery
    exact = result.recovery_without_privacy
    found = {entry["name"]: entry["prevalence"] for entry in facts["classes"]}
    beside = None if recovery is None else {name: recovery.counterpart(name) for name in recovery.found}
    return {
        "victims": found,
        "adjusted_rand": None if recovery is None else recovery.agreement,
        "adjusted_rand_without_privacy": None if exact is None else exact.agreement,
        "planted": beside,
    }


def _tables(result: Result) -> dict[str, Any]:
    release = result.tables.outcome.release
    table = release.arrays["table"]
    return {
        "years": release.facts["years"],
        "forms": release.facts["forms"],
        "age_bands": release.facts["ages"],
        "counts": np.round(table, 1).tolist(),
        "standard_errors": release.facts["standard_errors"],
    }


def report(result: Result, created: datetime, card: ModelCardFacts | None = None) -> page.Report:
    """The facts of the report's page."""
    comparison = result.comparison
    if comparison.federated is None or comparison.pooled is None:
        detection = None
    else:
        detection = page.Detection(
            label=demo_models.label(result.target),
            federated=comparison.federated,
            pooled_without_privacy=comparison.pooled,
            alone=comparison.alone,
            alone_reasons=comparison.alone_reasons,
            own_records=comparison.own_records,
            bayes_optimum=bayes_optimum(result),
            records_held_out=comparison.held_out,
        )
    return page.Report(
        title="SafeBorders Federated: demonstration report",
        created=created,
        synthetic=result.truth is not None,
        software_version=safeborders_fed.__version__,
        seed=result.options.seed if result.truth is not None else None,
        total_rho=result.rho,
        total_epsilon=result.epsilon,
        delta=result.options.delta,
        studies=tuple(_study_facts(result, done) for done in result.studies),
        nodes=tuple(page.NodeFacts(node.name, node.victims, node.report.rejected) for node in result.nodes),
        detection=detection,
        trends=trend_tables(result),
        seconds=result.seconds,
        typologies=_typologies(result),
        card=card,
    )


def _study_facts(result: Result, done: StudyDone) -> page.StudyFacts:
    manifest, outcome = done.manifest, done.outcome
    return page.StudyFacts(
        id=manifest.id,
        purpose=manifest.purpose,
        question=_QUESTIONS[manifest.analysis].format(target=demo_models.label(result.target)),
        analysis=manifest.analysis,
        states=manifest.participants,
        rounds=outcome.rounds,
        rho=outcome.rho_spent,
        epsilon=accounting.epsilon(outcome.rho_spent, manifest.delta),
        delta=manifest.delta,
        trust=manifest.trust,
        noise=_noise(result, done),
        columns=tuple(field(name).label for name in manifest.columns),
    )


def _noise(result: Result, done: StudyDone) -> str:
    if done.manifest.analysis == "trends":
        error = result.tables.outcome.release.facts["standard_errors"]
        return (
            "Discrete Gaussian noise from every state is in every count; after the tables were made "
            f"consistent its standard deviation is {error['year x form x age']:.1f} victims in a cell, "
            f"{error['year x form']:.1f} in a year and form, {error['total']:.1f} in the total."
        )
    stage = done.manifest.stages[-1]
    noise = done.manifest.noise(stage.name, len(done.manifest.participants)) / stage.bound
    return (
        "Discrete Gaussian noise from every state is in every coordinate of each round's sum; its standard "
        f"deviation is {noise:.1f} times the most that one victim can change the sum."
    )


def _typologies(result: Result) -> Typologies:
    """The types, in synthetic files beside the planted ones that most of their victims are of."""
    facts, recovery = result.typologies.outcome.release.facts, result.recovery
    if recovery is None or result.truth is None:
        return from_release.typologies(facts)
    planted = {}
    for name in recovery.found:
        best = recovery.counterpart(name)
        if best is not None:
            planted[name] = result.truth["typologies"][best[0]]["label"]
    exact = result.recovery_without_privacy
    return from_release.typologies(
        facts,
        planted=planted,
        adjusted_rand=recovery.agreement,
        adjusted_rand_pooled=None if exact is None else exact.agreement,
    )


def trend_tables(result: Result) -> page.TrendTables:
    """The released table with all margins and their standard errors."""
    release = result.tables.outcome.release
    table = release.arrays["table"]
    errors = release.facts["standard_errors"]
    years = [page.OTHER_YEAR if year == OTHER_YEARS else year for year in release.facts["years"]]
    axes = (years, [_form_label(form) for form in release.facts["forms"]], _age_labels(release.facts["ages"]))

    def cells(kept: tuple[int, ...], error: float) -> tuple[page.TrendCell, ...]:
        dropped = tuple(axis for axis in (_YEAR, _FORM, _AGE) if axis not in kept)
        margin = table.sum(axis=dropped, keepdims=True)
        found = []
        for place in np.ndindex(margin.shape):
            year, form, age = (
                axes[axis][index] if axis in kept else page.TOTAL for axis, index in enumerate(place)
            )
            found.append(page.TrendCell(year, form, age, float(margin[place]), error))
        return tuple(found)

    return page.TrendTables(
        cells=cells((_YEAR, _FORM, _AGE), errors["year x form x age"]),
        by_year_form=cells((_YEAR, _FORM), errors["year x form"]),
        by_year_age=cells((_YEAR, _AGE), errors["year x age"]),
        by_year=cells((_YEAR,), errors["year"]),
        by_form=cells((_FORM,), errors["form"]),
        total=cells((), errors["total"])[0],
    )


def _form_label(code: str) -> str:
    if code == SEVERAL_FORMS:
        return "Several forms"
    if code == UNKNOWN:
        return "Not known"
    return next(value.label for value in field("forms_of_exploitation").values if value.code == code)


def _age_labels(groups: list[str]) -> list[str]:
    known = {value.code: value.label for value in field("age_band").values}
    return [
        "Not known" if group == UNKNOWN else known.get(group, group.replace("--", "-")) for group in groups
    ]
