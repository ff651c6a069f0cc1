"""Countries (ISO 3166-1 alpha-2) and the public groups that analyses use for them.

Guarantees: every code belongs to exactly one group; the groups are fixed here, and never depend on data.
``XK`` (Kosovo, user-assigned) is accepted because national registers use it.
"""

from __future__ import annotations

from typing import Final

STATES: Final[dict[str, str]] = {
    "BE": "Belgium",
    "BG": "Bulgaria",
    "FI": "Finland",
    "GR": "Greece",
    "IT": "Italy",
    "PL": "Poland",
    "PT": "Portugal",
    "RO": "Romania",
}
"""The eight member states of the federation."""

_OTHER_EU = "AT CY CZ DE DK EE ES FR HR HU IE LT LU LV MT NL SE SI SK"
EU_STATES: Final = frozenset((*STATES, *_OTHER_EU.split()))
"""The member states of the European Union."""

# Countries of citizenship that the eight states or CTDC name often enough to stand alone.
_SINGLE = "AL BD BR BY CN CO GH ID IN KH MA MD NG NP PH PK RU TH UA US VE VN"

_REGIONS: Final[dict[str, str]] = {
    "Other EU": _OTHER_EU,
    "Other Europe and Central Asia": (
        "AD AM AX AZ BA CH FO GB GE GG GI GL IM IS JE KG KZ LI MC ME MK NO RS SJ SM TJ TM TR UZ VA XK"
    ),
    "Other Middle East and North Africa": "AE BH DZ EG EH IL IQ IR JO KW LB LY OM PS QA SA SY TN YE",
    "Other Sub-Saharan Africa": (
        "AO BF BI BJ BW CD CF CG CI CM CV DJ ER ET GA GM GN GQ GW KE KM LR LS MG ML MR MU MW MZ NA NE RE RW "
        "SC SD SH SL SN SO SS ST SZ TD TG TZ UG YT ZA ZM ZW"
    ),
    "Other Asia and Pacific": (
        "AF AQ AS AU BN BT BV CC CK CX FJ FM GU HK HM IO JP KI KP KR LA LK MH MM MN MO MP MV MY NC NF NR NU "
        "NZ PF PG PN PW SB SG TF TK TL TO TV TW UM VU WF WS"
    ),
    "Other Americas": (
        "AG AI AR AW BB BL BM BO BQ BS BZ CA CL CR CU CW DM DO EC FK GD GF GP GS GT GY HN HT JM KN KY LC MF "
        "MQ MS MX NI PA PE PM PR PY SR SV SX TC TT UY VC VG VI"
    ),
}


def _groups() -> dict[str, str]:
    groups = {code: code for code in (*STATES, *_SINGLE.split())}
    for region, codes in _REGIONS.items():
        groups.update(dict.fromkeys(codes.split(), region))
    return groups


COUNTRY_GROUPS: Final[dict[str, str]] = _groups()
"""Country code to its public group: a state or frequent country alone, else its region."""
