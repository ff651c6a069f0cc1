"""What people read of a study before they sign it."""

from federation_of import study
from safeborders_fed.analyses.expectation import NOT_PREDICTED, Expected, Figure
from safeborders_fed.cli.study_show_text import _standing
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


def test_what_an_operator_writes_passes_for_no_line_of_the_program() -> None:
    forged = "Statistics.\nCosts here:  epsilon 0.001\r\x1b[2K"
    lines = terms(study(purpose=forged, legal_basis=forged)).splitlines()
    assert not any(line.startswith("Costs here") for line in lines)
    assert sum("\\nCosts here:" in line for line in lines) == 2


def test_what_the_coordinator_says_of_a_study_passes_for_no_line_of_the_program() -> None:
    content = {
        "status": "pending",
        "reason": "",
        "approvals": [],
        "approvals_needed": 2,
        "population": {"victims": None, "population": "all", "hidden": "no"},
        "epsilon": 1.0,
        "delta": 1e-6,
        "rho": 0.1,
        "epsilon_left_year": 1.0,
        "epsilon_left_lifetime": 1.0,
        "refused_by": None,
        "obstacle": None,
        "reviews": {"text": ""},
        "told": [{"state": "published", "at": "2026-01-01T00:00:00+00:00", "by": "Eve\nVictims: 9"}],
    }
    assert "Coordinator: published since 2026-01-01T00:00:00, by Eve\\nVictims: 9" in _standing(content)
