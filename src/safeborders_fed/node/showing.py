"""What a node's people are shown of a study before they decide.

Guarantees:

- Everything but the number of victims follows from signed documents, settings and the ledger, and anybody who
  may read the node's directory may see it.
- The exact number of victims is for who holds the key of the case store, and each look at it is first on
  record for the audit log. It stays on this machine: no message holds it.
- Reviews of other states are shown as what they are: information. Nothing here decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from safeborders_fed.audit import notices
from safeborders_fed.audit.chain import Operation
from safeborders_fed.audit.log import Event
from safeborders_fed.cases import contract
from safeborders_fed.cases.contract import Kind
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.errors import ConfigurationError, SafeBordersError
from safeborders_fed.node.deciding import described
from safeborders_fed.node.population import count
from safeborders_fed.node.studies import Unreadable
from safeborders_fed.node.told import reviews_of
from safeborders_fed.study.code_version import code_hash
from safeborders_fed.study.differences import differences
from safeborders_fed.study.key_files import load_key
from safeborders_fed.study.offering import Status
from safeborders_fed.study.reviews import in_words

if TYPE_CHECKING:
    from safeborders_fed.node.desk import Desk
    from safeborders_fed.node.settings import NodeSettings
    from safeborders_fed.study.manifest import Manifest

_KINDS: Final = {
    Kind.KEY: "a key, as a pseudonym",
    Kind.DATE: "a date",
    Kind.SINGLE: "one value of a list",
    Kind.MULTI: "any number of values of a list",
    Kind.LINK: "with which states hits were exchanged, and by which types of identifier",
}


def shown(settings: NodeSettings, desk: Desk, manifest: Manifest, *, by: str) -> dict[str, Any]:
    """All that people are shown of a study, as JSON values.

    Args:
        settings: The node.
        desk: What the study is held against.
        manifest: The study.
        by: Who looks: for the audit log, if the number of victims is shown.

    Raises:
        PeerError: As ``Desk.standing``.
        ConfigurationError: ``record-damaged``, or as ``notices.record``.
    """
    here = code_hash()
    return described(desk, manifest) | {
        "columns": [_column(name) for name in manifest.columns],
        "population": population(settings, manifest, by=by),
        "approvals": [
            {"name": approval.name, "expires": approval.expires.isoformat()}
            for approval in desk.counted(manifest)
        ],
        "code": {"drafted": manifest.code_hash, "here": here, "same": manifest.code_hash == here},
        "reviews": _reviews(desk, manifest),
        "shares_reviews": settings.share_reviews,
        "since_last_of_its_kind": _since_last_of_its_kind(desk, manifest),
        "keys_changed": _keys_changed(desk, manifest),
        "told": _told(desk, manifest),
    }


def others_say(desk: Desk, manifest: Manifest) -> str:
    """Such as "approved by FI, RO"; empty when nobody shares a review. Raises as ``reviews_of``."""
    return in_words(reviews_of(desk, manifest))


def population(settings: NodeSettings, manifest: Manifest, *, by: str) -> dict[str, Any]:
    """How many victims here the study is about, if this user may know, or else who may.

    Raises:
        ConfigurationError: As ``notices.record``: what cannot be put on record is not shown.
    """
    about = {"population": manifest.population, "victims": None, "hidden": ""}
    try:
        store = CaseStore.look(settings.store_path, settings.store_keys())
        signing_key = load_key(settings.signing_key_path)
    except ConfigurationError as error:
        hidden = f"only who may read {settings.key_path} sees it (role operator): {error.cause}"
        return about | {"hidden": hidden}
    if store.latest_snapshot() is None:
        return about | {"hidden": "no case data was imported yet"}
    event = Event(
        Operation.VIEW,
        by,
        f"number of victims of the population of study {manifest.id}",
        {"study": manifest.id, "manifest": manifest.hash(), "population": manifest.population},
    )
    notices.record(settings.home, signing_key, settings.country, event, settings.open_audit_log)
    return about | {"victims": count(store.cases(), manifest.population)}


def _column(name: str) -> dict[str, str]:
    field = contract.column(name)
    used = [
        word
        for word, holds in (("describes a victim", field.feature), ("may be a label", field.target))
        if holds
    ]
    return {
        "name": name,
        "label": field.label,
        "what": ", ".join([_KINDS[field.kind], *used]),
        "identifying": "yes" if field.identifying else "no",
    }


def _reviews(desk: Desk, manifest: Manifest) -> dict[str, Any]:
    found = reviews_of(desk, manifest)
    return {
        "text": in_words(found),
        "reviews": [
            {
                "node": node,
                "status": review.status,
                "reason": review.reason.value,
                "at": review.at.isoformat(),
            }
            for node, review in found.items()
        ],
    }


def _since_last_of_its_kind(desk: Desk, manifest: Manifest) -> dict[str, Any] | None:
    """What differs from the study of the same analysis that this node took on or approved last."""
    known = [
        (when, other)
        for when, other in _decided(desk)
        if other.analysis == manifest.analysis and other.id != manifest.id
    ]
    if not known:
        return None
    _, last = max(known, key=lambda entry: (entry[0], entry[1].id))
    found = differences(last, manifest)
    return {"study": last.id, "differences": [entry._asdict() for entry in found]}


def _decided(desk: Desk) -> Iterator[tuple[str, Manifest]]:
    """Every study that was taken on or is approved here, and since when (ISO 8601, UTC)."""
    opened = {row["id"]: row["opened"] for row in desk.ledger.studies()}
    for entry in desk.studies.listed():
        if isinstance(entry, Unreadable):
            continue
        held = desk.ledger.reservation(entry.id)
        if held is not None and held.manifest_hash == entry.hash():
            yield opened[entry.id], entry
            continue
        try:
            standing = desk.standing(entry)
            if standing.status == Status.APPROVED:
                yield max(approval.signed_at for approval in desk.counted(entry)).isoformat(), entry
        except SafeBordersError:  # a damaged no, say: where that one stands cannot be told
            continue


def _keys_changed(desk: Desk, manifest: Manifest) -> dict[str, Any] | None:
    """Keys of the roster that are others than when this node took on a study last."""
    for row in reversed(desk.ledger.studies()):
        if row["id"] == manifest.id:
            continue
        try:
            before = desk.studies.keys(row["id"])
        except SafeBordersError:
            continue
        nodes = sorted({*before, *desk.accepted})
        changed = [
            {"node": node, "before": before.get(node, ""), "now": desk.accepted.get(node, "")}
            for node in nodes
            if before.get(node) != desk.accepted.get(node)
        ]
        return {"study": row["id"], "changed": changed}
    return None


def _told(desk: Desk, manifest: Manifest) -> list[dict[str, Any]]:
    """What the coordinator signed of it so far."""
    history = desk.studies.history(manifest.id)
    changes = () if history is None else history.changes
    return [
        {"state": change.state, "at": change.at, "by": change.by, "why": change.why} for change in changes
    ]
