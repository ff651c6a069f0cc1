"""``safeborders report warnings``: from a release at a home, or in a file, to a table or JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import referral_samples as samples
from federation_of import study
from model_samples import Operators
from safeborders_fed.analyses.base import Release
from safeborders_fed.cli import main
from safeborders_fed.node.creating import create_node
from safeborders_fed.study import publication, release_file
from safeborders_fed.study.key_files import load_key
from safeborders_fed.study.manifest import Manifest

TERMS = {"analysis": "trends", "parameters": {"first_year": 2014, "last_year": 2025}}


def release(manifest: Manifest, *, growth: float, last: int = 2025) -> bytes:
    """Quiet tables of 12 years, in the last of which the first form has grown."""
    years = (*map(str, range(last - 11, last + 1)), "Other")
    forms = [f"form {at:02}" for at in range(14)]
    ages = [f"age {at}" for at in range(7)]
    table = np.random.default_rng(5).poisson(40.0, (len(years), len(forms), len(ages))).astype(float)
    table[11, 0] *= growth
    facts = {
        "years": list(years),
        "forms": forms,
        "ages": ages,
        "population": "all",
        "standard_errors": {"year x form": 6.0, "year x age": 6.0, "year": 10.0, "form": 9.0},
    }
    return release_file.to_bytes(Release("trends", facts, {"table": table}), manifest)


@pytest.fixture
def operators(tmp_path: Path) -> Operators:
    return Operators.enrol(tmp_path)


@pytest.fixture
def published(operators: Operators) -> Path:
    """The directory of a study at the coordinator."""
    manifest = study(**TERMS)
    directory = operators.home.path / "studies" / manifest.id
    directory.mkdir(parents=True)
    signed = publication.publish(manifest, load_key(operators.keys["Ana"]))
    (directory / "published.json").write_bytes(signed)
    (directory / "release.json").write_bytes(release(manifest, growth=3.0))
    return directory


def run(*arguments: object) -> int:
    return main.run(["report", "warnings", *map(str, arguments)])


def content(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_form_that_grew_is_named_first(
    operators: Operators, published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del published
    where = ("--home", operators.home.path, "--study", "study-1")
    assert run(*where, "--json") == 0
    found = content(capsys)
    first = found["series"][0]
    assert (first["verdict"], list(first["key"])) == ("rise", ["form"])
    assert (first["periods"], found["period"], found["false_alarm_rate"]) == (["2025"], "2025", 0.05)
    assert first["low"] > 0
    assert run(*where) == 0
    text = capsys.readouterr().out
    assert "At most 5.0% of reports without any change raise a warning, if counts vary as" in text
    assert f"form {first['key']['form']}" in text


def test_releases_that_follow_one_another_are_read_as_one(
    operators: Operators, published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    terms = {**TERMS, "id": "study-2", "parameters": {"first_year": 2015, "last_year": 2026}}
    later = published.parent / "study-2"
    later.mkdir()
    (later / "published.json").write_bytes(
        publication.publish(study(**terms), load_key(operators.keys["Ana"]))
    )
    (later / "release.json").write_bytes(release(study(**terms), growth=3.0, last=2026))
    where = ("--home", operators.home.path)
    assert run(*where, "--study", "study-1", "--study", "study-2", "--json") == 0
    at_home = content(capsys)
    assert (at_home["studies"], at_home["period"]) == (["study-1", "study-2"], "2026")
    assert at_home["series"][0]["verdict"] == "rise"
    documents = [published / "release.json", later / "release.json"]
    assert run(*documents, "--json") == 0
    assert content(capsys) == at_home
    elsewhere = tmp_path / "later.json"
    elsewhere.write_bytes(documents[1].read_bytes())
    manifests = [word for one in (published, later) for word in ("--manifest", one / "published.json")]
    assert run(documents[0], elsewhere, *manifests, "--json") == 0
    assert content(capsys) == at_home
    assert run(*where, "--study", "study-1", "--study", "study-2") == 0
    assert "Studies study-1, study-2, 2026:" in capsys.readouterr().out
    for arguments, code in (
        ((*where, "--study", "study-2", "--study", "study-1"), "wrong-order"),
        ((documents[0], documents[0]), "same-study"),
        ((*documents, "--manifest", published / "published.json"), "which-release"),
    ):
        assert run(*arguments, "--json") > 0
        assert content(capsys)["error"]["code"] == code


def test_what_is_noise_is_said_to_be(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (published / "release.json").write_bytes(release(study(**TERMS), growth=1.0))
    assert run(published / "release.json") == 0
    text = capsys.readouterr().out
    assert "0 of 21 series changed" in text
    assert "not distinguishable from noise" in text


def test_a_past_that_is_too_short_is_said_to_be(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(published / "release.json", "--period", "2016") == 0
    text = capsys.readouterr().out
    assert "nothing can be said" in text
    assert "21 series have too short a past" in text


def test_a_node_and_a_file_tell_the_same(
    operators: Operators, published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = create_node(tmp_path / "node", "BG", tmp_path / "node.keys", 1000).home
    samples.pin(home, operators)
    kept = home / "studies" / "study-1"
    kept.mkdir(parents=True)
    for name in ("published.json", "release.json"):
        (kept / name).write_bytes((published / name).read_bytes())
    assert run("--home", home, "--study", "study-1", "--json") == 0
    at_node = content(capsys)
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_bytes((published / "release.json").read_bytes())
    assert run(elsewhere, "--manifest", published / "published.json", "--json") == 0
    assert content(capsys) == at_node


def test_what_does_not_fit_together_is_refused(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = published / "release.json"
    other = tmp_path / "other.json"
    other.write_bytes(release(study(**TERMS, purpose="another"), growth=1.0))
    for arguments, code in (
        ((), "which-release"),
        (("--home", tmp_path), "which-release"),
        ((document, "--home", tmp_path, "--study", "study-1"), "which-release"),
        ((other, "--manifest", published / "published.json"), "release-of-another-study"),
        ((tmp_path / "none.json", "--manifest", published / "published.json"), "file-missing"),
        ((document, "--false-alarms", "0"), "bad-false-alarm-rate"),
        ((document, "--table", "form x state"), "unknown-table"),
    ):
        assert run(*arguments, "--json") > 0
        assert content(capsys)["error"]["code"] == code


def test_a_manifest_that_no_operator_signed_is_refused_at_a_home(
    operators: Operators, published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stranger").mkdir()
    stranger = Operators.enrol(tmp_path / "stranger")
    signed = publication.publish(study(**TERMS), load_key(stranger.keys["Ana"]))
    (published / "published.json").write_bytes(signed)
    assert run("--home", operators.home.path, "--study", "study-1", "--json") > 0
    assert content(capsys)["error"]["code"] == "wrong-operator"
