"""Every parser of what comes from outside a node's own process, with valid documents to begin from.

A target passes when its parser returns or raises a ``SafeBordersError``; whatever else comes out is a defect.
"""

from __future__ import annotations

import functools
import json
import random
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mutation
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import followed_samples
import model_samples
import table_samples
import type_samples
from enrolment_samples import Site
from federation_of import NODES, ROOT, SMALL, history_of, study
from safeborders_fed.analyses.base import Release
from safeborders_fed.audit.chain import EMPTY, Entry, Operation, parse_line
from safeborders_fed.audit.tail import read_tail
from safeborders_fed.cases.mapping import parse_mapping
from safeborders_fed.errors import SafeBordersError
from safeborders_fed.masking import signing
from safeborders_fed.masking.keys import StudyKey, offer
from safeborders_fed.masking.signing import Purpose, public_hex
from safeborders_fed.node.approvals import Approval
from safeborders_fed.node.refusals import StudyRefusal, refuse
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.node.settings_text import TEMPLATE
from safeborders_fed.reporting.table_release import Origin, document
from safeborders_fed.study import (
    canonical,
    manifest,
    model_file,
    model_statement,
    publication,
    record,
    release_file,
    roster,
    table_file,
    table_statement,
)
from safeborders_fed.study.accepted_keys import AcceptedKeys
from safeborders_fed.study.anchors import AnchorFile, KeptAnchor
from safeborders_fed.study.enrolment import EnrolmentBundle, EnrolmentRequest
from safeborders_fed.study.handshake import Begin, Begun, Head, Join, Joined, Known, Testimony, Witness
from safeborders_fed.study.messages import Contribution, Reason, Refusal, Round, decode
from safeborders_fed.study.offering import Offer, Why
from safeborders_fed.study.roster import SignedRoster

NOW = datetime(2026, 11, 25, tzinfo=UTC)
OPERATOR = SMALL.operator
KEY = SMALL.identities["BE"].signing_key
STUDY = study()
TABLES = study(analysis="trends", parameters={"first_year": 2018, "last_year": 2025})
TYPOLOGY = study(
    analysis="typology",
    parameters={
        "features": ["sex", "age_band", "forms_of_exploitation"],
        "states": list(NODES),
        "first_year": 2018,
        "last_year": 2025,
    },
)
MASKED = study(trust="masked")
Mutate = Callable[[random.Random, bytes], bytes]


@dataclass(frozen=True)
class Target:
    """A parser.

    Attributes:
        parse: Takes any bytes.
        seeds: Documents that it accepts.
        mutate: Makes another document of one of them.
    """

    parse: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    mutate: Mutate = mutation.json_document

    def document(self, rng: random.Random) -> bytes:
        """A document that is nearly valid."""
        return self.mutate(rng, rng.choice(self.seeds))


def run(target: Target, data: bytes) -> SafeBordersError | None:
    """What a parser says of a document; anything but a coded error comes through."""
    try:
        target.parse(data)
    except SafeBordersError as error:
        return error
    return None


def _published(content: Any) -> bytes:
    signature = signing.sign(OPERATOR, Purpose.MANIFEST, canonical.serialise(content))
    return canonical.serialise({"manifest": content, "signer": public_hex(OPERATOR), "signature": signature})


def _publication(rng: random.Random, data: bytes) -> bytes:
    """The manifest changed, under a signature of the operator; or the document around it."""
    if rng.random() < 0.3:
        return mutation.json_document(rng, data)
    return mutation.resealed(rng, json.loads(data)["manifest"], _published)


def _roster_document(rng: random.Random, data: bytes) -> bytes:
    if rng.random() < 0.3:
        return mutation.json_document(rng, data)

    def seal(content: Any) -> bytes:
        signature = signing.sign(OPERATOR, Purpose.ROSTER, canonical.serialise(content))
        return canonical.serialise(
            {"roster": content, "signer": public_hex(OPERATOR), "signature": signature}
        )

    return mutation.resealed(rng, json.loads(data)["roster"], seal)


def _line(entry: Entry) -> bytes:
    return entry.model_copy(
        update={"signature": signing.sign(KEY, Purpose.AUDIT_ENTRY, entry.signed_part())}
    ).line()


def _entry(operation: Operation, **details: str | float) -> Entry:
    return Entry(
        number=1, at="2026-05-01T12:00:00.000000+00:00", node="BE", operation=operation, who="Jan", why="x",
        details=details, previous=EMPTY.hash, signature="",
    )  # fmt: skip


def _messages() -> tuple[bytes, ...]:
    head = Head(entries=3, value="cd" * 32).signed(KEY, "BE")
    key = offer(
        StudyKey.generate(), KEY, node="BE", study=STUDY.id, manifest_hash=STUDY.hash(),
        roster_hash=STUDY.roster_hash, boot_epoch="0" * 32,
    )  # fmt: skip
    joined = Joined(
        study=STUDY.id, node="BE", key=key.to_json(), head=head, nonce="0" * 32, anchor="ab" * 32
    ).signed(KEY)
    known = Known(node="BG", nonce="1" * 32, heads=(head,))
    testimony = Testimony(study=STUDY.id, node="BE", known=(known,)).signed(KEY)
    arrays = {"weights": np.array([1.5, -2.0]), "a": np.zeros((2, 3))}
    heads = {"BE": head.model_copy(update={"study": STUDY.id})}
    asked = Round(STUDY.id, STUDY.hash(), "gradient", 3, 5, ("BE", "BG"), (key,), heads, arrays)
    vector = np.arange(4, dtype=np.uint64)
    sent: tuple[Any, ...] = (
        Join(study=STUDY.id, manifest_hash=STUDY.hash(), call="0" * 32),
        joined,
        Witness(study=STUDY.id, joined=(joined,)),
        testimony,
        Begin(study=STUDY.id, testimonies=(testimony,)),
        Begun(study=STUDY.id, node="BE"),
        asked,
        Contribution(STUDY.id, 3, 5, "BE", head, vector).signed(KEY),
        Refusal("BE", Reason.BUDGET),
        Offer(
            study=STUDY.id,
            published=publication.publish(STUDY, OPERATOR).decode("utf-8"),
            history=history_of(STUDY, operator=OPERATOR),
        ),
    )
    return tuple(one.encode() for one in sent)


def _settings(data: bytes) -> object:
    with tempfile.TemporaryDirectory() as home:
        Path(home, "node.toml").write_bytes(data)
        found = NodeSettings.load(Path(home))
    return found.policy and found.policy.caps()


def _settings_text() -> bytes:
    files = dict.fromkeys(("key_file", "signing_key_file", "transport_key_file"), '"/keys/be"')
    text = TEMPLATE.format(country="BE", protection="", **files)
    return re.sub(r"(?m)^# (\[|\w+ = )", r"\1", text).replace('["..."]', "[]").encode("utf-8")


def _enrolment() -> tuple[bytes, bytes, bytes]:
    """A request, a bundle and a list of accepted keys."""
    with tempfile.TemporaryDirectory() as directory:
        site = Site(Path(directory)).found()
        request = site.request("BE").to_bytes()
        site.enrol("BE")
        site.take_bundle("BE")
        site.accept("BE", 1)
        accepted = (Path(directory) / "BE" / "accepted-keys.json").read_bytes()
        return request, site.bundle("BE").to_bytes(), accepted


def _statement() -> bytes:
    key = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
    content = model_statement.Statement(
        schema_version=1, action="release", name="detection", version=1, sha256="ab" * 32, reason="a test",
        day=NOW.date(),
    )  # fmt: skip
    return model_statement.sign(content, key, "Olga").to_bytes()


def _table_statement() -> bytes:
    key = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
    content = table_statement.TableStatement(
        action="release", name="trends", version=1, sha256="ab" * 32, reason="a test", day=NOW.date()
    )
    return table_statement.sign(content, key, "Olga").to_bytes()


def _noisy_statement() -> bytes:
    key = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
    content = table_statement.NoisyStatement(
        action="release", name="trends", version=1, sha256="ab" * 32, reason="a test", day=NOW.date(),
        reader="Vesna Marin",
    )  # fmt: skip
    return table_statement.sign_noisy(content, key, "Olga").to_bytes()


def _typed_tables() -> bytes:
    """With types and early warnings."""
    origin = Origin("b" * 64, 1, table_samples.TODAY)
    return document(type_samples.typed(), table_file.Rules(), origin, (), 0.05).to_bytes()


def _warning_tables() -> bytes:
    series = followed_samples.table(followed_samples.RISING, *followed_samples.CALM[:3])
    return followed_samples.made(series, rate=0.5).to_bytes()


def _published_tables() -> bytes:
    return table_samples.loaded(table_samples.release(table_samples.counts(1))).file.to_bytes()


def _anchor_file() -> bytes:
    joined = decode(_messages()[1])
    if not isinstance(joined, Joined):
        raise TypeError
    kept = KeptAnchor(kept_by="RO", kept_on=NOW.date(), joined=joined)
    return AnchorFile(anchors=(kept,)).to_bytes()


def _release() -> bytes:
    arrays = {"weights": np.array([[1.5, -0.0]]), "empty": np.zeros((0, 3)), "one": np.array(7.0)}
    return release_file.to_bytes(Release("logistic", {"target": "actual_victim", "n": 1}, arrays), STUDY)


@functools.cache
def targets() -> dict[str, Target]:
    """All parsers by name."""
    request, bundle, accepted = _enrolment()
    studies = tuple(one.canonical() for one in (STUDY, TABLES, TYPOLOGY, MASKED))
    people = SMALL.people["BE"]
    refusal = refuse(
        people._keys[0], study=STUDY.id, manifest_hash=STUDY.hash(), reason=Why.PURPOSE,
        name=people.enrolled[0].name, signed_at=NOW,
    )  # fmt: skip
    signed_roster = SignedRoster.sign(SMALL.roster, OPERATOR).to_bytes()
    lines = tuple(
        map(_line, (_entry(Operation.CONTRIBUTE, study="s", rho=0.5), _entry(Operation.KEY_CHANGE, new="x")))
    )
    messages = _messages()
    rounds = (record.DoneRound(messages[6], {"BE": messages[7]}),)
    mappings = tuple(path.read_bytes() for path in sorted((ROOT / "configs" / "mappings").glob("*.toml")))
    model = model_samples.model()
    return {
        "manifest": Target(manifest.parse, studies),
        "published study": Target(
            lambda data: publication.receive(data, public_hex(OPERATOR)),
            tuple(publication.publish(one, OPERATOR) for one in (STUDY, TABLES, TYPOLOGY, MASKED)),
            _publication,
        ),
        "approval": Target(
            Approval.from_bytes, tuple(one.to_bytes() for one in people.approve("study", STUDY.hash()))
        ),
        "refusal": Target(StudyRefusal.from_bytes, (refusal.to_bytes(),)),
        "roster": Target(roster.parse, (SMALL.roster.canonical(),)),
        "signed roster": Target(
            lambda data: SignedRoster.from_bytes(data, public_hex(OPERATOR)),
            (signed_roster,),
            _roster_document,
        ),
        "accepted keys": Target(AcceptedKeys.from_bytes, (accepted,)),
        "enrolment request": Target(EnrolmentRequest.from_bytes, (request,)),
        "enrolment bundle": Target(EnrolmentBundle.from_bytes, (bundle,)),
        "message": Target(decode, messages, mutation.message),
        "record": Target(
            record.Transcript.decode,
            (record.Transcript(STUDY.id, STUDY.hash(), rounds, ()).encode(),),
            mutation.flipped,
        ),
        "audit line": Target(lambda data: parse_line(data, 1), lines),
        "audit tail": Target(
            lambda data: read_tail(data, complete=True),
            tuple(line + b"\n" for line in lines),
            mutation.flipped,
        ),
        "anchors": Target(AnchorFile.from_bytes, (_anchor_file(),)),
        "node.toml": Target(_settings, (_settings_text(),), mutation.toml_document),
        "model file": Target(
            model_file.read, (model_file.write(model.head, model.arrays),), mutation.model_file
        ),
        "model statement": Target(model_statement.parse, (_statement(),)),
        "table statement": Target(table_statement.parse, (_table_statement(),)),
        "noisy statement": Target(table_statement.parse_noisy, (_noisy_statement(),)),
        "published tables": Target(
            table_file.read, (_published_tables(), _typed_tables(), _warning_tables())
        ),
        "release file": Target(release_file.from_bytes, (_release(),)),
        "mapping": Target(
            lambda data: parse_mapping(data.decode("utf-8", "replace"), "a test"),
            mappings,
            mutation.toml_document,
        ),
    }
