"""Flower: the only package that imports flwr.

Telemetry and update checks are switched off before flwr is imported: a node tells nobody that it exists.
"""

import os

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"
