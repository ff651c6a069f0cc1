"""Looking at a node's networks, and writing them for its own people: what is on record, and which files.

Guarantees: that somebody looks is in the audit log, or on its way there, before anything is computed; that
files are written, before they are. A file is made anew, of mode 600, as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from safeborders_fed.audit.chain import Operation
from safeborders_fed.errors import ConfigurationError, UsageError
from safeborders_fed.links import network_letters
from safeborders_fed.links.network import Network
from safeborders_fed.links.network import graphml as as_graphml
from safeborders_fed.links.network_picture import page
from safeborders_fed.links.own_files import leads, own_files
from safeborders_fed.study import durable

if TYPE_CHECKING:
    from safeborders_fed.links.network_sizes import Standing
    from safeborders_fed.links.office import Office

PAGE: Final = "networks.html"
GRAPH: Final = "networks.graphml"
NOTICE: Final = (
    "For this node's own people: these are case data, and do not leave the node. A link is a lead, "
    "not evidence."
)


@dataclass(frozen=True)
class Found:
    """What a look shows.

    Attributes:
        networks: The networks.
        across: By number of a network, what is known of its confirmed pieces over all states.
    """

    networks: tuple[Network, ...]
    across: Mapping[int, Sequence[Standing]]


def look(office: Office, *, by: str) -> Found:
    """The networks, once it is on record who looks. Raises as ``notices.record`` and CaseStore."""
    office.audit_log.append(
        Operation.VIEW, who=by, why="networks of this node's cases and approved hits", details={}
    )
    files = own_files(office)
    found = files.networks(leads(office))
    return Found(found, network_letters.across(office, files, found))


def write(office: Office, found: Found, directory: Path, *, graphml: bool, by: str) -> tuple[Path, ...]:
    """Writes the page, and the graph if it is wanted.

    Raises:
        UsageError: ``out-exists``.
        ConfigurationError: ``out-unwritable``; or as ``notices.record``.
    """
    content = {PAGE: page(office.node, found.networks, found.across).encode("utf-8")}
    if graphml:
        content[GRAPH] = as_graphml(found.networks)
    paths = {directory / name: data for name, data in content.items()}
    for path in paths:
        if path.exists():
            raise UsageError("out-exists", f"{path} exists already", "name another directory with --out")
    for path in paths:
        office.audit_log.append(
            Operation.EXPORT,
            who=by,
            why="networks of this node's cases and approved hits",
            details={"file": path.name, "networks": len(found.networks)},
        )
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, data in paths.items():
            durable.create(path, data)
    except OSError as error:
        raise ConfigurationError(
            "out-unwritable",
            f"{directory} cannot be written: {error.strerror}",
            "name a directory that this user may write to",
        ) from error
    return tuple(paths)
