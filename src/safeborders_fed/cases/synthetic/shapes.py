"""National shapes: records in the columns, codes and habits of one state.

Guarantees: the national codes are those of the state's mapping, so file and mapping cannot drift apart,
and an import yields what was recorded. Rows that must be quarantined are added on purpose, one thing
wrong with each, and counted by the reason that intake gives.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.cases.contract import field
from safeborders_fed.cases.mapping import Mapping
from safeborders_fed.cases.sources import DateSource, KeySource, MultiSource, SingleSource
from safeborders_fed.cases.synthetic.networks import Entry
from safeborders_fed.cases.synthetic.parameters import mapping_of, table
from safeborders_fed.cases.synthetic.recording import Recorded
from safeborders_fed.cases.synthetic.registry import Rows

Texts = NDArray[Any]
"""Text of each row, dtype object; empty where the cell is."""
_BANDS_OF_UNSURE: Final = {"0--17": "9--17", "18+": "18--20"}


@dataclass(frozen=True)
class Sheet:
    """A national file before it is written: columns in order, and what is wrong with rows on purpose."""

    columns: dict[str, Texts]
    spoilt: Counter[str]


def sheet_of(
    rng: np.random.Generator, country: str, rows: Rows, recorded: Recorded, entries: list[Entry]
) -> Sheet:
    """The file of one state: ``recorded`` has an entry for each row, ``entries`` are its identifiers."""
    mapping = mapping_of(country)
    columns: dict[str, Texts] = {}
    for name, source in mapping.fields.items():
        if isinstance(source, KeySource) and source.column is not None:
            columns[source.column] = rows.victim_id if name == "victim_id" else rows.case_id
        elif isinstance(source, DateSource):
            columns[source.column] = _dates(rng, source, rows)
        elif isinstance(source, SingleSource) and source.column is not None:
            columns[source.column] = _single(rng, mapping, name, source, recorded.singles[name])
        elif isinstance(source, MultiSource):
            columns |= _multi(rng, mapping, name, source, recorded.multis[name])
    columns |= _identifiers(mapping, rows, entries)
    columns |= _remarks(rng, country, mapping, len(rows.person))
    return _spoil(rng, mapping, columns)


def _dates(rng: np.random.Generator, source: DateSource, rows: Rows) -> Texts:
    days = rows.date.tolist()
    texts = np.array([day.strftime(source.formats[0]) for day in days], dtype=object)
    for index in np.flatnonzero(rng.random(len(days)) < table("habits")["rates"]["other_date_format"]):
        texts[index] = days[index].strftime(source.formats[rng.integers(len(source.formats))])
    return texts


def _empty(rng: np.random.Generator, mapping: Mapping, size: int) -> Texts:
    """Texts that mean "not known" in this file, mostly the empty one."""
    others = np.array(mapping.file.null_values, dtype=object)[
        rng.integers(0, len(mapping.file.null_values), size)
    ]
    return np.where(rng.random(size) < 0.2, others, "")


def _codes(mapping_values: dict[str, str], name: str) -> tuple[Texts, Texts]:
    """For each contract code the usual national code and the other one, if there is another."""
    options: dict[str, list[str]] = {}
    for text, code in mapping_values.items():
        options.setdefault(code, []).append(text)
    listed = [options.get(code, [code]) for code in field(name).codes]
    return (
        np.array([texts[0] for texts in listed], dtype=object),
        np.array([texts[-1] for texts in listed], dtype=object),
    )


def _single(
    rng: np.random.Generator, mapping: Mapping, name: str, source: SingleSource, values: NDArray[np.int16]
) -> Texts:
    known = values >= 0
    if source.number:
        texts = _ages(rng, values).astype(str).astype(object)
    else:
        usual, other = _codes(source.values, name)
        synonym = rng.random(len(values)) < table("habits")["rates"]["synonym"]
        texts = np.where(synonym, other[values], usual[values])
        _be_sloppy(rng, mapping, texts, ignore_case=source.ignore_case)
    return np.where(known, texts, _empty(rng, mapping, len(values)))


def _ages(rng: np.random.Generator, values: NDArray[np.int16]) -> NDArray[np.int64]:
    """Years of age within the band of each record."""
    spans = []
    for code in field("age_band").codes:
        first, _, last = _BANDS_OF_UNSURE.get(code, code).partition("--")
        spans.append((48, 67) if first == "48+" else (int(first), int(last)))
    low, high = np.array(spans).T
    return np.asarray(rng.integers(low[values], high[values] + 1), dtype=np.int64)


def _be_sloppy(rng: np.random.Generator, mapping: Mapping, texts: Texts, *, ignore_case: bool) -> None:
    """White space, other capitals and decomposed letters, none of which changes the meaning."""
    ways = [lambda text: f" {text}", lambda text: f"{text} "]
    ways += [str.upper] if ignore_case else []
    ways += [lambda text: unicodedata.normalize("NFD", text)] if mapping.file.encoding == "utf-8" else []
    for index in np.flatnonzero(rng.random(len(texts)) < table("habits")["rates"]["sloppy"]):
        texts[index] = ways[rng.integers(len(ways))](texts[index])


def _multi(
    rng: np.random.Generator, mapping: Mapping, name: str, source: MultiSource, values: NDArray[np.int8]
) -> dict[str, Texts]:
    codes = field(name).codes
    if source.column is None:
        columns = {}
        for flag in source.flags:
            own = values[:, codes.index(flag.value)]
            yes, no = (np.array(texts, dtype=object) for texts in (flag.present, flag.absent))
            said = np.where(
                own == 1, yes[rng.integers(0, len(yes), len(own))], no[rng.integers(0, len(no), len(own))]
            )
            columns[flag.column] = np.where(own >= 0, said, _empty(rng, mapping, len(own)))
        return columns
    usual, other = _codes(source.values, name)
    lists: list[list[str]] = [[] for _ in range(len(values))]
    at, code = np.nonzero(values == 1)
    synonym = rng.random(len(at)) < table("habits")["rates"]["synonym"]
    for row, text in zip(at.tolist(), np.where(synonym, other[code], usual[code]), strict=True):
        lists[row].append(text)
    texts = np.array([(source.separator or "").join(items) for items in lists], dtype=object)
    _be_sloppy(rng, mapping, texts, ignore_case=source.ignore_case)
    return {source.column: np.where((values == 1).any(axis=1), texts, _empty(rng, mapping, len(values)))}


def _identifiers(mapping: Mapping, rows: Rows, entries: list[Entry]) -> dict[str, Texts]:
    """Identifier columns: a person's identifiers stand in the row of the first case."""
    columns = {
        column: np.full(len(rows.person), "", dtype=object)
        for identifier in mapping.identifiers
        for column in identifier.sources
    }
    row_of = {int(person): row for row, person in enumerate(rows.person) if not rows.second[row]}
    sources = {identifier.type: identifier.sources for identifier in mapping.identifiers}
    for entry in entries:
        for column, text in zip(sources[entry.identifier.type], entry.texts, strict=True):
            columns[column][row_of[entry.person]] = text
    return columns


def _remarks(rng: np.random.Generator, country: str, mapping: Mapping, size: int) -> dict[str, Texts]:
    """A column that no mapping names, with all that makes reading a file hard."""
    name, text = table("habits")["states"][country]["remark"]
    broken = rng.random(size) < table("habits")["rates"]["remark_breaks"]
    return {name: np.where(broken, f'"{text}"{mapping.file.delimiter}\n{text}', text).astype(object)}


def _spoil(rng: np.random.Generator, mapping: Mapping, columns: dict[str, Texts]) -> Sheet:
    """Insert copies of random rows with one cell spoilt."""
    size = len(next(iter(columns.values())))
    count = max(2, round(size * table("habits")["rates"]["quarantine"]))
    sources = rng.integers(0, size, count)
    order = np.argsort(np.concatenate([np.arange(size), sources]), kind="stable")
    ways = _ways_to_spoil(mapping)
    reasons = [sorted(ways)[way] for way in rng.integers(0, len(ways), count)]
    cells = [ways[reason][rng.integers(len(ways[reason]))] for reason in reasons]
    identifying = {column for entry in mapping.identifiers for column in entry.sources}
    keys = {source.column for source in mapping.fields.values() if isinstance(source, KeySource)}
    spoilt = {}
    for name, texts in columns.items():
        copies = ["" if name in identifying else text for text in texts[sources]]
        copies = [f"{text}-X" if name in keys else text for text in copies]
        copies = [bad if column == name else text for text, (column, bad) in zip(copies, cells, strict=True)]
        spoilt[name] = np.concatenate([texts, np.array(copies, dtype=object)])[order]
    return Sheet(spoilt, Counter(reasons))


def _ways_to_spoil(mapping: Mapping) -> dict[str, list[tuple[str, str]]]:
    """For each reason of intake, the columns and bad texts that bring it about."""
    ways: dict[str, list[tuple[str, str]]] = {}
    for name, source in mapping.fields.items():
        match source:
            case DateSource(column=column, formats=(pattern, *_)):
                bad = {
                    "impossible-date": pattern.replace("%d", "31").replace("%m", "02").replace("%Y", "2021"),
                    "outside-period": pattern.replace("%d", "05").replace("%m", "06").replace("%Y", "2011"),
                    "missing-date": "",
                }
            case KeySource(column=str(column)) if name == "victim_id":
                bad = {"missing-key": ""}
            case SingleSource(column=str(column), number=True):
                bad = {"age-out-of-range": "199"}
            case SingleSource(column=str(column)) if source.values:
                bad = {"unknown-code": f"{next(iter(source.values))}?"}
            case _:
                continue
        for reason, text in bad.items():
            ways.setdefault(reason, []).append((column, text))
    return ways
