"""The networks of a node as a page: a picture of each, and the table behind it.

Guarantees:

- One file that works offline: no script, no link to anything outside; its policy permits nothing but its own
  style sheet, by hash. Pictures are inline SVG without style attributes.
- Each picture is one image to assistive technology (``role="img"``, title and description), and everything in
  it stands in the table below, by the number beside each mark. Own cases, victims, identifiers and cases of
  other states differ in shape, and so do edges: nothing is told by colour alone.
- Pseudonyms only, as ``network`` has them: people's names, identifiers and national keys never.
- The same networks give the same page, byte for byte: places are computed from a fixed start, and rounded.
- A network of more than ``MOST_DRAWN`` nodes is not drawn, which nobody could read, and has its table.

String templates: a node does not install the report's engine.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import combinations
from typing import Any, Final

import networkx as nx  # type: ignore[import-untyped]  # the package ships no types

from safeborders_fed.links.network import LEAST_RANKED, Key, Network
from safeborders_fed.links.network_sizes import Standing

MOST_DRAWN: Final = 150
_STEP: Final = 110
"""Pixels that a node has for itself in each direction."""
_EDGE: Final = 40
_SIZE: Final = 13
_ITERATIONS: Final = 300
_APART: Final = 52
"""Pixels between the middles of two nodes at least: room for both shapes and the word below one."""
_SWEEPS: Final = 200
_TINY: Final = 1e-9
"""A span that is nothing but rounding: all nodes stand in one line."""
_SORTS: Final = {
    "case": "own case",
    "victim": "victim",
    "identifier": "identifier",
    "foreign": "case or hit in another state",
}
_SHAPES: Final = {"case": "square", "victim": "circle", "identifier": "diamond", "foreign": "triangle"}
_FILLS: Final = {"case": "#cfe1f2", "victim": "#ffffff", "identifier": "#fbe3c8", "foreign": "#dcead9"}
_INK: Final = "#1a1a1a"
_STYLE: Final = """
:root { color-scheme: light; }
body { margin: 0 auto; padding: 1rem; max-width: 70rem; color: #1a1a1a; background: #fff;
  font: .95rem/1.4 "Liberation Sans", Arial, "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; }
h2 { font-size: 1.15rem; margin: 1.4rem 0 .3rem; border-bottom: 1px solid #595959; }
p, ul { margin: .3rem 0; }
.notice { border: 2px solid #8c1a11; padding: .4rem .6rem; }
.scroll { overflow-x: auto; }
.scroll:focus-visible { outline: 3px solid #1a5c2e; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: #404040; }
th, td { padding: .15rem .4rem; text-align: left; border-bottom: 1px solid #b0b0b0; vertical-align: top; }
tbody th { font-weight: normal; }
thead th { font-weight: bold; background: #f2f2f2; }
code { font-size: .95em; }
@page { size: A4; margin: 10mm; }
@media print { body { padding: 0; max-width: none; font-size: 8pt; } svg { max-width: 100%; height: auto; }
  .scroll { overflow: visible; } }
"""


def page(state: str, found: Sequence[Network], across: Mapping[int, Sequence[Standing]]) -> str:
    """The page.

    Args:
        state: Whose networks they are.
        found: The networks.
        across: By number of a network, what is known of its confirmed pieces over all states.
    """
    title = f"Networks at node {_text(state)}"
    style = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    parts = [f"<h1>{title}</h1>", _notice(), _key(), *(_section(each, across) for each in found)]
    if not found:
        parts.append("<p>No identifier joins two cases here, or a case with another state.</p>")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src '
        f"'sha256-{style}'; base-uri 'none'; form-action 'none'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def _text(text: str) -> str:
    return escape("".join(mark if mark.isprintable() else " " for mark in text))


def _notice() -> str:
    return (
        '<p class="notice"><strong>Case data of this node, for its own people.</strong> A link is a lead and '
        "no evidence: a phone changes hands, a plate is misread. Pseudonyms are those of this node's case "
        "store and book of hits.</p>"
    )


def _key() -> str:
    shapes = "".join(f"<li>{shape}: {_SORTS[sort]}</li>" for sort, shape in _SHAPES.items())
    return (
        f"<ul>{shapes}<li>double outline: cut point, without which the network falls apart</li>"
        "<li>thick line: bridge, likewise; broken line: two weak links of different types</li></ul>"
    )


def _section(network: Network, across: Mapping[int, Sequence[Standing]]) -> str:
    numbers = {key: at for at, key in enumerate(network.graph, start=1)}
    drawn = (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Picture of network {network.number}">'
        f"{picture(network)}</div>"
        if len(numbers) <= MOST_DRAWN
        else f"<p>Not drawn: more than {MOST_DRAWN} nodes. The table has all.</p>"
    )
    said = [_summary(network), _held(network, numbers), *map(_across, across.get(network.number, ()))]
    return (
        f"<section><h2>Network {network.number}</h2>"
        + "".join(f"<p>{sentence}</p>" for sentence in said)
        + drawn
        + _table(network, numbers)
        + "</section>"
    )


def _summary(network: Network) -> str:
    counts = [(len(network.of("case")), "own case"), (len(network.of("victim")), "victim")]
    counts += [(len(network.of("identifier")), "identifier"), (len(network.of("foreign")), "case or hit")]
    words = [f"{count:,} {what if count == 1 else _plural(what)}" for count, what in counts if count]
    where = f" in {_text(', '.join(network.partners))}" if network.partners else ""
    return f"{', '.join(words)}{where}."


def _plural(what: str) -> str:
    return "cases or hits" if what == "case or hit" else f"{what}s"


def _held(network: Network, numbers: Mapping[Key, int]) -> str:
    if network.held_by is None:
        said = "No single identifier holds it together."
    else:
        parts = next(cut.parts for cut in network.cuts if cut.key == network.held_by)
        said = (
            f"Identifier {numbers[network.held_by]} ({_text(network.held_by.of)}) holds it together: without "
            f"it, parts of {', '.join(map(str, parts))} cases are left."
        )
    few = f" People are not compared: it has fewer than {LEAST_RANKED} nodes."
    return said + ("" if network.ranks_people else few)


def _across(known: Standing) -> str:
    size = _text(known.size.replace("-", " to ").replace("more", "more than 30"))
    return (
        f"Over all states, by confirmed hits: label <code>{_text(known.label[:8])}</code>, size class {size} "
        "cases or above."
    )


def _table(network: Network, numbers: Mapping[Key, int]) -> str:
    cuts = {cut.key: cut.parts for cut in network.cuts}
    rows = []
    for key, number in numbers.items():
        beside = ", ".join(_beside(network, key, numbers))
        rows.append(
            (
                str(number),
                _SORTS[key.sort],
                key.of,
                f"<code>{_text(key.name)}</code>",
                beside,
                _cut(cuts, key),
            )
        )
    caption = f"Everything in network {network.number}"
    heads = ("No.", "what", "type or state", "pseudonym", "joined with", "cut point")
    heading = "".join(f'<th scope="col">{head}</th>' for head in heads)
    body = "".join(f"<tr>{_row(row)}</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table>'
        f"<caption>{caption}</caption><thead><tr>{heading}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _beside(network: Network, key: Key, numbers: Mapping[Key, int]) -> Iterator[str]:
    """What a node is joined with, and by which weak types if by those only."""
    for number, weak in sorted((numbers[other], edge["weak"]) for other, edge in network.graph[key].items()):
        yield f"{number} (weak: {weak})" if weak else str(number)


def _row(cells: Sequence[str]) -> str:
    return f'<th scope="row">{cells[0]}</th>' + "".join(f"<td>{cell}</td>" for cell in cells[1:])


def _cut(cuts: Mapping[Key, tuple[int, ...]], key: Key) -> str:
    if key not in cuts:
        return ""
    return f"yes: leaves {', '.join(map(str, cuts[key]))}" if cuts[key] else "yes"


def picture(network: Network) -> str:
    """The network as SVG, with title and description."""
    places, width, height = _places(network.graph)
    numbers = {key: at for at, key in enumerate(network.graph, start=1)}
    name = f"network-{network.number}"
    bridges, cuts = set(network.bridges), {cut.key for cut in network.cuts}
    lines = [
        _line(
            places[one], places[other], bridge=(min(one, other), max(one, other)) in bridges, weak=bool(weak)
        )
        for one, other, weak in network.graph.edges(data="weak")
    ]
    marks = [_mark(key, places[key], numbers[key], is_cut=key in cuts) for key in network.graph]
    marks += [_word(key, places[key]) for key in network.graph if key.of]  # above all shapes and lines
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="{name}-title {name}-desc" '
        f'width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-size="11" '
        'font-family="Liberation Sans, Arial, DejaVu Sans, sans-serif">'
        f'<title id="{name}-title">Network {network.number}</title>'
        f'<desc id="{name}-desc">{_summary(network)} The table below the picture names what each number '
        f"stands for and what it is joined with.</desc>{''.join(lines)}{''.join(marks)}</svg>"
    )


def _places(graph: Any) -> tuple[dict[Key, tuple[int, int]], int, int]:
    """Where each node stands, in pixels, and the size of the picture."""
    # Places start on a circle in the order of the keys, so that nothing is drawn at random.
    start = nx.circular_layout(graph)
    found = nx.spring_layout(graph, pos=start, iterations=_ITERATIONS, seed=1)
    side = max(2, math.ceil(math.sqrt(len(graph)))) * _STEP
    lows = [min(place[axis] for place in found.values()) for axis in (0, 1)]
    spans = [max(place[axis] for place in found.values()) - lows[axis] for axis in (0, 1)]

    def pixel(value: float, axis: int) -> float:
        return (value - lows[axis]) / spans[axis] * side if spans[axis] > _TINY else side / 2

    spread = _apart([[pixel(place[0], 0), pixel(place[1], 1)] for place in found.values()])
    ends = [[end(place[axis] for place in spread) for end in (min, max)] for axis in (0, 1)]
    places = {
        key: (round(x - ends[0][0]) + _EDGE, round(y - ends[1][0]) + _EDGE)
        for key, (x, y) in zip(found, spread, strict=True)
    }
    width, height = (round(high - low) + 2 * _EDGE for low, high in ends)
    return places, width, height


def _apart(places: list[list[float]]) -> list[list[float]]:
    """The places, moved until no two nodes cover each other."""
    for _ in range(_SWEEPS):
        is_moved = False
        for (at, one), (to, other) in combinations(enumerate(places), 2):
            across, down = other[0] - one[0], other[1] - one[1]
            if abs(across) >= _APART or abs(down) >= _APART:
                continue
            far = math.hypot(across, down)
            if far >= _APART:
                continue
            if far < 1:  # one upon the other: each pair parts in a direction of its own
                across, down, far = math.cos(at + to), math.sin(at + to), 1.0
            push = (_APART + 1 - far) / 2 / far
            for axis, by in enumerate((across * push, down * push)):
                one[axis] -= by
                other[axis] += by
            is_moved = True
        if not is_moved:
            break
    return places


def _line(one: tuple[int, int], other: tuple[int, int], *, bridge: bool, weak: bool) -> str:
    broken = ' stroke-dasharray="5 4"' if weak else ""
    return (
        f'<line x1="{one[0]}" y1="{one[1]}" x2="{other[0]}" y2="{other[1]}" stroke="#595959" '
        f'stroke-width="{3 if bridge else 1}"{broken}/>'
    )


def _mark(key: Key, place: tuple[int, int], number: int, *, is_cut: bool) -> str:
    x, y = place
    outer = _shape(key, x, y, _SIZE + 4, "none") if is_cut else ""
    return (
        f"{outer}{_shape(key, x, y, _SIZE, _FILLS[key.sort])}"
        f'<text x="{x}" y="{y + 4}" text-anchor="middle" fill="{_INK}">{number}</text>'
    )


def _word(key: Key, place: tuple[int, int]) -> str:
    """What a node is of, below it, with a white rim that keeps it readable on a line."""
    return (
        f'<text x="{place[0]}" y="{place[1] + _SIZE + 16}" text-anchor="middle" fill="{_INK}" '
        f'stroke="#ffffff" stroke-width="3" paint-order="stroke">{_text(key.of)}</text>'
    )


def _shape(key: Key, x: int, y: int, size: int, fill: str) -> str:
    paint = f'fill="{fill}" stroke="{_INK}"'
    match key.sort:
        case "case":
            return f'<rect x="{x - size}" y="{y - size}" width="{2 * size}" height="{2 * size}" {paint}/>'
        case "victim":
            return f'<circle cx="{x}" cy="{y}" r="{size}" {paint}/>'
        case "identifier":
            return _polygon(
                ((x, y - size - 3), (x + size + 3, y), (x, y + size + 3), (x - size - 3, y)), paint
            )
        case _:
            return _polygon(((x, y - size - 4), (x + size + 4, y + size), (x - size - 4, y + size)), paint)


def _polygon(corners: Iterable[tuple[int, int]], paint: str) -> str:
    return f'<polygon points="{" ".join(f"{x},{y}" for x, y in corners)}" {paint}/>'
