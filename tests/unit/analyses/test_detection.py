"""Detection over the data contract: who trains, who is held out, which labels there are."""

import numpy as np
import pytest

from federation_of import MAX_VICTIMS, analysis_table
from safeborders_fed.analyses.base import Setting
from safeborders_fed.analyses.detection import EVALUATION
from safeborders_fed.analyses.inputs import STATISTICS, add_statistics, read_statistics, statistics_stage
from safeborders_fed.analyses.learner import Rows
from safeborders_fed.analyses.logistic import Logistic, LogisticParameters
from safeborders_fed.cases.contract import field
from safeborders_fed.cases.encoding import labels, merge
from safeborders_fed.errors import RefusedError, UsageError
from safeborders_fed.privacy.bounded_sum import BoundedSumBuilder
from safeborders_fed.privacy.products import Indicators

FEATURES = ("sex", "age_band", "means_of_control", "roles")
STATES = ("BE", "BG")
SUSPECT = "label-about-suspect"


def analysis(**changes: object) -> Logistic:
    terms: dict[str, object] = {"target": "actual_victim", "features": FEATURES, "rounds": 10}
    return Logistic(LogisticParameters.model_validate({**terms, **changes}))


def test_statistics_count_training_victims_and_values() -> None:
    model = analysis()
    rows = model.prepare(merge(analysis_table(2000, 1), model.fields()), "BG").training
    stage = model.stages()[0]
    assert stage.name == STATISTICS
    found = read_statistics(model.learner.contribute(rows, stage, {}, MAX_VICTIMS).values, 0.0)
    assert found.labelled == pytest.approx(len(rows.target), rel=1e-3)
    assert found.positives == pytest.approx(rows.target.sum(), rel=1e-3)
    assert found.centre[:3] == pytest.approx(rows.dense().mean(axis=0)[:3], rel=0.01)


def test_counts_are_exact_also_where_victims_have_many_values() -> None:
    """A victim of many values is shortened in its values only."""
    ones = np.ones((50, 40), dtype=np.int64)
    rows = Rows(Indicators(ones), np.arange(50) % 2)
    stage = statistics_stage(40, 1.0)
    builder = BoundedSumBuilder(dimension=stage.dimension, bound=stage.bound, max_victims=50)
    add_statistics(builder, rows)
    found = read_statistics(builder.finish().values, 0.0)
    assert builder.over_bound == 0
    assert found.labelled == 50
    assert found.positives == 25


def test_held_out_victims_never_train_and_are_all_that_the_evaluation_sees() -> None:
    table = analysis_table(1000, 5)
    model = analysis(held_out=25)
    victims = merge(table, model.fields())
    examples = model.prepare(victims, "BG")
    everything = analysis(held_out=0).prepare(victims, "BG")
    tested = len(examples.testing.target)
    assert len(examples.training.target) + tested == len(everything.training.target)
    assert 0.15 < tested / len(everything.training.target) < 0.35
    stage = model.stages()[-1]
    assert stage.name == EVALUATION
    shapes = model.expects(EVALUATION)
    total = model.contribute(examples, stage, {k: np.zeros(v) for k, v in shapes.items()}, MAX_VICTIMS)
    assert total.values.sum() == pytest.approx(tested * stage.bound, rel=1e-6)


def test_without_held_out_victims_there_is_no_evaluation() -> None:
    assert EVALUATION not in [stage.name for stage in analysis(held_out=0).stages()]
    assert sum(stage.share for stage in analysis().stages()) == pytest.approx(1)


def test_only_minors_count_when_the_population_is_minors() -> None:
    model = analysis(population="minors", held_out=0)
    rows = model.prepare(merge(analysis_table(1000, 6), model.fields()), "BG").training
    start = len(field("sex").bins) + 1
    ages = rows.dense()[:, start : start + 11]
    assert ages[:, [0, 1, 9]].sum() == len(rows.target) > 0


def test_a_population_and_a_partition_name_the_fields_that_they_read() -> None:
    def names(model: Logistic) -> list[str]:
        return [entry.name for entry in model.fields()]

    assert "age_band" not in names(analysis(features=("sex",)))
    assert "age_band" in names(analysis(features=("sex",), population="minors"))
    assert "citizenship" in names(analysis(partitions=("citizenship",)))
    assert "registration_date" in names(analysis())


def test_the_release_names_every_column_once_and_holds_no_evaluation_that_was_not_made() -> None:
    model = analysis()
    facts = model.result(model.start(Setting(1, {}))).facts
    assert len(facts["columns"]) == len(set(facts["columns"])) == model.learner.columns
    assert facts["evaluation"] is None
    assert facts["calibration"] is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"target": "form:ForcedLabour", "features": ("forms_of_exploitation",)}, "bad-features"),
        ({"target": "minor_exploited_by_group", "features": ("exploiter", "sex")}, "bad-features"),
        ({"target": "minor_exploited_by_group", "features": ("age_band",)}, "bad-features"),
        ({"features": ("trafficking_status",)}, "bad-features"),
        ({"features": ("victim_id",)}, "bad-features"),
        ({"features": ("sex", "sex")}, "bad-features"),
        ({"target": "exploiter:Group"}, "label-about-suspect"),
        ({"target": "roles"}, "label-about-suspect"),
        ({"partitions": ("state",)}, "bad-states"),
        ({"states": STATES}, "bad-states"),
        ({"target": "minor_exploited_by_group", "features": ("sex",), "population": "minors"}, SUSPECT),
        ({"partitions": ("sex",), "held_out": 0}, "bad-partitions"),
    ],
)
def test_what_may_not_be_learnt_is_refused(changes: dict[str, object], code: str) -> None:
    with pytest.raises(RefusedError) as caught:
        analysis(**changes)
    assert caught.value.code == code


def test_an_unknown_label_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match="minor_exploited_by_group"):
        analysis(target="guilt")


def test_a_minor_exploited_by_a_group_is_told_from_all_who_surely_are_not() -> None:
    fields = (field("age_band"), field("exploiter"))
    victims = merge(analysis_table(3000, 8), fields)
    found = labels(victims, "minor_exploited_by_group")
    exploiter = victims.singles["exploiter"]
    group, alone = (field("exploiter").codes.index(code) for code in ("Group", "Alone"))
    minors, unknown_age = victims.minors(), victims.singles["age_band"] < 0
    assert (found[minors & (exploiter == group)] == 1).all()
    assert (found[exploiter == alone] == 0).all()
    assert (found[~minors & ~unknown_age] == 0).all()
    assert (found[minors & (exploiter < 0)] == -1).all()
    assert (found[unknown_age & (exploiter != alone)] == -1).all()
    assert {-1, 0, 1} == set(found.tolist())


@pytest.mark.parametrize(("named", "given"), [("0" * 64, None), (None, {"weights": np.zeros(1)})])
def test_a_warm_start_must_be_both_named_and_given(
    named: str | None, given: dict[str, np.ndarray] | None
) -> None:
    with pytest.raises(RefusedError) as caught:
        analysis(warm_start=named).start(Setting(1, {}, given))
    assert caught.value.code == "bad-warm-start"
