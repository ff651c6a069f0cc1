"""Names in Latin letters, and the keys under which spellings of one name meet.

Guarantees: each language has one pinned table (``tables/``). ``spelling`` makes one of what official
transliterations of the same name differ in; ``sound`` also of what writers who follow the ear differ in;
``skeleton`` keeps little more than consonants. Each is a function of the word alone.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from typing import Final

from anyascii import anyascii

from safeborders_fed.links.forms_base import one_script, script_of, table

Rules = tuple[tuple[re.Pattern[str], str], ...]
_REMEMBERED: Final = 1 << 14
_APART: Final = (("\u03c5\u0308", "y"), ("\u03b9\u0308", "i"), ("\u03c2", "\u03c3"))
"""Upsilon and iota with diaeresis, which join no vowel before them; final sigma."""
_APOSTROPHES: Final = str.maketrans(dict.fromkeys("'`\u2019\u2018\u00b4\u02bc\u2032"))
_WORD: Final = re.compile(r"(?:[^\W\d_]|[\u0300-\u036f])+")
_VOWELS: Final = re.compile(r"[aeiou]")
_TWICE: Final = re.compile(r"(.)\1+")
_MOST_WORDS: Final = 8
_FEWEST_CONSONANTS: Final = 4


def _compiled(rules: list[list[str]]) -> Rules:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in rules)


_FOLDS: Final[dict[str, Rules]] = {name: _compiled(rules) for name, rules in table("folds").items()}
_GREEK: Final[Rules] = _compiled([[rule["from"], rule["to"]] for rule in table("greek")["rules"]])
_GREEK_LETTERS: Final = str.maketrans(table("greek")["letters"])
_CYRILLIC: Final = {
    language: str.maketrans({**table("bulgarian")["letters"], **table(language)["letters"]})
    for language in ("bulgarian", "russian", "ukrainian", "serbian")
}
_MARKS: Final = {
    language: frozenset(table(language)["marks"]) for language in ("ukrainian", "serbian", "russian")
}
_PLAIN: Final = str.maketrans(table("latin")["plain"])
_SOUND: Final = str.maketrans(table("latin")["sound"])


def words_of(text: str) -> list[str]:
    """The words of ``text`` in small Latin letters, marks kept; at most eight."""
    folded = unicodedata.normalize("NFC", text.casefold()).translate(_APOSTROPHES)
    return [word for word in map(latin, _WORD.findall(folded)[:_MOST_WORDS]) if word]


@lru_cache(_REMEMBERED)
def latin(word: str) -> str:
    """A small-letter word in Latin letters by the table of its language.

    Cyrillic is Bulgarian unless a letter tells otherwise: Bulgaria alone of the eight states writes it.
    """
    word = one_script(word)
    scripts = set(map(script_of, word))
    if "cyrillic" in scripts:
        telling = set(word)
        language = next((name for name, marks in _MARKS.items() if telling & marks), "bulgarian")
        word = word.translate(_CYRILLIC[language])
    if "greek" in scripts:
        word = _greek(word)
    return word


def _greek(word: str) -> str:
    letters = unicodedata.normalize("NFD", word)
    for letter, plain_letter in _APART:
        letters = letters.replace(letter, plain_letter)
    letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return _folded(letters, _GREEK).translate(_GREEK_LETTERS)


def _folded(word: str, rules: Rules) -> str:
    for pattern, replacement in rules:
        word = pattern.sub(replacement, word)
    return word


@lru_cache(_REMEMBERED)
def plain(word: str) -> str:
    """A Latin word in the letters a to z, without marks."""
    if not word.isascii():
        marked = unicodedata.normalize("NFD", word.translate(_PLAIN))
        word = anyascii("".join(letter for letter in marked if not unicodedata.combining(letter))).lower()
    return "".join(letter for letter in word if "a" <= letter <= "z")


@lru_cache(_REMEMBERED)
def spelling(word: str) -> str:
    """The canonical spelling of a Latin word."""
    return _folded(plain(word), _FOLDS["spelling"])


@lru_cache(_REMEMBERED)
def sound(word: str) -> str:
    """The tolerant key of a Latin word."""
    return _folded(plain(unicodedata.normalize("NFC", word).translate(_SOUND)), _FOLDS["sound"])


@lru_cache(_REMEMBERED)
def surname_sound(word: str) -> str:
    """The tolerant key of a surname: without the endings of gender and case."""
    return _folded(sound(word), _FOLDS["ending"])


@lru_cache(_REMEMBERED)
def skeleton(key: str) -> str:
    """The consonants of a tolerant key in classes, and vowels too where consonants would be too few."""
    classes = _folded(key, _FOLDS["loose"])
    bones = _TWICE.sub(r"\1", _VOWELS.sub("", classes))
    return bones if len(bones) >= _FEWEST_CONSONANTS else _folded(classes, _FOLDS["vowels"])


@cache
def _clusters() -> dict[str, str]:
    """The cluster of each given name that the table knows, by spelling and by sound."""
    known: dict[str, str] = {}
    for key_of in (spelling, sound):
        for cluster in table("given_names")["clusters"]:
            for name in cluster:
                known.setdefault(key_of(name), f"={cluster[0]}")
    return known


def is_given_name(word: str) -> bool:
    """Whether the table of given names knows a Latin word."""
    return spelling(word) in _clusters()


@lru_cache(_REMEMBERED)
def given_key(word: str) -> str:
    """The weak key of a given name: its cluster, or its skeleton and whether it ends as most women's do."""
    known = _clusters()
    cluster = known.get(spelling(word)) or known.get(sound(word))
    return cluster or skeleton(sound(word)) + ("~a" if plain(word).endswith(("a", "i", "e")) else "")
