"""Published numbers: a rounded count, its margin, and how both are written.

Guarantees:

- A count is published as ``round(value)``, and its interval stands around the **published** number, never
  around the unrounded one, which would give the unrounded one away. ``count_of`` is the only reader of
  unrounded counts; everything else in the report works on its answer.
- The margin is ``1.96 sigma + 1/2`` (95% of the noise, plus the rounding to base 1), rounded up to a whole
  number, so that the interval shown is never narrower than the one computed. Neither goes below zero.
- A count whose interval includes zero is marked, and never written as a plain 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from safeborders_fed.reporting.accuracy import GroupAccuracy
from safeborders_fed.reporting.language import N_, _

Z_95: Final = 1.96
ROUNDING: Final = 0.5
UNCLEAR_MARK: Final = "\u2020"
MISSING_MARK: Final = ":"
TOO_LITTLE: Final = N_("too little data")
"""Stands where there is no area under the ROC curve."""
PLUS_MINUS: Final = "\u00a0\u00b1\u00a0"
"""With spaces at which no line breaks."""


@dataclass(frozen=True, slots=True)
class Count:
    """A published count of victims.

    Attributes:
        value: The rounded noisy count.
        margin: Half the width of its 95% interval, a whole number.
    """

    value: int
    margin: int

    @property
    def low(self) -> int:
        """Lower end of the interval, zero or more."""
        return max(0, self.value - self.margin)

    @property
    def high(self) -> int:
        """Upper end of the interval."""
        return self.value + self.margin

    @property
    def unclear(self) -> bool:
        """Whether the count cannot be told from zero."""
        return self.low == 0

    @property
    def plain(self) -> str:
        """Count and margin."""
        return f"{self.value:,}{PLUS_MINUS}{self.margin:,}"

    @property
    def text(self) -> str:
        """Count and margin, with the mark if it cannot be told from zero."""
        return f"{self.plain}{UNCLEAR_MARK if self.unclear else ''}"


def count_of(value: float, error: float) -> Count:
    """The published count of a noisy one; ``error`` is the standard deviation of its noise."""
    return Count(max(0, round(value)), math.ceil(Z_95 * error + ROUNDING))


def area_text(group: GroupAccuracy) -> str:
    """A noisy area under the ROC curve with its margin, rounding included; words if there is none."""
    if group.auc is None or group.margin is None:
        return _(TOO_LITTLE)
    return f"{group.auc:.3f}{PLUS_MINUS}{thousandths(group.margin)}"


def thousandths(margin: float) -> str:
    """A margin with three decimals, rounded up, and wide enough for the rounding of its number as well."""
    return f"{math.ceil(1000 * margin + ROUNDING) / 1000:.3f}"


def chance_text(value: float | None, margin: float | None = None) -> str:
    """A chance in whole per cent, with its margin, rounding included; the mark for missing values."""
    if value is None:
        return MISSING_MARK
    if margin is None:
        return f"{100 * value:.0f}%"
    return f"{100 * value:.0f}{PLUS_MINUS}{math.ceil(100 * margin + ROUNDING)}%"


def signed(value: int) -> str:
    """A whole number with its sign, as ``+1,234`` or with a true minus sign."""
    return f"{value:+,}".replace("-", "\u2212")


def auc_text(value: float | None) -> str:
    """An area under the ROC curve with three decimals; words if there is none."""
    return _(TOO_LITTLE) if value is None else f"{value:.3f}"


def auc_difference(value: float | None, reference: float | None) -> str:
    """Signed difference of two areas as they are shown; the mark for missing values if one is missing."""
    if value is None or reference is None:
        return MISSING_MARK
    return f"{round(value, 3) - round(reference, 3):+.3f}".replace("-", "\u2212")


def cost_text(value: float) -> str:
    """A privacy cost, rounded up to three significant digits: a cost is never shown too low."""
    if value == 0:
        return "0"
    digits = 2 - math.floor(math.log10(value))
    # The slack keeps a cost that is exact in decimal, such as 0.3, from going up by an error of the float.
    rounded_up = math.ceil(value * 10**digits * (1 - 1e-12)) / 10**digits
    text = f"{rounded_up:,.{max(digits, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def one_in(delta: float) -> str:
    """A small probability in words, as ``1 in 1,000,000``."""
    return _("1 in {count:,}").format(count=math.floor(1 / delta * (1 + 1e-9)))
