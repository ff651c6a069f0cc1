"""In which encoding a text file is written, as far as its first bytes tell.

Guarantees: a file in another encoding than its mapping says is refused with the likely one, rather than read
as rubbish. The guess is a hint for a human; nothing is ever read by it unasked.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

from safeborders_fed.errors import DataError

SAMPLE_BYTES: Final = 1 << 16
_MARKS: Final = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_FREQUENT: Final = {
    "cp1251": "аеиотнрсвклдпмзг",
    "cp1253": "αοιετσνηυρπκμλςίάόέή",
    "cp1250": "ąęłżśćńóźăâîşţ",
    "cp1252": "éèàçãáíóêõäöüëåïô",
}
"""Code pages of the eight states, each with letters beyond ASCII that are frequent in texts written in it."""
_LATIN: Final = frozenset({"cp1250", "cp1252"})
_SHORT: Final = 3
CODE_PAGES: Final = tuple(_FREQUENT)


def likely_encoding(sample: bytes) -> str:
    """The encoding that a sample is probably written in."""
    for mark, name in _MARKS.items():
        if sample.startswith(mark):
            return name
    if sample.count(0) > len(sample) // 4:
        return "utf-16-le" if sample[1:2] == b"\0" else "utf-16-be"
    whole = sample[: sample.rfind(b"\n") + 1] or sample  # the end of the sample may cut a character
    try:
        whole.decode()
    except UnicodeDecodeError:
        return max(_FREQUENT, key=lambda page: _fitness(whole, page))
    return "utf-8"


def _fitness(sample: bytes, page: str) -> float:
    """How many of the letters beyond ASCII are frequent ones, 0 to 1."""
    frequent = beyond = 0
    for word in re.findall(r"\w+", sample.decode(page, "replace").lower()):
        letters = [mark for mark in word if not mark.isascii()]
        beyond += len(letters)
        # Cyrillic and Greek words hold no Latin letters, and longer words in Latin hold some.
        mixed = any(mark.isascii() and mark.isalpha() for mark in word)
        if mixed == (page in _LATIN) or (len(letters) < _SHORT and page in _LATIN):
            frequent += sum(mark in _FREQUENT[page] for mark in letters)
    return frequent / max(1, beyond)


def check_encoding(name: str, sample: bytes, declared: str) -> None:
    """Refuse a file that is not in the declared encoding.

    Raises:
        DataError: ``wrong-encoding``, naming the likely one.
    """
    likely = likely_encoding(sample)
    wide = declared.startswith(("utf-16", "utf-32"))
    marked = sample.startswith(tuple(_MARKS))
    if marked and likely != declared and not (wide and declared.startswith(likely)):
        raise wrong_encoding(name, declared, likely)
    if likely.startswith("utf-16") and not wide:
        raise wrong_encoding(name, declared, likely)
    if wide:
        return
    lines = (sample[: sample.rfind(b"\n") + 1] or sample).splitlines()
    bad = [not _decodes(line, declared) for line in lines]
    if bad and (bad[0] or sum(bad) > len(bad) / 2):
        raise wrong_encoding(name, declared, likely)


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def wrong_encoding(name: str, declared: str, likely: str) -> DataError:
    """The error for a file that cannot be decoded as declared."""
    guess = f"it looks like {likely}" if likely != declared else "it is damaged or mixed"
    return DataError(
        "wrong-encoding",
        f"{name} is not written in {declared}: {guess}",
        f'write encoding = "{likely}" in the [file] table of the mapping'
        if likely != declared
        else "export the file again in one encoding, UTF-8 if possible",
    )
