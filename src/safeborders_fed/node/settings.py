"""Settings of a node: ``node.toml`` in its home directory.

Guarantees: settings that exist are complete and of the right types; unknown keys are refused; the key file
lies outside the home directory, so that a copy of the directory opens nothing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from safeborders_fed.audit import anchors
from safeborders_fed.audit.log import AuditLog
from safeborders_fed.cases.countries import STATES
from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.cases.wrapping import Protection
from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError
from safeborders_fed.node import key_succession, own_keys
from safeborders_fed.node.approvals import Approver
from safeborders_fed.node.approvers import approvers_from_bytes
from safeborders_fed.node.desks import EnrolledNow, open_studies
from safeborders_fed.node.identity import Identity
from safeborders_fed.node.journal import now
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.node.limits import Limits
from safeborders_fed.node.link_desk import LinkDesk
from safeborders_fed.node.link_policy import LinkPolicy
from safeborders_fed.node.participant import Participant
from safeborders_fed.node.policy import Policy
from safeborders_fed.node.retention_terms import Retention
from safeborders_fed.node.settings_mistakes import settings_invalid
from safeborders_fed.study.accepted_keys import AcceptedKeys
from safeborders_fed.study.enrolment import EnrolmentBundle
from safeborders_fed.study.key_files import load_key, located
from safeborders_fed.study.roster import PublicKey

SETTINGS_FILE: Final = "node.toml"
LEDGER_FILE: Final = "ledger.sqlite"
AUDIT_FILE: Final = "audit.jsonl"
ROSTER_FILE: Final = "accepted-keys.json"
APPROVERS_FILE: Final = "approvers.json"
ENROLMENT_FILE: Final = "coordinator.json"
_ACCEPT_ROSTER: Final = (
    "have two people accept a roster with `safeborders node roster sign` and `roster accept`"
)
_ACCEPT_BUNDLE: Final = "accept the coordinator's bundle with `safeborders node enrol`"
_ENROL_APPROVERS: Final = "enrol two people at least with `safeborders node approver add`"


def _state(country: str) -> str:
    if country not in STATES:
        raise ValueError(f"{country!r} is not one of {' '.join(STATES)}")
    return country


def _possible(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("no path holds a zero byte")
    return path


Country = Annotated[str, AfterValidator(_state)]
_Path = Annotated[Path, Field(strict=False), AfterValidator(_possible)]


class NodeSettings(BaseModel):
    """What ``node.toml`` says.

    Attributes:
        home: The directory that holds ``node.toml``.
        country: The member state of the node.
        key_file: Where its secrets are; absolute, or relative to ``home``.
        key_protection: What that file is under: nothing but its mode, a passphrase, or a key service's key.
        key_passphrase_file: Where the passphrase is; None to ask for it at the terminal.
        signing_key_file: Where its signing key is, likewise.
        transport_key_file: Where its transport key is, likewise; None in a node that never meets a network.
        store: Where its case store is, relative to ``home``.
        operator_keys: Public keys of the coordinator's operators, whose studies and models this node takes.
        operator_signatures: How many of them must have signed a model.
        share_reviews: Whether the other nodes may read what its people decide on studies.
        policy: What it permits; without one it takes part in nothing.
        limits: How much of the machine a message may take.
        retention: How long it keeps cases; None for as long as they are not erased.
        links: What it permits in links with other states; without it the node takes no part in them.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    home: Path
    country: Country
    key_file: _Path
    key_protection: Annotated[Protection, Field(strict=False)] = Protection.NONE
    key_passphrase_file: _Path | None = None
    signing_key_file: _Path
    transport_key_file: _Path | None = None
    store: _Path
    operator_keys: Annotated[tuple[PublicKey, ...], Field(strict=False, max_length=16)] = ()
    operator_signatures: int = Field(default=1, ge=1)
    share_reviews: bool = False
    policy: Policy | None = None
    limits: Limits = Limits()
    retention: Retention | None = None
    links: LinkPolicy | None = None

    @model_validator(mode="after")
    def _one_source_of_keys(self) -> Self:
        if self.key_passphrase_file is not None and self.key_protection != Protection.PASSPHRASE:
            raise ValueError(
                f"key_passphrase_file is for key_protection = 'passphrase', not {self.key_protection.value!r}"
            )
        return self

    @classmethod
    def load(cls, home: Path) -> NodeSettings:
        """Read ``node.toml``.

        Raises:
            ConfigurationError: ``settings-missing``, ``settings-invalid``, ``key-file-inside-home``.
        """
        path = Path(home) / SETTINGS_FILE
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigurationError(
                "settings-missing",
                f"{path} cannot be read: {error.strerror}",
                "give the directory that `safeborders node init` made",
            ) from error
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(
                "settings-invalid", f"{path} is not TOML: {error}", "mend the line named"
            ) from error
        try:
            settings = cls(**{**table, "home": Path(home)})
        except ValidationError as error:
            raise settings_invalid(path, error, _tables(cls)) from error
        check_outside(settings.key_path, settings.home)
        check_outside(settings.signing_key_path, settings.home)
        if settings.key_passphrase_path is not None:
            check_outside(settings.key_passphrase_path, settings.home)
        if settings.transport_key_file is not None:
            check_outside(settings.transport_key_path, settings.home)
        return settings

    @property
    def key_path(self) -> Path:
        """Where the key file is."""
        return located(self.home / self.key_file)

    @property
    def key_passphrase_path(self) -> Path | None:
        """Where the passphrase of the key file is, if it is in a file."""
        return None if self.key_passphrase_file is None else located(self.home / self.key_passphrase_file)

    @property
    def signing_key_path(self) -> Path:
        """Where the signing key is."""
        return located(self.home / self.signing_key_file)

    @property
    def transport_key_path(self) -> Path:
        """Where the transport key is.

        Raises:
            ConfigurationError: ``no-transport-key``.
        """
        if self.transport_key_file is None:
            raise ConfigurationError(
                "no-transport-key",
                f"{self.home / SETTINGS_FILE} names no transport_key_file: the node reaches no coordinator",
                "name a new file there, outside the node's directory, and run `safeborders node request`",
            )
        return located(self.home / self.transport_key_file)

    @property
    def store_path(self) -> Path:
        """Where the case store is."""
        return self.home / self.store

    def open_store(self) -> CaseStore:
        """The node's case store, opened with its keys. Raises as ``store_keys`` and CaseStore.open."""
        return CaseStore.open(self.store_path, self.store_keys())

    def store_keys(self) -> NodeKeys:
        """The node's secrets, after a change of them that was interrupted is finished or undone.

        Raises:
            ConfigurationError: as ``key_succession.settled``.
        """
        return key_succession.settled(self)

    def open_participant(self, links: LinkOpener | None = None) -> Participant:
        """The node, ready to take part in studies, and in links.

        Args:
            links: Opens its desk for links (``links.desk.open_desk``); without it the node takes no part.

        Raises:
            ConfigurationError: ``no-policy``, ``no-roster``, ``no-approvers``; ``audit-log-cut``; or as
                ``store_keys``, CaseStore.open, Ledger and AuditLog.
            RefusedError: a key of the roster has expired.
        """
        if self.policy is None:
            raise no_policy(self.home)
        accepted = self.accepted_keys()
        if accepted.roster is None:
            self._document(ROSTER_FILE, "no-roster", _ACCEPT_ROSTER)
        self.approvers()  # without any, the node does not start
        ledger = self.open_ledger()
        anchors.require(self.audit_path, ledger.anchors.all())  # before anything is written to the log
        audit_log = self.open_audit_log()  # a renewed key takes over here
        try:
            key = load_key(self.signing_key_path)
            identity = Identity.from_accepted(self.country, key, accepted, now().date())
            store = self.open_store()
            return Participant(
                identity=identity,
                store=store,
                ledger=ledger,
                policy=self.policy,
                approvers=EnrolledNow(self),
                audit_log=audit_log,
                studies=open_studies(self),
                share_reviews=self.share_reviews,
                links=None if links is None else links(self, audit_log, store, identity),
            )
        except BaseException:
            audit_log.close()
            raise

    def open_audit_log(self) -> AuditLog:
        """The audit log, open for writing, with all records that waited for it.

        Raises:
            ConfigurationError: as ``own_keys.open_log``.
        """
        return own_keys.open_log(self)

    def accepted_keys(self) -> AcceptedKeys:
        """What the node's people have accepted; without a roster before the first acceptance.

        Raises:
            ConfigurationError: ``bad-accepted-keys`` or ``no-roster`` (unreadable).
        """
        if not (self.home / ROSTER_FILE).exists():
            return AcceptedKeys()
        return AcceptedKeys.from_bytes(self._document(ROSTER_FILE, "no-roster", _ACCEPT_ROSTER))

    def enrolment(self) -> EnrolmentBundle:
        """What the node knows of its coordinator.

        Raises:
            ConfigurationError: ``not-enrolled`` or ``bad-enrolment``.
        """
        data = self._document(ENROLMENT_FILE, "not-enrolled", _ACCEPT_BUNDLE)
        try:
            return EnrolmentBundle.from_bytes(data)
        except (PeerError, RefusedError) as error:
            raise ConfigurationError(
                "bad-enrolment",
                f"{self.home / ENROLMENT_FILE} is damaged: {error.cause}",
                "restore it from backup, or accept the bundle again with `safeborders node enrol`",
            ) from error

    @property
    def audit_path(self) -> Path:
        """Where the audit log is."""
        return self.home / AUDIT_FILE

    def approvers(self) -> tuple[Approver, ...]:
        """The people enrolled here.

        Raises:
            ConfigurationError: ``no-approvers`` or ``bad-approvers``.
        """
        return approvers_from_bytes(self._document(APPROVERS_FILE, "no-approvers", _ENROL_APPROVERS))

    def open_ledger(self) -> Ledger:
        """The node's ledger under its policy's caps, checked from its first entry to its last.

        Raises:
            ConfigurationError: ``no-policy``, ``ledger-altered``, or as Ledger.
        """
        if self.policy is None:
            raise no_policy(self.home)
        ledger = Ledger(self.home / LEDGER_FILE, self.policy.caps())
        ledger.verify()
        return ledger

    def _document(self, name: str, code: str, fix: str) -> bytes:
        try:
            return (self.home / name).read_bytes()
        except OSError as error:
            raise ConfigurationError(
                code, f"{self.home / name} cannot be read: {error.strerror}", fix
            ) from error


LinkOpener = Callable[[NodeSettings, AuditLog, CaseStore, Identity], LinkDesk | None]
"""Opens a node's desk for links with what is open already; None if it takes no part in them."""


def _tables(settings: type[NodeSettings]) -> dict[str, set[str]]:
    """The keys of ``node.toml`` by table."""
    return {
        "": set(settings.model_fields) - {"home"},
        "policy": set(Policy.model_fields),
        "limits": set(Limits.model_fields),
        "retention": set(Retention.model_fields),
        "links": set(LinkPolicy.model_fields),
    }


def no_policy(home: Path) -> ConfigurationError:
    """The error for a node that permits nothing."""
    return ConfigurationError(
        "no-policy",
        f"{home / SETTINGS_FILE} has no [policy], so this node permits nothing and does not start",
        "decide what it permits and write it there; docs/policy.md explains each key",
    )


def check_outside(key_file: Path, home: Path) -> None:
    """Refuse a key file that would be copied together with the data it opens.

    Raises:
        ConfigurationError: ``key-file-inside-home``.
    """
    if key_file.resolve().is_relative_to(home.resolve()):
        raise ConfigurationError(
            "key-file-inside-home",
            f"the key file {key_file} lies inside the node's directory {home}",
            "choose a path elsewhere, best on a medium of its own, so that a copied disk opens nothing",
        )
