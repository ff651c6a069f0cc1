"""Links beside the planted truth: the comparison must see what is missed, invented, false and misspelt."""

from pathlib import Path
from typing import Any

import pytest

from link_federation import LinkFederation, federation
from safeborders_fed.links.office import Office
from safeborders_fed.simulation.link_truth import Recall, all_planted, compare

PLANTED = "+359 88 1234567"
CHANCE = "+359 88 7654321"


def entry(country: str, case: int, error: str = "") -> dict[str, str]:
    return {"country": country, "case_id": f"case-{case}", "victim_id": "", "text": "", "typing_error": error}


TRUTH: dict[str, Any] = {
    "networks": [
        {
            "identifiers": [
                {"type": "phone", "written": [entry("BE", 0), entry("BG", 0)]},
                {"type": "email", "written": [entry("BE", 0), entry("BG", 1, "digit")]},
            ]
        }
    ],
    "near_misses": [entry("BE", 1)],
}


@pytest.fixture
def world(tmp_path: Path) -> LinkFederation:
    """One planted telephone, one misspelt address, and one telephone that two cases share by chance."""
    made = federation(tmp_path, "BE", "BG")
    made["BE"].add({"phone": PLANTED, "email": "a1@example.org"}, {"phone": CHANCE})
    made["BG"].add({"phone": PLANTED}, {"phone": CHANCE, "email": "a2@example.org"})
    made.offer_all()
    made.exchange()
    return made


def offices(made: LinkFederation) -> dict[str, Office]:
    return {name: node.office for name, node in made.nodes.items()}


def test_found_false_and_misspelt_are_told_apart(world: LinkFederation) -> None:
    found = compare(offices(world), TRUTH)
    assert (found.equal, found.missed, found.invented) == (2, 0, 0)
    assert found.right == {"phone": Recall(1, 1)}
    assert found.misspelt == {"email": Recall(1, 0)}
    assert found.false == {"phone": 1}
    assert (found.networks, found.findable, found.whole) == (1, 1, 0)  # nobody has approved yet


def test_networks_are_recovered_once_people_have_approved(world: LinkFederation) -> None:
    for node in world.nodes.values():
        node.approve_hits()
    world.exchange(letters_only=True)
    found = compare(offices(world), TRUTH)
    assert (found.whole, found.partly, found.joined, found.unplanted) == (1, 0, 0, 1)
    assert found.sizes == (2, 2)


def test_a_hit_that_is_gone_is_missed_and_one_on_nothing_is_invented(world: LinkFederation) -> None:
    book, all_offices = world["BE"].office.hits, offices(world)
    rows = {row.kind + row.digest.hex(): row for row in book.shown()}
    row = next(iter(rows.values()))
    for office in all_offices.values():
        office.hits.db.execute("DELETE FROM hit WHERE id = ?", (row.id,))
    assert compare(all_offices, TRUTH).missed == 1
    world["BE"].office.store.identifiers = lambda: world["BG"].office.store.identifiers().slice(0, 0)  # type: ignore[method-assign]
    assert compare(all_offices, TRUTH).invented == 2  # as each of the two states knows it


def test_an_excerpt_holds_all_that_was_planted_and_near_misses(world: LinkFederation) -> None:
    assert {node: len(cases) for node, cases in all_planted(offices(world), TRUTH).items()} == {
        "BE": 2,
        "BG": 2,
    }
