"""Drafts of mappings: right where columns are plain, honest where they are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from intake_samples import write_csv

from safeborders_fed.cases.column_hints import FIELD_HINTS, IDENTIFIER_HINTS, SEX_CODES
from safeborders_fed.cases.contract import IDENTIFIER_TYPES, field
from safeborders_fed.cases.drafting import draft_mapping
from safeborders_fed.cases.intake import preview_file
from safeborders_fed.cases.mapping import parse_mapping
from safeborders_fed.errors import UsageError

NATIONAL = {
    "bulgarian": (("Номер на дело", "Жертва", "Дата на регистрация", "Пол", "Възраст"), "cp1251", ";", "ж"),
    "greek": (("Αριθμός υπόθεσης", "Θύμα", "Ημερομηνία", "Φύλο", "Ηλικία"), "cp1253", ";", "θήλυ"),
    "polish": (("Numer sprawy", "Ofiara", "Data", "Płeć", "Wiek"), "cp1250", ";", "kobieta"),
    "romanian": (("Dosar", "Victima", "Data", "Sex", "Vârsta"), "utf-8", ",", "feminin"),
    "portuguese": (("Processo", "Vítima", "Data", "Sexo", "Idade"), "cp1252", "|", "feminino"),
    "italian": (("Fascicolo", "Vittima", "Data", "Sesso", "Età"), "utf-8-sig", "\t", "femmina"),
    "finnish": (("Tapaus", "Uhri", "Päivämäärä", "Sukupuoli", "Ikä"), "utf-8", ",", "nainen"),
    "dutch": (("Dossier", "Slachtoffer", "Datum", "Geslacht", "Leeftijd"), "utf-8", ",", "vrouw"),
}


@pytest.mark.parametrize(("header", "encoding", "delimiter", "female"), NATIONAL.values(), ids=NATIONAL)
def test_the_draft_for_a_plain_national_file_imports_it(
    tmp_path: Path, header: tuple[str, ...], encoding: str, delimiter: str, female: str
) -> None:
    content = [(f"c{at}", f"v{at}", f"{at % 28 + 1:02d}.03.2021", female, "15") for at in range(20)]
    path = write_csv(tmp_path / "a.csv", content, header, encoding, delimiter)
    draft = draft_mapping(path)
    assert draft.open == ()
    report = preview_file(path, parse_mapping(draft.text, "draft"))
    assert (report.new, report.ignored_columns) == (20, ())
    assert (report.preview[0]["sex"], report.preview[0]["age_band"]) == ("Feminine", "9--17")
    assert report.preview[0]["registration_precision"] == "day"


def test_flags_separators_and_identifiers_are_recognised(tmp_path: Path) -> None:
    header = (
        "Case no",
        "Victim no",
        "Date",
        "isForcedLabour",
        "Means of control",
        "Phone of exploiter",
        "Notes",
    )
    content = [
        (
            f"c{at}",
            f"v{at}",
            "2021-03",
            ("1.0", "0.0", "")[at % 3],
            "DebtBondage|odd",
            f"+{at}",
            "a long note",
        )
        for at in range(20)
    ]
    draft = draft_mapping(write_csv(tmp_path / "a.csv", content, header))
    mapping = parse_mapping(draft.text, "draft")
    report = preview_file(
        tmp_path / "a.csv",
        parse_mapping(draft.text.replace('separator = "|"', 'separator = "|"\nunknown = "null"'), "d"),
    )
    assert report.new == 20
    assert report.preview[0]["forms_of_exploitation"] == {"present": ["ForcedLabour"], "absent": []}
    assert report.preview[0]["means_of_control"] == {"present": ["DebtBondage"], "absent": []}
    assert [entry.type for entry in mapping.identifiers] == ["phone"]
    assert '# not placed: "odd"' in draft.text
    assert '# not recognised: "Notes"' in draft.text
    assert any("codes of the column 'Means of control'" in point for point in draft.open)


def test_a_draft_without_a_date_says_that_it_does_not_load(tmp_path: Path) -> None:
    draft = draft_mapping(write_csv(tmp_path / "a.csv", [("1", "x")] * 9, ("Case", "Colour")))
    assert "# [fields.registration_date]" in draft.text
    assert any("registration_date" in point for point in draft.open)
    assert any("does not load yet" in point for point in draft.open)
    assert any("victim_id" in point for point in draft.open)


def test_rare_texts_and_ids_are_not_written_into_a_draft(tmp_path: Path) -> None:
    content = [(f"case-{at}", "2021", "Ivan Petrov" if at == 7 else "unusual code") for at in range(20)]
    draft = draft_mapping(write_csv(tmp_path / "a.csv", content, ("Case", "Year", "Exploiter")))
    assert "unusual code" in draft.text
    assert "Ivan" not in draft.text
    assert "case-" not in draft.text


def test_a_file_of_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown-format"):
        draft_mapping(tmp_path / "cases.doc")


def test_hints_name_fields_of_the_contract() -> None:
    assert all(field(name) for name in FIELD_HINTS)
    assert set(IDENTIFIER_HINTS) <= set(IDENTIFIER_TYPES)
    assert set(SEX_CODES.values()) <= set(field("sex").codes)
