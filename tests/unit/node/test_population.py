"""A population is counted once for a snapshot, with noise that is charged, and never otherwise."""

import json
import multiprocessing
import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count as numbers
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation_of import POLICY, SMALL, MemoryStore, analysis_table, history_of, participant, study
from safeborders_fed.audit.chain import Head as AuditHead
from safeborders_fed.cases.encoding import merge
from safeborders_fed.errors import ConfigurationError, RefusedError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node import journal, population
from safeborders_fed.node.caps import Caps
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.node.opening_hours import DAYS
from safeborders_fed.node.participant import Participant
from safeborders_fed.node.policy import Policy
from safeborders_fed.node.population import Census, sigma_for
from safeborders_fed.node.population_counts import NoisedCount
from safeborders_fed.node.studies import NodeStudies
from safeborders_fed.study.handshake import Head, Join, Joined
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.messages import Message, Reason, Refusal, decode
from safeborders_fed.study.offering import Offer, Offered, Status, Why
from safeborders_fed.study.publication import publish

OPERATOR = public_hex(SMALL.operator)
PEOPLE = SMALL.people["BE"]
LEAST = 100
TESTED = POLICY.model_copy(update={"least_victims": LEAST})
RHO = population.cost(LEAST)
WIDE = Caps(study=1e9, year=1e9, lifetime=1e9)
MANIFEST = study()
MINORS = {"target": "actual_victim", "features": ["sex"], "rounds": 4, "population": "minors"}


ALWAYS = {"opening_hours": None, "time_zone": None}


def closed() -> dict[str, Any]:
    """Hours that are not now, in any zone."""
    day = DAYS[(datetime.now(UTC).weekday() + 3) % 7]
    return {"opening_hours": (f"{day} 00:00-24:00",), "time_zone": "UTC"}


class Noises:
    """A sampler that gives the next of some values, and counts how often it was asked for a single one."""

    def __init__(self, values: Iterator[int]) -> None:
        self.values = values
        self.scales: list[float] = []

    def __call__(self, scale: float, size: int) -> np.ndarray:
        if size > 1:
            return np.zeros(size, dtype=np.int64)
        self.scales.append(scale)
        return np.array([next(self.values)], dtype=np.int64)


def always(value: int) -> Noises:
    return Noises(value for _ in numbers())


@dataclass
class Node:
    """A node with its directory, that can be started again."""

    directory: Path
    rows: int = 400
    policy: Policy = TESTED
    noise: Noises = field(default_factory=lambda: always(0))
    time: datetime | None = None
    running: Participant = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def stop(self) -> None:
        self.running._ledger.close()
        self.running._audit_log.close()

    def start(self) -> None:
        self.running = participant(
            self.directory,
            "BE",
            analysis_table(self.rows, 1),
            policy=self.policy,
            noise=self.noise,
            studies=NodeStudies(self.directory, (OPERATOR,)),
            clock=lambda: self.time or datetime.now(UTC),
        )

    def restart(self, **changes: Any) -> None:
        self.stop()
        self.policy = self.policy.model_copy(update=changes)
        self.start()

    @property
    def ledger(self) -> Ledger:
        return self.running._ledger

    def ask(self, request: Offer | Join) -> Message:
        return decode(self.running.answer(request.encode()).data)

    def offer(self, manifest: Manifest) -> Offered:
        found = self.ask(
            Offer(
                study=manifest.id,
                published=publish(manifest, SMALL.operator).decode(),
                history=history_of(manifest),
            )
        )
        assert isinstance(found, Offered)
        return found

    def approve(self, manifest: Manifest, people: int = 2) -> None:
        self.offer(manifest)
        for approval in PEOPLE.approve("study", manifest.hash())[:people]:
            NodeStudies(self.directory, (OPERATOR,)).add_approval(manifest.id, approval)

    def join(self, manifest: Manifest) -> Message:
        return self.ask(Join(study=manifest.id, manifest_hash=manifest.hash()))

    def logged(self) -> list[dict[str, Any]]:
        lines = (self.directory / "BE.audit.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Node]]:
    made: list[Node] = []

    def build(**terms: Any) -> Node:
        directory = tmp_path / str(len(made))
        directory.mkdir()
        made.append(Node(directory, **terms))
        return made[-1]

    yield build
    for node in made:
        node.stop()


def refusal(message: Message) -> Reason:
    assert isinstance(message, Refusal), message
    return message.reason


def test_an_approved_study_of_enough_victims_is_counted_charged_logged_and_taken_on(
    make: Callable[..., Node],
) -> None:
    node = make()
    node.approve(MANIFEST)
    assert isinstance(node.join(MANIFEST), Joined)
    (drawn,) = node.ledger.counts.listed()
    assert (drawn.population, drawn.snapshot, drawn.sigma, drawn.rho) == ("all", "snapshot-1", 25.0, RHO)
    assert drawn.noised == population.count(analysis_table(400, 1), "all")
    assert node.noise.scales == [sigma_for(LEAST)] == [25.0]
    assert node.ledger.totals().spent == pytest.approx(RHO)
    assert node.ledger.totals(year=datetime.now(UTC).year).spent == pytest.approx(RHO)
    assert node.ledger.totals(study=MANIFEST.id).spent == 0
    entries = [entry for entry in node.logged() if entry["operation"] == "count"]
    (entry,) = entries
    assert entry["details"] == {
        "key": "population/all/snapshot-1",
        "study": MANIFEST.id,
        "population": "all",
        "snapshot": "snapshot-1",
        "rho": RHO,
    }
    node.ledger.verify()


def test_too_few_are_refused_with_the_reason_of_any_policy_and_in_plain_words_here(
    make: Callable[..., Node], caplog: pytest.LogCaptureFixture
) -> None:
    node = make(rows=30)
    node.approve(MANIFEST)
    assert refusal(node.join(MANIFEST)) is Reason.POLICY
    exact = population.count(analysis_table(30, 1), "all")
    assert "noised count of its population (all) at this node is below least_victims, 100" in caplog.text
    assert f" {exact}" not in caplog.text
    assert node.ledger.reservation(MANIFEST.id) is None
    found = node.offer(MANIFEST)
    assert (found.status, found.reason) == (Status.APPROVED, Why.POLICY)


def test_nothing_is_counted_before_enough_people_have_approved(make: Callable[..., Node]) -> None:
    node = make()
    for _ in range(5):
        node.offer(MANIFEST)
        assert refusal(node.join(MANIFEST)) is Reason.NOT_APPROVED
    node.approve(MANIFEST, people=1)
    assert refusal(node.join(MANIFEST)) is Reason.NOT_APPROVED
    assert not node.noise.scales
    assert not node.ledger.counts.listed()


def test_nothing_is_counted_for_a_study_that_policy_or_budget_or_the_hour_keeps_out(
    make: Callable[..., Node],
) -> None:
    for changes, reason in (
        ({"purposes": frozenset({"evaluation"})}, Reason.POLICY),
        ({"epsilon_per_study": 0.1}, Reason.BUDGET),
        ({"epsilon_lifetime": 0.3}, Reason.BUDGET),
        (closed(), Reason.CLOSED),
    ):
        node = make(policy=TESTED.model_copy(update=changes))
        node.approve(MANIFEST)
        assert refusal(node.join(MANIFEST)) is reason
        assert not node.noise.scales
        assert not node.ledger.counts.listed()


def test_a_count_is_not_bought_with_what_only_the_study_could_pay(make: Callable[..., Node]) -> None:
    node = make()
    caps = Caps(study=MANIFEST.rho, year=MANIFEST.rho + RHO / 2, lifetime=10.0)
    node.ledger._caps = caps
    node.approve(MANIFEST)
    assert refusal(node.join(MANIFEST)) is Reason.BUDGET
    assert not node.noise.scales
    node.ledger._caps = Caps(study=MANIFEST.rho, year=MANIFEST.rho + RHO, lifetime=10.0)
    assert isinstance(node.join(MANIFEST), Joined)


def test_zero_asks_for_no_test_and_charges_nothing(make: Callable[..., Node]) -> None:
    node = make(rows=3, policy=POLICY)
    node.approve(MANIFEST)
    assert isinstance(node.join(MANIFEST), Joined)
    assert not node.noise.scales
    assert node.ledger.totals().spent == 0
    assert population.cost(0) == 0


def test_the_same_population_is_counted_once_and_a_nested_one_costs_again(make: Callable[..., Node]) -> None:
    node = make(rows=900)
    others = [study(id="second"), study(id="third", parameters=MINORS), study(id="fourth", parameters=MINORS)]
    for manifest in (MANIFEST, *others):
        node.approve(manifest)
        assert isinstance(node.join(manifest), Joined)
    assert [drawn.population for drawn in node.ledger.counts.listed()] == ["all", "minors"]
    assert node.ledger.totals().spent == pytest.approx(2 * RHO)
    all_of_them, minors = node.ledger.counts.listed()
    assert minors.noised < all_of_them.noised


def test_another_snapshot_is_counted_anew(make: Callable[..., Node], monkeypatch: pytest.MonkeyPatch) -> None:
    node = make()
    for number in (1, 2, 2):
        manifest = study(id=f"study-{len(node.ledger.studies())}")
        monkeypatch.setattr(MemoryStore, "latest_snapshot", lambda _, now=number: f"snapshot-{now}")
        node.approve(manifest)
        assert isinstance(node.join(manifest), Joined)
    assert [drawn.snapshot for drawn in node.ledger.counts.listed()] == ["snapshot-1", "snapshot-2"]


def test_asking_again_says_nothing_new(make: Callable[..., Node]) -> None:
    """Fresh noise at each question would average out: questions, restarts and other studies get one."""
    noise = Noises(iter(range(-500, 10_000, 700)))  # a second draw would let the study pass
    node = make(noise=noise)
    node.approve(MANIFEST)
    answers = set()
    for step in range(60):
        answers.add(refusal(node.join(MANIFEST)))
        node.offer(MANIFEST)
        if step % 9 == 0:
            node.restart()
    other = study(id="another")
    node.approve(other)
    answers.add(refusal(node.join(other)))
    assert answers == {Reason.POLICY}
    assert len(noise.scales) == 1
    assert node.ledger.totals().spent == pytest.approx(RHO)
    assert len([entry for entry in node.logged() if entry["operation"] == "count"]) == 1


@pytest.mark.parametrize("noised", [LEAST - 1, LEAST, 3 * LEAST])
def test_two_nodes_with_the_same_noised_count_cannot_be_told_apart(
    make: Callable[..., Node], noised: int
) -> None:
    """All that is said, in bytes and ticks, follows from the noised count, whatever the exact one is."""
    told = []
    for rows in (1, 120, 700):
        exact = population.count(analysis_table(rows, 1), "all")
        node = make(rows=rows, noise=always(noised - exact))
        node.approve(MANIFEST)
        seen: list[Any] = []
        for _ in range(3):
            outgoing = node.running.answer(Join(study=MANIFEST.id, manifest_hash=MANIFEST.hash()).encode())
            message = decode(outgoing.data)
            what = message.reason if isinstance(message, Refusal) else "joined"
            seen += [what, outgoing.tick, len(outgoing.data), node.offer(MANIFEST).model_dump()]
        told.append(seen)
    assert told[0] == told[1] == told[2]
    assert (told[0][0] == Reason.POLICY) is (noised < LEAST)


@pytest.mark.parametrize("rows", [1, 400])
def test_an_answer_that_may_have_waited_for_a_count_leaves_at_a_tick(
    make: Callable[..., Node], rows: int
) -> None:
    node = make(rows=rows)
    node.approve(MANIFEST)
    request = Join(study=MANIFEST.id, manifest_hash=MANIFEST.hash()).encode()
    assert node.running.answer(request).tick == MANIFEST.tick_seconds > 0
    node.restart()
    assert node.running.answer(request).tick == MANIFEST.tick_seconds


def test_a_study_under_way_is_not_tested_again_and_goes_on_outside_the_hours(
    make: Callable[..., Node],
) -> None:
    node = make()
    node.approve(MANIFEST)
    assert isinstance(node.join(MANIFEST), Joined)
    node.restart(least_victims=10**6, **closed())
    assert isinstance(node.join(MANIFEST), Joined)
    assert node.offer(MANIFEST).reason is Why.NONE
    late = study(id="late")
    node.approve(late)
    assert refusal(node.join(late)) is Reason.CLOSED
    node.restart(**ALWAYS)
    assert refusal(node.join(late)) is Reason.POLICY


def test_when_closed_the_offer_says_so_and_the_study_starts_when_open(make: Callable[..., Node]) -> None:
    node = make(policy=TESTED.model_copy(update=closed()))
    node.approve(MANIFEST)
    found = node.offer(MANIFEST)
    assert (found.status, found.reason) == (Status.APPROVED, Why.CLOSED)
    assert refusal(node.join(MANIFEST)) is Reason.CLOSED
    assert node.ledger.totals().spent == 0
    node.restart(**ALWAYS)
    assert node.offer(MANIFEST).reason is Why.NONE
    assert isinstance(node.join(MANIFEST), Joined)


def test_a_failure_while_counting_is_nobody_noised_and_charged(
    make: Callable[..., Node], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """ADR 13: an exception that one record causes must not become an exact answer for free."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(population, "merge", fail)
    node = make(noise=always(7))
    node.approve(MANIFEST)
    assert refusal(node.join(MANIFEST)) is Reason.POLICY
    assert [drawn.noised for drawn in node.ledger.counts.listed()] == [7]
    assert node.ledger.totals().spent == pytest.approx(RHO)
    assert "nobody counted" in caplog.text
    monkeypatch.undo()
    assert refusal(node.join(MANIFEST)) is Reason.POLICY
    assert len(node.noise.scales) == 1


def test_a_store_that_cannot_be_read_is_a_local_error_and_nothing_is_drawn(
    make: Callable[..., Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ConfigurationError("store-damaged", "a file is gone", "restore it")

    node = make()
    node.approve(MANIFEST)
    monkeypatch.setattr(MemoryStore, "cases", fail)
    assert refusal(node.join(MANIFEST)) is Reason.UNAVAILABLE
    assert not node.noise.scales
    assert not node.ledger.counts.listed()
    monkeypatch.undo()
    assert isinstance(node.join(MANIFEST), Joined)


def test_a_disputed_ledger_counts_nothing(make: Callable[..., Node]) -> None:
    node = make()
    node.approve(MANIFEST)
    node.ledger.mark_restored("a" * 64)
    assert refusal(node.join(MANIFEST)) is Reason.LEDGER
    assert not node.noise.scales
    assert not node.ledger.counts.listed()


def test_what_the_audit_log_could_not_take_is_written_before_the_answer(
    make: Callable[..., Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = make()
    node.approve(MANIFEST)
    log = node.running._audit_log
    kept = log.append_if_new

    def fail(key: str, *args: Any, **more: Any) -> Any:
        if key.startswith("population/"):
            raise ConfigurationError("audit-log-unwritable", "the disk is full", "free space")
        return kept(key, *args, **more)

    monkeypatch.setattr(log, "append_if_new", fail)
    assert refusal(node.join(MANIFEST)) is Reason.UNAVAILABLE
    assert len(node.ledger.counts.listed()) == 1
    monkeypatch.undo()
    assert isinstance(node.join(MANIFEST), Joined)
    assert len(node.noise.scales) == 1
    assert [entry["operation"] for entry in node.logged()].count("count") == 1


@pytest.mark.parametrize("kind", ["all", "minors"])
def test_the_count_is_of_those_whom_analyses_count(kind: str) -> None:
    table = analysis_table(500, 3, records_per_victim=2)
    tables = study(
        analysis="trends", parameters={"first_year": 2018, "last_year": 2025, "population": kind}
    ).build_analysis()
    prepared = tables.prepare(merge(table, tables.fields()), "BE")
    assert population.count(table, kind) == len(prepared) > 0
    states = {"features": ["sex", "forms_of_exploitation"], "first_year": 2018, "last_year": 2025}
    classes: Any = study(
        analysis="typology", parameters={**states, "states": ["BE", "BG", "FI", "GR"], "population": kind}
    ).build_analysis()
    assert population.count(table, kind) == int(classes.counted(merge(table, classes.fields())).sum())


@pytest.mark.parametrize("kind", ["all", "minors"])
def test_one_victim_changes_the_count_by_one_at_most(kind: str) -> None:
    table = analysis_table(90, 5, records_per_victim=3)
    whole = population.count(table, kind)
    changes = set()
    for victim in sorted(set(table["victim"].to_pylist())):
        others = table.filter(pa.array([name != victim for name in table["victim"].to_pylist()]))
        changes.add(whole - population.count(others, kind))
    assert changes == {0, 1}


@pytest.mark.parametrize(
    ("least", "sigma"), [(1, 20.0), (80, 20.0), (100, 25.0), (1000, 250.0), (10**9, 2.5e8)]
)
def test_noise_follows_from_what_is_asked_for_and_costs_half_its_inverse_square(
    least: int, sigma: float
) -> None:
    assert sigma_for(least) == sigma
    assert population.cost(least) == pytest.approx(1 / (2 * sigma**2))
    assert population.cost(least) >= 1 / (2 * sigma**2)


class Killed(BaseException):
    """The process is gone."""


class Dying:
    """A database connection that works so many more times."""

    def __init__(self, database: sqlite3.Connection, left: int) -> None:
        self._database = database
        self.left = left

    def execute(self, *args: Any) -> Any:
        if self.left <= 0:
            raise Killed
        self.left -= 1
        return self._database.execute(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


def opened(path: Path, left: int) -> Ledger:
    ledger = Ledger(path, WIDE)
    dying: Any = Dying(ledger._journal.db, left)
    ledger._db = ledger._journal.db = ledger.witnesses._db = dying
    return ledger


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_whenever_the_process_dies_one_draw_decides_and_is_charged_once(
    tmp_path_factory: pytest.TempPathFactory, lives: list[int]
) -> None:
    """The ledger's connection dies after so many statements; the next life has other noise ready."""
    path = tmp_path_factory.mktemp("l") / "l.sqlite"
    store: Any = MemoryStore(analysis_table(LEAST, 1))
    noise = Noises(iter((-1000, 1000) * 50))
    decided = []
    for left in [*lives, 10**6, 10**6]:
        ledger = opened(path, left)
        census = Census(store, ledger, LEAST, lambda: None, noise)
        try:
            census.require(MANIFEST, "snapshot-1")
            decided.append("passed")
        except RefusedError:
            decided.append("refused")
        except Killed:
            pass
        finally:
            ledger._journal.db._database.close()  # type: ignore[attr-defined]
    assert len(set(decided)) == 1
    ledger = Ledger(path, WIDE)
    (drawn,) = ledger.counts.listed()
    assert set(decided) == {"passed" if drawn.noised >= LEAST else "refused"}
    assert ledger.totals().spent == pytest.approx(RHO)
    ledger.verify()
    ledger.close()


def _draw_for_ever(path: Path, told: Path, seed: int) -> None:
    ledger = Ledger(path, WIDE)
    draws = random.Random(seed)
    with told.open("ab", buffering=0) as out:
        for number in numbers():
            snapshot = f"snapshot-{number // 3}"
            drawn = NoisedCount("all", snapshot, 20.0, 0.00125, draws.randint(-(10**9), 10**9))
            out.write(f"{snapshot} {ledger.count_once('s', 0.1, drawn).noised}\n".encode())


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_process_never_draws_twice(tmp_path: Path, seed: int) -> None:
    path, told = tmp_path / "l.sqlite", tmp_path / "told"
    context = multiprocessing.get_context("spawn")
    for life in range(3):
        before = told.stat().st_size if told.exists() else 0
        process = context.Process(target=_draw_for_ever, args=(path, told, 100 * seed + life))
        process.start()
        while process.is_alive() and (not told.exists() or told.stat().st_size == before):
            time.sleep(0.01)
        time.sleep(random.Random(seed + life).random() * 0.1)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    ledger = Ledger(path, WIDE)
    ledger.verify()
    kept = {drawn.snapshot: str(drawn.noised) for drawn in ledger.counts.listed()}
    lines = told.read_text(encoding="utf-8").splitlines()
    assert len(lines) > 3
    for line in lines:
        snapshot, noised = line.split(" ")
        assert kept[snapshot] == noised
    assert ledger.totals().spent == pytest.approx(0.00125 * len(kept))
    ledger.close()


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE population SET noised = noised + 1",
        "UPDATE population SET rho = rho / 2",
        "UPDATE population SET sigma = 1.0",
        "UPDATE population SET counted = '1999-01-01'",
        "UPDATE population SET snapshot = 'other' WHERE population = 'minors'",
        "DELETE FROM population WHERE population = 'minors'",
        "DELETE FROM population",
        "INSERT INTO population VALUES ('all', 'other', 20.0, 0.00125, 900, '2026-01-01')",
    ],
)
def test_an_edit_of_a_count_is_found(tmp_path: Path, edit: str) -> None:
    path = tmp_path / "l.sqlite"
    ledger = Ledger(path, WIDE)
    for kind in ("all", "minors"):
        ledger.count_once("s", 0.1, NoisedCount(kind, "snapshot-1", 20.0, 0.00125, 150))
    ledger.verify()
    ledger.close()
    with sqlite3.connect(path) as database:
        database.execute(edit)
    with pytest.raises(ConfigurationError, match="was altered"):
        Ledger(path, WIDE).verify()


def test_counts_stand_in_the_caps_of_their_year_and_the_lifetime(tmp_path: Path) -> None:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    ledger = Ledger(tmp_path / "l.sqlite", Caps(study=1.0, year=1.0, lifetime=1.5), lambda: at)
    ledger.count_once("s", 0.1, NoisedCount("all", "snapshot-1", 20.0, 0.25, 150))
    ledger.require_budget("s", 0.75)
    for span, rho, counting in (("year", 0.76, 0.0), ("year", 0.5, 0.26)):
        with pytest.raises(RefusedError, match=f"cap per {span}"):
            ledger.require_budget("s", rho, count=counting)
    at = at.replace(year=2027)
    ledger.require_budget("s", 1.0)
    assert ledger.totals(year=2027).spent == 0
    ledger.reserve("a", "m", 1.0)
    assert set(ledger.exceeded(0.26)) == {"year", "lifetime"}
    with pytest.raises(RefusedError, match="cap per lifetime"):
        ledger.count_once("s", 0.1, NoisedCount("all", "snapshot-2", 20.0, 0.25, 150))
    assert len(ledger.counts.listed()) == 1


def test_a_ledger_of_before_counts_is_brought_up_to_date_and_keeps_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    ledger = Ledger(path, WIDE)
    ledger.reserve("s", "m", 0.5)
    ledger.close()
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE population")
        database.execute("PRAGMA user_version = 1")
    first, second = Ledger(path, WIDE), Ledger(path, WIDE)
    for ledger in (first, second):
        assert ledger.verify() == 1
        assert ledger.counts.listed() == ()
    first.count_once("s", 0.1, NoisedCount("all", "snapshot-1", 20.0, 0.00125, 150))
    assert second.verify() == 2


def test_a_ledger_that_software_of_version_1_wrote_is_brought_up_to_date(tmp_path: Path) -> None:
    """Its file, as text: a study that ended, one under way, a restore that two people settled."""
    path = tmp_path / "l.sqlite"
    with sqlite3.connect(path) as database:
        database.executescript(Path(__file__).with_name("ledger_of_version_1.sql").read_text("utf-8"))
    ledger = Ledger(path, WIDE)
    assert ledger.verify() == 10
    assert ledger.head() == Head(
        entries=10, value="d2328d4726e660b7e299d30c80093f0f1d8d03b35e8c78d1fbfadef22ade5fdd"
    )
    assert ledger.totals().spent == pytest.approx(0.16)
    assert ledger.totals().reserved == pytest.approx(0.2)
    ledger.count_once("c", 0.1, NoisedCount("all", "snapshot-1", 20.0, 0.00125, 150))
    ledger.anchors.add("b", AuditHead(1, "ab" * 32))
    assert ledger.spend(("b", 0, 1), "r", b"more", 0.05) == b"more"
    assert ledger.verify() == 13
    assert ledger.totals().spent == pytest.approx(0.21125)


def test_two_processes_bring_a_ledger_up_to_date_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both find it old; who comes second finds it done."""
    path = tmp_path / "l.sqlite"
    kept, found = journal.Journal._version, []

    def version(opened_now: journal.Journal) -> int:
        if not found:
            found.append(0)
            Ledger(path, WIDE).close()  # the other process, in between
            return 0
        return kept(opened_now)

    monkeypatch.setattr(journal.Journal, "_version", version)
    assert Ledger(path, WIDE).verify() == 0
