"""The demonstration as its user runs it: the command, its files, its refusals."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from federation_of import ROOT
from safeborders_fed.cli.main import run
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.errors import ConfigurationError, DataError, UsageError
from safeborders_fed.reporting import reading
from safeborders_fed.study import canonical, model_file


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small demonstration, run once."""
    path = tmp_path_factory.mktemp("demo") / "out"
    command = [
        sys.executable,
        "-m",
        "safeborders_fed",
        "demo",
        "--out",
        str(path),
        "--scale",
        "0.1",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    (path / "stdout").write_text(done.stdout, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def summary(out: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    return found


def test_it_prints_json_lines_with_one_summary_last(out: Path) -> None:
    lines = [json.loads(line) for line in (out / "stdout").read_text(encoding="utf-8").splitlines()]
    assert all(line["schema_version"] == 1 for line in lines)
    assert [set(line) - {"schema_version"} for line in lines[:-1]] == [{"status"}] * (len(lines) - 1)
    assert "summary" in lines[-1]
    assert {line["status"]["step"] for line in lines[:-1]} == {
        "files",
        "import",
        "links",
        "train",
        "typologies",
        "tables",
    }


def test_the_summary_holds_what_it_promises(summary: dict) -> None:
    assert {"nodes", "study", "auc", "tables", "seconds", "peak_memory_mib"} <= set(summary)
    assert [node["name"] for node in summary["nodes"]] == ["BE", "BG", "FI", "GR", "IT", "PL", "PT", "RO"]
    assert all(node["victims"] > 0 for node in summary["nodes"])
    assert {"rounds", "rho", "epsilon", "delta", "trust"} <= set(summary["study"])
    assert 0 < summary["study"]["epsilon"] <= 3.0
    assert {"federated", "pooled_without_privacy", "alone"} <= set(summary["auc"])
    assert set(summary["auc"]["alone"]) == {node["name"] for node in summary["nodes"]}
    assert {"import", "train", "tables", "report", "total"} <= set(summary["seconds"])


def test_every_equal_identifier_is_found_none_is_invented_and_networks_are_recovered(
    out: Path, summary: dict
) -> None:
    truth = json.loads((out / "files" / "truth.json").read_text(encoding="utf-8"))
    links, found = summary["links"], summary["links"]["recovered"]
    assert (found["missed"], found["invented"]) == (0, 0)
    assert found["equal"] == links["hits"] == links["exchanged"] > 0
    assert all(each["found"] == each["planted"] for each in found["right"].values())
    assert found["networks"] == len(truth["networks"])
    assert found["whole"] == found["findable"] > 0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Links beside the truth" in page
    assert "Epsilon covers these counts, and not the links themselves." in page


def test_quarantined_rows_are_those_of_the_planted_truth(out: Path, summary: dict) -> None:
    truth = json.loads((out / "files" / "truth.json").read_text(encoding="utf-8"))
    for node in summary["nodes"]:
        assert node["quarantined"] == sum(truth["states"][node["name"]]["quarantined"].values())


def test_released_tables_are_near_the_truth_and_not_the_truth(out: Path, summary: dict) -> None:
    tables = summary["tables"]
    victims = sum(node["victims"] for node in summary["nodes"])
    assert tables["total"] % 5 == 0
    assert 0.3 * victims < tables["total"] < victims + 4 * tables["margins"]["total"]
    assert all(count is None or count % 5 == 0 for count in tables["years"].values())
    assert canonical.sha256((out / tables["file"]).read_bytes()) == tables["sha256"]


def test_the_page_shows_the_released_counts_and_no_other_view_of_them(out: Path, summary: dict) -> None:
    """One value, one view: no unrounded noisy count is in anything that people read."""
    page = (out / "report.html").read_text(encoding="utf-8")
    directory = (out / summary["tables"]["file"]).parent
    released = [reading.read(path).loaded.tables for path in directory.glob("*.tables.json")]
    published = {f"{cell:,}" for each in released for table in each.tables for cell in table.cells if cell}
    counted = page[page.index('aria-labelledby="trend"') : page.index('aria-labelledby="privacy"')]
    counted = re.sub(r'<section aria-labelledby="change".*?</section>', "", counted, flags=re.DOTALL)
    cells = [text.rstrip("†") for text in re.findall(r"<td>([^<]*)</td>", counted)]
    cells = [text for text in cells if " to " not in text and "%" not in text]
    assert {text for text in cells if text not in published | {"c"}} == set()
    assert "every record behind this report is made up" in page
    assert "counts" not in summary["tables"]


def test_no_direct_identifier_is_in_anything_that_is_published(out: Path) -> None:
    truth = json.loads((out / "files" / "truth.json").read_text(encoding="utf-8"))
    victims = [victim for state in truth["persons"].values() for victim in state["victim_id"]]
    assert len(victims) > 500
    published = [*out.glob("*.json"), *out.glob("*.html"), *(out / "coordinator" / "released").iterdir()]
    assert {"report.html", "model-card.html", "model-card.json", "summary.json"} <= {
        p.name for p in published
    }
    for path in published:
        content = path.read_bytes()
        assert not [victim for victim in victims if len(victim) > 5 and victim.encode() in content]


def test_the_model_is_released_by_two_operators_and_its_card_is_that_of_its_file(out: Path) -> None:
    released = out / "coordinator" / "released"
    (path,) = released.glob("*.safetensors")
    model = model_file.load(path)
    card = (out / "model-card.json").read_bytes()
    assert model.head.card_hash == canonical.sha256(card)
    assert model_file.fingerprint(model.arrays) in card.decode()
    statement = json.loads((released / f"{model.head.id}.release.json").read_text(encoding="utf-8"))
    assert len({signature["by"] for signature in statement["signatures"]}) == 2


def test_tables_are_released_by_two_operators_and_read_as_such(out: Path) -> None:
    released = reading.read(out / "coordinator" / "released" / "demo-trends-1.tables.json")
    keys = [operator.public for operator in CoordinatorHome.load(out / "coordinator").operators]
    assert any("signed" in line for line in reading.verify(released, keys, 2, None))
    assert "demo-trends-1" in released.citation


def test_typologies_stand_beside_the_planted_ones(out: Path, summary: dict) -> None:
    truth = json.loads((out / "files" / "truth.json").read_text(encoding="utf-8"))
    found = summary["typologies"]
    assert set(found["planted"]) == set(found["victims"])
    assert {pair[0] for pair in found["planted"].values() if pair} <= set(truth["typologies"])
    page = (out / "report.html").read_text(encoding="utf-8")
    assert ('id="planted-table"' in page) == bool(found["victims"])
    assert 'id="card"' in page or "model card" in page.lower()


def test_accuracy_by_group_is_of_held_out_victims(summary: dict) -> None:
    evaluation = summary["evaluation"]
    overall = evaluation["overall"]
    assert overall["victims"] == pytest.approx(summary["auc"]["held_out"], abs=6 * overall["victims_error"])
    assert set(evaluation["groups"]) == {"sex", "age", "citizenship", "state"}
    if overall["auc"] is not None:
        assert abs(overall["auc"] - summary["auc"]["federated"]) < 3 * overall["margin"]


def test_case_stores_hold_nothing_in_clear(out: Path) -> None:
    truth = json.loads((out / "files" / "truth.json").read_text(encoding="utf-8"))
    victims = truth["persons"]["FI"]["victim_id"]
    for path in (out / "nodes" / "FI").rglob("*"):
        if path.is_file() and "quarantine" not in path.parts:
            content = path.read_bytes()
            assert not [victim for victim in victims if victim.encode() in content], path


def test_a_directory_that_is_not_empty_is_left_alone(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.name for path in out.iterdir())
    assert run(["demo", "--out", str(out)]) == UsageError.exit_code
    assert "out-not-empty" in capsys.readouterr().err
    assert sorted(path.name for path in out.iterdir()) == before


def test_a_case_file_without_its_mapping_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(["demo", "--out", str(tmp_path / "x"), "--cases", "cases.csv"])
    assert status == UsageError.exit_code
    assert "incomplete-options" in capsys.readouterr().err


def test_a_missing_mapping_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cases.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    arguments = ["--cases", str(tmp_path / "cases.csv"), "--mapping", "no.toml", "--node-column", "a"]
    assert run(["demo", "--out", str(tmp_path / "x"), *arguments]) == ConfigurationError.exit_code
    assert "no.toml" in capsys.readouterr().err


MAPPING = """
schema_version = 1
name = "small"
description = "A small file"
contract_version = "1"
period = { first = 2018, last = 2025 }
[fields.case_id]
row_number = true
[fields.victim_id]
row_number = true
[fields.registration_date]
column = "year"
formats = ["%Y"]
[fields.citizenship]
column = "country"
[fields.trafficking_status]
constant = "ActualVictimOfTrafficking"
"""


def test_a_column_with_too_few_values_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cases.csv").write_text("year,country\n2020,BG\n2021,RO\n2020,\n", encoding="utf-8")
    (tmp_path / "m.toml").write_text(MAPPING, encoding="utf-8")
    arguments = ["--cases", str(tmp_path / "cases.csv"), "--mapping", str(tmp_path / "m.toml")]
    status = run(["demo", "--out", str(tmp_path / "x"), *arguments, "--node-column", "country"])
    assert status == DataError.exit_code
    assert "2 values that can be nodes" in capsys.readouterr().err


def test_an_unknown_target_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["demo", "--out", str(tmp_path / "x"), "--scale", "0.05", "--target", "suspect"])
    assert status == UsageError.exit_code
    assert "unknown-target" in capsys.readouterr().err


def test_the_notebook_reads_what_the_demonstration_wrote(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAFEBORDERS_DEMO", str(out))
    runpy.run_path(str(ROOT / "notebooks" / "explore_demo.py"))
    assert "demo-trends-1" in capsys.readouterr().out
