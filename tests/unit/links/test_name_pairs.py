"""Recall and false matches of names, held where they were measured (docs/links.md, "Normalisation")."""

from __future__ import annotations

import pytest
from judged_names import BORN, different, same, strongest, tally

from safeborders_fed.links.forms_base import table
from safeborders_fed.links.forms_names import is_given_name, latin, sound, spelling
from safeborders_fed.links.normalise import forms

KNOWN_FALSE = [
    # Bulgarian and Greek write no double letters, and spell s between vowels as it sounds.
    ("Karras|Иван", "exact"),
    # Radu Marin: columns change places too often to tell such two apart.
    ("Marin|Radu", "exact"),
    ("Asimov|Ivan", "exact"),
    ("Theodorou|Nikos", "strong"),
]
"""Pairs of other persons that the rules take for one."""


def test_spellings_of_one_person_share_a_form() -> None:
    found = tally(same())
    assert len(same()) >= 150
    assert found["none"] <= 0.02 * len(same())
    assert found["exact"] + found["strong"] >= 0.7 * len(same())


@pytest.mark.parametrize("name", ["held_out", "held_out_again", "unseen"])
def test_spellings_that_the_rules_were_not_made_on_share_a_form(name: str) -> None:
    assert tally(same(name))["none"] <= 0.08 * len(same(name))


def test_other_persons_share_no_exact_or_strong_form() -> None:
    pairs = [pair for group in different().values() for pair in group]
    assert len(pairs) >= 300
    sure = [(one.rpartition("|")[0], strongest(one, other)) for one, other in pairs]
    assert [found for found in sure if found[1] in {"exact", "strong"}] == KNOWN_FALSE


@pytest.mark.parametrize(
    ("group", "most"), [("siblings", 0.08), ("near surnames", 0.15), ("near dates", 0.0), ("similar", 0.25)]
)
def test_other_persons_share_few_weak_forms(group: str, most: float) -> None:
    pairs = different()[group]
    assert tally(pairs)["weak"] <= most * len(pairs)


@pytest.mark.parametrize(
    ("at_home", "passport"),
    [
        ("Χατζής|Ευάγγελος", "Chatzis|Evangelos"),
        ("Χατζή|Χριστίνα", "Chatzi|Christina"),
        ("Παπαχρήστου|Μιχαήλ", "Papachristou|Michail"),
        ("Χαραλαμπίδης|Μιχάλης", "Charalampidis|Michalis"),
        ("Βλαχόπουλος|Θεόδωρος", "Vlachopoulos|Theodoros"),
        ("Ντόκος|Δημήτριος", "Ntokos|Dimitrios"),
        ("Μπακογιάννης|Ιωάννης", "Bakogiannis|Ioannis"),
        ("Γκίκας|Αθανάσιος", "Gkikas|Athanasios"),
        ("Ευθυμίου|Παύλος", "Efthymiou|Pavlos"),
        ("Ξανθόπουλος|Ψάλτης", "Xanthopoulos|Psaltis"),
        ("Αγγελόπουλος|Παναγιώτης", "Angelopoulos|Panagiotis"),
        ("Щерев|Цветан", "Shterev|Tsvetan"),
        ("Желязкова|Юлия", "Zhelyazkova|Yulia"),
        ("Първанов|Гьорги", "Parvanov|Gyorgi"),
        ("Чакъров|Бойко", "Chakarov|Boyko"),
        ("Хаджиев|Любен", "Hadzhiev|Lyuben"),
        ("Лысенко|Татьяна", "Lysenko|Tatiana"),
        ("Шевченко|Олексій", "Shevchenko|Oleksii"),
    ],
)
def test_what_a_passport_writes_is_exact(at_home: str, passport: str) -> None:
    assert strongest(f"{at_home}|{BORN}", f"{passport}|{BORN}") == "exact"


def test_day_and_month_swapped_is_strong() -> None:
    assert strongest("Иванов|Иван|04.03.1988", "Ivanov|Ivan|03/04/1988") == "strong"
    assert strongest("Иванов|Иван|04.03.1988", "Ivanov|Ivan|03/05/1988") == "none"


@pytest.mark.parametrize(
    "text", ["Ivanov|Ivan|", "Ivanov|Ivan|unknown", "Ivanov|Ivan|1988", "Ivan Ivanov", "|||"]
)
def test_a_name_alone_has_no_form(text: str) -> None:
    assert forms("person", text, state="BE") == ()


@pytest.mark.parametrize("text", ["1988-03-04", "||04.03.1988", "- | . |04.03.1988"])
def test_a_date_alone_has_no_form(text: str) -> None:
    assert forms("person", text, state="BE") == ()


def test_a_month_alone_meets_only_a_month_alone() -> None:
    assert strongest("Ivanov|Ivan|1988-03", "Иванов|Иван|03.1988") == "weak"
    assert strongest("Ivanov|Ivan|00.03.1988", "Иванов|Иван|03.1988") == "weak"
    assert strongest("Ivanov|Ivan|1988-03", "Иванов|Иван|04.03.1988") == "none"


def test_new_year_is_a_weaker_date() -> None:
    assert strongest("Хаджиев|Асен|01.01.1990", "Hadjiev|Asen|01.01.1990") == "weak"
    assert strongest("Хаджиев|Асен|02.01.1990", "Hadjiev|Asen|02.01.1990") == "strong"


@pytest.mark.parametrize(
    "written",
    ["4.3.1988", "04/03/1988", "04-03-1988", "1988-03-04", "1988/3/4", "19880304", "04.03.88", "4.III.1988",
     "1988-03-04 00:00:00", "1988-03-04T00:00", "04. 03. 1988", "٠٤.٠٣.١٩٨٨"],
)  # fmt: skip
def test_a_date_is_read_as_files_write_it(written: str) -> None:
    assert strongest(f"Ivanov|Ivan|{written}", "Ivanov|Ivan|1988-03-04") == "exact"


def test_a_day_that_cannot_be_a_month_decides_the_order() -> None:
    assert strongest("Ivanov|Ivan|03/25/1988", "Ivanov|Ivan|25.03.1988") == "exact"


@pytest.mark.parametrize("written", ["31.02.1988", "00.00.1988", "32.13.1988", "1088-03-04", "99999999"])
def test_a_day_that_no_calendar_has_makes_no_form(written: str) -> None:
    assert forms("person", f"Ivanov|Ivan|{written}", state="BE") == ()


def test_order_titles_and_case_do_not_count() -> None:
    for other in ("Ivan|Petrov", "PETROV|IVAN", "Dr. Petrov|Ivan", "Господин Петров|Иван", "Petrov|Ivan K."):
        assert strongest(f"Petrov|Ivan|{BORN}", f"{other}|{BORN}") == "exact", other


def test_columns_that_changed_places_and_another_spelling_meet() -> None:
    assert strongest(f"Ιωάννης|Παπαδοπούλου|{BORN}", f"Papadopoulos|Yannis|{BORN}") == "weak"
    assert strongest(f"Анна|Хаджиева|{BORN}", f"Hadjiev|Anna|{BORN}") == "strong"
    assert strongest(f"Мария|Стоянова|{BORN}", f"Stoyanoff|Maria|{BORN}") == "strong"
    assert strongest(f"|Ivan Petrov|{BORN}", f"Петров|Jan|{BORN}") == "weak"


def test_one_text_and_three_cells_meet() -> None:
    assert strongest(f"Petrov|Ivan|{BORN}", f"Ivan Petrov, {BORN}") == "exact"
    assert strongest(f"Petrov|Ivan|{BORN}", f"Ivan Petrov|{BORN}") == "exact"


def test_a_single_name_is_weak() -> None:
    assert {form.strength for form in forms("person", f"|Ivan|{BORN}", state="BE")} == {"weak"}


def test_a_name_in_another_language_is_weak() -> None:
    assert strongest(f"Petrov|Ivan|{BORN}", f"Petrov|Jan|{BORN}") == "weak"


def test_letters_of_another_script_in_a_word_do_not_count() -> None:
    latin_o, cyrillic_o, cyrillic_e = "o", "\u043e", "\u0435"
    bulgarian = f"Петров|Иван|{BORN}"
    assert strongest(bulgarian.replace(cyrillic_o, latin_o), bulgarian) == "exact"
    english = f"Petrov|Ivan|{BORN}"
    assert strongest(english.replace("o", cyrillic_o).replace("e", cyrillic_e), english) == "exact"
    cyrillic_er = "\u0420"
    assert strongest(english.replace("P", cyrillic_er), english) == "exact"


def test_no_spelling_stands_in_two_clusters_of_given_names() -> None:
    seen: dict[str, int] = {}
    for number, cluster in enumerate(table("given_names")["clusters"]):
        for name in cluster:
            assert seen.setdefault(name, number) == number, name
            assert is_given_name(name)


def test_keys_are_latin_letters_and_stay_what_they_are() -> None:
    for name in ("Желязкова", "Παπαδόπουλος", "Łukasz", "Țiriac", "João", "Hämäläinen", "محمد", "王"):
        word = latin(name.casefold())
        for key in (spelling(word), sound(word)):
            assert key.isascii()
            assert key.isalpha()
        assert spelling(spelling(word)) == spelling(word)
