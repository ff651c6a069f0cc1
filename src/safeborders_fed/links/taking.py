"""How a node sends its chunks and takes the tokens that all nodes have helped to make.

Guarantees:

- A chunk is sent only while its batch is approved here by enough prosecutors who are enrolled and not
  revoked, in the epoch of today, with links on. Its signed text is fixed when it is sent first.
- Shares are believed only with a proof, by each node's published key, for exactly these points. If one does
  not hold, nothing of the chunk is kept and the node that lied is named, in an alarm and in the answer; a
  share that its node did not sign blames nobody but the way there.
- Tokens of a chunk are kept in one transaction with its being taken: killed at any point, the same chunk is
  sent again, all nodes give the bytes that they stored, and nothing is lost, doubled or paid for twice.
"""

from __future__ import annotations

from typing import Final

from safeborders_fed.audit.chain import Operation
from safeborders_fed.errors import PeerError, RefusedError
from safeborders_fed.links import alarms, oprf, ristretto
from safeborders_fed.links.batch_statement import BatchStatement, Chunk
from safeborders_fed.links.batches import open_items
from safeborders_fed.links.key_set import KeySet
from safeborders_fed.links.office import Office
from safeborders_fed.node.approvals import Approval, require_approvals
from safeborders_fed.node.link_batches import OwnBatch, OwnChunk
from safeborders_fed.node.link_tokens import TokenRow
from safeborders_fed.study import canonical
from safeborders_fed.study.link_messages import (
    LinkAnswer,
    LinkAsk,
    Said,
    Words,
    array_hash,
    to_rows,
    to_words,
    wrong_saying,
)

_POINT: Final = 32
_TOKEN: Final = 32


def batch(office: Office, ask: LinkAsk) -> LinkAnswer:
    """The next chunk that waits for tokens, or nothing. Batches that cannot go on are ended and recorded."""
    keys = office.key_set(office.keys.current())
    for own in office.book.batches.all():
        if own.ended is not None or keys is None or has_ended(office, own):
            continue
        approvals = approved(office, own)
        chunk = office.book.batches.next_chunk(own.id) if approvals else None
        if chunk is not None:
            said = _sent(office, own, chunk, keys, approvals)
            return LinkAnswer(ask.exchange, ask.step, said, {"points": _array(chunk.points)})
    return LinkAnswer(ask.exchange, ask.step, office.said("nothing", {}))


def has_ended(office: Office, own: OwnBatch) -> bool:
    """Whether a batch can go on no more, for its epoch or its last moment is past; it is ended then.

    Nothing is lost: identifiers without a token of the epoch of today are new to the next batch.
    """
    statement = BatchStatement.from_bytes(own.statement)
    outcome = "epoch" if own.epoch != office.keys.current() else "expired"
    if outcome == "expired" and statement.expires > office.clock():
        return False
    if office.book.batches.end(own.id, outcome):
        office.audit_log.append_if_new(
            f"link-batch-end/{own.id}",
            Operation.LINK_BATCH,
            who=office.node,
            why=f"the batch has ended ({outcome}); its identifiers are asked for anew in the next one",
            details={"batch": own.id, "outcome": outcome, "taken": own.taken, "chunks": own.chunks},
        )
    return True


def approved(office: Office, own: OwnBatch, needed: int | None = None) -> tuple[Approval, ...]:
    """Approvals of a batch that count here now; none if fewer than the policy needs, or than ``needed``."""
    try:
        return require_approvals(
            [Approval.from_bytes(content) for content in office.book.batches.approvals(own.id)],
            subject="link-batch",
            subject_hash=own.id,
            approvers=tuple(office.approvers),
            needed=office.policy.approvals_needed if needed is None else needed,
            now=office.clock(),
        )
    except RefusedError:
        return ()


def take(office: Office, ask: LinkAsk) -> LinkAnswer:
    """Checks every node's shares of a chunk and keeps its tokens.

    Raises:
        PeerError: ``wrong-saying``, ``bad-signature``: what is passed on is not what all nodes said.
    """
    sayings = _by_node(office, ask)
    text_hash = _chunk_of(sayings)
    found = office.book.batches.sent(text_hash)
    if found is None:
        raise wrong_saying("the coordinator", "shares of a chunk that this node did not send")
    chunk, taken = found
    blamed = [] if taken else _take(office, ask, sayings, chunk)
    return LinkAnswer(ask.exchange, ask.step, office.said("taken", {"chunk": text_hash, "blamed": blamed}))


def _sent(
    office: Office, own: OwnBatch, chunk: OwnChunk, keys: KeySet, approvals: tuple[Approval, ...]
) -> Said:
    if chunk.said is not None:
        return Said.model_validate_json(chunk.said)
    content = Chunk(
        epoch=own.epoch,
        key_set=keys.hash,
        batch=BatchStatement.from_bytes(own.statement),
        approvals=approvals,
        number=chunk.number,
        type=chunk.kind,
        count=chunk.count,
        points=array_hash(_array(chunk.points)),
    )
    said = office.said("chunk", content.model_dump(mode="json"))
    office.audit_log.append_if_new(
        f"link-sent/{chunk.batch}/{chunk.number}",
        Operation.LINK_BATCH,
        who=", ".join(each.name for each in approvals)[:200],
        why="blinded points of an approved batch go out to all nodes, which learn no identifier from them",
        details={"batch": own.id, "chunk": chunk.number, "type": chunk.kind, "points": chunk.count},
    )
    fixed = office.book.batches.send(chunk, said.model_dump_json().encode("utf-8"), said.hash)
    return Said.model_validate_json(fixed)


def _take(office: Office, ask: LinkAsk, sayings: dict[str, Said], chunk: OwnChunk) -> list[str]:
    """Keeps a chunk's tokens; the nodes that lied, by name, and then nothing is kept."""
    own = office.book.batches.of(chunk.batch)
    if own is None or own.ended is not None:
        raise wrong_saying("the coordinator", "shares of a batch that has ended")
    keys = office.require_key_set(own.epoch)
    points = to_rows(_array(chunk.points))
    shares = {node: _shares_of(sayings[node], ask.arrays.get(f"shares-{node}")) for node in keys.nodes}
    blamed = [
        node
        for node in keys.nodes
        if not _proved(keys.public(node, chunk.kind), points, shares[node], sayings[node])
    ]
    for node in blamed:
        alarms.blame(office, node, chunk.batch, chunk.number)
    if not blamed:
        _keep(office, own, chunk, [shares[node] for node in keys.nodes])
    return blamed


def _keep(office: Office, own: OwnBatch, chunk: OwnChunk, shares: list[list[bytes]]) -> None:
    tokens = []
    for item, product in zip(open_items(office, chunk), oprf.combine(shares), strict=True):
        if item is not None:  # padding
            data = oprf.token_input(own.epoch, chunk.kind, item.form)
            token = oprf.finalize(data, item.scalar, product)[:_TOKEN]
            tokens.append(TokenRow(chunk.kind, item.digest, token, item.strength))
    office.book.batches.take(chunk, own.epoch, tokens)
    office.audit_log.append_if_new(
        f"link-taken/{chunk.batch}/{chunk.number}",
        Operation.LINK_BATCH,
        who=office.node,
        why="all nodes proved their shares; the tokens of this chunk are kept",
        details={"batch": chunk.batch, "chunk": chunk.number, "type": chunk.kind, "tokens": len(tokens)},
    )


def _by_node(office: Office, ask: LinkAsk) -> dict[str, Said]:
    """One saying of each node of the epoch; the roster may have more by now."""
    sayings = {each.node: each for each in ask.said}
    keys = office.key_set(office.keys.current())
    nodes = office.accepted.keys() if keys is None else set(keys.nodes)
    if len(sayings) != len(ask.said) or sayings.keys() != nodes or not nodes <= office.accepted.keys():
        raise wrong_saying("the coordinator", "shares that are not one of each node of the epoch")
    for node, said in sayings.items():
        said.content(office.accepted[node], "shares")
    return sayings


def _chunk_of(sayings: dict[str, Said]) -> str:
    hashes = {_fields(said)[0] for said in sayings.values()}
    if len(hashes) != 1:
        raise wrong_saying("the coordinator", "shares of different chunks")
    return hashes.pop()


def _fields(said: Said) -> tuple[str, str, str]:
    """Chunk, hash of the shares and proof of a saying whose signature was checked."""
    content = canonical.parse(said.text.encode("utf-8"))
    values = tuple(content.get(name) for name in ("chunk", "shares", "proof"))
    if not all(isinstance(value, str) for value in values):
        raise wrong_saying(said.node, "shares that are not ones of this protocol")
    return values[0], values[1], values[2]


def _shares_of(said: Said, array: Words | None) -> list[bytes]:
    """The shares that a node signed. Raises PeerError when the array is not the one that it signed."""
    if array is None or array.ndim != 2 or array.shape[1] != 4 or array_hash(array) != _fields(said)[1]:
        raise PeerError(
            "wrong-saying",
            f"the shares passed on for {said.node} are not those that it signed",
            "run the exchange again; if it happens again, ask the coordinator's operator",
        )
    return to_rows(array)


def _proved(public: bytes, points: list[bytes], shares: list[bytes], said: Said) -> bool:
    try:
        proof = bytes.fromhex(_fields(said)[2])
    except ValueError:
        return False
    return (
        len(shares) == len(points)
        and all(map(ristretto.is_valid, shares))
        and oprf.verify(public, points, shares, proof)
    )


def _array(points: bytes) -> Words:
    return to_words([points[at : at + _POINT] for at in range(0, len(points), _POINT)], _POINT)
