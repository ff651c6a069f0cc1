"""The page of published tables: one HTML file that works offline, from releases that operators signed.

Guarantees:

- Nothing is on the page but what the released documents publish: rounded counts, with suppressed ones
missing.
- One file: no script, no link to anything outside, and a content security policy that permits nothing but its
  own style sheet (by hash). Whatever text the documents hold is escaped.
- The same releases and title give the same page, byte for byte: it bears the day of the release, not of
today.
- Releases that are not of one series, or of which one between is missing, are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from safeborders_fed.errors import RefusedError, UsageError
from safeborders_fed.reporting import shown_findings, shown_method
from safeborders_fed.reporting.comparing import compare
from safeborders_fed.reporting.pages import page, require_extra
from safeborders_fed.reporting.reading import Released
from safeborders_fed.reporting.shown import Book
from safeborders_fed.reporting.shown_parts import Section

TITLE: Final = "Victims of trafficking in human beings"
LONGEST_TITLE: Final = 200


def build(releases: Sequence[Released], title: str = TITLE) -> str:
    """The page as text, of the last release, beside those before it.

    Args:
        releases: At least one, earliest first.
        title: Heading of the page.

    Raises:
        ConfigurationError: ``report-extra-missing``.
        UsageError: ``no-releases``, ``bad-title`` or ``wrong-order``.
        RefusedError: ``no-periods``, ``too-many-categories``, ``release-gap``, ``same-study`` or
            ``not-comparable``.
    """
    require_extra()
    if not releases:
        raise UsageError("no-releases", "no released tables are given", "name ID.tables.json")
    if not title.strip() or len(title) > LONGEST_TITLE or not title.isprintable():
        raise UsageError(
            "bad-title",
            f"a title is one line of 1 to {LONGEST_TITLE} characters",
            "give another one with --title",
        )
    for before, after in pairwise(releases):
        _require_series(before, after)
    book = Book(releases[-1].loaded.tables)
    return page(
        "tables_page.html.j2",
        title=title.strip(),
        released=releases[-1],
        tables=book.tables,
        findings=shown_findings.findings(book, releases),
        sections=_sections(book, releases),
    )


def _sections(book: Book, releases: Sequence[Released]) -> tuple[Section, ...]:
    from safeborders_fed.reporting import shown_sections as drawn  # noqa: PLC0415 - needs the extra

    return (
        drawn.trend(book),
        shown_findings.changes(book),
        *((shown_findings.against_earlier(releases),) if len(releases) > 1 else ()),
        drawn.mix(book),
        drawn.ages(book),
        drawn.forms_ages(book),
        drawn.corridors(book),
        drawn.groups(book),
        drawn.how(book),
        drawn.recruiters(book),
        drawn.coverage(book),
        shown_method.method(book.tables),
        shown_method.symbols(),
        shown_method.downloads(releases),
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
    compare(before, after)
    if other.compared.get(one.id) != before.loaded.sha256:
        raise _gap(f"{other.id} was published without being compared with {one.id}")


def _gap(cause: str) -> RefusedError:
    return RefusedError(
        "release-gap", cause, "name releases of one coordinator that follow each other, or one alone"
    )
