"""A node's answers to the steps ``tags``, ``hits`` and ``verify``; ``post`` is in ``posting``.

Guarantees:

- ``tags``: each distinct identifier is tagged once for a partner. The number of tags is a bucket size. Asked
  again in the same exchange, a node sends the same rows: nothing can be told from a difference.
- ``hits``: what the coordinator reports is believed by nobody. For each handle of this node it makes a check
  under the key of the pair, over token, both handles, both states and the direction; for a canary or a dummy
  likewise, and writes as much, so that neither the answer nor its time tells which is which. A handle that is
  not this node's, is another partner's or stands twice gets none, and neither does that of an identifier
  which no case holds any more: then no person of either state learns of a hit.
- ``verify``: a hit is open, and shown to people, only if the other state's check holds: then that state has
  the same token and told so for these two handles. Both states get each other's checks in the same message of
  the coordinator. A check that does not hold, a hit on a dummy, and canaries that were not reported are
  alarms. No case reference is in any of these answers, whatever is asked.

Assumes that HMAC-SHA256 is unforgeable and the key of the pair is known to its two states only.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Limit

from safeborders_fed.audit.chain import Operation
from safeborders_fed.links import hit_alarms
from safeborders_fed.links.asks import State, parsed, require_partner, said_content
from safeborders_fed.links.handles import Handles, Own, dummies
from safeborders_fed.links.key_shares import Epoch
from safeborders_fed.links.opening import cases_of, open_hits, stopped_digests
from safeborders_fed.links.pairs import HANDLE_BYTES, TAG_BYTES
from safeborders_fed.links.posting import post
from safeborders_fed.node.hit_book import FOUND, HitRow, Tagging, hit_id
from safeborders_fed.node.link_tokens import TokenRow
from safeborders_fed.node.link_vault import DIGEST_BYTES
from safeborders_fed.study.link_messages import LinkAnswer, LinkAsk, Said, array_hash, to_words

if TYPE_CHECKING:
    from safeborders_fed.links.office import Office

MOST_HITS: Final = 4_000
"""In one ask."""
_STRICT: Final = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)
_Handle = Annotated[str, Limit(pattern=r"^[0-9a-f]{32}$")]


class Reported(NamedTuple):
    """A hit as the coordinator reports it: handles as 32 hexadecimal digits."""

    partner: str
    own: str
    their: str


class _TagsAsk(BaseModel):
    model_config = _STRICT

    partner: State


class _HitsAsk(BaseModel):
    model_config = _STRICT

    partner: State
    hits: list[Annotated[list[_Handle | State], Limit(min_length=3, max_length=3)]] = Limit(
        max_length=MOST_HITS
    )
    last: bool = True


class _Check(BaseModel):
    model_config = _STRICT

    partner: State
    their_handle: _Handle
    mac: Annotated[str, Limit(pattern=r"^[0-9a-f]{64}$")]


class _Checks(BaseModel):
    model_config = _STRICT

    epoch: Epoch
    partner: State
    checks: dict[_Handle, _Check]


@dataclass(frozen=True)
class _Told:
    partner: str
    epoch: str
    handles: Handles
    known: list[tuple[Reported, Own]]
    last: bool


def tags(office: Office, ask: LinkAsk) -> LinkAnswer:
    """The tags to be compared with one partner: those of tokens that were not tagged for it before.

    Raises:
        RefusedError: ``not-a-partner``.
        PeerError: ``bad-link-ask``, or as ``Office.pair``.
    """
    partner = parsed(_TagsAsk, ask.content).partner
    require_partner(office, partner)
    epoch = office.epoch(ask)
    tagging = _tagging(office, ask.exchange, epoch, partner)
    hit_alarms.compare_earlier(office, epoch, partner)
    tokens = office.book.tagged(epoch, partner, ask.exchange)
    rows = Handles(office, epoch, partner).rows(tagging, tokens)
    arrays = {
        "tags": to_words([row.tag for row in rows], TAG_BYTES),
        "handles": to_words([row.handle for row in rows], HANDLE_BYTES),
    }
    content = {
        "epoch": epoch,
        "partner": partner,
        "number": tagging.number,
        "count": len(rows),
        "tags": array_hash(arrays["tags"]),
        "handles": array_hash(arrays["handles"]),
    }
    office.hits.settle(office.audit_log)
    return LinkAnswer(ask.exchange, ask.step, office.said("tags", content), arrays)


def _tagging(office: Office, exchange: str, epoch: str, partner: str) -> Tagging:
    """This exchange's message to a partner, made or found.

    Tokens are marked first: after a crash in between they are found under this exchange when it is asked for
    again, and the coordinator asks for each exchange until it has an answer.
    """
    found = office.hits.tagging(exchange, partner)
    if found is not None:
        return found
    stopped, there = stopped_digests(office), cases_of(office, exchange)
    fresh = [
        row.digest
        for row in office.book.untagged(epoch, partner)
        if row.digest in there and row.digest not in stopped
    ]
    office.book.mark_tagged(epoch, partner, exchange, fresh)
    count = len(office.book.tagged(epoch, partner, exchange))
    with office.hits.transaction():
        kept = office.hits.keep_tagging(exchange, partner, epoch, fresh=count, dummies=dummies(count))
        office.hits.note(
            f"link-tag/{exchange}/{partner}",
            Operation.LINK_TAG,
            who=office.node,
            why=f"exchange {exchange} of links",
            details={"partner": partner, "epoch": epoch, "number": kept.number, "new": count},
        )
    return kept


def hits(office: Office, ask: LinkAsk) -> LinkAnswer:
    """This node's checks for the hits with one partner that the coordinator reports.

    Raises:
        RefusedError: ``not-a-partner``.
        PeerError: ``bad-link-ask``, or as ``Office.pair``.
    """
    told = _told(office, ask)
    checks: dict[str, dict[str, str]] = {}
    for hit, own in told.known:
        mac = told.handles.pair.check(
            own.token, office.node, bytes.fromhex(hit.own), bytes.fromhex(hit.their)
        )
        checks[hit.own] = {"partner": told.partner, "their_handle": hit.their, "mac": mac.hex()}
        if own.is_dummy:
            hit_alarms.raise_alarm(office, ask.exchange, "dummy", told.partner, hit.own)
    found = [_row(office, ask.exchange, told, hit, own.row or _like_a_token(own)) for hit, own in told.known]
    office.hits.set_found(ask.exchange, found)
    office.hits.settle(office.audit_log)
    content = {"epoch": told.epoch, "partner": told.partner, "checks": checks}
    return LinkAnswer(ask.exchange, ask.step, office.said("checks", content))


def verify(office: Office, ask: LinkAsk) -> LinkAnswer:
    """Opens the hits whose checks by the partner hold, and says no more than that it is done.

    Raises:
        RefusedError: ``not-a-partner``.
        PeerError: ``bad-link-ask``, ``bad-signature``, ``wrong-saying``, or as ``Office.pair``.
    """
    told = _told(office, ask)
    theirs = next((_checks(office, said) for said in ask.said if said.node == told.partner), None)
    opened: list[HitRow] = []
    for hit, own in told.known:
        holds = _holds(office, told, hit, own, theirs)
        if holds and own.canary_of is not None:
            office.hits.keep_canaries(own.canary_of, told.partner, [hit.own])
        elif holds and own.row is not None:
            opened.append(_row(office, ask.exchange, told, hit, own.row))
        elif holds is False and not own.is_dummy:
            hit_alarms.raise_alarm(office, ask.exchange, "check", told.partner, hit.own)
            office.hits.drop_found([hit_id(told.epoch, {office.node: hit.own, told.partner: hit.their})])
    open_hits(office, ask.exchange, told.partner, opened)
    if told.last:
        hit_alarms.compare_canaries(office, ask.exchange, told.partner)
    office.hits.settle(office.audit_log)
    return LinkAnswer(ask.exchange, ask.step, office.said("verified", {}))


def _holds(office: Office, told: _Told, hit: Reported, own: Own, theirs: _Checks | None) -> bool | None:
    """Whether the partner's check for a hit holds; None if there is none."""
    check = None if theirs is None or theirs.epoch != told.epoch else theirs.checks.get(hit.their)
    if check is None:
        return None
    if (check.partner, check.their_handle) != (office.node, hit.own):
        return False
    handles = bytes.fromhex(hit.own), bytes.fromhex(hit.their)
    return told.handles.pair.is_check(bytes.fromhex(check.mac), own.token, *handles)


def _told(office: Office, ask: LinkAsk) -> _Told:
    """What the coordinator reports, without what cannot be: each of these is an alarm."""
    asked = parsed(_HitsAsk, ask.content)
    require_partner(office, asked.partner)
    epoch, partner = office.epoch(ask), asked.partner
    handles = Handles(office, epoch, partner)
    reported = [Reported(*row) for row in asked.hits]
    own, their = Counter(hit.own for hit in reported), Counter(hit.their for hit in reported)
    known: list[tuple[Reported, Own]] = []
    there = cases_of(office, ask.exchange)  # read whatever is reported: the time must not tell what it is
    for hit in reported:
        behind = handles.behind(_bytes(hit.own))
        if hit.partner != partner or len(hit.own) != len(hit.their) or behind is None:
            hit_alarms.raise_alarm(office, ask.exchange, "unknown", partner, hit.own)
        elif own[hit.own] > 1 or their[hit.their] > 1:
            hit_alarms.raise_alarm(office, ask.exchange, "twice", partner, hit.own)
        elif behind.row is None or behind.row.digest in there:
            known.append((hit, behind))
    return _Told(partner, epoch, handles, known, last=asked.last)


def _bytes(handle: str) -> bytes:
    """The handle; empty, which no handle is, for the name of a state in its place."""
    return bytes.fromhex(handle) if len(handle) == 2 * HANDLE_BYTES else b""


def _row(office: Office, exchange: str, told: _Told, hit: Reported, token: TokenRow) -> HitRow:
    return HitRow(
        id=hit_id(told.epoch, {office.node: hit.own, told.partner: hit.their}),
        epoch=told.epoch,
        partner=told.partner,
        kind=token.kind,
        strength=token.strength,
        digest=token.digest,
        own_handle=hit.own,
        their_handle=hit.their,
        exchange=exchange,
        state=FOUND,
        found_at=office.clock(),
    )


def _like_a_token(own: Own) -> TokenRow:
    """A row that means nothing, for a canary or dummy: what is written, and how long it takes, is the same.

    It is ``found``, which is shown to nobody, and goes with the next exchange.
    """
    return TokenRow("other", secrets.token_bytes(DIGEST_BYTES), own.token, "exact")


def _checks(office: Office, said: Said) -> _Checks:
    return parsed(_Checks, said_content(office, said, "checks"))


STEPS: Final[Mapping[str, Callable[[Office, LinkAsk], LinkAnswer]]] = {
    "tags": tags,
    "hits": hits,
    "verify": verify,
    "post": post,
}
"""The steps that ``links.desk`` hands on."""
