"""What a client can make the server keep for it by sending and never reading."""

import asyncio

from websockets.frames import Frame, Opcode

from signaling.messages import Published, ViewersChanged
from tests.unit.mediasrv.http.websocket_server import Server, narrow_socket, received, until

PING = bytes(Frame(Opcode.PING, b"p" * 125).serialize(mask=True))
FLOOD_BYTES = 8_000_000
# asyncio lets 64 KiB wait before it says stop; what one read brought is answered as well.
WAITING_MAX_BYTES = 512 * 1024


def waiting_bytes(server: Server) -> int:
    """What waits in the server for its clients to read."""
    return sum(
        connection.transport.get_write_buffer_size()
        for connection in server.uvicorn.server_state.connections
    )


async def test_a_client_that_pings_and_never_reads_fills_no_memory(server):
    async with server.connect(max_queue=1, sock=await narrow_socket(server.port)) as stuck:
        deaf = await server.join(stuck)
        stuck.transport.pause_reading()
        deaf.outbox.send(Published(sdp="v" * 60_000))
        most = sent = 0
        async with asyncio.timeout(20):
            while sent < FLOOD_BYTES or stuck.transport.get_write_buffer_size():
                if sent < FLOOD_BYTES and not stuck.transport.get_write_buffer_size():
                    stuck.transport.write(PING * 1000)
                    sent += 1000 * len(PING)
                await asyncio.sleep(0)
                most = max(most, waiting_bytes(server))
        assert most < WAITING_MAX_BYTES
        stuck.transport.abort()


async def test_a_client_that_reads_gets_its_pongs(server):
    async with server.connect() as client:
        peer = await server.join(client)
        for _ in range(3):
            async with asyncio.timeout(5):
                await (await client.ping())
        peer.outbox.send(ViewersChanged(viewers=3))
        assert (await received(client))["viewers"] == 3


async def test_who_reads_again_is_answered_again(server):
    async with server.connect(max_queue=1, sock=await narrow_socket(server.port)) as client:
        peer = await server.join(client)
        client.transport.pause_reading()
        for number in range(20):
            peer.outbox.send(Published(sdp=f"{number}".ljust(60_000)))
        await until(lambda: waiting_bytes(server) > 64 * 1024)
        client.transport.write(PING * 10)
        await until(lambda: not client.transport.get_write_buffer_size())
        client.transport.resume_reading()
        for number in range(20):
            assert str((await received(client))["sdp"]).strip() == str(number)
        async with asyncio.timeout(5):
            await (await client.ping())
