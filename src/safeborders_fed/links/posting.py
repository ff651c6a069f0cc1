"""The step ``post``: letters about hits, out to one partner and in from it.

Guarantees:

- A letter waits until the partner says that it has come; one that comes again counts once. Asked again in an
  exchange with nothing new to say, a node sends the very same bytes.
- What does not open, is not of the form of its kind, is about a hit that this node does not know, or may not
  come in the hit's state, changes nothing and is an alarm.
- A node's record about a hit is sealed here only, after enough people here have signed *and* people of the
  partner, whose keys the partner has pinned for the epoch, have signed for the same hit.
- Letters to a partner travel in one bundle of at least ``SMALLEST`` bytes, so that its size does not tell a
  yes from a no. That there are letters, the coordinator learns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from safeborders_fed.errors import ConfigurationError, DefectError, SafeBordersError
from safeborders_fed.links import deciding, hit_alarms, hits, network_letters
from safeborders_fed.links.asks import State, parsed, require_partner, said_content
from safeborders_fed.links.key_shares import Epoch
from safeborders_fed.links.letter_kinds import receive
from safeborders_fed.links.opening import refresh_cases
from safeborders_fed.links.sending import seal_records
from safeborders_fed.node.hit_book import FOUND
from safeborders_fed.node.hit_letters import HitLetters, Letter
from safeborders_fed.study import canonical
from safeborders_fed.study.link_messages import LinkAnswer, LinkAsk, Said

if TYPE_CHECKING:
    from safeborders_fed.links.office import Office

SMALLEST: Final = 4_096
LARGEST: Final = 2**16
"""Bytes of a bundle; what does not fit waits for the next one."""
_STRICT: Final = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)
_Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class _PostAsk(BaseModel):
    model_config = _STRICT

    partner: State


class _Sealed(BaseModel):
    model_config = _STRICT

    to: State
    epoch: Epoch
    sealed: Annotated[str, Field(pattern=r"^([0-9a-f]{2})+$", max_length=2**19)]


class _Letters(BaseModel):
    model_config = _STRICT

    exchange: Annotated[str, Field(min_length=1, max_length=64)]
    letters: Annotated[list[_Sealed], Field(max_length=8)]


class _Letter(BaseModel):
    model_config = _STRICT

    id: _Id
    hit: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    kind: Annotated[str, Field(pattern=r"^[a-z-]{1,20}$")]
    content: dict[str, Any]


class _Bundle(BaseModel):
    model_config = _STRICT

    letters: Annotated[list[_Letter], Field(max_length=1_024)]
    have: Annotated[list[_Id], Field(max_length=4_096)]
    pad: Annotated[str, Field(max_length=SMALLEST)] = ""


def post(office: Office, ask: LinkAsk) -> LinkAnswer:
    """Takes in the letters of a partner, does what follows, and gives out those to it.

    Raises:
        RefusedError: ``not-a-partner``.
        PeerError: ``bad-link-ask``, or as ``Office.pair``.
        ConfigurationError: ``link-book-unwritable`` or ``node-unwritable``.
    """
    partner = parsed(_PostAsk, ask.content).partner
    require_partner(office, partner)
    deciding.take_papers(office)
    for said in ask.said:
        if said.node == partner:
            _take(office, ask.exchange, said)
    seal_records(office, partner)
    network_letters.spread(office, ask.exchange)
    answer = _bundles(office, ask.exchange, partner)
    refresh_cases(office, ask.exchange)
    hits.publish(office)
    office.hits.settle(office.audit_log)
    return LinkAnswer(ask.exchange, ask.step, answer)


def _take(office: Office, exchange: str, said: Said) -> None:
    """Takes in what one saying of a partner holds for this node."""
    try:
        content = parsed(_Letters, said_content(office, said, "letters"))
    except SafeBordersError:
        hit_alarms.raise_alarm(office, exchange, "letter", said.node)
        return
    for each in content.letters:
        if each.to == office.node:
            try:
                pair = office.pair(each.epoch, said.node)
                opened = pair.open(content.exchange, said.node, bytes.fromhex(each.sealed))
                bundle = parsed(_Bundle, canonical.parse(opened))
            except SafeBordersError:
                hit_alarms.raise_alarm(office, exchange, "letter", said.node)
                continue
            HitLetters(office.hits).have_arrived(said.node, bundle.have)
            for letter in bundle.letters:
                _take_letter(office, exchange, said.node, each.epoch, letter)


def _take_letter(office: Office, exchange: str, partner: str, epoch: str, letter: _Letter) -> None:
    """Takes in one letter. It is kept, and its arrival said, also where it is refused: once is enough."""
    row = office.hits.known(letter.hit, partner)
    if row is None or row.epoch != epoch:
        # Of a hit that waits to be verified here it comes again, until that is done.
        if not any(
            (each.id, each.partner) == (letter.hit, partner) for each in office.hits.in_states({FOUND})
        ):
            hit_alarms.raise_alarm(office, exchange, "letter", partner, letter.hit[:12])
        return
    kept = Letter(letter.id, epoch, letter.hit, letter.kind, canonical.serialise(letter.content))
    try:
        with office.hits.transaction():  # a letter is known as soon as what it says is done, and no sooner
            if HitLetters(office.hits).take_in(partner, kept):
                receive(office, office.hits.hit(row.id), letter.kind, letter.content)
    except SafeBordersError as error:
        if isinstance(error, ConfigurationError | DefectError):
            raise
        HitLetters(office.hits).take_in(partner, kept)
        hit_alarms.raise_alarm(office, exchange, "letter", partner, letter.hit[:12])


def _bundles(office: Office, exchange: str, partner: str) -> Said:
    """What goes out to a partner: the same bytes as before in this exchange if nothing is new.

    What waits under the keys of an epoch that are destroyed goes out no more.
    """
    box = HitLetters(office.hits)
    owed = box.owed(partner)
    alive = [epoch for epoch in box.epochs(partner) if office.key_set(epoch) is not None]
    chosen = {epoch: _fitting(box.waiting(epoch, partner)) for epoch in alive}
    if not chosen:
        return office.said("letters", {"exchange": exchange, "letters": []})
    facts = canonical.sha256(
        canonical.serialise([owed, [[letter.id for letter in letters] for letters in chosen.values()]])
    )
    kept = box.bundle(partner, exchange, facts)
    if kept is not None:
        return Said.model_validate_json(kept)
    sealed = []
    for number, (epoch, letters) in enumerate(chosen.items()):
        plain = _plaintext(letters, owed if number == 0 else [])
        data = office.pair(epoch, partner).seal(exchange, office.node, plain)
        sealed.append({"to": partner, "epoch": epoch, "sealed": data.hex()})
    said = office.said("letters", {"exchange": exchange, "letters": sealed})
    with office.hits.transaction():
        box.keep_bundle(partner, exchange, facts, canonical.serialise(said.model_dump()))
        box.have_said(partner, owed)
    return said


def _fitting(letters: list[Letter]) -> list[Letter]:
    """The first letters that fit into a bundle, one at least."""
    chosen: list[Letter] = []
    size = 0
    for letter in letters:
        size += len(letter.content) + 256
        if chosen and size > LARGEST:
            break
        chosen.append(letter)
    return chosen


def _plaintext(letters: list[Letter], owed: list[str]) -> bytes:
    rows = [
        {
            "id": letter.id,
            "hit": letter.hit,
            "kind": letter.kind,
            "content": canonical.parse(letter.content),
        }
        for letter in letters
    ]
    content: dict[str, Any] = {"letters": rows, "have": owed, "pad": ""}
    content["pad"] = "0" * max(0, SMALLEST - len(canonical.serialise(content)))
    return canonical.serialise(content)
