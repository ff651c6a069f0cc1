"""The steps of an exchange at the nodes, from keys to tokens."""

from __future__ import annotations

from pathlib import Path

from link_offices import make_keys, nodes, phones, run, spread


def test_the_same_identifier_at_two_states_has_the_same_token(tmp_path: Path) -> None:
    made = nodes(tmp_path)
    make_keys(made)
    made["RO"].cases.rows = phones(spread(70))
    made["BG"].cases.rows = phones(spread(5, start=60))
    for name in ("RO", "BG"):
        made[name].prepared()
        assert run(made, name) > 0
    mine = {row.token for row in made["RO"].office.book.tokens("2026")}
    theirs = {row.token for row in made["BG"].office.book.tokens("2026")}
    assert len(mine) == 70
    assert len(theirs) == 5
    assert theirs < mine
