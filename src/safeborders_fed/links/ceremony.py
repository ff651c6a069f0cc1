"""The node's half of making the keys of an epoch: commit, reveal, pin, and agree that all pinned the same.

Guarantees: a node reveals its share only after it has seen a signed commitment of every node of the roster,
its own unchanged among them, and to one set of commitments only: if the ceremony begins again after that, or
for another roster, it gives up its secrets and makes others, so that nobody commits to a key after having
seen one that will count. It pins a set only if every check of ``links.key_set`` holds and its own share is in
it unchanged; an epoch has one set and never another; it is used only once every node has signed that it
pinned the very same. Each of these is in the audit log.

Not given: a state that, with the coordinator, sees the others' shares can withhold its own and have all make
new ones; it chooses among as many ceremonies as it spoils, in the sight of all, and by one bit for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pydantic import TypeAdapter

from safeborders_fed.audit.chain import Operation
from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError
from safeborders_fed.links.key_set import KeySet, key_set
from safeborders_fed.links.key_shares import commitment, share_content
from safeborders_fed.links.office import Office
from safeborders_fed.node.approvals import people
from safeborders_fed.node.link_ceremony import Ceremony
from safeborders_fed.study import canonical
from safeborders_fed.study.link_messages import LinkAnswer, LinkAsk, Said, wrong_saying

_SAYINGS: Final = TypeAdapter(tuple[Said, ...])


def commit(office: Office, ask: LinkAsk) -> LinkAnswer:
    """Commits to this node's share of the epoch of today, which is made if there is none.

    Asked as often as anybody likes, it says the same. Asked to begin ``anew``, it makes another share if it
    has revealed this one and pinned no set.

    Raises:
        RefusedError: ``link-epoch``.
        ConfigurationError: ``no-prosecutors``; or as EpochKeys.make.
    """
    epoch = ask.content.get("epoch")
    if not isinstance(epoch, str):
        raise wrong_saying("the coordinator", "no epoch")
    began = _began(office, epoch, anew=ask.content.get("anew") is True)
    content = {"epoch": epoch, "roster": office.roster_hash, "commitment": commitment(began.share)}
    return _answer(ask, office.said("commitment", content))


def reveal(office: Office, ask: LinkAsk) -> LinkAnswer:
    """Reveals this node's share, once everybody has committed.

    Raises:
        PeerError: what nodes said is not a commitment of each, by name.
        RefusedError: ``link-epoch``, also when it was revealed to other commitments.
    """
    contents = _contents(office, ask.said, "commitment")
    epoch = _one(contents, "epoch")
    began = _began(office, epoch)
    if contents[office.node].get("commitment") != commitment(began.share):
        raise wrong_saying(office.node, "a commitment that is not its own")
    if any(content.get("roster") != office.roster_hash for content in contents.values()):
        raise wrong_saying("a node", "a commitment for another roster")
    in_order = tuple(sorted(ask.said, key=lambda each: each.node))
    office.book.ceremonies.commit(epoch, _SAYINGS.dump_json(in_order))
    said = office.said("share", canonical.parse(began.share.encode("utf-8")))
    office.audit_log.append_if_new(
        f"link-share/{epoch}/{said.hash}",
        Operation.LINK_KEYS,
        who=office.node,
        why=f"this node's share of the keys of epoch {epoch} was shown to the other nodes",
        details={"epoch": epoch, "share": said.hash},
    )
    return _answer(ask, said)


def pin(office: Office, ask: LinkAsk) -> LinkAnswer:
    """Checks all shares against what was committed to, and pins the set.

    Raises:
        PeerError: as ``links.key_set.key_set``, naming who is at fault.
        RefusedError: ``link-epoch``, when another set is pinned.
    """
    epoch = _one(_contents(office, ask.said, "share"), "epoch")
    began = _began(office, epoch)
    if began.commitments is None:
        raise wrong_saying("the coordinator", "shares before commitments")
    commitments = _SAYINGS.validate_json(began.commitments)
    keys = key_set(commitments, ask.said, office.accepted, epoch, office.roster_hash)
    if keys.share_hash(office.node) != canonical.sha256(began.share.encode("utf-8")):
        raise wrong_saying(office.node, "a share that is not its own")
    office.book.ceremonies.pin(epoch, keys.to_bytes())
    office.audit_log.append_if_new(
        f"link-keys/{epoch}/{keys.hash}",
        Operation.LINK_KEYS,
        who=office.node,
        why=f"the keys of all nodes for epoch {epoch} were checked and pinned",
        details={"epoch": epoch, "keys": keys.hash, "nodes": " ".join(keys.nodes)},
    )
    content = {"epoch": epoch, "roster": office.roster_hash, "keys": keys.hash}
    return _answer(ask, office.said("key-set", content))


def pinned(office: Office, ask: LinkAsk) -> LinkAnswer:
    """Takes the epoch into use, once every node has signed that it pinned the same set.

    Raises:
        PeerError: ``wrong-saying``, naming a node that pinned another one.
        RefusedError: ``link-epoch``.
    """
    contents = _contents(office, ask.said, "key-set")
    epoch = _one(contents, "epoch")
    found = _began(office, epoch)
    if found.key_set is None:
        raise wrong_saying("the coordinator", "that a set is pinned which is not")
    own = KeySet.from_bytes(found.key_set).hash
    for node, content in contents.items():
        if content.get("keys") != own:
            raise wrong_saying(node, "that it pinned other keys than this node")
    office.book.ceremonies.ready(epoch, _SAYINGS.dump_json(ask.said))
    return _answer(ask, office.said("ready", {"epoch": epoch}))


def prosecutors(office: Office) -> dict[str, str]:
    """Who may approve batches here: public keys by name.

    Raises:
        ConfigurationError: ``no-prosecutors``, when they are fewer than must sign a batch.
    """
    enrolled = [person for person in office.approvers if person.role == "prosecutor" and not person.revoked]
    needed = office.policy.approvals_needed
    if len(set(people(enrolled).values())) < needed:
        raise ConfigurationError(
            "no-prosecutors",
            f"{needed} prosecutors must sign a batch at {office.node}, and {len(enrolled)} are enrolled",
            "enrol them with `safeborders node approver add --role prosecutor`, then make the epoch's keys",
        )
    return {person.name: person.public for person in enrolled}


def _began(office: Office, epoch: str, *, anew: bool = False) -> Ceremony:
    """The ceremony of the epoch of today, begun if it was not, or if its share cannot serve any more."""
    office.keys.require_current(epoch)
    found = office.book.ceremonies.of(epoch)
    if found is not None and found.share and _is_spent(office, found, anew=anew):
        _give_up(office, epoch, found)
        found = office.book.ceremonies.of(epoch)
    if found is not None and found.destroyed is None and found.share and office.keys.exists(epoch):
        return found
    if found is not None and (found.destroyed is not None or found.share):
        raise RefusedError(
            "link-epoch",
            f"the secrets of epoch {epoch} were destroyed at this node",
            "begin again in the next epoch; no new ones are made in this one",
        )
    people = prosecutors(office)
    if found is not None:  # given up: also by a process that died before it had made others
        office.keys.destroy(epoch)
    content = share_content(office.keys.make(epoch), office.node, epoch, office.roster_hash, people)
    return office.book.ceremonies.begin(epoch, canonical.serialise(content).decode("utf-8"))


def _is_spent(office: Office, found: Ceremony, *, anew: bool) -> bool:
    """Whether a share that is not pinned was seen in a ceremony that is over, or is for another roster."""
    if found.key_set is not None or found.destroyed is not None:
        return False
    roster = canonical.parse(found.share.encode("utf-8")).get("roster")
    return (anew and found.commitments is not None) or roster != office.roster_hash


def _give_up(office: Office, epoch: str, found: Ceremony) -> None:
    if office.book.ceremonies.renew(epoch):
        share = canonical.sha256(found.share.encode("utf-8"))
        office.audit_log.append_if_new(
            f"link-share-given-up/{epoch}/{share}",
            Operation.LINK_KEYS,
            who=office.node,
            why=f"the keys of epoch {epoch} are made again: this node gives up its share and makes another",
            details={"epoch": epoch, "share": share},
        )


def _contents(office: Office, said: Sequence[Said], kind: str) -> dict[str, dict[str, Any]]:
    """What each node of the roster says, signatures checked. Raises PeerError."""
    contents: dict[str, dict[str, Any]] = {}
    for each in said:
        if each.node not in office.accepted or each.node in contents:
            raise wrong_saying(each.node, f"a {kind!r} twice, or as no node of the roster")
        contents[each.node] = each.content(office.accepted[each.node], kind)
    for node in sorted(office.accepted.keys() - contents.keys()):
        raise wrong_saying(node, f"no {kind!r}")
    return contents


def _one(contents: dict[str, dict[str, Any]], name: str) -> str:
    """A field that all say alike."""
    values = {content.get(name) for content in contents.values()}
    value = values.pop() if len(values) == 1 else None
    if not isinstance(value, str):
        raise PeerError("wrong-saying", f"nodes differ in their {name}", "run the exchange again")
    return value


def _answer(ask: LinkAsk, said: Said) -> LinkAnswer:
    return LinkAnswer(ask.exchange, ask.step, said)
