"""The peer of `bench_links.py`: OpenMined's PSI for some of the pairs of eight states.

Run by the Python of a private virtual environment; prints CPU seconds and the size of each intersection as
JSON. One direction only, as the peer does it: the client learns the intersection, the server nothing.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import combinations

from private_set_intersection.python import DataStructure, client, server

NODES = 8
FALSE_POSITIVES = 1e-9


def identifiers(node: int, size: int) -> list[str]:
    """Neighbours have half of theirs in common, others nothing."""
    start = node * size // 2
    return [f"phone:+32{number:08}" for number in range(start, start + size)]


def intersection(asking: list[str], answering: list[str]) -> int:
    """How many both have, with fresh keys."""
    asks, answers = client.CreateWithNewKey(True), server.CreateWithNewKey(True)
    setup = answers.CreateSetupMessage(FALSE_POSITIVES, len(asking), answering, DataStructure.GCS)
    response = answers.ProcessRequest(asks.CreateRequest(asking))
    return len(asks.GetIntersection(setup, response))


def main(size: int, part: int, parts: int) -> None:
    """One part of the pairs."""
    states = [identifiers(node, size) for node in range(NODES)]
    began = time.process_time()
    found = {
        f"{one}-{other}": intersection(states[one], states[other])
        for one, other in list(combinations(range(NODES), 2))[part::parts]
    }
    print(json.dumps({"cpu": time.process_time() - began, "found": found}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
