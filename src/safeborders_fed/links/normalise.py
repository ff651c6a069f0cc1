"""Normal forms of identifiers: what two states compare, under whatever spelling each wrote it down.

Guarantees: ``forms`` never raises, whatever the text; equal input gives equal forms in equal order on every
machine; there are at most ``MOST_FORMS``. A value that cannot be normalised has none, and takes no part in
links. Of two spellings of one identifier that are equal once normalised, one same form of strength ``exact``
is made, by whichever states they were recorded; other forms only add to it. ``VERSION`` is raised with every
change of any form: a batch names it, and a node with another one refuses it. Test vectors pin the forms of
each version.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from safeborders_fed.links import forms_person
from safeborders_fed.links.forms_account import account_forms
from safeborders_fed.links.forms_base import VERSION, Form, Strength, clean
from safeborders_fed.links.forms_company import company_forms
from safeborders_fed.links.forms_document import document_forms
from safeborders_fed.links.forms_online import email_forms, handle_forms
from safeborders_fed.links.forms_person import person_forms
from safeborders_fed.links.forms_phone import phone_forms
from safeborders_fed.links.forms_plate import plate_forms

__all__ = ["MOST_FORMS", "VERSION", "Form", "Strength", "forms"]

MOST_FORMS: Final = forms_person.MOST_FORMS
"""Forms of one identifier at most."""

_RULES: Final[dict[str, Callable[[str, str], tuple[Form, ...]]]] = {
    "phone": phone_forms,
    "email": lambda text, _: email_forms(text),
    "handle": handle_forms,
    "vehicle": lambda text, _: plate_forms(text),
    "document": document_forms,
    "account": account_forms,
    "company": company_forms,
    "person": lambda text, _: person_forms(text),
}


def forms(kind: str, value: str, *, state: str) -> tuple[Form, ...]:
    """The normal forms of an identifier, the surest first; none for what cannot be normalised.

    Args:
        kind: Its type in the data contract.
        value: Its text as the file holds it.
        state: The state whose file holds it (ISO 3166-1 alpha-2). It counts only where a text means
            different things in different states: a telephone or company number that names no country.
    """
    rule = _RULES.get(kind)
    text = clean(value)
    if rule is None or not text:
        return ()
    return tuple(dict.fromkeys(rule(text, state)))
