"""What a doctor looks at of a node's records: ledger and budget, audit log, case store.

Guarantees: nothing is written, also while the service runs: the ledger is copied, the log is read without its
lock, the store is not swept. No case data and no count of victims are shown.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from safeborders_fed.audit import anchors
from safeborders_fed.audit.chain import Operation, is_signed
from safeborders_fed.audit.tail import Tail, read_end, read_tail
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.errors import DataError, RefusedError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node import key_source, own_keys
from safeborders_fed.node.backup import NOTHING
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.node.ledger_copy import ledger_copy
from safeborders_fed.node.policy import Policy
from safeborders_fed.node.settings import LEDGER_FILE, NodeSettings
from safeborders_fed.node.visit import Visit
from safeborders_fed.privacy import accounting
from safeborders_fed.study import checkup
from safeborders_fed.study.checkup import Finding, failed, ok, skipped, warning
from safeborders_fed.study.key_files import load_key

SNAPSHOT_DAYS: Final = 400
"""After this many days cases are old enough to be asked about: national reports are yearly."""
_CLOCK_TOLERANCE: Final = timedelta(minutes=5)
_CHARGED: Final = frozenset({Operation.APPROVE, Operation.CONTRIBUTE, Operation.COUNT})


def ledger(visit: Visit) -> Iterator[Finding]:
    """Whether the ledger is whole and undisputed, and what is left of the budget."""
    settings, permitted, path = visit.settings, visit.settings.policy, visit.settings.home / LEDGER_FILE
    if permitted is None:
        yield from checkup.all_skipped(("ledger", "budget"), "without a policy there are no caps")
        return
    if not path.exists():
        if _knows_studies(settings.audit_path):
            yield _lost(path, "is gone")
        else:
            yield skipped("ledger", "there is no ledger yet; the first start makes it")
        return
    with ledger_copy(path, permitted.caps()) as copy:
        entries = copy.verify()
        disputes = copy.witnesses.disputes()
        if not entries and _knows_studies(settings.audit_path):
            yield _lost(path, "is empty")
        elif disputes:
            yield failed(
                "ledger",
                f"{', '.join(sorted({who for who, _ in disputes}))} knows entries that the ledger lacks: it "
                "was put back from an old copy, and nothing is answered",
                "let two people run `safeborders node ledger sign` and `reconcile`",
                RefusedError,
            )
        else:
            yield ok("ledger", f"{entries} entries, intact and undisputed")
        yield _budget(copy, permitted, visit.now.year)


def _lost(path: Path, how: str) -> Finding:
    return failed(
        "ledger",
        f"{path} {how}, though the audit log knows of studies: what was spent would be forgotten",
        "stop the node and restore it from backup; never let it answer with an empty ledger",
    )


def _knows_studies(path: Path) -> bool:
    """Whether an audit log tells of a study: only a node that never took part has no ledger."""
    return path.exists() and not _CHARGED.isdisjoint(_operations(path))


def _operations(path: Path) -> Iterator[Operation]:
    with path.open("rb") as file:
        data, _ = read_end(file.fileno(), os.fstat(file.fileno()).st_size)
    for operation in Operation:
        if f'"operation":"{operation.value}"'.encode("ascii") in data:
            yield operation


def _budget(copy: Ledger, permitted: Policy, year: int) -> Finding:
    """What is left, in epsilon at the policy's delta."""
    caps, ever, this_year = permitted.caps(), copy.totals(), copy.totals(year=year)
    left = {
        "this year": caps.year - this_year.spent - ever.reserved,
        "ever": caps.lifetime - ever.spent - ever.reserved,
    }
    texts = [
        f"epsilon {accounting.epsilon(max(rho, 0.0), permitted.delta):.3g} {span}"
        for span, rho in left.items()
    ]
    text = f"left for new studies: {' and '.join(texts)}"
    if min(left.values()) < caps.study:
        return warning(
            "budget",
            f"{text}; less than one study of the largest size permitted",
            "expect refusals, or raise the caps in node.toml by your own procedure",
        )
    return ok("budget", text)


def audit_log(visit: Visit) -> Iterator[Finding]:
    """Whether the end of the audit log is whole, this node's, and not from the future."""
    settings = visit.settings
    path = settings.audit_path
    if not path.exists():
        yield skipped("audit-log", "there is no audit log yet; the first operation makes it")
        return
    with path.open("rb") as file:
        data, complete = read_end(file.fileno(), os.fstat(file.fileno()).st_size)
    tail = read_tail(data, complete=complete)
    if tail.entry is None:
        yield ok("audit-log", "no entry yet")
    elif not _by_this_node(settings, tail):
        yield failed(
            "audit-log",
            f"entry {tail.head.number}, the last one, is not signed by this node's key",
            "keep the file as evidence, tell the data protection officer, and find out who could write to it",
        )
    elif datetime.fromisoformat(tail.entry.at) > visit.now + _CLOCK_TOLERANCE:
        yield warning(
            "audit-log",
            f"its last entry is of {tail.entry.at[:19]} UTC, which is in the future",
            "set this machine's clock right; it was wrong then or is wrong now",
        )
    elif tail.unfinished and not visit.running:
        yield warning(
            "audit-log",
            f"{tail.head.number} entries hold; a crash left {len(tail.unfinished)} unfinished bytes",
            "start the node: it moves them aside and says so in the log",
        )
    else:
        yield ok("audit-log", f"{tail.head.number} entries; the last one is signed by this node's key")


def audit_anchors(visit: Visit) -> Iterator[Finding]:
    """Whether the audit log has every entry that the ledger has an anchor of: else its end was cut off."""
    path = visit.settings.home / LEDGER_FILE
    if not path.exists():
        yield skipped("audit-anchors", "there is no ledger, which would hold anchors of the audit log")
        return
    with ledger_copy(path, NOTHING) as copy:
        found = copy.anchors.all()
    anchors.require(visit.settings.audit_path, found)
    yield ok("audit-anchors", f"the audit log has all {len(found)} entries that the ledger anchored")


def _by_this_node(settings: NodeSettings, tail: Tail) -> bool:
    """Whether the last entry is signed by a key that the node has or had."""
    if tail.entry is None or tail.entry.node != settings.country:
        return False
    accepted = settings.accepted_keys()
    earlier = accepted.earlier.get(settings.country, ())
    known = {*earlier, *filter(None, [accepted.keys().get(settings.country)])}
    for path in (settings.signing_key_path, own_keys.successor(settings.signing_key_path)):
        if path.exists():
            known.add(public_hex(load_key(path)))
    return any(is_signed(tail.entry, tail.line, public) for public in known)


def cases(visit: Visit) -> Iterator[Finding]:
    """Whether there are cases to compute on, of this data contract, and how old they are."""
    settings = visit.settings
    store = CaseStore.look(settings.store_path, key_source.load(settings, settings.key_path))
    latest = store.latest_snapshot()
    if latest is None:
        yield failed(
            "cases", "the case store is empty", "import a case file with `safeborders node import`", DataError
        )
        return
    manifest = store.files.manifest(latest)
    missing = [
        file.name
        for bucket in manifest.buckets
        for file in (bucket.cases, bucket.identity)
        if not (store.files.data / file.name).exists()
    ]
    if missing:
        yield failed(
            "cases",
            f"{len(missing)} files of snapshot {latest} are gone",
            "restore the store from its backup, or import the national files again into a new one",
        )
        return
    days = (visit.now - _aware(manifest.created)).days
    text = f"the latest snapshot, {latest}, is {days} days old; data contract {manifest.contract_version}"
    if days > SNAPSHOT_DAYS:
        yield warning("cases", text, "import the cases registered since")
    else:
        yield ok("cases", text)


def _aware(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.astimezone()
