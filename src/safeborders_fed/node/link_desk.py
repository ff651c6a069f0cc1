"""What a node's service needs of its half of links, which lies above it (``links.desk``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from safeborders_fed.study.link_messages import LinkAnswer, LinkAsk

if TYPE_CHECKING:
    from safeborders_fed.cases.encoding import Linked


class LinkDesk(Protocol):
    """The node's half of links (``links.desk``)."""

    def answer(self, ask: LinkAsk) -> LinkAnswer:
        """Answers one step. Raises SafeBordersError for what it refuses to answer at all."""
        ...

    def linked(self) -> Mapping[str, Linked]:
        """By pseudonym, the victims with a hit that was exchanged, for studies that count them."""
        ...
