"""A node's terms for links: nothing by default, and no word that stands for nothing."""

from typing import Any

import pytest
from pydantic import ValidationError

from safeborders_fed.node.link_policy import LinkPolicy

TERMS: dict[str, Any] = {
    "types": ["phone", "email"],
    "owners": ["Recruiter", "Exploiter"],
    "purposes": ["investigation"],
    "partners": ["BG", "RO"],
    "monthly": 2500,
    "first_load": 60_000,
}


def test_terms_are_read() -> None:
    terms = LinkPolicy(**TERMS)
    assert terms.approvals_needed == 2
    assert "Victim" not in terms.owners


@pytest.mark.parametrize("missing", sorted(TERMS))
def test_what_matters_has_no_default(missing: str) -> None:
    with pytest.raises(ValidationError):
        LinkPolicy(**{name: value for name, value in TERMS.items() if name != missing})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("types", ["phones"]),
        ("types", []),
        ("owners", ["Everybody"]),
        ("purposes", ["curiosity"]),
        ("partners", ["DE"]),
        ("monthly", 0),
        ("first_load", -1),
        ("surprise", 1),
    ],
)
def test_words_that_stand_for_nothing_are_refused(key: str, value: object) -> None:
    with pytest.raises(ValidationError):
        LinkPolicy(**{**TERMS, key: value})
