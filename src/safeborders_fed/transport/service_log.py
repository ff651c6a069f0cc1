"""What services write to their logs: one line an event, in UTC, to the file that their output goes to."""

from __future__ import annotations

import logging
import sys
import time


def log_to_stderr() -> None:
    """Sends records of level INFO and above to standard error. Clients' every request is not among them."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in ("httpx", "httpcore", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
