"""The language of what people read: every string of a report passes through here, by gettext.

Guarantees: without a catalogue the English of the source comes out unchanged. The language holds for one
piece of work (``speaking``), never for the process, so that two reports can be made in two languages.

Strings are literals, so that tools such as ``pybabel extract -k _ -k ngettext -k N_`` find them, with named
places that ``str.format`` fills after translation. A constant of a module is marked by ``N_`` and translated
where it is used.
"""

from __future__ import annotations

import gettext
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

ENGLISH: Final = "en"
_current: ContextVar[tuple[str, gettext.NullTranslations]] = ContextVar("language")


def _(message: str) -> str:
    """The message in the language of this piece of work."""
    return _translations().gettext(message)


def ngettext(one: str, many: str, count: int) -> str:
    """The message in the form that the count asks for."""
    return _translations().ngettext(one, many, count)


def N_(message: str) -> str:  # noqa: N802 - the name that extractors of gettext know
    """Marks a message that is translated where it is used."""
    return message


def tag() -> str:
    """BCP 47 tag of the language, for ``lang`` in a page."""
    return _current.get((ENGLISH, _NOTHING))[0]


@contextmanager
def speaking(language: str, translations: gettext.NullTranslations) -> Iterator[None]:
    """Messages are in this language within the block.

    Args:
        language: BCP 47 tag.
        translations: Its catalogue.
    """
    token = _current.set((language, translations))
    try:
        yield
    finally:
        _current.reset(token)


def _translations() -> gettext.NullTranslations:
    return _current.get((ENGLISH, _NOTHING))[1]


_NOTHING: Final = gettext.NullTranslations()
