"""What a policy may say, and what of a manifest it permits."""

import re
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pydantic import BaseModel

from federation_of import EIGHT, MAX_VICTIMS, NODES, POLICY, ROOT, study
from safeborders_fed.errors import ConfigurationError, RefusedError
from safeborders_fed.node.creating import create_node
from safeborders_fed.node.link_policy import LinkPolicy
from safeborders_fed.node.policy import Policy
from safeborders_fed.node.policy_check import doubtful, wrong
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.node.settings_text import TEMPLATE
from safeborders_fed.study.manifest import Manifest

TODAY = date(2026, 5, 1)
RIGHT = {
    "analyses": '["logistic"]',
    "columns": '["sex", "age_band"]',
    "purposes": '["statistics"]',
    "populations": '["all"]',
    "epsilon_per_study": "1.0",
    "epsilon_per_year": "2.0",
    "epsilon_lifetime": "3.0",
    "delta": "1e-6",
    "minimum_participants": "2",
    "least_victims": "100",
    "least_tolerated_colluders": "1",
}
REQUIRED = tuple(RIGHT)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("node")
    create_node(directory / "be", "BE", directory / "be.key", 1000)
    return directory / "be"


def load(home: Path, changes: dict[str, str | None]) -> Policy | None:
    """The policy of a node whose file says this."""
    terms = {key: value for key, value in {**RIGHT, **changes}.items() if value is not None}
    path = home / "node.toml"
    kept = path.read_text(encoding="utf-8")
    lines = "\n".join(f"{key} = {value}" for key, value in terms.items())
    path.write_text(f"{kept}\n[policy]\n{lines}\n", encoding="utf-8")
    try:
        return NodeSettings.load(home).policy
    finally:
        path.write_text(kept, encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "says", "fix"),
    [
        ({"epsilon_per_yaer": "2.0"}, "epsilon_per_yaer: there is no such key", "'epsilon_per_year' instead"),
        ({"purpose": '["statistics"]', "purposes": None}, "did you mean 'purposes'", "'purposes' instead"),
        ({"qqqq": "1"}, "policy.qqqq: there is no such key", "docs/policy.md"),
        ({"epsilon_per_study": "nan"}, "epsilon_per_study", "docs/policy.md"),
        ({"epsilon_per_study": "inf"}, "epsilon_per_study", "docs/policy.md"),
        ({"epsilon_per_study": "-1.0"}, "greater than 0", "docs/policy.md"),
        ({"epsilon_per_study": "0.0"}, "greater than 0", "docs/policy.md"),
        ({"epsilon_per_study": "1" * 400}, "epsilon_per_study", "docs/policy.md"),
        ({"epsilon_per_study": '"1.0"'}, "epsilon_per_study", "docs/policy.md"),
        ({"delta": "1e-4"}, "delta", "docs/policy.md"),
        ({"purposes": '["statistic"]'}, "did you mean 'statistics'", "docs/policy.md"),
        ({"purposes": "[]"}, "purposes", "docs/policy.md"),
        ({"purposes": '"statistics"'}, "purposes", "docs/policy.md"),
        ({"populations": '["minor"]'}, "did you mean 'minors'", "docs/policy.md"),
        ({"populations": "[]"}, "populations", "docs/policy.md"),
        ({"columns": '["age_bnad"]'}, "did you mean 'age_band'", "docs/policy.md"),
        ({"columns": f'["{"x" * 5000}"]'}, "is none of them", "docs/policy.md"),
        ({"columns": "[1]"}, "columns", "docs/policy.md"),
        ({"least_victims": "-1"}, "least_victims", "docs/policy.md"),
        ({"least_victims": "1" * 400}, "least_victims", "docs/policy.md"),
        ({"least_victims": "10.5"}, "least_victims", "docs/policy.md"),
        ({"least_victims": "true"}, "least_victims", "docs/policy.md"),
        ({"least_tolerated_colluders": "0"}, "least_tolerated_colluders", "docs/policy.md"),
        ({"minimum_participants": "9" * 400}, "minimum_participants", "docs/policy.md"),
        (
            {"opening_hours": '["Mon-Fri 18:00-08:00"]', "time_zone": '"Europe/Sofia"'},
            "ends before it begins",
            "docs/policy.md",
        ),
        ({"opening_hours": '["Mon-Fri 08:00-18:00"]'}, "belong together", "docs/policy.md"),
        ({"time_zone": '"Europe/Sofia"'}, "belong together", "docs/policy.md"),
        ({"opening_hours": "[]", "time_zone": '"Europe/Sofia"'}, "opening_hours", "docs/policy.md"),
        (
            {"opening_hours": '["Mon 08:00-18:00"]', "time_zone": '"Europe/Sofja"'},
            "did you mean 'Europe/Sofia'",
            "docs/policy.md",
        ),
        *[({key: None}, f"policy.{key}: it is missing", "docs/policy.md") for key in REQUIRED],
    ],
)
def test_a_mistake_is_named_with_its_key_and_what_to_write(
    home: Path, changes: dict[str, str | None], says: str, fix: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(home, changes)
    error = caught.value
    assert error.code == "settings-invalid"
    assert says in error.cause
    assert fix in error.fix
    assert next(iter(changes)) in error.cause or says in error.cause
    assert len(error.cause) < 600


def test_a_key_outside_of_tables_is_named_with_the_nearest_too(home: Path) -> None:
    path = home / "node.toml"
    kept = path.read_text(encoding="utf-8")
    path.write_text(kept.replace("\nstore = ", "\nstores = "), encoding="utf-8")
    try:
        with pytest.raises(ConfigurationError) as caught:
            NodeSettings.load(home)
    finally:
        path.write_text(kept, encoding="utf-8")
    assert "stores: there is no such key; did you mean 'store'?" in caught.value.cause
    assert caught.value.fix == "write 'store' instead of 'stores'"


def test_a_number_that_no_text_should_hold_is_no_defect(home: Path) -> None:
    with pytest.raises(ConfigurationError):
        load(home, {"least_victims": "1" * 5000})


def test_the_template_of_a_new_node_is_a_policy_once_its_marks_are_removed(home: Path) -> None:
    start = TEMPLATE.index("# [policy]")
    lines = TEMPLATE[start : TEMPLATE.index("\n# [", start + 1)].splitlines()
    values = dict(line[2:].split(" = ", 1) for line in lines if " = " in line)
    found = load(home, {**dict.fromkeys(RIGHT), **values})
    assert found is not None
    assert found.hours() is not None
    assert set(values) | {"approvals_needed"} == set(Policy.model_fields)


def test_the_template_of_a_new_node_has_links_with_all_their_keys() -> None:
    start = TEMPLATE.index("# [links]")
    lines = TEMPLATE[start : TEMPLATE.index("\n\n", start)].splitlines()
    table = tomllib.loads("\n".join(line.removeprefix("# ") for line in lines))["links"]
    LinkPolicy.model_validate(table)
    assert set(table) == set(LinkPolicy.model_fields)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "configs" / "policies").glob("*.toml")), ids=lambda path: path.stem
)
def test_each_example_is_a_policy_that_can_be_meant(path: Path) -> None:
    found = Policy.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))["policy"])
    assert not list(wrong(found))
    assert not list(doubtful(found))


@pytest.mark.parametrize(("part", "model"), [(0, Policy), (1, LinkPolicy)], ids=["policy", "links"])
def test_the_document_explains_each_key_and_no_other(part: int, model: type[BaseModel]) -> None:
    text = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", text.split("\n## Links ")[part], flags=re.MULTILINE)
    assert {key for key, _ in rows} == set(model.model_fields)
    for key, needed in rows:
        assert needed.startswith("required") is model.model_fields[key].is_required(), key


def test_the_example_of_links_in_the_document_is_a_policy() -> None:
    text = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8").split("\n## Links ")[1]
    (example,) = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    LinkPolicy.model_validate(tomllib.loads(example)["links"])


def objections(policy: dict[str, object], manifest: Manifest, node: str = "BE") -> dict[str, str]:
    allowed = POLICY.model_copy(update=policy)
    found = allowed.objections(manifest, node=node, max_victims=MAX_VICTIMS, today=TODAY)
    return {entry.term: entry.what for entry in found}


def test_every_violated_term_is_told_not_only_the_first() -> None:
    strict: dict[str, object] = {
        "analyses": frozenset({"trends"}),
        "columns": frozenset({"sex"}),
        "purposes": frozenset({"statistics"}),
        "populations": frozenset({"minors"}),
        "minimum_participants": 8,
        "least_tolerated_colluders": 3,
        "least_tick_seconds": 9.0,
        "delta": 1e-9,
    }
    masked = study(participants=EIGHT, trust="masked", max_victims=MAX_VICTIMS - 1)
    found = objections(strict, masked, node="XX")
    assert set(found) == {*strict, "participants", "max_victims"}
    with pytest.raises(RefusedError) as caught:
        POLICY.model_copy(update=strict).check(masked, node="XX", max_victims=MAX_VICTIMS, today=TODAY)
    assert caught.value.code == "policy"
    for what in found.values():
        assert what in caught.value.cause


def test_a_study_that_is_permitted_meets_no_objection() -> None:
    assert not objections({}, study())


def test_purpose_and_population_must_be_permitted() -> None:
    asked = study(purpose_category="evaluation")
    assert objections({"purposes": frozenset({"statistics"})}, asked) == {
        "purposes": "purposes of evaluation are not permitted"
    }
    assert not objections({"purposes": frozenset({"evaluation"})}, asked)
    minors = study(
        parameters={"target": "actual_victim", "features": ["sex"], "rounds": 4, "population": "minors"}
    )
    assert objections({"populations": frozenset({"all"})}, minors) == {
        "populations": "population 'minors' is not permitted"
    }
    assert objections({"populations": frozenset({"minors"})}, study()) == {
        "populations": "population 'all' is not permitted"
    }


def test_colluders_count_only_where_others_hold_part_of_the_noise() -> None:
    strict: dict[str, object] = {"least_tolerated_colluders": 2}
    masked = study(participants=EIGHT, trust="masked", tolerated_colluders=1)
    assert objections(strict, masked) == {
        "least_tolerated_colluders": "it withstands 1 colluding states, which is below 2"
    }
    assert not objections(strict, study(participants=EIGHT, trust="masked", tolerated_colluders=2))
    assert not objections(strict, study(participants=NODES, trust="local", tolerated_colluders=0))


def test_closed_says_when_it_opens_and_open_says_nothing() -> None:
    hours = {"opening_hours": ("Mon-Fri 08:00-18:00",), "time_zone": "Europe/Sofia"}
    policy = Policy.model_validate({**POLICY.model_dump(), **hours})
    policy.require_open(datetime(2026, 11, 23, 7, 0, tzinfo=UTC))
    with pytest.raises(RefusedError, match="Mon 2026-11-23 08:00 Europe/Sofia") as caught:
        policy.require_open(datetime(2026, 11, 22, 7, 0, tzinfo=UTC))
    assert caught.value.code == "closed"
    POLICY.require_open(datetime(2026, 11, 22, 7, 0, tzinfo=UTC))
