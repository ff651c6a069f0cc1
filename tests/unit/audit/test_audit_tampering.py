"""The tampering table of docs/audit-log.md: 1,000 tries of each kind, each found, each with its place.

A log of some 300 entries, written one by one and in batches, with anchors in two studies, is altered where a
fixed seed says. The check gets the public key and what a peer keeps, nothing else.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from audit_samples import PUBLIC, events, open_log, place
from safeborders_fed.audit.anchors import Anchor, lay
from safeborders_fed.audit.verification import check
from safeborders_fed.errors import ConfigurationError

Lines = list[bytes]


def bit(lines: Lines, rng: random.Random) -> tuple[bytes, int]:
    data = bytearray(b"".join(lines))
    position = rng.randrange(len(data))
    data[position] ^= 1 << rng.randrange(8)
    return bytes(data), b"".join(lines)[:position].count(b"\n") + 1


def removed(lines: Lines, rng: random.Random) -> tuple[bytes, int]:
    index = rng.randrange(len(lines) - 1)
    return b"".join(lines[:index] + lines[index + 1 :]), index + 1


def swapped(lines: Lines, rng: random.Random) -> tuple[bytes, int]:
    first, second = sorted(rng.sample(range(len(lines)), 2))
    copy = lines.copy()
    copy[first], copy[second] = copy[second], copy[first]
    return b"".join(copy), first + 1


def cut(lines: Lines, rng: random.Random) -> tuple[bytes, int]:
    """After a line that is signed, so that nothing in the log itself shows it: only anchors do."""
    signed = [number for number, line in enumerate(lines, start=1) if b'"signature":""' not in line]
    kept = rng.choice([number for number in signed if number < len(lines)])
    return b"".join(lines[:kept]), kept + 1


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lines, list[Anchor]]:
    path = tmp_path_factory.mktemp("tampering") / "audit.jsonl"
    rng, anchors = random.Random(20), []
    with open_log(path) as log:
        for number in range(100):
            log.append_many(events(rng.choice((1, 1, 1, 2, 5, 9))))
            if number in {40, 99}:
                anchors.append(
                    Anchor(lay(log, f"study-{number}").hash, f"study-{number}", "2026-05-01", "RO")
                )
    lines = path.read_bytes().splitlines(keepends=True)
    assert 280 < len(lines) < 400
    check(path, PUBLIC, anchors)
    return lines, anchors


@pytest.mark.parametrize("tries", [60, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("tamper", "seed"),
    [(bit, 1), (removed, 2), (swapped, 3), (cut, 4)],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_each_try_is_found_with_its_place(
    sample: tuple[Lines, list[Anchor]],
    tmp_path: Path,
    tamper: Callable[..., tuple[bytes, int]],
    seed: int,
    tries: int,
) -> None:
    lines, anchors = sample
    rng, path, found = random.Random(seed), tmp_path / "altered.jsonl", Counter[str]()
    for _ in range(tries):
        data, line = tamper(lines, rng)
        path.write_bytes(data)
        with pytest.raises(ConfigurationError) as caught:
            check(path, PUBLIC, anchors)
        error = caught.value
        found[error.code] += 1
        if tamper is cut:
            lost = [anchor for anchor in anchors if anchor.study not in data.decode()]
            assert all(f"study {anchor.study}, 2026-05-01, kept by RO" in error.cause for anchor in lost)
            assert f"lacks {len(lost)} of the entries" in error.cause
            assert f"now it ends with entry {line - 1}" in error.cause
        else:
            assert place(error) == line, error.cause
    assert found == {"audit-log-cut" if tamper is cut else "audit-log-altered": tries}
