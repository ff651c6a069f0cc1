"""What people read of a study before they sign it."""

from federation_of import study
from safeborders_fed.analyses.expectation import NOT_PREDICTED, Expected, Figure
from safeborders_fed.cli.study_text import expectation, terms


def test_people_are_told_when_nothing_hides_the_time_that_answers_take() -> None:
    assert "answers leave every 2.5 s" in terms(study(tick_seconds=2.5))
    assert "TELLS HOW MANY VICTIMS" in terms(study(tick_seconds=0.0))
    assert "TELLS" not in terms(study(tick_seconds=2.5))


def test_people_read_what_accuracy_to_expect_or_that_it_is_not_known() -> None:
    found = expectation(
        Expected((Figure("a margin, in victims", 1234.0), Figure("a loss", 0.1, 0.03, 0.2)), "So.")
    )
    assert found.splitlines()[1:] == [
        "  a margin, in victims  1,230",
        "  a loss                about 0.1 (0.03 to 0.2)",
        "  So.",
    ]
    assert "accuracy is not predicted" in expectation(NOT_PREDICTED)
    assert all(len(line) <= 100 for line in expectation(Expected((), "word " * 99)).splitlines())
