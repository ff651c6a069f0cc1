"""The entry point: exit codes, coded errors, a quick start, nothing said of an unforeseen error's content."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from safeborders_fed import __version__
from safeborders_fed.cases import mapping
from safeborders_fed.cli import main
from safeborders_fed.errors import (
    ConfigurationError,
    DataError,
    DefectError,
    PeerError,
    RefusedError,
    SafeBordersError,
    UsageError,
)

Raiser = Callable[[Exception], None]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Raiser:
    """Makes ``node mapping check`` raise what it is given."""

    def fail(error: BaseException) -> None:
        def load(_: Path) -> None:
            raise error

        monkeypatch.setattr(mapping, "load_mapping", load)

    return fail


CHECK = ["node", "mapping", "check", "m.toml"]


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--version"]) == 0
    assert capsys.readouterr().out == f"safeborders {__version__}\n"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SafeBordersError, 1),
        (DefectError, 1),
        (UsageError, 2),
        (DataError, 3),
        (ConfigurationError, 4),
        (RefusedError, 5),
        (PeerError, 6),
    ],
)
def test_the_exit_code_says_who_must_act(
    failing: Raiser, capsys: pytest.CaptureFixture[str], error: type[SafeBordersError], status: int
) -> None:
    failing(error("some-code", "this happened", "do that"))
    assert main.run(CHECK) == status
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "Error [some-code]: this happened\nFix: do that\n")
    assert main.run([*CHECK, "--json"]) == status
    shown = capsys.readouterr()
    assert shown.err == ""
    assert json.loads(shown.out) == {
        "schema_version": 1,
        "error": {"code": "some-code", "cause": "this happened", "fix": "do that"},
    }


def test_an_unforeseen_error_shows_where_it_arose_and_not_what_it_says(
    failing: Raiser, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SAFEBORDERS_DEBUG", raising=False)
    failing(ValueError("Maria, +359 88 123"))
    assert main.run(CHECK) == 1
    shown = capsys.readouterr()
    assert "Maria" not in shown.out + shown.err
    assert "incident" in shown.err
    assert "ValueError at cli/node.py:" in shown.err
    assert "Fix:" in shown.err
    monkeypatch.setenv("SAFEBORDERS_DEBUG", "1")
    with pytest.raises(ValueError, match="Maria"):
        main.run(CHECK)


def test_an_interruption_has_its_own_code(failing: Raiser, capsys: pytest.CaptureFixture[str]) -> None:
    failing(KeyboardInterrupt())
    assert main.run(CHECK) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


@pytest.mark.parametrize(
    "arguments", [["nothing"], ["node", "nothing"], ["node", "import", "x.csv"], [*CHECK, "--colour"]]
)
def test_a_wrong_command_line_is_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(arguments) == 2
    assert "Error [usage]:" in capsys.readouterr().err
    assert main.run([*arguments, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "usage"


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([]) == 2
    assert "Usage: safeborders" in capsys.readouterr().err


def test_control_characters_of_a_message_do_not_reach_the_terminal(
    failing: Raiser, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(DataError("bad", "the column '\x1b[2J' is missing", "mend it"))
    main.run(CHECK)
    assert "\x1b" not in capsys.readouterr().err


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from safeborders_fed.cli.main import run; run(['node', '--help']); "
        "heavy = {'numpy', 'pandas', 'pyarrow', 'pydantic', 'rich', 'torch', 'flwr'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert output.splitlines()[-1] == "[]"


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m safeborders_fed.cli.main node contract | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, env=os.environ, check=False
    )
    assert done.stdout.startswith("Data contract")
    assert "Traceback" not in done.stderr
