"""Flower: the only package that imports flwr.

Telemetry and update checks are switched off before flwr is imported: a node tells nobody that it exists.
Calls to this machine itself never go through a proxy, whatever the environment names.
"""

import os

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"

for _name in ("NO_PROXY", "no_proxy"):
    os.environ[_name] = ",".join(filter(None, (os.environ.get(_name), "127.0.0.1", "localhost")))
