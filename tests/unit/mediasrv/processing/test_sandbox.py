"""Every way out of a worker, tried in a real process against the real kernel.

Each way is tried without a guard, where it must work (else the test would prove nothing), behind
each guard alone that is meant to close it, and behind all of them. So a guard that is removed or
stops working fails here by name, although the others would still hold.
"""

import ctypes
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mediasrv.processing import sandbox
from mediasrv.processing.confinement import GUARDS, Guard, SandboxLevel
from tests import sandbox_probes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guards are Linux's")

REPOSITORY = Path(__file__).resolve().parents[4]
ALONE = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}

CALLS, FILES, LIMITS = Guard.SYSTEM_CALLS, Guard.LANDLOCK, Guard.LIMITS
# Which guards close which way, each of them alone.
CLOSED_BY = {
    "read_file": (CALLS, FILES, LIMITS),
    "list_directory": (CALLS, FILES, LIMITS),
    "create_file": (CALLS, FILES, LIMITS),
    "append_to_file": (CALLS, FILES, LIMITS),
    "truncate_file": (CALLS, FILES),
    "rename_file": (CALLS, FILES),
    "make_directory": (CALLS, FILES),
    "link_symbolically": (CALLS, FILES),
    "set_times": (CALLS,),
    "change_mode": (CALLS,),
    "write_picture": (CALLS, FILES, LIMITS),
    "save_array": (CALLS, FILES, LIMITS),
    "write_database": (CALLS, FILES, LIMITS),
    "start_program": (CALLS, FILES, LIMITS),
    "become_program": (CALLS, FILES),
    "fork": (CALLS,),
    "start_thread": (CALLS,),
    "connect_tcp": (CALLS, FILES, LIMITS),
    "listen_tcp": (CALLS, FILES, LIMITS),
    "send_udp": (CALLS, LIMITS),
    "resolve_name": (CALLS, LIMITS),
    "connect_unix": (CALLS, FILES, LIMITS),
    "make_memory_file": (CALLS, LIMITS),
    "share_posix_memory": (CALLS, FILES, LIMITS),
    "share_sysv_memory": (CALLS,),
    "queue_message": (CALLS,),
    "trace": (CALLS, FILES),
    "read_other_memory": (CALLS, FILES),
    "write_other_memory": (CALLS, FILES),
    "read_memory_of_proc": (CALLS, FILES, LIMITS),
    "ring": (CALLS, LIMITS),
    "signal_other": (CALLS, FILES),
    "map_code": (CALLS,),
    "turn_memory_into_code": (CALLS,),
    "become_dumpable": (CALLS,),
    "raise_priority": (CALLS, Guard.CAPABILITIES),
    "write_to_what_was_open": (CALLS, LIMITS),
    "dump_core": (Guard.UNDUMPABLE, LIMITS),
    "gain_rights": (CALLS, Guard.NO_NEW_PRIVILEGES),
}
FATAL = {
    *("become_program", "gain_rights", "ring"),
    *("trace", "read_other_memory", "write_other_memory"),
}
NEED_ROOT = {"raise_priority", "gain_rights"}


@pytest.fixture(scope="module")
def prober():
    """A process that has imported everything and tries each way in a fork."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.sandbox_probes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env=ALONE,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def victim():
    """Another process of the same user, with memory at a known place."""
    source = "import ctypes, sys\nb = ctypes.create_string_buffer(8)\n"
    source += "print(ctypes.addressof(b), flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def setuid_directory():
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "secret").write_text("")
        (directory / "secret").chmod(0o600)
        shutil.copy("/bin/cat", directory / "cat")
        (directory / "cat").chmod(0o4755)
        yield directory


@pytest.fixture
def attempt(prober, victim, setuid_directory, tmp_path):
    """Take one way out behind some guards, and say how it went."""
    (tmp_path / "file").write_text("something")
    abstract = f"mediasrv-test-{os.getpid()}-{tmp_path.name}"
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        unix.bind("\0" + abstract)
        unix.listen()
        to = {
            "directory": str(tmp_path),
            "file": str(tmp_path / "file"),
            "tcp_port": tcp.getsockname()[1],
            "abstract": abstract,
            "victim": victim[0],
            "address": victim[1],
            "setuid_cat": str(setuid_directory / "cat"),
            "secret": str(setuid_directory / "secret"),
        }

        def attempt(way, guards):
            if way in NEED_ROOT and os.geteuid() != 0:
                pytest.skip("only root has what this guard takes away")
            prober.stdin.write(json.dumps({"way": way, "guards": list(guards), "to": to}) + "\n")
            prober.stdin.flush()
            return prober.stdout.readline().strip()

        yield attempt


def test_every_way_out_has_its_guards():
    assert set(CLOSED_BY) == set(sandbox_probes.WAYS)
    assert set().union(*CLOSED_BY.values()) == set(GUARDS) - {Guard.DESCRIPTORS}


@pytest.mark.parametrize("way", CLOSED_BY)
def test_without_guards_the_way_is_open_so_the_tests_below_prove_something(attempt, way):
    assert attempt(way, ()) == "worked"


@pytest.mark.parametrize(
    ("way", "guard"), [(way, guard) for way, guards in CLOSED_BY.items() for guard in guards]
)
def test_each_guard_alone_closes_the_way(attempt, way, guard):
    needed = {Guard.NO_NEW_PRIVILEGES} if guard in (CALLS, FILES) and way in NEED_ROOT else set()
    assert attempt(way, [*needed, guard]).startswith(("refused", "killed"))


@pytest.mark.parametrize("way", CLOSED_BY)
def test_all_guards_together_close_the_way(attempt, way, tmp_path):
    before = sorted(path.name for path in tmp_path.iterdir())
    outcome = attempt(way, GUARDS)
    assert outcome == "killed SIGSYS" if way in FATAL else outcome.startswith("refused ")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_what_libraries_look_for_is_not_there_rather_than_forbidden(attempt):
    assert attempt("read_file", GUARDS) == "refused ENOENT"
    assert attempt("send_udp", GUARDS) == "refused EPERM"


CONFINED = """
import os, sys, threading
from mediasrv.processing.sandbox import confine
{before}
found = confine(2)
print(found.reached, found.threads, *found.missing)
"""


def confined_after(before: str) -> list[str]:
    completed = subprocess.run(
        [sys.executable, "-c", CONFINED.format(before=before)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=REPOSITORY,
        env=ALONE,
    )
    return completed.stdout.split()


def test_a_process_with_nothing_special_reaches_strict():
    assert confined_after("") == ["strict", "1"]


def test_it_needs_no_rights():
    if os.geteuid() != 0:
        pytest.skip("no rights to give up")
    assert confined_after("os.setgid(65534); os.setuid(65534)") == ["strict", "1"]


def test_a_file_that_was_left_open_is_noticed():
    assert confined_after("left = open('/dev/null')") == ["best-effort", "1", "descriptors"]


def test_another_thread_is_bound_by_the_call_filter_and_the_rest_is_not_claimed():
    found = confined_after(
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "import atexit; atexit.register(os._exit, 0); atexit.register(sys.stdout.flush)"
    )
    assert found == ["best-effort", "2", "capabilities", "landlock"]


def test_other_threads_are_refused_too():
    source = """
import os, threading
from mediasrv.processing.sandbox import confine
go, seen = threading.Event(), []
def late():
    go.wait()
    try:
        os.open("/", os.O_RDONLY)
        seen.append("open")
    except OSError as exc:
        seen.append(exc.strerror)
thread = threading.Thread(target=late)
thread.start()
confine(2)
go.set()
thread.join()
print(*seen, flush=True)
"""
    completed = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert completed.stdout == "No such file or directory\n"


@pytest.mark.parametrize(
    ("abi", "attributes"),
    [
        (1, [0x1FFF]),
        (2, [0x3FFF]),
        (3, [0x7FFF]),
        (4, [0x7FFF, 3]),
        (5, [0xFFFF, 3]),
        (6, [0xFFFF, 3, 3]),
        (99, [0xFFFF, 3, 3]),
    ],
)
def test_landlock_forbids_all_that_its_version_knows(abi, attributes):
    assert sandbox.landlock_attributes(abi) == attributes


class BrokenKernel:
    """A C library that says yes to everything and does nothing."""

    def __getattr__(self, name):
        return lambda *_: 0


def test_a_kernel_that_says_yes_and_does_nothing_is_not_believed(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: BrokenKernel())
    monkeypatch.setattr(sandbox.resource, "setrlimit", lambda *_: None)
    monkeypatch.setattr(sandbox, "_open_fds", lambda: frozenset({0, 1, 2}))
    monkeypatch.setattr(sandbox.os, "close", lambda _: None)
    found = sandbox.confine(2)
    assert set(found.missing) >= {Guard.LANDLOCK, LIMITS, CALLS, Guard.NO_NEW_PRIVILEGES}
    assert found.reached is not SandboxLevel.STRICT


def test_another_system_claims_nothing_it_does_not_have(monkeypatch):
    monkeypatch.setattr(sandbox.sys, "platform", "darwin")
    monkeypatch.setattr(sandbox.resource, "setrlimit", lambda *_: None)
    monkeypatch.setattr(sandbox, "_open_fds", lambda: frozenset({0, 1, 2}))
    found = sandbox.confine(2)
    assert found.reached is SandboxLevel.BEST_EFFORT
    assert found.landlock_abi == 0
    assert set(found.missing) >= set(GUARDS) - {Guard.DESCRIPTORS, LIMITS}


def test_a_processor_without_a_table_has_no_filter(monkeypatch):
    monkeypatch.setattr(sandbox.platform, "machine", lambda: "riscv64")
    found = sandbox.confine(2, [CALLS])
    assert found.missing[CALLS] == os.strerror(38)


def test_the_memory_of_a_worker_belongs_to_root_alone():
    if os.geteuid() != 0:
        pytest.skip("needs another user")
    source = (
        "import os, sys\nfrom mediasrv.processing.sandbox import confine\n"
        "os.setgid(65534); os.setuid(65534); os.chdir('/')\n"
        "from mediasrv.processing.confinement import Guard\n"
        "if sys.argv[1] == 'yes': confine(2, [Guard.UNDUMPABLE])\n"
        "else: import ctypes; ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)\n"
        "print('there', flush=True); sys.stdin.read()"
    )
    for guarded, owner in (("yes", 0), ("no", 65534)):
        with subprocess.Popen(
            [sys.executable, "-c", source, guarded],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
        ) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            assert process.stdout.readline() == b"there\n"
            assert Path(f"/proc/{process.pid}/mem").stat().st_uid == owner
            assert stat.S_ISREG(Path(f"/proc/{process.pid}/mem").stat().st_mode)
            process.stdin.close()
