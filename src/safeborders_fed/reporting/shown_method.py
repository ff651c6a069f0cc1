"""How to read the page of published tables, what its counts cost, and where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from safeborders_fed.reporting.figures import cost_text, one_in
from safeborders_fed.reporting.reading import Released
from safeborders_fed.reporting.shown import view_of
from safeborders_fed.reporting.shown_parts import Block, Part, Section
from safeborders_fed.study.table_file import Tables

_POINTS: Final = (
    (
        "What the guarantee is",
        (
            "The noise alone. Rounding and suppression keep readers from reading much into small "
            "numbers, and follow legal custom; they are not the privacy guarantee."
        ),
    ),
    (
        "What intervals cover",
        (
            "The noise and the rounding: of the counts that are published, at least 95% of the "
            "intervals hold what the files hold (proved for suppression by the floor, simulated for "
            "further suppression). A lower end below the floor of the table is zero."
        ),
    ),
    (
        "What no interval covers",
        (
            "Victims nobody recorded, a victim recorded in two states, errors and changed rules of "
            "recording, late entries for the latest period. Fitting tables to each other makes "
            "intervals near zero approximate."
        ),
    ),
    (
        "Counted once",
        (
            "A victim is counted once in each table: in the period of the latest registration, and "
            "under Several where a victim has more than one form, means or way of recruitment."
        ),
    ),
    (
        "Sums",
        (
            "Rounded counts need not add up. Further counts are suppressed so that none follows from "
            "a published sum; a suppressed count need not be small."
        ),
    ),
    (
        "Many comparisons",
        "Where many counts are compared, about one interval in twenty misses the truth.",
    ),
)


def method(tables: Tables) -> Section:
    """Mechanism, cost, noise of each table, and what intervals cover."""
    rules = tables.rules
    facts = (
        ("Mechanism", f"{tables.mechanism.replace('-', ' ')} noise, added before anybody sees a sum"),
        (
            "Privacy cost",
            (
                f"epsilon {cost_text(tables.epsilon)} at delta {one_in(tables.delta)}; rho "
                f"{cost_text(tables.rho)}"
            ),
        ),
        ("Unit protected", "one victim, with all their records, at one node"),
        ("Rounding", f"to a multiple of {rules.base}"),
        ("Threshold", f"a rounded count below {rules.threshold} is suppressed"),
        ("Widest interval", f"so is one whose noise exceeds {rules.widest}% of it"),
        ("Population", "victims under 18" if tables.population == "minors" else "all victims"),
        ("States", ", ".join(tables.states)),
        ("Study", tables.study),
        ("Manifest (SHA-256)", tables.manifest_hash),
        ("Study's release (SHA-256)", tables.release_hash),
        ("Made", f"{tables.created.isoformat()}, by SafeBorders Federated {tables.software_version}"),
    )
    said = "The page shows a choice of these tables; the files of the release hold every count of each."
    noise = Part(paragraphs=(said,), block=_noise(tables), folded=False)
    return Section("method", "Method and privacy", (noise,), facts, _POINTS)


def _noise(tables: Tables) -> Block:
    rows = tuple(
        (
            table.name,
            f"{len(table.cells):,}",
            f"{len(table.cells) - view_of(table).published:,}",
            f"{table.deviation:.2f}",
            f"{table.margin:,}",
            f"{table.floor:,}",
        )
        for table in tables.tables
    )
    heads = ("Table", "Counts", "Suppressed", "Sigma", "±", "Floor")
    said = (
        "Sigma: standard error of a count before rounding. ±: half of each interval. Floor: the smallest "
        "count that is published."
    )
    return Block("noise-table", "Noise of each table", said, heads, rows)


def symbols() -> Section:
    """What stands for what."""
    facts = (
        ("±", "Half of a 95% interval: noise and rounding."),
        ("c", "Suppressed: not known here. Not to be read as zero, nor as small."),
        ("†", "Cannot be told from zero: the interval includes zero."),
        ("Hollow point", "In a chart: a count that cannot be told from zero."),
        ("Hatched field, grey c", "In a chart: a suppressed count."),
        ("Thin line", "In a chart: the 95% interval."),
    )
    return Section("symbols", "Symbols", facts=facts)


def downloads(releases: Sequence[Released]) -> Section:
    """Files, their hashes, and how to cite."""
    last = releases[-1]
    rows = [(last.loaded.tables.id + ".tables.json", "the released tables", last.loaded.sha256)]
    kinds = {".sdmx.csv": "SDMX-CSV 2.0", ".parquet": "Parquet", ".csv": "CSV with labels"}
    for name, sha256 in sorted(last.loaded.file.exports.items()):
        if name.endswith(".noisy.json"):
            continue
        kind = next(kind for ending, kind in kinds.items() if name.endswith(ending))
        rows.append((name, kind, sha256))
    said = (
        (
            "The publisher hands out the tables and the statement of their release; safeborders report "
            "verify checks both, and safeborders report export makes the other files."
        ),
    )
    block = Block(
        "files-table", "Files of this release", "", ("File", "What", "SHA-256"), tuple(rows), text=True
    )
    signers = ", ".join(entry.by for entry in last.statement.signatures)
    said_of = last.statement.statement
    facts = [
        ("Cite", last.citation),
        ("Released", f"{said_of.day.isoformat()}, signed as {signers}: {said_of.reason}"),
    ]
    facts.append(
        ("Whose keys these are", "said by safeborders report verify, with keys known by a way of one's own")
    )
    facts += [("Compared with", each.citation) for each in releases[:-1]]
    return Section(
        "files",
        "Downloads, hashes and how to cite",
        (Part("", said, block=block, folded=False),),
        tuple(facts),
    )
