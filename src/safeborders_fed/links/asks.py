"""What a node's half of links checks of every request about a partner.

Guarantees: a request that is not of the form of its step is refused, and what it holds is not quoted; a
saying counts only under the key of its node that this node accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from safeborders_fed.errors import PeerError, RefusedError

if TYPE_CHECKING:
    from safeborders_fed.links.office import Office
    from safeborders_fed.study.link_messages import Said

State = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
_Model = TypeVar("_Model", bound=BaseModel)


def parsed(model: type[_Model], content: Any) -> _Model:
    """The content of a request, a saying or a letter, whatever JSON it may be.

    Raises:
        PeerError: ``bad-link-ask``.
    """
    if not isinstance(content, Mapping):
        raise bad_ask("no object")
    try:
        return model.model_validate(dict(content))
    except ValidationError as error:
        places = sorted({str(item["loc"][0]) for item in error.errors() if item["loc"]})
        raise bad_ask(f"wrong or missing: {', '.join(places)[:200]}") from None


def said_content(office: Office, said: Said, kind: str) -> dict[str, Any]:
    """What a node of the roster says.

    Raises:
        PeerError: ``bad-link-ask``, ``bad-signature`` or ``wrong-saying``.
    """
    public = office.accepted.get(said.node)
    if public is None:
        raise bad_ask(f"something that {said.node} said, which is in no roster of this node")
    return said.content(public, kind)


def require_partner(office: Office, partner: str) -> None:
    """Refuses what is about a state that this node does not compare with.

    Raises:
        RefusedError: ``not-a-partner``.
    """
    if partner == office.node or partner not in office.policy.partners:
        raise RefusedError(
            "not-a-partner",
            f"this node compares nothing with {partner}",
            "name it among `partners` in [links] of node.toml if it should",
        )


def bad_ask(what: str) -> PeerError:
    """The error for a request that no step has."""
    return PeerError(
        "bad-link-ask",
        f"the coordinator asks for something else than a step of an exchange: {what}",
        "check that coordinator and nodes run the same version",
    )
