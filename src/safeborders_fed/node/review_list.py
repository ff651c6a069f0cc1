"""The review list: referrals with their scores in words, for people to weigh. It decides nothing.

Guarantees: every form of it carries the reminder of what a score is not, and says first what is not known of
the model and how many rows are missing; no cell is one that a spreadsheet would run as a formula.
"""

from __future__ import annotations

import csv
import io
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from safeborders_fed.node import model_trust, score_words, scoring
from safeborders_fed.node.referrals import Referrals
from safeborders_fed.study.model_file import Model

REMINDER: Final = (
    "This list is for people to review. No evidence, no decision: nothing follows from a score alone.",
    "A score is about signs of victimhood in a record. It says nothing of a propensity to offend of anybody.",
    "A low place in the list is no clearance: the model misses victims whose signs nobody wrote down.",
    "A chance is counted among recorded cases, of people found, asked and believed: with all their bias.",
    "High-risk use (Regulation (EU) 2024/1689, Annex III 6(a), Art. 14): a person oversees it and decides.",
)
VERDICT_COLUMNS: Final = ("verdict", "reviewer_note")
"""Left empty for the reviewer, and read by ``safeborders node review FILE``."""
NOT_SCORED: Final = "not scored"
NO_BAND: Final = "not compared"
"""Of a score, where the average is not known that it would be compared with."""
ALL_BANDS: Final = (*reversed(scoring.BANDS), NO_BAND, NOT_SCORED)
_COLUMNS: Final = (
    "review_id",
    "case",
    "person",
    "rows",
    "score",
    "chance",
    "record",
    "raises",
    "lowers",
    "not_known",
    *VERDICT_COLUMNS,
)
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Digits and letters that are not mistaken for each other."""
LIST_ID: Final = re.compile(rf"[{_ALPHABET}]{{8}}")
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
_FEW: Final = "the model has seen few like it: trust its score less"
_RECORD_TEXTS: Final = tuple(
    record if index == 0 else f"{record}: {_FEW}" for index, record in enumerate(scoring.RECORDS)
)
_HARDLY_KNOWN: Final = "hardly anything known: the score says little"
_NOT_OF_THE_POPULATION: Final = "the model is for minors, and this record does not show one"


class Entry(NamedTuple):
    """One referral.

    Attributes:
        id: The review id: that of the list, and a number.
        cases: How the node's own people know it.
        person: Victim id of the national file.
        rows: Rows of the file.
        band: One of ``ALL_BANDS``.
        chance: In words; empty where it is not scored, or the model may rank no better than chance.
        raises: What raises the score, the strongest first.
        lowers: What lowers it.
        record: How unusual it is, or that hardly anything is known, or why it is not scored.
        unknown: Fields that are not known.
    """

    id: str
    cases: tuple[str, ...]
    person: str
    rows: tuple[int, ...]
    band: str
    chance: str
    raises: tuple[str, ...]
    lowers: tuple[str, ...]
    record: str
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class ReviewList:
    """Scored referrals, the highest score first.

    Attributes:
        id: Eight digits and letters.
        model: ``NAME-VERSION``.
        sha256: Of the model file.
        target: The label that the score is about, in words.
        context: What a reader must know of the model to read the scores.
        entries: One for each person.
        victims: Their pseudonyms, in the same order; for the sealed copy only.
        read: Rows of the file.
        repeated: Rows that repeat another exactly.
        rejected: Rows that are in no entry.
        rejected_file: Where they are, with reasons; None if there are none.
    """

    id: str
    model: str
    sha256: str
    target: str
    context: tuple[str, ...]
    entries: tuple[Entry, ...]
    victims: tuple[str, ...]
    read: int
    repeated: int
    rejected: int
    rejected_file: Path | None

    def summary(self) -> dict[str, Any]:
        """Counts and the model; nothing of any person."""
        bands = dict.fromkeys(ALL_BANDS, 0)
        for entry in self.entries:
            bands[entry.band] += 1
        return {
            "review_list": self.id,
            "model": self.model,
            "model_sha256": self.sha256,
            "target": self.target,
            "referrals": len(self.entries),
            "rows": self.read,
            "rows_repeated": self.repeated,
            "rows_rejected": self.rejected,
            "rejected_file": None if self.rejected_file is None else str(self.rejected_file),
            "bands": {band: count for band, count in bands.items() if count},
        }


def make(model: Model, referrals: Referrals, rejected_file: Path | None) -> ReviewList:
    """Scores referrals and puts them into a list. Raises as ``scoring.score``."""
    scores = scoring.score(model, referrals.victims)
    # Referrals that the model is not for come last; they have no place by score.
    order = np.lexsort((-scores.log_odds, ~scores.applies)).tolist()
    name = "".join(secrets.choice(_ALPHABET) for _ in range(8))
    pseudonyms = referrals.victims.pseudonyms.tolist()
    return ReviewList(
        id=name,
        model=str(model.head.id),
        sha256=model.sha256,
        target=score_words.target_text(model.head.facts["target"]),
        context=_context(model, referrals.rejected, rejected_file),
        entries=_entries(model, referrals, scores, order, name),
        victims=tuple(pseudonyms[place] for place in order),
        read=referrals.read,
        repeated=referrals.repeated,
        rejected=referrals.rejected,
        rejected_file=rejected_file,
    )


def _entries(
    model: Model, referrals: Referrals, scores: scoring.Scores, order: list[int], name: str
) -> tuple[Entry, ...]:
    """An entry for each referral, in the given order."""
    raises, lowers, unknown = score_words.reasons(model, referrals.victims, scores)
    bands, chances = _bands(model, scores), _chances(model, scores)
    records, applies = _records(model, scores, unknown), scores.applies.tolist()
    found = []
    for number, place in enumerate(order, start=1):
        known, scored = referrals.references[place], applies[place]
        found.append(
            Entry(
                id=f"{name}-{number:03d}",
                cases=known.cases,
                person=known.person,
                rows=known.rows,
                band=bands[place] if scored else NOT_SCORED,
                chance=chances[place] if scored else "",
                raises=raises[place] if scored else (),
                lowers=lowers[place] if scored else (),
                record=records[place] if scored else _NOT_OF_THE_POPULATION,
                unknown=unknown[place],
            )
        )
    return tuple(found)


def _bands(model: Model, scores: scoring.Scores) -> list[str]:
    if not model_trust.average_is_known(model):
        return [NO_BAND] * len(scores.band)
    return [scoring.BANDS[band] for band in scores.band.tolist()]


def _chances(model: Model, scores: scoring.Scores) -> list[str]:
    if not model.accuracy_known:
        return [""] * len(scores.chance)
    return score_words.chance_texts(scores.chance)


def _records(model: Model, scores: scoring.Scores, unknown: list[score_words.Texts]) -> list[str]:
    fields = len(model.analysis.column_fields())
    return [
        _HARDLY_KNOWN if 2 * len(missing) >= fields else _RECORD_TEXTS[record]
        for record, missing in zip(scores.record.tolist(), unknown, strict=True)
    ]


def _context(model: Model, rejected: int, rejected_file: Path | None) -> tuple[str, ...]:
    lines = [] if model.accuracy_known else [model_trust.RANK_NOT_KNOWN]
    if rejected:
        lines.append(_missing_rows(rejected, rejected_file))
    if model_trust.average_is_known(model):
        (average,) = score_words.chance_texts(np.array([scoring.average(model)]))
        lines.append(
            f"Average: of the labelled victims that the model learnt from, {average} carry this label."
        )
    else:
        lines.append(model_trust.AVERAGE_NOT_KNOWN)
    found = scoring.calibration(model)
    if found is None:
        lines.append("The study measured no calibration: chances are the model's own and may be far off.")
    elif found[0] <= 0:
        lines.append("The study found no relation between score and label: the scores say nothing.")
    return tuple(lines)


def _missing_rows(rejected: int, file: Path | None) -> str:
    rows, each = ("1 row", "it") if rejected == 1 else (f"{rejected:,} rows", "each")
    where = "" if file is None else f"see {_printable(str(file))}, and "
    return f"{rows} of the file {'is' if rejected == 1 else 'are'} not in this list: {where}look at {each}."


def as_text(review: ReviewList) -> str:
    """The list for a terminal."""
    lines = [
        f"Review list {review.id} · model {review.model} (SHA-256 {review.sha256[:16]}…)",
        f"Score: {_about(review)}",
        *review.context,
        *map("! {}".format, REMINDER),
    ]
    for entry in review.entries:
        lines += ["", *_entry_lines(entry)]
    return "\n".join(lines)


def _about(review: ReviewList) -> str:
    return f"signs that a referral is later {review.target}"


def _entry_lines(entry: Entry) -> Iterator[str]:
    rows = ", ".join(map(str, entry.rows))
    yield f"{entry.id} · case {', '.join(entry.cases)} · person {entry.person} · row {rows}"
    yield f"  Score: {entry.band}{f', chance {entry.chance}' if entry.chance else ''}"
    yield from (f"  + {reason}" for reason in entry.raises)
    yield from (f"  - {reason}" for reason in entry.lowers)
    yield f"  Record: {entry.record}"
    if entry.unknown:
        yield f"  Not known: {', '.join(entry.unknown)}"


def as_json(review: ReviewList) -> dict[str, Any]:
    """The list as JSON values."""
    return {
        "summary": review.summary(),
        "reminder": list(REMINDER),
        "context": list(review.context),
        "referrals": [entry._asdict() for entry in review.entries],
    }


def as_csv(review: ReviewList) -> str:
    """The list as CSV, the reminder in lines that begin with ``#``."""
    sink = io.StringIO()
    heading = (
        f"Review list {review.id}, model {review.model}: signs that a referral is later {review.target}."
    )
    for line in (heading, *review.context, *REMINDER):
        sink.write(f"# {line}\n")
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for entry in review.entries:
        cells = (
            entry.id,
            "; ".join(entry.cases),
            entry.person,
            " ".join(map(str, entry.rows)),
            entry.band,
            entry.chance,
            entry.record,
            "; ".join(entry.raises),
            "; ".join(entry.lowers),
            ", ".join(entry.unknown),
            *("" for _ in VERDICT_COLUMNS),
        )
        writer.writerow(map(_harmless, cells))
    return sink.getvalue()


def _harmless(text: str) -> str:
    """``text`` without control characters, and such that a spreadsheet shows it as text."""
    text = _printable(text)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _printable(text: str) -> str:
    return "".join(mark if mark.isprintable() else " " for mark in text)
