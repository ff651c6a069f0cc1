"""Commands of enrolment: what they refuse, with a code and what to do."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from enrolment_samples import NOW, WORDS, Site, federation
from safeborders_fed.cli.main import run
from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError, UsageError


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = federation(tmp_path, "BG", "FI")
    (tmp_path / "passphrase").write_text(WORDS, encoding="utf-8")
    return site


def node(site: Site, *arguments: str, country: str = "BG") -> int:
    return run(["node", *arguments, "--home", str(site.directory / country)])


def coordinator(site: Site, *arguments: str) -> int:
    who = ["--by", "Olga", "--key-file", str(site.directory / "olga")]
    return run(["coordinator", *arguments, "--home", str(site.home.path), *who])


def sign(site: Site, file: str, out: Path, name: str = "Anna") -> int:
    words = ["--passphrase-file", str(site.directory / "passphrase"), "--name", name, "--out", str(out)]
    return node(site, "roster", "sign", file, "--key", str(site.person("BG", name)), *words)


def test_refusals_have_a_code_and_say_what_to_do(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    request = str(site.directory / "BG" / "requests" / "BG-request.json")
    site.node("GR")
    fresh = site.request("GR")
    new = site.directory / "GR-request.json"
    new.write_bytes(fresh.to_bytes())
    altered = site.directory / "altered.json"
    altered.write_bytes(fresh.to_bytes().replace(b'"GR"', b'"IT"'))
    bundle = str(site.home.path / "bundles" / "FI.json")
    cases = [
        (coordinator(site, "enrol", str(new)), UsageError, "fingerprint-missing"),
        (coordinator(site, "enrol", str(new), "--fingerprint", "ab"), RefusedError, "wrong-fingerprint"),
        (coordinator(site, "enrol", str(altered), "--fingerprint", "ab"), PeerError, "request-altered"),
        (coordinator(site, "enrol", bundle, "--fingerprint", "ab"), PeerError, "bad-request"),
        (coordinator(site, "enrol", "nowhere.json"), ConfigurationError, "file-missing"),
        (coordinator(site, "revoke", "PL", "--reason", "x"), RefusedError, "not-enrolled-yet"),
        (coordinator(site, "bundle", "PL"), RefusedError, "not-enrolled-yet"),
        (node(site, "enrol", bundle, "--by", "IT"), RefusedError, "bundle-for-another-node"),
        (node(site, "enrol", request, "--by", "IT"), PeerError, "bad-bundle"),
        (node(site, "request"), RefusedError, "enrolled-already"),
        (node(site, "renew", "--lost-key"), ConfigurationError, "signing-key-in-use"),
        (node(site, "roster", "show", request), PeerError, "bad-roster"),
        (
            node(site, "roster", "accept", str(site.home.path / "rosters/0002.json")),
            RefusedError,
            "nothing-to-accept",
        ),
        (
            node(site, "approver", "revoke", "--name", "Eve", "--reason", "x", "--by", "IT"),
            RefusedError,
            "not-enrolled",
        ),
        (
            node(site, "approver", "add", "--name", "Eve", "--public", "x", "--by", "IT"),
            UsageError,
            "bad-approver",
        ),
    ]
    errors = capsys.readouterr().err.split("Error ")[1:]
    for (status, kind, code), error in zip(cases, errors, strict=True):
        assert status == kind.exit_code, code
        assert error.startswith(f"[{code}]")
        assert "Fix: " in error


def test_a_roster_is_signed_and_accepted_by_two_people(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.enrol("GR")
    file, anna, boris = str(site.home.path / "rosters/0003.json"), site.directory / "a", site.directory / "b"
    assert node(site, "roster", "show", file) == 0
    shown = capsys.readouterr().out
    assert "GR joins with key" in shown
    assert "Two people call each of these states" in shown
    assert sign(site, file, anna) == 0
    assert sign(site, file, anna) == UsageError.exit_code
    assert "[out-exists]" in capsys.readouterr().err
    assert node(site, "roster", "accept", file, "--approval", str(anna)) == RefusedError.exit_code
    assert "approved by Anna, 1 missing" in capsys.readouterr().err
    assert sign(site, file, boris, "Boris") == 0
    both = ["--approval", str(anna), "--approval", str(boris)]
    capsys.readouterr()
    assert node(site, "roster", "accept", file, *both, "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert content["accepted_by"] == ["Anna", "Boris"]
    assert content["versions"][0]["changes"][0]["kind"] == "added"
    assert node(site, "roster", "show", "--json") == 0
    assert [entry["node"] for entry in json.loads(capsys.readouterr().out)["members"]] == ["BG", "FI", "GR"]


def test_people_are_listed_with_what_became_of_them(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["approver", "revoke", "--name", "Anna", "--reason", "Left.", "--by", "IT"]
    assert node(site, *arguments, "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["can_approve"] == 1
    assert "Warning: 1 person can approve" in captured.err
    assert node(site, "approver", "list") == 0
    assert "revoked on" in capsys.readouterr().out


def test_a_coordinator_lists_members_and_what_ends(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert coordinator(site, "bundle", "BG", "--json") == 0
    assert json.loads(capsys.readouterr().out)["bundle"].endswith("BG.json")
    assert coordinator(site, "revoke", "FI", "--reason", "Left.") == 0
    assert "Send to every other state" in capsys.readouterr().out
    assert run(["coordinator", "members", "--home", str(site.home.path), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [member["revoked"] is None for member in content["members"]] == [True, False]
    assert content["warnings"] == []
    assert run(["coordinator", "members", "--home", str(site.home.path)]) == 0
    assert "revoked on" in capsys.readouterr().out


def test_a_fingerprint_is_typed_at_a_terminal_and_never_shown(site: Site) -> None:
    request = site.request("GR", NOW)
    file = site.directory / "GR" / "requests" / "GR-request.json"
    words = ["coordinator", "enrol", str(file), "--home", str(site.home.path), "--by", "Olga"]
    command = [sys.executable, "-m", "safeborders_fed", *words, "--key-file", str(site.directory / "olga")]
    outer, inner = pty.openpty()
    with subprocess.Popen(command, stdin=inner, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        os.write(outer, request.fingerprint().upper().encode() + b"\n")
        out, error = process.communicate(timeout=60)
    os.close(outer)
    os.close(inner)
    assert process.returncode == 0, error
    assert b"Type the fingerprint of the request of GR" in error
    assert request.fingerprint().encode() not in out + error
    assert b"GR is enrolled" in out


def test_a_new_key_needs_the_same_passphrase_twice_and_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["node", "approver", "create-key", str(tmp_path / "key")]) == UsageError.exit_code
    assert "[no-terminal]" in capsys.readouterr().err
    missing = ["--passphrase-file", str(tmp_path / "none")]
    assert run(["node", "approver", "create-key", str(tmp_path / "key"), *missing]) == 4
    assert not (tmp_path / "key").exists()
