"""What about links needs a person to look: unusual volumes, runs of numbers, nodes that lie, many hits.

Guarantees: an alarm stands in the audit log and in ``safeborders node links status``, once for its cause. It
changes no answer: whether a node answers depends on quotas and approvals only. What another state asks for is
seen blinded, so here its volume is all that can tell: it is held against that state's own past.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from safeborders_fed.audit.chain import Operation
from safeborders_fed.links.office import Office

VOLUME: Final = "volume"
RUN: Final = "run"
LIAR: Final = "liar"
TIMES_THE_PAST: Final = 3
SMALLEST_VOLUME: Final = 500
SHARE_WITHOUT_PAST: Final = 0.5
SMALLEST_RUN: Final = 20
LARGEST_STEP: Final = 2
_DIGITS: Final = 6
"""Fewer digits at the end of a form say nothing by following each other."""
_LONGEST_NUMBER: Final = 24


def sound(office: Office, kind: str, key: str, said: str, details: Mapping[str, str | int]) -> bool:
    """Puts an alarm on record; false if it stands there already.

    Args:
        office: The node.
        kind: Of what.
        key: Its cause: the same one sounds once.
        said: What to tell people, without any identifier.
        details: Further facts for the audit log.
    """
    office.audit_log.append_if_new(
        f"link-alarm/{key}",
        Operation.LINK_ALARM,
        who=office.node,
        why=said,
        details={"alarm": kind, **details},
    )
    return office.book.alarm(kind, key, said)


def watch_volume(office: Office, requester: str, kind: str, month: str) -> None:
    """Sounds when a state has asked for far more of a type in a month than in its earlier months.

    Without earlier months its quota stands for them: half of it is much for a first month. A first load has
    no past at all and is allowed to be large: it sounds once, so that somebody knows of it and can ask.
    """
    months = office.book.months(requester, kind)
    points, first = months.get(month, 0), office.book.first_load(requester, kind, month[:4])
    facts: dict[str, str | int] = {"requester": requester, "type": kind}
    if first > SMALLEST_VOLUME:
        said = (
            f"{requester} makes its first load of type {kind} for {month[:4]}: over {SMALLEST_VOLUME} points"
        )
        sound(office, VOLUME, f"{VOLUME}/{requester}/{kind}/{month[:4]}", said, facts)
    past = [months[earlier] for earlier in months if earlier < month and months[earlier]]
    usual = sum(past) / len(past) if past else 0.0
    limit = TIMES_THE_PAST * usual if past else SHARE_WITHOUT_PAST * office.policy.monthly
    if points > max(SMALLEST_VOLUME, limit):
        than = f"{usual:,.0f} in its earlier months" if past else f"a quota of {office.policy.monthly:,}"
        said = f"{requester} has asked for {points:,} points of type {kind} in {month}, against {than}"
        sound(office, VOLUME, f"{VOLUME}/{requester}/{kind}/{month}", said, facts)


def blame(office: Office, node: str, batch: str, number: int) -> None:
    """Sounds that a node's shares are not of the key that it published."""
    said = f"{node} answered with shares that are not of its published key: no token of that chunk is kept"
    facts: dict[str, str | int] = {"blamed": node, "batch": batch, "chunk": number}
    sound(office, LIAR, f"{LIAR}/{node}/{batch}/{number}", said, facts)


def runs(forms: Iterable[str]) -> tuple[int, int]:
    """How many forms stand in runs of numbers that follow each other, and how many the longest run has.

    A run has numbers no more than two apart, as whoever tries out a range would make, 20 of them at least:
    telephone numbers of case files are not so dense.
    """
    numbers = sorted({number for number in map(_number, forms) if number is not None})
    inside = longest = length = 0
    previous: int | None = None
    for number in [*numbers, None]:
        if previous is not None and number is not None and number - previous <= LARGEST_STEP:
            length += 1
        else:
            if length >= SMALLEST_RUN:
                inside, longest = inside + length, max(longest, length)
            length = 1
        previous = number
    return inside, longest


def watch_runs(office: Office, batch: str, by_kind: Mapping[str, Collection[str]]) -> list[str]:
    """Sounds for each type whose forms in a batch run; what was said."""
    found = []
    for kind, forms in sorted(by_kind.items()):
        inside, longest = runs(forms)
        if inside:
            said = (
                f"{inside:,} of {len(forms):,} identifiers of type {kind} in batch {batch[:12]} follow each "
                f"other (the longest run has {longest:,}): are these case files, or guesses?"
            )
            sound(office, RUN, f"{RUN}/{kind}/{batch}", said, {"type": kind, "batch": batch, "count": inside})
            found.append(said)
    return found


def _number(form: str) -> int | None:
    """The number that a form's digits make, all together; None for few digits or a great many."""
    digits = "".join(character for character in form if character in "0123456789")
    return int(digits) if _DIGITS <= len(digits) <= _LONGEST_NUMBER else None
