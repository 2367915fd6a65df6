"""Tests of the command line: what people see when all is well and when it is not."""

import json

import click
import pytest

import mediasrv
from mediasrv import cli
from mediasrv.client import ClientError
from mediasrv.client import recorder as recorder_module
from signaling import ErrorCode, Refused


def run(capsys, *arguments):
    status = cli.run(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def failing(monkeypatch):
    """Make ``doctor`` raise what a test wants."""

    def fail_with(exc):
        def callback(**options):
            raise exc

        monkeypatch.setattr(cli.doctor, "callback", callback)

    return fail_with


def test_the_version_is_one_line(capsys):
    assert run(capsys, "--version") == (0, f"mediasrv {mediasrv.__version__}\n", "")


def test_help_lists_every_command(capsys):
    status, out, _ = run(capsys, "--help")
    assert status == 0
    for name in ("serve", "host", "view", "filter", "doctor"):
        assert f"\n  {name} " in out


@pytest.mark.parametrize("name", ["serve", "host", "view", "filter", "doctor"])
def test_every_command_explains_itself_and_takes_debug(capsys, name):
    status, out, _ = run(capsys, name, "--help")
    assert status == 0
    assert "--debug" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["dance"],
        ["--dance"],
        ["host"],
        ["host", "--room", "demo", "--codec", "av1"],
        ["host", "--room", "demo", "--bitrate", "1"],
        ["host", "--room", "demo", "--seconds", "-1"],
        ["host", "--room", "demo", "--edge"],
        ["host", "--room", "demo", "--params", "{"],
        ["host", "--room", "demo", "--params", "[]"],
        ["host", "--room", "demo", "--params", '{"smooth": 101}'],
        ["host", "--room", "demo", "--params", '{"nose": 1}'],
        ["serve", "--port", "65536"],
        ["serve", "--public-udp-port", "0"],
        ["filter", "only-one"],
    ],
)
def test_wrong_usage_exits_with_2(capsys, arguments):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert "Error: " in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("exc", "line"),
    [
        (ClientError("the host left"), "mediasrv: the host left"),
        (Refused(ErrorCode.ROOM_TAKEN, "there is a host"), "mediasrv: room_taken: there is a host"),
        (ClientError("two\nlines"), "mediasrv: two lines"),
        (ClientError(), "mediasrv: ClientError"),
        (FileNotFoundError(2, "No such file", "x.mp4"), "mediasrv: No such file: x.mp4"),
        (OSError(98, "Address already in use"), "mediasrv: Address already in use"),
        (ZeroDivisionError("division by zero"), "mediasrv: ZeroDivisionError: division by zero"),
        (ExceptionGroup("several", [ClientError("the first")]), "mediasrv: the first"),
    ],
)
def test_an_error_is_one_clear_line(capsys, failing, exc, line):
    failing(exc)
    assert run(capsys, "doctor") == (1, "", line + "\n")


@pytest.mark.parametrize("arguments", [["--debug", "doctor"], ["doctor", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(capsys, failing, arguments):
    failing(ClientError("the host left"))
    status, _, err = run(capsys, *arguments)
    assert status == 1
    assert "Traceback" in err
    assert err.endswith("mediasrv: the host left\n")


@pytest.mark.parametrize("exc", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupted_command_says_so_to_the_shell(capsys, failing, exc):
    failing(exc)
    assert run(capsys, "doctor")[0] == 130


def test_a_server_that_is_not_there_is_one_clear_line(capsys, unused_tcp_port):
    url = f"http://127.0.0.1:{unused_tcp_port}"
    for command in ("host", "view"):
        status, out, err = run(capsys, command, "--url", url, "--room", "demo")
        assert (status, out) == (1, "")
        assert err.strip().splitlines() == [f"mediasrv: cannot reach {url}: Connection refused"]


def test_a_file_that_is_not_there_is_one_clear_line(capsys):
    status, _, err = run(capsys, "host", "--room", "demo", "--source", "nowhere.mp4")
    assert (status, err.count("\n")) == (1, 1)
    assert "nowhere.mp4" in err


def test_a_room_name_that_is_none_is_one_clear_line(capsys):
    status, _, err = run(capsys, "view", "--room", "Not A Room")
    assert status == 2
    assert "room" in err


def test_a_recording_that_cannot_be_is_said_before_anything_is_done(capsys):
    status, _, err = run(capsys, "view", "--room", "demo", "--save", "film.txt")
    assert status == 1
    assert all(suffix in err for suffix in recorder_module.CODECS)


def test_json_figures_are_one_object(capsys):
    status, out, _ = run(capsys, "doctor", "--json")
    assert isinstance(json.loads(out)["findings"], list)
    assert status == (0 if json.loads(out)["ok"] else 1)
