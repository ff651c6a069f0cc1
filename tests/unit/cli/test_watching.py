"""The live line of a run."""

from __future__ import annotations

from safeborders_fed.cli.watching import News


def test_a_live_line_says_when_nothing_follows_it() -> None:
    now = 0.0
    news = News(lambda: now)
    assert news.text() == "waiting for the run to begin"
    news.take({"kind": "started", "study": "tables-1", "rounds": 3, "nodes": ["BE", "BG", "FI"]})
    now = 4.0
    assert news.text() == "study tables-1: 3 rounds, 3 states"
    now = 75.0
    assert news.text() == "study tables-1: 3 rounds, 3 states · silent for 01:15"
    news.take({"kind": "summary"})
    assert "silent" in news.text(), "what is not for people is no news to them"
    news.take({"kind": "offered", "nodes": ["BE", "BG", "FI"], "missing": {}})
    assert news.text() == "approved by 3 of 3 states"


def test_no_row_can_steer_a_terminal() -> None:
    news = News(lambda: 0.0)
    news.take({"kind": "offered", "nodes": ["BE"], "missing": {"BE": "\x1b[2J"}})
    assert "\x1b" not in news.text()
