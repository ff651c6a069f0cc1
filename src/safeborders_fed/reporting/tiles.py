"""A map of states in tiles of one size, as static SVG.

Guarantees: those of ``grids``: one image to assistive technology, no script, no style, nothing from outside;
a suppressed count is hatched and has a ``c``, and no shade stands for it. A state that was not asked is grey,
and is not among the counts. A state that has no place of its own stands in a row below: none is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Final

from safeborders_fed.reporting.drawing import DARK_FROM, INK, SHADE_STEPS, Chart
from safeborders_fed.reporting.grids import KEY_HEIGHT, SUPPRESSED_SHADE, fill, hatch, key, opening
from safeborders_fed.reporting.language import _
from safeborders_fed.reporting.shown import SUPPRESSED, Shown, words
from safeborders_fed.reporting.shown_charts import describe

PLACES: Final = {
    "FI": (4, 0),
    "BE": (1, 1),
    "PL": (3, 1),
    "RO": (4, 2),
    "PT": (0, 3),
    "IT": (2, 3),
    "BG": (4, 3),
    "GR": (4, 4),
}
"""Column and row of each of the eight states, roughly where it lies."""
_COLUMNS: Final = 5
_WIDTH: Final = 92
_HEIGHT: Final = 62
_GAP: Final = 4
_NOT_ASKED: Final = "#e6e6e6"


def tile_map(counts: Mapping[str, Shown | None], *, name: str, title: str) -> Chart:
    """A tile for each state that was asked, shaded by count, and a grey one for each other of the eight."""
    places = _places(counts)
    width = _COLUMNS * (_WIDTH + _GAP) + _GAP
    bottom = (max(row for _column, row in places.values()) + 1) * (_HEIGHT + _GAP) + _GAP
    said = describe([(words("state", code), count) for code, count in counts.items()])
    parts = [
        *opening(name, title, said, width, bottom + KEY_HEIGHT),
        hatch(name),
        f'<g font-size="12" font-family="Liberation Sans, Arial, DejaVu Sans, sans-serif" fill="{INK}">',
        *_tiles(name, counts, places),
        *key(name, _GAP, bottom + 12),
        "</g></svg>",
    ]
    return Chart(name, title, said, "".join(parts))


def _places(counts: Mapping[str, Shown | None]) -> dict[str, tuple[int, int]]:
    below = max(row for _column, row in PLACES.values()) + 1
    others = [code for code in counts if code not in PLACES]
    return PLACES | {code: (at % _COLUMNS, below + at // _COLUMNS) for at, code in enumerate(others)}


def _tiles(
    name: str, counts: Mapping[str, Shown | None], places: Mapping[str, tuple[int, int]]
) -> Iterator[str]:
    largest = max((count.value for count in counts.values() if count is not None), default=1)
    for code, (column, row) in places.items():
        count = counts.get(code)
        share = 0 if count is None else 100 * count.value // largest
        shade = SUPPRESSED_SHADE if count is None else sum(share >= step for step in SHADE_STEPS)
        colour = fill(name, shade) if code in counts else _NOT_ASKED
        x, y = _GAP + column * (_WIDTH + _GAP), _GAP + row * (_HEIGHT + _GAP)
        text = SUPPRESSED if count is None else count.plain
        below = text if code in counts else _("not asked")
        middle = x + _WIDTH // 2
        yield f'<path d="M{x},{y}h{_WIDTH}v{_HEIGHT}h-{_WIDTH}z" stroke="#767676" fill="{colour}"/>'
        yield f'<g text-anchor="middle" fill="{"#ffffff" if share >= DARK_FROM else INK}">'
        yield f'<text x="{middle}" y="{y + 17}" font-weight="bold">{escape(code)}</text>'
        yield f'<text x="{middle}" y="{y + 33}">{escape(words("state", code))}</text>'
        yield f'<text x="{middle}" y="{y + 51}" font-size="14">{escape(below)}</text></g>'
