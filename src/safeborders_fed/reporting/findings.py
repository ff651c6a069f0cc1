"""Key findings and explanations in plain sentences.

Guarantees: a sentence claims a difference between counts only where it is larger than their noise; every
count is written with its margin; scores are written with what they were measured on. Sentences are plain
text: the page escapes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from safeborders_fed.reporting.accuracy import UNKNOWN, Accuracy
from safeborders_fed.reporting.card_facts import ModelCardFacts
from safeborders_fed.reporting.figures import (
    PublishedTrends,
    area_text,
    auc_text,
    cost_text,
    count_of,
    one_in,
)
from safeborders_fed.reporting.model import TOTAL, Detection, Report
from safeborders_fed.reporting.typologies import Typologies

_WHOLE_UP_TO: Final = 99
_NEARLY_SURE: Final = 99.9

TRUST_MODES: Final = {
    "masked": (
        "Masked: what a node sends is hidden under random masks that cancel in the sum, so that the"
        " coordinator sees the sum over all nodes and no single contribution. Each node adds a share of the"
        " noise; the protection relies on the other nodes adding theirs."
    ),
    "local": (
        "Local: each node adds all of the noise by itself, so that its protection relies on nobody else."
        " The price is wider margins, since the noise of all nodes adds up."
    ),
}


def key_findings(report: Report, trends: PublishedTrends) -> tuple[str, ...]:
    """The findings that the page opens with."""
    return (
        *_count_findings(trends, states=len(report.nodes)),
        *(() if report.typologies is None else _type_findings(report.typologies)),
        *(() if report.detection is None else _detection_findings(report.detection)),
        *(() if report.card is None else _card_findings(report.card)),
        (
            f"All questions together cost each victim at most epsilon = {cost_text(report.total_epsilon)} of"
            f" privacy (at delta = {one_in(report.delta)}); the section on privacy says what that means."
        ),
    )


def _count_findings(trends: PublishedTrends, *, states: int) -> Iterator[str]:
    first, last = trends.years[0], trends.years[-1]
    if (TOTAL, TOTAL, TOTAL) in trends.counts:
        yield (
            f"The files of the {states} nodes hold {trends.of().text} victims, persons found not to be"
            " victims left out, all years together."
        )
    if first != last:
        change = trends.change()
        ends = f"from {trends.of(year=first).text} to {trends.of(year=last).text}"
        if change.beyond_noise:
            verb = "rose" if change.value > 0 else "fell"
            yield f"Between {first} and {last} victims a year {verb} {ends}, a change of {change.text}."
        else:
            yield f"Between {first} and {last} victims a year went {ends}: no change beyond the noise."
        yield _form_change(trends)
    yield _largest_form(trends)


def _largest_form(trends: PublishedTrends) -> str:
    largest, *others = trends.largest_forms
    top = trends.of(form=largest)
    rivals = [form for form in others if trends.of(form=form).high >= top.low]
    if rivals:
        return (
            f"The largest form of exploitation cannot be named with confidence: {largest} ({top.text}) and"
            f" {rivals[0]} ({trends.of(form=rivals[0]).text}) lie within each other's margins."
        )
    return f"The largest form of exploitation is {largest}: {top.text} victims."


def _form_change(trends: PublishedTrends) -> str:
    first, last = trends.years[0], trends.years[-1]
    beyond = [name for name in trends.forms if trends.change(name).beyond_noise]
    if not beyond:
        return f"No form of exploitation changed by more than its noise between {first} and {last}."
    form = max(beyond, key=lambda name: abs(trends.change(name).value))
    return (
        f"The form that changed most is {form}: {trends.change(form).text} victims a year"
        f" ({trends.of(year=first, form=form).text} in {first},"
        f" {trends.of(year=last, form=form).text} in {last})."
    )


def _detection_findings(detection: Detection) -> Iterator[str]:
    gap = detection.pooled_without_privacy - detection.federated
    side = (
        f"{auc_text(abs(gap))} {'below' if gap > 0 else 'above'}" if f"{gap:.3f}" != "0.000" else "level with"
    )
    known = {node: auc for node, auc in detection.alone.items() if auc is not None}
    sentence = (
        f"On {detection.records_held_out:,} held-out records the federated model ranks referrals with an area"
        f" under the ROC curve of {auc_text(detection.federated)}, {side} a model that pools all files"
        f" without privacy ({auc_text(detection.pooled_without_privacy)})"
    )
    if known:
        best, worst = max(known, key=lambda node: known[node]), min(known, key=lambda node: known[node])
        sentence += (
            f"; nodes alone reach {auc_text(known[worst])} ({worst}) to {auc_text(known[best])} ({best})"
            if best != worst
            else f"; {best} alone reaches {auc_text(known[best])}"
        )
    yield f"{sentence}."
    better, compared = own_wins(detection)
    if compared:
        yield (
            f"Measured on each node's own held-out records, the federated model is ahead of the node's own"
            f" model at {better} of the {compared} nodes where both can be measured."
        )


def _type_findings(typologies: Typologies) -> Iterator[str]:
    if not typologies.types:
        yield "No type of how the crime is done stands out from the noise."
        return
    for entry in typologies.types:
        if len(entry.occurs_in) < 2:
            continue
        trait = f" ({entry.traits[0].field.lower()}: {entry.traits[0].value})" if entry.traits else ""
        count = count_of(entry.victims.value, entry.victims.error)
        yield (
            f"Type {entry.name}{trait}, {count.text} victims, occurs in"
            f" {listed(entry.occurs_in, everywhere=len(typologies.states))}."
        )
    if typologies.adjusted_rand is not None:
        yield (
            "Against the ways in which the records were made up, the types reach an adjusted Rand index of"
            f" {typologies.adjusted_rand:.2f} (1 is perfect, 0 is chance)."
        )


def listed(names: Sequence[str], *, everywhere: int) -> str:
    """Names as a sentence lists them; ``everywhere`` is how many there are at most."""
    if len(names) == everywhere and everywhere > 2:
        return f"all {everywhere} states"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _card_findings(card: ModelCardFacts) -> Iterator[str]:
    if not card.accuracy_known:
        yield UNKNOWN
    if card.accuracy is not None:
        yield from _group_findings(card.accuracy)


def _group_findings(accuracy: Accuracy) -> Iterator[str]:
    groups = [(kind, group) for kind, table in accuracy.groups.items() for group in table]
    shown = [pair for pair in groups if pair[1].auc is not None]
    if not shown or accuracy.overall.auc is None:
        return
    kind, lowest = min(shown, key=lambda pair: pair[1].auc or 0.0)
    interval, whole = lowest.interval, accuracy.overall.interval
    apart = interval is not None and whole is not None and interval[1] < whole[0]
    sentence = (
        f"By the private evaluation the model ranks all held-out persons with an area of"
        f" {area_text(accuracy.overall)}; the lowest of {len(shown)} groups that can be measured is"
        f" {kind.lower()}: {lowest.name} ({area_text(lowest)}), "
    )
    yield sentence + ("beyond the margins of both." if apart else "within the margins.")
    if few := len(groups) - len(shown):
        yield f"For {few} of {len(groups)} groups too little data is left beyond the noise to say the same."


def own_wins(detection: Detection) -> tuple[int, int]:
    """Nodes on whose own records the federated model is ahead, and nodes that can be compared."""
    pairs = [
        (ours, own) for ours, own in detection.own_records.values() if ours is not None and own is not None
    ]
    return sum(ours > own for ours, own in pairs), len(pairs)


def epsilon_in_words(epsilon: float, delta: float) -> tuple[str, str]:
    """What epsilon at delta promises one victim: two sentences for a reader without mathematics."""
    promise = (
        "Somebody who sees everything that was published, and who beforehand thought it as likely as not that"
        " one particular victim is in a node's files, can afterwards be at most"
        f" {_certainty(epsilon)} sure, apart from a chance of about {one_in(delta)} that the promise fails."
    )
    limits = (
        "The smaller epsilon is, the closer that figure stays to 50% and the less anything published can"
        " depend on one victim; it is no promise about what can be learned of a whole group, such as a state."
    )
    return promise, limits


def _certainty(epsilon: float) -> str:
    """What a 50:50 guess can at most become, rounded up, but never to a false certainty."""
    # The posterior is e^epsilon / (1 + e^epsilon), written so that it does not overflow.
    per_cent = 100 / (1 + math.exp(-epsilon))
    if per_cent > _NEARLY_SURE:
        return f"more than {_NEARLY_SURE}%"
    return f"{math.ceil(per_cent)}%" if per_cent <= _WHOLE_UP_TO else f"{math.ceil(10 * per_cent) / 10}%"
