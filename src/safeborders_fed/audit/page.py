"""The one-page summary of an audit log in HTML, for a data protection officer.

Guarantees: one file that works offline. It holds no script, and its policy (``default-src 'none'``) lets it
load nothing. Every text of the log is escaped and shown without control characters. The page has a language,
headings in order, a caption and scopes for each table, and dark text on white (a contrast of 7 or more); of a
usual period it prints on one sheet of A4. String templates: a node does not install the report's engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final, NamedTuple

from safeborders_fed.audit.chain import Entry, Operation
from safeborders_fed.audit.led import TREATMENTS, Category
from safeborders_fed.audit.summary import LISTED, Summary
from safeborders_fed.privacy import accounting

DELTA: Final = 1e-6
_LONGEST_WHY: Final = 90
_STYLE: Final = """
:root { color-scheme: light; }
body { margin: 0 auto; padding: 1rem; max-width: 64rem; color: #1a1a1a; background: #fff;
  font: .95rem/1.4 "Liberation Sans", Arial, "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; }
h2 { font-size: 1.1rem; margin: 1rem 0 .3rem; border-bottom: 1px solid #595959; }
p, ul { margin: .25rem 0; }
ul { padding-left: 1.2rem; }
.result { border: 2px solid; padding: .4rem .6rem; }
.holds { border-color: #1a5c2e; }
.fails { border-color: #8c1a11; background: #fdf1f0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; font-variant-numeric: tabular-nums;
  overflow-wrap: normal; }
caption { text-align: left; color: #404040; }
th, td { padding: .1rem .35rem; text-align: right; border-bottom: 1px solid #b0b0b0; vertical-align: top; }
th:first-child, .text { text-align: left; }
tbody th { font-weight: normal; }
thead th, tfoot td, tfoot th { font-weight: bold; background: #f2f2f2; }
@page { size: A4; margin: 10mm; }
@media print {
  body { padding: 0; max-width: none; font-size: 8pt; line-height: 1.25; }
  h1 { font-size: 12pt; } h2 { font-size: 9pt; margin: 1.5mm 0 .5mm; break-after: avoid; }
  table { font-size: 7pt; } th, td { padding: 0 1mm; } .scroll { overflow: visible; }
}
"""


class Result(NamedTuple):
    """What verification found.

    Attributes:
        holds: Whether the log holds.
        text: In a sentence: why not, or what was checked.
        entries: How many entries the whole log has.
        head: The hash of its last line.
    """

    holds: bool
    text: str
    entries: int
    head: str


def render(node: str, made: str, summary: Summary, result: Result) -> str:
    """The page.

    Args:
        node: Whose log it is.
        made: When, in words.
        summary: The facts.
        result: Of verification.
    """
    title = f"Audit log of node {node}, {summary.period}"
    about = (
        f"<p>Log of processing operations under Article 25 of Directive (EU) 2016/680. Made {_text(made)}. "
        f"{summary.entries:,} entries by {len(summary.people):,} people and services.</p>"
    )
    parts = [
        f"<h1>{_text(title)}</h1>",
        about,
        _result(result),
        _counts(summary),
        _studies(summary),
        *(_list(name, listed.count, listed.last) for name, listed in summary.notable.items()),
        _where(),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src '
        "'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def _text(text: str) -> str:
    return escape("".join(mark if mark.isprintable() else " " for mark in text))


def _result(result: Result) -> str:
    word, kind = ("The log holds", "holds") if result.holds else ("THE LOG DOES NOT HOLD", "fails")
    head = f" Last entry: {result.entries:,}, hash <code>{_text(result.head)}</code>." if result.head else ""
    return f'<p class="result {kind}"><strong>{word}.</strong> {_text(result.text)}{head}</p>'


def _table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], foot: Sequence[str] = ()) -> str:
    """A table whose first column names the row; cells are HTML."""
    heading = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    last = f"<tfoot><tr>{_cells(foot)}</tr></tfoot>" if foot else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table>'
        f"<caption>{caption}</caption><thead><tr>{heading}</tr></thead><tbody>{body}</tbody>{last}</table></div>"
    )


def _cells(row: Sequence[str]) -> str:
    return f'<th scope="row">{row[0]}</th>' + "".join(f"<td>{cell}</td>" for cell in row[1:])


def _counts(summary: Summary) -> str:
    spans = summary.spans()
    rows, sums = [], [0] * (len(spans) + 1)
    for operation in sorted(Operation, key=_rank):
        numbers = [summary.count(operation, span) for span in spans]
        numbers.append(sum(numbers))
        if numbers[-1]:
            rows.append([_named(operation), *(f"{number:,}" for number in numbers)])
            sums = [before + number for before, number in zip(sums, numbers, strict=True)]
    if not rows:
        return "<h2>Operations</h2><p>None in this period.</p>"
    none = [category.value for category in Category if not _in_category(summary, category)]
    return (
        "<h2>Operations</h2>"
        + _table(
            "Entries by operation, with its kind under Article 25, and by time",
            ["operation", *spans, "all"],
            rows,
            ["all", *(f"{number:,}" for number in sums)],
        )
        + (f"<p>None in this period: {', '.join(none)}.</p>" if none else "")
    )


def _rank(operation: Operation) -> tuple[int, str]:
    return list(Category).index(TREATMENTS[operation].category), operation.value


def _named(operation: Operation) -> str:
    treatment = TREATMENTS[operation]
    kind = (
        "" if treatment.category is Category.INTERNAL else f" <strong>({treatment.category.value})</strong>"
    )
    return f"{_text(treatment.meaning)}{kind}"


def _in_category(summary: Summary, category: Category) -> bool:
    return any(
        summary.count(operation, "")
        for operation, treatment in TREATMENTS.items()
        if treatment.category is category
    )


def _studies(summary: Summary) -> str:
    if not summary.studies:
        return "<h2>Studies</h2><p>None in this period.</p>"
    rows = [
        [_text(name), f"{cost.first} to {cost.last}", f"{cost.answers:,}", *_cost(cost.rho)]
        for name, cost in summary.shown_studies()
    ]
    left_out = len(summary.studies) - len(rows)
    more = f"; {left_out} earlier ones are in the sum only" if left_out else ""
    answers = sum(cost.answers for cost in summary.studies.values())
    return "<h2>Studies</h2>" + _table(
        f"What it cost one victim at most, at delta {DELTA:g}; costs add in rho, not in epsilon{more}",
        ["study", "days in the log", "answers that left", "rho", "epsilon"],
        rows,
        [f"{len(summary.studies)} in all", "", f"{answers:,}", *_cost(summary.rho)],
    )


def _cost(rho: float) -> tuple[str, str]:
    return f"{rho:.6f}", f"{accounting.epsilon(rho, DELTA):.3f}"


def _list(name: str, count: int, last: Iterable[Entry]) -> str:
    if not count:
        return f"<h2>{name}</h2><p>None in this period.</p>"
    lines = "".join(
        f"<li>{entry.at[:10]}, entry {entry.number:,}: {_text(entry.who)}: {_short(entry.why)}</li>"
        for entry in reversed(list(last))
    )
    more = f"<p>The last {LISTED} of {count:,}.</p>" if count > LISTED else ""
    return f"<h2>{name}</h2><ul>{lines}</ul>{more}"


def _short(why: str) -> str:
    return _text(why if len(why) <= _LONGEST_WHY else f"{why[: _LONGEST_WHY - 1]}…")


def _where() -> str:
    return (
        "<h2>Where to look</h2><p>Every entry with its reason and recipient: <code>safeborders node audit "
        "export --format csv</code>. Whether the log holds, with public keys only, and with the anchors that "
        "other states and the coordinator keep: <code>safeborders node audit verify</code>. What is left of "
        "the privacy budget: <code>safeborders node ledger</code>. The sums in "
        "&#8220;answers that left&#8221; carry noise and no record of a person.</p>"
    )
