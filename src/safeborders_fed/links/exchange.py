"""One exchange of links, driven by the coordinator: keys, batches, tags, hits, checks, letters.

Guarantees:

- What is done is on the disk; a run that was cut off goes on under the same name, and nodes answer what they
  were asked before with the same bytes. An exchange ends with a summary or can be run again.
- Tokens need all nodes of the epoch. If one is offline for as long as is waited, the exchange says so by
  name, makes no new tokens, and compares those that exist between the nodes that are there.
- Nothing that a node says counts without its signature under the roster (``links.calling``); what it said
  wrongly, refused or left unanswered stands in the summary with its name.
- The coordinator takes no decision over case data: approvals, quotas, policy and checks are the nodes'.

What the coordinator learns: who sent how many blinded points of which type, how many tags of each pair there
are and how many are equal (padding and canaries included), and who writes how many letters to whom.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from safeborders_fed.coordinator.federation import NO_REPLY, Federation
from safeborders_fed.errors import SafeBordersError
from safeborders_fed.links import ceremony_rounds
from safeborders_fed.links.batch_rounds import BatchRounds, Refused
from safeborders_fed.links.calling import Caller, Trouble
from safeborders_fed.links.exchange_files import LinkFiles, State, Wish
from safeborders_fed.links.key_set import KeySet
from safeborders_fed.links.matching_rounds import MatchingRounds
from safeborders_fed.study.roster import Roster

SCHEMA_VERSION: Final = 1
SECONDS_BETWEEN_LOOKS: Final = 30.0


@dataclass(frozen=True)
class Summary:
    """What an exchange came to.

    Attributes:
        exchange: Its name.
        epoch: The calendar year whose keys it used.
        nodes: All nodes of the epoch.
        offline: Those that did not answer, however long they were waited for: new tokens wait for them.
        points: Node to how many of its blinded points all nodes answered.
        tags: Tags that came, padding included.
        hits: Pair, as ``BE-BG``, to equal tags told to both, canaries included.
        verified: Likewise, those that both states verified.
        letters: Signed texts with letters that were carried.
        refused: Who did not help with whose chunk, and why.
        liars: Node to what it claimed falsely.
        troubles: What nodes did instead of their steps.
    """

    exchange: str
    epoch: str
    nodes: tuple[str, ...]
    offline: tuple[str, ...] = ()
    points: Mapping[str, int] = field(default_factory=dict)
    tags: int = 0
    hits: Mapping[str, int] = field(default_factory=dict)
    verified: Mapping[str, int] = field(default_factory=dict)
    letters: int = 0
    refused: tuple[Refused, ...] = ()
    liars: Mapping[str, str] = field(default_factory=dict)
    troubles: tuple[Trouble, ...] = ()

    @property
    def wrong(self) -> tuple[Trouble, ...]:
        """What nodes said that they must not say."""
        return tuple(trouble for trouble in self.troubles if trouble.is_wrong)

    def content(self) -> dict[str, Any]:
        """As JSON."""
        facts = {name: getattr(self, name) for name in ("exchange", "epoch", "tags", "letters")}
        tables = {name: dict(getattr(self, name)) for name in ("points", "hits", "verified", "liars")}
        lists = {name: list(getattr(self, name)) for name in ("nodes", "offline")}
        return {
            **facts,
            **tables,
            **lists,
            "refused": [each._asdict() for each in self.refused],
            "troubles": [each._asdict() for each in self.troubles],
        }


def _now() -> datetime:
    return datetime.now(UTC)


class Exchange:
    """A run of an exchange: a new one, or the one that was cut off.

    Args:
        home: The coordinator's directory.
        federation: Carries messages.
        roster: The roster; its nodes make the keys of an epoch.
        epoch: The calendar year.
        wish: What is asked for.
        clock: Gives the time, UTC.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        home: Path,
        federation: Federation,
        roster: Roster,
        epoch: str,
        *,
        wish: Wish | None = None,
        clock: Callable[[], datetime] = _now,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._files = LinkFiles(home, epoch)
        self._federation, self._roster = federation, roster
        self._wish, self._clock, self._sleep = wish or Wish(), clock, sleep
        self._began = clock()
        self._exchange = ""

    def run(self) -> Summary:
        """Runs it to its end.

        Raises:
            RefusedError: ``exchange-running``.
            PeerError: ``different-keys``, or what was wrong with the keys of the epoch.
            ConfigurationError: ``coordinator-unwritable``, ``links-damaged`` or ``board-damaged``.
        """
        with self._files.lock():
            state = self._files.state()
            if state.done:
                state = State(number=state.number + 1, done=False, summary=state.summary)
                self._files.save(state)
            self._exchange = f"{self._files.epoch}-{state.number:04}"
            self._tell("started", letters_only=self._wish.letters_only)
            try:
                summary = self._run()
            except SafeBordersError as error:
                facts = {"code": error.code, "cause": error.cause, "fix": error.fix}
                self._tell("error", **facts, exit_code=error.exit_code)
                raise
            content = summary.content()
            self._files.save(State(number=state.number, done=True, summary=content))
            self._tell("summary", **content)
            return summary

    def _run(self) -> Summary:
        caller = Caller(self._federation, self._roster.keys(), self._exchange)
        ceremony_rounds.keep_to_roster(self._files, caller, self._roster.hash())
        nodes = ceremony_rounds.participants(self._files, caller.keys)
        there, offline = self._roll_call(caller, nodes)
        keys = self._files.key_set() if offline else self._keys(caller)
        batches = BatchRounds(caller, self._files.epoch, nodes, keys, self._batch_step)
        matching = MatchingRounds(caller, self._files, there, nodes, self._step)
        if keys is not None:
            whole = not self._wish.letters_only
            if whole and not offline and self._is_current():
                batches.run()
            if whole and self._is_current():
                matching.tags()
                matching.match()
            matching.post()
        return self._summary(caller, nodes, offline, batches, matching)

    def _is_current(self) -> bool:
        """Whether tokens of the epoch are made and compared: in its year only. Letters go on after it."""
        return f"{self._clock():%Y}" == self._files.epoch

    def _keys(self, caller: Caller) -> KeySet | None:
        return ceremony_rounds.hold(self._files, caller, self._roster.hash(), self._ceremony_step)

    def _summary(
        self,
        caller: Caller,
        nodes: tuple[str, ...],
        offline: tuple[str, ...],
        batches: BatchRounds,
        matching: MatchingRounds,
    ) -> Summary:
        return Summary(
            self._exchange,
            self._files.epoch,
            nodes,
            tuple(sorted({*offline, *(each.node for each in caller.troubles if each.code == NO_REPLY)})),
            batches.points,
            matching.tags_taken,
            matching.hits,
            matching.verified,
            matching.letters,
            tuple(batches.refused),
            batches.liars,
            tuple(caller.troubles),
        )

    def _roll_call(self, caller: Caller, nodes: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Who is there and who is not, after waiting for as long as is wished.

        Asked is what each committed to: a node says that as often as it is asked, or refuses, as it does in
        another year. What counts here is whether it replies.
        """
        away, before = list(nodes), len(caller.troubles)
        while True:
            del caller.troubles[before:]  # those who are away are asked again
            ask = caller.asking("commit", {"epoch": self._files.epoch})
            caller.ask("commit", dict.fromkeys(away, ask), "commitment")
            away = sorted({each.node for each in caller.troubles[before:] if each.code == NO_REPLY})
            waited = (self._clock() - self._began).total_seconds()
            if not away or waited >= self._wish.wait_seconds:
                break
            self._tell("waiting", offline=away)
            self._sleep(SECONDS_BETWEEN_LOOKS)
        there = tuple(node for node in nodes if node not in away)
        self._tell("there", there=list(there), offline=away)
        return there, tuple(away)

    def _ceremony_step(self, step: str) -> None:
        self._tell("keys", step=step)

    def _batch_step(self, points: Mapping[str, int]) -> None:
        self._tell("tokens", points=dict(points))

    def _step(self, step: str, count: int) -> None:
        self._tell(step, count=count)

    def _tell(self, kind: str, **more: Any) -> None:
        now = self._clock()
        row = {
            "schema_version": SCHEMA_VERSION,
            "time": now.isoformat(timespec="milliseconds"),
            "kind": kind,
            "exchange": self._exchange,
            "epoch": self._files.epoch,
            "seconds": round((now - self._began).total_seconds(), 3),
        }
        self._files.tell(row | more)
