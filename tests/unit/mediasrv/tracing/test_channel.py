import asyncio
import json
import stat
from pathlib import Path

import pytest

from mediasrv.tracing.channel import TraceRefused, trace_channel
from mediasrv.tracing.frames import FrameTracer


class Rooms:
    def __init__(self) -> None:
        self.tracers: dict[str, FrameTracer | None] = {}
        self.ended = asyncio.Event()

    def trace(self, room: str, tracer: FrameTracer | None) -> None:
        if room == "missing":
            raise TraceRefused("there is no such room")
        self.tracers[room] = tracer
        if tracer is None:
            self.ended.set()


async def ask(path: Path, *wishes: object) -> tuple[list, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(path)
    answers = []
    for wish in wishes:
        writer.write(json.dumps(wish).encode() + b"\n")
        answers.append(json.loads(await reader.readline()))
    return answers, writer


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


async def test_a_room_is_traced_for_as_long_as_the_client_stays(tmp_path):
    rooms, path = Rooms(), tmp_path / "trace"
    async with trace_channel(path, rooms, lambda: 1.0):
        answers, writer = await ask(path, {"room": "studio"})
        assert answers == [{"tracing": "studio"}]
        assert rooms.tracers["studio"] is not None
        await closed(writer)
        await rooms.ended.wait()
    assert rooms.tracers == {"studio": None}


async def test_only_its_owner_can_open_the_socket_and_it_goes_with_the_server(tmp_path):
    path = tmp_path / "trace"
    async with trace_channel(path, Rooms(), lambda: 1.0):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_a_room_that_is_not_there_is_refused_with_a_reason(tmp_path):
    path = tmp_path / "trace"
    async with trace_channel(path, Rooms(), lambda: 1.0):
        answers, writer = await ask(path, {"room": "missing"})
        assert answers == [{"error": "there is no such room"}]
        await closed(writer)


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b"[1]\n", b"no json\n", b'{"room": 5}\n'])
async def test_nonsense_ends_or_is_answered_and_traces_nothing(tmp_path, line):
    rooms, path = Rooms(), tmp_path / "trace"
    async with trace_channel(path, rooms, lambda: 1.0):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(line)
        assert await reader.readline() in (b"", b'{"error": "not understood"}\n')
        await closed(writer)
    assert rooms.tracers == {}


async def test_a_line_without_an_end_is_not_read_for_ever(tmp_path):
    path = tmp_path / "trace"
    async with trace_channel(path, Rooms(), lambda: 1.0):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"x" * 100_000)
        assert await reader.read() == b""
        await closed(writer)


async def test_the_tasks_of_the_loop_are_counted(tmp_path):
    path = tmp_path / "trace"
    async with trace_channel(path, Rooms(), lambda: 1.0):
        answers, writer = await ask(path, {"count": "tasks"})
        assert answers[0]["tasks"] >= 2
        await closed(writer)


async def test_a_socket_that_a_killed_server_left_is_replaced_and_a_file_is_not(tmp_path):
    path = tmp_path / "trace"
    async with trace_channel(path, Rooms(), lambda: 1.0):
        left = tmp_path / "left"
        path.rename(left)
    async with trace_channel(left, Rooms(), lambda: 1.0):
        pass
    left.write_text("precious")
    with pytest.raises(OSError, match="in use"):
        async with trace_channel(left, Rooms(), lambda: 1.0):
            pass
    assert left.read_text() == "precious"
