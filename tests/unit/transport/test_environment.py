"""What importing the transport makes sure of, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys


def test_calls_to_this_machine_take_no_proxy_and_flower_tells_nobody() -> None:
    program = (
        "import safeborders_fed.transport, os, urllib.request as r;"
        "print(r.proxy_bypass('127.0.0.1'), r.proxy_bypass('localhost'), r.proxy_bypass('example.eu'),"
        "os.environ['FLWR_TELEMETRY_ENABLED'], os.environ['NO_PROXY'])"
    )
    environment = os.environ | {"https_proxy": "http://proxy.example:3128", "NO_PROXY": "intern.example"}
    shown = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == [
        *("True", "True", "False"),
        "0",
        "intern.example,127.0.0.1,localhost",
    ]
