"""The notebook that shows a released model runs on a model file alone."""

from __future__ import annotations

import math
import runpy
from pathlib import Path

import pytest

from federation_of import ROOT, analysis_table
from model_samples import TODAY, Operators, manifest, train
from safeborders_fed.coordinator import models

NOTEBOOK = str(ROOT / "notebooks" / "explore_model.py")


def _model(directory: Path, **parameters: object) -> Path:
    operators = Operators.enrol(directory)
    made = manifest(**parameters)
    release = train(made, analysis_table(2000, 3))
    model = models.store(operators.home, release, made, name="detection", today=TODAY)
    return operators.sign(model, "Ana", "Bo").files[0]


def test_it_prints_card_accuracy_curves_and_contributions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAFEBORDERS_MODEL", str(_model(tmp_path, partitions=["sex"])))
    shown = runpy.run_path(NOTEBOOK)
    printed = capsys.readouterr().out
    for part in ("detection-1", "actual_victim", "area", "Female", "observed", "slope", "Age: "):
        assert part in printed
    assert "could not tell whether the model ranks better than chance" in printed  # .513 ± .119
    accuracy = shown["accuracy"]
    assert accuracy.loc[("sex", "Female"), "area"] == "too little data"
    facts = shown["facts"]
    margin = math.ceil(1.96 * facts["counts_error"] + 0.5)
    assert shown["card"]["with the label"] == f"{facts['positives_noisy']:,}\u00a0±\u00a0{margin}"
    held_out = facts["evaluation"]["overall"]
    margin = math.ceil(1.96 * held_out["victims_error"] + 0.5)
    assert accuracy.loc[("overall", ""), "persons"] == f"{held_out['victims']:.0f}\u00a0±\u00a0{margin}"
    curve = shown["curve"][["false positives", "true positives"]]
    assert (curve.diff().dropna() >= 0).all().all()
    assert curve.iloc[-1].tolist() == [1.0, 1.0]
    assert (shown["frequent"].index.str.contains(": ")).all()


def test_it_finds_the_model_of_a_demonstration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _model(tmp_path, held_out=0)
    monkeypatch.delenv("SAFEBORDERS_MODEL", raising=False)
    monkeypatch.setenv("SAFEBORDERS_DEMO", str(tmp_path / "coordinator" / "released"))
    runpy.run_path(NOTEBOOK)
    printed = capsys.readouterr().out
    assert "The study measured no accuracy" in printed
    assert "could not tell whether the model ranks better than chance" in printed


def test_it_says_what_to_do_without_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAFEBORDERS_MODEL", raising=False)
    monkeypatch.setenv("SAFEBORDERS_DEMO", str(tmp_path))
    with pytest.raises(SystemExit, match="safeborders demo"):
        runpy.run_path(NOTEBOOK)
