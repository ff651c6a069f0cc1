"""Made-up models for tests: trained without noise, stored at a coordinator, released by two operators."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from federation_of import MAX_VICTIMS, analysis_table, study
from safeborders_fed.analyses.base import Release
from safeborders_fed.cases.encoding import merge
from safeborders_fed.coordinator import models
from safeborders_fed.coordinator.home import CoordinatorHome, add_operator, create_home
from safeborders_fed.study import model_file
from safeborders_fed.study.key_files import load_key
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.model_file import Head, Model

TODAY = date(2026, 11, 22)
FEATURES = ("sex", "age_band", "means_of_control", "recruiter_relationship")
REASON = "Detection at the nodes."
KNOWN = {
    "evaluation": {"overall": {"auc": 0.8, "margin": 0.1}},
    "labelled_noisy": 1000,
    "positives_noisy": 300,
    "counts_error": 14.0,
}
"""Facts of a model that ranks better than chance, and of whose victims the average is known."""


def manifest(**parameters: object) -> Manifest:
    """A small detection study."""
    terms = {"target": "actual_victim", "features": list(FEATURES), "rounds": 6, **parameters}
    return study(parameters=terms)


def train(manifest: Manifest, table: pa.Table) -> Release:
    """What the study would release without noise: its own stages over one table."""
    analysis = manifest.build_analysis()
    prepared = analysis.prepare(merge(table, analysis.fields()), "BE")
    state = analysis.start(manifest.setting())
    for stage in analysis.stages():
        for _ in range(stage.rounds):
            total = analysis.contribute(prepared, stage, analysis.broadcast(state), MAX_VICTIMS)
            state = analysis.advance(state, np.asarray(total.values), manifest.terms(stage.name).sigma)
    return analysis.result(state)


def model(**changes: Any) -> Model:
    """The small model; keyword arguments replace parameters, ``facts`` and ``arrays``."""
    facts, arrays = changes.pop("facts", {}), changes.pop("arrays", {})
    made = manifest(**changes)
    release = train(made, analysis_table(400, 1)) if changes else small()[1]
    head = Head(
        schema_version=1,
        kind=release.kind,
        name="detection",
        version=1,
        study=made.id,
        manifest_hash=made.hash(),
        facts=release.facts | facts,
        parameters=made.parameters,
        contract_version="1",
        software_version="0.1.0",
        created=TODAY,
        card_hash=None,
    )
    return model_file.read(model_file.write(head, release.arrays | arrays))


@functools.cache
def small() -> tuple[Manifest, Release]:
    """One small study and its release."""
    made = manifest()
    return made, train(made, analysis_table(400, 1))


@dataclass
class Operators:
    """A coordinator with two operators.

    Attributes:
        home: Its directory.
        keys: Name to key file.
    """

    home: CoordinatorHome
    keys: dict[str, Path]

    @classmethod
    def enrol(cls, directory: Path) -> Operators:
        keys = {name: directory / f"{name}.key" for name in ("Ana", "Bo")}
        home = create_home(directory / "coordinator", operator="Ana", key_file=keys["Ana"])
        add_operator(home, "Bo", keys["Bo"])
        return cls(CoordinatorHome.load(home.path), keys)

    def public(self, name: str) -> str:
        return next(entry.public for entry in self.home.operators if entry.name == name)

    def store(self, *, name: str = "detection", **changes: Any) -> Model:
        made, release = small()
        return models.store(self.home, changes.get("release", release), made, name=name, today=TODAY)

    def sign(self, model: Model, *names: str) -> models.Signed:
        """Those people sign the release, one after the other."""
        for name in names:
            signed = models.release(
                self.home,
                str(model.head.id),
                sha256=model.sha256,
                by=name,
                key=load_key(self.keys[name]),
                today=TODAY,
                reason=REASON,
                although_unknown=True,
            )
        return signed

    def release(self, *, name: str = "detection") -> Path:
        """A released model file, with its statement beside it."""
        return self.sign(self.store(name=name), "Ana", "Bo").files[0]
