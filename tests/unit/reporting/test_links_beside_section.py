"""The demonstration's section on links beside the truth, and facts that contradict each other."""

from dataclasses import replace

import pytest

from safeborders_fed.errors import DefectError
from safeborders_fed.reporting import shown_beside_links
from safeborders_fed.reporting.beside_links import LinksBeside, TypeOfLink

PHONES = TypeOfLink("Telephone number", right=20, right_found=19, misspelt=4, misspelt_found=1, false=2)
FOUND = LinksBeside(
    on_file=19_000,
    compared=1_500,
    points=4_100,
    seconds=12.3,
    equal=140,
    missed=1,
    invented=0,
    types=(PHONES,),
    near_misses=35,
    networks=35,
    findable=27,
    whole=26,
    partly=1,
    joined=0,
    unplanted=3,
)


def test_every_figure_is_in_the_section() -> None:
    section = shown_beside_links.section(FOUND)
    said = " ".join(text for part in section.parts for text in part.paragraphs)
    for figure in (
        "19,000",
        "1,500",
        "4,100",
        "12 s",
        "140 normal forms",
        "35 networks",
        "27 have",
        "26 are",
    ):
        assert figure in said
    blocks = [part.block for part in section.parts if part.block is not None]
    assert [block.rows for block in blocks] == [(("Telephone number", "20", "19", "4", "1", "2"),)]
    assert "35 near misses" in blocks[0].note
    assert "26 of 27 planted networks" in shown_beside_links.finding(FOUND)


@pytest.mark.parametrize(
    "changes", [{"whole": 35}, {"compared": 20_000}, {"seconds": float("nan")}, {"seconds": float("inf")}]
)
def test_facts_that_cannot_be_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(DefectError):
        replace(FOUND, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [{"right_found": 21}, {"misspelt_found": 5}])
def test_more_found_than_planted_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(DefectError):
        replace(PHONES, **changes)
