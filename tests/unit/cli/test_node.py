"""The commands of a node around case intake."""

from __future__ import annotations

import csv
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from safeborders_fed.cases.contract import FIELDS
from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.cli import main
from safeborders_fed.node.settings import NodeSettings

MAPPING = """
schema_version = 1
name = "small"
description = "A small register"
contract_version = "1"
period = { first = 2018, last = 2025 }
[fields.case_id]
column = "case"
[fields.victim_id]
column = "victim"
[fields.registration_date]
column = "year"
formats = ["%Y"]
[fields.sex]
column = "sex"
values = { f = "Feminine", m = "Masculine" }
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "node"
    arguments = ["node", "init", "--country", "BG", "--home", str(home), "--key-file", str(tmp_path / "keys")]
    assert main.run(arguments) == 0
    (tmp_path / "m.toml").write_text(MAPPING, encoding="utf-8")
    return home


def _file(directory: Path, rows: int = 3, bad: int = 0) -> str:
    path = directory / f"{rows}-{bad}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("case", "victim", "year", "sex", "notes"))
        writer.writerows((f"c{at}", f"v{at}", 2020, "f", "secret note") for at in range(rows))
        writer.writerows((f"bad{at}", f"v{at}", 2020, "x", "") for at in range(bad))
    return str(path)


def _import(home: Path, file: str, *more: str) -> int:
    mapping = home.parent / "m.toml"
    return main.run(["node", "import", file, "--mapping", str(mapping), "--home", str(home), *more])


def _json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert content["schema_version"] == 1
    return content


def test_init_makes_a_node_whose_key_lies_outside(home: Path, tmp_path: Path) -> None:
    settings = NodeSettings.load(home)
    assert (settings.country, settings.key_path) == ("BG", tmp_path / "keys")
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700
    assert settings.open_store().max_victims == 2_000_000
    text = (home / "node.toml").read_text(encoding="utf-8")
    assert text.count("#") >= 5


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"--country": "XX"}, "unknown-country"),
        ({"--key-file": "{home}/keys"}, "key-file-inside-home"),
        ({"--home": "{home}"}, "node-exists"),
        ({"--key-file": "{keys}"}, "key-file-exists"),
        ({"--key-file": "{home}/../none/keys"}, "key-file-unwritable"),
    ],
)
def test_init_refuses_what_would_be_unsafe(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str], code: str
) -> None:
    options = {"--country": "RO", "--home": str(tmp_path / "new"), "--key-file": str(tmp_path / "new-keys")}
    options |= {name: text.format(home=home, keys=tmp_path / "keys") for name, text in changes.items()}
    if code == "key-file-inside-home":
        options["--home"] = str(home)
    before = (tmp_path / "keys").read_bytes()
    assert main.run(["node", "init", *(part for pair in options.items() for part in pair)]) == 4
    assert f"[{code}]" in capsys.readouterr().err
    assert (tmp_path / "keys").read_bytes() == before


def test_an_import_reports_counts_and_ends_with_success_despite_rejected_rows(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert _import(home, _file(tmp_path, 3, bad=2)) == 0
    shown = capsys.readouterr()
    assert "5 rows read, 3 accepted, 2 rejected" in shown.out
    assert "rejected as unknown-code: 2" in shown.out
    assert "Columns that the mapping does not name: notes" in shown.out
    assert "New snapshot: 000001-" in shown.out
    assert shown.err == ""
    assert _import(home, _file(tmp_path, 3, bad=2)) == 0
    assert "Nothing changed" in capsys.readouterr().out


def test_an_import_in_json_is_one_summary(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "rejected.csv"
    assert _import(home, _file(tmp_path, 3, bad=1), "--json", "--quarantine", str(target)) == 0
    summary = _json(capsys)["summary"]
    assert (summary["read"], summary["new"], summary["rejected"]) == (4, 3, 1)
    assert summary["reasons"] == {"unknown-code": 1}
    assert summary["quarantine_file"] == str(target)
    assert target.exists()


def test_a_dry_run_previews_and_changes_nothing(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _import(home, _file(tmp_path), "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "sex: Feminine" in shown
    assert "secret note" not in shown
    assert NodeSettings.load(home).open_store().latest_snapshot() is None


def test_refused_imports_end_with_three_and_leave_the_store(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _import(home, _file(tmp_path, 0, bad=3)) == 3
    assert "nothing-accepted" in capsys.readouterr().err
    assert _import(home, _file(tmp_path, 3, bad=2), "--max-rejected", "1") == 3
    assert "too-many-rejected" in capsys.readouterr().err
    assert _import(home, str(tmp_path / "none.csv")) == 3
    assert NodeSettings.load(home).open_store().latest_snapshot() is None


def test_snapshots_are_listed(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _import(home, _file(tmp_path, 3))
    _import(home, _file(tmp_path, 1_200))
    capsys.readouterr()
    assert main.run(["node", "cases", "list", "--home", str(home)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["snapshot", "time", "rows", "victims", "bytes", "studies", "under", "way"]
    assert lines[2].split()[2:4] == ["1,200", "1,200"]
    assert main.run(["node", "cases", "list", "--home", str(home), "--json"]) == 0
    assert [entry["rows"] for entry in _json(capsys)["snapshots"]] == [3, 1_200]


def test_the_contract_names_every_field_and_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["node", "contract"]) == 0
    text = capsys.readouterr().out
    for field in FIELDS:
        assert f"\n{field.name} (" in text
        assert all(code in text for code in field.codes)
    assert main.run(["node", "contract", "--json"]) == 0
    content = _json(capsys)
    assert [field["name"] for field in content["fields"]] == [field.name for field in FIELDS]
    assert "phone" in content["identifier_types"]


def test_a_mapping_is_checked_alone_and_on_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.toml"
    path.write_text(MAPPING, encoding="utf-8")
    assert main.run(["node", "mapping", "check", str(path)]) == 0
    assert "4 fields from 4 columns" in capsys.readouterr().out
    assert main.run(["node", "mapping", "check", str(path), _file(tmp_path, 2, bad=1)]) == 0
    assert "3 rows read, 2 accepted, 1 rejected" in capsys.readouterr().out
    path.write_text(MAPPING.replace("Feminine", "Woman"), encoding="utf-8")
    assert main.run(["node", "mapping", "check", str(path)]) == 4
    assert "[fields.sex] values.f" in capsys.readouterr().err


def test_a_mapping_is_drafted_to_stdout_and_open_points_to_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["node", "mapping", "suggest", _file(tmp_path, 9)]) == 0
    shown = capsys.readouterr()
    path = tmp_path / "draft.toml"
    path.write_text(shown.out, encoding="utf-8")
    assert shown.err == ""
    assert main.run(["node", "mapping", "check", str(path), _file(tmp_path, 9)]) == 0
    assert "9 accepted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('"BG"', '"XX"', "settings-invalid"),
        ("country", "contry", "settings-invalid"),
        ('store = "', "store = ", "settings-invalid"),
        ("key_file = ", 'key_file = "keys" #', "key-file-inside-home"),
    ],
)
def test_wrong_settings_are_refused(
    home: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, code: str
) -> None:
    path = home / "node.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert main.run(["node", "cases", "list", "--home", str(home)]) == 4
    assert f"[{code}]" in capsys.readouterr().err


def test_a_node_does_not_open_without_its_keys(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "keys").unlink()
    assert main.run(["node", "cases", "list", "--home", str(home)]) == 4
    assert "key-file-missing" in capsys.readouterr().err
    NodeKeys.generate().save(tmp_path / "keys")
    assert main.run(["node", "cases", "list", "--home", str(home)]) == 4
    assert "wrong-key" in capsys.readouterr().err
    assert main.run(["node", "cases", "list", "--home", str(tmp_path / "other")]) == 4
    assert "settings-missing" in capsys.readouterr().err


def test_a_terminal_gets_a_progress_bar_and_a_pipe_does_not(home: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "safeborders_fed.cli.main", "node", "import", _file(tmp_path, 500)]
    command += ["--mapping", str(tmp_path / "m.toml"), "--home", str(home), "--dry-run"]
    plain = subprocess.run(command, capture_output=True, text=True, check=True)
    assert plain.stderr == ""
    outer, inner = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    shown = subprocess.run(command, stdout=subprocess.PIPE, stderr=inner, check=True, env=environment)
    os.close(inner)
    bar = os.read(outer, 100_000).decode()
    os.close(outer)
    assert "500 rows" in bar
    assert b"500 rows read" in shown.stdout
