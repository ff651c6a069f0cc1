"""A coordinator and nodes on disk, as enrolment makes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from safeborders_fed.coordinator.enrolment import Done, Terms, enrol
from safeborders_fed.coordinator.founding import add_network
from safeborders_fed.coordinator.home import CoordinatorHome, create_home
from safeborders_fed.errors import SafeBordersError
from safeborders_fed.node.approvals import Approval, create_approver_key, load_approver_key
from safeborders_fed.node.approvers import add
from safeborders_fed.node.creating import create_node
from safeborders_fed.node.enrolment import accept_bundle, write_request
from safeborders_fed.node.rosters import Acceptance, accept, approvals_from_bytes, review, sign
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.study.enrolment import EnrolmentBundle, EnrolmentRequest
from safeborders_fed.study.key_files import load_key

NOW = datetime.now(UTC).replace(microsecond=0)
PEOPLE = ("Anna", "Boris")
WORDS = "correct horse battery"


def later(days: float) -> datetime:
    return NOW + timedelta(days=days)


def code_of(call: Any, *arguments: Any, **options: Any) -> str:
    """The code of the error that a call ends with; it says what to do."""
    with pytest.raises(SafeBordersError) as caught:
        call(*arguments, **options)
    assert caught.value.fix
    return caught.value.code


@dataclass
class Site:
    """A coordinator with one operator, and nodes with two approvers each, in one directory."""

    directory: Path

    @property
    def home(self) -> CoordinatorHome:
        return CoordinatorHome.load(self.directory / "coordinator")

    @property
    def operator(self) -> str:
        return self.home.operators[0].public

    def found(self) -> Site:
        key_file = self.directory / "olga"
        made = create_home(self.directory / "coordinator", operator="Olga", key_file=key_file)
        add_network(made, address="localhost:9443", ca_key_file=self.directory / "ca.key", now=NOW)
        return self

    def terms(self, **options: Any) -> Terms:
        return Terms("Olga", load_key(self.directory / "olga"), **options)

    def node(self, country: str) -> NodeSettings:
        """The node of a state, made at the first call, with its approvers."""
        home = self.directory / country
        if home.exists():
            return NodeSettings.load(home)
        settings = create_node(home, country, self.directory / f"{country}.key", 1000)
        for name in PEOPLE:
            public = create_approver_key(self.person(country, name), WORDS)
            add(settings, name=name, role="approver", public=public, by="IT", today=NOW.date())
        return settings

    def person(self, country: str, name: str) -> Path:
        return self.directory / f"{country}-{name}.pem"

    def request(self, country: str, now: datetime = NOW) -> EnrolmentRequest:
        return EnrolmentRequest.from_bytes(write_request(self.node(country), now).path.read_bytes())

    def enrol(self, country: str, now: datetime = NOW) -> Done:
        request = self.request(country, now)
        return enrol(self.home, request, self.terms(fingerprint=request.fingerprint()), now)

    def bundle(self, country: str) -> EnrolmentBundle:
        path = self.home.path / "bundles" / f"{country}.json"
        return EnrolmentBundle.from_bytes(path.read_bytes())

    def roster(self, version: int) -> bytes:
        return (self.home.path / "rosters" / f"{version:04d}.json").read_bytes()

    def take_bundle(self, country: str, now: datetime = NOW) -> None:
        accept_bundle(self.node(country), self.bundle(country), fingerprint=self.operator, by="IT", now=now)

    def approvals(self, country: str, *documents: bytes, now: datetime = NOW) -> list[Approval]:
        """Both people of a node accept what these files change."""
        settings = self.node(country)
        asked = review(settings, documents)
        signed = [
            sign(
                settings,
                asked,
                name=name,
                key=load_approver_key(self.person(country, name), WORDS),
                now=now,
            )
            for name in PEOPLE
        ]
        return [approval for data in signed for approval in approvals_from_bytes(data)]

    def accept(self, country: str, *versions: int, now: datetime = NOW) -> Acceptance:
        """A node accepts these versions of the roster, by two people where they are needed."""
        documents = [self.roster(version) for version in versions]
        settings = self.node(country)
        asked = review(settings, documents)
        approvals = self.approvals(country, *documents, now=now) if asked.to_accept else []
        return accept(settings, asked, approvals, now)

    def log(self, country: str) -> str:
        return (self.directory / country / "audit.jsonl").read_text(encoding="utf-8")


def federation(directory: Path, *countries: str) -> Site:
    """These states are enrolled, and each has accepted the roster with all of them."""
    site = Site(directory).found()
    for country in countries:
        site.enrol(country)
    for country in countries:
        site.take_bundle(country)
        site.accept(country, len(countries))
    return site
