"""Who is enrolled: one file a state, and the chain of signed rosters.

Layout, below the coordinator's directory::

    members/BG.json      keys of a state, since when, and whether it was revoked
    rosters/0001.json    signed rosters, one file a version
    bundles/BG.json      what the state gets

Guarantees: the rosters form one chain, checked whenever it is read; no version is ever overwritten. One
process at a time changes any of this. A file is there as a whole or not at all.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Limit

from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError
from safeborders_fed.study import canonical, durable
from safeborders_fed.study.enrolment import TransportPublic
from safeborders_fed.study.manifest import NodeName
from safeborders_fed.study.roster import FIRST_PREVIOUS, Instant, Member, PublicKey, Roster, SignedRoster

MEMBERS: Final = "members"
ROSTERS: Final = "rosters"
BUNDLES: Final = "bundles"
_STRICT = ConfigDict(strict=True, frozen=True, extra="forbid")


class TransportKey(BaseModel):
    """A transport key of a node; ``until`` is the last day on which it opens the way, None without end."""

    model_config = _STRICT

    public: TransportPublic
    until: date | None = None


class Enrolled(BaseModel):
    """A state that takes part, or did.

    Attributes:
        country: The state.
        public: Its Ed25519 key.
        transport: Its transport keys, the newest first.
        since: Day of its enrolment.
        requested: When the request was made that was carried out last.
        revoked: Day on which it was revoked, if it was.
        reason: Why.
    """

    model_config = _STRICT

    schema_version: Literal[1] = 1
    country: NodeName
    public: PublicKey
    transport: tuple[TransportKey, ...]
    since: date
    requested: Instant
    revoked: date | None = None
    reason: Annotated[str | None, Limit(min_length=1, max_length=2000)] = None

    def transport_on(self, day: date) -> tuple[str, ...]:
        """The transport keys that open the way on a day."""
        if self.revoked is not None:
            return ()
        return tuple(key.public for key in self.transport if key.until is None or day <= key.until)


def members(home: CoordinatorHome) -> dict[str, Enrolled]:
    """All states that are or were enrolled, by name.

    Raises:
        ConfigurationError: ``bad-member``.
    """
    found = {}
    for path in sorted((home.path / MEMBERS).glob("*.json")):
        try:
            data = path.read_bytes()
            canonical.parse(data)
            member = Enrolled.model_validate_json(data)
        except (OSError, ValidationError, PeerError) as error:
            raise _damaged("bad-member", path) from error
        if path.name != f"{member.country}.json":
            raise _damaged("bad-member", path)
        found[member.country] = member
    return found


def transport_keys(home: CoordinatorHome, today: date) -> dict[str, tuple[str, ...]]:
    """The transport keys that are let in today, by state. States without one are left out.

    Raises:
        ConfigurationError: ``bad-member``.
    """
    keys = {name: member.transport_on(today) for name, member in members(home).items()}
    return {name: open_ for name, open_ in keys.items() if open_}


def rosters(home: CoordinatorHome) -> tuple[SignedRoster, ...]:
    """All versions of the roster, the first one first.

    Raises:
        ConfigurationError: ``bad-roster-chain``.
    """
    chain: list[SignedRoster] = []
    operators = [operator.public for operator in home.operators]
    for path in sorted((home.path / ROSTERS).glob("*.json")):
        try:
            data = path.read_bytes()
            canonical.parse(data)
            signed = SignedRoster.model_validate_json(data)
            signed.check(operators)
        except (OSError, ValidationError, PeerError, RefusedError) as error:
            raise _damaged("bad-roster-chain", path) from error
        previous = chain[-1].roster.hash() if chain else FIRST_PREVIOUS
        if (signed.roster.version, signed.roster.previous) != (len(chain) + 1, previous):
            raise _damaged("bad-roster-chain", path)
        chain.append(signed)
    return tuple(chain)


def current_roster(home: CoordinatorHome) -> SignedRoster:
    """The last version of the roster.

    Raises:
        ConfigurationError: ``nobody-enrolled`` or ``bad-roster-chain``.
    """
    chain = rosters(home)
    if not chain:
        raise ConfigurationError(
            "nobody-enrolled",
            f"no state is enrolled at {home.path}",
            "enrol the nodes' requests with `safeborders coordinator enrol`",
        )
    return chain[-1]


def next_roster(chain: tuple[SignedRoster, ...], entries: dict[str, Member]) -> Roster:
    """The version after these, with these members."""
    return Roster(
        schema_version=1,
        version=len(chain) + 1,
        previous=chain[-1].roster.hash() if chain else FIRST_PREVIOUS,
        members=tuple(entries[name] for name in sorted(entries)),
    )


def roster_path(home: CoordinatorHome, version: int) -> Path:
    """Where the signed roster of a version is."""
    return home.path / ROSTERS / f"{version:04d}.json"


@contextmanager
def exclusively(home: CoordinatorHome) -> Iterator[None]:
    """Within, no other process changes members or rosters.

    Raises:
        ConfigurationError: ``enrolment-busy``, or ``coordinator-unwritable``, also for a disk that is full.
    """
    try:
        for name in (MEMBERS, ROSTERS, BUNDLES):
            (home.path / name).mkdir(mode=0o700, exist_ok=True)
        handle = os.open(home.path / ROSTERS / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(handle)
    except BlockingIOError as error:
        raise ConfigurationError(
            "enrolment-busy", "another process is enrolling or revoking", "wait until it is done"
        ) from error
    except OSError as error:
        raise ConfigurationError(
            "coordinator-unwritable",
            f"{home.path} cannot be written: {error.strerror}",
            "free space on the disk, or mend the rights of the directory, then repeat the command",
        ) from error


def keep_member(home: CoordinatorHome, member: Enrolled) -> None:
    """Writes what is known of a state. Only within ``exclusively``."""
    content = canonical.serialise(member.model_dump(mode="json"))
    durable.replace(home.path / MEMBERS / f"{member.country}.json", content)


def keep_roster(home: CoordinatorHome, signed: SignedRoster) -> Path:
    """Writes a new version. Only within ``exclusively``."""
    path = roster_path(home, signed.roster.version)
    durable.create(path, signed.to_bytes())
    return path


def _damaged(code: str, path: Path) -> ConfigurationError:
    return ConfigurationError(
        code,
        f"{path} is damaged, or is not what should stand there",
        "restore the coordinator's directory from backup; never edit members or rosters",
    )
