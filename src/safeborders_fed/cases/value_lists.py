"""The value lists of the data contract.

Guarantees: the order of each list is fixed, since stored bit sets and codes count positions in it. A list is
changed only together with ``contract.CONTRACT_VERSION``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from safeborders_fed.cases.countries import COUNTRY_GROUPS


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


def values_of(*entries: str | tuple[str, str], bins: dict[str, str] | None = None) -> tuple[Value, ...]:
    """Values in the order given: a code, or a code with its label; ``bins`` names bins that differ."""
    pairs = [(entry, entry) if isinstance(entry, str) else entry for entry in entries]
    return tuple(Value(code, label, (bins or {}).get(code, code)) for code, label in pairs)


COUNTRIES: Final = tuple(Value(code, code, group) for code, group in sorted(COUNTRY_GROUPS.items()))

AGE_BANDS: Final = values_of(
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

RELATIONS: Final = values_of(
    "Familial",
    ("IntimatePartner", "Intimate partner"),
    ("Friend", "Friend"),
    "Acquainted",
    ("Unaquainted", "Not acquainted"),
)

FORMS: Final = values_of(
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
    ("ForcedCriminality", "Forced criminal activity"),
    "Other",
)

MEANS: Final = values_of(
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

METHODS: Final = values_of(
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

ROLES: Final = values_of(
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

TRANSPORT: Final = values_of(
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

ONLINE: Final = values_of(
    ("NotOnline", "Not online"),
    ("Recruitment", "Recruitment online"),
    ("Exploitation", "Exploitation online"),
    ("RecruitmentAndExploitation", "Recruitment and exploitation online"),
)

INDUSTRIES: Final = values_of(
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

SEXES: Final = values_of(
    ("Feminine", "Female"),
    ("Masculine", "Male"),
    ("TransgenderFeminine", "Transgender female"),
    ("TransgenderMasculine", "Transgender male"),
    ("NonConforming", "Non-conforming"),
    bins=dict.fromkeys(("TransgenderFeminine", "TransgenderMasculine", "NonConforming"), "OtherGender"),
)

STATUSES: Final = values_of(
    ("PossibleVictimOfTrafficking", "Possible victim"),
    ("ActualVictimOfTrafficking", "Actual victim"),
    ("NotAVictimOfTrafficking", "Not a victim"),
)

SOURCES: Final = values_of(
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

EXPLOITERS: Final = values_of("Alone", "Group")
