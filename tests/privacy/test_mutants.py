"""Every channel of the proof has its leaky mutant, and the check that guards it catches it.

A check that has never seen a leak proves nothing. The mutants of C3, C5, C6 and C9 are beside
their checks in test_proof.py.
"""

import asyncio
import contextlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from filters.landmarks import FaceLandmarks
from mediasrv.media import Codec
from tests.encoded_clips import draw_images, encode
from tests.privacy.canary import NOBODYS_ADDRESS, canary_points
from tests.privacy.live import (
    REPOSITORY,
    STRACE,
    files_below,
    hosting,
    running_server,
    scan,
    until,
    watch_calls,
)
from tests.privacy.scan import scan_bytes
from tests.privacy.test_proof import (
    CANARY,
    STAGES,
    check_swap,
    import_contracts,
    nal_kinds,
    opened_beside_the_channel,
)

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0,
    reason="looking into other processes needs Linux and root",
)

NOBODY = 65534
HAS_GCORE = shutil.which("gcore") is not None
CHATTERING = {**STAGES, "filter_extra_stages": ["tests.privacy.canary:open_chattering"]}
CALLING = {**STAGES, "filter_extra_stages": ["tests.privacy.canary:open_calling"]}
# Server-side leaks, patched into a real server before it starts.
SHOWS_ALL_THAT_WORKERS_SAY = """
import collections
import mediasrv.processing.stderr_log as stderr_log
said = collections.deque(maxlen=100)
stderr_log.redact = lambda line: said.append(line) or line
"""
REMEMBERS_THE_FILTER = """
from pathlib import Path
from mediasrv.filter_switch import FilterSwitch
plain = FilterSwitch.set
def remember(self, *arguments):
    view = plain(self, *arguments)
    Path("last_filter.json").write_text(view.model_dump_json())
    return view
FilterSwitch.set = remember
"""
# A process of a common user, with the canary in memory, locked in or not.
HOLDER = """
import ctypes, os, resource, sys
from tests.privacy.canary import canary_points
from mediasrv.processing.sandbox import confine
kept = canary_points()
os.setgid({user}); os.setuid({user})
libc = ctypes.CDLL(None)
libc.prctl(4, 1, 0, 0, 0)  # changing the user took it away
libc.prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0)  # where only parents may trace
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
os.chdir(sys.argv[2])
if sys.argv[1] == "locked":
    assert confine(2).undumpable == 0
os.write(2, b"there\\n")
sys.stdin.read()
"""


@pytest.fixture
def clip(media):
    return media / "clip_woman_1280x720.mp4"


@pytest.mark.proof("C1")
def test_plain_numbers_would_be_stored(finding):
    with pytest.raises(TypeError):
        pickle.dumps(FaceLandmarks(canary_points()))
    assert scan_bytes(pickle.dumps({"landmarks": canary_points()}))
    finding("C1", "Leaky mutant, landmarks as a plain array:", "pickled, and found by the scanner.")


@pytest.mark.proof("C2")
def test_one_import_too_many_is_noticed(tmp_path, finding):
    for package in ("signaling", "filters", "mediasrv", "benchmarks"):
        shutil.copytree(
            REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    with (tmp_path / "signaling" / "messages.py").open("a") as messages:
        messages.write("\nfrom filters.landmarks import FaceLandmarks  # noqa: E402\n")
    completed = import_contracts(tmp_path)
    assert completed.returncode != 0
    assert "signaling.messages -> filters.landmarks" in completed.stdout
    finding("C2", "Leaky mutant, an import of landmarks in signaling:", "refused by import-linter.")


@pytest.mark.proof("C5", "C6", "C10")
async def test_a_server_that_logs_what_workers_print_is_caught_in_log_and_memory(
    tmp_path, clip, finding
):
    async with running_server(
        tmp_path, mutation=SHOWS_ALL_THAT_WORKERS_SAY, **CHATTERING
    ) as server:
        async with hosting(server, clip):
            await until(lambda: server.log_bytes().count(b"says: landmarks") > 20)
        assert scan_bytes(server.log_bytes())
        answers = await scan(server.process.pid)
        assert answers[server.process.pid]["found"]
    mutant = "Leaky mutant, a server that shows and keeps the numbers that a worker prints:"
    finding("C10", mutant, "caught in its log.")
    for check in ("C5", "C6"):
        finding(check, mutant, "caught in its memory.")


@pytest.fixture
def open_directory():
    """Where a common user may write."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o777)
        yield directory


@contextlib.contextmanager
def holder(state, directory):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER.format(user=NOBODY), state, str(directory)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=REPOSITORY,
    ) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline() == b"there\n"
            yield process
        finally:
            process.kill()


def as_nobody(*command):
    """What a program says when the same common user runs it."""
    completed = subprocess.run(
        command, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, check=False
    )
    return completed.stderr.decode("utf-8", "replace")


@pytest.mark.proof("C7")
@pytest.mark.parametrize(("state", "is_free"), [("free", True), ("locked", False)])
def test_the_same_user_may_look_into_a_free_process_only(open_directory, state, is_free, finding):
    with holder(state, open_directory) as process:
        said = as_nobody("cat", f"/proc/{process.pid}/mem")
        assert ("Permission denied" not in said) == is_free
        said = as_nobody("timeout", "1", STRACE, "-p", str(process.pid))
        assert ("Operation not permitted" not in said) == is_free
        if HAS_GCORE:
            as_nobody("gcore", "-o", str(open_directory / state), str(process.pid))
            dumps = [path.read_bytes() for path in open_directory.glob(f"{state}.*")]
            assert any(scan_bytes(dump) for dump in dumps) == is_free
            assert bool(dumps) == is_free
    how = "/proc/PID/mem, strace" + (" and gcore" if HAS_GCORE else "") + " by the same user"
    if is_free:
        mutant = f"Leaky mutant, {how}, a process without the guards:"
        finding("C7", mutant, "let in; the canary is in the dump." if HAS_GCORE else "let in.")
    else:
        finding("C7", f"{how}, a locked process:", "refused.")


@pytest.mark.proof("C7")
@pytest.mark.parametrize(("state", "is_free"), [("free", True), ("locked", False)])
def test_only_a_free_process_leaves_a_core(open_directory, state, is_free, finding):
    with holder(state, open_directory) as process:
        process.send_signal(signal.SIGSEGV)
        _, status = os.waitpid(process.pid, 0)
        process.returncode = -os.WTERMSIG(status)
    assert process.returncode == -signal.SIGSEGV
    assert os.WCOREDUMP(status) == is_free
    if is_free:
        mutant = "Leaky mutant, SIGSEGV to a process without the guards:"
        finding("C7", mutant, "the kernel dumps a core.")


@pytest.mark.proof("C8")
def test_swapped_memory_is_noticed(finding):
    with pytest.raises(AssertionError):
        check_swap("VmPeak:\t 9 kB\nVmSwap:\t      12 kB\n")
    finding("C8", "Leaky mutant, an account of 12 kB in swap:", "refused.")


async def stream_alone(clip, **settings):
    """Run a filtered stream in a network namespace of its own and say what was seen there."""
    process = await asyncio.create_subprocess_exec(
        *("unshare", "-n", sys.executable, "-m", "tests.privacy.alone", str(clip), "4"),
        json.dumps(settings),
        stdout=asyncio.subprocess.PIPE,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(said)


@pytest.mark.proof("C11")
async def test_a_stream_needs_no_network_but_loopback_and_says_nothing_there(clip, finding):
    seen = await stream_alone(clip, **CANARY)
    assert seen["devices"] == ["lo"]
    assert seen["plain"]
    assert seen["no_routes"] == 0
    assert seen["canary"] == []
    finding(
        "C11",
        f"A network namespace with nothing but loopback, {seen['bytes']} bytes on it:",
        "the filter runs; no attempt to reach anybody (no DNS, no service), no canary.",
    )


@pytest.mark.proof("C11")
async def test_a_stage_that_calls_out_is_caught_by_namespace_capture_and_strace(
    tmp_path, clip, finding
):
    seen = await stream_alone(clip, filter_sandbox="off", **CALLING)
    assert seen["no_routes"] > 0
    assert "float32" in seen["canary"]
    async with (
        running_server(tmp_path, filter_sandbox="off", **CALLING) as server,
        hosting(server, clip),
    ):
        calls = await watch_calls(server, 1.5)
    assert [call for call in opened_beside_the_channel(calls) if NOBODYS_ADDRESS in call]
    caught = "caught by the namespace, by the capture, by strace."
    finding("C11", "Leaky mutant, sandbox off, a stage that sends by UDP:", caught)


@pytest.mark.proof("C11")
async def test_the_same_stage_in_the_sandbox_reaches_nobody(clip, finding):
    seen = await stream_alone(clip, **CALLING)
    assert (seen["no_routes"], seen["canary"]) == (0, [])
    finding("C11", "The same stage in the sandbox:", "the stream runs, and it reaches nobody.")


@pytest.mark.proof("C12")
def test_side_messages_are_noticed(finding):
    (frame,) = encode(Codec.H264, draw_images(64, 64, 1), options={"x264-params": "sei=1"})
    secret = np.asarray(canary_points()[:1]).tobytes()
    spoiled = frame.payload + b"\x00\x00\x01\x06\x05" + secret
    assert not nal_kinds([spoiled]) <= {1, 5, 7, 8}
    finding("C12", "Leaky mutant, a frame with landmarks in an SEI message:", "refused.")


@pytest.mark.proof("C14")
async def test_a_server_that_remembers_the_filter_is_caught(tmp_path, clip, finding):
    async with running_server(tmp_path, mutation=REMEMBERS_THE_FILTER, **CANARY) as server:
        async with hosting(server, clip):
            pass
        assert files_below(server.directory) == ["last_filter.json"]
    finding("C14", "Leaky mutant, a server that stores the filter's state:", "its file is found.")


@pytest.mark.proof("C14")
async def test_a_server_that_is_started_again_knows_nobody(tmp_path, clip, finding):
    for run in ("first", "second"):
        directory = tmp_path / run
        directory.mkdir()
        if run == "second":  # in the very home of the first
            (tmp_path / "first" / "home").rename(directory / "home")
        async with (
            running_server(directory, keeps_home=run == "second", **CANARY) as server,
            hosting(server, clip) as host,
        ):
            assert host.joined is not None
            assert not host.joined.filter.consent  # what joining finds, before it agrees
            assert host.joined.filter.state == "off"
        assert files_below(server.directory) == []
    finding("C14", "Restart in the same place:", "no room, no consent, no setting from before.")
