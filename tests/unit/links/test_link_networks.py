"""Networks at one node: what joins, what does not, what holds them together, and who is not ranked."""

import random
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from safeborders_fed.links import network
from safeborders_fed.links.network import LEAST_RANKED, MOST_WEAK, Key, Lead, Mark, networks


def mark(digest: str, case: str, kind: str = "phone", strength: str = "exact", value: int = 0) -> Mark:
    """By default each mark is a value of its own, as in files."""
    return Mark(kind, digest, strength, case, value or hash((digest, case, kind)))


def lead(digest: str, partner: str = "BE", kind: str = "phone", **changes: Any) -> Lead:
    content = {"handle": f"h-{partner}-{digest}", "strength": "exact", **changes}
    return Lead(partner, kind=kind, digest=digest, **content)


def cases(found: network.Network) -> list[str]:
    return [key.name for key in found.of("case")]


def test_an_identifier_of_two_cases_joins_them_and_one_of_one_case_joins_nothing() -> None:
    marks = [mark("a", "1"), mark("a", "2"), mark("b", "3"), mark("c", "4")]
    (found,) = networks(marks, [], [("v", "1"), ("w", "2"), ("x", "3"), ("y", "4")])
    assert cases(found) == ["1", "2"]
    assert [key.name for key in found.of("victim")] == ["v", "w"]
    assert found.held_by == Key("identifier", "a", "phone")
    assert found.cuts == (network.Cut(Key("identifier", "a", "phone"), (1, 1)),)
    assert len(found.bridges) == 2


def test_a_victim_of_two_cases_alone_is_no_network() -> None:
    assert networks([], [], [("v", "1"), ("v", "2")]) == ()


def test_a_hit_joins_its_identifiers_cases_with_the_other_state() -> None:
    marks = [mark("a", "1"), mark("b", "1"), mark("b", "2")]
    (found,) = networks(marks, [lead("a"), lead("b", "IT")], [])
    assert cases(found) == ["1", "2"]
    assert found.partners == ("BE", "IT")
    # The record names the case there; two hits that name one case meet in it, so that neither cuts it off.
    both = [lead("a", cases=("there",)), lead("b", cases=("there",))]
    (found,) = networks(marks, both, [])
    assert found.of("foreign") == (Key("foreign", "there", "BE"),)
    assert [cut.key.name for cut in found.cuts] == ["b"]


def test_a_hit_on_what_is_no_longer_in_the_files_joins_nothing() -> None:
    assert networks([mark("a", "1")], [lead("gone")], []) == ()


def test_forms_of_one_value_are_one_identifier() -> None:
    """Else no single identifier would hold together what one phone, read in two ways, joins."""
    marks = [
        mark("a", "1", value=1),
        mark("b", "1", value=1),
        mark("a", "2", value=2),
        mark("b", "2", value=2),
    ]
    (found,) = networks(marks, [lead("a"), lead("b")], [])
    assert found.of("identifier") == (Key("identifier", "a", "phone"),)
    assert len(found.of("foreign")) == 1
    assert found.held_by == Key("identifier", "a", "phone")
    (two,) = networks([mark("a", "1"), mark("b", "1"), mark("a", "2"), mark("b", "2")], [], [])
    assert two.held_by is None  # two phones in the same two cases: neither holds them together alone


def test_a_weak_link_is_never_alone() -> None:
    weak = [mark("a", case, "company", "weak") for case in "12"]
    assert networks(weak, [], []) == ()
    # Two weak forms of one type may be two readings of one value.
    same = [*weak, *(mark("b", case, "company", "weak") for case in "12")]
    assert networks(same, [], []) == ()
    other = [*weak, *(mark("b", case, "person", "weak") for case in "12")]
    (found,) = networks(other, [], [])
    assert list(found.graph.edges(data="weak")) == [
        (Key("case", "1"), Key("case", "2"), "company and person"),
    ]
    assert (
        networks([*weak, mark("a", "3", "company")], [lead("a", kind="company", strength="weak")], []) == ()
    )


def test_a_weak_hit_joins_nothing_and_a_strong_one_does() -> None:
    marks = [mark("a", "1", "company")]
    assert networks(marks, [lead("a", kind="company", strength="weak")], []) == ()
    assert len(networks(marks, [lead("a", kind="company", strength="strong")], [])) == 1


def test_a_case_that_shares_one_weak_form_is_not_drawn_into_a_pair_that_shares_two() -> None:
    pair = [
        mark(digest, case, kind, "weak")
        for digest, kind in (("a", "company"), ("b", "person"))
        for case in "12"
    ]
    (found,) = networks([*pair, mark("a", "3", "company", "weak")], [], [])
    assert cases(found) == ["1", "2"]


def test_a_form_weak_in_one_case_and_sure_in_the_other_is_weak() -> None:
    swapped = [mark("a", "1", "person"), mark("a", "2", "person", "weak")]
    assert networks(swapped, [], []) == ()
    more = [*swapped, mark("b", "1", "company", "weak"), mark("b", "2", "company", "weak")]
    assert len(networks(more, [], [])) == 1


def test_a_weak_form_that_is_everywhere_is_no_link() -> None:
    def everywhere(count: int) -> list[Mark]:
        return [
            mark(digest, str(case), kind, "weak")
            for digest, kind in (("a", "company"), ("b", "person"))
            for case in range(count)
        ]

    assert len(networks(everywhere(MOST_WEAK), [], [])) == 1
    assert networks(everywhere(MOST_WEAK + 1), [], []) == ()


def chain(people: int, kind: str = "phone") -> list[Mark]:
    """Cases in a row, each joined to the next by an identifier."""
    return [mark(f"i{at:03}", f"c{at + end:03}", kind) for at in range(people) for end in (0, 1)]


def test_the_identifier_that_holds_it_together_leaves_the_smallest_largest_part() -> None:
    (found,) = networks(chain(5), [], [])
    assert found.held_by == Key("identifier", "i002", "phone")
    assert found.cuts[0].parts == (3, 3) or found.cuts[0].parts == (3, 2)


def test_people_are_not_ranked_below_thirty_nodes() -> None:
    (small,) = networks(chain(5, "person"), [], [("v", "c000"), ("v", "c006")])
    assert len(small.graph) < LEAST_RANKED
    assert small.held_by is None
    people = [cut for cut in small.cuts if cut.key.is_person]
    assert people
    assert all(cut.parts == () for cut in people)
    assert [cut.key for cut in people] == sorted(cut.key for cut in people)
    (large,) = networks(chain(LEAST_RANKED, "person"), [], [])
    assert all(cut.parts for cut in large.cuts)
    assert large.held_by is not None


def test_a_victim_of_one_case_makes_that_case_no_cut_point() -> None:
    (found,) = networks([mark("a", "1"), mark("a", "2")], [], [("v", "1")])
    assert Key("case", "1") not in {cut.key for cut in found.cuts}


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_input_does_not_matter(seed: int) -> None:
    draw = random.Random(seed)
    marks = [mark(f"d{draw.randrange(40)}", f"c{draw.randrange(60)}") for _ in range(150)]
    leads = [lead(f"d{draw.randrange(40)}", draw.choice(["BE", "IT"])) for _ in range(10)]
    victims = [(f"v{draw.randrange(50)}", f"c{draw.randrange(60)}") for _ in range(60)]
    first = network.graphml(networks(marks, leads, victims))
    for items in (marks, leads, victims):
        draw.shuffle(items)
    assert network.graphml(networks(marks, leads, victims)) == first


def test_graphml_is_read_by_others_and_holds_pseudonyms_only() -> None:
    found = networks(chain(3), [lead("i001")], [("v", "c001")])
    written = network.graphml(found)
    graph = ET.fromstring(written)  # noqa: S314 - made here
    space = "{http://graphml.graphdrawing.org/xmlns}"
    assert len(list(graph.iter(f"{space}node"))) == len(found[0].graph)
    assert b"h-BE-i001" in written
    assert network.graphml(()).startswith(b"<graphml")
