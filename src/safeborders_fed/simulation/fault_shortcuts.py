"""Shortcuts that make a schedule quick: what is pure and costly is computed once, and remembered.

Guarantees: no result is another for it. A signature verifies, and bytes are decoded, at every node alike; the
cases of all nodes are the same; a manifest was checked when it was drafted. What nodes write to their service
logs, which nobody reads here, is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, lru_cache
from typing import Any, Final
from unittest import mock

from safeborders_fed.cases.encoding import Victims, merge
from safeborders_fed.coordinator import federation, history, rounds
from safeborders_fed.masking import keys
from safeborders_fed.masking.signing import verify
from safeborders_fed.node import participant
from safeborders_fed.simulation import fault_invariants, fault_nodes
from safeborders_fed.simulation.fault_study import table
from safeborders_fed.study import handshake, messages, transcript
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.messages import Contribution, Message, Round

_VERIFYING: Final = (handshake, keys, messages)
_DECODING: Final = (federation, history, participant, rounds, transcript, fault_invariants, fault_nodes)
_SIGNATURES: Final = 4096
_MESSAGES: Final = 1024


@contextmanager
def taken() -> Iterator[None]:
    """Within, they are taken."""
    patch: Any = mock.patch.object
    with ExitStack() as patches:
        patches.enter_context(patch(Manifest, "check"))
        remembered, decoded = lru_cache(_SIGNATURES)(verify), lru_cache(_MESSAGES)(_frozen)
        for module in _VERIFYING:
            patches.enter_context(patch(module, "verify", remembered))
        for module in _DECODING:
            patches.enter_context(patch(module, "decode", decoded))
        patches.enter_context(patch(participant, "merge", lambda *_: _victims()))
        patches.enter_context(patch(participant.LOG, "disabled", new=True))
        yield


def _frozen(data: bytes) -> Message:
    """A message that nobody can change for those that get it too."""
    message = messages.decode(data)
    arrays = message.broadcast.values() if isinstance(message, Round) else ()
    for array in (message.vector,) if isinstance(message, Contribution) else arrays:
        array.flags.writeable = False
    return message


@cache
def _victims() -> Victims:
    return merge(table(), ())
