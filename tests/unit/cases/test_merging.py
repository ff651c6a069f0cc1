"""Merging, against a plain model on dictionaries, for any two files."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from safeborders_fed.cases.merging import merge
from safeborders_fed.cases.spill import SPILLED
from safeborders_fed.cases.tables import RECORDS

Record = tuple[str, str, int | None, str]
"""Victim, case, age band, identifiers."""

KEY = st.sampled_from(["a", "b", "c", "d"])
RECORD = st.tuples(KEY, KEY, st.sampled_from([None, 0, 1]), st.sampled_from(["", "phone"]))


def _table(records: list[Record], rows: list[int] | None) -> pa.Table:
    schema = RECORDS if rows is None else SPILLED
    columns: dict[str, object] = {
        name: pa.nulls(len(records), schema.field(name).type) for name in schema.names
    }
    for at, name in enumerate(("victim", "case", "age_band", "identifiers")):
        columns[name] = pa.array([record[at] for record in records], schema.field(name).type)
    if rows is not None:
        columns["row"] = pa.array(rows, pa.int64())
    return pa.table(columns, schema=schema)


@settings(deadline=None)  # the first call starts pyarrow
@given(st.lists(RECORD, unique_by=lambda record: record[:2]), st.lists(RECORD, max_size=12))
def test_merging_agrees_with_a_dictionary(before: list[Record], incoming: list[Record]) -> None:
    merged = merge(_table(before, None), _table(incoming, list(range(2, len(incoming) + 2))))

    state = {record[:2]: record for record in before}
    first: dict[tuple[str, str], tuple[int, Record]] = {}
    counts = dict.fromkeys(("new", "superseded", "unchanged", "repeated"), 0)
    conflicts = []
    for row, record in enumerate(incoming, start=2):
        key = record[:2]
        if key in first:
            if first[key][1] == record:
                counts["repeated"] += 1
            else:
                conflicts.append((row, first[key][0]))
            continue
        first[key] = (row, record)
        kind = "new" if key not in state else "unchanged" if state[key] == record else "superseded"
        counts[kind] += 1
    expected = state | {key: record for key, (_, record) in first.items()}

    found = zip(
        *(merged.table[name].to_pylist() for name in ("victim", "case", "age_band", "identifiers")),
        strict=True,
    )
    assert list(found) == [expected[key] for key in sorted(expected)]
    assert {name: getattr(merged, name) for name in counts} == counts
    assert sorted(merged.conflicts) == sorted(conflicts)
    assert merged.victims == len({victim for victim, _ in expected})
