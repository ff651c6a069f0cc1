"""The record of a finished study, as nodes get it to recompute the release.

It holds the request and all contributions (signed, masked) of every round, and names the attempts that failed
with what they cost. Nothing in it tells more than the coordinator had: single vectors stay masked.

Guarantees: one byte form, cut into parts of at most ``LARGEST_PART`` bytes; missing, repeated and changed
parts and parts of different records are refused. What a record says is checked by ``study.transcript``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Limit

from safeborders_fed.errors import PeerError
from safeborders_fed.study import bundle, canonical
from safeborders_fed.study.handshake import Hash, Name

LARGEST_PART: Final = 4 * 2**20
_ROOM: Final = 4096
"""Bytes of a part that its description may take."""
_STRICT: Final = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)
Count = Annotated[int, Limit(ge=0, lt=2**31)]


class FailedAttempt(BaseModel):
    """An attempt that was paid for and gave no sum.

    Attributes:
        failures: Node to the code of what it did instead of contributing.
        rho: What it cost each node that contributed.
    """

    model_config = _STRICT

    attempt: Count
    round: Count
    stage: Name
    failures: dict[Name, Name]
    rho: float = Limit(gt=0)


@dataclass(frozen=True)
class DoneRound:
    """A round that gave a sum: the bytes of its request, and each participant's contribution."""

    request: bytes
    contributions: Mapping[str, bytes]


class _Header(BaseModel):
    model_config = _STRICT

    type: Literal["transcript"]
    schema_version: Literal[1]
    study: Name
    manifest_hash: Hash
    rounds: tuple[tuple[Name, ...], ...]
    failed: tuple[FailedAttempt, ...]


class _Part(BaseModel):
    model_config = _STRICT

    type: Literal["transcript-part"]
    study: Name
    sha256: Hash
    part: Count
    parts: Count


@dataclass(frozen=True)
class Transcript:
    """A finished study.

    Attributes:
        study: Its id.
        manifest_hash: Hash of its manifest.
        rounds: Its rounds, in order.
        failed: Attempts that gave no sum.
    """

    study: str
    manifest_hash: str
    rounds: tuple[DoneRound, ...]
    failed: tuple[FailedAttempt, ...]

    def encode(self) -> bytes:
        """The canonical bytes."""
        header = _Header(
            type="transcript",
            schema_version=1,
            study=self.study,
            manifest_hash=self.manifest_hash,
            rounds=tuple(tuple(sorted(entry.contributions)) for entry in self.rounds),
            failed=self.failed,
        )
        items = []
        for entry in self.rounds:
            items += [entry.request, *(data for _, data in sorted(entry.contributions.items()))]
        return bundle.pack(header.model_dump(mode="json"), items)

    @classmethod
    def decode(cls, data: bytes) -> Transcript:
        """The record that the bytes hold.

        Raises:
            PeerError: ``malformed-bundle`` or ``not-canonical``.
        """
        found, items = bundle.unpack(data)
        header = _checked(_Header, found)
        if len(items) != sum(1 + len(nodes) for nodes in header.rounds):
            raise bundle.malformed("it has not the items that it describes")
        rounds, start = [], 0
        for nodes in header.rounds:
            contributions = dict(zip(nodes, items[start + 1 : start + 1 + len(nodes)], strict=True))
            rounds.append(DoneRound(items[start], contributions))
            start += 1 + len(nodes)
        transcript = cls(header.study, header.manifest_hash, tuple(rounds), header.failed)
        if transcript.encode() != data:
            raise bundle.malformed("other bytes would stand for the same record")
        return transcript

    def parts(self) -> list[bytes]:
        """The record in parts of at most ``LARGEST_PART`` bytes."""
        data = self.encode()
        size = LARGEST_PART - _ROOM
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        digest = canonical.sha256(data)
        return [
            bundle.pack(
                _Part(
                    type="transcript-part", study=self.study, sha256=digest, part=number, parts=len(pieces)
                ).model_dump(mode="json"),
                [piece],
            )
            for number, piece in enumerate(pieces)
        ]

    @classmethod
    def from_parts(cls, parts: Sequence[bytes]) -> Transcript:
        """The record that parts hold, in whatever order they came.

        Raises:
            PeerError: ``malformed-bundle``, ``not-canonical`` or ``incomplete-transcript``.
        """
        pieces: dict[int, bytes] = {}
        described: set[tuple[str, str, int]] = set()
        for part in parts:
            found, items = bundle.unpack(part)
            head = _checked(_Part, found)
            if len(items) != 1 or len(part) > LARGEST_PART:
                raise bundle.malformed("a part has not one item, or is too long")
            described.add((head.study, head.sha256, head.parts))
            pieces[head.part] = items[0]
        if len(described) != 1 or len(pieces) != len(parts):
            raise _incomplete("parts of different records, or one of them twice, were given")
        study, digest, count = described.pop()
        if sorted(pieces) != list(range(count)):
            raise _incomplete(f"{len(pieces)} of {count} parts were given")
        data = b"".join(pieces[number] for number in range(count))
        if canonical.sha256(data) != digest:
            raise _incomplete("a part was changed")
        transcript = cls.decode(data)
        if transcript.study != study:
            raise _incomplete("the parts name another study")
        return transcript

    def contributions_of(self, node: str) -> list[bytes]:
        """What a node contributed to the sums, in order: for it to compare with what its ledger holds."""
        return [entry.contributions[node] for entry in self.rounds if node in entry.contributions]


def _checked(kind: type[Any], header: Mapping[str, Any]) -> Any:
    try:
        return kind.model_validate_json(canonical.serialise(header))
    except ValidationError as error:
        raise bundle.malformed("a field of it is missing or wrong") from error


def _incomplete(what: str) -> PeerError:
    return PeerError(
        "incomplete-transcript",
        f"the record of a study is not whole: {what}",
        "ask the coordinator to send all parts of it again",
    )
