"""A node's commands around models: 20 made-up referrals from file to verdicts."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

import referral_samples as samples
from model_samples import TODAY, Operators
from safeborders_fed.cli import main
from safeborders_fed.coordinator import models
from safeborders_fed.errors import ConfigurationError, DataError, PeerError, RefusedError, UsageError
from safeborders_fed.node.review_list import REMINDER
from safeborders_fed.study.key_files import load_key


@pytest.fixture
def operators(tmp_path: Path) -> Operators:
    return Operators.enrol(tmp_path)


@pytest.fixture
def home(operators: Operators, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A node, made and fed by its commands alone."""
    home = tmp_path / "node"
    arguments = ["--country", "FI", "--home", str(home), "--key-file", str(tmp_path / "node.keys")]
    assert main.run(["node", "init", *arguments]) == 0
    samples.pin(home, operators)
    accept = ["node", "model", "accept", str(operators.release()), "--home", str(home), "--by", "Aino"]
    assert main.run(accept) == 0
    samples.write(tmp_path / "referrals.csv", samples.rows(20))
    samples.mapping(tmp_path)
    capsys.readouterr()
    return home


def _score(home: Path, *more: str, file: str = "referrals.csv") -> int:
    mapping = ["--mapping", str(home.parent / "referrals.toml"), "--home", str(home)]
    who = ["--by", "Aino", "--purpose", "Weekly referrals"]
    return main.run(["node", "score", str(home.parent / file), *mapping, *who, *more])


def _review(home: Path, *arguments: str) -> int:
    return main.run(["node", "review", *arguments, "--home", str(home)])


def _json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def test_twenty_referrals_are_listed_scored_and_reviewed(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _score(home, "--json") == 0
    content = _json(capsys)
    assert content["summary"]["referrals"] == 20
    assert content["reminder"] == list(REMINDER)
    assert {entry["person"] for entry in content["referrals"]} == {row[1] for row in samples.rows(20)}
    ids = [entry["id"] for entry in content["referrals"]]
    assert _review(home, ids[0], "agree", "--by", "Emil", "--note", "As we thought.") == 0
    assert _review(home, ids[1], "disagree", "--by", "Emil") == 0
    assert _review(home, ids[1], "unsure", "--by", "Emil", "--json") == 0
    capsys.readouterr()
    assert _review(home, "summary", "--json") == 0
    bands = _json(capsys)["bands"]
    totals = {
        name: sum(band[name] for band in bands) for name in ("referrals", "reviewed", "agree", "unsure")
    }
    assert totals == {"referrals": 20, "reviewed": 2, "agree": 1, "unsure": 1}


def test_the_text_for_people_has_every_part(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _score(home) == 0
    text = capsys.readouterr().out
    for part in (*REMINDER, "P-00020", "C-2026-0001", "Score: ", "Record: ", "Not known: "):
        assert part in text
    # Twenty victims are too few to measure an area under the curve.
    assert text.splitlines()[2] == "! It is not known whether this model ranks better than chance."
    assert "chance about" not in text
    for part in ("raises the score", "lowers the score", "Recruiter's relationship to the victim: "):
        assert part in text
    assert text.splitlines()[-1].startswith("20 referrals from 20 rows scored with detection-1")
    assert _review(home, "summary") == 0
    assert "do not leave the node" in capsys.readouterr().out


def test_a_list_goes_to_a_file_of_its_owner_and_comes_back_with_verdicts(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "list.csv"
    assert _score(home, "--out", str(out)) == 0
    printed = capsys.readouterr().out
    assert "P-00001" not in printed
    assert str(out) in printed
    assert out.stat().st_mode & 0o777 == 0o600
    text = out.read_text(encoding="utf-8-sig")
    head, body = text[: text.index("review_id")], text[text.index("review_id") :]
    rows = list(csv.DictReader(io.StringIO(body)))
    with out.open("w", encoding="utf-8", newline="") as file:
        file.write(head)
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(row | {"verdict": "agree"} for row in rows)
    assert _review(home, str(out), "--by", "Emil") == 0
    assert "20 verdicts by Emil recorded" in capsys.readouterr().out


def test_rejected_rows_are_counted_and_their_file_is_named(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = samples.rows(3)
    samples.write(home.parent / "bad.csv", [*rows, [*rows[0][:3], "?", *rows[0][4:]]])
    assert _score(home, "--json", file="bad.csv") == 0
    summary = _json(capsys)["summary"]
    assert (summary["referrals"], summary["rows_rejected"]) == (3, 1)
    assert "unknown-code" in Path(summary["rejected_file"]).read_text(encoding="utf-8")
    assert _score(home, file="bad.csv") == 0
    printed = capsys.readouterr().out
    assert "Rejected rows: " in printed
    assert "1 row of the file is not in this list: see " in printed


def test_a_withdrawn_model_scores_nothing(
    home: Path, operators: Operators, capsys: pytest.CaptureFixture[str]
) -> None:
    key = load_key(operators.keys["Ana"])
    done = models.withdraw(operators.home, "detection", by="Ana", key=key, today=TODAY, reason="It errs.")
    assert main.run(["node", "model", "accept", str(done.files[0]), "--home", str(home), "--by", "Aino"]) == 0
    assert "scores nothing any more" in capsys.readouterr().out
    assert _score(home) == RefusedError.exit_code
    assert "[model-withdrawn]" in capsys.readouterr().err
    assert main.run(["node", "model", "list", "--home", str(home)]) == 0
    assert "withdrawn: It errs." in capsys.readouterr().out


def test_a_list_that_cannot_be_written_is_found_before_anything_is_scored(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = (home / "audit.jsonl").read_bytes()
    assert _score(home, "--out", str(tmp_path / "no" / "list.csv")) == ConfigurationError.exit_code
    assert "[out-unwritable]" in capsys.readouterr().err
    assert not (home / "reviews").exists()
    assert (home / "audit.jsonl").read_bytes() == log


def test_a_scoring_that_fails_leaves_no_list(home: Path, tmp_path: Path) -> None:
    samples.write(tmp_path / "bad.csv", [("", "", "", "", "", "", "")])
    out = tmp_path / "list.csv"
    assert _score(home, "--out", str(out), file="bad.csv") == DataError.exit_code
    assert not out.exists()


def test_a_damaged_model_is_listed_and_can_be_replaced(
    home: Path, operators: Operators, capsys: pytest.CaptureFixture[str]
) -> None:
    labour = operators.release(name="labour")
    accept = ["node", "model", "accept", str(labour), "--home", str(home), "--by", "Aino"]
    assert main.run(accept) == 0
    kept = home / "models" / "labour-1.safetensors"
    kept.write_bytes(kept.read_bytes()[:-1] + b"\x01")
    capsys.readouterr()
    assert main.run(["node", "model", "list", "--home", str(home), "--json"]) == 0
    states = {row["model"]: row["state"] for row in _json(capsys)["models"]}
    assert states == {"detection-1": "in use", "labour-1": "damaged"}
    assert main.run(["node", "model", "list", "--home", str(home)]) == 0
    assert "labour-1 is damaged: " in capsys.readouterr().out
    assert _score(home, "--model", "labour") == PeerError.exit_code
    assert "[model-altered]" in capsys.readouterr().err
    assert main.run(accept) == 0
    assert _score(home, "--model", "labour") == 0


def test_an_altered_model_is_not_accepted(
    home: Path, operators: Operators, capsys: pytest.CaptureFixture[str]
) -> None:
    path = operators.release()
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    accept = ["node", "model", "accept", str(path), "--home", str(home), "--by", "Aino"]
    assert main.run(accept) == PeerError.exit_code
    assert "[model-altered]" in capsys.readouterr().err
    assert main.run(["node", "model", "list", "--home", str(home), "--json"]) == 0
    assert [row["model"] for row in _json(capsys)["models"]] == ["detection-1"]


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (["7QK2M9XD-001", "agree", "--by", "Emil"], DataError.exit_code, "unknown-review-id"),
        (["7QK2M9XD-001", "agree"], UsageError.exit_code, "reviewer-missing"),
        (["x" * 5000, "--by", "Emil"], UsageError.exit_code, "verdict-missing"),
        (["7QK2M9XD-001", "--by", "Emil"], UsageError.exit_code, "verdict-missing"),
    ],
)
def test_reviews_that_cannot_be_are_refused(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, code: str
) -> None:
    assert _review(home, *arguments) == status
    assert f"[{code}]" in capsys.readouterr().err


def test_scoring_asks_for_a_name_and_a_purpose(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mapping = ["--mapping", str(home.parent / "referrals.toml"), "--home", str(home)]
    assert main.run(["node", "score", str(home.parent / "referrals.csv"), *mapping]) == UsageError.exit_code
    assert "--by" in capsys.readouterr().err
    out = home.parent / "there.csv"
    out.write_text("", encoding="utf-8")
    assert _score(home, "--out", str(out)) == UsageError.exit_code
    assert "[out-exists]" in capsys.readouterr().err


def test_nothing_scored_has_an_empty_summary(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _review(home, "summary") == 0
    assert "Nothing has been scored yet" in capsys.readouterr().out
