"""Client side of the seam to aiortc's private names."""

from collections.abc import Callable

from aioice.candidate import Candidate
from aiortc import RTCRtpReceiver, RTCRtpSender
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters

LOOPBACK_ADDRESSES = ("127.0.0.1", "::1")


def gather_loopback(transport: RTCDtlsTransport) -> None:
    """Offer loopback addresses too, which aioice leaves out, so a server on 127.0.0.1 is met."""
    connection = transport.transport.iceGatherer._connection
    gather = connection.get_component_candidates

    async def gather_with_loopback(component: int, addresses: list[str]) -> list[Candidate]:
        return await gather(component, [*addresses, *LOOPBACK_ADDRESSES])

    connection.get_component_candidates = gather_with_loopback  # type: ignore[method-assign, assignment]


def tap_received(
    transport: RTCDtlsTransport, see: Callable[[bytes], None], *, forward: bool
) -> None:
    """Show every decrypted RTP packet to ``see``, which must not raise.

    Args:
        transport: The transport whose packets are shown.
        see: Called with each packet before anything else happens to it.
        forward: False ends the packet's way here: nothing is routed, repaired or decoded.
    """
    handle = transport._handle_rtp_data

    async def handle_seen(data: bytes, arrival_time_ms: int) -> None:
        see(data)
        if forward:
            await handle(data, arrival_time_ms)

    transport._handle_rtp_data = handle_seen  # type: ignore[method-assign]


def tap_sent(transport: RTCDtlsTransport, see: Callable[[bytes], None]) -> None:
    """Show every RTP packet that was sent, in plain form, to ``see``, which must not raise."""
    send = transport._send_rtp

    async def send_seen(data: bytes) -> None:
        await send(data)
        if not 192 <= data[1] <= 208:  # RFC 5761 section 4: these are RTCP
            see(data)

    transport._send_rtp = send_seen  # type: ignore[method-assign]


def without_decoder(receiver: RTCRtpReceiver) -> None:
    """Keep a receiver from starting: no decoder thread, no jitter buffer, no reports."""

    async def receive(parameters: RTCRtpReceiveParameters) -> None:
        del parameters

    receiver.receive = receive  # type: ignore[method-assign]


def on_keyframe_request(sender: RTCRtpSender, request: Callable[[], None]) -> None:
    """Call ``request`` when the other side asks for a keyframe (PLI or FIR)."""
    sender._send_keyframe = request  # type: ignore[method-assign]
