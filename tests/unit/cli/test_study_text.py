"""What people read of a study before they sign it."""

from federation_of import study
from safeborders_fed.cli.study_text import terms


def test_people_are_told_when_nothing_hides_the_time_that_answers_take() -> None:
    assert "answers leave every 2.5 s" in terms(study(tick_seconds=2.5))
    assert "TELLS HOW MANY VICTIMS" in terms(study(tick_seconds=0.0))
    assert "TELLS" not in terms(study(tick_seconds=2.5))
