"""The worker's only loop: one thread, one socket."""

import select
import socket
import time

from mediasrv.processing.channel import TO_WORKER, MessageReader, pack
from mediasrv.processing.diagnostics import WorkerEvent
from mediasrv.processing.errors import ChannelError
from mediasrv.processing.messages import (
    Configure,
    InputFrame,
    KeyframeCause,
    KeyframeNeeded,
    KeyframeRequest,
    Message,
    OutputFrame,
    Stop,
    ToServer,
)
from mediasrv.processing.pipeline import FrontStage, Pipeline
from mediasrv.processing.transcoder import Transcoder

# A host's encoder needs a moment to answer; asking more often would only make it repeat itself.
KEYFRAME_INTERVAL_S = 0.5
# While frames come in the server hears from us at least this often, so it can tell work that
# gives no picture from a hang.
REPORT_INTERVAL_S = 0.2
READ_BYTES = 256 * 1024
# Per turn. Everything that has arrived is decoded before one image is encoded, but a flood must
# not keep us from encoding for ever.
TURN_BYTES = 1024 * 1024


class WorkerLoop:
    """Serves one stream from the first Configure until Stop, or until the server is gone.

    While the server does not take our output no new image is encoded: delta frames cannot be
    left out afterwards, images can.
    """

    def __init__(
        self, channel: socket.socket, pipeline: Pipeline, front_stages: tuple[FrontStage, ...] = ()
    ) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._pipeline = pipeline
        self._front_stages = front_stages
        self._reader = MessageReader(TO_WORKER)
        self._chunk = memoryview(bytearray(READ_BYTES))
        self._outgoing = bytearray()
        self._transcoder: Transcoder | None = None
        self._ended: WorkerEvent | None = None
        self._keyframe_asked_s = -KEYFRAME_INTERVAL_S
        self._reported_s = 0.0
        self._has_news = False

    def run(self) -> WorkerEvent:
        """Work until told to stop.

        Returns:
            ``STOPPED`` or ``SERVER_GONE``.

        Raises:
            ChannelError: The server sent something outside the schema.
            ProcessingError: Image after image fails.
        """
        while self._ended is None:
            self._wait()
            self._receive()
            self._flush()
            if self._transcoder is not None and not self._outgoing:
                output = self._transcoder.encode_next()
                if output is not None:
                    self._send_frame(output, self._transcoder)
            self._report(time.monotonic())
        return self._ended

    def _wait(self) -> None:
        writers = [self._channel] if self._outgoing else []
        timeout_s = None
        if self._has_work:
            timeout_s = 0.0
        elif self._has_news:
            timeout_s = max(0.0, self._reported_s + REPORT_INTERVAL_S - time.monotonic())
        select.select([self._channel], writers, [], timeout_s)

    @property
    def _has_work(self) -> bool:
        """Whether an image waits that could be encoded at once."""
        return self._transcoder is not None and self._transcoder.has_image and not self._outgoing

    def _receive(self) -> None:
        """Read and handle what has arrived, up to one turn's worth."""
        taken_bytes = 0
        while taken_bytes < TURN_BYTES and self._ended is None:
            try:
                count = self._channel.recv_into(self._chunk)
            except BlockingIOError:
                return
            except ConnectionError:
                count = 0
            if count == 0:
                self._ended = WorkerEvent.SERVER_GONE
                return
            taken_bytes += count
            self._reader.feed(self._chunk[:count])
            while (message := self._reader.next_message()) is not None:
                self._handle(message)

    def _handle(self, message: Message) -> None:
        match message:
            case Configure() if self._transcoder is None:
                self._transcoder = Transcoder(message, self._pipeline, self._front_stages)
            case Stop():
                self._ended = WorkerEvent.STOPPED
            case _ if self._transcoder is None:
                raise ChannelError("the first message must be Configure")
            case Configure():
                self._transcoder.configure(message)
            case KeyframeRequest():
                self._transcoder.request_keyframe()
            case InputFrame():
                self._has_news = True
                cause = self._transcoder.decode(message)
                if cause is not None:
                    self._ask_for_keyframe(cause, time.monotonic())

    def _ask_for_keyframe(self, cause: KeyframeCause, now_s: float) -> None:
        if now_s - self._keyframe_asked_s >= KEYFRAME_INTERVAL_S:
            self._keyframe_asked_s = now_s
            self._send(KeyframeNeeded(cause))

    def _report(self, now_s: float) -> None:
        """Send the counters when they have news and nothing else waits to be sent."""
        due = now_s - self._reported_s >= REPORT_INTERVAL_S
        if self._transcoder is not None and self._has_news and due and not self._outgoing:
            self._has_news = False
            self._reported_s = now_s
            self._send(self._transcoder.counters)

    def _send_frame(self, output: OutputFrame, transcoder: Transcoder) -> None:
        times, transcoder.times = transcoder.times, None
        if times is not None:
            self._outgoing += pack(times)
        self._send(output)

    def _send(self, message: ToServer) -> None:
        self._outgoing += pack(message)
        self._flush()

    def _flush(self) -> None:
        while self._outgoing and self._ended is None:
            try:
                sent_bytes = self._channel.send(self._outgoing)
            except BlockingIOError:
                return
            except ConnectionError:
                self._ended = WorkerEvent.SERVER_GONE
                return
            del self._outgoing[:sent_bytes]
