"""The data contract: the one definition of what a case record holds.

Guarantees:

- Every field says what it is called, which values it takes, whether it identifies a person, whether an
  analysis may use it as a feature or derive a label from it, and into which **public bins** its values fall.
  Bins are fixed here. They never depend on data, so using them costs no privacy.
- Names and value lists follow the Human Trafficking Case Data Standard 2.0 (HTCDS, IOM, CC BY 4.0); ages are
  the bands of the Counter-Trafficking Data Collaborative (CTDC); countries are ISO 3166-1 alpha-2. Values
  that Directive 2011/36/EU as amended by (EU) 2024/1712 or CTDC need and HTCDS lacks are added (forced
  criminal activity, intimate partner, friend).
- The order of values is part of the contract: stored bit sets count positions in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from safeborders_fed.cases import value_lists
from safeborders_fed.errors import UsageError

CONTRACT_VERSION: Final = "1"
UNKNOWN: Final = "Unknown"
"""The bin of a value that is missing or not known. It is a category like any other."""
MINOR_BANDS: Final = value_lists.MINOR_BANDS
"""Age bands of a minor: under 18."""
Value = value_lists.Value


class Kind(StrEnum):
    """How a field is filled and stored."""

    KEY = "key"
    """Free text that tells records apart; only its keyed pseudonym is stored for analysis."""
    DATE = "date"
    """A date with its precision (day, month or year)."""
    SINGLE = "single"
    """At most one value of a list."""
    MULTI = "multi"
    """Any number of values of a list, each known present, known absent, or not known."""
    LINK = "link"
    """No field of case files: what the node's own book of hits says of a victim's identifiers."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a case record.

    Attributes:
        name: The name used in mappings, stores and manifests.
        label: What a reader sees.
        kind: How it is filled and stored.
        values: Permitted values, in contract order; empty for keys and dates.
        standard: Where the definition comes from.
        identifying: Whether the raw value could identify a person.
        feature: Whether an analysis may use it to describe a victim.
        target: Whether a label may be derived from it.
    """

    name: str
    label: str
    kind: Kind
    standard: str
    values: tuple[Value, ...] = ()
    identifying: bool = False
    feature: bool = False
    target: bool = False

    @property
    def codes(self) -> tuple[str, ...]:
        """Permitted codes in contract order."""
        return tuple(value.code for value in self.values)

    @property
    def bins(self) -> tuple[str, ...]:
        """Public bins in contract order, without the bin for unknown."""
        return tuple(dict.fromkeys(value.bin for value in self.values))


_CTDC: Final = "CTDC"
_DIRECTIVE: Final = "Directive 2011/36/EU"

FIELDS: Final[tuple[Field, ...]] = (
    Field("case_id", "Case", Kind.KEY, "HTCDS Case", identifying=True),
    Field("victim_id", "Victim", Kind.KEY, "HTCDS Person", identifying=True),
    Field("registration_date", "Date of registration", Kind.DATE, "HTCDS cas_IncomingReferralDate"),
    Field("age_band", "Age", Kind.SINGLE, _CTDC, value_lists.AGE_BANDS, feature=True),
    Field("sex", "Sex", Kind.SINGLE, "HTCDS prs_Gender", value_lists.SEXES, feature=True),
    Field(
        "citizenship",
        "Citizenship",
        Kind.SINGLE,
        "HTCDS prs_Citizenship",
        value_lists.COUNTRIES,
        feature=True,
    ),
    Field(
        "country_of_exploitation",
        "Country of exploitation",
        Kind.SINGLE,
        "HTCDS hte_Country (Exploitation)",
        value_lists.COUNTRIES,
        feature=True,
    ),
    Field(
        "country_of_recruitment",
        "Country of recruitment",
        Kind.SINGLE,
        "HTCDS hte_Country (Recruitment)",
        value_lists.COUNTRIES,
        feature=True,
    ),
    Field(
        "trafficking_status",
        "Trafficking status",
        Kind.SINGLE,
        "HTCDS vic_TraffickingStatus",
        value_lists.STATUSES,
        target=True,
    ),
    Field(
        "forms_of_exploitation",
        "Forms of exploitation",
        Kind.MULTI,
        "HTCDS vic_TypeOfExploitation",
        value_lists.FORMS,
        feature=True,
        target=True,
    ),
    Field(
        "means_of_control",
        "Means of control",
        Kind.MULTI,
        "HTCDS vic_MethodsOfControl",
        value_lists.MEANS,
        feature=True,
    ),
    Field(
        "method_of_recruitment",
        "Method of recruitment",
        Kind.MULTI,
        "HTCDS vic_MethodOfRecruitment",
        value_lists.METHODS,
        feature=True,
    ),
    Field(
        "recruiter_relationship",
        "Recruiter's relationship to the victim",
        Kind.SINGLE,
        "HTCDS vic_RelationshipToTrafficker",
        value_lists.RELATIONS,
        feature=True,
    ),
    Field(
        "roles",
        "Roles in the process",
        Kind.MULTI,
        "HTCDS per_RoleInProcess",
        value_lists.ROLES,
        feature=True,
    ),
    Field("transport", "Means of transport", Kind.SINGLE, _DIRECTIVE, value_lists.TRANSPORT, feature=True),
    Field(
        "online_involvement", "Online involvement", Kind.SINGLE, _DIRECTIVE, value_lists.ONLINE, feature=True
    ),
    Field(
        "industry",
        "Industry",
        Kind.SINGLE,
        "HTCDS vic_ForcedLabourIndustry",
        value_lists.INDUSTRIES,
        feature=True,
    ),
    Field(
        "exploiter",
        "Exploiter alone or group",
        Kind.SINGLE,
        "GLOTIP",
        value_lists.EXPLOITERS,
        feature=True,
        target=True,
    ),
    Field(
        "exploiter_relationship",
        "Exploiter's relationship to the victim",
        Kind.SINGLE,
        "HTCDS vic_RelationshipToTrafficker",
        value_lists.RELATIONS,
        feature=True,
    ),
    Field(
        "source_organisation",
        "Source organisation",
        Kind.SINGLE,
        "HTCDS org_Type",
        value_lists.SOURCES,
        feature=True,
    ),
)

IDENTIFIER_TYPES: Final[dict[str, str]] = {
    "phone": "Telephone number",
    "email": "E-mail address",
    "handle": "Online handle, with its platform as platform:handle",
    "vehicle": "Vehicle registration plate",
    "document": "Identity or travel document number",
    "account": "Bank account (IBAN) or payment account",
    "company": "Company registration number or name",
    "person": "Person, as surname, given names and date of birth joined by |",
}
"""Identifiers that links between states use. All are identifying, and never reach an analysis."""

IDENTIFIER_OWNERS: Final = ("Victim", "Recruiter", "Transporter", "Exploiter", "Facilitator", UNKNOWN)
"""Whose an identifier is."""

LINKS: Final = Field("links", "Links with other states", Kind.LINK, "SafeBorders")
"""What a policy must permit, and a manifest name, before a study may count who has a link. It is no column of
case files: no mapping fills it, and no case store holds it."""

_BY_NAME: Final = {field.name: field for field in FIELDS}


def field(name: str) -> Field:
    """The field called ``name``.

    Raises:
        UsageError: ``unknown-field``, when the contract has no such field.
    """
    try:
        return _BY_NAME[name]
    except KeyError:
        raise UsageError(
            "unknown-field",
            f"the data contract has no field {name!r}",
            "choose one of those that `safeborders node contract` lists",
        ) from None


def column(name: str) -> Field:
    """What a manifest or a policy calls a column: a field, or the links. Raises as ``field``."""
    return LINKS if name == LINKS.name else field(name)


def features() -> Iterator[Field]:
    """All fields that may describe a victim to an analysis."""
    return (entry for entry in FIELDS if entry.feature)
