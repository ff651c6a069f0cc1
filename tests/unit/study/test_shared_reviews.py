"""A review that a state shares is that state's word, on that study, and the latest."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from federation_of import LONG_AGO, SMALL, study
from safeborders_fed.errors import PeerError
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.offering import HUMAN_REASONS, Why
from safeborders_fed.study.reviews import Decision, SharedReview, in_words, share

MANIFEST = study()
KEYS = SMALL.roster.keys()
NOW = LONG_AGO + timedelta(days=1)


def review(
    node: str = "FI",
    status: Decision = "approved",
    reason: Why = Why.NONE,
    *,
    days: float = 0,
    by: str = "",
    of: Manifest = MANIFEST,
) -> SharedReview:
    return share(
        SMALL.identities[by or node].signing_key,
        study=of.id,
        manifest_hash=of.hash(),
        node=node,
        status=status,
        reason=reason,
        at=LONG_AGO + timedelta(days=days),
    )


def check(found: SharedReview) -> None:
    found.check(MANIFEST.id, MANIFEST.hash(), KEYS, NOW)


@pytest.mark.parametrize(
    "found",
    [review(), review("GR", "refused", Why.LEGAL_BASIS), review("BE", "withdrawn")],
)
def test_a_review_holds_and_comes_back_as_it_was(found: SharedReview) -> None:
    check(found)
    assert SharedReview.from_bytes(found.to_bytes()) == found


WRONG: dict[str, Callable[[], SharedReview]] = {
    "another state signed": lambda: review("FI", by="BE"),
    "the status is another": lambda: review().model_copy(update={"status": "withdrawn"}),
    "the time is another": lambda: review().model_copy(update={"at": NOW}),
    "the state is another": lambda: review("FI").model_copy(update={"node": "GR"}),
    "relabelled": lambda: review(of=study(id="study-2")).model_copy(update={"study": "study-1"}),
    "of another study": lambda: review(of=study(id="study-2")),
    "of another manifest": lambda: review(of=study(purpose="another")),
    "by a state that takes no part": lambda: review("FI").model_copy(update={"node": "SE"}),
    "dated in the future": lambda: review(days=2),
    "a refusal without a reason": lambda: review(status="refused"),
    "an approval with a reason": lambda: review(reason=Why.COST),
    "a refusal for a reason of the service": lambda: review(status="refused", reason=Why.POLICY),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_forged_or_foreign_review_does_not_hold(name: str) -> None:
    with pytest.raises(PeerError) as error:
        check(WRONG[name]())
    assert error.value.code == "bad-review"


def test_a_later_review_takes_the_place_of_an_earlier_one_and_never_the_other_way_round() -> None:
    first, second = review(), review(status="withdrawn", days=0.5)
    assert first.follows(None)
    assert second.follows(first)
    assert not first.follows(first)
    for older in (first, review(status="refused", reason=Why.COST, days=0.5)):
        with pytest.raises(PeerError, match="a later one of FI is known"):
            older.follows(second)


def test_reviews_are_said_in_a_line_that_names_states_and_no_people() -> None:
    found = {
        "RO": review("FI").model_copy(update={"node": "RO"}),
        "FI": review("FI"),
        "GR": review("GR", "refused", Why.LEGAL_BASIS),
        "BE": review("BE", "withdrawn"),
    }
    assert in_words(found) == "approved by FI, RO; refused by GR (legal-basis); taken back by BE"
    assert in_words({}) == ""
    assert set(SharedReview.model_fields) == {
        *("schema_version", "study", "manifest_hash", "node", "status", "reason", "at", "signature")
    }
    assert all(len(reason) < 20 for reason in HUMAN_REASONS)


@pytest.mark.parametrize(
    "data", [b"", b"{}", review().to_bytes() + b" ", review().to_bytes()[:-1] + b',"x":1}']
)
def test_what_is_no_review_is_refused(data: bytes) -> None:
    with pytest.raises(PeerError):
        SharedReview.from_bytes(data)
