"""What a service's log says to people here, and to machines elsewhere."""

import json
import logging
import sys

import pytest

from safeborders_fed.study import canonical
from safeborders_fed.transport.service_log import FORM, JsonLines, log_to_stderr


def record(text: str, *arguments: object, failed: bool = False) -> logging.LogRecord:
    error = sys.exc_info() if failed else None
    return logging.LogRecord("safeborders_fed.x", logging.WARNING, __file__, 1, text, arguments, error)


def test_a_line_is_one_json_object() -> None:
    content = json.loads(JsonLines().format(record("two\nlines of %s", "text")))
    assert content["message"] == "two\nlines of text"
    assert (content["level"], content["source"], content["schema_version"]) == (
        "warning",
        "safeborders_fed.x",
        1,
    )
    assert content["at"].endswith("+00:00")
    assert "\n" not in JsonLines().format(record("two\nlines"))


def test_the_text_of_an_exception_stays_on_this_machine() -> None:
    try:
        canonical.parse(b"the name of a victim")
    except Exception:  # noqa: BLE001 - whatever it is
        line = JsonLines().format(record("a message could not be read", failed=True))
    content = json.loads(line)
    assert content["error"] == "PeerError"
    assert content["place"].startswith("study/canonical.py:")
    assert "victim" not in line
    assert content["code"] == "not-canonical"


@pytest.mark.parametrize(("form", "is_json"), [("json", True), ("", False)])
def test_the_environment_chooses_the_form(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], form: str, *, is_json: bool
) -> None:
    before, level = logging.root.handlers[:], logging.root.level
    monkeypatch.setenv(FORM, form)
    try:
        log_to_stderr()
        logging.getLogger("safeborders_fed.x").info("ready")
    finally:
        logging.root.handlers[:] = before
        logging.root.setLevel(level)
    line = capsys.readouterr().err.strip()
    assert line.startswith("{") is is_json
    assert "ready" in line
