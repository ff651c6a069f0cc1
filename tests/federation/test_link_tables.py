"""Victims with links, from nodes' books of hits over a study's door to what reports read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from federation_of import NODES, POLICY, analysis_table, approve, participant, run_study, study
from safeborders_fed.cases.encoding import Linked
from safeborders_fed.errors import DefectError, RefusedError
from safeborders_fed.node.policy import Policy
from safeborders_fed.reporting.noisy_tables import TableRelease, tables_of
from safeborders_fed.study import release_file
from safeborders_fed.study.link_messages import LinkAnswer, LinkAsk
from safeborders_fed.study.manifest import Manifest

PARAMETERS: dict[str, Any] = {
    "first_year": 2018,
    "last_year": 2025,
    "tables": ["link-partners", "link-types"],
    "states": list(NODES),
}


class Book:
    """A node's half of links that knows of some victims."""

    def __init__(self, links: Mapping[str, Linked] | None) -> None:
        self.links = links
        self.read = 0

    def answer(self, ask: LinkAsk) -> LinkAnswer:
        raise AssertionError(ask)

    def linked(self) -> Mapping[str, Linked]:
        self.read += 1
        if self.links is None:
            raise DefectError("damaged", "the book cannot be read", "report this")
        return self.links


def wanted(**changes: Any) -> Manifest:
    return study(analysis="trends", parameters={**PARAMETERS, **changes}, rho=4.0)


def tables() -> dict[str, pa.Table]:
    return {node: analysis_table(400, seed) for seed, node in enumerate(NODES)}


def ran(directory: Path, books: Mapping[str, Book], manifest: Manifest) -> TableRelease:
    nodes = [participant(directory, node, table, links=books.get(node)) for node, table in tables().items()]
    for node in nodes:
        approve(node, manifest)
    release = run_study(manifest, nodes).release
    return tables_of(release_file.from_bytes(release_file.to_bytes(release, manifest)), manifest)


def victims(node: str) -> list[str]:
    return sorted(set(tables()[node]["victim"].to_pylist()))


def counts(found: TableRelease, *axes: str) -> dict[tuple[str, ...], float]:
    (table,) = [one for one in found.tables if tuple(axis.name for axis in one.axes) == axes]
    first, second = (axis.codes for axis in table.axes)
    return {
        (one, other): float(table.counts[at, beside])
        for at, one in enumerate(first)
        for beside, other in enumerate(second)
    }


def test_each_node_counts_its_own_victims_by_its_own_book(tmp_path: Path) -> None:
    linked = Linked(frozenset({"IT"}), frozenset({"phone"}))
    several = Linked(frozenset({"IT", "PL"}), frozenset({"phone", "vehicle"}))
    own = victims("BG")
    books = {
        "BG": Book(dict.fromkeys(own[:200], linked) | dict.fromkeys(own[200:260], several)),
        "FI": Book(dict.fromkeys(victims("BG"), linked)),  # nobody in its own files
    }
    found = counts(ran(tmp_path, books, wanted()), "state", "partner")
    # Some of them were found to be no victims, and are not counted; the noise is of a few victims.
    assert 100 < found["BG", "IT"] < 220
    assert 20 < found["BG", "Several"] < 80
    assert all(found[node, "IT"] < 30 for node in ("BE", "FI", "GR"))
    assert all(found[node, "NoLink"] > 250 for node in ("BE", "FI", "GR"))
    assert books["BG"].read == 1


def test_a_book_that_cannot_be_read_is_nobody_counted_and_no_refusal(tmp_path: Path) -> None:
    """Whether an answer comes must not depend on what the book holds."""
    found = counts(ran(tmp_path, {"BG": Book(None)}, wanted()), "state", "partner")
    assert found["BG", "NoLink"] < 50
    assert found["BE", "NoLink"] > 250


def test_a_study_of_other_tables_never_reads_the_book(tmp_path: Path) -> None:
    book = Book(None)
    ran(tmp_path, {"BG": book}, wanted(tables=["coverage"]))
    assert book.read == 0


def test_a_node_that_does_not_permit_the_column_links_refuses(tmp_path: Path) -> None:
    terms = POLICY.model_dump()
    closed = Policy(**{**terms, "columns": POLICY.columns - {"links"}})
    node = participant(tmp_path, "BG", tables()["BG"], policy=closed)
    with pytest.raises(RefusedError) as refused:
        approve(node, wanted())
    assert "links" in str(refused.value)
    approve(node, wanted(tables=["coverage"]))
