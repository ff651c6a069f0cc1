"""Normal forms of identifiers: rules by kind, bad input, bounds and speed."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judged_names import strongest

from safeborders_fed.cases.contract import IDENTIFIER_TYPES
from safeborders_fed.cases.countries import STATES
from safeborders_fed.cases.synthetic.identifiers import Maker, write
from safeborders_fed.links.forms_base import LONGEST_FORM, STRENGTHS
from safeborders_fed.links.normalise import MOST_FORMS, forms

KINDS = st.sampled_from(sorted(IDENTIFIER_TYPES))
ANYWHERE = st.sampled_from([*sorted(STATES), "", "XX", "bg"])
LETTERS = "AB0OIl1289.@+-|/:(), \u041e\u0412\u0397\u200f\u202e\u200b\u0301\x00\ud800\xdf\u0130\u03c2\u5e74"
ALPHABET = st.sampled_from([*LETTERS, "xn--", "00", "19", "BG", "t.me/", "://"])
TEXTS = st.one_of(
    st.text(),
    st.text(st.characters()),
    st.lists(ALPHABET, max_size=30).map("".join),
    st.from_regex(r"[A-Z\u0410-\u042f]{1,3}[ -]?[0-9]{2,13}[A-Z\u0391-\u03a9]{0,2}"),
    st.from_regex(r"[^|]{0,20}\|[^|]{0,20}\|[0-9]{1,4}[-./][0-9]{1,2}[-./][0-9]{1,4}"),
)  # fmt: skip


@given(KINDS, TEXTS, ANYWHERE)
def test_any_text_has_forms_or_none_and_never_fails(kind: str, text: str, state: str) -> None:
    found = forms(kind, text, state=state)
    assert found == forms(kind, text, state=state)
    assert len(found) <= MOST_FORMS
    assert len(set(found)) == len(found)
    for form in found:
        assert form.strength == STRENGTHS[form.text.partition(":")[0]]
        assert len(form.text.encode()) <= 4 * LONGEST_FORM
        assert form.text.isprintable()


@given(KINDS, TEXTS, ANYWHERE)
def test_what_cannot_be_seen_changes_nothing(kind: str, text: str, state: str) -> None:
    hidden = "\u200f\u200b\ufeff" + "\u2060".join(text) + "\u202c \u00ad"
    assert forms(kind, hidden[:400], state=state) == forms(kind, text[:190], state=state) or len(text) > 190


@given(st.sampled_from(["phone", "email", "handle", "vehicle", "document", "account"]), TEXTS)
def test_a_normal_form_is_its_own(kind: str, text: str) -> None:
    for form in forms(kind, text, state="BG"):
        rule, _, normal = form.text.partition(":")
        if form.strength == "exact" and rule != "plate-of":
            assert form in forms(kind, normal, state="BG")


NOTHING = (
    *("", " \t\n", "\x00" * 9, "\u202e\u200f", "\U0001f600" * 20, "\ud800", "|||", ":@", "(((((" * 70),
    *("A" * 100_000, "1" * 100_000, "a@" * 50_000, "\ufdfa" * 400, "1." * 200, "- " * 200),
)


@pytest.mark.parametrize("kind", sorted(IDENTIFIER_TYPES))
@pytest.mark.parametrize("text", NOTHING, ids=lambda text: f"{text[:4]!a}*{len(text)}")
def test_what_is_no_identifier_has_no_form_and_costs_no_time(kind: str, text: str) -> None:
    before = time.process_time()
    found = forms(kind, text, state="RO")
    assert time.process_time() - before < 0.25
    assert not any(form.strength == "exact" for form in found)


def test_a_kind_that_the_contract_lacks_has_no_form() -> None:
    assert forms("passport", "AB1234567", state="BG") == ()


def test_forms_by_kind_are_no_more_than_stated() -> None:
    assert {rule.partition("-")[0] for rule in STRENGTHS} >= {"phone", "email", "handle", "plate", "document"}
    assert set(STRENGTHS.values()) == {"exact", "strong", "weak"}


@pytest.mark.parametrize("text", ["112", "110", "12345", "0470 12", "1", "+", "+32", "116000", "116 000"])
def test_short_and_emergency_numbers_have_no_form(text: str) -> None:
    assert forms("phone", text, state="BE") == ()


@pytest.mark.parametrize(
    ("text", "state"),
    [("0900 12345", "BE"), ("0800 12 345", "BE"), ("0700 12 345", "BG"), ("801 123 456", "PL")],
)
def test_numbers_of_services_are_weak(text: str, state: str) -> None:
    assert [form.strength for form in forms("phone", text, state=state)] == ["weak"]


def test_a_number_outside_the_plan_is_weak_unless_it_names_its_country() -> None:
    # The United Kingdom's range for drama is in no numbering plan, and Bulgaria has no numbers with 116.
    assert [form.strength for form in forms("phone", "+44 7700 900123", state="BG")] == ["exact"]
    assert [form.strength for form in forms("phone", "1160000", state="BG")] == ["weak"]
    assert forms("phone", "+359 123456", state="BG") == ()


def test_a_text_longer_than_any_identifier_has_no_form() -> None:
    assert forms("email", "a@example.org".ljust(400), state="BG")
    assert forms("email", "a@example.org".ljust(401), state="BG") == ()


def test_a_national_number_means_what_it_means_at_home() -> None:
    assert strongest("0888 123 456", "+359 888 123456", "phone", ("BG", "BE")) == "exact"
    assert strongest("0888 123 456", "0888 123 456", "phone", ("BG", "RO")) == "none"
    assert strongest("0888 123 456", "359888123456", "phone", ("BG", "RO")) == "exact"


def test_a_plate_means_the_same_in_every_file() -> None:
    assert len({forms("vehicle", "CA1234BH", state=state) for state in STATES}) == 1
    assert strongest("\u0421\u0410 1234 \u0412\u041d", "CA-1234-BH", "vehicle", ("BG", "BE")) == "exact"
    assert strongest("\u03a5\u0396\u0391 1234", "YZA1234", "vehicle", ("GR", "BE")) == "exact"


def test_a_plate_of_another_country_is_another_plate() -> None:
    assert strongest("FR AB-123-CD", "I AB 123 CD", "vehicle") == "none"
    assert strongest("FR AB-123-CD", "(F) AB123CD", "vehicle") == "exact"
    assert strongest("AB 123 CD", "(I) AB123CD", "vehicle") == "strong"
    assert strongest("AB 123 CD", "(F) AB123CD", "vehicle") == "none"
    assert strongest("CA 1234 BH", "BG-CA1234BH", "vehicle") == "strong"
    assert strongest("B 123 ABC", "B123ABC", "vehicle") == "exact"


def test_zero_and_o_are_one_on_plates_and_documents() -> None:
    assert strongest("CA12O4BH", "CA1204BH", "vehicle") == "exact"
    assert strongest("AB1234S67O", "AB1234S670", "document") == "exact"
    assert strongest("00000O", "000000", "vehicle") == "weak"
    assert strongest("1234567O", "12345670", "document") == "weak"


@pytest.mark.parametrize("text", ["BG00BNBG96611020345678", "BG80BNBG96611020345679", "BG80BNBG966110203456"])
def test_a_wrong_iban_is_not_exact(text: str) -> None:
    assert not any(form.strength == "exact" for form in forms("account", text, state="BG"))


def test_an_iban_is_read_without_its_country_at_home_only() -> None:
    polish = "61109010140000071219812874"
    assert strongest(polish, f"PL{polish}", "account", ("PL", "BE")) == "exact"
    assert strongest(polish, f"PL{polish}", "account", ("BE", "PL")) == "none"


def test_a_company_number_without_country_is_weak_abroad() -> None:
    assert strongest("BG 175074752", "175074752", "company", ("BE", "BG")) == "exact"
    assert strongest("BG 175074752", "175074752", "company", ("BE", "BE")) == "weak"
    assert strongest("BG 175074752", "BG 175074753", "company", ("BE", "BG")) == "none"
    assert forms("company", "BG 175074753", state="BE") == ()
    assert strongest("BG 175074752", "EIK175074752", "company", ("BE", "BG")) == "exact"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("„Слънчев Бряг Травел“ ЕООД", "Slanchev Bryag Travel EOOD"),
        ("S.C. Sun Trans S.R.L.", "SUN TRANS SRL"),
        ("Ήλιος Μεταφορές \u0391.\u0395.", "Ilios Metafores AE"),
        ("Słońce Sp. z o.o.", "SLONCE SPZOO"),
        ("Sol & Mar, Lda.", "Mar e Sol Limitada"),
        ("Van Hove NV", "van hove n.v."),
    ],
)
def test_a_company_name_is_weak(one: str, other: str) -> None:
    assert strongest(one, other, "company") == "weak"


def test_a_lost_zero_of_a_national_number_comes_back() -> None:
    assert strongest("41010002", "0041010002", "document", ("BG", "BE")) == "exact"


def test_words_around_a_document_number_do_not_count() -> None:
    assert strongest("CI seria XR nr. 123456", "XR 123456", "document", ("RO", "BE")) == "exact"
    assert strongest("passport no. EA 1234567", "EA1234567", "document", ("BE", "FI")) == "exact"


def test_a_citizen_card_meets_its_civil_number() -> None:
    assert strongest("00000000 0 ZZ4", "00000000", "document", ("PT", "BE")) == "weak"


def test_mailboxes_meet_however_they_are_written() -> None:
    assert strongest("Ivan.Petrov+x@GoogleMail.com", "ivanpetrov@gmail.com", "email") == "exact"
    assert strongest("ιω@παράδειγμα.gr", "ΙΩ@XN--HXAJBHEG2AZ3AL.GR", "email") == "exact"
    assert strongest("a@xn--\x7f\x7f.org", "a@xn--0.org", "email") == "none"
    assert strongest("ivan.petrov@example.org", "ivanpetrov@example.org", "email") == "none"


def test_a_handle_belongs_to_its_platform() -> None:
    assert strongest("telegram: https://t.me/ivan_p88", "tg:@ivan_p88", "handle") == "exact"
    assert strongest("https://facebook.com/profile.php?id=12345", "fb:12345", "handle") == "exact"
    assert strongest("whatsapp:ivan", "whatsapp:@Ivan", "handle") == "exact"
    assert strongest("telegram:ivan_p88", "https://t.me/Ivan_P88", "handle") == "exact"
    assert strongest("telegram:ivan_p88", "instagram:ivan_p88", "handle") == "none"
    assert strongest("telegram:ivan_p88", "@ivan_p88", "handle") == "none"
    assert strongest("whatsapp:+359888123456", "wa.me/359888123456", "handle") == "exact"


def test_an_identifier_takes_less_than_a_tenth_of_a_millisecond() -> None:
    drawn, maker = random.Random(7), Maker(random.Random(7))
    kinds = [kind for kind in IDENTIFIER_TYPES if kind != "phone"]
    written = [
        (kind, "|".join(write(drawn, maker.make(kind, state), state)), state)
        for kind in kinds
        for state in drawn.choices(sorted(STATES), k=200)
    ]
    best = min(_seconds(written) for _ in range(3))
    assert best / len(written) < 100e-6


def _seconds(written: list[tuple[str, str, str]]) -> float:
    before = time.process_time()
    for kind, text, state in written:
        forms(kind, text, state=state)
    return time.process_time() - before
