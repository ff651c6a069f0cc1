"""What running services say of themselves, in small files in their ``run`` directory.

Guarantees: each file is replaced as a whole; reading them needs no network, no key and no Flower.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from safeborders_fed.coordinator.home import CoordinatorHome

RUN_DIRECTORY: Final = "run"
STATUS_FILE: Final = "status.json"
LINK_FILE: Final = "link.json"
EXECUTOR_FILE: Final = "executor.json"
FAILURE_FILE: Final = "failure.json"


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replaces a small file as a whole."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    part.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """What ``write_json`` wrote; nothing if it is not there."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def is_alive(pid: Any) -> bool:
    """Whether a process of this number exists."""
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def node_summary(home: Path) -> dict[str, Any]:
    """The state of a node's service, from its files.

    Returns:
        ``state`` (``ready``, ``starting``, ``disconnected`` or ``stopped``), ``text`` for people, and what
        the processes say.
    """
    directory = Path(home) / RUN_DIRECTORY
    service = read_json(directory / STATUS_FILE)
    link, worker = read_json(directory / LINK_FILE), read_json(directory / EXECUTOR_FILE)
    if not _runs(service):
        state, text = "stopped", _why_stopped(directory)
    elif worker.get("state") != "ready" or not is_alive(worker.get("pid")):
        state, text = "starting", "the executor is starting"
    elif link.get("state") == "connected" and is_alive(link.get("pid")):
        state, text = "ready", f"ready: {link['text']}"
    else:
        state, text = "disconnected", str(link.get("text", "the link is starting"))
    return {"state": state, "text": text, "service": service, "link": link, "executor": worker}


def coordinator_summary(home: CoordinatorHome) -> dict[str, Any]:
    """The state of a coordinator's service, from its files.

    Returns:
        ``state`` (``ready``, ``starting`` or ``stopped``), ``text`` for people, and what the processes say.
    """
    directory = home.path / RUN_DIRECTORY
    service, worker = read_json(directory / STATUS_FILE), read_json(directory / EXECUTOR_FILE)
    if not _runs(service):
        state, text = "stopped", _why_stopped(directory)
    elif not service.get("processes", {}).get("gate", {}).get("pid"):
        state, text = "starting", f"the gate is starting; see {directory / 'logs' / 'gate.log'}"
    elif not is_alive(worker.get("pid")):
        state, text = "starting", "SuperLink is starting"
    else:
        network = home.network
        nodes = ", ".join(worker["nodes"]) or "none yet"
        state = "ready"
        text = f"ready: nodes reach it at {network.address}; enrolled: {nodes}"
    return {"state": state, "text": text, "service": service, "executor": worker}


def _runs(service: Mapping[str, Any]) -> bool:
    return is_alive(service.get("pid")) and service.get("state") != "stopped"


def _why_stopped(directory: Path) -> str:
    """That a service is not running and, if it ended by itself, why."""
    failure = read_json(directory / FAILURE_FILE)
    if not failure:
        return "the service is not running"
    return (
        f"the service is not running; it ended over [{failure['code']}]: {failure['cause']}\n"
        f"  Fix: {failure['fix']}"
    )
