"""How to read the page of published tables, what its counts cost, and where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from safeborders_fed.reporting.figures import MISSING_MARK, cost_text, one_in
from safeborders_fed.reporting.language import N_, _
from safeborders_fed.reporting.reading import Released
from safeborders_fed.reporting.shown import view_of
from safeborders_fed.reporting.shown_parts import Block, Part, Section
from safeborders_fed.study.table_file import SUFFIX, Tables

_POINTS: Final = (
    (
        N_("What the guarantee is"),
        N_(
            "The noise alone. Rounding and suppression keep readers from reading much into small numbers, "
            "and follow legal custom; they are not the privacy guarantee."
        ),
    ),
    (
        N_("What intervals cover"),
        N_(
            "The noise and the rounding: of the counts that are published, at least 95% of the intervals "
            "hold what the files hold (proved for suppression by the floor, simulated for further "
            "suppression). A lower end below the floor of the table is zero."
        ),
    ),
    (
        N_("What no interval covers"),
        N_(
            "Victims nobody recorded, a victim recorded in two states, errors and changed rules of "
            "recording, late entries for the latest period. Fitting tables to each other makes intervals "
            "near zero approximate."
        ),
    ),
    (
        N_("Counted once"),
        N_(
            "A victim is counted once in each table: in the period of the latest registration, and under "
            "Several where a victim has more than one form, means or way of recruitment. Persons found not "
            "to be victims are not counted."
        ),
    ),
    (
        N_("Sums"),
        N_(
            "Rounded counts need not add up. Further counts are suppressed so that none follows from a "
            "published sum; a suppressed count need not be small."
        ),
    ),
    (
        N_("Many comparisons"),
        N_("Where many counts are compared, about one interval in twenty misses the truth."),
    ),
)
_SYMBOLS: Final = (
    ("±", N_("Half of a 95% interval: noise and rounding.")),
    ("c", N_("Suppressed: not known here. Not to be read as zero, nor as small.")),
    ("b", N_("Break in time series: counts before and after are not of the same reporting.")),
    ("†", N_("Cannot be told from zero: the interval includes zero.")),
    (N_("Hollow point"), N_("In a chart: a count that cannot be told from zero.")),
    (N_("Hatched field, grey c"), N_("In a chart: a suppressed count.")),
    (N_("Thin line"), N_("In a chart: the 95% interval.")),
)
_OF_SCORES: Final = (
    (MISSING_MARK, N_("Not available.")),
    (N_("Too little data"), N_("No area can be computed, or told from the noise.")),
)
_MARKS: Final = frozenset("±c†b:")


def method(tables: Tables) -> Section:
    """Mechanism, cost, noise of each table, and what intervals cover."""
    said = _("The page shows a choice of these tables; the files of the release hold every count of each.")
    noise = Part(paragraphs=(said,), block=_noise(tables), folded=False)
    points = tuple((_(term), _(text)) for term, text in _POINTS)
    return Section("method", _("Method and privacy"), (noise,), _facts(tables), points)


def _facts(tables: Tables) -> tuple[tuple[str, str], ...]:
    rules = tables.rules
    noise = _("{mechanism} noise, added before anybody sees a sum")
    cost = _("epsilon {epsilon} at delta {delta}; rho {rho}")
    rounding, threshold = _("to a multiple of {base}"), _("a rounded count below {least} is suppressed")
    widest = _("so is one whose noise exceeds {widest}% of it")
    made = _("{day}, by SafeBorders Federated {version}")
    minors = tables.population == "minors"
    return (
        (_("Mechanism"), noise.format(mechanism=_(tables.mechanism.replace("-", " ")))),
        (
            _("Privacy cost"),
            cost.format(
                epsilon=cost_text(tables.epsilon), delta=one_in(tables.delta), rho=cost_text(tables.rho)
            ),
        ),
        (_("Unit protected"), _("one victim, with all their records, at one node")),
        (_("Rounding"), rounding.format(base=rules.base)),
        (_("Threshold"), threshold.format(least=rules.threshold)),
        (_("Widest interval"), widest.format(widest=rules.widest)),
        (_("Population"), _("victims under 18") if minors else _("all victims")),
        (_("States"), ", ".join(tables.states)),
        (_("Study"), tables.study),
        (_("Manifest (SHA-256)"), tables.manifest_hash),
        (_("Study's release (SHA-256)"), tables.release_hash),
        (_("Made"), made.format(day=tables.created.isoformat(), version=tables.software_version)),
    )


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
    heads = (_("Table"), _("Counts"), _("Suppressed"), _("Sigma"), "±", _("Floor"))
    said = _(
        "Sigma: standard error of a count before rounding. ±: half of each interval. Floor: the smallest "
        "count that is published."
    )
    return Block("noise-table", _("Noise of each table"), said, heads, rows)


def symbols(*, scores: bool) -> Section:
    """What stands for what, with what stands for missing scores where the page has any."""
    shown = (*_SYMBOLS, *(_OF_SCORES if scores else ()))
    facts = tuple((term if term in _MARKS else _(term), _(text)) for term, text in shown)
    return Section("symbols", _("Symbols"), facts=facts)


def downloads(releases: Sequence[Released], typologies: Released | None = None) -> Section:
    """Files, their hashes, and how to cite.

    Args:
        releases: Of trend tables, earliest first.
        typologies: The release of typologies that the page shows beside them.
    """
    rows = _files(releases[-1], _("the released tables"))
    if typologies is not None:
        rows += _files(typologies, _("the released typologies"))
    said = _(
        "The publisher hands out the tables and the statement of their release; safeborders report verify "
        "checks both, and safeborders report export makes the other files."
    )
    heads = (_("File"), _("What"), "SHA-256")
    block = Block("files-table", _("Files of this release"), "", heads, tuple(rows), text=True)
    part = Part("", (said,), block=block, folded=False)
    facts = _cited(releases, typologies)
    return Section("files", _("Downloads, hashes and how to cite"), (part,), facts)


def _files(released: Released, what: str) -> list[tuple[str, str, str]]:
    """The document and the exports that are handed out: name, kind and hash."""
    kinds = {".sdmx.csv": "SDMX-CSV 2.0", ".parquet": "Parquet", ".csv": _("CSV with labels")}
    rows = [(f"{released.loaded.tables.id}{SUFFIX}", what, released.loaded.sha256)]
    for name, sha256 in sorted(released.loaded.file.exports.items()):
        kind = next((kind for ending, kind in kinds.items() if name.endswith(ending)), None)
        if kind is not None:  # the noisy measurements are handed to nobody with the tables
            rows.append((name, kind, sha256))
    return rows


def _cited(releases: Sequence[Released], typologies: Released | None) -> tuple[tuple[str, str], ...]:
    last, said_of = releases[-1], releases[-1].statement.statement
    signers = ", ".join(entry.by for entry in last.statement.signatures)
    signed = _("{day}, signed as {signers}: {reason}")
    keys = _("said by safeborders report verify, with keys known by a way of one's own")
    return (
        (_("Cite"), last.citation),
        (
            _("Released"),
            signed.format(day=said_of.day.isoformat(), signers=signers, reason=said_of.reason),
        ),
        (_("Whose keys these are"), keys),
        *((_("Compared with"), each.citation) for each in releases[:-1]),
        *(() if typologies is None else ((_("Typologies"), typologies.citation),)),
    )
