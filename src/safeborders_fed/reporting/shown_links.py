"""The section of the page on links: victims with an exchanged hit, from released tables.

Guarantees: counts are those of the released tables, and no count of hits or tags: what a coordinator sees of
links is on no page. The section says what epsilon covers here, and what it does not.

Needs the extra ``[report]``; ``building`` says so when it is missing.
"""

from __future__ import annotations

from safeborders_fed.reporting import shown_absent
from safeborders_fed.reporting.language import _
from safeborders_fed.reporting.shown import Book
from safeborders_fed.reporting.shown_drawn import grid
from safeborders_fed.reporting.shown_parts import Part, Section


def links(book: Book) -> Section:
    """Victims with links by state and partner, and by type of identifier; or that nothing is counted."""
    parts = []
    if book.view("state", "partner") is not None:
        parts.append(grid(book, "state", "partner", "", heading=_("Between which states")))
    if book.view(book.period, "link") is not None:
        parts.append(grid(book, "link", book.period, "", heading=_("By type of identifier")))
    if not parts:
        return shown_absent.links()
    return Section("links", _("Links between states"), (Part(paragraphs=_about()), *parts))


def _about() -> tuple[str, ...]:
    """What is counted, and what is protected by what."""
    return (
        _(
            "Counted is a victim whose case holds an identifier (a telephone number, a vehicle plate) that "
            "was found in the files of another state as well, once prosecutors of both states had agreed to "
            "exchange it. Each victim stands at one place in each table: no link, one partner or type, or "
            "several. The nodes count, each its own victims, and the counts pass through the same door as "
            "all others on this page, with the same noise, rounding and suppression."
        ),
        _(
            "Epsilon covers these counts, and not the links themselves. It bounds what the counts tell of "
            "one victim, given the hits that the states have exchanged; that a hit came to be depends on the "
            "files of two states, is known to these two, and is protected by the rules of links and by no "
            "epsilon. Hits that wait for a decision, were declined or were refuted count nowhere, and how "
            "many there are is on no page."
        ),
    )
