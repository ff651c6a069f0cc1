"""The coordinator's commands: enrol, look, release by two people, withdraw."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model_samples import TODAY, small
from safeborders_fed.cli import main
from safeborders_fed.coordinator import models
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.errors import ConfigurationError, RefusedError, SafeBordersError, UsageError

ALTHOUGH = "--although-accuracy-unknown"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "coordinator"
    arguments = ["--home", str(home), "--operator", "Ana", "--key-file", str(tmp_path / "Ana")]
    assert main.run(["coordinator", "init", *arguments]) == 0
    arguments = ["--home", str(home), "--name", "Bo", "--key-file", str(tmp_path / "Bo")]
    assert main.run(["coordinator", "operator", "add", *arguments]) == 0
    return home


@pytest.fixture
def sha256(home: Path) -> str:
    made, release = small()
    return models.store(CoordinatorHome.load(home), release, made, name="detection", today=TODAY).sha256


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main.run(["coordinator", *arguments, "--json"]) == 0
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def _sign(home: Path, name: str, sha256: str, *more: str) -> list[str]:
    who = ["--by", name, "--key-file", str(home.parent / name)]
    return ["release", "model", "detection", "--home", str(home), *who, "--hash", sha256, ALTHOUGH, *more]


def test_a_new_coordinator_shows_the_key_that_nodes_pin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = str(tmp_path / "c")
    who = ["--operator", "Ana", "--key-file", str(tmp_path / "key")]
    content = _run(capsys, "init", "--home", home, *who, "--signatures", "1")
    loaded = CoordinatorHome.load(Path(home))
    assert content["public_key"] == loaded.operators[0].public
    assert loaded.release_signatures == 1


def test_two_people_release_and_one_withdraws(
    home: Path, sha256: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(capsys, "models", "list", "--home", str(home))["models"][0]["status"] == "candidate"
    first = _run(capsys, *_sign(home, "Ana", sha256, "--reason", "Detection."))
    assert (first["missing"], first["files"]) == (1, [])
    second = _run(capsys, *_sign(home, "Bo", sha256))
    assert second["signed"] == ["Ana", "Bo"]
    assert [Path(path).name for path in second["files"]] == [
        "detection-1.safetensors",
        "detection-1.release.json",
    ]
    shown = _run(capsys, "models", "show", "detection", "--home", str(home))
    assert (shown["status"], shown["sha256"], shown["signed"]) == ("released", sha256, ["Ana", "Bo"])
    assert shown["facts"]["target"] == "actual_victim"
    who = ["--by", "Bo", "--key-file", str(home.parent / "Bo"), "--reason", "It errs."]
    done = _run(capsys, "release", "withdraw", "detection-1", "--home", str(home), *who)
    assert [Path(path).name for path in done["files"]] == ["detection-1.withdrawal.json"]
    (row,) = _run(capsys, "models", "list", "--home", str(home))["models"]
    assert (row["status"], row["withdrawal"]) == ("withdrawn", "It errs.")


def test_the_text_for_people_names_hash_people_and_accuracy(
    home: Path, sha256: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main.run(["coordinator", "models", "list", "--home", str(home)]) == 0
    assert "detection-1" in capsys.readouterr().out
    assert main.run(["coordinator", *_sign(home, "Ana", sha256, "--reason", "Detection.")]) == 0
    assert "1 more must sign before it is released: ask for the second signature." in capsys.readouterr().out
    assert main.run(["coordinator", "models", "show", "detection", "--home", str(home)]) == 0
    assert "Ana; ask for the second signature" in capsys.readouterr().out
    assert main.run(["coordinator", *_sign(home, "Bo", sha256)]) == 0
    assert "detection-1.safetensors" in capsys.readouterr().out
    assert main.run(["coordinator", "models", "show", "detection", "--home", str(home)]) == 0
    text = capsys.readouterr().out
    for part in (sha256, "Ana, Bo", "released", "actual_victim", "Accuracy", "study-1"):
        assert part in text
    assert "second signature" not in text


def test_counts_are_shown_with_margins_and_an_unknown_accuracy_as_such(
    home: Path, sha256: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main.run(["coordinator", "models", "show", "detection", "--home", str(home)]) == 0
    text = capsys.readouterr().out
    assert sha256 in text
    facts = small()[1].facts
    margin = math.ceil(1.96 * facts["counts_error"] + 0.5)
    assert f"{facts['labelled_noisy']} ± {margin} persons" in text
    assert f"{facts['positives_noisy']} ± {margin} of them with the label" in text
    held_out = facts["evaluation"]["overall"]
    margin = math.ceil(1.96 * held_out["victims_error"] + 0.5)
    assert f"on {held_out['victims']:.0f} ± {margin} held-out persons" in text
    assert "The private evaluation could not tell whether the model ranks better than chance." in text
    assert not _run(capsys, "models", "show", "detection", "--home", str(home))["accuracy_known"]


def test_a_known_accuracy_is_shown_without_a_warning(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, release = small()
    evaluation = release.facts["evaluation"]
    overall = {**evaluation["overall"], "auc": 0.8, "margin": 0.1, "reason": None}
    facts = {**release.facts, "evaluation": {**evaluation, "overall": overall}}
    better = replace(release, facts=facts)
    models.store(CoordinatorHome.load(home), better, made, name="detection", today=TODAY)
    capsys.readouterr()
    assert main.run(["coordinator", "models", "show", "detection", "--home", str(home)]) == 0
    text = capsys.readouterr().out
    assert "0.800 ± 0.100" in text
    assert "better than chance" not in text


def test_a_model_that_held_nobody_out_is_shown_as_not_measured(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, release = small()
    bare = replace(release, facts={**release.facts, "evaluation": None})
    models.store(CoordinatorHome.load(home), bare, made, name="detection", today=TODAY)
    capsys.readouterr()
    assert main.run(["coordinator", "models", "show", "detection", "--home", str(home)]) == 0
    text = capsys.readouterr().out
    assert "not measured, nobody was held out. The private evaluation could not tell" in text


RELEASE = ["release", "model", "detection"]


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (["models", "show", "other"], (UsageError, "unknown-model")),
        ([*RELEASE, "--by", "Eve"], (RefusedError, "not-an-operator")),
        ([*RELEASE, "--by", "Bo"], (RefusedError, "not-your-key")),
        ([*RELEASE, "--by", "Ana", ALTHOUGH], (UsageError, "reason-missing")),
        ([*RELEASE, "--by", "Ana", "--reason", "Detection."], (RefusedError, "accuracy-unknown")),
        ([*RELEASE, "--by", "Ana", "--hash", "ab"], (RefusedError, "another-hash")),
    ],
)
def test_refusals_have_a_code_and_a_fix(
    home: Path,
    sha256: str,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    refusal: tuple[type[SafeBordersError], str],
) -> None:
    if arguments[0] == "release":
        arguments = [*arguments, "--key-file", str(home.parent / "Ana")]
        arguments += [] if "--hash" in arguments else ["--hash", sha256]
    capsys.readouterr()
    kind, code = refusal
    assert main.run(["coordinator", *arguments, "--home", str(home)]) == kind.exit_code
    error = capsys.readouterr().err
    assert f"[{code}]" in error
    assert "Fix: " in error


def test_an_empty_coordinator_says_so(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main.run(["coordinator", "models", "list", "--home", str(home)]) == 0
    assert "no model yet" in capsys.readouterr().out
    assert (
        main.run(["coordinator", "models", "list", "--home", str(home.parent)])
        == ConfigurationError.exit_code
    )


def test_init_makes_a_coordinator_that_nodes_can_reach(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "c"
    arguments = ["coordinator", "init", "--home", str(home), "--operator", "Ana"]
    arguments += ["--key-file", str(tmp_path / "ana"), "--address", "coordinator.example.eu:9443"]
    assert main.run(arguments) == UsageError.exit_code
    assert not home.exists()
    wrong = ["--ca-key-file", str(tmp_path / "ca"), "--listen", "nowhere"]
    assert main.run([*arguments, *wrong]) == UsageError.exit_code
    assert not home.exists()
    capsys.readouterr()
    assert main.run([*arguments, "--ca-key-file", str(tmp_path / "ca"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["operator"] == "Ana"
    certificate = (home / "pki" / "server.crt").read_bytes()
    renewal = ["coordinator", "renew-certificate", "--home", str(home), "--ca-key-file", str(tmp_path / "ca")]
    assert main.run([*renewal, "--json"]) == 0
    assert Path(json.loads(capsys.readouterr().out)["certificate"]).exists()
    assert (home / "pki" / "server.crt").read_bytes() != certificate


def test_a_coordinator_for_models_gets_a_network_later(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["coordinator", "network", "--home", str(home), "--address", "localhost:9443"]
    assert main.run([*arguments, "--ca-key-file", str(home.parent / "ca")]) == 0
    assert "localhost:9443" in capsys.readouterr().out
