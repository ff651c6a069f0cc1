"""Where the coordinator is reached, and how long it waits: the tables [network] and [rounds] of its settings.

Guarantees: an address is a host (a name, an IPv4 address, or an IPv6 address in brackets) and a port; nothing
else passes.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic import Field as Limit

from safeborders_fed.errors import UsageError

LISTEN: Final = "0.0.0.0"  # noqa: S104 - nodes come from elsewhere; the gate is made for that
SUPERLINK_PORT: Final = 9092
DEADLINE: Final = 120.0
_NAME: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True)


def split_address(text: str) -> tuple[str, int]:
    """Host (an IPv6 address without its brackets) and port of ``host:port``.

    Raises:
        ValueError: it is not one.
    """
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 2**16:
        raise ValueError(f"{text!r} does not end with a port, as in coordinator.example.eu:9443")
    if host.startswith("[") and host.endswith("]"):
        return str(ipaddress.IPv6Address(host[1:-1])), int(port)
    if not _NAME.fullmatch(host) or len(host) > 253:
        raise ValueError(f"{host!r} is neither the name nor the address of a host")
    return host, int(port)


def require_address(text: str) -> None:
    """Checks an address before anything is made for it.

    Raises:
        UsageError: ``bad-address``.
    """
    try:
        split_address(text)
    except ValueError as error:
        raise UsageError("bad-address", str(error), "give HOST:PORT") from error


def _address(text: str) -> str:
    split_address(text)
    return text


Address = Annotated[str, AfterValidator(_address)]
Port = Annotated[int, Limit(ge=1, lt=2**16)]


class NetworkTable(BaseModel):
    """[network] as it is written."""

    model_config = _STRICT

    address: Address
    listen: Address
    superlink_port: Port = SUPERLINK_PORT


class RoundsTable(BaseModel):
    """[rounds] as it is written."""

    model_config = _STRICT

    deadline_seconds: Annotated[float, Limit(gt=0, le=86_400, strict=False)] = DEADLINE


@dataclass(frozen=True, slots=True)
class Network:
    """Where the coordinator is.

    Attributes:
        address: What nodes dial, ``host:port``.
        listen_host: Where the gate listens.
        listen_port: At which port.
        superlink_port: Port of the SuperLink, on loopback only.
    """

    address: str
    listen_host: str
    listen_port: int
    superlink_port: int

    @classmethod
    def of(cls, table: NetworkTable) -> Network:
        """What a table says."""
        return cls(table.address, *split_address(table.listen), table.superlink_port)

    @property
    def host(self) -> str:
        """Host of the address."""
        return split_address(self.address)[0]

    @property
    def port(self) -> int:
        """Port of the address."""
        return split_address(self.address)[1]


def tables(address: str, listen: str | None, superlink_port: int, deadline_seconds: float) -> str:
    """The two tables as text, to be checked by whoever reads them again."""
    listen = listen or f"{LISTEN}:{address.rpartition(':')[2]}"
    return f"""
[network]
# What nodes dial (host:port), and where the gate listens. The SuperLink itself listens on loopback only.
address = "{address}"
listen = "{listen}"
superlink_port = {superlink_port}

[rounds]
# How long a round waits for a node that does not answer, before it goes on without it.
deadline_seconds = {deadline_seconds:g}
"""
