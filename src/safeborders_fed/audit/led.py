"""What the operations of the audit log are in the words of the Law Enforcement Directive.

Directive (EU) 2016/680, Article 25(1): logs are kept for "at least the following processing operations in
automated processing systems: collection, alteration, consultation, disclosure including transfers,
combination and erasure", and those of consultation and disclosure "shall make it possible to establish the
justification, date and time of such operations and, as far as possible, the identification of the person who
consulted or disclosed personal data, and the identity of the recipients". An entry's ``why`` is the
justification, ``at`` date and time, ``who`` the person; ``recipient`` is worked out here.

Guarantees: every operation of the log is in ``TREATMENTS``, with a category or as one that processes no
personal data; a new operation without a line here fails a test and, before that, at import.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from safeborders_fed.audit.chain import Entry, Operation
from safeborders_fed.errors import DefectError


class Category(StrEnum):
    """The article's operations, and one for what processes no personal data.

    ``COMBINATION`` is of hits only: keyed tags of two states were equal. Case records of different states are
    never brought together.
    """

    COLLECTION = "collection"
    ALTERATION = "alteration"
    CONSULTATION = "consultation"
    DISCLOSURE = "disclosure"
    COMBINATION = "combination"
    ERASURE = "erasure"
    INTERNAL = "none: control and security"


class Treatment(NamedTuple):
    """How an operation is reported.

    Attributes:
        category: Of the article.
        meaning: What was done, for who does not know the system.
        recipient: Who received something, as far as the operation says; empty for nobody.
        recipient_detail: The detail of an entry that says it closer; empty for none.
    """

    category: Category
    meaning: str
    recipient: str = ""
    recipient_detail: str = ""


def _internal(meaning: str) -> Treatment:
    return Treatment(Category.INTERNAL, meaning)


TREATMENTS: Final[Mapping[Operation, Treatment]] = MappingProxyType(
    {
        Operation.IMPORT: Treatment(Category.COLLECTION, "Case records were taken into the store"),
        Operation.VIEW: Treatment(Category.CONSULTATION, "Case records were looked at"),
        Operation.SCORE: Treatment(Category.CONSULTATION, "Referrals were scored with a model"),
        Operation.REVIEW: Treatment(Category.ALTERATION, "A person's verdicts were entered"),
        Operation.APPROVE: _internal("A study or a model was approved"),
        Operation.REFUSE: _internal("A study was refused, or a model withdrawn"),
        Operation.CONTRIBUTE: Treatment(
            Category.DISCLOSURE,
            "A noised and masked sum over case records left; no record did",
            "coordinator of the federation",
        ),
        Operation.REFUSE_REQUEST: _internal("A request of the coordinator was refused"),
        Operation.KEY_CHANGE: _internal("Keys, people or who is trusted changed"),
        Operation.EXPORT: Treatment(
            Category.DISCLOSURE, "A backup or an export was written", "who asked for it", "file"
        ),
        Operation.RECONCILE: _internal("Two people settled a dispute, or a damage was put on record"),
        Operation.START: _internal("The service took up its work, or took it up again"),
        Operation.STUDY_END: _internal("A study ended"),
        Operation.ERASE: Treatment(Category.ERASURE, "Case records were erased"),
        Operation.REKEY: _internal("The store was sealed under another key"),
        Operation.EXPIRY: _internal("Something ends soon, or has ended"),
        Operation.RESTORE: Treatment(Category.ALTERATION, "The node was put back from a backup"),
        Operation.COUNT: Treatment(
            Category.CONSULTATION, "A population was counted, with noise, to see whether a study may run"
        ),
        Operation.ROLE_CHANGE: _internal("Who may open what on the machine changed"),
        Operation.STUDY_STATE: _internal("A study changed its state at the coordinator"),
        Operation.LINK_EXCHANGE: _internal(
            "An exchange of links between states was run, or an epoch of it forgotten"
        ),
        Operation.ENROL: _internal("A state was enrolled, or taken off, at the coordinator"),
        Operation.RELEASE: _internal("A model or tables were released at the coordinator"),
        Operation.WITHDRAW: _internal("An approval, a study or a release was taken back"),
        Operation.ANCHOR: _internal("The log was anchored with a study's other members"),
        Operation.LINK_TAG: Treatment(
            Category.DISCLOSURE,
            "Keyed tags of identifiers went out to be compared with another state's; no identifier did",
            "coordinator of the federation",
        ),
        Operation.LINK_HIT: Treatment(
            Category.COMBINATION, "An identifier was found to occur in case files of another state, too"
        ),
        Operation.LINK_DECISION: _internal("People approved or declined to exchange records about a hit"),
        Operation.LINK_RECORD: Treatment(
            Category.DISCLOSURE,
            "A sealed record with case pseudonyms and a contact point left about a hit",
            "other state",
            "partner",
        ),
        Operation.LINK_RECEIVED: Treatment(
            Category.COLLECTION, "Another state's record, or its answer, about a hit came"
        ),
        Operation.LINK_OUTCOME: Treatment(Category.ALTERATION, "It was said what came of a hit"),
        Operation.LINK_KEYS: _internal("Keys of an epoch of links were made, pinned or destroyed"),
        Operation.LINK_BATCH: Treatment(
            Category.CONSULTATION,
            "Identifiers were gathered into a batch for links, or their tokens were kept",
        ),
        Operation.LINK_ANSWER: _internal(
            "Another state was helped with tokens for blinded identifiers of its"
        ),
        Operation.LINK_REFUSE: _internal("A request of another state for tokens was refused"),
        Operation.LINK_SWITCH: _internal("Links were switched off or on, or their stop-list changed"),
        Operation.LINK_ALARM: _internal("Something about links needs a person to look"),
    }
)

if missing := set(Operation) - TREATMENTS.keys():
    raise DefectError("no-treatment", f"operations without a line: {', '.join(sorted(missing))}", "add one")


def recipient(entry: Entry) -> str:
    """Who received something by an entry, as far as the log knows; empty for nobody."""
    treatment = TREATMENTS[entry.operation]
    detail = str(entry.details.get(treatment.recipient_detail, "")) if treatment.recipient_detail else ""
    return f"{treatment.recipient} ({detail})" if detail else treatment.recipient
