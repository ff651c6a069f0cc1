"""What the audit log costs: entries a second written and verified, `make bench-audit-log`.

Writing is held against writing and fsyncing the same bytes without chain or signature; verification against
SHA-256 of the same bytes line by line, which no verification of the chain can be faster than.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.audit.chain import Operation, verify
from safeborders_fed.audit.log import AuditLog, Event
from safeborders_fed.masking.signing import public_hex

ENTRIES = {1: 5_000, 10: 20_000, 100: 50_000}


def entries_a_second(count: int, began: float) -> float:
    return count / (time.perf_counter() - began)


def append(path: Path, key: Ed25519PrivateKey, batch: int, count: int) -> float:
    details = {"study": "trends-2026", "round": 3, "rho": 0.0125}
    event = Event(Operation.CONTRIBUTE, "service safeborders", "study trends-2026, approved", details)
    with AuditLog(path, key, "PL") as log:
        began = time.perf_counter()
        for _ in range(count // batch):
            log.append_many([event] * batch)
        return entries_a_second(count, began)


def write_plain(source: Path, target: Path, batch: int) -> float:
    lines = source.read_bytes().splitlines(keepends=True)
    with target.open("wb", buffering=0) as file:
        began = time.perf_counter()
        for start in range(0, len(lines), batch):
            file.write(b"".join(lines[start : start + batch]))
            os.fsync(file.fileno())
        return entries_a_second(len(lines), began)


def hash_lines(path: Path) -> float:
    began, count = time.perf_counter(), 0
    with path.open("rb") as file:
        for line in file:
            hashlib.sha256(line).hexdigest()
            count += 1
    return entries_a_second(count, began)


def check(path: Path, key: Ed25519PrivateKey) -> float:
    began = time.perf_counter()
    verified = verify(path, [public_hex(key)])
    return entries_a_second(verified.entries, began)


def main() -> None:
    key = Ed25519PrivateKey.generate()
    conditions = f"one process, fsync a batch, {platform.machine()}, {os.cpu_count()} cores"
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        for batch, count in ENTRIES.items():
            path = Path(directory) / f"audit-{batch}.jsonl"
            ours = append(path, key, batch, count)
            plain = write_plain(path, Path(directory) / "plain", batch)
            figures = {
                f"append, {batch} at once": ("write and fsync", ours, plain),
                f"verify, written {batch} at once": (
                    "sha256 of each line",
                    check(path, key),
                    hash_lines(path),
                ),
            }
            for case, (peer, value, peer_value) in figures.items():
                print(
                    f"{case:32} {value:10,.0f} /s   {peer}: {peer_value:12,.0f} /s   {value / peer_value:.3f}"
                )
                for method, figure in (("ours", value), (peer, peer_value)):
                    rows.append(
                        {
                            "case": f"{case}, {count} entries",
                            "method": method,
                            "figure": "entries a second",
                            "value": figure,
                            "conditions": conditions,
                        }
                    )
    Path("bench").mkdir(exist_ok=True)
    Path("bench/audit_log.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
