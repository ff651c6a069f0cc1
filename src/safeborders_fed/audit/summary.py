"""What a period of the audit log comes to: the facts of the one-page summary for a data protection officer.

Guarantees: counts are over all entries of the period; lists are cut to what fits a printed page, and say how
many they leave out. Constant memory but for months, studies and the lists.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from safeborders_fed.audit.chain import Entry, Operation
from safeborders_fed.audit.period import Period, Row

LISTED: Final = 7
_MONTHS: Final = 12
_TAKEN_ON: Final = frozenset({Operation.APPROVE, Operation.CONTRIBUTE, Operation.STUDY_END})
NOTABLE: Final = {
    "Refusals": frozenset({Operation.REFUSE, Operation.REFUSE_REQUEST, Operation.LINK_REFUSE}),
    "Keys and people": frozenset({Operation.KEY_CHANGE, Operation.REKEY, Operation.LINK_KEYS}),
    "Erasures": frozenset({Operation.ERASE}),
    "Restored, reconciled, exported": frozenset(
        {Operation.RESTORE, Operation.RECONCILE, Operation.EXPORT},
    ),
}
"""Lists of the page, and the operations whose entries stand in them."""


@dataclass(slots=True)
class StudyCost:
    """What a study took in the period.

    Attributes:
        answers: Contributions that left.
        rho: What they cost.
        first: Day of its first entry.
        last: Day of its last entry.
    """

    answers: int = 0
    rho: float = 0.0
    first: str = ""
    last: str = ""


@dataclass
class Listed:
    """The last entries of a kind, and how many there were."""

    count: int = 0
    last: deque[Entry] = field(default_factory=lambda: deque(maxlen=LISTED))

    def add(self, entry: Entry) -> None:
        """Counts an entry."""
        self.count += 1
        self.last.append(entry)


@dataclass
class Summary:
    """Facts of a period.

    Attributes:
        period: Its days.
        entries: How many entries.
        counts: By operation and month (``2026-05``).
        studies: By name, in order of their first entry.
        notable: By the heading of its list (``NOTABLE``).
        people: How many different ``who`` there were.
    """

    period: Period
    entries: int = 0
    counts: Counter[tuple[Operation, str]] = field(default_factory=Counter)
    studies: dict[str, StudyCost] = field(default_factory=dict)
    notable: dict[str, Listed] = field(default_factory=lambda: {name: Listed() for name in NOTABLE})
    people: set[str] = field(default_factory=set)

    def watch(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Passes entries on, and counts them."""
        for row in rows:
            self._count(row.entry)
            yield row

    def spans(self) -> tuple[str, ...]:
        """Months that have entries or, when they are too many for a page, years."""
        months = sorted({month for _, month in self.counts})
        return tuple(months) if len(months) <= _MONTHS else tuple(sorted({month[:4] for month in months}))

    def count(self, operation: Operation, span: str) -> int:
        """Entries of an operation in a month or year; in all of the period for an empty one."""
        return sum(
            number
            for (found, month), number in self.counts.items()
            if (found, month[: len(span)]) == (operation, span)
        )

    def shown_studies(self) -> tuple[tuple[str, StudyCost], ...]:
        """The last studies, as many as fit the page."""
        return tuple(islice(reversed(self.studies.items()), LISTED))

    @property
    def rho(self) -> float:
        """What all contributions of the period cost."""
        return sum(study.rho for study in self.studies.values())

    def _count(self, entry: Entry) -> None:
        self.entries += 1
        self.people.add(entry.who)
        self.counts[entry.operation, entry.at[:7]] += 1
        for name, operations in NOTABLE.items():
            if entry.operation in operations:
                self.notable[name].add(entry)
        study = entry.details.get("study")
        if isinstance(study, str) and study and entry.operation in _TAKEN_ON:
            self._study(study, entry)

    def _study(self, name: str, entry: Entry) -> None:
        cost = self.studies.setdefault(name, StudyCost(first=entry.at[:10]))
        cost.last = entry.at[:10]
        if entry.operation is Operation.CONTRIBUTE:
            cost.answers += 1
            rho = entry.details.get("rho", 0.0)
            cost.rho += float(rho) if isinstance(rho, int | float) else 0.0
