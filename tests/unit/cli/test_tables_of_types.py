"""Typologies and early warnings from a study to a reader, by the commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from federation_of import EIGHT
from safeborders_fed.analyses.base import Release
from safeborders_fed.cli import main
from safeborders_fed.errors import RefusedError
from safeborders_fed.study import release_file
from study_life import OPERATOR, Life
from type_samples import facts

PARAMETERS = {
    "features": ["means_of_control", "forms_of_exploitation"],
    "states": list(EIGHT),
    "first_year": 2020,
    "last_year": 2026,
    "rounds": 1,
    "splits": 0,
    "classes": 2,
}


def _run(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    found = main.run([*arguments, "--json"])
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found == status, content
    return content


def test_a_typology_study_is_prepared_released_and_read_like_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    life = Life.begin(tmp_path)
    manifest = life.ready(analysis="typology", parameters=PARAMETERS)
    life.conduct()
    release = life.files().release
    home = ("--home", str(life.home.path))
    prepare = ("coordinator", "tables", "prepare", "study-1", *home)
    release.write_bytes(release_file.to_bytes(Release("typology", facts(()), {}), manifest))
    assert _run(capsys, *prepare, status=RefusedError.exit_code)["error"]["code"] == "no-types"

    release.write_bytes(release_file.to_bytes(Release("typology", facts(), {}), manifest))
    made = _run(capsys, *prepare, "--false-alarms", "0.01")
    assert made["types"] == ["T1", "T2", "T3"]
    assert [table["name"] for table in made["tables"]] == ["type", "type x state", "type x year"]
    assert (made["warnings"]["false_alarm_rate"], made["warnings"]["tested"]) == (0.01, 3)
    plain = _run(capsys, *prepare, "--no-warnings")
    assert (plain["release"], plain["warnings"]) == ("study-1-2", None)
    assert main.run(["coordinator", "tables", "show", "study-1-1", *home]) == 0
    shown = capsys.readouterr().out
    assert "0 of 3 series; false alarms at most 1.00%" in shown
    assert "T1, T2, T3" in shown

    who = ("--by", OPERATOR, "--key-file", str(life.key_file))
    sign = ("--hash", made["sha256"], "--reason", "For the report.")
    _run(capsys, "coordinator", "release", "tables", "study-1-1", *home, *who, *sign)
    file = str(life.home.released / "study-1-1.tables.json")
    assert _run(capsys, "report", "verify", file, "--coordinator", str(life.home.path), "--needed", "1")
    rows = _run(capsys, "report", "extract", file, "type x state", "--where", "type=T1")["rows"]
    assert [row["count"] for row in rows] == [120, 80, 60]
    out = tmp_path / "exports"
    out.mkdir()
    exported = _run(capsys, "report", "export", file, "--out", str(out))
    assert exported["not_in_sdmx"] == ["type", "type x state", "type x year"]
    assert exported["in_document_only"] == ["what sets types apart", "early warnings"]
    said = _run(capsys, "report", "compare", file, file, status=RefusedError.exit_code)
    assert said["error"]["code"] == "same-study"


@pytest.mark.parametrize("rate", ["0", "0.7", "often"])
def test_a_rate_that_is_none_is_refused(
    rate: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("coordinator", "tables", "prepare", "study-1", "--home", str(tmp_path), "--false-alarms", rate)
    assert _run(capsys, *words, status=2)["error"]["code"] == "usage"


def test_help_says_which_role_reading_a_nodes_directory_needs(capsys: pytest.CaptureFixture[str]) -> None:
    for command, role in (("verify", "approver or auditor or analyst"), ("warnings", "operator")):
        assert main.run(["report", command, "--help"]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert f"With a node's directory: Role: {role}" in said
    assert main.run(["report", "extract", "--help"]) == 0
    assert "Role: none is needed." in capsys.readouterr().out
