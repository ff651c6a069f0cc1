"""Names of the countries that the data contract counts alone, for the page."""

from __future__ import annotations

from typing import Final

from safeborders_fed.reporting.language import N_

COUNTRIES: Final = {
    "AL": N_("Albania"),
    "BD": N_("Bangladesh"),
    "BE": N_("Belgium"),
    "BG": N_("Bulgaria"),
    "BR": N_("Brazil"),
    "BY": N_("Belarus"),
    "CN": N_("China"),
    "CO": N_("Colombia"),
    "FI": N_("Finland"),
    "GH": N_("Ghana"),
    "GR": N_("Greece"),
    "ID": N_("Indonesia"),
    "IN": N_("India"),
    "IT": N_("Italy"),
    "KH": N_("Cambodia"),
    "MA": N_("Morocco"),
    "MD": N_("Moldova"),
    "NG": N_("Nigeria"),
    "NP": N_("Nepal"),
    "PH": N_("Philippines"),
    "PK": N_("Pakistan"),
    "PL": N_("Poland"),
    "PT": N_("Portugal"),
    "RO": N_("Romania"),
    "RU": N_("Russia"),
    "TH": N_("Thailand"),
    "UA": N_("Ukraine"),
    "US": N_("United States"),
    "VE": N_("Venezuela"),
    "VN": N_("Vietnam"),
}
"""ISO 3166-1 alpha-2 code to name."""
