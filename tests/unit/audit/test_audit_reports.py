"""Exports of the audit log for authorities: complete, safe to open, and on record."""

import csv
import dataclasses
import hashlib
import io
import json
import re
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_of_log import BEGIN, FORMULA, MARKUP, year_of_log

from audit_samples import PUBLIC, write
from safeborders_fed.audit import records
from safeborders_fed.audit.anchors import Anchor
from safeborders_fed.audit.chain import Operation, verify
from safeborders_fed.audit.led import TREATMENTS, Category
from safeborders_fed.audit.period import Period
from safeborders_fed.audit.records import COLUMNS
from safeborders_fed.audit.summary import LISTED
from safeborders_fed.cli.main import run
from safeborders_fed.errors import ConfigurationError, UsageError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node import auditing
from safeborders_fed.node.auditing import Exported, of_file
from safeborders_fed.node.creating import create_node
from safeborders_fed.study.key_files import load_key

YEAR = Period(date(2026, 1, 1), date(2026, 12, 31))


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("year") / "audit.jsonl"
    year_of_log(path)
    return path


def exported(log: Path, out: Path, form: str, period: Period = YEAR) -> Exported:
    source = of_file(log, PUBLIC)
    return auditing.export(source, period, form, out, who="user ana", now=BEGIN, record=None)


def test_every_operation_has_a_line_in_the_table_of_the_directive() -> None:
    assert set(TREATMENTS) == set(Operation)
    article = {"collection", "alteration", "consultation", "disclosure", "combination", "erasure"}
    assert {category.value for category in Category} - {Category.INTERNAL.value} == article
    assert all(treatment.meaning for treatment in TREATMENTS.values())
    for operation, treatment in TREATMENTS.items():
        if treatment.category is not Category.COMBINATION:  # which may name for whom, and is not a disclosure
            assert bool(treatment.recipient) == (treatment.category is Category.DISCLOSURE), operation


def test_lines_are_the_logs_own_and_can_be_verified(log: Path, tmp_path: Path) -> None:
    done = exported(log, tmp_path / "out", "jsonl")
    assert (tmp_path / "out").read_bytes() == log.read_bytes()
    assert verify(tmp_path / "out", PUBLIC).entries == done.entries
    assert done.result.holds


def test_json_says_who_when_why_and_to_whom(log: Path, tmp_path: Path) -> None:
    exported(log, tmp_path / "out", "json")
    content = json.loads((tmp_path / "out").read_bytes())
    assert (content["node"], content["from"], content["to"]) == ("PL", "2026-01-01", "2026-12-31")
    assert content["verification"]["holds"]
    entries = content["entries"]
    assert [entry["number"] for entry in entries] == list(range(1, len(entries) + 1))
    left = next(entry for entry in entries if entry["operation"] == "contribute")
    assert left["category"] == "disclosure"
    assert left["recipient"] == "coordinator of the federation"
    assert left["study"] == "tables-2026-q1"
    backup = entries[-1]
    assert (backup["category"], backup["recipient"]) == ("disclosure", "who asked for it (be.tar)")
    assert (backup["who"], backup["why"], backup["at"][:7]) == ("user ana", "backup", "2026-12")


def test_a_period_is_of_whole_days_and_may_be_empty(log: Path, tmp_path: Path) -> None:
    first = exported(log, tmp_path / "a", "json", Period(date(2026, 1, 5), date(2026, 1, 5)))
    rest = exported(log, tmp_path / "b", "json", Period(date(2026, 1, 6), date(2026, 12, 31)))
    assert first.entries + rest.entries == len(log.read_bytes().splitlines())
    none = Period(date(2027, 1, 1), date(2027, 1, 1))
    assert exported(log, tmp_path / "c", "json", none).entries == 0
    assert json.loads((tmp_path / "c").read_bytes())["entries"] == []
    exported(log, tmp_path / "d", "html", none)
    assert "None in this period" in (tmp_path / "d").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="bad-period"):
        Period.of(date(2026, 2, 1), date(2026, 1, 1))


def test_no_cell_of_the_csv_is_a_formula(log: Path, tmp_path: Path) -> None:
    exported(log, tmp_path / "out", "csv")
    text = (tmp_path / "out").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert list(rows[0]) == [*COLUMNS, "details"]
    assert len(rows) == len(log.read_bytes().splitlines())
    assert f"'{FORMULA}" in {row["who"] for row in rows}
    assert not [cell for row in rows for cell in row.values() if cell[:1] in tuple("=+-@\t\r\n")]


@given(st.text(max_size=30))
def test_whatever_a_cell_holds_it_is_text_and_comes_back(text: str) -> None:
    cell = records.safe(text)
    assert isinstance(cell, str)
    assert cell.lstrip(" \u00a0")[:1] not in tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
    assert cell.removeprefix("'") == text.replace("\0", "").removeprefix("'")
    written = records._line(["x", text]).decode("utf-8")
    assert list(csv.reader(io.StringIO(written, newline=""), strict=True)) == [["x", cell]]


class _Page(HTMLParser):
    """What a page consists of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(log: Path, out: Path, period: Period = YEAR) -> tuple[_Page, str]:
    exported(log, out, "html", period)
    found, text = _Page(), out.read_text(encoding="utf-8")
    found.feed(text)
    return found, text


def test_the_page_holds_no_script_and_loads_nothing(log: Path, tmp_path: Path) -> None:
    found, text = parsed(log, tmp_path / "out.html")
    names = {tag for tag, _ in found.tags}
    assert not names & {"script", "img", "link", "iframe", "object", "a", "form", "svg"}
    policy = next(at["content"] for tag, at in found.tags if at.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert not [at for _, at in found.tags if any(name.startswith("on") or name == "src" for name in at)]
    assert "url(" not in text
    assert MARKUP not in text
    assert MARKUP in "".join(found.text), "it is shown, as text"


def test_the_page_can_be_read_by_everybody(log: Path, tmp_path: Path) -> None:
    found, text = parsed(log, tmp_path / "out.html")
    assert next(at for tag, at in found.tags if tag == "html") == {"lang": "en"}
    headings = [tag for tag, _ in found.tags if re.fullmatch("h[1-6]", tag)]
    assert headings == ["h1", *["h2"] * (len(headings) - 1)]
    assert {at.get("scope") for tag, at in found.tags if tag == "th"} == {"col", "row"}
    tables = [tag for tag, _ in found.tags].count("table")
    assert tables == [tag for tag, _ in found.tags].count("caption") == 2
    for colour in set(re.findall(r"[^-]color: (#[0-9a-f]{3,6})", text)):
        assert _contrast(colour) >= 7, colour


def _contrast(colour: str) -> float:
    """With white, as WCAG 2 counts it."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    if parts == [1, 1, 1]:
        return 21  # the ground itself
    light = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 1.05 / (0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2] + 0.05)


def test_the_page_says_what_the_log_holds(log: Path, tmp_path: Path) -> None:
    found, _ = parsed(log, tmp_path / "out.html")
    text = " ".join(found.text)
    for part in (
        "The log holds.",
        "Audit log of node PL, 2026-01-01 to 2026-12-31",
        "tables-2026-q4",
        "0.032000",
    ):
        assert part in text
    for part in ("(erasure)", "None in this period: combination.", "a renewed key of FI", "Where to look"):
        assert part in text


def test_more_than_fits_a_page_is_counted_and_left_out(tmp_path: Path) -> None:
    year_of_log(tmp_path / "log", studies=30)
    found, _ = parsed(tmp_path / "log", tmp_path / "out.html")
    text = " ".join(found.text)
    assert f"{30 - LISTED} earlier ones are in the sum only" in text
    assert "30 in all" in text


def test_what_is_no_log_is_not_exported(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, 20)
    data = bytearray(path.read_bytes())
    data[data.index(b"Jan Nowak")] ^= 1
    path.write_bytes(data)
    result = of_file(path, PUBLIC).result()
    assert not result.holds
    assert "entry 1 (line 1)" in result.text
    with pytest.raises(ConfigurationError, match="audit-log-altered"):
        exported(path, tmp_path / "out", "json")
    assert not (tmp_path / "out").exists()


def test_a_log_that_was_cut_is_exported_with_that_said(log: Path, tmp_path: Path) -> None:
    lost = Anchor("f" * 64, "study-9", "2026-06-01", "RO")
    source = dataclasses.replace(of_file(log, PUBLIC), anchors=(lost,))
    for form in ("html", "json"):
        auditing.export(source, YEAR, form, tmp_path / form, who="user ana", now=BEGIN, record=None)
    text = (tmp_path / "html").read_text(encoding="utf-8")
    assert "THE LOG DOES NOT HOLD" in text
    assert '<p class="result fails">' in text
    assert "study-9, 2026-06-01, kept by RO" in text
    assert json.loads((tmp_path / "json").read_bytes())["verification"]["holds"] is False


def test_an_export_from_a_home_is_on_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "pl"
    settings = create_node(home, "PL", tmp_path / "pl.key", 1000)
    with settings.open_audit_log() as log:
        log.append(Operation.VIEW, who="Jan", why="a question")
    arguments = ["node", "audit", "export", "--home", str(home), "--format", "csv", "--from", "2026-01-01"]
    assert run([*arguments, "--out", str(tmp_path / "out.csv")]) == 0
    assert "1 entries" in capsys.readouterr().err
    last = json.loads(settings.audit_path.read_bytes().splitlines()[-1])
    assert (last["operation"], last["details"]["file"]) == ("export", "out.csv")
    assert last["details"]["sha256"] == hashlib.sha256((tmp_path / "out.csv").read_bytes()).hexdigest()
    assert (tmp_path / "out.csv").stat().st_mode & 0o777 == 0o600
    assert run([*arguments, "--out", str(tmp_path / "out.csv")]) == 2, "nothing is overwritten"
    with settings.open_audit_log():  # the service writes it
        assert run([*arguments, "--out", str(tmp_path / "more.csv")]) == 0
        assert "running service" in capsys.readouterr().err
    assert verify_at(home) == 0
    settings.open_audit_log().close()
    assert json.loads(settings.audit_path.read_bytes().splitlines()[-1])["details"]["file"] == "more.csv"


def test_who_may_not_write_the_log_is_told_that_their_export_is_not_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "pl"
    with create_node(home, "PL", tmp_path / "pl.key", 1000).open_audit_log() as log:
        log.append(Operation.VIEW, who="Jan", why="a question")
    monkeypatch.setattr("safeborders_fed.node.auditing.recorder", lambda _: None)  # as for an auditor
    arguments = ["node", "audit", "export", "--home", str(home), "--out", str(tmp_path / "out")]
    assert run(arguments) == 0
    assert "This export is NOT in the audit log" in capsys.readouterr().err


def verify_at(home: Path) -> int:
    return run(["node", "audit", "verify", "--home", str(home)])


def test_an_export_from_a_copy_needs_public_keys_only(log: Path, tmp_path: Path) -> None:
    arguments = ["node", "audit", "export", "--log", str(log), "--key", PUBLIC[0], "--to", "2026-12-31"]
    assert run([*arguments, "--format", "html", "--out", str(tmp_path / "a.html")]) == 0
    assert "The log holds." in (tmp_path / "a.html").read_text(encoding="utf-8")
    assert run([*arguments, "--format", "pdf", "--out", str(tmp_path / "a.pdf")]) == 2
    assert run([*arguments, "--out", str(tmp_path / "none" / "a")]) == 4
    assert run(["node", "audit", "export", "--out", str(tmp_path / "b")]) == 2


def test_an_export_that_cannot_be_put_on_record_is_not_there(tmp_path: Path) -> None:
    home = tmp_path / "pl"
    settings = create_node(home, "PL", tmp_path / "pl.key", 1000)
    with settings.open_audit_log() as log:
        log.append(Operation.VIEW, who="Jan", why="a question")
    key = public_hex(load_key(settings.signing_key_path))
    out = tmp_path / "out"

    def refuse(_: object) -> bool:
        raise ConfigurationError("notice-unwritable", "the disk is full", "free space")

    source = of_file(settings.audit_path, [key])
    with pytest.raises(ConfigurationError, match="notice-unwritable"):
        auditing.export(source, YEAR, "json", out, who="ana", now=BEGIN, record=refuse)
    assert not list(tmp_path.glob("*out*"))
