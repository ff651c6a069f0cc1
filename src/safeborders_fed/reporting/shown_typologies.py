"""Typologies on the page, from what operators signed.

Guarantees: reads the signed document alone. A type is said to occur in a state where its published count
cannot be zero, and nowhere else; a suppressed count is a ``c``. What a demonstration knows of the truth is
passed in beside the document, and named as such.

Needs the extra ``[report]``; ``building`` says so when it is missing.
"""

from __future__ import annotations

from typing import Final

from safeborders_fed.cases.contract import FIELDS, UNKNOWN
from safeborders_fed.reporting.figures import PLUS_MINUS
from safeborders_fed.reporting.grids import Grid, grid_chart
from safeborders_fed.reporting.language import N_, _, ngettext
from safeborders_fed.reporting.planted import Planted
from safeborders_fed.reporting.reading import Released
from safeborders_fed.reporting.shown import OTHER, Shown, View, view_of, words
from safeborders_fed.reporting.shown_charts import bars_chart, describe
from safeborders_fed.reporting.shown_parts import Block, Drawing, Part, Section, cell, note
from safeborders_fed.study.table_file import Tables
from safeborders_fed.study.table_notes import TYPE, Trait, TypeFacts

ID: Final = "typologies"
_HEADING: Final = N_("Typologies")
_ABOUT: Final = N_(
    "Ways in which the crime is done, found in all files together: each type is a pattern of values that "
    "often occur together. Types describe how groups of victims were treated; they are no categories of "
    "persons, and one victim can share in several. They are named by size; T1 of another study is another "
    "type."
)
_WITHIN: Final = N_(
    "The counts of a type by state, by year and in all are estimated apart, and need not add up. Margins "
    "cover the noise and the rounding; not that a victim is assigned to the wrong type."
)
_TRUTH: Final = N_(
    "The records are made up, so it is known in which way each was planted. The adjusted Rand index says how "
    "well types and planted ways agree over all victims: 1 is perfect, 0 is chance. No real federation can "
    "know this."
)
SAID: Final = 3
"""Traits in sentences, the clearest; the table has all."""
_LATEST: Final = 10
"""Years in the matrix; the table behind it has all."""


def typologies(released: Released, planted: Planted | None = None) -> Section:
    """The types of a release: what sets each apart, where and when it occurs.

    Args:
        released: Tables of a typology study; of any other, the section says that there are no types.
        planted: The truth, in a demonstration.
    """
    tables = released.loaded.tables
    if tables.types is None:
        said = _("Not in this release: its study was not asked for typologies.")
        return Section(ID, _(_HEADING), (Part(paragraphs=(said,)),))
    sizes, states = view_of(tables.table(TYPE)), _by(tables, "state")
    parts = [Part(paragraphs=(_(_ABOUT), _(_WITHIN))), _sizes(tables.types, sizes)]
    parts += [_type(each, sizes.of(type=each.name), states, at) for at, each in enumerate(tables.types, 1)]
    years = _by(tables, "year")
    if states is not None:
        parts.append(_matrix(states, "state", states.axis("state"), _("Where each type occurs")))
    if years is not None:
        drawn = tuple(year for year in years.axis("year") if year != OTHER)[-_LATEST:]
        parts.append(_matrix(years, "year", drawn, _("When")))
    if planted is not None:
        parts.append(_truth(tables.types, planted))
    return Section(ID, _(_HEADING), tuple(parts))


def _by(tables: Tables, axis: str) -> View | None:
    names = {TYPE, axis}
    found = (table for table in tables.tables if {each.name for each in table.axes} == names)
    return next((view_of(table) for table in found), None)


def _sizes(types: tuple[TypeFacts, ...], view: View) -> Part:
    """How many victims each type stands for."""
    title = _("Victims by type")
    counts = [(each.name, view.of(type=each.name)) for each in types]
    rows = tuple(
        (name, cell(count), cell(None) if count is None else _interval(count)) for name, count in counts
    )
    heads = (_("Type"), _("Victims"), _("95% interval"))
    block = Block("types-table", title, note((_("each count"), view)), heads, rows)
    if not view.published:
        return Part(title, (_("The counts of all types are suppressed."),), block=block)
    chart = bars_chart(counts, name="types", title=title)
    return Part(title, (), (Drawing(chart.description, chart),), block=block)


def _interval(count: Shown) -> str:
    return _("{low} to {high}").format(low=f"{count.low:,}", high=f"{count.high:,}")


def _type(found: TypeFacts, count: Shown | None, states: View | None, at: int) -> Part:
    """One type in sentences, with its traits."""
    if count is None:
        heading = _("{name}: count suppressed").format(name=found.name)
        return Part(heading, (_("Too few victims, or too uncertain a count, to say what sets it apart."),))
    heading = _("{name}: {count} victims").format(name=found.name, count=count.text)
    said = [_trait(trait) for trait in found.traits[:SAID]]
    if len(found.traits) > SAID:
        text = _("All {count} values that set it apart are in the table.")
        said.append(text.format(count=len(found.traits)))
    if not said and not found.withheld:
        said = [_("Nothing sets it apart beyond the noise.")]
    if found.withheld:
        text = ngettext(
            "{count} value that sets it apart stands for too few victims to be shown.",
            "{count} values that set it apart stand for too few victims to be shown.",
            found.withheld,
        )
        said.append(text.format(count=found.withheld))
    if states is not None:
        said.append(_occurs(found.name, states))
    return Part(heading, tuple(said), block=_traits(found, at) if found.traits else None)


def _trait(trait: Trait) -> str:
    return _("{field}: {value}, {share} of the type against {overall} of all victims.").format(
        field=_field(trait.field),
        value=_value(trait.field, trait.value),
        share=_percent(trait.share, trait.margin),
        overall=_percent(trait.overall, trait.overall_margin),
    )


def _traits(found: TypeFacts, at: int) -> Block:
    rows = tuple(
        (
            f"{_field(trait.field)}: {_value(trait.field, trait.value)}",
            _percent(trait.share, trait.margin),
            _percent(trait.overall, trait.overall_margin),
        )
        for trait in found.traits
    )
    caption = _("What sets {name} apart").format(name=found.name)
    said = _("Shares of victims of whom the field is known, in whole per cent, with their 95% margins.")
    heads = (_("Value"), _("Of the type"), _("Of all victims"))
    return Block(f"traits{at}-table", caption, said, heads, rows)


def _percent(share: int, margin: int) -> str:
    return f"{share}%{PLUS_MINUS}{margin}%"


def _occurs(name: str, states: View) -> str:
    """Where a published count cannot be zero."""
    counts = {state: states.of(type=name, state=state) for state in states.axis("state")}
    found = [words("state", state) for state, count in counts.items() if count is not None and count.low]
    if not found:
        return _("In no single state can its published count be told from zero.")
    return _("Found beyond the noise in {states}.").format(states=", ".join(found))


def _matrix(view: View, axis: str, drawn: tuple[str, ...], heading: str) -> Part:
    """Types down; the codes of another axis across."""
    title = _("Victims by type and state") if axis == "state" else _("Victims by type and year")
    types, heads = view.axis(TYPE), [words(axis, code) for code in drawn]
    counts = {
        (name, words(axis, code)): view.of(**{TYPE: name, axis: code}) for name in types for code in drawn
    }
    named = [(f"{name}, {head}", count) for (name, head), count in counts.items()]
    chart = grid_chart(Grid(f"type-{axis}", title, types, heads, counts), describe(named))
    rows = tuple(
        (words(axis, code), *(cell(view.of(**{TYPE: name, axis: code})) for name in types))
        for code in view.axis(axis)
    )
    first = _("State") if axis == "state" else _("Year")
    block = Block(f"type-{axis}-table", title, note((_("each count"), view)), (first, *types), rows)
    said = _("Each count ± {margin}. {largest}").format(
        margin=f"{view.table.margin:,}", largest=chart.description
    )
    return Part(heading, (), (Drawing(said, chart),), block=block)


def _truth(types: tuple[TypeFacts, ...], planted: Planted) -> Part:
    """The types beside the planted ways."""
    said = [_(_TRUTH)]
    if planted.adjusted_rand is not None:
        text = _("The types reach {index}.")
        said.append(text.format(index=f"{planted.adjusted_rand:.2f}"))
    if planted.adjusted_rand_pooled is not None:
        text = _("The same method on all files together without privacy reaches {index}.")
        said.append(text.format(index=f"{planted.adjusted_rand_pooled:.2f}"))
    rows = tuple((each.name, planted.labels.get(each.name, _("none of them"))) for each in types)
    caption = _("Which planted way each type finds again")
    block = Block("planted-table", caption, "", (_("Type"), _("Planted way")), rows, text=True)
    return Part(_("Beside the truth"), tuple(said), block=block, folded=False)


def _field(name: str) -> str:
    """The label of a field; its name, if this version of the software does not know it."""
    return next((field.label for field in FIELDS if field.name == name), name.replace("_", " "))


def _value(name: str, value: str) -> str:
    """The label of a value, or of a public bin."""
    if value == UNKNOWN:
        return _("not known")
    known = next((field.values for field in FIELDS if field.name == name), ())
    return next((entry.label for entry in known if entry.code == value), value)
