"""Which code runs here: a hash over the package as it is installed.

Guarantees: the same files give the same hash on any machine, whatever their dates, owners or order. It tells
two installations apart for people who compare them; who controls a machine can make it say anything, so
nothing is permitted because of it.
"""

from __future__ import annotations

import hashlib
import struct
from functools import cache
from pathlib import Path

import safeborders_fed


@cache
def code_hash() -> str:
    """SHA-256 over names and contents of the package's files, compiled ones apart; 64 hexadecimal digits."""
    return hash_of(Path(safeborders_fed.__file__).parent)


def hash_of(root: Path) -> str:
    """The same of a directory: each name and content with its length before it, in order of names."""
    found = {
        path.relative_to(root).as_posix(): path
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    total = hashlib.sha256()
    for name in sorted(found):
        for part in (name.encode("utf-8"), found[name].read_bytes()):
            total.update(struct.pack("<Q", len(part)))
            total.update(part)
    return total.hexdigest()
