"""A node's audit log for its auditors: verified, exported, and the anchors of other nodes that lie here.

Guarantees: nothing but an export's own entry is written. The log is held against the anchors in the node's
own ledger, read from a copy. An export by who may sign for the node is on record, as a signed note, before
its file has its name. One by an auditor, who may read the log and not sign, is on no record; neither is one
from a copy of a log, elsewhere, which needs public keys only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from safeborders_fed.audit import notices, page, records, verification
from safeborders_fed.audit.anchors import Anchor
from safeborders_fed.audit.chain import LONGEST_LINE, Operation, Verified, is_signed, parse_line
from safeborders_fed.audit.log import Event
from safeborders_fed.audit.page import Result
from safeborders_fed.audit.period import Period, rows
from safeborders_fed.audit.summary import Summary
from safeborders_fed.audit.tail import signed_length
from safeborders_fed.errors import ConfigurationError, SafeBordersError, UsageError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node import budget_statement, layout, own_keys
from safeborders_fed.node.backup import LEDGER, NOTHING
from safeborders_fed.node.ledger_copy import ledger_copy
from safeborders_fed.study import durable
from safeborders_fed.study.anchors import AnchorFile
from safeborders_fed.study.key_files import load_key

if TYPE_CHECKING:
    from safeborders_fed.node.settings import NodeSettings

FORMATS: Final = ("jsonl", "json", "csv", "html")
Record = Callable[[Event], bool]
"""Puts an event on record before its effect, and says whether the audit log has it already."""


@dataclass(frozen=True)
class Source:
    """A log to read, with what is known of it.

    Attributes:
        path: The log.
        node: Whose it is; empty for a log without entries.
        keys: The node's public keys in the order of their use, up to the one that the log ends with.
        anchors: What its ledger and others keep.
        foreign: How many anchors were given that none of these keys signed; they count for nothing.
    """

    path: Path
    node: str
    keys: tuple[str, ...]
    anchors: tuple[Anchor, ...]
    foreign: int

    def verify(self, numbered: dict[int, str] | None = None) -> Verified:
        """Checks all of it. Raises as ``audit.verification.check``."""
        return verification.check(self.path, self.keys, self.anchors, numbered)

    def result(self) -> Result:
        """What verification finds, in words."""
        try:
            found = self.verify()
        except SafeBordersError as error:
            return Result(holds=False, text=f"{error.cause} (error {error.code}).", entries=0, head="")
        text = f"Every entry and signature was checked, and {len(self.anchors):,} anchors kept elsewhere."
        return Result(holds=True, text=text, entries=found.entries, head=found.head)


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        entries: How many.
        sha256: Of the file.
        result: Of verification.
        logged: Whether the audit log says so already; false too for a log that is no node's home.
    """

    entries: int
    sha256: str
    result: Result
    logged: bool


def of_home(settings: NodeSettings, given: Sequence[AnchorFile] = ()) -> Source:
    """The log in a node's directory, with the anchors in its ledger besides those given.

    For people who may not open the ledger: with those that its service stated.

    Raises:
        ConfigurationError: as NodeSettings.accepted_keys, load_key and the ledger's.
    """
    keys = _keys(settings)
    ledger = settings.home / LEDGER
    own: list[Anchor] = []
    if not layout.is_operator(settings.home):
        own = budget_statement.read(settings.home).all_anchors()
    elif ledger.exists():
        with ledger_copy(ledger, NOTHING) as copy:
            own = copy.anchors.all()
    found = verification.sort(given, keys)
    return Source(settings.audit_path, settings.country, keys, (*own, *found.own), found.foreign)


def of_file(path: Path, keys: Sequence[str], given: Sequence[AnchorFile] = ()) -> Source:
    """A log or a copy of one, wherever it lies; that it holds is for ``Source.verify`` to say."""
    found = verification.sort(given, keys)
    return Source(path, _node(path), tuple(keys), found.own, found.foreign)


def _node(path: Path) -> str:
    """Whose log it is, by its first line; empty when that cannot be read."""
    try:
        with path.open("rb") as file:
            return parse_line(file.readline(LONGEST_LINE).removesuffix(b"\n"), 1).node
    except (OSError, ConfigurationError):
        return ""


def _keys(settings: NodeSettings) -> tuple[str, ...]:
    """The node's keys in the order of their use: as its people accepted them, or its first one.

    A key that was accepted and waits for the service to start has not signed the log yet.
    """
    accepted = settings.accepted_keys()
    current = accepted.keys().get(settings.country)
    if current is None:
        return (public_hex(load_key(settings.signing_key_path)),)
    earlier = accepted.earlier.get(settings.country, ())
    waits = _waits(settings)
    if earlier and waits and _ends_with(settings.audit_path, earlier[-1]):
        return earlier
    return (*earlier, current)


def _waits(settings: NodeSettings) -> bool:
    """Whether a key waits; who may not look there goes by what the people accepted."""
    try:
        return own_keys.successor(settings.signing_key_path).exists()
    except PermissionError:
        return False


def _ends_with(path: Path, key: str) -> bool:
    """Whether the last entry of a log is signed by a key; false for a log that cannot be read."""
    try:
        with path.open("rb") as file:
            _, tail = signed_length(file.fileno())
    except (OSError, ConfigurationError):
        return False
    return tail.entry is not None and is_signed(tail.entry, tail.line, key)


def recorder(settings: NodeSettings) -> Record | None:
    """Puts events on record in the node's audit log; None for who may read it and not sign for the node.

    Raises:
        ConfigurationError: as load_key and ``notices``.
    """
    if not layout.is_operator(settings.home):
        return None
    key = load_key(settings.signing_key_path)

    def record(event: Event) -> bool:
        return notices.record(settings.home, key, settings.country, event, settings.open_audit_log)

    return record


def export(
    source: Source,
    period: Period,
    form: str,
    out: Path,
    *,
    who: str,
    now: datetime,
    record: Record | None,
) -> Exported:
    """Writes the entries of a period, or what they come to, to a new file.

    Args:
        source: The log.
        period: Days, UTC, both included.
        form: One of ``FORMATS``.
        out: The file.
        who: Who asks for it.
        now: The time, UTC.
        record: Puts the export on record; None for a log that is no node's home.

    Raises:
        UsageError: ``unknown-format`` or ``out-exists``.
        ConfigurationError: ``out-unwritable``; ``audit-log-altered`` where a line is not an entry; or as
            ``notices.record``.
    """
    if form not in FORMATS:
        raise UsageError(
            "unknown-format", f"there is no format {form!r}", f"give one of {', '.join(FORMATS)}"
        )
    if out.exists():
        raise UsageError("out-exists", f"{out} exists already", "name a new file with --out")
    result, summary, digest = source.result(), Summary(period), hashlib.sha256()
    try:
        with durable.appearing(out) as file:
            for piece in _content(source, summary, form, result, now):
                digest.update(piece)
                file.write(piece)
            facts: dict[str, str | int] = {"file": out.name, "format": form, "entries": summary.entries}
            event = Event(
                Operation.EXPORT, who, f"audit log exported, {period}", facts | {"sha256": digest.hexdigest()}
            )
            logged = record is not None and record(event)
    except OSError as error:
        raise ConfigurationError(
            "out-unwritable",
            f"{out} cannot be written: {error.strerror}",
            "choose a directory that exists, has space and that this user may write to",
        ) from error
    return Exported(summary.entries, digest.hexdigest(), result, logged)


def _content(source: Source, summary: Summary, form: str, result: Result, now: datetime) -> Iterator[bytes]:
    found = summary.watch(rows(source.path, summary.period))
    made = now.isoformat(timespec="seconds")
    if form == "jsonl":
        return records.as_lines(found)
    if form == "csv":
        return records.as_csv(found)
    if form == "json":
        about = {"schema_version": 1, "node": source.node, "made": made}
        about |= {"from": str(summary.period.first), "to": str(summary.period.last)}
        return records.as_json(found, about | {"verification": result._asdict()})
    for _ in found:
        pass  # counted on the way
    return iter([page.render(source.node, made, summary, result).encode("utf-8")])
