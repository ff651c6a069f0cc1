"""The node's half of links: one step asked, one answer given.

Guarantees: with the kill switch off, or a step that is none, nothing is answered (a chunk to evaluate is
answered with ``off``). Each answer is signed by the node and says what it is; what it costs was charged and
put on record before (``links.evaluating``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from safeborders_fed.links import ceremony, evaluating, own_files, tagging, taking
from safeborders_fed.links.office import Log, Office, office_of
from safeborders_fed.study.link_messages import LinkAnswer, LinkAsk, wrong_saying

if TYPE_CHECKING:
    from safeborders_fed.cases.encoding import Linked
    from safeborders_fed.cases.store import CaseStore
    from safeborders_fed.node.identity import Identity
    from safeborders_fed.node.settings import NodeSettings

Step = Callable[[Office, LinkAsk], LinkAnswer]
_SAYS_OFF: Final = "evaluate"
STEPS: Final[Mapping[str, Step]] = {
    "commit": ceremony.commit,
    "reveal": ceremony.reveal,
    "pin": ceremony.pin,
    "pinned": ceremony.pinned,
    "batch": taking.batch,
    "evaluate": evaluating.evaluate,
    "take": taking.take,
    **tagging.STEPS,
}


class Desk:
    """Answers the steps of exchanges at one node.

    Args:
        office: The node's half of links.
    """

    def __init__(self, office: Office) -> None:
        self.office = office
        office.record_charges()  # those that a crash kept from the audit log

    def answer(self, ask: LinkAsk) -> LinkAnswer:
        """Answers one step.

        Raises:
            RefusedError: ``link-off``; or as the step.
            PeerError: ``wrong-saying``; or as the step.
        """
        step = STEPS.get(ask.step)
        if step is None:
            raise wrong_saying("the coordinator", f"step {ask.step!r}, which is none")
        if ask.step != _SAYS_OFF:
            self.office.switch.require_on()
        return step(self.office, ask)

    def linked(self) -> Mapping[str, Linked]:
        """By pseudonym, the victims of whose cases a hit was exchanged. Raises as CaseStore."""
        return own_files.linked(self.office)


def open_desk(settings: NodeSettings, log: Log, store: CaseStore, identity: Identity) -> Desk | None:
    """The desk of a node whose parts are open; None for one that takes no part in links.

    Raises:
        ConfigurationError: as LinkBook.
    """
    if settings.links is None:
        return None
    return Desk(office_of(settings, settings.links, log, store, identity))
