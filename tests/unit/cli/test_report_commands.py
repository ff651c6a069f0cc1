"""``report`` and the coordinator's commands for tables: what readers are told, and what they are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from model_samples import Operators
from safeborders_fed.cli import main
from safeborders_fed.coordinator import table_releases
from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError, SafeBordersError, UsageError
from safeborders_fed.study import canonical
from table_samples import counts, loaded, release

FILE = "trends-one-1.tables.json"
STATEMENT = "trends-one-1.tables.release.json"


@pytest.fixture
def operators(tmp_path: Path) -> Operators:
    made = Operators.enrol(tmp_path)
    table_releases.store(made.home, loaded(release(counts(4))).file.to_bytes(), b"{}")
    return made


@pytest.fixture
def reader(operators: Operators, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A directory with what readers get."""
    sha256 = _run(capsys, "coordinator", "tables", "show", "trends-one", *_home(operators))["sha256"]
    for name in ("Ana", "Bo"):
        said = ("--hash", sha256, "--reason", "For the report.")
        _run(
            capsys,
            "coordinator",
            "release",
            "tables",
            "trends-one",
            *_home(operators),
            *_who(operators, name),
            *said,
        )
    directory = tmp_path / "reader"
    shutil.copytree(operators.home.released, directory)
    return directory


def _home(operators: Operators) -> list[str]:
    return ["--home", str(operators.home.path)]


def _who(operators: Operators, name: str) -> list[str]:
    return ["--by", name, "--key-file", str(operators.keys[name])]


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    status = main.run([*arguments, "--json"])
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert status == 0, content
    return content


def _refused(
    capsys: pytest.CaptureFixture[str], kind: type[SafeBordersError], *arguments: str
) -> dict[str, str]:
    capsys.readouterr()
    assert main.run([*arguments, "--json"]) == kind.exit_code
    error: dict[str, str] = json.loads(capsys.readouterr().out)["error"]
    return error


def test_two_operators_release_and_a_reader_exports_and_verifies(
    operators: Operators, reader: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = _run(capsys, "report", "export", str(reader / FILE), "--out", str(reader))
    assert [Path(name).name for name in made["files"]] == [
        "trends-one-1.sdmx.csv",
        "trends-one-1.csv",
        "trends-one-1.parquet",
    ]
    keys = [part for name in ("Ana", "Bo") for part in ("--operator-key", operators.public(name))]
    said = _run(capsys, "report", "verify", str(reader / FILE), *keys)
    assert said["signers_known"]
    assert sum("is the file that was released" in line for line in said["checked"]) == 3
    assert any("noisy.json is not there" in line for line in said["checked"])
    again = _run(capsys, "report", "verify", str(reader / FILE), "--coordinator", str(operators.home.path))
    assert again["checked"] == said["checked"]


def test_without_keys_verify_says_that_nobody_is_known(
    reader: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = _run(capsys, "report", "verify", str(reader / FILE))
    assert not said["signers_known"]
    assert any(line.startswith("NOT CHECKED: whose keys") for line in said["checked"])


def test_keys_of_strangers_or_too_few_are_refused(
    operators: Operators, reader: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for key in ("0" * 64, operators.public("Ana")):
        error = _refused(capsys, PeerError, "report", "verify", str(reader / FILE), "--operator-key", key)
        assert error["code"] == "wrong-operator"


def test_an_altered_file_statement_or_export_is_refused(
    reader: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(capsys, "report", "export", str(reader / FILE), "--out", str(reader))
    (reader / "trends-one-1.csv").write_bytes(b"table\r\n")
    verify = ("report", "verify", str(reader / FILE))
    assert _refused(capsys, PeerError, *verify)["code"] == "export-altered"
    content = json.loads((reader / FILE).read_bytes())
    shown = content["tables"]["tables"][-1]["cells"]
    shown[0] += 5
    (reader / FILE).write_bytes(canonical.serialise(content))
    for command in (verify, ("report", "extract", str(reader / FILE), "total")):
        assert _refused(capsys, PeerError, *command)["code"] == "tables-altered"
    shown[0] += 1
    (reader / FILE).write_bytes(canonical.serialise(content))
    assert _refused(capsys, PeerError, *verify)["code"] == "bad-tables"
    (reader / STATEMENT).write_bytes((reader / STATEMENT).read_bytes().replace(b"For the", b"Not the"))
    (reader / FILE).unlink()
    assert _refused(capsys, ConfigurationError, *verify)["code"] == "file-missing"


def test_a_statement_with_another_reason_does_not_verify(
    reader: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (reader / STATEMENT).write_bytes((reader / STATEMENT).read_bytes().replace(b"For the", b"Not the"))
    error = _refused(capsys, PeerError, "report", "verify", str(reader / FILE))
    assert error["code"] == "bad-signature"


def test_tables_that_are_not_released_are_refused(reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (reader / STATEMENT).unlink()
    error = _refused(capsys, PeerError, "report", "extract", str(reader / FILE), "total")
    assert error["code"] == "not-released"


def test_withdrawn_tables_are_refused_with_the_reason(
    operators: Operators, reader: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reason = "A state sent a wrong file."
    said = ("--tables", "--reason", reason)
    done = _run(
        capsys,
        "coordinator",
        "release",
        "withdraw",
        "trends-one-1",
        *_home(operators),
        *_who(operators, "Bo"),
        *said,
    )
    shutil.copy(done["files"][0], reader)
    for command in (
        ["verify"],
        ["extract", "total"],
        ["export", "--out", str(reader)],
        ["build", "--out", str(reader / "page.html")],
    ):
        error = _refused(capsys, RefusedError, "report", command[0], str(reader / FILE), *command[1:])
        assert error["code"] == "release-withdrawn"
        assert reason in error["cause"]


def test_extract_filters_and_cites(reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--where", "form=LabourExploitation", "--where", "year=2021")
    found = _run(capsys, "report", "extract", str(reader / FILE), "year x form", *where)
    (row,) = found["rows"]
    assert row["codes"] == {"year": "2021", "form": "LabourExploitation"}
    assert found["sha256"] in found["cite"]
    assert found["release"] in found["cite"]
    assert found["date"] in found["cite"]
    assert main.run(["report", "extract", str(reader / FILE), "year x form x age"]) == 0
    out = capsys.readouterr().out
    assert "suppressed" in out
    assert "Cite: SafeBorders Federated, tables trends-one-1" in out


@pytest.mark.parametrize(
    ("wanted", "code", "near"),
    [
        (("year x forms", ""), "unknown-table", "year x form"),
        (("year x form", "frm=LabourExploitation"), "unknown-axis", "form"),
        (("year x form", "form=LaborExploitation"), "unknown-code", "LabourExploitation"),
        (("year x form", "form"), "usage", "form=LabourExploitation"),
        (("total", "form=LabourExploitation"), "unknown-axis", "a table with axes"),
    ],
)
def test_what_is_unknown_names_the_nearest(
    reader: Path, capsys: pytest.CaptureFixture[str], wanted: tuple[str, str], code: str, near: str
) -> None:
    table, where = wanted
    chosen = ("--where", where) if where else ()
    error = _refused(capsys, UsageError, "report", "extract", str(reader / FILE), table, *chosen)
    assert error["code"] == code
    assert near in error["fix"]


def test_nothing_is_overwritten(reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export = ("report", "export", str(reader / FILE), "--out", str(reader))
    _run(capsys, *export)
    assert _refused(capsys, UsageError, *export)["code"] == "out-exists"


def test_rules_that_would_publish_zeros_are_refused(
    operators: Operators, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = ("--base", "10", "--threshold", "5")
    error = _refused(capsys, UsageError, "coordinator", "tables", "prepare", "s", *_home(operators), *rules)
    assert "zeros" in error["cause"]


def test_tables_are_listed_with_who_signed(operators: Operators, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = _run(capsys, "coordinator", "tables", "list", *_home(operators))["tables"]
    assert (row["release"], row["status"], row["signed"]) == ("trends-one-1", "candidate", [])
    assert main.run(["coordinator", "tables", "list", *_home(operators)]) == 0
    assert "candidate" in capsys.readouterr().out


def test_compare_says_how_many_counts_it_looked_at(
    operators: Operators, reader: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = table_releases.find(operators.home, "trends-one").loaded
    second = loaded(release(counts(4) + 30, study="trends-two", manifest="c"), None, one)
    table_releases.store(operators.home, second.file.to_bytes(), b"{}")
    for name in ("Ana", "Bo"):
        said = ("--hash", second.sha256, "--reason", "The next one.")
        release_it = ("coordinator", "release", "tables", "trends-two")
        _run(capsys, *release_it, *_home(operators), *_who(operators, name), *said)
    later = operators.home.released / "trends-two-1.tables.json"
    found = _run(capsys, "report", "compare", str(reader / FILE), str(later))
    assert found["compared"] >= len(found["changed"]) > 0
    assert main.run(["report", "compare", str(reader / FILE), str(later)]) == 0
    assert "cannot be told from noise" in capsys.readouterr().out
    error = _refused(capsys, RefusedError, "report", "compare", str(reader / FILE), str(reader / FILE))
    assert error["code"] == "same-study"


def test_a_page_of_released_tables_is_built_once(
    reader: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = ("report", "build", str(reader / FILE), "--out", str(tmp_path / "page.html"))
    made = _run(capsys, *build, "--title", "Victims, 2020 to 2022")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert made["bytes"] == len(page.encode())
    assert "<h1>Victims, 2020 to 2022</h1>" in page
    assert made["cite"] in page
    assert "made up" not in page
    assert _refused(capsys, UsageError, *build)["code"] == "out-exists"


def test_the_banner_says_that_records_are_made_up_when_told_so(
    reader: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page.html"
    _run(capsys, "report", "build", str(reader / FILE), "--out", str(out), "--synthetic")
    page = out.read_text("utf-8")
    assert "Synthetic data: every record behind this report is made up." in page
    assert page.index("Synthetic data:") < page.index("<nav")


def test_no_page_is_built_of_tables_that_are_altered_or_not_released(
    reader: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page.html"
    build = ("report", "build", str(reader / FILE), "--out", str(out))
    content = json.loads((reader / FILE).read_bytes())
    content["tables"]["tables"][-1]["cells"][0] += 5
    original = (reader / FILE).read_bytes()
    (reader / FILE).write_bytes(canonical.serialise(content))
    assert _refused(capsys, PeerError, *build)["code"] == "tables-altered"
    (reader / FILE).write_bytes(original)
    (reader / STATEMENT).unlink()
    assert _refused(capsys, PeerError, *build)["code"] == "not-released"
    assert not out.exists()
