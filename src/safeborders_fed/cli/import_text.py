"""The report of an import, in words."""

from __future__ import annotations

from safeborders_fed.cases.intake import ImportReport, PreviewRow

_SHOWN = 20
_FEW = 3


def report_text(report: ImportReport) -> str:
    """What an import did, or would do, for a reader."""
    kinds = {
        "new": report.new,
        "superseded": report.superseded,
        "unchanged": report.unchanged,
        "repeated within the file": report.repeated,
    }
    lines = [
        f"{report.read:,} rows read, {report.accepted:,} accepted, {report.rejected:,} rejected",
        "  " + ", ".join(f"{count:,} {kind}" for kind, count in kinds.items()),
    ]
    lines += [f"  rejected as {reason}: {count:,}" for reason, count in report.reasons.items()]
    if report.erased:
        lines.append(f"  left out, of erased victims: {report.erased:,} (--restore lets them in)")
    if report.expired:
        lines.append(f"  left out, past their retention period: {report.expired:,}")
    if report.ignored_columns:
        names = ", ".join(report.ignored_columns[:_SHOWN])
        more = len(report.ignored_columns) - _SHOWN
        lines.append(f"Columns that the mapping does not name: {names}" + (f" and {more} more" * (more > 0)))
    if report.quarantine_file:
        lines.append(f"Rejected rows: {report.quarantine_file}")
    if report.dry_run:
        lines += ["Nothing was stored. The first accepted rows would be:", *map(_row_text, report.preview)]
    elif report.new or report.superseded:
        lines.append(f"New snapshot: {report.snapshot}")
    else:
        lines.append(f"Nothing changed; the snapshot is still {report.snapshot}")
    return "\n".join(lines)


def _row_text(row: PreviewRow) -> str:
    texts = {name: _value_text(value) for name, value in row.items()}
    return "  - " + "; ".join(f"{name}: {text}" for name, text in texts.items() if text)


def _value_text(value: str | dict[str, list[str]] | None) -> str:
    if not isinstance(value, dict):
        return value or ""
    absent = value["absent"]
    few = len(absent) <= _FEW
    return ", ".join(
        [*value["present"], *(f"not {code}" for code in absent if few), *["nothing else"] * (not few)]
    )
