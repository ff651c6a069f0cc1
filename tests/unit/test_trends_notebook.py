"""The notebook of published tables runs on released tables alone."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from federation_of import ROOT
from model_samples import TODAY, Operators
from safeborders_fed.coordinator import table_releases
from safeborders_fed.errors import RefusedError
from safeborders_fed.study.key_files import load_key
from table_samples import counts, loaded, release

NOTEBOOK = str(ROOT / "notebooks" / "trends.py")


@pytest.fixture
def operators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operators:
    """A coordinator that has released tables, found as the demonstration's are."""
    made = Operators.enrol(tmp_path)
    tables = loaded(release(counts(4)))
    table_releases.store(made.home, tables.file.to_bytes(), b"{}")
    for name in ("Ana", "Bo"):
        table_releases.release(
            made.home,
            tables.tables.id,
            sha256=tables.sha256,
            by=name,
            key=load_key(made.keys[name]),
            today=TODAY,
            reason="A test.",
        )
    monkeypatch.delenv("SAFEBORDERS_TABLES", raising=False)
    monkeypatch.setenv("SAFEBORDERS_DEMO", str(tmp_path))
    monkeypatch.setenv("SAFEBORDERS_CHART", str(tmp_path / "chart.svg"))
    return made


def test_from_a_release_to_a_chart(
    operators: Operators, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = runpy.run_path(NOTEBOOK)
    printed = capsys.readouterr().out
    assert "tables trends-one-1" in printed
    assert "year x form" in printed
    assert list(shown["counts"].index) == ["2020", "2021", "2022"]
    published = shown["counts"].dropna()
    assert len(published)
    assert (published["lower"] <= published["count"]).all()
    assert (published["count"] <= published["upper"]).all()
    assert "trends-one-1" in (tmp_path / "chart.svg").read_text(encoding="utf-8")
    assert operators.home.released.is_dir()


def test_withdrawn_tables_are_not_read(operators: Operators) -> None:
    key = load_key(operators.keys["Bo"])
    table_releases.withdraw(operators.home, "trends-one", by="Bo", key=key, today=TODAY, reason="Wrong file.")
    with pytest.raises(RefusedError, match="withdrawn"):
        runpy.run_path(NOTEBOOK)


def test_it_says_what_to_do_without_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAFEBORDERS_TABLES", raising=False)
    monkeypatch.setenv("SAFEBORDERS_DEMO", str(tmp_path))
    with pytest.raises(SystemExit, match="safeborders demo"):
        runpy.run_path(NOTEBOOK)
