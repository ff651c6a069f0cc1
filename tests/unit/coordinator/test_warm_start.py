"""A study starts from the published model that its manifest names, and from no other."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from model_samples import FEATURES, manifest, small
from safeborders_fed.errors import RefusedError
from safeborders_fed.study import model_file
from safeborders_fed.study.model_file import Head, Model
from safeborders_fed.study.sums import starting_arrays


def published() -> Model:
    study, release = small()
    head = Head(
        schema_version=1,
        kind=release.kind,
        name="detection",
        version=1,
        study=study.id,
        manifest_hash=study.hash(),
        facts=release.facts,
        parameters=study.parameters,
        contract_version=study.contract_version,
        software_version=study.software_version,
        created=date(2026, 11, 22),
        card_hash=None,
    )
    return model_file.read(model_file.write(head, release.arrays))


def test_the_named_model_is_where_training_starts() -> None:
    model = published()
    study = manifest(warm_start=model.sha256)
    arrays = starting_arrays(study, model)
    analysis = study.build_analysis()
    assert analysis.start(study.setting(arrays)).learned.setting.warm is arrays


@pytest.mark.parametrize(
    "changes",
    [{"warm_start": "0" * 64}, {"warm_start": None}, {"features": [*FEATURES, "transport"]}],
)
def test_another_model_is_refused(changes: dict[str, object]) -> None:
    model = published()
    study = manifest(**{"warm_start": model.sha256, **changes})
    with pytest.raises(RefusedError) as caught:
        starting_arrays(study, model)
    assert caught.value.code == "wrong-warm-start"


def test_a_model_with_absurd_weights_still_gives_finite_broadcasts() -> None:
    model = published()
    absurd = replace(
        model,
        arrays={
            "weights": np.full_like(model.arrays["weights"], 1e200),
            "centre": np.full_like(model.arrays["centre"], -1.0),
        },
    )
    study = manifest(warm_start=model.sha256)
    analysis = study.build_analysis()
    state = analysis.start(study.setting(starting_arrays(study, absurd)))
    for stage in analysis.stages():
        for _ in range(stage.rounds):
            assert all(np.isfinite(array).all() for array in analysis.broadcast(state).values())
            state = analysis.advance(state, np.zeros(stage.dimension, np.int64), 1e6)
