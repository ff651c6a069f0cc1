"""Words about networks across states, in the letters of an exchange (``network_sizes`` says what they mean).

Guarantees: a word goes out over confirmed hits of the present epoch only, once in each exchange, and not
again if it is what was said last. What is heard counts as long as this node's own people hold the hit for
confirmed.
"""

from __future__ import annotations

import hmac
import logging
from typing import TYPE_CHECKING, Final

from safeborders_fed.errors import PeerError, SafeBordersError
from safeborders_fed.links import network_sizes
from safeborders_fed.links.network import Network
from safeborders_fed.links.network_sizes import Standing, Word
from safeborders_fed.links.own_files import OwnFiles, lead_of, own_files
from safeborders_fed.node.hit_book import CONFIRMED, HitRow
from safeborders_fed.node.hit_letters import HitLetters
from safeborders_fed.study import canonical

if TYPE_CHECKING:
    from safeborders_fed.links.office import Office

LOG: Final = logging.getLogger(__name__)
KIND: Final = "label"
_LABELS: Final = b"safeborders network labels v1"


def spread(office: Office, exchange: str) -> None:
    """Puts out a letter over each confirmed hit over which something new is to be said.

    A failure is logged, and holds up no other letter.
    """
    if office.spread_in == exchange:
        return
    try:
        _spread(office)
    except SafeBordersError as error:
        LOG.warning("no words about networks across states in exchange %s: %s", exchange, error)
    office.spread_in = exchange


def _spread(office: Office) -> None:
    epoch = office.keys.current()
    confirmed = {row.id: row for row in _confirmed(office, epoch)}
    if not confirmed or office.key_set(epoch) is None:
        return
    words = network_sizes.words(
        _pieces(own_files(office), confirmed), heard(office), key=_key(office, epoch), epoch=epoch
    )
    box = HitLetters(office.hits)
    for hit, word in words.items():
        content = canonical.serialise({KIND: word.model_dump()})
        if box.last_out(hit, KIND) != content:
            box.put_out(epoch, confirmed[hit].partner, hit, KIND, content)


def heard(office: Office) -> dict[str, Word]:
    """What was said over each hit, in any order; what cannot be read is as if it had not come."""
    found: dict[str, Word] = {}
    for partner, letter in HitLetters(office.hits).received(KIND):
        try:
            word = network_sizes.read(partner, canonical.parse(letter.content)[KIND])
        except (PeerError, KeyError, TypeError):
            continue
        found[letter.hit] = network_sizes.joined(word, found.get(letter.hit, word))
    return found


def across(office: Office, files: OwnFiles, found: tuple[Network, ...]) -> dict[int, list[Standing]]:
    """By number of a network of this node, what is known of its confirmed pieces over all states."""
    epoch = office.keys.current()
    confirmed = {row.id: row for row in _confirmed(office, epoch)}
    if not confirmed or office.key_set(epoch) is None:
        return {}
    words, key = heard(office), _key(office, epoch)
    known: dict[int, list[Standing]] = {}
    for piece in _pieces(files, confirmed):
        if piece.hits:
            (case, *_) = piece.of("case")
            number = next(each.number for each in found if case in each.graph)
            standing = network_sizes.standing(piece, words, key=key, epoch=epoch)
            known.setdefault(number, []).append(standing)
    return known


def _confirmed(office: Office, epoch: str) -> list[HitRow]:
    """Hits that people of both states hold for confirmed."""
    rows = office.hits.shown({CONFIRMED})
    return [row for row in rows if row.epoch == epoch and row.partner_outcome == CONFIRMED]


def _pieces(files: OwnFiles, confirmed: dict[str, HitRow]) -> tuple[Network, ...]:
    return files.networks([lead_of(row) for row in confirmed.values()])


def _key(office: Office, epoch: str) -> bytes:
    """The secret of the labels of an epoch, which is gone with the epoch's keys."""
    return hmac.digest(office.secrets(epoch).handle_key, _LABELS, "sha256")
