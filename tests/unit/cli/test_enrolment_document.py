"""docs/enrolment.md: each command runs as it is written, for a coordinator and two states."""

from __future__ import annotations

import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

from federation_of import ROOT
from safeborders_fed.audit.chain import verify
from safeborders_fed.cli.main import run
from safeborders_fed.coordinator.enrolment import current_roster, transport_keys
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.approvals import load_approver_key
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.study.accepted_keys import fingerprint
from safeborders_fed.study.enrolment import EnrolmentRequest
from safeborders_fed.study.key_files import load_key

DOCUMENT = ROOT / "docs" / "enrolment.md"
WORDS = "correct horse battery"


def commands() -> list[str]:
    """Every command, in order; those of each node once for BG and once for FI."""
    found = []
    text = DOCUMENT.read_text(encoding="utf-8")
    for comment, block in re.findall(r"(<!-- [^\n]* -->\n)?```sh\n(.*?)```", text, flags=re.DOTALL):
        lines = block.strip().splitlines()
        found += lines
        found += [line.replace("BG", "FI") for line in lines if comment]
    return found


def filled_in(command: str, directory: Path) -> list[str]:
    """The command with what people hear and type, below a directory of this test."""
    words = shlex.split(command.replace("/srv/", f"{directory}/").replace("/media/", f"{directory}/"))
    state = "FI" if "/FI" in command else "BG"
    for place, word in enumerate(words):
        person = word.removeprefix("PUBLIC-KEY-OF-").lower()
        what = word.removeprefix("FINGERPRINT-OF-THE-").lower()
        request = directory / state / "requests" / f"{state}-{what}.json"
        if word.startswith("PUBLIC-KEY-OF-"):
            words[place] = public_hex(load_approver_key(directory / f"{state}-{person}.key", WORDS))
        elif word == "FINGERPRINT-OF-THE-OPERATOR":
            words[place] = fingerprint(CoordinatorHome.load(directory / "coordinator").operators[0].public)
        elif word.startswith("FINGERPRINT-OF-THE-"):
            words[place] = fingerprint(EnrolmentRequest.from_bytes(request.read_bytes()).fingerprint())
    if words[2:4] in (["approver", "create-key"], ["roster", "sign"]):
        words += ["--passphrase-file", str(directory / "passphrase")]
    return words


def test_every_command_runs_as_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "passphrase").write_text(WORDS + "\n", encoding="utf-8")
    done = commands()
    assert len(done) > 35
    keys: dict[str, str] = {}
    for command in done:
        words = filled_in(command, tmp_path)
        if words[0] == "rm":
            Path(words[1]).unlink()
            continue
        assert words[0] == "safeborders"
        assert run(words[1:]) == 0, (command, capsys.readouterr().err)
        for state in ("BG", "FI"):
            path = tmp_path / f"{state}.key.signing"
            if path.exists():
                keys[public_hex(load_key(path))] = state
    home = CoordinatorHome.load(tmp_path / "coordinator")
    assert set(current_roster(home).roster.keys()) == {"FI"}
    assert set(transport_keys(home, datetime.now(UTC).date())) == {"FI"}
    settings = NodeSettings.load(tmp_path / "BG")
    assert len([key for key, state in keys.items() if state == "BG"]) == 3
    verify(settings.audit_path, [public_hex(load_key(settings.signing_key_path))])
    (aside,) = settings.home.glob("audit.until-*.jsonl")
    verify(aside, [key for key, state in keys.items() if state == "BG"][:2])
    finland = NodeSettings.load(tmp_path / "FI")
    verify(finland.audit_path, [public_hex(load_key(finland.signing_key_path))])


def test_what_is_printed_is_what_the_other_side_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "passphrase").write_text(WORDS + "\n", encoding="utf-8")
    heard: dict[str, str] = {}
    steps = [command for command in commands() if "/FI" not in command and " FI " not in command]
    for command in steps[:10]:
        words = filled_in(command, tmp_path)
        assert run([*words[1:], "--json"]) == 0
        content = json.loads(capsys.readouterr().out)
        assert content["schema_version"] == 1
        heard |= {name: value for name, value in content.items() if name in {"fingerprint", "operator_key"}}
        if words[2] == "enrol" and words[1] == "coordinator":
            assert heard["fingerprint"].replace(" ", "") == words[-1].replace(" ", "")
        if words[2] == "enrol" and words[1] == "node":
            assert heard["operator_key"] == words[-1].replace(" ", "")
    assert heard.keys() == {"fingerprint", "operator_key"}
