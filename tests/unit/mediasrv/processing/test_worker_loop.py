import socket
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from filters.parameters import Parameters
from mediasrv.media import Codec
from mediasrv.processing.channel import TO_SERVER, MessageReader, pack
from mediasrv.processing.diagnostics import WorkerEvent
from mediasrv.processing.errors import ChannelError
from mediasrv.processing.messages import (
    Configure,
    Counters,
    Hello,
    InputFrame,
    KeyframeCause,
    KeyframeNeeded,
    KeyframeRequest,
    OutputFrame,
    Stop,
)
from mediasrv.processing.worker_loop import WorkerLoop
from tests.encoded_clips import draw_images, encode

TIMEOUT_S = 10.0


class Gate:
    """A pipeline that waits for permission, image by image."""

    def __init__(self):
        self.permits = threading.Semaphore(0)
        self.started = threading.Event()

    def apply(self, image, parameters, *, elapsed_s):
        self.started.set()
        assert self.permits.acquire(timeout=TIMEOUT_S)
        return SimpleNamespace(durations_us={})


class Server:
    """The server's end of the channel, with the loop running in a thread beside it."""

    def __init__(self, pipeline):
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(TIMEOUT_S)
        self._theirs = theirs
        self._reader = MessageReader(TO_SERVER)
        self.outcome = None
        self.loop = WorkerLoop(theirs, pipeline)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            self.outcome = self.loop.run()
        except (ChannelError, AssertionError) as exc:
            self.outcome = exc
        finally:
            self._theirs.close()

    def send(self, *messages):
        self.socket.sendall(b"".join(map(pack, messages)))

    def receive(self, wanted):
        """The next message of one kind; others are skipped."""
        while True:
            while (message := self._reader.next_message()) is not None:
                if isinstance(message, wanted):
                    return message
            chunk = self.socket.recv(65536)
            if not chunk:
                return None
            self._reader.feed(chunk)

    def shrink_buffers(self):
        for end in (self.socket, self._theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    def join(self):
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive()
        return self.outcome

    def close(self):
        self.socket.close()
        self._thread.join(TIMEOUT_S)


def wait_until(condition):
    give_up_s = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < give_up_s
        time.sleep(0.002)


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def server(gate):
    server = Server(gate)
    yield server
    gate.permits.release(1000)
    server.close()


def inputs(frames):
    return [InputFrame(f.timestamp_ticks, f.keyframe, f.payload) for f in frames]


CONFIGURE = Configure(Codec.VP8, Parameters())


@pytest.fixture(scope="module")
def frames():
    return inputs(encode(Codec.VP8, draw_images(160, 96, 8), keyframes=(0, 6)))


def test_what_goes_in_comes_out(server, gate, frames):
    gate.permits.release(100)
    server.send(CONFIGURE)
    for frame in frames:
        server.send(frame)
        assert server.receive(OutputFrame).timestamp_ticks == frame.timestamp_ticks


def test_two_images_that_arrive_at_once_are_both_encoded_without_another_message(
    server, gate, frames
):
    gate.permits.release(100)
    server.send(CONFIGURE, *frames[:2])
    for frame in frames[:2]:
        assert server.receive(OutputFrame).timestamp_ticks == frame.timestamp_ticks


def test_images_that_arrive_during_the_work_are_skipped_all_but_the_newest(server, gate, frames):
    server.send(CONFIGURE, frames[0])
    assert gate.started.wait(TIMEOUT_S)
    server.send(*frames[1:6])
    gate.permits.release(100)
    assert server.receive(OutputFrame).timestamp_ticks == frames[0].timestamp_ticks
    assert server.receive(OutputFrame).timestamp_ticks == frames[5].timestamp_ticks
    counters = server.receive(Counters)
    assert (counters.decoded, counters.encoded, counters.skipped) == (6, 2, 4)


def test_a_keyframe_request_is_passed_on(server, gate, frames):
    gate.permits.release(100)
    server.send(CONFIGURE, frames[0])
    assert server.receive(OutputFrame).keyframe
    server.send(frames[1])
    assert not server.receive(OutputFrame).keyframe
    server.send(KeyframeRequest(), frames[2])
    assert server.receive(OutputFrame).keyframe


def test_while_nothing_can_be_decoded_it_asks_for_a_keyframe_at_a_calm_pace(server, gate, frames):
    gate.permits.release(100)
    server.send(CONFIGURE)
    began_s = time.monotonic()
    for _ in range(40):
        server.send(*frames[1:5])
    server.send(frames[6])
    asked = 0
    while isinstance(message := server.receive((KeyframeNeeded, OutputFrame)), KeyframeNeeded):
        assert message.cause is KeyframeCause.STARTED_MIDWAY
        asked += 1
    assert 1 <= asked <= 1 + (time.monotonic() - began_s) / 0.5


def test_input_that_gives_no_image_still_gives_a_sign_of_life(server, frames):
    server.send(CONFIGURE, *frames[1:4])
    assert server.receive(Counters).dropped == 3


def test_while_the_server_does_not_read_no_image_is_encoded(server, gate):
    """Delta frames that pile up would only be late; images can still be skipped."""
    noise = np.random.default_rng(1)
    images = draw_images(640, 360, 6)
    for image in images:
        image.y[:] = noise.integers(16, 235, image.y.shape)
    frames = inputs(encode(Codec.VP8, images))
    gate.permits.release(100)
    server.shrink_buffers()
    server.send(CONFIGURE, frames[0])
    wait_until(lambda: server.loop._outgoing)  # more than the socket takes
    server.send(*frames[1:])
    wait_until(lambda: server.loop._transcoder.counters.decoded == 6)
    louder = Configure(Codec.VP8, Parameters(smooth=1))
    server.send(louder)  # once it is read, a whole turn has passed since the images were decoded
    wait_until(lambda: server.loop._transcoder._parameters == louder.parameters)
    assert server.loop._transcoder.counters.encoded == 1
    assert server.loop._transcoder.has_image
    assert server.receive(OutputFrame).timestamp_ticks == frames[0].timestamp_ticks
    assert server.receive(OutputFrame).timestamp_ticks == frames[5].timestamp_ticks


@pytest.mark.parametrize("first", [InputFrame(0, True, b"x"), KeyframeRequest()])
def test_the_first_message_must_be_the_configuration(server, first):
    server.send(first)
    assert isinstance(server.join(), ChannelError)


@pytest.mark.parametrize(
    "noise", [b"\xff" * 10, pack(Hello()), b"\x02\xff\xff\xff\xff", bytes(100)]
)
def test_anything_outside_the_schema_ends_the_loop(server, noise):
    server.send(CONFIGURE)
    server.socket.sendall(noise)
    assert isinstance(server.join(), ChannelError)


def test_it_stops_when_told_to_even_before_it_has_a_stream(server):
    server.send(Stop())
    assert server.join() is WorkerEvent.STOPPED


@pytest.mark.parametrize("configured", [False, True])
def test_it_ends_when_the_server_is_gone(server, frames, configured):
    if configured:
        server.send(CONFIGURE)
    server.socket.close()
    assert server.join() is WorkerEvent.SERVER_GONE
