"""The name pairs of ``name_pairs.toml``, and what the rules make of them."""

from __future__ import annotations

import itertools
import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from safeborders_fed.links.normalise import forms

Pair = tuple[str, str]
PAIRS = tomllib.loads(Path(__file__).with_name("name_pairs.toml").read_text(encoding="utf-8"))
TRUE_LISTS = ("same", "held_out", "held_out_again", "unseen")
BORN = "1987-05-23"
ORDER = ("exact", "strong", "weak")


def same(name: str = "same") -> list[Pair]:
    return [(f"{a}|{BORN}", f"{b}|{BORN}") for a, b in PAIRS[name]]


def different() -> dict[str, list[Pair]]:
    families, given = itertools.cycle(PAIRS["families"]), itertools.cycle(PAIRS["given_of_near"])
    siblings = [
        (f"{family}|{a}|{BORN}", f"{family}|{b}|{BORN}")
        for (a, b), family in zip(PAIRS["siblings"], families, strict=False)
    ]
    near = [
        (f"{a}|{name}|{BORN}", f"{b}|{name}|{BORN}")
        for (a, b), name in zip(PAIRS["near_surnames"], given, strict=False)
    ]
    dated = [
        (f"{name}|{a}", f"{name}|{b}")
        for (a, b), name in itertools.product(PAIRS["dates"], PAIRS["namesakes"])
    ]
    return {"siblings": siblings, "near surnames": near, "near dates": dated, "similar": same("similar")}


def strongest(a: str, b: str, kind: str = "person", states: Pair = ("BG", "BE")) -> str:
    """The strength of the surest form that both have, or ``none``."""
    common = set(forms(kind, a, state=states[0])) & set(forms(kind, b, state=states[1]))
    found = {form.strength for form in common}
    return next((strength for strength in ORDER if strength in found), "none")


def tally(pairs: Iterable[Pair]) -> Counter[str]:
    return Counter(strongest(a, b) for a, b in pairs)


def all_persons() -> list[str]:
    pairs = [*itertools.chain(*map(same, TRUE_LISTS)), *itertools.chain(*different().values())]
    return sorted(set(itertools.chain(*pairs)))
