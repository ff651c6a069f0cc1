"""The pinned app bundle: a bundle that Flower takes, the same bytes on every machine."""

from __future__ import annotations

import hashlib

from flwr.cli.config_utils import get_fab_config, get_fab_metadata

from safeborders_fed.study.wire import PROTOCOL
from safeborders_fed.transport.bundle import bundle, bundle_hash


def test_flower_takes_the_bundle() -> None:
    assert get_fab_metadata(bundle()) == ("safeborders/safeborders", f"{PROTOCOL}.0.0")
    assert set(get_fab_config(bundle())["tool"]["flwr"]["app"]["config"]) == {"action", "study"}


def test_its_hash_is_the_same_everywhere() -> None:
    # Written down: a change of it shuts out every node that has not been upgraded.
    assert bundle_hash() == hashlib.sha256(bundle()).hexdigest()
    assert bundle_hash() == "dd4cba517228da4e3c71e2b13598b0c4c9a4e5e66340ab110b55feb751597f11"
