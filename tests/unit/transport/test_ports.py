"""Ports are looked at before anything is started behind them."""

from __future__ import annotations

import socket

import pytest

from safeborders_fed.errors import ConfigurationError
from safeborders_fed.transport.ports import require_free


def test_a_free_port_is_free_and_stays_free() -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    waited: list[float] = []
    require_free("127.0.0.1", port, "listen", waited.append)
    require_free("127.0.0.1", port, "listen", waited.append)
    assert waited == []


def test_a_port_that_another_program_has_is_named_with_the_setting() -> None:
    waited: list[float] = []
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError) as raised:
            require_free("127.0.0.1", port, "superlink_port", waited.append)
    assert raised.value.code == "port-taken"
    assert f"127.0.0.1:{port}" in raised.value.cause
    assert "superlink_port" in raised.value.fix
    assert 4.0 <= sum(waited) <= 6.0


def test_a_port_that_is_let_go_of_soon_is_waited_for() -> None:
    other = socket.socket()
    other.bind(("127.0.0.1", 0))
    other.listen()
    require_free("127.0.0.1", other.getsockname()[1], "listen", lambda _: other.close())


def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    with pytest.raises(ConfigurationError) as raised:
        require_free("192.0.2.1", 19999, "listen")
    assert raised.value.code == "cannot-listen"
