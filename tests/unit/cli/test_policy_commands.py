"""`safeborders node policy check`: the policy in plain words, and all that stands against a study."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from federation_of import SMALL, study
from safeborders_fed.cli.main import run
from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError, UsageError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.creating import create_node
from safeborders_fed.node.opening_hours import DAYS
from safeborders_fed.node.population_counts import NoisedCount
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.node.studies import NodeStudies
from safeborders_fed.study.publication import publish

POLICY = """
[policy]
analyses = ["logistic"]
columns = ["age_band", "registration_date", "sex", "trafficking_status"]
purposes = ["victim-identification"]
populations = ["all"]
epsilon_per_study = 2.0
epsilon_per_year = 4.0
epsilon_lifetime = 16.0
delta = 1e-6
minimum_participants = 2
least_victims = 200
least_tolerated_colluders = 1
"""
MANIFEST = study(rho=0.05, max_victims=10_000, tick_seconds=1.0)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "be"
    create_node(home, "BE", tmp_path / "be.key", 1000)
    write(home, POLICY)
    accepted = SimpleNamespace(roster=SMALL.roster, keys=SMALL.roster.keys)
    monkeypatch.setattr(NodeSettings, "accepted_keys", lambda _: accepted)
    return home


def write(home: Path, policy: str) -> None:
    path = home / "node.toml"
    kept = path.read_text(encoding="utf-8").split("\n[policy]")[0]
    path.write_text(kept + policy, encoding="utf-8")


def check(home: Path, *more: str) -> int:
    return run(["node", "policy", "check", "--home", str(home), *more])


def content(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def file_of(home: Path, data: bytes) -> str:
    path = home.parent / "study.json"
    path.write_bytes(data)
    return str(path)


def listing(home: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in home.rglob("*")
    }


def test_the_policy_is_told_in_plain_words_and_nothing_is_written(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = listing(home)
    assert check(home) == 0
    text = capsys.readouterr().out
    for part in (
        "Node BE permits, and nothing else (delta 1e-06)",
        "Analyses:    logistic",
        "Purposes:    victim-identification",
        "epsilon 2 (rho 0.0",
        "100% of its rho is left",
        "studies of the largest size a year",
        "200 at least in a study's population here, counted with noise of 50",
        "rho 0.0002",
        "withstand 1 colluding ones",
        "taken on at any time",
        "2 people must approve",
    ):
        assert part in text, part
    assert listing(home) == before


def test_figures_for_machines_follow_from_the_caps(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(home, "--json") == 0
    found = content(capsys)
    caps, counting = found["caps_rho"], found["count"]["rho"]
    assert counting == pytest.approx(1 / (2 * 50**2))
    lasts = found["lasts"]
    assert lasts["studies_a_year"] * (caps["study"] + counting) <= caps["year"]
    assert (lasts["studies_a_year"] + 1) * (caps["study"] + counting) > caps["year"]
    assert lasts["quarters_a_year"] == min(4, lasts["studies_a_year"])
    assert lasts["years"] == lasts["studies_ever"] / lasts["quarters_a_year"]
    assert found["count"]["share_of_year"] == pytest.approx(counting / caps["year"])
    assert found["hours"] is None


def test_what_was_spent_is_taken_off(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = NodeSettings.load(home).open_ledger()
    ledger.reserve("a", "m", 0.05)
    ledger.count_once("b", 0.01, NoisedCount("all", "s", 50.0, 0.0002, 900))
    ledger.close()
    before = listing(home)
    assert check(home, "--json") == 0
    found = content(capsys)
    assert found["left_rho"]["year"] == pytest.approx(found["caps_rho"]["year"] - 0.0502)
    assert listing(home) == before


@pytest.mark.parametrize("form", ["manifest", "published"])
def test_a_file_that_is_permitted_says_so(home: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    data = MANIFEST.canonical() if form == "manifest" else publish(MANIFEST, SMALL.operator)
    assert check(home, file_of(home, data)) == 0
    text = capsys.readouterr().out
    assert "Study study-1 is permitted here, once enough people approve it" in text
    assert "was not checked" in text


def test_all_that_stands_against_a_study_is_listed_with_what_to_do(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = study(
        participants=("BG", "FI", "GR", "IT"),
        trust="masked",
        purpose_category="evaluation",
        parameters={
            "target": "actual_victim",
            "features": ["sex", "means_of_control"],
            "rounds": 4,
            "population": "minors",
        },
        rho=4.0,
        delta=1e-5,
        tick_seconds=0.0,
        max_victims=500,
        roster_hash="a" * 64,
    )
    strict = POLICY.replace('["logistic"]', '["trends"]').replace("participants = 2", "participants = 8")
    write(home, strict.replace("colluders = 1", "colluders = 2"))
    assert check(home, file_of(home, refused.canonical()), "--json") == RefusedError.exit_code
    found = content(capsys)
    assert found["permitted"] is False
    assert {entry["term"] for entry in found["objections"]} == {
        "participants",
        "max_victims",
        "analyses",
        "columns",
        "purposes",
        "populations",
        "minimum_participants",
        "least_tolerated_colluders",
        "least_tick_seconds",
        "delta",
        "roster",
        "epsilon",
    }
    assert all(entry["what"] and entry["fix"] for entry in found["objections"])
    (budget,) = [entry["what"] for entry in found["objections"] if entry["term"] == "epsilon"]
    for span in ("study", "year", "lifetime"):
        assert f"cap per {span}" in budget
    assert check(home, file_of(home, refused.canonical())) == RefusedError.exit_code
    text = capsys.readouterr().out
    assert "Study study-1 is NOT permitted here" in text
    assert "  - purposes: purposes of evaluation are not permitted\n    Fix: decline the study" in text


def test_a_study_that_was_offered_is_named_by_its_name(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / "node.toml"
    key = f'operator_keys = ["{public_hex(SMALL.operator)}"]\n'
    path.write_text(key + path.read_text(encoding="utf-8"), encoding="utf-8")
    NodeStudies(home, (public_hex(SMALL.operator),)).keep(publish(MANIFEST, SMALL.operator))
    assert check(home, "study-1") == 0
    text = capsys.readouterr().out
    assert "Study study-1 is permitted" in text
    assert "not checked" not in text


def test_a_remembered_count_below_the_least_is_an_objection_that_gives_no_count_away(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "store" / "snapshots" / "000001-20260101T000000Z.sealed").write_bytes(b"sealed")
    ledger = NodeSettings.load(home).open_ledger()
    ledger.count_once("b", 0.01, NoisedCount("all", "000001-20260101T000000Z", 50.0, 0.0002, 137))
    ledger.close()
    assert check(home, file_of(home, MANIFEST.canonical())) == RefusedError.exit_code
    text = capsys.readouterr().out
    assert "least_victims: study 'study-1' is not permitted here: the noised count" in text
    assert "137" not in text


def test_an_expired_study_is_an_objection(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    past = study(rho=0.05, tick_seconds=1.0, expires=datetime.now(UTC).date() - timedelta(days=1))
    assert check(home, file_of(home, past.canonical())) == RefusedError.exit_code
    assert "expires: it has expired on" in capsys.readouterr().out


def test_a_closed_node_says_when_it_opens_and_the_study_is_permitted(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day = DAYS[(datetime.now(UTC).weekday() + 3) % 7]
    write(home, POLICY + f'opening_hours = ["{day} 08:00-18:00"]\ntime_zone = "UTC"\n')
    assert check(home, file_of(home, MANIFEST.canonical())) == 0
    text = capsys.readouterr().out
    assert "now closed" in text
    assert "is permitted here, from 20" in text


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("no-such-study", UsageError),
        (b"not json", PeerError),
        (b'{"manifest":1}', PeerError),
        (b"{}", ConfigurationError),
        (b'{"a":NaN}', PeerError),
        (b'{"a":' + b"1" * 400 + b"}", PeerError),
        (b"[" * 100_000, PeerError),
        (b"\xff" * 2**21, PeerError),
    ],
)
def test_what_is_no_study_is_refused_in_words(
    home: Path, capsys: pytest.CaptureFixture[str], what: str | bytes, code: type[Exception]
) -> None:
    name = what if isinstance(what, str) else file_of(home, what)
    status = check(home, name)
    assert status == code.exit_code, capsys.readouterr()  # type: ignore[attr-defined]


def test_a_policy_that_cannot_be_meant_is_a_configuration_error_that_still_explains(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(home, POLICY.replace('["logistic"]', '["logistics"]').replace("year = 4.0", "year = 1.0"))
    assert check(home) == ConfigurationError.exit_code
    text = capsys.readouterr().out
    assert "WRONG: this version has no analysis logistics" in text
    assert "WRONG: the caps on epsilon do not grow" in text


def test_counting_that_eats_the_budget_is_pointed_at(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = POLICY.replace("= 2.0", "= 0.3").replace("= 4.0", "= 0.4").replace("= 16.0", "= 1.0")
    write(home, small.replace("least_victims = 200", "least_victims = 20"))
    assert check(home) == 0
    assert "Look again: counting victims each quarter takes more than" in capsys.readouterr().out


def test_no_policy_no_start_and_the_message_says_what_to_read(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(home, "")
    for command in (["policy", "check"], ["start"], ["ledger"]):
        assert run(["node", *command, "--home", str(home)]) == ConfigurationError.exit_code
        text = capsys.readouterr().err
        assert "[no-policy]" in text
        assert "permits nothing and does not start" in text
        assert "docs/policy.md" in text


def test_links_are_told_too(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(home) == 0
    assert "Links:       none with other states" in capsys.readouterr().out
    links = """
[links]
types = ["phone", "email"]
owners = ["Recruiter"]
purposes = ["investigation"]
partners = ["RO", "BG"]
monthly = 2000
first_load = 20000
"""
    write(home, POLICY + links)
    assert check(home) == 0
    said = capsys.readouterr().out
    assert "with BG, RO; for investigation; compares email, phone, its own of Recruiter; answers each" in said
    assert check(home, "--json") == 0
    assert content(capsys)["links"]["monthly"] == 2000
