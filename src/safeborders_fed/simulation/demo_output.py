"""What the demonstration leaves behind: summary, manifests, the released model with its card, the report."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import safeborders_fed
from safeborders_fed.cases.contract import IDENTIFIER_TYPES, column
from safeborders_fed.privacy import accounting
from safeborders_fed.reporting import building
from safeborders_fed.reporting import card as cards
from safeborders_fed.reporting import model as facts
from safeborders_fed.reporting.beside_links import LinksBeside, TypeOfLink
from safeborders_fed.reporting.card_facts import ModelCardFacts
from safeborders_fed.reporting.codes import label_of
from safeborders_fed.reporting.reading import Released
from safeborders_fed.reporting.shown import Book, Shown
from safeborders_fed.simulation import demo_models, demo_tables
from safeborders_fed.simulation.demo import Result, StudyDone, peak_memory_mib
from safeborders_fed.simulation.link_truth import Recall

TITLE: Final = "SafeBorders Federated: demonstration report"
_QUESTIONS: Final = {
    "logistic": "Which values of the listed fields go with the label {target}, over all states together?",
    "typology": "In which distinct ways is the crime done, and in which states does each occur?",
    "trends": "How many victims were registered, by period and the dimensions of the tables on this page?",
}


def write(result: Result) -> dict[str, Any]:
    """Writes everything into the output directory, and has the model and the tables released.

    Returns:
        The summary.

    Raises:
        ConfigurationError: ``report-extra-missing``.
    """
    out = result.options.out
    for done in result.studies:
        (out / f"{done.manifest.id}.manifest.json").write_bytes(done.manifest.canonical())
        heads = {node: head.model_dump() for node, head in done.outcome.heads.items()}
        (out / f"{done.manifest.id}.heads.json").write_text(_json(heads), encoding="utf-8")
    began = datetime.now(UTC)
    card_facts = demo_models.card_facts(result, began)
    card = cards.card(card_facts)
    (out / "model-card.json").write_bytes(demo_models.card_bytes(card))
    (out / "model-card.html").write_text(cards.render_card(card), encoding="utf-8")
    home, keys = demo_models.found_coordinator(out)
    demo_models.release_model(result, home, keys, card, began)
    documents = demo_tables.release_documents(home, result, keys, began.date())
    page = building.build(
        [documents.tables],
        TITLE,
        typologies=documents.typologies,
        synthetic=result.truth is not None,
        extra=beside(result, card_facts),
    )
    (out / "report.html").write_text(page, encoding="utf-8")
    result.seconds["report"] = (datetime.now(UTC) - began).total_seconds()
    found = summary(result, documents.tables)
    (out / "summary.json").write_text(_json(found), encoding="utf-8")
    return found


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def summary(result: Result, released: Released) -> dict[str, Any]:
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
        "links": None if result.linked is None else asdict(result.linked),
        "evaluation": result.training.outcome.release.facts["evaluation"],
        "tables": _tables(result, released),
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


def _tables(result: Result, released: Released) -> dict[str, Any]:
    """Where the released tables are, and what they publish by year; None for what is suppressed."""
    tables = released.loaded.tables
    book = Book(tables)
    total, years = book.view(), book.view(book.period)
    return {
        "release": tables.id,
        "file": str(released.path.relative_to(result.options.out)),
        "sha256": released.loaded.sha256,
        "margins": {table.name: table.margin for table in tables.tables},
        "suppressed": sum(cell is None for table in tables.tables for cell in table.cells),
        "total": None if total is None else _value(total.of()),
        "years": {}
        if years is None
        else {year: _value(years.of(**{book.period: year})) for year in years.axis(book.period)},
    }


def _value(count: Shown | None) -> int | None:
    return None if count is None else count.value


def beside(result: Result, card: ModelCardFacts | None = None) -> facts.Demonstration:
    """What the page shows beside the released tables."""
    return facts.Demonstration(
        seed=result.options.seed if result.truth is not None else None,
        total_rho=result.rho,
        total_epsilon=result.epsilon,
        delta=result.options.delta,
        studies=tuple(_study_facts(result, done) for done in result.studies),
        nodes=tuple(facts.NodeFacts(node.name, node.victims, node.report.rejected) for node in result.nodes),
        detection=_detection(result),
        seconds=result.seconds,
        planted=demo_tables.planted(result),
        card=card,
        links=links_beside(result),
    )


def links_beside(result: Result) -> LinksBeside | None:
    """What was found of the planted links; None where none were sought."""
    if result.linked is None:
        return None
    linked, found = result.linked, result.linked.recovered
    return LinksBeside(
        on_file=linked.on_file,
        compared=linked.compared,
        points=linked.points,
        seconds=result.seconds["links"],
        equal=found.equal,
        missed=found.missed,
        invented=found.invented,
        types=tuple(
            TypeOfLink(
                label_of("link", kind),
                right.planted,
                right.found,
                misspelt.planted,
                misspelt.found,
                found.false.get(kind, 0),
            )
            for kind in IDENTIFIER_TYPES
            for right, misspelt in [(found.right.get(kind, Recall()), found.misspelt.get(kind, Recall()))]
        ),
        near_misses=found.near_misses,
        networks=found.networks,
        findable=found.findable,
        whole=found.whole,
        partly=found.partly,
        joined=found.joined,
        unplanted=found.unplanted,
    )


def _detection(result: Result) -> facts.Detection | None:
    comparison = result.comparison
    if comparison.federated is None or comparison.pooled is None:
        return None
    return facts.Detection(
        label=demo_models.label(result.target),
        federated=comparison.federated,
        pooled_without_privacy=comparison.pooled,
        alone=comparison.alone,
        alone_reasons=comparison.alone_reasons,
        own_records=comparison.own_records,
        bayes_optimum=bayes_optimum(result),
        records_held_out=comparison.held_out,
    )


def _study_facts(result: Result, done: StudyDone) -> facts.StudyFacts:
    manifest, outcome = done.manifest, done.outcome
    return facts.StudyFacts(
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
        columns=tuple(column(name).label for name in manifest.columns),
    )


def _noise(result: Result, done: StudyDone) -> str:
    if done.manifest.analysis == "trends":
        error = result.tables.outcome.release.facts["standard_errors"]
        return (
            "Discrete Gaussian noise from every state is in every count; after the tables were made "
            f"consistent its standard deviation is {min(error.values()):.1f} to {max(error.values()):.1f} "
            "victims, by table: the section on method has each."
        )
    stage = done.manifest.stages[-1]
    noise = done.manifest.noise(stage.name, len(done.manifest.participants)) / stage.bound
    return (
        "Discrete Gaussian noise from every state is in every coordinate of each round's sum; its standard "
        f"deviation is {noise:.1f} times the most that one victim can change the sum."
    )
