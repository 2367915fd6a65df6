"""The publishing side of the load, a process of its own so that reading never delays a frame."""

import asyncio
import secrets
import socket
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection

from benchmarks.load.dtls import Identity
from benchmarks.load.pacing import PacedSender
from benchmarks.load.peer import LightPeer
from benchmarks.load.signalling import Publishing
from benchmarks.load.stream import Stream
from benchmarks.load.subject import PlainTarget, settle
from mediasrv.relay import rtcp

CONSENT_S = 4.0
RECEIVE_BYTES = 2048


def run_publisher(
    pipe: Connection, target: Publishing | PlainTarget, stream: Stream, core: int, local_ip: str
) -> None:
    """Publish until the other end of ``pipe`` says anything; then send the log and end.

    Sends ``"live"`` once media flows.

    Args:
        pipe: To the benchmark.
        target: A server that takes WebRTC, or where plain RTP goes.
        stream: What is sent.
        core: To run on.
        local_ip: Address to send from.
    """
    settle(0, core)
    if isinstance(target, PlainTarget):
        _publish_plain(pipe, target, stream)
    else:
        asyncio.run(_publish(pipe, target, stream, local_ip))


def _publish_plain(pipe: Connection, target: PlainTarget, stream: Stream) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:

        def send(kind: str, packet: bytes) -> None:
            udp.sendto(packet, (target.host, target.ports[kind]))

        sender = PacedSender(stream, _ssrcs(), send, lambda kind, packet: None)
        sender.start()
        pipe.send("live")
        pipe.recv()
        sender.stop()
        pipe.send(sender.log)


def _ssrcs() -> dict[str, int]:
    return {"audio": secrets.randbits(31), "video": secrets.randbits(31)}


async def _publish(pipe: Connection, server: Publishing, stream: Stream, local_ip: str) -> None:
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        signalling = await stack.enter_async_context(server)
        peer = LightPeer(Identity(), local_ip, gro=False)
        stack.callback(peer.close)
        ssrcs = _ssrcs()
        remote = await signalling.publish(peer, ssrcs)
        sender: PacedSender | None = None

        def readable() -> None:
            try:
                datagram = peer.socket.recv(RECEIVE_BYTES)
            except OSError:
                return
            if datagram[0] < 64:
                peer.control(datagram)
            elif sender is not None and peer.inbound is not None:
                _take_feedback(peer.inbound.unprotect_rtcp(datagram), sender)

        loop.add_reader(peer.socket.fileno(), readable)
        stack.callback(loop.remove_reader, peer.socket.fileno())
        await peer.connect(remote)
        sender = _sender(peer, stream, ssrcs)
        sender.start()
        stack.callback(sender.stop)
        pipe.send("live")
        consent = asyncio.create_task(_renew_consent(peer))
        await asyncio.to_thread(pipe.recv)
        consent.cancel()
        await asyncio.wait([consent])
        sender.stop()
        pipe.send(sender.log)


def _sender(peer: LightPeer, stream: Stream, ssrcs: dict[str, int]) -> PacedSender:
    outbound = peer.outbound
    assert outbound is not None

    # Both run in the sender's thread only: an SRTP session is not made for two.
    def send_rtp(kind: str, packet: bytes) -> None:
        del kind
        _send(peer.socket, outbound.protect(packet))

    def send_rtcp(kind: str, packet: bytes) -> None:
        del kind
        _send(peer.socket, outbound.protect_rtcp(packet))

    return PacedSender(stream, ssrcs, send_rtp, send_rtcp)


def _send(udp: socket.socket, datagram: bytes) -> None:
    try:
        udp.send(datagram)
    except OSError:
        return  # seen as loss by the viewers


def _take_feedback(compound: bytes, sender: PacedSender) -> None:
    for message in rtcp.parse_rtcp(compound):
        if isinstance(message, rtcp.KeyframeRequest):
            sender.request_keyframe()


async def _renew_consent(peer: LightPeer) -> None:
    while True:
        await asyncio.sleep(CONSENT_S)
        peer.check()
