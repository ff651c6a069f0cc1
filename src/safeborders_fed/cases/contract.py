"""The data contract: the one definition of what a case record holds.

Guarantees:

- Every field says what it is called, which values it takes, whether it identifies a person, whether an
  analysis may use it as a feature or derive a label from it, and into which **public bins** its values fall.
  Bins are fixed here. They never depend on data, so using them costs no privacy.
- Names and value lists follow the Human Trafficking Case Data Standard 2.0 (HTCDS, IOM, CC BY 4.0); ages are
  the bands of the Counter-Trafficking Data Collaborative (CTDC); countries are ISO 3166-1 alpha-2. Values
  that Directive 2011/36/EU as amended by (EU) 2024/1712 needs and HTCDS lacks are added and marked so.
- The order of values is part of the contract: stored bit sets count positions in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from safeborders_fed.cases.countries import COUNTRY_GROUPS
from safeborders_fed.errors import UsageError

CONTRACT_VERSION: Final = "1"
UNKNOWN: Final = "Unknown"
"""The bin of a value that is missing or not known. It is a category like any other."""


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


@dataclass(frozen=True, slots=True)
class Value:
    """One permitted value of a field.

    Attributes:
        code: The name used in mappings, stores and manifests.
        label: What a reader sees.
        bin: The public bin that analyses use.
    """

    code: str
    label: str
    bin: str


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


def _values(*entries: str | tuple[str, str], bins: dict[str, str] | None = None) -> tuple[Value, ...]:
    pairs = [(entry, entry) if isinstance(entry, str) else entry for entry in entries]
    return tuple(Value(code, label, (bins or {}).get(code, code)) for code, label in pairs)


_COUNTRIES: Final = tuple(Value(code, code, group) for code, group in sorted(COUNTRY_GROUPS.items()))

_AGE_BANDS: Final = _values(
    ("0--8", "0-8"),
    ("9--17", "9-17"),
    ("18--20", "18-20"),
    ("21--23", "21-23"),
    ("24--26", "24-26"),
    ("27--29", "27-29"),
    ("30--38", "30-38"),
    ("39--47", "39-47"),
    ("48+", "48 or over"),
    ("0--17", "Under 18, band not known"),
    ("18+", "18 or over, band not known"),
)
MINOR_BANDS: Final = ("0--8", "9--17", "0--17")
"""Age bands of a minor: under 18."""

_RELATIONS: Final = _values(
    "Familial",
    ("IntimatePartner", "Intimate partner (CTDC)"),
    ("Friend", "Friend (CTDC)"),
    "Acquainted",
    ("Unaquainted", "Not acquainted"),
)

_FORMS: Final = _values(
    ("ForcedLabour", "Forced labour"),
    ("SexualExploitation", "Sexual exploitation"),
    ("ChildLabour", "Child labour"),
    ("ForcedMarriage", "Forced marriage"),
    "Servitude",
    ("ForcedMilitaryByNonStateActors", "Forced military service by non-state actors"),
    ("OrganRemoval", "Organ removal"),
    ("ForcedBegging", "Forced begging"),
    ("ForcedAdoption", "Illegal adoption"),
    "Surrogacy",
    ("ForcedCriminality", "Forced criminal activity (Directive 2011/36/EU)"),
    "Other",
)

_MEANS: Final = _values(
    ("PhysicalThreats", "Threats of physical harm"),
    ("ThreatsLawEnforcement", "Threats of law enforcement"),
    ("ThreatensChildrenFamily", "Threats to children or family"),
    ("DebtBondage", "Debt bondage"),
    ("FalsePromises", "False promises"),
    ("PhysicalAbuse", "Physical abuse"),
    ("SexualAbuse", "Sexual abuse"),
    ("TakesEarnings", "Takes earnings"),
    ("RestrictsFinancialAccess", "Restricts access to money"),
    ("RestrictsMedicalCare", "Restricts medical care"),
    ("RestrictsMovement", "Restricts movement"),
    ("WithholdsNecessities", "Withholds necessities"),
    ("PsychologicalAbuse", "Psychological abuse"),
    ("PsychoactiveSubstance", "Psychoactive substances"),
    ("ExcessiveWorkingHours", "Excessive working hours"),
    ("WithholdsDocuments", "Withholds documents"),
    ("UsesChildren", "Uses children"),
    "Other",
)

_METHODS: Final = _values(
    ("AtAPlaceOfBusiness", "At a place of business"),
    ("AtAnEducationalInstitution", "At an educational institution"),
    ("AtWork", "At work"),
    ("ThroughOnlineSocialNetworks", "Through online social networks"),
    ("ThroughAnOnlineAdvertisement", "Through an online advertisement"),
    ("ThroughATelevisionAdvert", "Through a television advert"),
    ("ThroughANewspaperAdvert", "Through a newspaper advert"),
    ("ThroughFamilyOrFamilyEvents", "Through family or family events"),
    ("ThroughFriendsOrSocialEvents", "Through friends or social events"),
    "Other",
)

_ROLES: Final = _values(
    ("TravellingPartner", "Travelling partner"),
    "Transporter",
    ("RecruiterOrIntermediary", "Recruiter or intermediary"),
    ("BrokerTravelAgent", "Broker or travel agent"),
    ("TransferredIndividual", "Transferred the person"),
    ("HarbouredIndividual", "Harboured the person"),
    ("SoldIndividual", "Sold the person"),
    ("BoughtIndividual", "Bought the person"),
    ("ReceivedIndividual", "Received the person"),
    ("ControlledIndividual", "Controlled the person"),
    "Smuggler",
    "Abuser",
    "Kidnapper",
    "Exploiter",
    "Other",
)

_TRANSPORT: Final = _values(
    "Air",
    "Bus",
    "Car",
    "Lorry",
    "Rail",
    "Sea",
    ("OnFoot", "On foot"),
    ("NotMoved", "Not moved"),
    "Other",
)

_ONLINE: Final = _values(
    ("NotOnline", "Not online"),
    ("Recruitment", "Recruitment online"),
    ("Exploitation", "Exploitation online"),
    ("RecruitmentAndExploitation", "Recruitment and exploitation online"),
)

_INDUSTRIES: Final = _values(
    ("A_AgricultureForestryAndFishing", "Agriculture, forestry and fishing"),
    ("B_MiningAndQuarrying", "Mining and quarrying"),
    ("C_Manufacturing", "Manufacturing"),
    ("D_ElectricityGasSteamAndAirConditioningSupply", "Electricity, gas, steam"),
    ("E_WaterSupplySewerageWasteManagement", "Water supply, waste management"),
    ("F_Construction", "Construction"),
    ("G_WholesaleAndRetailTradeRepairOfMotorVehicles", "Wholesale and retail trade"),
    ("H_TransportationAndStorage", "Transportation and storage"),
    ("I_AccommodationAndFoodServiceActivities", "Accommodation and food"),
    ("J_InformationAndCommunication", "Information and communication"),
    ("K_FinancialAndInsuranceActivities", "Finance and insurance"),
    ("L_RealEstateActivities", "Real estate"),
    ("M_ProfessionalScientificAndTechnicalActivities", "Professional, scientific, technical"),
    ("N_AdministrativeAndSupportServiceActivities", "Administrative and support services"),
    ("O_PublicAdministrationAndDefence", "Public administration and defence"),
    ("P_Education", "Education"),
    ("Q_HumanHealthAndSocialWorkActivities", "Health and social work"),
    ("R_ArtsEntertainmentAndRecreation", "Arts, entertainment, recreation"),
    ("S_OtherServiceActivities", "Other services"),
    ("T_ActivitiesOfHouseholdsAsEmployers", "Households as employers"),
    ("U_ActivitiesOfExtraterritorialOrganizations", "Extraterritorial organisations"),
)

_SEXES: Final = _values(
    ("Feminine", "Female"),
    ("Masculine", "Male"),
    ("TransgenderFeminine", "Transgender female"),
    ("TransgenderMasculine", "Transgender male"),
    ("NonConforming", "Non-conforming"),
    bins=dict.fromkeys(("TransgenderFeminine", "TransgenderMasculine", "NonConforming"), "OtherGender"),
)

_STATUSES: Final = _values(
    ("PossibleVictimOfTrafficking", "Possible victim"),
    ("ActualVictimOfTrafficking", "Actual victim"),
    ("NotAVictimOfTrafficking", "Not a victim"),
)

_SOURCES: Final = _values(
    ("NGO", "NGO"),
    ("LawEnforcement", "Law enforcement"),
    ("HealthServiceOrganisation", "Health service"),
    ("CentralGovernmentOrganisation", "Central government"),
    ("LocalGovernmentOrganisation", "Local government"),
    ("ImmigrationService", "Immigration service"),
    ("LegalService", "Legal service"),
    ("CorporateBusiness", "Business"),
    ("SchoolOrCollege", "School or college"),
)

_CTDC: Final = "CTDC"
_DIRECTIVE: Final = "Directive 2011/36/EU"

FIELDS: Final[tuple[Field, ...]] = (
    Field("case_id", "Case", Kind.KEY, "HTCDS Case", identifying=True),
    Field("victim_id", "Victim", Kind.KEY, "HTCDS Person", identifying=True),
    Field("registration_date", "Date of registration", Kind.DATE, "HTCDS cas_IncomingReferralDate"),
    Field("age_band", "Age", Kind.SINGLE, _CTDC, _AGE_BANDS, feature=True),
    Field("sex", "Sex", Kind.SINGLE, "HTCDS prs_Gender", _SEXES, feature=True),
    Field("citizenship", "Citizenship", Kind.SINGLE, "HTCDS prs_Citizenship", _COUNTRIES, feature=True),
    Field(
        "country_of_exploitation",
        "Country of exploitation",
        Kind.SINGLE,
        "HTCDS hte_Country (Exploitation)",
        _COUNTRIES,
        feature=True,
    ),
    Field(
        "country_of_recruitment",
        "Country of recruitment",
        Kind.SINGLE,
        "HTCDS hte_Country (Recruitment)",
        _COUNTRIES,
        feature=True,
    ),
    Field(
        "trafficking_status",
        "Trafficking status",
        Kind.SINGLE,
        "HTCDS vic_TraffickingStatus",
        _STATUSES,
        target=True,
    ),
    Field(
        "forms_of_exploitation",
        "Forms of exploitation",
        Kind.MULTI,
        "HTCDS vic_TypeOfExploitation",
        _FORMS,
        feature=True,
        target=True,
    ),
    Field(
        "means_of_control", "Means of control", Kind.MULTI, "HTCDS vic_MethodsOfControl", _MEANS, feature=True
    ),
    Field(
        "method_of_recruitment",
        "Method of recruitment",
        Kind.MULTI,
        "HTCDS vic_MethodOfRecruitment",
        _METHODS,
        feature=True,
    ),
    Field(
        "recruiter_relationship",
        "Recruiter's relationship to the victim",
        Kind.SINGLE,
        "HTCDS vic_RelationshipToTrafficker",
        _RELATIONS,
        feature=True,
    ),
    Field("roles", "Roles in the process", Kind.MULTI, "HTCDS per_RoleInProcess", _ROLES, feature=True),
    Field("transport", "Means of transport", Kind.SINGLE, _DIRECTIVE, _TRANSPORT, feature=True),
    Field("online_involvement", "Online involvement", Kind.SINGLE, _DIRECTIVE, _ONLINE, feature=True),
    Field("industry", "Industry", Kind.SINGLE, "HTCDS vic_ForcedLabourIndustry", _INDUSTRIES, feature=True),
    Field(
        "exploiter",
        "Exploiter alone or group",
        Kind.SINGLE,
        "GLOTIP",
        _values("Alone", "Group"),
        feature=True,
        target=True,
    ),
    Field(
        "exploiter_relationship",
        "Exploiter's relationship to the victim",
        Kind.SINGLE,
        "HTCDS vic_RelationshipToTrafficker",
        _RELATIONS,
        feature=True,
    ),
    Field(
        "source_organisation", "Source organisation", Kind.SINGLE, "HTCDS org_Type", _SOURCES, feature=True
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


def features() -> Iterator[Field]:
    """All fields that may describe a victim to an analysis."""
    return (entry for entry in FIELDS if entry.feature)
