"""How many referrals are scored in a second on one core: `make bench-scoring`.

Scoring is everything between the analysis table and words: merging, encoding, margins, contributions, how
unusual a record is, reasons in words, the list in order. Peer in the same run: scores alone, as one numpy
matrix product over the dense design of the same referrals, with and without making that design. Reading the
file (conversion, pseudonyms, references) is measured apart. Processor time, so that others on the machine do
not count; best of several runs.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pyarrow as pa

import referral_samples
from federation_of import analysis_table
from model_samples import TODAY, manifest, train
from safeborders_fed.cases.contract import CONTRACT_VERSION, features
from safeborders_fed.cases.encoding import design, merge
from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.cases.mapping import parse_mapping
from safeborders_fed.node import review_list, score_words, scoring
from safeborders_fed.node.referrals import Reference, Referrals, read_referrals
from safeborders_fed.study import model_file
from safeborders_fed.study.model_file import Head, Model

REFERRALS = 50_000
REPEATED = 5
ASKED = 50_000


def best(function: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of the quickest run, all threads together, and what it gave."""
    taken, found = [], None
    for _ in range(REPEATED):
        found = None  # giving back what the last run made is not part of this one
        began = time.process_time()
        found = function()
        taken.append(time.process_time() - began)
    return min(taken), found


def model() -> Model:
    """A logistic model over every feature but the label's and the country that the node is in."""
    names = [entry.name for entry in features() if entry.name != "country_of_exploitation"]
    made = manifest(features=names, rounds=10)
    release = train(made, analysis_table(4000, 1))
    head = Head(
        schema_version=1,
        kind=release.kind,
        name="bench",
        version=1,
        study=made.id,
        manifest_hash=made.hash(),
        facts=release.facts,
        parameters=made.parameters,
        contract_version=CONTRACT_VERSION,
        software_version="0",
        created=TODAY,
        card_hash=None,
    )
    return model_file.read(model_file.write(head, release.arrays))


def scored(chosen: Model, table: pa.Table, references: tuple[Reference, ...]) -> review_list.ReviewList:
    victims = merge(table, scoring.needed_fields(chosen))
    return review_list.make(chosen, Referrals(victims, references, len(victims), 0, ()), None)


def worded(chosen: Model, table: pa.Table) -> score_words.Reasons:
    """Encoding, margins, contributions, how unusual records are, and all reasons in words."""
    victims = merge(table, scoring.needed_fields(chosen))
    return score_words.reasons(chosen, victims, scoring.score(chosen, victims))


def parts(chosen: Model, table: pa.Table) -> dict[str, float]:
    """Seconds of each part of scoring."""
    merging, victims = best(lambda: merge(table, scoring.needed_fields(chosen)))
    numbers, scores = best(lambda: scoring.score(chosen, victims))
    words, _ = best(lambda: score_words.reasons(chosen, victims, scores))
    return {"merging": merging, "numbers": numbers, "words": words}


def reading(chosen: Model) -> float:
    """Seconds for reading a CSV file of as many referrals."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "referrals.csv"
        referral_samples.write(path, referral_samples.rows(REFERRALS))
        mapping = parse_mapping(referral_samples.MAPPING, "referrals.toml")
        fields, keys = scoring.needed_fields(chosen), NodeKeys.generate()
        seconds, _ = best(lambda: read_referrals(path, mapping, keys, fields))
    return seconds


def main() -> None:
    chosen = model()
    table = analysis_table(REFERRALS, 2)
    references = tuple(Reference((f"C-{n}",), f"P-{n}", (n,)) for n in range(REFERRALS))
    entries = [entry for entry, _ in chosen.analysis.column_fields()]
    victims = merge(table, scoring.needed_fields(chosen))
    weights = np.random.default_rng(0).normal(size=len(chosen.arrays["centre"]))
    dense = design(victims, entries).toarray().astype(np.float64)
    found = {
        "encoding, scores and reasons in words": best(lambda: worded(chosen, table))[0],
        "the same, and the list in order": best(lambda: scored(chosen, table, references))[0],
        **{f"of that, {name}": seconds for name, seconds in parts(chosen, table).items()},
        "reading the CSV file": reading(chosen),
        "peer: dense design and matrix product": best(
            lambda: design(victims, entries).toarray().astype(np.float64) @ weights
        )[0],
        "peer: matrix product alone": best(lambda: dense @ weights)[0],
    }
    peer = found["peer: dense design and matrix product"]
    conditions = (
        f"{REFERRALS} referrals, {len(weights)} columns, one core, best of {REPEATED}, {platform.machine()}, "
        f"Python {platform.python_version()}; asked for: {ASKED} a second"
    )
    rows = []
    for name, seconds in found.items():
        rate = REFERRALS / seconds
        print(f"{name:40} {rate:12,.0f} referrals/s   {seconds / peer:6.2f} x dense design and product")
        rows.append(
            {
                "case": name.removeprefix("peer: "),
                "method": "peer" if name.startswith("peer") else "ours",
                "figure": "referrals a second",
                "value": rate,
                "conditions": conditions,
            }
        )
    Path("bench").mkdir(exist_ok=True)
    Path("bench/scoring.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
