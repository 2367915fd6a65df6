"""How a node, a room and a fault of ours end, and what is left of them: nothing."""

import asyncio

import pytest

from mediasrv.node import new_peer_id, new_resume_token
from tests.live_room import publishing, running_node
from tests.node_stage import node_stage


@pytest.fixture
async def stage():
    async with node_stage() as made:
        yield made


async def test_a_shutdown_tells_everybody_and_closes_all_media():
    async with node_stage() as stage:
        host, media = await stage.live_host()
        await host.ask("set_filter", consent=True, enabled=True)
        viewer, watched = await stage.watching()
        waiting, _ = await stage.joined("viewer", room="elsewhere")
        callers = (host, viewer, waiting)
    for caller in callers:
        assert caller.told()[-1] == {"type": "left", "reason": "shutdown"}
        assert caller.close.code == 1001
    assert media.reason == "the host has gone: shutdown"
    assert watched.reason == "the room is closed"
    assert stage.streams.made[0].reason is not None
    # What comes after is refused and does nothing.
    late = await stage.caller()
    answer = await late.ask("join", version=1, room="r", role="viewer")
    assert answer[0]["code"] == "overloaded"
    for caller in callers:
        await caller.drop()


async def test_an_error_inside_comes_out_as_it_is():
    async def fail() -> None:
        async with node_stage() as stage:
            await stage.live_host()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()


async def test_cancelling_whoever_runs_a_node_ends_it():
    callers = []

    async def run() -> None:
        async with node_stage() as stage:
            callers.append((await stage.live_host())[0])
            await asyncio.Event().wait()

    running = asyncio.create_task(run())
    while not callers:  # noqa: ASYNC110 (two turns of the loop)
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert callers[0].told()[-1] == {"type": "left", "reason": "shutdown"}


async def test_a_room_that_closes_leaves_nothing(stage):
    for _ in range(3):
        host, _ = await stage.live_host()
        viewer, _ = await stage.watching()
        dropped, _ = await stage.watching()
        await host.ask("set_filter", consent=True, enabled=True)
        await asyncio.sleep(0)
        await dropped.drop()
        await host.ask("leave")
        await viewer.ask("leave")
        for caller in (host, viewer):
            await caller.drop()
    for _ in range(5):
        await asyncio.sleep(0)
    node = stage.node
    assert node.listing() == []
    assert (node._media, node._connections, node._hosts, node._faulty_rooms) == ({}, {}, {}, set())
    assert stage.endpoint.open_transports == []
    assert {stream.reason is None for stream in stage.streams.made} == {False}
    assert len(node._group._tasks) == 1  # the timer


async def test_a_host_whose_grace_ends_in_an_empty_room_leaves_nothing(stage):
    host, _ = await stage.live_host()
    await host.drop()
    stage.wait(11)
    assert (stage.node._media, stage.node._connections, stage.node._hosts) == ({}, {}, {})


# Faults of ours.


async def test_a_room_whose_timer_fails_does_not_stop_the_others(stage, caplog, monkeypatch):
    await stage.live_host("one")
    _, other = await stage.live_host("two")

    def fail(now: float) -> None:
        raise ZeroDivisionError(now)

    monkeypatch.setattr(stage.node._media["one"].broadcast, "tick", fail)
    ticks = []
    monkeypatch.setattr(stage.node._media["two"].broadcast, "tick", ticks.append)
    for _ in range(3):
        stage.wait(1)
    assert len(ticks) >= 3
    assert caplog.text.count("the timer of a room failed") == 1
    assert other.reason is None


async def test_a_timer_that_fails_runs_again(caplog, monkeypatch):
    monkeypatch.setattr("mediasrv.node.TICK_S", 0.0)
    async with node_stage() as stage:
        ticked = asyncio.Event()
        failures = [ZeroDivisionError("a fault of the directory")]

        def deadline() -> None:
            if failures:
                raise failures.pop()
            ticked.set()

        monkeypatch.setattr(stage.node.directory, "deadline", deadline)
        async with asyncio.timeout(5):
            await ticked.wait()
        monkeypatch.undo()
    assert "a fault of the directory" in caplog.text


async def test_work_in_the_background_that_fails_is_logged_and_ends_nothing(stage, caplog):
    async def fail() -> None:
        raise ZeroDivisionError("a fault in the background")

    stage.node._spawn(fail())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert "a fault in the background" in caplog.text
    await stage.live_host()


async def test_a_node_knows_its_port(stage):
    assert stage.node.udp_port == 4000


def test_ids_and_tokens_cannot_be_guessed():
    drawn = {draw() for draw in (new_peer_id, new_resume_token) for _ in range(1000)}
    assert len(drawn) == 2000
    assert len(new_peer_id()) >= 16
    assert len(new_resume_token()) >= 32


# On real sockets.


async def test_a_fault_in_the_media_of_one_room_leaves_the_other_alone(monkeypatch, caplog):
    async with running_node() as (node, endpoint):
        one, two = [(await publishing(node, endpoint, room))[1] for room in ("one", "two")]

        def fail(datagram: bytes, now: float) -> None:
            raise ZeroDivisionError("a fault of the relay")

        monkeypatch.setattr(node._media["one"].broadcast, "receive_rtp", fail)
        arrived = asyncio.Event()
        monkeypatch.setattr(node._media["two"].broadcast, "receive_rtp", lambda *_: arrived.set())
        await one.send(one.packet("video", 1, b"\x10x"))
        await one.ended()
        await two.send(two.packet("video", 1, b"\x10x"))
        async with asyncio.timeout(5):
            await arrived.wait()
        assert "a fault of the relay" in caplog.text
        assert [room.state for room in node.listing()] == ["live", "live"]
        for client in (one, two):
            await client.close()
