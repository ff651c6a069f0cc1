"""The page of networks: offline, accessible, the same each time, and without anything but pseudonyms."""

import base64
import hashlib
import itertools
import math
import re
import xml.etree.ElementTree as ET

import pytest

from safeborders_fed.links.network import Lead, Mark, networks
from safeborders_fed.links.network_picture import MOST_DRAWN, page, picture
from safeborders_fed.links.network_sizes import Standing


def mark(digest: str, case: str, kind: str = "phone", strength: str = "exact") -> Mark:
    return Mark(kind, digest, strength, case, hash((digest, case)))


MARKS = [
    mark("d1", "c1"),
    mark("d1", "c2"),
    mark("d2", "c2", "vehicle"),
    *(
        mark(digest, case, kind, "weak")
        for digest, kind in (("w1", "company"), ("w2", "person"))
        for case in ("c2", "c3")
    ),
]
FOUND = networks(MARKS, [Lead("BE", "ab" * 16, "vehicle", "d2", "exact")], [("v1", "c1"), ("v2", "c2")])
MADE = page("BG", FOUND, {1: [Standing("0123456789abcdef" * 2, "4-10")]})


def test_it_loads_nothing_and_its_style_is_the_one_that_it_permits() -> None:
    style = re.search(r"<style>(.*?)</style>", MADE, re.DOTALL)
    assert style is not None
    permitted = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{permitted}'" in MADE
    assert "default-src 'none'" in MADE
    assert not re.search(
        r"<script|style=|src=|href=|url\(|@import|http://(?!www\.w3\.org/2000/svg)|https://", MADE
    )


def test_the_picture_is_one_image_with_a_title_and_everything_in_the_table() -> None:
    (network,) = FOUND
    svg = ET.fromstring(picture(network))  # noqa: S314 - made here
    assert svg.get("role") == "img"
    named = svg.get("aria-labelledby", "").split()
    space = "{http://www.w3.org/2000/svg}"
    assert [svg.find(f"{space}{tag}").get("id") for tag in ("title", "desc")] == named  # type: ignore[union-attr]
    texts = {element.text for element in svg.iter(f"{space}text")}
    assert {str(at) for at in range(1, len(network.graph) + 1)} <= texts
    for key in network.graph:
        assert f"<code>{key.name}</code>" in MADE
    assert MADE.count('scope="row"') == len(network.graph)


def test_what_a_node_is_does_not_depend_on_colour() -> None:
    svg = picture(FOUND[0])
    assert {shape for shape in ("<rect", "<circle", "<polygon") if shape in svg} == {
        "<rect",
        "<circle",
        "<polygon",
    }
    corners = {len(points.split()) for points in re.findall(r'points="([^"]*)"', svg)}
    assert corners == {3, 4}  # a triangle in another state, a diamond for an identifier
    assert "stroke-dasharray" in svg
    assert 'stroke-width="3"' in svg


def test_it_says_what_holds_the_network_together_and_how_large_it_is_elsewhere() -> None:
    assert "holds it together: without it, parts of" in MADE
    assert "People are not compared: it has fewer than 30 nodes." in MADE
    assert "size class 4 to 10 cases or above" in MADE
    assert "(weak: company and person)" in MADE


def test_the_same_networks_give_the_same_page() -> None:
    again = networks(
        reversed(MARKS), [Lead("BE", "ab" * 16, "vehicle", "d2", "exact")], [("v2", "c2"), ("v1", "c1")]
    )
    assert page("BG", again, {1: [Standing("0123456789abcdef" * 2, "4-10")]}) == MADE


def test_a_state_without_networks_has_a_page_that_says_so() -> None:
    assert "No identifier joins two cases" in page("BG", (), {})


def test_a_large_network_is_a_table_and_no_picture() -> None:
    many = [mark(f"d{at}", f"c{at + end:04}") for at in range(MOST_DRAWN) for end in (0, 1)]
    made = page("BG", networks(many, [], []), {})
    assert "<svg" not in made
    assert made.count('scope="row"') == 2 * MOST_DRAWN + 1


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", 'x" onload="y', "a\x07b"])
def test_whatever_another_state_calls_its_case_is_escaped(text: str) -> None:
    found = networks([mark("d", "c")], [Lead("BE", "ab" * 16, "phone", "d", "exact", (text,))], [])
    made = page("BG", found, {})
    assert "<script" not in made
    assert 'onload="y' not in made
    assert "\x07" not in made


def test_nothing_in_a_picture_covers_another_thing() -> None:
    marks = [mark(f"d{at % 17}", f"c{at}", kind) for at in range(50) for kind in ("phone", "vehicle")]
    marks += [mark(f"e{at % 11}", f"c{at}", "account") for at in range(50)]
    (network,) = networks(marks, [], [(f"v{at}", f"c{at}") for at in range(50)])
    svg = picture(network)
    found = re.findall(r'<text x="(-?\d+)" y="(-?\d+)"[^>]*>\d+</text>', svg)
    places = [(int(x), int(y)) for x, y in found]
    assert len(places) == len(network.graph) > 100
    assert min(math.dist(one, other) for one, other in itertools.combinations(places, 2)) > 40
    width, height = map(int, re.findall(r'width="(\d+)" height="(\d+)" viewBox', svg)[0])
    assert all(20 < x < width - 20 and 20 < y < height - 20 for x, y in places)
