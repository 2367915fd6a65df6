import contextlib
import os
import subprocess

import psutil
import pytest

from mediasrv.processing.launch import launch, worker_environment


def test_nothing_of_the_servers_environment_reaches_a_worker(config):
    secrets = {"MEDIASRV_SECRET": "x", "AWS_KEY": "y", "LD_PRELOAD": "z", "PYTHONSTARTUP": "w"}
    environment = worker_environment(config, {**secrets, "LD_LIBRARY_PATH": "/opt/python/lib"})
    assert not set(secrets) & set(environment)
    assert environment["LD_LIBRARY_PATH"] == "/opt/python/lib"
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["PYTHONPATH"].startswith(config.python_path[0] + os.pathsep)


def close_pipe(process):
    assert process.stderr is not None
    process.stderr.close()


@pytest.fixture
def launched(config, monkeypatch):
    monkeypatch.setenv("MEDIASRV_SECRET", "hunter2")
    spare_fd = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(spare_fd, True)
    launched = launch(config)
    yield launched
    os.close(spare_fd)
    launched.channel.close()
    launched.process.kill()
    launched.process.wait()
    close_pipe(launched.process)


def test_a_worker_has_its_own_session_one_socket_and_a_scrubbed_environment(launched):
    launched.channel.setblocking(True)
    launched.channel.recv(1)  # past the interpreter's start, before the model is loaded
    pid = launched.process.pid
    assert os.getsid(pid) == pid
    assert "MEDIASRV_SECRET" not in psutil.Process(pid).environ()
    links = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # a module that was just being read
            links[int(fd)] = os.readlink(f"/proc/{pid}/fd/{fd}")
    assert links[0] == links[1] == "/dev/null"
    assert links[2].startswith("pipe:")
    inherited = {fd: link for fd, link in links.items() if link.startswith(("socket:", "pipe:"))}
    assert len(inherited) == 2
    assert sum(link == "/dev/null" for link in links.values()) == 2


def test_a_worker_whose_server_is_gone_before_it_looked_ends_at_once(config):
    process, channel = launch(config)
    channel.close()
    assert process.wait(timeout=10) == 0
    close_pipe(process)


def test_a_worker_that_is_not_the_child_of_the_given_server_ends_at_once(config):
    process, channel = launch(config)
    command = psutil.Process(process.pid).cmdline()
    process.kill()
    process.wait()
    close_pipe(process)
    channel.close()
    command[command.index("--parent") + 1] = "1"
    other = subprocess.run(
        command,
        env=worker_environment(config, {}),
        check=False,
        timeout=10,
        capture_output=True,
    )
    assert other.returncode == 0
    assert other.stderr == b""
