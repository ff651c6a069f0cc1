"""Fuzzing of all parsers, as long as one likes: `make fuzz`, or `fuzz_parsers.py --seconds 600`.

With atheris (`pip install atheris`; Python 3.11) the search is guided by coverage of ``safeborders_fed``: its
bytes are taken as a document themselves, or as the seed of a nearly valid one. Without it, documents are
drawn at random. Whatever comes out but a coded error ends the run, with the document in a file.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

try:
    import atheris
except ImportError:
    atheris = None

_MODES = 4


def checker(only: str | None) -> tuple[Callable[[bytes], None], list[bytes]]:
    """What to do with bytes from a fuzzer, and bytes for it to begin with."""
    from parsers import run, targets  # noqa: PLC0415 - after atheris has prepared the imports

    chosen = [(name, target) for name, target in targets().items() if only in {None, name}]
    if not chosen:
        sys.exit(f"no target {only!r}; there are {', '.join(targets())}")

    def check(data: bytes) -> None:
        if len(data) < 2:
            return
        name, target = chosen[data[0] % len(chosen)]
        document = data[2:] if data[1] % _MODES == 0 else target.document(random.Random(data[2:]))
        try:
            run(target, document)
        except BaseException:
            path = Path(tempfile.mkdtemp(prefix="safeborders-fuzz-"), "document")
            path.write_bytes(document)
            print(f"parser of {name}: the document is in {path}", file=sys.stderr)  # noqa: T201 - a program
            raise

    seeds = [bytes([at, 0]) + seed for at, (_, target) in enumerate(chosen) for seed in target.seeds]
    return check, seeds


def at_random(check: Callable[[bytes], None], seconds: float, seed: int) -> int:
    """Documents drawn at random; how many."""
    rng, end, count = random.Random(seed), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        check(rng.randbytes(rng.choice((12, 12, 12, 300))))
        count += 1
    return count


def guided(engine: Any, arguments: argparse.Namespace) -> None:
    """Documents by coverage."""
    with engine.instrument_imports(include=["safeborders_fed"]):
        check, seeds = checker(arguments.only)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds):
            Path(corpus, str(number)).write_bytes(seed)
        limits = [
            f"-max_total_time={arguments.seconds}",
            "-max_len=20000",
            "-timeout=30",
            "-rss_limit_mb=2048",
        ]
        engine.Setup([sys.argv[0], *limits, f"-seed={arguments.seed}", "-print_final_stats=1", corpus], check)
        engine.Fuzz()


def main() -> None:
    """Fuzzes."""
    options = argparse.ArgumentParser(description="Fuzz all parsers.")
    options.add_argument("--seconds", type=int, default=60)
    options.add_argument("--only", help="one parser (default: all)")
    options.add_argument("--seed", type=int, default=int(time.time()))
    options.add_argument("--unguided", action="store_true", help="at random, though atheris is there")
    arguments = options.parse_args()
    if atheris is not None and not arguments.unguided:
        guided(atheris, arguments)
        return
    check, _ = checker(arguments.only)
    count = at_random(check, arguments.seconds, arguments.seed)
    print(f"{count:,} documents, seed {arguments.seed}: nothing but coded errors")  # noqa: T201 - a program


if __name__ == "__main__":
    main()
