"""Sections of the page for what a release can hold and this one does not."""

from __future__ import annotations

from safeborders_fed.reporting.language import _
from safeborders_fed.reporting.shown_parts import Part, Section


def typologies() -> Section:
    """Stands where no typologies were released."""
    said = _("Not in this release: no typologies were released beside these tables.")
    return Section("typologies", _("Typologies"), (Part(paragraphs=(said,)),))


def links() -> Section:
    """Stands where no victims with links were counted."""
    said = _(
        "This release has no counts of links. Whether identifiers occur in the files of two states is told "
        "to those two states alone; nothing on this page says how many there are."
    )
    return Section("links", _("Links between states"), (Part(paragraphs=(said,)),))
