"""The private names of aiortc that the client uses; these fail when upstream moves them."""

import inspect

import pytest
from aioice.ice import Connection
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCRtpSender
from aiortc.rtcdtlstransport import RTCDtlsTransport

from mediasrv.transport.aiortc_seam import (
    LOOPBACK_ADDRESSES,
    gather_loopback,
    on_keyframe_request,
    tap_received,
    tap_sent,
    without_decoder,
)


@pytest.fixture
async def connection():
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    yield connection
    await connection.close()


class Pipe:
    """Stands where a DTLS transport is; remembers what passes."""

    def __init__(self):
        self.handled = []
        self.sent = []

    async def _handle_rtp_data(self, data, arrival_time_ms):
        self.handled.append((data, arrival_time_ms))

    async def _send_rtp(self, data):
        self.sent.append(data)


def parameters(function):
    return list(inspect.signature(function).parameters)


def test_aiortc_still_has_what_is_replaced():
    assert parameters(RTCDtlsTransport._handle_rtp_data) == ["self", "data", "arrival_time_ms"]
    assert parameters(RTCDtlsTransport._send_rtp) == ["self", "data"]
    assert parameters(RTCRtpSender._send_keyframe) == ["self"]
    assert parameters(RTCRtpReceiver.receive) == ["self", "parameters"]
    assert parameters(Connection.get_component_candidates)[:3] == ["self", "component", "addresses"]


def test_aiortc_calls_them_on_the_object_so_that_replacing_works():
    assert "await self._handle_rtp_data(data" in inspect.getsource(RTCDtlsTransport._recv_next)
    assert "self._send_keyframe()" in inspect.getsource(RTCRtpSender._handle_rtcp_packet)
    assert ".transport._send_rtp(" in inspect.getsource(RTCRtpSender._run_rtp)
    assert "self.get_component_candidates(component=component, addresses=addresses)" in (
        inspect.getsource(Connection.gather_candidates)
    )


async def test_loopback_addresses_are_gathered_when_asked(connection):
    transceiver = connection.addTransceiver("video")
    gather_loopback(transceiver.sender.transport)
    await connection.setLocalDescription(await connection.createOffer())
    gatherer = transceiver.sender.transport.transport.iceGatherer
    assert LOOPBACK_ADDRESSES[0] in [c.ip for c in gatherer.getLocalCandidates()]


async def test_loopback_addresses_are_not_gathered_otherwise(connection):
    transceiver = connection.addTransceiver("video")
    await connection.setLocalDescription(await connection.createOffer())
    gatherer = transceiver.sender.transport.transport.iceGatherer
    addresses = {candidate.ip for candidate in gatherer.getLocalCandidates()}
    assert not addresses.intersection(LOOPBACK_ADDRESSES)


async def test_a_tap_sees_packets_and_lets_them_pass():
    pipe, seen = Pipe(), []
    tap_received(pipe, seen.append, forward=True)
    await pipe._handle_rtp_data(b"packet", arrival_time_ms=7)
    assert (seen, pipe.handled) == ([b"packet"], [(b"packet", 7)])


async def test_a_tap_can_be_the_end_of_the_way():
    pipe, seen = Pipe(), []
    tap_received(pipe, seen.append, forward=False)
    await pipe._handle_rtp_data(b"packet", arrival_time_ms=7)
    assert (seen, pipe.handled) == ([b"packet"], [])


async def test_what_is_sent_is_seen_but_reports_are_not():
    pipe, seen = Pipe(), []
    tap_sent(pipe, seen.append)
    packet, report = bytes([0x80, 97, 0, 1]), bytes([0x80, 200, 0, 1])
    await pipe._send_rtp(packet)
    await pipe._send_rtp(report)
    assert (seen, pipe.sent) == ([packet], [packet, report])


async def test_what_could_not_be_sent_is_not_seen():
    class Closed(Pipe):
        async def _send_rtp(self, data):
            raise ConnectionError

    pipe, seen = Closed(), []
    tap_sent(pipe, seen.append)
    with pytest.raises(ConnectionError):
        await pipe._send_rtp(bytes([0x80, 97]))
    assert seen == []


async def test_a_receiver_without_decoder_never_starts(connection):
    receiver = connection.addTransceiver("video").receiver
    without_decoder(receiver)
    await receiver.receive(None)
    await receiver.stop()


async def test_a_keyframe_request_reaches_the_callback(connection):
    sender = connection.addTransceiver("video").sender
    requests = []
    on_keyframe_request(sender, lambda: requests.append(1))
    sender._send_keyframe()
    assert requests == [1]
