"""Exported files: what each promises its reader."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from pysdmx.io.csv.sdmx20 import reader

from safeborders_fed.errors import DefectError
from safeborders_fed.reporting import codes, exports
from safeborders_fed.study.table_file import DisclosedTable, Rules, Tables
from table_samples import AGES, FORMS, counts, loaded, release

COLUMNS = (
    "STRUCTURE,STRUCTURE_ID,ACTION,FREQ,REF_AREA,CITIZEN,SEX,AGE,FORM,MEANS,TIME_PERIOD,OBS_VALUE,UNIT_MEASURE,"
    "OBS_STATUS,CONF_STATUS,LOWER95,UPPER95,NOISE_MECHANISM,NOISE_SIGMA,ROUND_BASE,RELEASE_ID"
)


def _tables(seed: int = 3) -> Tables:
    return loaded(release(counts(seed))).tables


def _rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline="")))


def test_sdmx_has_exactly_its_columns_and_ends_lines_as_sdmx_wants() -> None:
    data = exports.sdmx_csv(_tables())
    assert data.split(b"\r\n")[0].decode() == COLUMNS
    assert data.endswith(b"\r\n")
    assert data.count(b"\n") == data.count(b"\r\n")


def test_every_cell_is_one_row_with_a_key_of_its_own() -> None:
    tables = _tables()
    rows = _rows(exports.sdmx_csv(tables))
    assert len(rows) == sum(len(table.cells) for table in tables.tables)
    keys = {tuple(row[name] for name in ("FREQ", *exports.DIMENSIONS)) for row in rows}
    assert len(keys) == len(rows)


def test_sums_are_total_and_what_no_table_has_does_not_apply() -> None:
    for row in _rows(exports.sdmx_csv(_tables())):
        assert (row["CITIZEN"], row["SEX"], row["MEANS"]) == ("_Z", "_Z", "_Z")
        assert row["REF_AREA"] == "_T"
    total = _rows(exports.sdmx_csv(_tables()))[-1]
    assert (total["AGE"], total["FORM"], total["TIME_PERIOD"]) == ("_T", "_T", "_T")


def test_a_suppressed_count_is_empty_with_flags_of_both_kinds_and_never_zero() -> None:
    rows = _rows(exports.sdmx_csv(_tables()))
    hidden = [row for row in rows if row["CONF_STATUS"] == "C"]
    shown = [row for row in rows if row["CONF_STATUS"] == "F"]
    assert hidden
    assert len(hidden) + len(shown) == len(rows)
    for row in hidden:
        assert (row["OBS_VALUE"], row["LOWER95"], row["UPPER95"], row["OBS_STATUS"]) == ("", "", "", "Q")
    for row in shown:
        assert int(row["OBS_VALUE"]) >= 10
        assert row["OBS_STATUS"] == ("U" if row["LOWER95"] == "0" else "A")
    for record in exports.records(_tables()):
        assert record["count"] != 0


def test_codes_are_those_of_sdmx() -> None:
    assert [codes.code_of(code) for code in AGES] == ["Y0-8", "Y9-17", "Y_GE18", "_U"]
    assert codes.code_of("2024Q3") == codes.code_of("2024-Q3") == "2024-Q3"
    assert codes.code_of("Other") == "_O"
    assert codes.code_of("=1+1") == "_1_1"
    with pytest.raises(DefectError, match="one SDMX code"):
        codes.codes_of("form", ("a b", "a_b"))


def test_no_text_is_a_formula() -> None:
    assert [exports.guarded(text) for text in ("=1", "+1", "-1", "@a", "\t1", "a=1", 3)] == [
        "'=1",
        "'+1",
        "'-1",
        "'@a",
        "'\t1",
        "a=1",
        3,
    ]
    tables = _tables()
    total, *rest = reversed(tables.tables)
    axis = tables.tables[0].axes[1].model_copy(update={"name": "form", "codes": ("=1+1", "-2", "+3", "x")})
    odd = total.model_copy(update={"name": "form", "axes": (axis,), "cells": (20, 25, None, 30)})
    made = tables.model_copy(update={"tables": (odd, *(each for each in rest if each.name == "year"))})
    assert "'=1+1" in {row["form"] for row in _rows(exports.labelled_csv(made))}
    for kind in (exports.sdmx_csv, exports.labelled_csv):
        for row in _rows(kind(made)):
            assert not any(value.startswith(("=", "+", "-", "@", "\t")) for value in row.values())


def test_the_plain_file_has_codes_and_words() -> None:
    rows = _rows(exports.labelled_csv(_tables()))
    assert {row["form"] for row in rows} == {*FORMS, "_T"}
    words = {row["form"]: row["form_label"] for row in rows}
    assert (words["SeveralForms"], words["Unknown"], words["_T"]) == ("Several forms", "Not known", "Total")
    assert {row["age"]: row["age_label"] for row in rows}["18+"] == "18 or over, band not known"


def test_parquet_says_what_its_counts_cost_and_come_from() -> None:
    tables = _tables()
    found = pq.read_table(io.BytesIO(exports.parquet(tables)))
    said = json.loads(found.schema.metadata[b"safeborders"])
    assert (said["manifest_hash"], said["epsilon"], said["delta"]) == ("a" * 64, 1.0, 1e-6)
    assert said["mechanism"] == "discrete-gaussian"
    assert said["rules"] == {"base": 5, "threshold": 10, "widest": 100}
    assert found.column("count").null_count == sum(table.cells.count(None) for table in tables.tables)


def test_the_same_tables_give_the_same_bytes() -> None:
    assert exports.exports(_tables()) == exports.exports(_tables())


def test_only_the_file_for_analysts_holds_unrounded_counts() -> None:
    full = counts(3)
    full[0, 0, 0] = 123.456
    made = release(full)
    document = loaded(made)
    assert b"123.456" in exports.noisy_measurements(made, "trends-one-1")
    public = {"document": document.file.to_bytes(), **exports.exports(document.tables)}
    assert not [name for name, data in public.items() if b"123.456" in data]
    values = np.array(json.loads(exports.noisy_measurements(made, "x-1"))["tables"][0]["counts"])
    assert (values == full.ravel()).all()


def test_what_the_columns_cannot_hold_is_left_out_and_named() -> None:
    tables = _tables()
    relation = tables.tables[0].axes[1].model_copy(update={"name": "recruiter"})
    odd = tables.tables[0].model_copy(
        update={"axes": (tables.tables[0].axes[0], relation, tables.tables[0].axes[2])}
    )
    changed = tables.model_copy(update={"tables": (odd, *tables.tables[1:])})
    assert exports.left_out(changed) == ("year x form x age",)
    assert len(_rows(exports.sdmx_csv(changed))) == sum(len(table.cells) for table in tables.tables[1:])


def test_a_column_means_one_thing_in_a_release() -> None:
    """Reporting state and state of exploitation share REF_AREA: the axis of most tables fills it."""
    tables = _tables()
    year = next(table for table in tables.tables if table.name == "year")

    def renamed(name: str, axis: str) -> DisclosedTable:
        own = year.axes[0].model_copy(update={"name": axis})
        return year.model_copy(update={"name": name, "axes": (own,)})

    state, exploited = renamed("state", "state"), renamed("exploitation", "exploitation")
    both = renamed("exploitation again", "exploitation")
    made = tables.model_copy(update={"tables": (state, exploited, both)})
    assert exports.columns_of(made) == {"REF_AREA": "exploitation"}
    assert "state" in exports.left_out(made)
    keys = [tuple(row[name] for name in exports.DIMENSIONS) for row in _rows(exports.sdmx_csv(made))]
    assert len(set(keys)) == len(keys) == len(exploited.cells)


def test_an_independent_reader_reads_the_sdmx() -> None:
    """``pysdmx``: its own reader, not ours."""
    tables = loaded(release(counts(3)), Rules()).tables
    (data,) = reader.read(exports.sdmx_csv(tables).decode("utf-8"))
    assert list(data.data.columns) == COLUMNS.split(",")[3:]
    assert len(data.data) == sum(len(table.cells) for table in tables.tables)
    assert data.structure == "Dataflow=SAFEBORDERS:VICTIMS(1.0.0)"
