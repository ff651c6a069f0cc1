"""The files as a national team sees them: the same bytes by seed, importable, in agreement with the truth."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pyarrow.parquet as pq
import pytest

from safeborders_fed.cases import encoding
from safeborders_fed.cases.contract import FIELDS, Kind, field
from safeborders_fed.cases.intake import import_file
from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.cases.mapping import load_mapping
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.cases.synthetic import NationalFile, generate, mapping_path
from safeborders_fed.cases.synthetic.parameters import COUNTRIES, mapping_of
from safeborders_fed.cases.synthetic.population import draw_population
from safeborders_fed.cases.synthetic.recording import record
from safeborders_fed.cases.synthetic.registry import rows_of
from safeborders_fed.errors import UsageError

SEED = 2
SCALE = 0.2


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[NationalFile]:
    return generate(tmp_path_factory.mktemp("synthetic"), SEED, SCALE)


@pytest.fixture(scope="module")
def truth(files: list[NationalFile]) -> dict[str, Any]:
    return json.loads((files[0].path.parent / "truth.json").read_text(encoding="utf-8"))


def _read(file: NationalFile) -> list[dict[str, str]]:
    """The rows of a national file, read without the project's own readers."""
    mapping = load_mapping(file.mapping)
    match mapping.format_of(file.path):
        case "csv":
            with file.path.open(encoding=mapping.file.encoding, newline="") as handle:
                header, *rows = csv.reader(handle, delimiter=mapping.file.delimiter)
            header[0] = header[0].removeprefix("\ufeff")
        case "jsonl":
            objects = [json.loads(line) for line in file.path.read_text(encoding="utf-8").splitlines()]
            header, rows = list(objects[0]), [list(entry.values()) for entry in objects]
        case "parquet":
            table = pq.read_table(file.path)
            header, rows = table.column_names, [list(row.values()) for row in table.to_pylist()]
        case _:
            book = openpyxl.load_workbook(file.path, read_only=True)
            header, *rows = (list(row) for row in book[mapping.file.sheet].iter_rows(values_only=True))
            book.close()
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    return [dict(zip(header, row + [""] * (len(header) - len(row)), strict=True)) for row in texts]


def _digests(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_gives_others(tmp_path: Path) -> None:
    for name, seed in (("a", 4), ("b", 4), ("c", 5)):
        generate(tmp_path / name, seed, 0.05)
    first, again, other = (_digests(tmp_path / name) for name in "abc")
    assert len(first) == 9
    assert first == again
    assert all(first[name] != other[name] for name in first)


@pytest.mark.parametrize(("seed", "scale"), [(-1, 1.0), (1, 0.04), (1, 11.0), (1, -1.0), (1, float("nan"))])
def test_a_bad_seed_or_scale_is_refused_and_nothing_is_written(
    tmp_path: Path, seed: int, scale: float
) -> None:
    with pytest.raises(UsageError):
        generate(tmp_path / "out", seed, scale)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("country", COUNTRIES)
def test_intake_takes_and_rejects_what_the_truth_says(
    files: list[NationalFile], truth: dict[str, Any], tmp_path: Path, country: str
) -> None:
    file = next(entry for entry in files if entry.country == country)
    store = CaseStore.create(tmp_path / "store", NodeKeys.generate())
    report = import_file(file.path, load_mapping(file.mapping), store)
    expected = truth["states"][country]
    assert (report.read, report.accepted) == (expected["rows"], expected["accepted"])
    assert report.reasons == expected["quarantined"]
    assert report.new == report.accepted
    assert len(report.ignored_columns) == 1


@pytest.mark.parametrize("country", COUNTRIES)
def test_an_import_yields_exactly_what_was_recorded_of_each_person(
    files: list[NationalFile], tmp_path: Path, country: str
) -> None:
    file = next(entry for entry in files if entry.country == country)
    store = CaseStore.create(tmp_path / "store", NodeKeys.generate())
    import_file(file.path, load_mapping(file.mapping), store)
    fields = [entry for entry in FIELDS if entry.kind in {Kind.SINGLE, Kind.MULTI}]
    merged = encoding.merge(store.cases(), fields)
    population = draw_population(SEED, SCALE)
    recorded = record(SEED, population)
    rows = rows_of(SEED, country, population)
    raw = store.raw_keys()
    raw_of = dict(zip(raw["victim"].to_pylist(), raw["victim_id"].to_pylist(), strict=True))
    person_of = dict(zip(rows.victim_id, rows.person, strict=True))
    persons = np.array([person_of[raw_of[pseudonym]] for pseudonym in merged.pseudonyms])
    assert len(set(persons.tolist())) == len(persons) == (~rows.second).sum()
    for name, column in recorded.singles.items():
        assert np.array_equal(merged.singles[name], column[persons]), name
    for name, column in recorded.multis.items():
        own = column[persons]
        bits = 1 << np.arange(len(field(name).codes), dtype=np.uint64)
        assert np.array_equal(merged.present[name], ((own == 1) * bits).sum(axis=1)), name
        assert np.array_equal(merged.known[name], ((own >= 0) * bits).sum(axis=1)), name


def test_every_planted_identifier_stands_in_its_file_as_the_truth_says(
    files: list[NationalFile], truth: dict[str, Any]
) -> None:
    cells: dict[tuple[str, str, str, str], str] = {}
    for file in files:
        mapping = load_mapping(file.mapping)
        victim, case = (mapping.fields[name].column for name in ("victim_id", "case_id"))
        for row in _read(file):
            for identifier in mapping.identifiers:
                text = "|".join(row[column] for column in identifier.sources)
                cells[file.country, row[victim], row[case], identifier.type] = text
    planted = [
        (identifier["type"], written)
        for network in truth["networks"]
        for identifier in network["identifiers"]
        for written in identifier["written"]
    ] + [(miss["type"], miss) for miss in truth["near_misses"]]
    assert len(planted) > 20
    for kind, written in planted:
        assert cells[written["country"], written["victim_id"], written["case_id"], kind] == written["text"]


def test_one_person_of_a_state_has_one_victim_id_and_all_are_in_the_truth(
    files: list[NationalFile], truth: dict[str, Any]
) -> None:
    for file in files:
        column = load_mapping(file.mapping).fields["victim_id"].column
        found = {row[column] for row in _read(file)}
        known = truth["persons"][file.country]["victim_id"]
        assert len(set(known)) == len(known)
        assert set(known) <= found
        assert all(text == "" or text.endswith("-X") for text in found - set(known))


def test_national_codes_mean_what_a_reader_of_the_language_expects() -> None:
    # Written by hand, not read from the mappings: a swapped code would spoil file and mapping alike.
    expected = {
        ("BG", "sex"): ("ж", "Feminine"),
        ("BE", "trafficking_status"): ("geen slachtoffer", "NotAVictimOfTrafficking"),
        ("FI", "trafficking_status"): ("ei uhri", "NotAVictimOfTrafficking"),
        ("GR", "age_band"): ("ανήλικος", "0--17"),
        ("IT", "forms_of_exploitation"): ("accattonaggio", "ForcedBegging"),
        ("PL", "sex"): ("mężczyzna", "Masculine"),
        ("PT", "citizenship"): ("TLS", "TL"),
        ("RO", "recruiter_relationship"): ("iubit", "IntimatePartner"),
        ("BG", "means_of_control"): ("дългова зависимост", "DebtBondage"),
        ("FI", "transport"): ("laiva", "Sea"),
        ("PL", "means_of_control"): ("zabranie dokumentów", "WithholdsDocuments"),
        ("GR", "roles"): ("μεταφορέας", "Transporter"),
    }
    for (country, name), (text, code) in expected.items():
        assert mapping_of(country).fields[name].values[text] == code


def test_each_state_has_its_own_shape_and_its_own_mapping() -> None:
    shapes = set()
    for country in COUNTRIES:
        mapping = load_mapping(mapping_path(country.lower()))
        shapes.add((mapping.file.format, mapping.file.encoding, mapping.file.delimiter, mapping.columns()))
    assert len(shapes) == 8
    assert {mapping_of(country).file.format for country in COUNTRIES} == {"csv", "excel", "jsonl", "parquet"}
