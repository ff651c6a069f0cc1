"""A key ceremony that is cut off, and what changes before it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from link_federation import CrashError, LinkFederation, federation


def planted(directory: Path) -> LinkFederation:
    """Three states, each with a batch that waits."""
    made = federation(directory, "BE", "BG", "GR")
    for node in made.nodes.values():
        node.add({"phone": "+32 2 555 12 12"})
        node.offer()
    return made


def test_a_coordinator_that_lost_its_files_in_the_ceremony_makes_keys_all_the_same(tmp_path: Path) -> None:
    made = planted(tmp_path)
    made.wire.crash_at = "pin"
    with pytest.raises(CrashError):
        made.exchange()
    made.wire.crash_at = None
    made.files.begin_ceremony_again()
    assert set(made.exchange().points) == {"BE", "BG", "GR"}


def test_a_roster_that_changes_during_the_ceremony_has_keys_of_its_own(tmp_path: Path) -> None:
    made = planted(tmp_path)
    made.wire.crash_at = "pin"
    with pytest.raises(CrashError):
        made.exchange()
    made.wire.crash_at = None
    roster = made.ceremony.roster
    changed = roster.model_copy(update={"version": roster.version + 1})
    object.__setattr__(made.ceremony, "roster", changed)
    for node in made.nodes.values():
        node.office.roster_hash = changed.hash()
    assert set(made.exchange().points) == {"BE", "BG", "GR"}
    assert made["BE"].office.require_key_set(made.files.epoch).roster == changed.hash()
