"""Tests of starting a server from the command line."""

import socket

import pytest

from mediasrv import cli
from mediasrv.app import processing_config
from mediasrv.commands import ports
from mediasrv.commands import serve as serve_module
from mediasrv.processing.confinement import usual_level


@pytest.fixture
def started(monkeypatch):
    """What would have been served; nothing is."""
    started = []
    monkeypatch.setattr(serve_module, "serve", lambda config, **options: started.append(config))
    return started


def test_media_takes_the_number_of_the_pages_port(started, unused_tcp_port):
    assert cli.run(["serve", "--port", str(unused_tcp_port)]) == 0
    assert (started[0].port, started[0].udp_port) == (unused_tcp_port, unused_tcp_port)


def test_options_become_the_configuration(started):
    options = ["--host", "::1", "--port", "0", "--udp-port", "0", "--public-ip", "192.0.2.1"]
    options += ["--public-ip", "2001:db8::1", "--public-udp-port", "40000"]
    assert cli.run(["serve", *options]) == 0
    config = started[0]
    assert (config.host, config.port, config.udp_port) == ("::1", 0, 0)
    assert config.public_ips == ("192.0.2.1", "2001:db8::1")
    assert config.public_udp_port == 40_000


def test_without_a_mapped_port_the_real_one_is_announced(started, unused_tcp_port):
    assert cli.run(["serve", "--port", str(unused_tcp_port)]) == 0
    assert started[0].public_udp_port is None


def test_a_taken_tcp_port_is_one_clear_line(started, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.run(["serve", "--port", str(port), "--udp-port", "0"]) == 1
    line = f"mediasrv: cannot listen on 127.0.0.1 port {port}: Address already in use\n"
    assert capsys.readouterr().err == line
    assert started == []


def test_a_taken_udp_port_is_one_clear_line(started, capsys, monkeypatch):
    monkeypatch.setattr(ports, "usable_local_addresses", lambda: ["127.0.0.1"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert cli.run(["serve", "--port", "0", "--udp-port", str(port)]) == 1
    line = f"mediasrv: cannot use UDP port {port}: Address already in use\n"
    assert capsys.readouterr().err == line
    assert started == []


def test_an_address_of_another_machine_is_one_clear_line(started, capsys):
    assert cli.run(["serve", "--host", "198.51.100.7", "--port", "0", "--udp-port", "0"]) == 1
    err = capsys.readouterr().err
    assert (
        err == "mediasrv: cannot listen on 198.51.100.7 port 0: Cannot assign requested address\n"
    )


@pytest.mark.parametrize("level", ["strict", "best-effort", "off"])
def test_the_operator_chooses_how_far_workers_are_locked_in(started, capsys, level):
    assert cli.run(["serve", "--port", "0", "--udp-port", "0", "--sandbox", level]) == 0
    assert started[0].filter_sandbox == level
    assert processing_config(started[0]).sandbox == level
    assert ("WARNING: --sandbox off" in capsys.readouterr().err) is (level == "off")


def test_unless_told_otherwise_workers_are_locked_in_as_far_as_the_system_can(started):
    assert cli.run(["serve", "--port", "0", "--udp-port", "0"]) == 0
    assert started[0].filter_sandbox is usual_level()


def test_an_unknown_level_is_wrong_usage(started):
    assert cli.run(["serve", "--sandbox", "some"]) == 2
    assert started == []
