"""The demonstration's section "Links beside the truth": what was found of what was planted."""

from __future__ import annotations

from safeborders_fed.reporting.beside_links import LinksBeside, TypeOfLink
from safeborders_fed.reporting.language import _
from safeborders_fed.reporting.shown_parts import Block, Part, Section

ID = "links-truth"


def heading() -> str:
    """The heading of the section."""
    return _("Links beside the truth")


def section(found: LinksBeside) -> Section:
    """What was found of what was planted."""
    parts = (
        Part(paragraphs=(_compared(found), _equal(found))),
        Part(_("Planted identifiers"), (_about_types(),), block=_types(found), folded=False),
        Part(_("Networks"), (_networks(found),)),
    )
    return Section(ID, heading(), parts)


def finding(found: LinksBeside) -> str:
    """A key finding."""
    said = _(
        "Links: of {equal:,} identifiers that stand in the files of two states, {missed:,} were missed and "
        "{invented:,} invented; {whole:,} of {findable:,} planted networks that can be found are recovered "
        "whole."
    )
    return said.format(
        equal=found.equal,
        missed=found.missed,
        invented=found.invented,
        whole=found.whole,
        findable=found.findable,
    )


def _compared(found: LinksBeside) -> str:
    said = _(
        "All states sent blinded identifiers of their cases to each other, prosecutors signed for them, and "
        "tags were compared pair by pair. Of {all:,} identifiers on file, {compared:,} took part: all "
        "planted ones and near misses, and a share of the others, so that the demonstration takes seconds. "
        "With padding that made {points:,} points, each answered by every state; all of it, people's "
        "signatures and sealed letters included, took {seconds:.0f} s in one process. Identifiers of victims "
        "took part, as everybody here is made up: a node leaves them out unless its policy names them."
    )
    return said.format(all=found.on_file, compared=found.compared, points=found.points, seconds=found.seconds)


def _equal(found: LinksBeside) -> str:
    said = _(
        "Compared in the open, as only a demonstration may, {equal:,} normal forms stand in the files of "
        "both states of a pair. Of these {missed:,} have no hit; {invented:,} hits are on what stands in no "
        "two files."
    )
    return said.format(equal=found.equal, missed=found.missed, invented=found.invented)


def _about_types() -> str:
    return _(
        "A planted identifier counts once for each pair of states that share it. Misspelt: one of the two "
        "states wrote it with a typing error, and only types with several normal forms can find it all the "
        "same. False: pairs of cases with a hit of this type that share nothing planted."
    )


def _types(found: LinksBeside) -> Block:
    rows = tuple(_row(each) for each in found.types)
    heads = (
        _("Type"),
        _("Written alike"),
        _("found"),
        _("Misspelt"),
        _("found"),
        _("False"),
    )
    caption = _("Planted identifiers, found ones and false ones, by type")
    near = _("{count:,} near misses were planted: one digit apart, or a namesake.")
    return Block("links-truth-table", caption, near.format(count=found.near_misses), heads, rows)


def _row(each: TypeOfLink) -> tuple[str, ...]:
    counts = (each.right, each.right_found, each.misspelt, each.misspelt_found, each.false)
    return (_(each.label), *(f"{count:,}" for count in counts))


def _networks(found: LinksBeside) -> str:
    said = _(
        "{networks:,} networks were planted, of which {findable:,} have an identifier that two states wrote "
        "alike. Of these, {whole:,} are recovered whole (all cases with such an identifier are in one "
        "component) and {partly:,} in part. {joined:,} components hold cases of two planted networks or "
        "more, and {unplanted:,} hold nothing planted."
    )
    return said.format(
        networks=found.networks,
        findable=found.findable,
        whole=found.whole,
        partly=found.partly,
        joined=found.joined,
        unplanted=found.unplanted,
    )
