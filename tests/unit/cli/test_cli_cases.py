"""The commands around the case store: ids off the command line, nothing erased unseen, no prompt alone."""

from __future__ import annotations

import io
import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import store_samples as samples
from safeborders_fed.cli import main
from safeborders_fed.node.erasing import pseudonyms
from safeborders_fed.node.settings import NodeSettings

WHO = "person-7"
REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())


@pytest.fixture
def settings(tmp_path: Path) -> NodeSettings:
    settings = samples.node(tmp_path)
    (tmp_path / "ids").write_text(f"\ufeff{WHO}\n\n", encoding="utf-8")
    (tmp_path / "m.toml").write_text(samples.MAPPING, encoding="utf-8")
    return settings


def cases(settings: NodeSettings, command: str, *more: str) -> int:
    return main.run(["node", "cases", command, "--home", str(settings.home), *more])


def erase(settings: NodeSettings, *more: str) -> int:
    return cases(settings, "erase", "--by", "Dana", "--reason", "request 12", *more)


def out(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return content


def test_nothing_is_erased_before_the_number_is_repeated(
    settings: NodeSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = samples.all_bytes(settings.store_path)
    assert erase(settings, "--id-file", str(tmp_path / "ids")) == 2
    shown = capsys.readouterr().err
    assert "1 records of 1 victims" in shown
    assert "--confirm 1" in shown
    assert "backups" in shown
    assert WHO not in shown
    assert erase(settings, "--id-file", str(tmp_path / "ids"), "--confirm", "2") == 5
    assert samples.all_bytes(settings.store_path) == before
    capsys.readouterr()
    assert erase(settings, "--id-file", str(tmp_path / "ids"), "--confirm", "1", "--json") == 0
    done = out(capsys)
    assert (done["cases"], done["victims"]) == (1, 1)
    assert done["snapshot"] == settings.open_store().latest_snapshot()
    assert WHO not in settings.open_store().raw_keys()["victim_id"].to_pylist()


def test_a_pseudonym_will_do(settings: NodeSettings, capsys: pytest.CaptureFixture[str]) -> None:
    (pseudonym,) = pseudonyms(settings.store_keys(), [WHO])
    assert erase(settings, "--pseudonym", pseudonym, "--confirm", "1") == 0
    assert "The ledger is as it was" in capsys.readouterr().out
    assert settings.open_store().cases().num_rows == 39


def test_without_an_id_and_a_terminal_nobody_is_asked(
    settings: NodeSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert erase(settings, "--confirm", "1") == 2
    assert "no-terminal" in capsys.readouterr().err
    assert erase(settings, "--id-file", str(tmp_path / "ids"), "--pseudonym", "ab" * 16) == 2
    assert "which-victims" in capsys.readouterr().err


def test_the_id_and_the_number_are_typed_at_a_terminal(settings: NodeSettings) -> None:
    """A real terminal: the id stands in no command line and in no output but its own echo."""
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "safeborders_fed", "node", "cases", "erase", "--home"]
    command += [str(settings.home), "--by", "Dana", "--reason", "request 12"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    with subprocess.Popen(
        command, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        os.close(terminal)
        os.write(controller, f"{WHO}\n1\n".encode())
        output, errors = process.communicate(timeout=60)
        os.close(controller)
    assert process.returncode == 0, errors.decode()
    assert b"1 cases" in output
    assert WHO.encode() not in output + errors
    assert settings.open_store().cases().num_rows == 39


def test_an_import_says_whom_it_leaves_out_and_restore_is_logged(
    settings: NodeSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert erase(settings, "--id-file", str(tmp_path / "ids"), "--confirm", "1") == 0
    file = samples.write(tmp_path / "again.csv", map(samples.row, range(40)))
    arguments = ["node", "import", str(file), "--mapping", str(tmp_path / "m.toml")]
    arguments += ["--home", str(settings.home)]
    capsys.readouterr()
    assert main.run(arguments) == 0
    assert "of erased victims: 1" in capsys.readouterr().out
    assert main.run([*arguments, "--restore"]) == 0
    assert settings.open_store().cases().num_rows == 40
    entries = [entry for entry in samples.log_entries(settings) if entry["operation"] == "import"]
    assert [entry["details"]["restore"] for entry in entries] == [False, True]
    assert {entry["details"]["file"] for entry in entries} == {"again.csv"}
    assert entries[0]["who"].startswith("user ")


def test_an_import_that_cannot_be_put_on_record_takes_nothing_in(
    settings: NodeSettings, tmp_path: Path
) -> None:
    file = samples.write(tmp_path / "more.csv", map(samples.row, range(60)))
    settings.signing_key_path.rename(tmp_path / "elsewhere")
    before = settings.open_store().latest_snapshot()
    arguments = ["node", "import", str(file), "--mapping", str(tmp_path / "m.toml")]
    assert main.run([*arguments, "--home", str(settings.home)]) == 4
    assert settings.open_store().latest_snapshot() == before


def test_rekeying_says_what_became_of_the_old_keys(
    settings: NodeSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = settings.store_keys()
    assert cases(settings, "rekey", "--by", "Dana", "--reason", "yearly") == 0
    captured = capsys.readouterr()
    assert "The old keys are gone" in captured.out
    assert "backup" in captured.out
    assert settings.store_keys() != keys


def test_purging_asks_how_and_says_what(settings: NodeSettings, capsys: pytest.CaptureFixture[str]) -> None:
    assert cases(settings, "purge", "--now") == 4
    assert "no-retention" in capsys.readouterr().err
    samples.with_settings(settings, "\n[retention]\nmonths = 1\n")
    assert cases(settings, "purge") == 2
    assert cases(settings, "purge", "--dry-run") == 0
    assert "40 cases of 40 victims" in capsys.readouterr().out
    assert settings.open_store().cases().num_rows == 40
    assert cases(settings, "purge", "--now", "--json") == 0
    assert out(capsys)["rows"] == 40
    assert settings.open_store().cases().num_rows == 0


def test_the_list_shows_terms_and_what_is_there(
    settings: NodeSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    samples.with_settings(settings, "\n[retention]\nmonths = 1200\nminors_months = 600\n")
    assert cases(settings, "list") == 0
    assert "Retention: cases 1200 months (600 of minors)" in capsys.readouterr().out
    assert cases(settings, "list", "--json") == 0
    found = out(capsys)
    assert found["next_purge"] == "2124-03-05"
    assert (found["erased"], found["rejected_files"]) == (0, 0)
    assert found["snapshots"][0]["bytes"] > 1000


def test_a_node_under_a_passphrase_is_made_and_put_under_something_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phrase = tmp_path / "phrase"
    phrase.write_text("correct horse battery\n", encoding="utf-8")
    phrase.chmod(0o600)
    home, key = tmp_path / "ro", tmp_path / "ro.key"
    arguments = ["node", "init", "--country", "RO", "--home", str(home), "--key-file", str(key)]
    more = ["--key-protection", "passphrase", "--passphrase-file", str(phrase)]
    assert main.run([*arguments, *more]) == 0
    assert "safeborders-node-keys-under-passphrase" in key.read_text(encoding="ascii")
    settings = NodeSettings.load(home)
    assert settings.key_passphrase_file == phrase
    assert settings.open_store().latest_snapshot() is None
    rewrap = ["node", "cases", "rewrap", "--home", str(home), "--by", "Dana", "--out", str(tmp_path / "k2")]
    capsys.readouterr()
    assert main.run([*rewrap, "--to", "none"]) == 0
    assert 'key_protection = "none"' in capsys.readouterr().out
    assert main.run([*rewrap, "--to", "rot13"]) == 2
    assert 'safeborders-node-keys"' in (tmp_path / "k2").read_text(encoding="ascii")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the example calls openssl")
def test_the_example_hook_unwraps_what_it_wrapped(tmp_path: Path) -> None:
    """The script under configs/, with a key in a file in the place of a key service's."""
    script = REPOSITORY / "configs" / "kms-hook-example.sh"
    environment = {"PATH": os.environ["PATH"], "SAFEBORDERS_EXAMPLE_KEY": str(tmp_path / "service.key")}
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "service.key").write_bytes(pem)
    secret = os.urandom(32)
    wrapped = subprocess.run(
        [str(script), "wrap"], input=secret, capture_output=True, check=True, env=environment
    ).stdout
    assert secret not in wrapped
    done = subprocess.run([str(script)], input=wrapped, capture_output=True, check=True, env=environment)
    assert done.stdout == secret
    broken = subprocess.run(
        [str(script)], input=wrapped[:-8], capture_output=True, check=False, env=environment
    )
    assert broken.returncode != 0
    assert broken.stdout == b""
