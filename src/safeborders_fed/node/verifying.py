"""Verifying a release at a node: nobody need believe the coordinator.

Guarantees: what is returned was checked here, on this machine, from the record that was kept: that the
manifest is the one that was approved, that the release follows from contributions which the accepted keys
signed, that what the coordinator calls this node's contributions is what this node's ledger charged, and that
none that was charged is missing but for attempts on record as failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safeborders_fed.errors import PeerError, UsageError
from safeborders_fed.node.records import Record
from safeborders_fed.study import canonical, model_file, release_file
from safeborders_fed.study.transcript import Transcript, compare_releases, replay

if TYPE_CHECKING:
    from safeborders_fed.node.ledger import Ledger
    from safeborders_fed.node.studies import NodeStudies
    from safeborders_fed.study.manifest import Manifest
    from safeborders_fed.study.model_file import Model


@dataclass(frozen=True)
class Verified:
    """What was checked and found right.

    Attributes:
        rounds: Rounds that were recomputed.
        failed: Attempts that gave no sum.
        contributions: Contributions of all nodes whose signatures were checked.
        own: Those of this node that are the ones its ledger charged.
        release_hash: SHA-256 of the release that follows from them.
    """

    study: str
    manifest_hash: str
    rounds: int
    failed: int
    contributions: int
    own: int
    release_hash: str


def verify(
    studies: NodeStudies,
    ledger: Ledger,
    study: str,
    *,
    node: str,
    accepted: Mapping[str, str],
    roster_hash: str,
    models: Path,
) -> Verified:
    """Recomputes the release of a study.

    Args:
        studies: The node's studies.
        ledger: Its ledger.
        study: Which one.
        node: The node's name.
        accepted: Public keys that it accepts now, for a study that it did not take part in.
        roster_hash: Of the roster that holds those keys.
        models: Where its models are: a study may start from one.

    Raises:
        UsageError: ``unknown-study``, ``record-incomplete``, ``not-taken-on`` or ``model-missing``.
        PeerError: As ``study.transcript.replay``; ``release-differs``, ``foreign-contribution`` or
            ``contribution-missing``.
    """
    manifest = studies.manifest(study)
    record = Record(studies.directory(study))
    document = record.release()
    published = release_file.from_bytes(document)
    held = ledger.reservation(study)
    if held is not None and held.manifest_hash != manifest.hash():
        raise _differs("wrong-transcript", "the study that ran here was another one")
    if (published.study, published.manifest_hash) != (study, manifest.hash()):
        raise _differs("release-differs", "the release is of another study")
    outsider = held is None and manifest.roster_hash == roster_hash
    keys = dict(accepted) if outsider else studies.keys(study)
    transcript = Transcript.from_parts(record.transcript())
    found = replay(manifest, transcript, keys, _starting_model(models, manifest))
    # Through its document, as the other one came: JSON has lists where Python has tuples.
    again = release_file.from_bytes(release_file.to_bytes(found, manifest)).release
    different = compare_releases(again, published.release)
    if different:
        raise _differs("release-differs", f"other numbers follow from the record in {', '.join(different)}")
    own = transcript.contributions_of(node)
    _check_own(ledger, study, own, {entry.attempt for entry in transcript.failed})
    return Verified(
        study,
        manifest.hash(),
        rounds=len(transcript.rounds),
        failed=len(transcript.failed),
        contributions=sum(len(entry.contributions) for entry in transcript.rounds),
        own=len(own),
        release_hash=canonical.sha256(document),
    )


def _check_own(ledger: Ledger, study: str, own: list[bytes], failed: set[int]) -> None:
    charged = ledger.answers(study)
    if not set(own) <= set(charged.values()):
        raise _differs("foreign-contribution", "it holds a contribution of this node that it never charged")
    missing = [attempt for attempt, data in charged.items() if data not in own and attempt not in failed]
    if missing:
        raise _differs(
            "contribution-missing",
            f"attempts {', '.join(map(str, missing))} were charged here and are not in it",
        )


def _starting_model(models: Path, manifest: Manifest) -> Model | None:
    wanted = manifest.parameters.get("warm_start")
    if wanted is None:
        return None
    for known in model_file.ids_in(models):
        model = model_file.load(models / f"{known}{model_file.SUFFIX}")
        if model.sha256 == wanted:
            return model
    raise UsageError(
        "model-missing",
        f"study {manifest.id!r} starts from a model that this node does not hold (SHA-256 {wanted})",
        "accept that model with `safeborders node model accept`, then verify again",
    )


def _differs(code: str, what: str) -> PeerError:
    return PeerError(
        code,
        f"the release does not stand up to a check: {what}",
        "do not use it; ask the coordinator's operator, and tell the other states",
    )
