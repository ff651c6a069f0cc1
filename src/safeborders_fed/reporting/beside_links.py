"""What a demonstration knows of its links beside the planted truth.

Guarantees: plain, frozen facts without a case, an identifier or a name; figures that contradict each other
are refused when they are put together.
"""

from __future__ import annotations

from dataclasses import dataclass

from safeborders_fed.reporting.checks import refuse, require_finite


@dataclass(frozen=True, slots=True)
class TypeOfLink:
    """Planted identifiers of one type, one for each pair of states that share it.

    Attributes:
        label: The type, in words.
        right: Those that both states wrote without an error.
        right_found: Those of them that were found.
        misspelt: Those that one state misspelt.
        misspelt_found: Those of them that were found.
        false: Pairs of cases with a hit of this type that share nothing planted.
    """

    label: str
    right: int
    right_found: int
    misspelt: int
    misspelt_found: int
    false: int

    def __post_init__(self) -> None:
        if self.right_found > self.right or self.misspelt_found > self.misspelt:
            raise refuse(f"more planted links of type {self.label!r} were found than there are")


@dataclass(frozen=True, slots=True)
class LinksBeside:
    """Links beside the truth.

    Attributes:
        on_file: Identifiers in all files.
        compared: Those in cases that were compared.
        points: Blinded points that all nodes answered, padding included.
        seconds: Wall time of the whole step.
        equal: Normal forms that stand in the files of both states of a pair.
        missed: Those without a hit.
        invented: Hits on what is equal in no two files.
        types: By type.
        near_misses: Near misses that were planted.
        networks: Planted networks.
        findable: Those with an identifier that two states wrote without an error.
        whole: Those of them whose cases are all in one component.
        partly: Those whose cases are in one in part.
        joined: Components that hold cases of two planted networks or more.
        unplanted: Components over two states that hold nothing planted.
    """

    on_file: int
    compared: int
    points: int
    seconds: float
    equal: int
    missed: int
    invented: int
    types: tuple[TypeOfLink, ...]
    near_misses: int
    networks: int
    findable: int
    whole: int
    partly: int
    joined: int
    unplanted: int

    def __post_init__(self) -> None:
        require_finite("the links", {"seconds": self.seconds})
        if not self.whole + self.partly <= self.networks or self.compared > self.on_file:
            raise refuse(
                "more networks were recovered than planted, or more identifiers compared than there are"
            )
