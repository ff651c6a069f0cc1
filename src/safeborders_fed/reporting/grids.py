"""A matrix of published counts, as static SVG.

Guarantees: those of ``drawing``: one image to assistive technology, no script, no style, no reference to
anything
outside. A suppressed field is hatched and has a ``c``; no shade of the scale stands for it. Text on a shade
has
a contrast of at least 4.5. All fields of one shade are one path, so that a page of many matrices stays small.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from safeborders_fed.reporting.drawing import DARK_FROM, INK, SHADE_STEPS, SHADES, Chart
from safeborders_fed.reporting.language import _
from safeborders_fed.reporting.shown import SUPPRESSED, Shown

FIELD: Final = 74
_HEIGHT: Final = 28
_LETTER: Final = 6.4
"""Width of a letter at most, on average."""
_LINE: Final = 14
_LETTERS: Final = 12
_WIDEST: Final = 44
SUPPRESSED_SHADE: Final = -1
_KEY: Final = 46
KEY_HEIGHT: Final = 52


@dataclass(frozen=True, slots=True)
class Grid:
    """A matrix of counts.

    Attributes:
        name: Prefix of ids.
        title: Its accessible name.
        rows: Headings of rows.
        columns: Headings of columns.
        counts: By heading of row and column.
    """

    name: str
    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    counts: dict[tuple[str, str], Shown | None]


def grid_chart(grid: Grid, description: str) -> Chart:
    """A matrix shaded by count, with the count in every field."""
    heads = [textwrap.wrap(column, _LETTERS, break_long_words=False) or [column] for column in grid.columns]
    sides = [textwrap.shorten(row, _WIDEST, placeholder="\u2026") for row in grid.rows]
    left = round(max(map(len, sides)) * _LETTER) + 10
    top = _LINE * max(map(len, heads)) + 6
    bottom = top + _HEIGHT * len(sides)
    width = max(left + FIELD * len(heads), left + _KEY * (len(SHADES) + 2)) + 4
    height = bottom + KEY_HEIGHT
    parts = [
        *opening(grid.name, grid.title, description, width, height),
        hatch(grid.name),
        f'<g font-size="12" font-family="Liberation Sans, Arial, DejaVu Sans, sans-serif" fill="{INK}">',
        *_headings(heads, sides, left, top),
        *_fields(grid, left, top),
        *key(grid.name, left, bottom + 12),
        "</g></svg>",
    ]
    return Chart(grid.name, grid.title, description, "".join(parts))


def opening(name: str, title: str, description: str, width: int, height: int) -> Iterator[str]:
    """Begins an image with its name and description."""
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-labelledby="{name}-title" '
        f'aria-describedby="{name}-desc">'
    )
    yield f'<title id="{name}-title">{escape(title)}</title>'
    yield f'<desc id="{name}-desc">{escape(description)}</desc>'


def hatch(name: str) -> str:
    """The pattern of suppressed counts."""
    return (
        f'<defs><pattern id="{name}-hatch" width="6" height="6" patternUnits="userSpaceOnUse">'
        '<path d="M0,0h6v6h-6z" fill="#f4f4f4"/><path d="M0,6L6,0" stroke="#c4c4c4"/></pattern></defs>'
    )


def _headings(heads: Sequence[list[str]], sides: Sequence[str], left: int, top: int) -> Iterator[str]:
    yield '<g text-anchor="middle">'
    for at, lines in enumerate(heads):
        x = left + FIELD * at + FIELD // 2
        for line, text in enumerate(reversed(lines)):
            yield f'<text x="{x}" y="{top - 8 - _LINE * line}">{escape(text)}</text>'
    yield '</g><g text-anchor="end">'
    for at, text in enumerate(sides):
        yield f'<text x="{left - 8}" y="{top + _HEIGHT * at + 18}">{escape(text)}</text>'
    yield "</g>"


def _fields(grid: Grid, left: int, top: int) -> Iterator[str]:
    """All fields: first their shades, then their texts, dark ones on light shades and light ones on dark."""
    largest = max((count.value for count in grid.counts.values() if count is not None), default=1)
    shapes: dict[int, list[str]] = {}
    texts: dict[bool, list[str]] = {False: [], True: []}
    for down, row in enumerate(grid.rows):
        for across, column in enumerate(grid.columns):
            count = grid.counts[row, column]
            share = 0 if count is None else 100 * count.value // largest
            shade = SUPPRESSED_SHADE if count is None else sum(share >= step for step in SHADE_STEPS)
            x, y = left + FIELD * across, top + _HEIGHT * down
            shapes.setdefault(shade, []).append(f"M{x},{y}h{FIELD}v{_HEIGHT}h-{FIELD}z")
            text = SUPPRESSED if count is None else count.plain
            texts[share >= DARK_FROM].append(f'<text x="{x + FIELD // 2}" y="{y + 18}">{text}</text>')
    for shade, paths in sorted(shapes.items()):
        yield f'<path d="{"".join(paths)}" stroke="#ffffff" fill="{fill(grid.name, shade)}"/>'
    for dark, found in texts.items():
        yield f'<g text-anchor="middle" fill="{"#ffffff" if dark else INK}">{"".join(found)}</g>'


def fill(name: str, shade: int) -> str:
    """The colour of a shade, or the pattern of suppressed counts."""
    return f"url(#{name}-hatch)" if shade == SUPPRESSED_SHADE else SHADES[shade]


def key(name: str, left: int, top: int) -> Iterator[str]:
    """What the shades mean."""
    said = _("Per cent of the largest count shown; hatched: suppressed ({mark})").format(mark=SUPPRESSED)
    yield f'<text x="{left}" y="{top + 10}">{escape(said)}</text>'
    edges = [0, *SHADE_STEPS]
    for at, edge in enumerate(edges):
        x = left + _KEY * at
        yield f'<path d="M{x},{top + 16}h{_KEY}v8h-{_KEY}z" fill="{SHADES[at]}"/>'
        yield f'<text x="{x}" y="{top + 37}">{edge}</text>'
    x = left + _KEY * len(edges) + 12
    yield f'<path d="M{x},{top + 16}h{_KEY}v8h-{_KEY}z" fill="{fill(name, SUPPRESSED_SHADE)}"/>'
    yield f'<text x="{x}" y="{top + 37}">{SUPPRESSED}</text>'
