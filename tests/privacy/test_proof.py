"""The claim of PRIVACY.md against a running server: real faces, a canary, and every way to look.

Everything is looked at from outside, and whatever looks is first shown a leak that it must find.
"""

import asyncio
import gzip
import io
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import httpx
import psutil
import pytest

from mediasrv.media import Codec
from mediasrv.processing import BeautyStream, ProcessingConfig, SpareWorkers
from mediasrv.processing.ffmpeg_encoders import split_annex_b
from mediasrv.transport.addresses import usable_local_addresses
from tests.encoded_clips import encode, read_clip
from tests.privacy.canary import DIRECTORY_OF_THE_LEAK, canary_points, needles
from tests.privacy.file_watch import FileWatch
from tests.privacy.live import (
    REPOSITORY,
    STRACE,
    TIMEOUT_S,
    files_below,
    hosting,
    hosting_elsewhere,
    running_server,
    scan,
    until,
    watch_calls,
)
from tests.privacy.scan import BLOCK_BYTES, scan_bytes, stretches

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0,
    reason="looking into other processes needs Linux and root",
)

GONE_S = 1.0
# Server, viewer and the host that is not this process; after the stop, server and viewer.
LEAST_PROCESSES = {"live": 3, "stopped": 2}
STAGES = {"filter_python_path": [str(REPOSITORY)]}
CANARY = {**STAGES, "filter_extra_stages": ["tests.privacy.canary:open_canary"]}
# Three numbers between 0 and 1 in a row: what normalised landmarks would look like.
FLOATS_IN_A_ROW = re.compile(rb"(?:\b0\.\d{3,}\b[\s,;\]\)]*){3}")


@pytest.fixture(scope="module", autouse=True)
def strace_is_here():
    if not Path(STRACE).exists():
        pytest.fail(f"{STRACE} is missing: run make privacy-proof, or apt-get install strace")


def read(path):
    return Path(path).read_text()


@pytest.fixture
def clip(media):
    return media / "clip_woman_1280x720.mp4"


@pytest.fixture
def no_limit_on_cores():
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, before)


@pytest.mark.proof("C5", "C6")
async def test_the_scanner_finds_the_canary_in_every_encoding(finding):
    source = (
        "import sys\nfrom tests.privacy.canary import needles\n"
        "kept = [bytearray(needle) for needle in needles().values()]\n"
        "print('there', flush=True)\nsys.stdin.read()"
    )
    holder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", source),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=REPOSITORY,
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"there\n"
    answers = await scan(holder.pid)
    holder.kill()
    await holder.wait()
    assert set(answers[holder.pid]["found"]) >= set(needles())
    names = ", ".join(needles())
    mutant = f"Leaky mutant, a process that keeps the canary as {names}:"
    finding("C6", mutant, "found by the scanner in every form.")


def zipped(data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("landmarks", data)
    return file.getvalue()


@pytest.mark.proof("C10")
@pytest.mark.parametrize(
    ("kind", "pack"), [("zlib", zlib.compress), ("gzip", gzip.compress), ("zip", zipped)]
)
def test_the_scanner_looks_into_what_is_packed(kind, pack, finding):
    packed = pack(bytes(canary_points().tobytes()))
    assert not any(needle in packed for needle in needles().values())
    assert f"{kind}: float32" in scan_bytes(b"noise x\x9c " + packed + b".")
    finding("C10", f"Leaky mutant, the canary packed as {kind}:", "found by the scanner.")


@pytest.mark.proof("C6")
@pytest.mark.parametrize("at", [0, BLOCK_BYTES - 30, 3 * BLOCK_BYTES - 8, 5 * BLOCK_BYTES - 24])
def test_the_scanner_finds_the_canary_wherever_it_lies_between_zeros(at):
    for needle in needles().values():
        memory = bytearray(5 * BLOCK_BYTES)
        memory[at : at + len(needle)] = needle
        assert any(needle in stretch for stretch in stretches(bytes(memory)))
    assert list(stretches(bytes(5 * BLOCK_BYTES))) == []


@pytest.mark.proof("C3", "C5", "C6", "C8", "C10", "C11", "C14")
async def test_a_live_stream_leaves_nothing_outside_its_worker(tmp_path, clip, seconds, finding):
    with FileWatch() as files:
        await live_stream(tmp_path, clip, seconds, finding, files)


async def live_stream(tmp_path, clip, seconds, finding, files):
    root_before = sorted(os.listdir("/"))
    async with running_server(tmp_path, **CANARY) as server:
        async with hosting(server, clip) as host:
            worker = server.workers()[0]
            calls = await watch_calls(server, seconds)
            ours = {server.process.pid} | server.worker_pids()
            check_calls(calls, seconds, finding)
            async with hosting_elsewhere(server, clip, "other"):
                workers = server.streaming_pids()
                answers = await scan(*server.tree)
                # On a busy machine one of them may have been replaced meanwhile.
                steady = workers & server.worker_pids()
                assert steady
                maybe = workers | server.streaming_pids()
                check_memory(answers, steady, "live", "C6", finding, maybe=maybe)
                ours |= server.worker_pids()
            check_swap(read(f"/proc/{worker.pid}/status"))
            finding("C8", "VmSwap of the worker while live:", "0 kB.")
            check_sockets(server, worker, finding)
            await check_metrics(server, finding)
            took_s = await withdraw(server, host, worker.pid)
            finding("C5", "The host takes its consent back:", f"worker gone after {took_s:.2f} s.")
            await host.set_filter(enabled=True, consent=True)
            await host.until(lambda: host.filter.state == "on", TIMEOUT_S)
            worker = server.workers()[0]
            ours |= server.worker_pids()
        took_s = await until(lambda: worker.pid not in server.worker_pids())
        assert took_s < GONE_S
        finding("C5", "The host leaves:", f"worker gone after {took_s:.2f} s.")
        check_memory(await scan(*server.tree), set(), "stopped", "C5", finding)
    check_files(files, ours, server, finding)
    check_what_is_left(server, root_before, finding)
    check_log(server.log_bytes(), finding)


def check_files(files, pids, server, finding):
    """By the kernel's own word, for all writable file systems; the log is the test's."""
    assert "/" in files.places
    written = set(files.written_by(pids)) - {str(server.log)}
    assert written == set()
    where = f"fanotify on {', '.join(files.places)} from the server's start to its end:"
    finding("C3", where, "server and workers wrote to no file (but the log that the test opened).")


def is_on_channel(call):
    return re.search(r"(sendto|recvfrom)\(3,", call) is not None


def opened_beside_the_channel(calls):
    """What the worker asked for beside its channel, and was not told that it is not there."""
    return [
        call
        for call in calls
        if "ENOENT" not in call and "resumed" not in call and "<unfinished" not in call
        if not is_on_channel(call)
    ]


def check_calls(calls, seconds, finding):
    channel = [call for call in calls if is_on_channel(call)]
    assert len(channel) > 5 * seconds, "the worker must be at work while it is watched"
    assert opened_beside_the_channel(calls) == []
    finding(
        "C3",
        f"strace on the worker for {seconds:g} s, {len(calls)} calls of files, network, processes "
        "and shared memory:",
        f"{len(channel)} on its channel, {sum('ENOENT' in call for call in calls)} files asked for "
        "and not there, 0 others.",
    )


def check_memory(answers, workers, when, check, finding, *, maybe=frozenset()):
    """The canary is in the workers with a stream, where it belongs, and with nobody else."""
    assert workers <= set(answers)
    holders = {pid for pid, answer in answers.items() if answer["found"]}
    assert workers <= holders <= workers | maybe
    free = set(answers) - workers - maybe
    others = [answers[pid]["seen_bytes"] for pid in free]
    assert len(others) >= LEAST_PROCESSES[when]
    assert sum(others) > 100_000_000
    finding(
        check,
        f"Memory of all {len(others)} other processes (server, viewers, hosts, spare worker), "
        f"{when}, {sum(others) // 2**20} MiB:",
        "no canary.",
    )


def check_swap(status):
    swapped = re.search(r"VmSwap:\s+(\d+) kB", status)
    assert swapped is not None
    assert swapped[1] == "0"


def check_sockets(server, worker, finding):
    assert [c for c in worker.net_connections("all") if c.family != socket.AF_UNIX] == []
    process = psutil.Process(server.process.pid)
    http_port = int(server.url.rsplit(":", 1)[1])
    peers = {c.raddr.ip for c in process.net_connections("inet") if c.raddr}
    assert peers <= {*usable_local_addresses(), "127.0.0.1"}
    listening = {c.laddr.port for c in process.net_connections("tcp") if c.status == "LISTEN"}
    assert listening == {http_port}
    finding("C11", "Sockets of the worker and of the server:", "its channel; its two ports only.")


async def check_metrics(server, finding):
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{server.url}/metrics")
    assert answer.status_code == 200
    assert scan_bytes(answer.content) == []
    assert b"127.0.0.1" not in answer.content
    finding("C10", f"{len(answer.content)} bytes of /metrics while live:", "no canary, no address.")


async def withdraw(server, host, pid):
    view = await host.set_filter(consent=False)
    assert (view.enabled, view.state) == (False, "off")
    took_s = await until(lambda: pid not in server.worker_pids())
    assert took_s < GONE_S
    return took_s


def check_what_is_left(server, root_before, finding):
    assert files_below(server.directory) == []
    assert sorted(os.listdir("/")) == root_before
    where = "Home, temporary and working directory of the server, before and after:"
    finding("C14", where, "no file.")
    finding("C3", where, "no file.")


def check_log(log, finding):
    assert b"DEBUG" in log
    assert len(log) > 1000
    assert scan_bytes(log) == []
    assert FLOATS_IN_A_ROW.search(log) is None
    finding(
        "C10", f"{len(log)} bytes of log at DEBUG, all libraries:", "no canary, no coordinates."
    )


@pytest.mark.proof("C3")
async def test_without_the_sandbox_the_same_watch_catches_a_stage_that_saves(
    tmp_path, clip, finding
):
    left = Path(DIRECTORY_OF_THE_LEAK) / "mediasrv-leaky-mutant.npy"
    settings = {**STAGES, "filter_extra_stages": ["tests.privacy.canary:open_leaking"]}
    try:
        with FileWatch() as files:
            async with (
                running_server(tmp_path, filter_sandbox="off", **settings) as server,
                hosting(server, clip),
            ):
                workers = server.worker_pids()
                calls = await watch_calls(server, 1.5)
            assert str(left) in files.written_by(workers)
        saved = [call for call in calls if left.name in call and "O_WRONLY" in call]
        assert saved
        assert scan_bytes(left.read_bytes())
    finally:
        left.unlink(missing_ok=True)
    finding(
        "C3",
        "Leaky mutant, sandbox off, a stage that calls np.save:",
        "caught by strace and by fanotify.",
    )


async def never_on(server, clip):
    async with asyncio.timeout(8), hosting(server, clip):
        pytest.fail("a stage that cannot save cannot go on")


@pytest.mark.proof("C3")
async def test_with_the_sandbox_the_stage_that_saves_gets_nowhere(tmp_path, clip, finding):
    settings = {**STAGES, "filter_extra_stages": ["tests.privacy.canary:open_leaking"]}
    left = Path(DIRECTORY_OF_THE_LEAK) / "mediasrv-leaky-mutant.npy"
    async with running_server(tmp_path, **settings) as server:
        with pytest.raises(TimeoutError):
            await never_on(server, clip)
        assert not left.exists()
        assert b"kind=FileNotFoundError" in server.log_bytes()
    finding("C3", "The same stage in the sandbox:", "np.save fails, nothing is written.")


@pytest.mark.proof("C7")
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
async def test_a_worker_that_is_killed_leaves_no_core(
    tmp_path, clip, number, no_limit_on_cores, finding
):
    places = [Path("/"), tmp_path]
    async with running_server(tmp_path, **CANARY) as server:
        async with hosting(server, clip) as host:
            worker = server.workers()[0]
            before = [sorted(os.listdir(place)) for place in places]
            worker.send_signal(number)
            await until(lambda: worker.pid not in server.worker_pids())
            await host.until(lambda: host.filter.state == "on", TIMEOUT_S)
        assert [sorted(os.listdir(place)) for place in places] == before
        assert scan_bytes(server.log_bytes()) == []
    pattern = read("/proc/sys/kernel/core_pattern").strip()
    finding(
        "C7", f"{number.name} to the worker, cores unlimited, core_pattern '{pattern}':", "none."
    )


@pytest.mark.proof("C9")
async def test_a_crash_says_where_and_not_what(tmp_path, clip, finding):
    settings = {**STAGES, "filter_extra_stages": ["tests.privacy.canary:open_crashing"]}
    async with running_server(tmp_path, **settings) as server:
        async with hosting(server, clip):
            await until(lambda: b"crashed kind=ValueError" in server.log_bytes())
        log = server.log_bytes()
    assert b"file=canary.py line=" in log
    assert scan_bytes(log) == []
    finding("C9", "A stage that raises with the canary in its text:", "kind, file and line.")
    point = canary_points()[0]
    assert scan_bytes(f"cannot work on {[float(value) for value in point]}".encode())
    finding("C9", "Leaky mutant, the text itself:", "caught by the scanner.")


@pytest.mark.proof("C10")
async def test_what_a_worker_prints_comes_out_without_its_numbers(tmp_path, clip, finding):
    settings = {**STAGES, "filter_extra_stages": ["tests.privacy.canary:open_chattering"]}
    async with running_server(tmp_path, **settings) as server:
        async with hosting(server, clip):
            await until(lambda: server.log_bytes().count(b"says: landmarks") > 20)
        log = server.log_bytes()
    assert scan_bytes(log) == []
    finding("C10", "A stage that prints the canary for every image:", "hidden, and cut after 100.")


def nal_kinds(access_units):
    return {kind for unit in access_units for kind, _ in split_annex_b(unit)}


@pytest.mark.proof("C12")
async def test_h264_carries_no_side_messages(clip, finding):
    config = ProcessingConfig(spares=0, hang_timeout_s=20.0)
    spares = SpareWorkers(config)
    frames = []
    stream = BeautyStream(
        config,
        spares,
        Codec.H264,
        {"smooth": 60},
        on_frame=frames.append,
        on_state=lambda *_: None,
        on_keyframe_needed=lambda: None,
    )
    await stream.open()
    await until(lambda: stream.worker_pid is not None)
    for frame in encode(Codec.H264, read_clip(clip, 20, size=(640, 360))):
        stream.feed(frame)
        await asyncio.sleep(0.03)
    await until(lambda: len(frames) >= 5)
    await stream.close()
    await spares.close()
    kinds = nal_kinds([frame.payload for frame in frames])
    assert kinds <= {1, 5, 7, 8}  # slices and parameter sets; 6 would be SEI
    finding("C12", f"NAL units of {len(frames)} filtered H.264 frames:", f"types {sorted(kinds)}.")


def import_contracts(directory):
    return subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(directory)},
    )


@pytest.mark.proof("C2")
def test_the_import_contracts_hold(finding):
    completed = import_contracts(REPOSITORY)
    assert completed.returncode == 0, completed.stdout
    finding("C2", "import-linter:", re.findall(r"Contracts: .*", completed.stdout)[0])
