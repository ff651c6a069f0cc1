"""The demonstration's model as people get it: with a card, released by two operators.

Guarantees: card, candidate and release are made by the code that a coordinator uses; only the operators are
made up, and their keys are in a directory of the demonstration.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import safeborders_fed
from safeborders_fed.cases.contract import CONTRACT_VERSION, field
from safeborders_fed.coordinator import models
from safeborders_fed.coordinator.home import CoordinatorHome, add_operator, create_home
from safeborders_fed.node.settings import SETTINGS_FILE
from safeborders_fed.reporting import from_release
from safeborders_fed.reporting.accuracy import Estimate
from safeborders_fed.reporting.card_facts import ModelCardFacts
from safeborders_fed.study import model_file
from safeborders_fed.study.key_files import load_key

if TYPE_CHECKING:
    from safeborders_fed.simulation.demo import Result
    from safeborders_fed.study.model_file import Model

MODEL_NAME: Final = "demo-detection"
_OPERATORS: Final = ("First operator", "Second operator")
_REASON: Final = "Demonstration: shows a release by two people."


def label(target: str) -> str:
    """What a positive record is, in words."""
    if target == "actual_victim":
        return "actual victim of trafficking"
    if target == "minor_exploited_by_group":
        return "minor exploited by a group"
    code = target.partition(":")[2]
    return next(value.label for value in field("forms_of_exploitation").values if value.code == code)


def card_facts(result: Result, created: datetime) -> ModelCardFacts:
    """What the card of the demonstration's model says."""
    manifest, outcome = result.training.manifest, result.training.outcome
    facts, parameters = outcome.release.facts, manifest.parameters
    error = facts["counts_error"]
    return ModelCardFacts(
        name=MODEL_NAME,
        created=created,
        synthetic=result.truth is not None,
        software_version=safeborders_fed.__version__,
        contract_version=CONTRACT_VERSION,
        analysis=manifest.analysis,
        study=manifest.id,
        purpose=manifest.purpose,
        legal_basis=manifest.legal_basis,
        label=label(result.target),
        population={"all": "all ages", "minors": "minors only"}[parameters["population"]],
        features=tuple(field(name).label for name in facts["features"]),
        states=manifest.participants,
        held_out=parameters["held_out"],
        rounds=outcome.rounds,
        rho=manifest.rho,
        epsilon=manifest.epsilon,
        delta=manifest.delta,
        trust=manifest.trust,
        tolerated_colluders=manifest.tolerated_colluders,
        labelled=Estimate(facts["labelled_noisy"], error),
        positives=Estimate(facts["positives_noisy"], error),
        accuracy=from_release.accuracy(facts["evaluation"]),
        membership=result.membership,
        approvals=result.training.approvals,
        model_hash=model_file.fingerprint(outcome.release.arrays),
        manifest_hash=manifest.hash(),
        started_from=parameters["warm_start"],
    )


def found_coordinator(out: Path) -> tuple[CoordinatorHome, list[Path]]:
    """A coordinator with two operators, and their key files in the order of their enrolment."""
    home_path, keys = out / "coordinator", out / "operator-keys"
    keys.mkdir()
    paths = [keys / f"{place}.key" for place in ("first", "second")]
    home = create_home(home_path, operator=_OPERATORS[0], key_file=paths[0])
    add_operator(home, _OPERATORS[1], paths[1])
    return CoordinatorHome.load(home_path), paths


def release_model(
    result: Result, home: CoordinatorHome, paths: Sequence[Path], card: dict[str, Any], today: datetime
) -> Model:
    """Keeps the model as a candidate, and has two operators release it."""
    data = card_bytes(card)
    training = result.training
    model = models.store(
        home, training.outcome.release, training.manifest, name=MODEL_NAME, today=today.date(), card=data
    )
    for place, (name, path) in enumerate(zip(_OPERATORS, paths, strict=True)):
        models.release(
            home,
            str(model.head.id),
            sha256=model.sha256,
            by=name,
            key=load_key(path),
            today=today.date(),
            reason=None if place else _REASON,
            although_unknown=True,  # a small demonstration may not tell; card and report say so
        )
    for node in result.nodes:
        pin_operators(result.options.out / "nodes" / node.name / SETTINGS_FILE, home)
    return model


def pin_operators(settings: Path, home: CoordinatorHome) -> None:
    """Has a node's settings, where it has any, trust the operators."""
    if settings.is_file():
        keys = json.dumps([operator.public for operator in home.operators])
        with settings.open("a", encoding="utf-8") as file:
            file.write(f"operator_keys = {keys}\noperator_signatures = {home.release_signatures}\n")


def card_bytes(card: dict[str, Any]) -> bytes:
    """A card as it is written and hashed."""
    return (json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
