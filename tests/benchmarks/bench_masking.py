"""What masking costs, eight participants on one core: `make bench-masking`.

Peers in the same run: the memory traffic alone (copy as many bytes and add them up with numpy), the same
protocol with ChaCha20 for its keystreams, and Flower's SecAgg+ generator (numpy's MT19937 from a seed folded
to 32 bits; it makes numbers below 2^32, where masks here have all 64 bits). Each figure is the best of
several repetitions, since whoever shares the machine can only make it slower.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms
from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen
from numpy.typing import NDArray

from safeborders_fed.masking import masks
from safeborders_fed.masking.keys import StudyKey, offer
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.study.sums import add_up

NODES = ("BE", "BG", "FI", "GR", "IT", "PL", "PT", "RO")
DIMENSIONS = (1_000, 100_000, 1_000_000)
LIMITS = {("node", 100_000): 0.010, ("coordinator", 100_000): 0.010, ("node", 1_000_000): 0.100}
REPETITIONS = 11
OURS = "ours"
TRAFFIC = "copy and add the same bytes"
Row = dict[str, str | float]


def best(function: Callable[[], object]) -> float:
    taken = []
    for _ in range(REPETITIONS):
        began = time.perf_counter()
        function()
        taken.append(time.perf_counter() - began)
    return min(taken)


def chacha20(key: bytes) -> CipherContext:
    return Cipher(algorithms.ChaCha20(key, bytes(16)), None).encryptor()


def with_chacha20(function: Callable[[], object]) -> float:
    ours = masks._keystream
    masks._keystream = chacha20
    try:
        return best(function)
    finally:
        masks._keystream = ours


def copied_and_added(sources: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    total = np.zeros_like(sources[0])
    buffer = np.empty_like(sources[0])
    for source in sources:
        np.copyto(buffer, source)
        total += buffer
    return total


def flower(seeds: list[bytes], dimension: int) -> NDArray[np.int64]:
    total = np.zeros(dimension, np.int64)
    for seed in seeds:
        total += pseudo_rand_gen(seed, 1 << 32, [(dimension,)])[0]
    return total


def at_a_node(dimension: int) -> dict[str, float]:
    """Everything from the study key to the mask: seven exchanges, seven derivations, seven keystreams."""
    keys = {node: StudyKey.generate() for node in NODES}
    listed = tuple((node, key.public) for node, key in keys.items())
    binding = masks.Binding(1, "0a" * 32, "0b" * 32, 2, 3, "0c" * 32, listed)
    sources = [np.ones(dimension, np.uint64) for _ in NODES[1:]]
    seeds = [secrets.token_bytes(32) for _ in NODES[1:]]

    def mask() -> NDArray[np.uint64]:
        return masks.mask(keys["GR"], "GR", binding, dimension)

    return {
        OURS: best(mask),
        TRAFFIC: best(lambda: copied_and_added(sources)),
        "ours with ChaCha20": with_chacha20(mask),
        "Flower SecAgg+ generator": best(lambda: flower(seeds, dimension)),
    }


def at_the_coordinator(dimension: int) -> dict[str, float]:
    words = 8 * dimension
    vectors = [np.frombuffer(secrets.token_bytes(words), "<u8").astype(np.uint64) for _ in NODES]
    return {
        OURS: best(lambda: add_up(vectors)),
        TRAFFIC: best(lambda: copied_and_added(vectors)),
    }


def offers() -> dict[str, float]:
    """Once for each study and node: make and sign a key, check the signatures of the seven others."""
    signing_key = Ed25519PrivateKey.generate()
    study = {"study": "example", "manifest_hash": "0a" * 32, "roster_hash": "0b" * 32}
    accepted = public_hex(signing_key)

    def make_and_check() -> None:
        for node in NODES:
            signed = offer(StudyKey.generate(), signing_key, node=node, **study, boot_epoch="0c" * 16)
            signed.check(accepted, node=node, **study)

    return {OURS: best(make_and_check)}


def main() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    conditions = f"8 participants, one core of {os.cpu_count()}, {platform.machine()}, best of {REPETITIONS}"
    figures: dict[tuple[str, int], dict[str, float]] = {}
    for dimension in DIMENSIONS:
        figures["node", dimension] = at_a_node(dimension)
        figures["coordinator", dimension] = at_the_coordinator(dimension)
    figures["eight offers made and checked", 0] = offers()
    rows: list[Row] = []
    for (where, dimension), methods in figures.items():
        case = f"{where}, {dimension:,} coordinates" if dimension else where
        limit = LIMITS.get((where, dimension))
        for method, seconds in methods.items():
            beside = f"ours is {methods[OURS] / seconds:6.2f} x"
            if method == OURS:
                beside = f"at most {1000 * limit:.0f} ms" if limit else ""
            print(f"{case:35} {method:30} {1000 * seconds:9.3f} ms  {beside}")
            rows.append(
                {
                    "case": case,
                    "method": method,
                    "figure": "seconds",
                    "value": seconds,
                    "conditions": conditions,
                }
            )
    Path("bench").mkdir(exist_ok=True)
    Path("bench/masking.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
