"""What services write to their logs: one line an event, in UTC, to the file that their output goes to.

Two forms. Text is for people on this machine, and shows what went wrong in full. JSON lines, with
``SAFEBORDERS_LOG=json`` in the service's environment, are for collectors that carry them elsewhere.

Guarantees: in JSON lines an exception is its kind and its place in this software, never its text, which can
quote a record. The supervisor rotates the files by size (``supervisor``).
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from safeborders_fed.errors import SafeBordersError

FORM: Final = "SAFEBORDERS_LOG"
_SCHEMA_VERSION: Final = 1


def log_to_stderr() -> None:
    """Sends records of level INFO and above to standard error. Clients' every request is not among them."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if os.environ.get(FORM) == "json" else _text())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in ("httpx", "httpcore", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _text() -> logging.Formatter:
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    return formatter


class JsonLines(logging.Formatter):
    """One JSON object a record.

    ``schema_version``, ``at`` (ISO 8601, UTC), ``level``, ``source``, ``process``, ``message``; with an
    exception its kind (``error``), its ``code`` where it has one, and its ``place`` in this software.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        content: dict[str, Any] = {
            "schema_version": _SCHEMA_VERSION,
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "source": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0] is not None:
            content["error"] = record.exc_info[0].__name__
            if isinstance(record.exc_info[1], SafeBordersError):
                content["code"] = record.exc_info[1].code
            content["place"] = _place(record.exc_info[2])
        return json.dumps(content, ensure_ascii=False, default=str)


def _place(trace: TracebackType | None) -> str:
    """The innermost line of this software that an exception passed."""
    found = "outside"
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if "safeborders_fed" in path.parts:
            inside = path.parts[path.parts.index("safeborders_fed") + 1 :]
            found = f"{'/'.join(inside)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found
