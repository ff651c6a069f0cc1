"""Strings are in the language of the piece of work, and English without one."""

import gettext

from safeborders_fed.reporting import language
from safeborders_fed.reporting.language import _, ngettext, speaking


class Shouting(gettext.NullTranslations):
    """A catalogue that has every message."""

    def gettext(self, message: str) -> str:
        return message.upper()

    def ngettext(self, one: str, many: str, count: int) -> str:
        return (one if count == 1 else many).upper()


def test_without_a_catalogue_the_source_comes_out() -> None:
    assert (_("Victims"), ngettext("state", "states", 2), language.tag()) == ("Victims", "states", "en")


def test_a_language_holds_within_its_block_only() -> None:
    with speaking("el", Shouting()):
        assert (_("Victims"), ngettext("state", "states", 1), language.tag()) == ("VICTIMS", "STATE", "el")
    assert (_("Victims"), language.tag()) == ("Victims", "en")
