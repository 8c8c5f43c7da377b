"""Ports: free, taken, given twice."""

from __future__ import annotations

import os
import socket

import pytest

from fleet.errors import FatalError
from stack.ports import Port, port_open, require_distinct, require_free, trouble
from tests.support.stack import free_ports


def _port(number: int, variable: str = "EVENTFLEET_KAFKA_PORT") -> Port:
    return Port("127.0.0.1", number, variable, "Kafka")


def test_a_free_port_is_no_trouble() -> None:
    """A port that nothing holds passes, and is not open."""
    port = _port(free_ports(1)[0])
    require_free([port])
    assert not port_open(port)


def test_a_taken_port_names_itself_its_holder_and_its_setting() -> None:
    """One line says which port, which process holds it, and which variable moves it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.getsockname()[1]
        with pytest.raises(FatalError) as caught:
            require_free([_port(number)])
    line = str(caught.value)
    assert line.startswith(f"Port {number} (Kafka) is taken by process {os.getpid()} (")
    assert line.endswith("free it, or set EVENTFLEET_KAFKA_PORT to another port")
    assert "\n" not in line


@pytest.mark.parametrize("number", [-1, 70_000])
def test_an_impossible_port_is_told_apart_from_a_taken_one(number: int) -> None:
    """A number that is no port cannot be used, by anybody."""
    assert trouble(_port(number)).startswith("cannot be used on 127.0.0.1")


def test_an_address_of_another_machine_cannot_be_used() -> None:
    """A host that is not an address of this machine is an error of its own, not a taken port."""
    port = Port("192.0.2.1", free_ports(1)[0], "EVENTFLEET_KAFKA_PORT", "Kafka")
    assert trouble(port).startswith("cannot be used on 192.0.2.1")


def test_one_port_for_two_parts_names_both_settings() -> None:
    """The same number twice is refused before anything starts."""
    ports = [_port(29092), _port(29092, "EVENTFLEET_REGISTRY_PORT")]
    with pytest.raises(FatalError, match="EVENTFLEET_KAFKA_PORT and EVENTFLEET_REGISTRY_PORT are both 29092"):
        require_distinct(ports)


def test_different_ports_are_distinct() -> None:
    """Ports that differ pass, and each is compared with itself only once."""
    require_distinct([_port(29092), _port(29093)])
