"""Synthetic national files for the eight states, with the planted truth beside them.

Guarantees: the same seed and scale give the same bytes. No real record was used: published aggregates
and stated assumptions shape everything (``calibration.toml`` and the tables beside it).
``docs/synthetic-data.md`` says how.
"""

from safeborders_fed.cases.synthetic.generate import NationalFile, generate
from safeborders_fed.cases.synthetic.parameters import mapping_path

__all__ = ["NationalFile", "generate", "mapping_path"]
