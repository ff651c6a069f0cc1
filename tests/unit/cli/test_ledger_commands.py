"""`safeborders node ledger`: plain figures, and a dispute that two people settle."""

import json
from pathlib import Path

import pytest

from federation_of import CEREMONY
from safeborders_fed.cli.main import run
from safeborders_fed.errors import ConfigurationError, RefusedError, UsageError
from safeborders_fed.node.approvals import Approver, create_approver_key
from safeborders_fed.node.approvers import approvers_to_bytes
from safeborders_fed.node.creating import create_node
from safeborders_fed.node.population_counts import NoisedCount
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.study.handshake import Head

POLICY = """
[policy]
analyses = ["logistic"]
columns = ["sex"]
epsilon_per_study = 1.0
epsilon_per_year = 2.0
epsilon_lifetime = 3.0
delta = 1e-6
minimum_participants = 2
purposes = ["victim-identification", "modus-operandi", "statistics", "early-warning", "evaluation"]
populations = ["all", "minors"]
least_victims = 0
least_tolerated_colluders = 1
"""
PASSPHRASES = {"Anna": "correct horse battery", "Boris": "staple stable table"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "be"
    create_node(home, "BE", tmp_path / "be.key", 1000)
    with (home / "node.toml").open("a", encoding="utf-8") as file:
        file.write(POLICY)
    people = []
    for name, passphrase in PASSPHRASES.items():
        public = create_approver_key(tmp_path / f"{name}.pem", passphrase)
        (tmp_path / f"{name}.txt").write_text(passphrase, encoding="utf-8")
        people.append(Approver(name=name, role="approver", public=public))
    (home / "approvers.json").write_bytes(approvers_to_bytes(people))
    ledger = NodeSettings.load(home).open_ledger()
    ledger.reserve("study-1", "a" * 64, 0.02)
    ledger.spend(("study-1", 0, 0), "r", b"bytes", 0.005)
    ledger.close()
    return home


def dispute(home: Path) -> None:
    ledger = NodeSettings.load(home).open_ledger()
    key = CEREMONY.identities["FI"].signing_key
    ledger.witnesses.dispute("FI", Head(entries=40, value="b" * 64).signed(key, "BE"))
    ledger.close()


def sign(home: Path, name: str, out: str, rho: str = "0.01") -> int:
    directory = home.parent
    arguments = ["--name", name, "--key", str(directory / f"{name}.pem"), "--out", str(directory / out)]
    passphrase = ["--passphrase-file", str(directory / f"{name}.txt")]
    return run(["node", "ledger", "sign", "--home", str(home), "--lost-rho", rho, *arguments, *passphrase])


def reconcile(home: Path, *approvals: str, rho: str = "0.01") -> int:
    given = [part for name in approvals for part in ("--approval", str(home.parent / name))]
    return run(["node", "ledger", "reconcile", "--home", str(home), *given, "--lost-rho", rho])


def test_it_shows_what_was_spent_and_what_is_left(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["node", "ledger", "--home", str(home), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    (study,) = content["studies"]
    assert study["rho_spent"] == pytest.approx(0.005)
    assert study["rho_reserved"] == pytest.approx(0.02)
    spans = {span["name"]: span for span in content["totals"]}
    assert spans["lifetime"]["rho_held"] == pytest.approx(0.02)
    assert spans["lifetime"]["epsilon_cap"] == pytest.approx(3.0, rel=1e-6)
    assert content["entries"] == 2
    assert run(["node", "ledger", "--home", str(home)]) == 0
    text = capsys.readouterr().out
    assert "study-1" in text
    assert "open" in text


def test_a_dispute_is_settled_by_two_people_and_the_loss_is_charged(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dispute(home)
    assert run(["node", "ledger", "--home", str(home)]) == 0
    assert "DISPUTED: FI" in capsys.readouterr().out
    assert sign(home, "Anna", "anna.json") == 0
    assert reconcile(home, "anna.json", "anna.json") == RefusedError.exit_code
    assert "not-enough-approvals" in capsys.readouterr().err
    assert sign(home, "Boris", "boris.json") == 0
    assert reconcile(home, "anna.json", "boris.json") == 0
    assert "Anna and Boris" in capsys.readouterr().out
    ledger = NodeSettings.load(home).open_ledger()
    assert ledger.totals().spent == pytest.approx(0.015)
    ledger.reserve("study-2", "c" * 64, 0.01)
    assert ledger.head().entries > 40, "the journal goes on after what was witnessed"
    ledger.verify()
    assert "reconcile" in (home / "audit.jsonl").read_text(encoding="utf-8")


def test_nobody_charges_another_loss_than_the_one_that_both_signed(home: Path) -> None:
    dispute(home)
    assert sign(home, "Anna", "anna.json") == 0
    assert sign(home, "Boris", "boris.json") == 0
    assert reconcile(home, "anna.json", "boris.json", rho="0") == RefusedError.exit_code
    assert sign(home, "Boris", "boris-0.json", rho="0") == 0
    assert reconcile(home, "anna.json", "boris-0.json") == RefusedError.exit_code
    assert reconcile(home, "anna.json", "boris.json") == 0


def test_approvals_of_one_dispute_do_not_settle_another(home: Path) -> None:
    dispute(home)
    assert sign(home, "Anna", "anna.json") == 0
    assert sign(home, "Boris", "boris.json") == 0
    ledger = NodeSettings.load(home).open_ledger()
    ledger.witnesses.dispute("PL", Head(entries=90, value="d" * 64))
    ledger.close()
    assert reconcile(home, "anna.json", "boris.json") == RefusedError.exit_code


def test_without_a_dispute_there_is_nothing_to_sign(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sign(home, "Anna", "anna.json") == RefusedError.exit_code
    assert "nothing-to-settle" in capsys.readouterr().err


def test_a_wrong_passphrase_signs_nothing(home: Path) -> None:
    dispute(home)
    (home.parent / "Anna.txt").write_text("another passphrase", encoding="utf-8")
    assert sign(home, "Anna", "anna.json") == ConfigurationError.exit_code
    assert not (home.parent / "anna.json").exists()


def test_without_a_home_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["node", "ledger"]) == UsageError.exit_code
    assert "--home" in capsys.readouterr().err


def test_an_edited_ledger_is_shown_as_such(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = NodeSettings.load(home).open_ledger()
    ledger._db.execute("UPDATE contribution SET rho = 0.001")
    ledger.close()
    assert run(["node", "ledger", "--home", str(home)]) == ConfigurationError.exit_code
    assert "ledger-altered" in capsys.readouterr().err


def test_counts_of_populations_are_listed_with_their_cost_and_without_the_count(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = NodeSettings.load(home).open_ledger()
    ledger.count_once("study-2", 0.001, NoisedCount("minors", "000001-20260101T000000Z", 25.0, 0.0008, 437))
    ledger.close()
    assert run(["node", "ledger", "--home", str(home)]) == 0
    text = capsys.readouterr().out
    assert "Counted minors in snapshot 000001-20260101T000000Z" in text
    assert "rho 0.00080" in text
    assert "437" not in text
    assert run(["node", "ledger", "--home", str(home), "--json"]) == 0
    (count,) = json.loads(capsys.readouterr().out)["counts"]
    assert (count["population"], count["rho"]) == ("minors", 0.0008)
