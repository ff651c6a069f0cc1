"""What the coordinator's own programs ask of its SuperLink, over loopback: register nodes, start runs.

Guarantees: a run of this software names the pinned bundle, an action and a study, nothing else. Nodes that
are enrolled are registered, all others are not.
"""

from __future__ import annotations

import json
from collections.abc import ItemsView, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import httpx
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from flwr.common.serde import user_config_to_proto
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    RegisterNodeRequest,
    StartRunRequest,
    UnregisterNodeRequest,
)
from flwr.proto.fab_pb2 import Fab
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.primitives.asymmetric import public_key_to_bytes

from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.errors import PeerError
from safeborders_fed.transport.bundle import bundle, bundle_hash
from safeborders_fed.transport.status import write_json
from safeborders_fed.transport.superlink import SuperLinkSettings

NODES_FILE: Final = "nodes.json"
Action = Literal["offer", "conduct", "links"]
"""What is done with a study, or, for ``links``, with an epoch."""


@contextmanager
def _control(settings: SuperLinkSettings) -> Iterator[ControlHttpClient]:
    client = ControlHttpClient.from_server_address(
        settings.address,
        insecure=False,
        root_certificates=settings.ca_certificate.read_bytes(),
        interceptors=[],
    )
    try:
        yield client
    except httpx.TransportError as error:
        raise PeerError(
            "coordinator-not-running",
            f"SuperLink does not answer on {settings.address} ({type(error).__name__})",
            "start it with `safeborders coordinator start`",
        ) from error
    except httpx.HTTPStatusError as error:
        raise PeerError(
            "superlink-refused",
            f"SuperLink answered with status {error.response.status_code}",
            "look at run/logs/superlink.log of the coordinator",
        ) from error
    finally:
        client.close()


def start(home: CoordinatorHome, action: Action, study: str) -> None:
    """Has the running service of a coordinator do an action on a study, or on an epoch of links.

    Raises:
        ConfigurationError: ``no-network``.
        PeerError: ``coordinator-not-running`` or ``superlink-refused``.
    """
    start_run(SuperLinkSettings.of(home), action, study)


def start_run(settings: SuperLinkSettings, action: Action, study: str) -> int:
    """Starts a run for one action on one study; Flower's number of it.

    Raises:
        PeerError: ``coordinator-not-running`` or ``superlink-refused``.
    """
    request = StartRunRequest(
        fab=Fab(hash_str=bundle_hash(), content=bundle()),
        override_config=user_config_to_proto({"action": action, "study": study}),
    )
    with _control(settings) as client:
        response = client.StartRun(request)
    number: int = response.run_id
    return number


def register(settings: SuperLinkSettings, keys: Mapping[str, tuple[str, ...]]) -> dict[str, list[int]]:
    """Makes SuperLink know exactly these nodes.

    Args:
        settings: Where it is.
        keys: Node to its transport keys that are valid now (OpenSSH text), the newest last.

    Returns:
        Node to Flower's number for each of its keys, in the same order; also written to ``nodes.json``.

    Raises:
        PeerError: ``coordinator-not-running`` or ``superlink-refused``.
    """
    wanted = {_encoded(text): (node, at) for node, texts in keys.items() for at, text in enumerate(texts)}
    numbers: dict[bytes, int] = {}
    with _control(settings) as client:
        for info in client.ListNodes(ListNodesRequest()).nodes_info:
            if info.public_key in wanted:
                numbers[info.public_key] = info.node_id
            elif info.status != "unregistered":
                client.UnregisterNode(UnregisterNodeRequest(node_id=info.node_id))
        for key, (node, _) in wanted.items():
            if key not in numbers:
                response = client.RegisterNode(RegisterNodeRequest(public_key=key, name=node))
                numbers[key] = response.node_id
    found = {node: [numbers[_encoded(text)] for text in texts] for node, texts in keys.items()}
    write_json(settings.directory / NODES_FILE, found)
    return found


def registered(directory: Path) -> dict[str, list[int]]:
    """What ``register`` wrote last."""
    try:
        content: dict[str, list[int]] = json.loads((directory / NODES_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return content


class Registered(Mapping[str, list[int]]):
    """What ``register`` wrote last, at the moment of asking: a key may be renewed while a study runs.

    Args:
        directory: The coordinator's ``run`` directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __getitem__(self, node: str) -> list[int]:
        return registered(self._directory)[node]

    def __iter__(self) -> Iterator[str]:
        return iter(registered(self._directory))

    def __len__(self) -> int:
        return len(registered(self._directory))

    def items(self) -> ItemsView[str, list[int]]:
        """All of one moment."""
        return registered(self._directory).items()


def _encoded(text: str) -> bytes:
    encoded: bytes = public_key_to_bytes(load_ssh_public_key(text.encode("ascii")))  # type: ignore[arg-type]
    return encoded
