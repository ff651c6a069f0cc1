"""Handing the end of a study to its nodes: how it ended and, if it released something, the whole record.

Guarantees: every node gets the same bytes; a node counts as having them once it has confirmed each part; one
that does not confirm a part is asked for no further one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from safeborders_fed.coordinator.federation import Federation, reply_of
from safeborders_fed.errors import DefectError, SafeBordersError
from safeborders_fed.study import canonical
from safeborders_fed.study.offering import LARGEST_PART, Content, Ending, Finished, Kept, coded
from safeborders_fed.study.sums import wrong_reply

if TYPE_CHECKING:
    from safeborders_fed.coordinator.study_files import StudyFiles
    from safeborders_fed.coordinator.study_state import StudyState
    from safeborders_fed.study.manifest import Manifest

_ENDINGS: dict[str, Ending] = {"finished": "finished", "failed": "failed", "withdrawn": "withdrawn"}
_OFFLINE = "offline"


@dataclass
class Delivered:
    """Who has the record, and for each other node why not."""

    nodes: set[str] = field(default_factory=set)
    missing: dict[str, str] = field(default_factory=dict)


def deliver(files: StudyFiles, state: StudyState, federation: Federation) -> Delivered:
    """Hands the end of a study to all nodes that do not have it.

    Raises:
        PeerError, ConfigurationError: The study's files do not verify or cannot be read.
    """
    manifest = files.published()
    wanted = [node for node in manifest.participants if node not in state.delivered]
    online = federation.online()
    found = Delivered(
        {node for node in wanted if node in online}, {n: _OFFLINE for n in wanted if n not in online}
    )
    for message in _messages(files, state, manifest):
        if not found.nodes:
            break
        replies = federation.ask(dict.fromkeys(sorted(found.nodes), message.encode()))
        for node in sorted(found.nodes):
            try:
                answer = reply_of(node, replies)
                if not isinstance(answer, Kept) or (answer.node, answer.part) != (node, message.part):
                    raise wrong_reply(node)
            except SafeBordersError as error:
                found.nodes.remove(node)
                found.missing[node] = error.code
    return found


def _messages(files: StudyFiles, state: StudyState, manifest: Manifest) -> Iterator[Finished]:
    ending = _ENDINGS.get(state.state)
    if ending is None:
        raise DefectError("not-ended", f"study {state.study!r} has not ended", "report this")
    record: list[tuple[Content, Path | bytes]] = [("nothing", b"")]
    release = b""
    if ending == "finished":
        release = files.release.read_bytes()
        record = [("transcript", path) for path in sorted(files.transcript.glob("*.part"))]
        record += [
            ("release", release[start : start + LARGEST_PART])
            for start in range(0, len(release), LARGEST_PART)
        ]
    history = files.told(state)
    for number, (content, part) in enumerate(record):
        data = part if isinstance(part, bytes) else part.read_bytes()  # one part at a time in memory
        yield Finished(
            study=manifest.id,
            manifest_hash=manifest.hash(),
            outcome=ending,
            history=history,
            release_hash=canonical.sha256(release) if release else "",
            part=number,
            parts=len(record),
            content=content,
            data=coded(data),
        )
