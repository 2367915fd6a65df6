"""One filtered host stream: frames in, filtered frames out, whatever happens to its workers."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping

from filters.parameters import Parameters
from mediasrv.media import Codec, EncodedFrame
from mediasrv.processing.config import ProcessingConfig
from mediasrv.processing.errors import ChannelError, ProcessingError, WorkerStartFailed
from mediasrv.processing.memory import resident_bytes
from mediasrv.processing.messages import (
    Configure,
    Counters,
    FrameTimes,
    InputFrame,
    KeyframeNeeded,
    Message,
    OutputFrame,
)
from mediasrv.processing.spares import SpareWorkers
from mediasrv.processing.starvation import starved_for_s
from mediasrv.processing.stream_counters import StreamCounters
from mediasrv.processing.supervision import (
    FilterState,
    ProgressWatchdog,
    RequestPacer,
    RestartPolicy,
    WorkerLoss,
)
from mediasrv.processing.worker_process import WorkerProcess

logger = logging.getLogger(__name__)

WATCHDOG_INTERVAL_S = 0.1
# Frames that one worker may have in hand: the outbox (60) and as many tiny ones as fit the socket.
MAX_FRAMES_IN_HAND = 1024


class BeautyStream:
    """Sends one host's encoded frames through a worker process, replacing it when it is lost.

    Output is what a worker sent and nothing else: no path leads from :meth:`feed` to
    ``on_frame``, so while there is no worker there is no picture. Everything runs on one event
    loop; callbacks are called on it, never concurrently, also from inside :meth:`open`,
    :meth:`feed`, :meth:`configure` and :meth:`close`, and must not block.

    Guarantees:
        - Frames out are in order, at most one for each frame in, with its timestamp; the first
          one of every worker is a keyframe.
        - ``on_keyframe_needed`` is called whenever only a keyframe from the host can help, at
          most once per ``keyframe_interval_s``.
        - After :meth:`close` begins no callback comes but ``on_state(OFF, None)``.
    """

    def __init__(
        self,
        config: ProcessingConfig,
        spares: SpareWorkers,
        codec: Codec,
        parameters: Mapping[str, int],
        *,
        on_frame: Callable[[EncodedFrame], None],
        on_state: Callable[[FilterState, str | None], None],
        on_keyframe_needed: Callable[[], None],
    ) -> None:
        """Prepare a stream; nothing starts before :meth:`open`.

        Args:
            config: Limits and times.
            spares: Where workers come from; shared by all streams of the node.
            codec: Of the frames, both ways.
            parameters: As :meth:`filters.parameters.Parameters.parse` takes them.
            on_frame: Gets every filtered frame.
            on_state: Gets every change of state, with a reason (see :class:`WorkerLoss`) while
                recovering or unavailable.
            on_keyframe_needed: Asks the host for a keyframe.

        Raises:
            filters.errors.ParameterError: Unknown parameter or value.
        """
        self._config = config
        self._spares = spares
        self._codec = codec
        self._parameters = Parameters.parse(parameters)
        self._target_bitrate_bps = config.target_bitrate_bps
        self._on_frame = on_frame
        self._on_state = on_state
        self._on_keyframe_needed = on_keyframe_needed
        self._on_times: Callable[[FrameTimes], None] | None = None
        self._state = FilterState.OFF
        self._reason: str | None = None
        self._restarts = RestartPolicy(
            config.crash_limit, config.crash_window_s, config.retry_interval_s
        )
        self._watchdog = ProgressWatchdog(config.hang_timeout_s)
        self._stalled_s = 0.0
        self._keyframe_pacer = RequestPacer(config.keyframe_interval_s)
        self._worker: WorkerProcess | None = None
        self._first_frame_s: float | None = None
        self._in_hand: deque[tuple[int, float]] = deque(maxlen=MAX_FRAMES_IN_HAND)
        self._supervisor: asyncio.Task[None] | None = None
        self._retiring: asyncio.Task[None] | None = None
        self._is_closed = False
        self.counters = StreamCounters()
        self.worker_counters = Counters()

    @property
    def state(self) -> FilterState:
        """What the host is told."""
        return self._state

    @property
    def worker_pid(self) -> int | None:
        """Process id of the present worker, if there is one."""
        return None if self._worker is None else self._worker.pid

    async def open(self) -> None:
        """Get admission and begin; the first frame out turns the state to ``ON``.

        Returns at once; a warm worker takes frames within milliseconds.

        Raises:
            WorkersExhausted: Too many streams are being filtered.
        """
        if self._supervisor is not None or self._is_closed:
            raise ProcessingError("a stream is opened once")
        self._spares.admit()
        self._set_state(FilterState.STARTING)
        self._supervisor = asyncio.create_task(self._supervise())

    def feed(self, frame: EncodedFrame) -> bool:
        """Send one frame to the worker; never blocks.

        A delta frame is of use only if all frames since the last keyframe were fed. After a gap
        call :meth:`skip_to_keyframe`; frames are dropped by themselves while there is no worker
        or when it cannot keep up.

        Returns:
            False if the frame was dropped.
        """
        self.counters.frames_in += 1
        taken = self._send(frame) if frame.codec is self._codec else False
        if not taken:
            self.counters.frames_dropped += 1
        return taken

    def skip_to_keyframe(self) -> None:
        """A frame of the host was lost: drop what comes until the next keyframe, and ask for it."""
        if self._worker is not None:
            self._worker.outbox.skip_to_keyframe()
            self._ask_for_keyframe(time.monotonic())

    def configure(self, parameters: Mapping[str, int]) -> None:
        """Replace all filter parameters, from the next image on; what is left out is 0.

        Raises:
            filters.errors.ParameterError: Unknown parameter or value; the old ones stay.
        """
        self._parameters = Parameters.parse(parameters)
        self._reconfigure()

    def aim_at(self, target_bitrate_bps: int) -> None:
        """Set the bitrate of the output; 0 means by picture size. Small changes do nothing."""
        self._target_bitrate_bps = max(0, target_bitrate_bps)
        self._reconfigure()

    def trace(self, on_times: Callable[[FrameTimes], None] | None) -> None:
        """Let the worker say where the time of each frame goes, just before it; None ends that."""
        if on_times is not self._on_times:
            self._on_times = on_times
            self._reconfigure()

    def request_keyframe(self) -> None:
        """Make the next frame out a keyframe."""
        if self._worker is not None:
            self._worker.outbox.request_keyframe()
            self._worker.pump()

    async def close(self, reason: str = "closed") -> None:
        """End the worker and the stream within about a second; calling it again does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._supervisor is None:
            return
        logger.info("filtered stream closes: %s", reason)
        if self._worker is not None:
            self._worker.detach()
        self._supervisor.cancel()
        try:
            await asyncio.wait([self._supervisor])
            if self._retiring is not None:
                await asyncio.wait([self._retiring])
        finally:
            self._spares.dismiss()
            self._set_state(FilterState.OFF)

    async def _supervise(self) -> None:
        """Serve the stream with one worker after another until cancelled."""
        while True:
            loss = await self._serve_with_one_worker()
            now_s = time.monotonic()
            self.counters.workers_lost += 1
            pause_s = self._restarts.note_loss(now_s, first_frame_s=self._first_frame_s)
            logger.warning("a filtered stream lost its worker: %s", loss)
            is_slow = self._restarts.is_slow
            self._set_state(FilterState.UNAVAILABLE if is_slow else FilterState.RECOVERING, loss)
            await asyncio.sleep(pause_s)

    async def _serve_with_one_worker(self) -> WorkerLoss:
        self._first_frame_s = None
        try:
            worker = await self._spares.take()
        except WorkerStartFailed:
            return WorkerLoss.START_FAILED
        try:
            self._watchdog.note_progress()
            self._in_hand.clear()
            # A keyframe that was asked for on behalf of the last worker does not help this one.
            self._keyframe_pacer = RequestPacer(self._config.keyframe_interval_s)
            worker.attach(self._configuration(), self._take_message)
            self._worker = worker
            self._ask_for_keyframe(time.monotonic())
            return await self._watch(worker)
        finally:
            self._worker = None
            self._retiring = self._spares.retire(worker)

    async def _watch(self, worker: WorkerProcess) -> WorkerLoss:
        allowed_bytes = resident_bytes(worker.pid) + self._config.growth_limit_bytes
        while True:
            began_s = time.monotonic()
            try:
                async with asyncio.timeout(WATCHDOG_INTERVAL_S):
                    return await worker.wait_lost()
            except TimeoutError:
                now_s = time.monotonic()
                # What the worker said while this process stood still has not been read yet.
                self._stalled_s += max(0.0, now_s - began_s - WATCHDOG_INTERVAL_S)
                if self._watchdog.is_hung(now_s, self._excused_s(worker)):
                    worker.lose(WorkerLoss.HUNG)
                elif resident_bytes(worker.pid) > allowed_bytes:
                    worker.lose(WorkerLoss.GREW)

    def _excused_s(self, worker: WorkerProcess) -> float:
        """Return for how long so far it was not the worker's fault that it said nothing."""
        return starved_for_s(worker.pid) + self._stalled_s

    def _take_message(self, message: Message) -> None:
        self._watchdog.note_progress()
        match message:
            case OutputFrame():
                self._take_frame(message)
            case FrameTimes() if self._on_times is not None:
                self._on_times(message)
            case KeyframeNeeded():
                self._ask_for_keyframe(time.monotonic())
            case Counters():
                self.worker_counters = message

    def _take_frame(self, frame: OutputFrame) -> None:
        if self._first_frame_s is None:
            if not frame.keyframe:
                raise ChannelError("the first frame of a worker is not a keyframe")
            self._first_frame_s = time.monotonic()
        fed_s = self._take_from_hand(frame.timestamp_ticks)
        self.counters.note(frame, fed_s, time.monotonic())
        self._set_state(FilterState.ON)
        self._on_frame(
            EncodedFrame(
                self._codec,
                frame.timestamp_ticks,
                frame.keyframe,
                frame.payload,
                frame.layer,
                frame.layer_sync,
            )
        )

    def _send(self, frame: EncodedFrame) -> bool:
        worker = self._worker
        if worker is None or worker.loss is not None:
            return False
        taken = False
        with contextlib.suppress(ChannelError):  # a timestamp that no message can carry
            taken = worker.send_frame(
                InputFrame(frame.timestamp_ticks, frame.keyframe, frame.payload)
            )
        now_s = time.monotonic()
        if taken:
            if not self._watchdog.is_waiting:
                self._watchdog.note_fed(now_s, self._excused_s(worker))
            self._in_hand.append((frame.timestamp_ticks, now_s))
        elif worker.outbox.awaits_keyframe:
            self._ask_for_keyframe(now_s)
        return taken

    def _take_from_hand(self, timestamp_ticks: int) -> float:
        """When the worker was given the frame that it answers; older ones it has skipped.

        Raises:
            ChannelError: It was not given such a frame, or has answered it already. So a worker
                that has gone wrong cannot make up pictures, nor flood the server with them.
        """
        while self._in_hand:
            ticks, fed_s = self._in_hand.popleft()
            if ticks == timestamp_ticks:
                return fed_s
        raise ChannelError("a frame that was not asked for")

    def _configuration(self) -> Configure:
        return Configure(
            self._codec,
            self._parameters,
            self._target_bitrate_bps,
            traced=self._on_times is not None,
        )

    def _reconfigure(self) -> None:
        if self._worker is not None:
            self._worker.outbox.configure(self._configuration())
            self._worker.pump()

    def _ask_for_keyframe(self, now_s: float) -> None:
        if not self._is_closed and self._keyframe_pacer.allows(now_s):
            self._on_keyframe_needed()

    def _set_state(self, state: FilterState, reason: str | None = None) -> None:
        if (state, reason) != (self._state, self._reason):
            self._state, self._reason = state, reason
            self._on_state(state, reason)
