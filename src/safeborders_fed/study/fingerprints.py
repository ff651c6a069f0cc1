"""Fingerprints: what people read to each other, so that no machine between them can swap a key.

Guarantees: a fingerprint is compared as a whole, and what was expected stands in no message: nobody can copy
it from the screen instead of asking.
"""

from __future__ import annotations

import hmac
import re

from safeborders_fed.errors import RefusedError


def require_fingerprint(typed: str, expected: str, whose: str) -> None:
    """Requires that a person gave the fingerprint that they were told out of band.

    Args:
        typed: In groups or not, in any case.
        expected: 64 hexadecimal digits.
        whose: For the message; the expected digits stand in none.

    Raises:
        RefusedError: ``wrong-fingerprint``.
    """
    digits = re.sub(r"[\s:-]", "", typed).lower()
    if not hmac.compare_digest(digits.encode("utf-8"), expected.encode("ascii")):
        raise RefusedError(
            "wrong-fingerprint",
            f"the fingerprint that was given is not that of {whose}",
            "ask the person at the other side, by a way of your own, to read it aloud again; if it still "
            "differs, somebody has changed the file",
        )
