"""What a demonstration found beside its tables, in plain sentences, and what epsilon means.

Guarantees: scores are written with what they were measured on; a group is called worse only beyond the
margins of both. Sentences are plain text: the page escapes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from safeborders_fed.reporting import shown_beside_links
from safeborders_fed.reporting.accuracy import UNKNOWN, Accuracy
from safeborders_fed.reporting.card_facts import ModelCardFacts
from safeborders_fed.reporting.figures import area_text, auc_text, cost_text, one_in
from safeborders_fed.reporting.language import N_, _, ngettext
from safeborders_fed.reporting.model import Demonstration, Detection
from safeborders_fed.reporting.planted import Planted

_WHOLE_UP_TO: Final = 99
_NEARLY_SURE: Final = 99.9

TRUST_MODES: Final = {
    "masked": N_(
        "Masked: what a node sends is hidden under random masks that cancel in the sum, so that the "
        "coordinator sees the sum over all nodes and no single contribution. Each node adds a share of the "
        "noise; the protection relies on the other nodes adding theirs."
    ),
    "local": N_(
        "Local: each node adds all of the noise by itself, so that its protection relies on nobody else. "
        "The price is wider margins, since the noise of all nodes adds up."
    ),
}


def of_demonstration(demonstration: Demonstration) -> Iterator[str]:
    """What a demonstration adds to the key findings of its tables."""
    if demonstration.planted is not None:
        yield from _planted_findings(demonstration.planted)
    if demonstration.detection is not None:
        yield from _detection_findings(demonstration.detection)
    if demonstration.links is not None:
        yield shown_beside_links.finding(demonstration.links)
    if demonstration.card is not None:
        yield from _card_findings(demonstration.card)
    yield _(
        "All questions together cost each victim at most epsilon = {epsilon} of privacy (at delta = "
        "{delta}); the section on questions and privacy says what that means."
    ).format(epsilon=cost_text(demonstration.total_epsilon), delta=one_in(demonstration.delta))


def _planted_findings(planted: Planted) -> Iterator[str]:
    if not planted.labels:
        yield _("None of the ways in which the records were made up was found again.")
        return
    if planted.adjusted_rand is None:
        return
    yield _(
        "Against the ways in which the records were made up, the types reach an adjusted Rand index of "
        "{found:.2f} (1 is perfect, 0 is chance)."
    ).format(found=planted.adjusted_rand)


def _detection_findings(detection: Detection) -> Iterator[str]:
    yield _(
        "On {records:,} held-out records the federated model ranks referrals with an area under the ROC "
        "curve of {area}, {beside} a model that pools all files without privacy ({pooled}){alone}."
    ).format(
        records=detection.records_held_out,
        area=auc_text(detection.federated),
        beside=_beside(detection.pooled_without_privacy - detection.federated),
        pooled=auc_text(detection.pooled_without_privacy),
        alone=_alone(detection),
    )
    better, compared = own_wins(detection)
    if compared:
        yield ngettext(
            "Measured on its own held-out records, the federated model is ahead of the node's own model at "
            "{better} of the {compared} node where both can be measured.",
            "Measured on each node's own held-out records, the federated model is ahead of the node's own "
            "model at {better} of the {compared} nodes where both can be measured.",
            compared,
        ).format(better=better, compared=compared)


def _beside(gap: float) -> str:
    """How far below the pooled model the federated one is."""
    if f"{gap:.3f}" in ("0.000", "-0.000"):
        return _("level with")
    return (_("{gap} below") if gap > 0 else _("{gap} above")).format(gap=auc_text(abs(gap)))


def _alone(detection: Detection) -> str:
    known = {node: auc for node, auc in detection.alone.items() if auc is not None}
    if not known:
        return ""
    best, worst = max(known, key=lambda node: known[node]), min(known, key=lambda node: known[node])
    if best == worst:
        return _("; {node} alone reaches {area}").format(node=best, area=auc_text(known[best]))
    return _("; nodes alone reach {least} ({worst}) to {most} ({best})").format(
        least=auc_text(known[worst]), worst=worst, most=auc_text(known[best]), best=best
    )


def _card_findings(card: ModelCardFacts) -> Iterator[str]:
    if not card.accuracy_known:
        yield _(UNKNOWN)
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
    yield _(
        "By the private evaluation the model ranks all held-out persons with an area of {overall}; the "
        "lowest of {shown} groups that can be measured is {kind}: {name} ({area}), {beyond}."
    ).format(
        overall=area_text(accuracy.overall),
        shown=len(shown),
        kind=_(kind).lower(),
        name=lowest.name,
        area=area_text(lowest),
        beyond=_("beyond the margins of both") if apart else _("within the margins"),
    )
    if few := len(groups) - len(shown):
        yield ngettext(
            "For {few} of {all} groups too little data is left beyond the noise to say the same.",
            "For {few} of {all} groups too little data is left beyond the noise to say the same.",
            few,
        ).format(few=few, all=len(groups))


def own_wins(detection: Detection) -> tuple[int, int]:
    """Nodes on whose own records the federated model is ahead, and nodes that can be compared."""
    pairs = [
        (ours, own) for ours, own in detection.own_records.values() if ours is not None and own is not None
    ]
    return sum(ours > own for ours, own in pairs), len(pairs)


def epsilon_in_words(epsilon: float, delta: float) -> tuple[str, str]:
    """What epsilon at delta promises one victim: two sentences for a reader without mathematics."""
    promise = _(
        "Somebody who sees everything that was published, and who beforehand thought it as likely as not "
        "that one particular victim is in a node's files, can afterwards be at most {certainty} sure, apart "
        "from a chance of about {delta} that the promise fails."
    ).format(certainty=_certainty(epsilon), delta=one_in(delta))
    limits = _(
        "The smaller epsilon is, the closer that figure stays to 50% and the less anything published can "
        "depend on one victim; it is no promise about what can be learned of a whole group, such as a state."
    )
    return promise, limits


def _certainty(epsilon: float) -> str:
    """What a 50:50 guess can at most become, rounded up, but never to a false certainty."""
    # The posterior is e^epsilon / (1 + e^epsilon), written so that it does not overflow.
    per_cent = 100 / (1 + math.exp(-epsilon))
    if per_cent > _NEARLY_SURE:
        return _("more than {per_cent}%").format(per_cent=_NEARLY_SURE)
    return f"{math.ceil(per_cent)}%" if per_cent <= _WHOLE_UP_TO else f"{math.ceil(10 * per_cent) / 10}%"
