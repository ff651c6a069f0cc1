"""Small audit logs for tests."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.audit.chain import Head, Operation, verify
from safeborders_fed.audit.log import AuditLog, Event
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.masking.signing import public_hex

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
NEXT_KEY = Ed25519PrivateKey.from_private_bytes(b"n" * 32)
PUBLIC = [public_hex(KEY)]


def clock() -> datetime:
    return datetime(2026, 5, 1, 12, tzinfo=UTC)


def open_log(path: Path, key: Ed25519PrivateKey = KEY) -> AuditLog:
    return AuditLog(path, key, "PL", clock)


def events(count: int) -> list[Event]:
    return [Event(Operation.VIEW, "Jan Nowak", f"case {number}", {"row": number}) for number in range(count)]


def write(path: Path, *batches: int) -> Head:
    with open_log(path) as log:
        for count in batches:
            log.append_many(events(count))
        return log.head()


def place(error: ConfigurationError) -> int:
    assert error.code == "audit-log-altered"
    found = re.search(r"at entry (\d+) \(line (\d+)\)", error.cause)
    assert found, error.cause
    assert found[1] == found[2]
    return int(found[1])


def altered_at(path: Path, anchors: dict[int, str] | None = None, keys: list[str] = PUBLIC) -> int:
    with pytest.raises(ConfigurationError) as caught:
        verify(path, keys, anchors)
    return place(caught.value)
