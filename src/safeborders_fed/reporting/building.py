"""The one page of released tables: one HTML file that works offline, from releases that operators signed.

Guarantees:

- Every count of victims by trait is one that the released documents publish: rounded, with suppressed ones
missing. A demonstration adds what it knows beside its tables (``model.Demonstration``), and no such count.
- One file: no script, no link to anything outside, and a content security policy that permits nothing but its
  own style sheet (by hash). Whatever text the documents hold is escaped.
- The same releases, title and facts give the same page, byte for byte: it bears the day of the release, not
  of today.
- Releases that are not of one series, or of which one between is missing, are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from safeborders_fed.errors import RefusedError, UsageError
from safeborders_fed.reporting import (
    findings,
    shown_absent,
    shown_changes,
    shown_demo,
    shown_findings,
    shown_method,
)
from safeborders_fed.reporting.comparing import require_series
from safeborders_fed.reporting.language import N_, _
from safeborders_fed.reporting.model import Demonstration
from safeborders_fed.reporting.pages import page, require_extra
from safeborders_fed.reporting.reading import Released
from safeborders_fed.reporting.shown import Book
from safeborders_fed.reporting.shown_parts import Section

TITLE: Final = N_("Victims of trafficking in human beings")
LONGEST_TITLE: Final = 200


def build(
    releases: Sequence[Released],
    title: str | None = None,
    *,
    typologies: Released | None = None,
    synthetic: bool = False,
    extra: Demonstration | None = None,
) -> str:
    """The page as text, of the last release, beside those before it.

    Args:
        releases: At least one, earliest first.
        title: Heading of the page; ``TITLE`` if there is none.
        typologies: The release of a typology study, which the page shows beside the tables.
        synthetic: Whether the records are made up, which the banner then says.
        extra: What a demonstration adds.

    Raises:
        ConfigurationError: ``report-extra-missing``.
        UsageError: ``no-releases``, ``bad-title``, ``no-types`` or ``wrong-order``.
        RefusedError: ``no-periods``, ``too-many-categories``, ``release-gap``, ``same-study`` or
            ``not-comparable``.
    """
    require_extra()
    if not releases:
        raise UsageError("no-releases", "no released tables are given", "name ID.tables.json")
    heading = _heading(title)
    for before, after in pairwise(releases):
        _require_series(before, after)
    _require_types(typologies)
    book = Book(releases[-1].loaded.tables)
    types = _types(typologies, extra)
    counted = _sections(book, releases, types)
    closing = _closing(book, releases, typologies, scores=extra is not None)
    added = () if extra is None else shown_demo.links(extra)
    return page(
        "page.html.j2",
        title=heading,
        synthetic=synthetic,
        released=releases[-1],
        tables=book.tables,
        findings=(
            *shown_findings.findings(book, releases),
            *(() if extra is None else findings.of_demonstration(extra)),
        ),
        links=(*_links(counted), *added, *_links(closing)),
        sections=counted,
        extra=extra,
        closing=closing,
        **({} if extra is None else shown_demo.facts(extra)),
    )


def _heading(title: str | None) -> str:
    heading = _(TITLE) if title is None else title
    if not heading.strip() or len(heading) > LONGEST_TITLE or not heading.isprintable():
        raise UsageError(
            "bad-title",
            f"a title is one line of 1 to {LONGEST_TITLE} characters",
            "give another one with --title",
        )
    return heading.strip()


def _links(sections: Sequence[Section]) -> tuple[tuple[str, str], ...]:
    return tuple((section.id, section.heading) for section in sections)


def _types(typologies: Released | None, extra: Demonstration | None) -> Section:
    if typologies is None:
        return shown_absent.typologies()
    from safeborders_fed.reporting import shown_typologies  # noqa: PLC0415 - needs the extra

    return shown_typologies.typologies(typologies, None if extra is None else extra.planted)


def _sections(book: Book, releases: Sequence[Released], types: Section) -> tuple[Section, ...]:
    """What is counted, in the order of the page."""
    from safeborders_fed.reporting import shown_links as linked  # noqa: PLC0415 - needs the extra
    from safeborders_fed.reporting import shown_sections as drawn  # noqa: PLC0415 - needs the extra
    from safeborders_fed.reporting import shown_warnings as warned  # noqa: PLC0415 - needs the extra
    from safeborders_fed.reporting import shown_where as where  # noqa: PLC0415 - needs the extra

    return (
        drawn.trend(book),
        shown_changes.changes(book),
        *((shown_changes.against_earlier(releases),) if len(releases) > 1 else ()),
        drawn.mix(book),
        drawn.ages(book),
        drawn.forms_ages(book),
        where.corridors(book),
        where.groups(book),
        where.states(book),
        drawn.how(book),
        drawn.recruiters(book),
        types,
        warned.warnings(book.tables),
        linked.links(book),
        where.coverage(book, releases),
        where.comparability(book),
    )


def _closing(
    book: Book, releases: Sequence[Released], typologies: Released | None, *, scores: bool
) -> tuple[Section, ...]:
    """How to read the page, after whatever a demonstration adds."""
    return (
        shown_method.method(book.tables),
        shown_method.symbols(scores=scores),
        shown_method.downloads(releases, typologies),
    )


def _require_types(typologies: Released | None) -> None:
    """Refuses tables without types where types are wanted."""
    if typologies is not None and typologies.loaded.tables.types is None:
        raise UsageError(
            "no-types",
            f"{typologies.loaded.tables.id} is a release of trend tables, not of typologies",
            "give the released tables of a typology study, or none",
        )


def _require_series(before: Released, after: Released) -> None:
    """Refuses two releases of which the second does not follow the first."""
    one, other = before.loaded.tables, after.loaded.tables
    if one.study == other.study and one.version > other.version:
        raise UsageError(
            "wrong-order", f"{one.id} is a later release than {other.id}", "name the earlier release first"
        )
    if one.study == other.study and other.version - one.version > 1:
        raise _gap(f"version {one.version + 1} of study {one.study!r} lies between {one.id} and {other.id}")
    require_series(before, after)
    if other.compared.get(one.id) != before.loaded.sha256:
        raise _gap(f"{other.id} was published without being compared with {one.id}")


def _gap(cause: str) -> RefusedError:
    return RefusedError(
        "release-gap", cause, "name releases of one coordinator that follow each other, or one alone"
    )
