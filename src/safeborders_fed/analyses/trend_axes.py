"""The dimensions that trend tables may have: public codes, and where each victim stands.

Unit: one victim, with all their records. On every axis a victim stands at exactly one code, which depends on
that victim's records and on the node's public name alone. Codes come from the parameters and the contract,
never from case data: a code that nobody has is there all the same, and so is a period without victims.

A victim with several values of a multi-valued field stands at "Several" (ADR 25). The period is that of the
latest registration; a victim registered outside the public periods stands at "Other", and so does, in tables
of quarters, one whose registration is known to the year only.

Links. On the axes ``partner`` and ``link`` a victim stands where the node's own book of hits puts the cases
of that victim's records: with a hit that both states approved and exchanged, at the partner state and at the
type of identifier; with several of them, at "Several"; else at "NoLink". The book, which names cases, is held
fixed: given the hits that were exchanged, where a victim stands depends on that victim's records alone, so
one victim is one cell of each table here as everywhere, and the bound and the cost are those of any trend
table. What this does not cover: whether a hit came to be. Without one state's victim the hit might not exist,
and then victims of the other state, and others in the same case, would stand elsewhere, however many they
are. That a link exists is protected by the rules of links (who must approve, who learns it), and by no
epsilon (``docs/links.md``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.cases.contract import IDENTIFIER_TYPES, LINKS, UNKNOWN, Kind, field
from safeborders_fed.cases.countries import EU_STATES, STATES
from safeborders_fed.cases.encoding import bin_names, single_bins
from safeborders_fed.errors import RefusedError

if TYPE_CHECKING:
    from safeborders_fed.cases.encoding import Linked, Victims

OTHER_PERIODS: Final = "Other"
SEVERAL_FORMS: Final = "SeveralForms"
SEVERAL: Final = "Several"
QUARTERS: Final = 4
AGE_GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "0--8": ("0--8",),
    "9--17": ("9--17",),
    "0--17": ("0--17",),
    "18--29": ("18--20", "21--23", "24--26", "27--29"),
    "30+": ("30--38", "39--47", "48+"),
    "18+": ("18+",),
    UNKNOWN: (),
}
"""Public groups of age bands; ``0--17`` and ``18+`` hold those whose band is not known more closely."""
CITIZENSHIP_GROUPS: Final = ("Own", "OtherEU", "NonEU", UNKNOWN)
"""Citizenship seen from the state that reports: its own, of another member state, of none."""
NO_LINK: Final = "NoLink"
COMPLETE: Final = "Complete"
GAPS: Final = (
    "forms_of_exploitation",
    "age_band",
    "sex",
    "citizenship",
    "country_of_exploitation",
    "means_of_control",
    "method_of_recruitment",
    "recruiter_relationship",
)
"""Fields whose absence is counted."""

Places = NDArray[np.int64]


@dataclass(frozen=True)
class TrendAxis:
    """One dimension.

    Attributes:
        name: What reports call it.
        codes: Its public codes.
        fields: The fields of the data contract that it needs.
        place: int64, shape (n,): position of each victim of the named node among the codes.
    """

    name: str
    codes: tuple[str, ...]
    fields: tuple[str, ...]
    place: Callable[[Victims, str], Places]


def year_axis(first: int, last: int) -> TrendAxis:
    """Years of registration, and "Other"."""
    codes = (*map(str, range(first, last + 1)), OTHER_PERIODS)

    def place(victims: Victims, node: str) -> Places:
        del node
        return _within(victims.years.astype(np.int64) - first, len(codes) - 1)

    return TrendAxis("year", codes, ("registration_date",), place)


def quarter_axis(first: tuple[int, int], last: tuple[int, int]) -> TrendAxis:
    """Quarters of registration from the first to the last (year and 1 to 4), and "Other"."""
    start, end = (QUARTERS * year + quarter - 1 for year, quarter in (first, last))
    names = (f"{at // QUARTERS}-Q{at % QUARTERS + 1}" for at in range(start, end + 1))
    codes = (*names, OTHER_PERIODS)

    def place(victims: Victims, node: str) -> Places:
        del node
        offset = QUARTERS * victims.years.astype(np.int64) + victims.quarters - 1 - start
        return _within(np.where(victims.quarters == 0, -1, offset), len(codes) - 1)

    return TrendAxis("quarter", codes, ("registration_date",), place)


def form_axis() -> TrendAxis:
    """Forms of exploitation, of which a victim of several has none by itself."""
    return _multi_axis("form", "forms_of_exploitation", SEVERAL_FORMS)


def age_axis() -> TrendAxis:
    """Public groups of age bands."""
    group = {band: index for index, bands in enumerate(AGE_GROUPS.values()) for band in bands}
    unknown = list(AGE_GROUPS).index(UNKNOWN)
    lookup = np.array([group[code] for code in field("age_band").codes] + [unknown], dtype=np.int64)

    def place(victims: Victims, node: str) -> Places:
        del node
        return lookup[victims.singles["age_band"]]

    return TrendAxis("age", tuple(AGE_GROUPS), ("age_band",), place)


def state_axis(states: tuple[str, ...]) -> TrendAxis:
    """The states that report. A node that is none of them is refused before anything is counted."""

    def place(victims: Victims, node: str) -> Places:
        if node not in states:
            raise RefusedError(
                "not-a-state-of-the-study",
                f"node {node} is not among the states of the study: {', '.join(states)}",
                "draft the study again with all participants as states",
            )
        return np.full(len(victims), states.index(node), dtype=np.int64)

    return TrendAxis("state", states, (), place)


def further_axes() -> tuple[TrendAxis, ...]:
    """The axes that need no parameters, but form and age."""
    return (
        TrendAxis("group", CITIZENSHIP_GROUPS, ("citizenship",), _groups),
        _single_axis("citizenship", "citizenship"),
        _single_axis("exploitation", "country_of_exploitation"),
        _multi_axis("recruitment", "method_of_recruitment", SEVERAL),
        _multi_axis("means", "means_of_control", SEVERAL),
        _single_axis("recruiter", "recruiter_relationship"),
        _single_axis("sex", "sex"),
        TrendAxis("gap", (COMPLETE, *GAPS, SEVERAL), GAPS, _gaps),
        _link_axis("partner", tuple(STATES), lambda linked: linked.partners),
        _link_axis("link", tuple(IDENTIFIER_TYPES), lambda linked: linked.kinds),
    )


def _within(offset: Places, periods: int) -> Places:
    return np.where((offset < 0) | (offset >= periods), periods, offset).astype(np.int64)


def _single_axis(name: str, source: str) -> TrendAxis:
    entry = field(source)

    def place(victims: Victims, node: str) -> Places:
        del node
        return single_bins(victims, entry)

    return TrendAxis(name, bin_names(entry), (source,), place)


def _multi_axis(name: str, source: str, several: str) -> TrendAxis:
    codes = field(source).codes

    def place(victims: Victims, node: str) -> Places:
        del node
        bits = (victims.present[source][:, None] >> np.arange(len(codes), dtype=np.uint32)) & 1
        return _one_of(bits.astype(np.int64), several=len(codes), none=len(codes) + 1)

    return TrendAxis(name, (*codes, several, UNKNOWN), (source,), place)


def _link_axis(name: str, codes: tuple[str, ...], words: Callable[[Linked], frozenset[str]]) -> TrendAxis:
    """No link, one of the codes, or several; what is none of the codes stands at several."""
    place_of = {code: place for place, code in enumerate(codes, start=1)}
    several = len(codes) + 1

    def of(pseudonym: str, links: Mapping[str, Linked]) -> int:
        found = words(links[pseudonym]) if pseudonym in links else frozenset()
        return place_of.get(next(iter(found)), several) if len(found) == 1 else several if found else 0

    def place(victims: Victims, node: str) -> Places:
        del node
        return np.array([of(str(each), victims.links) for each in victims.pseudonyms], dtype=np.int64)

    return TrendAxis(name, (NO_LINK, *codes, SEVERAL), (LINKS.name,), place)


def _one_of(bits: Places, *, several: int, none: int) -> Places:
    """Where the only 1 of each row is, or one of the two places for rows that have more or none."""
    count = bits.sum(axis=1)
    first = bits.argmax(axis=1)
    return np.where(count == 0, none, np.where(count > 1, several, first)).astype(np.int64)


def _groups(victims: Victims, node: str) -> Places:
    names = list(CITIZENSHIP_GROUPS)
    lookup = [
        names.index("Own" if code == node else "OtherEU" if code in EU_STATES else "NonEU")
        for code in field("citizenship").codes
    ]
    return np.array([*lookup, names.index(UNKNOWN)], dtype=np.int64)[victims.singles["citizenship"]]


def _gaps(victims: Victims, node: str) -> Places:
    del node
    missing = np.stack(
        [
            victims.singles[name] < 0 if field(name).kind == Kind.SINGLE else victims.known[name] == 0
            for name in GAPS
        ],
        axis=1,
    )
    place = _one_of(missing.astype(np.int64), several=len(GAPS), none=-1)
    return place + 1  # none missing is the first
