"""A beauty worker made of a list, and a room's filter switch on a studio's broadcast."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from mediasrv.errors import MediaError
from mediasrv.filter_switch import FilterSwitch
from mediasrv.media import Codec, EncodedFrame
from mediasrv.processing import FilterState
from signaling.messages import FilterView
from tests.relay_fakes import vp8_bitstream
from tests.studio import Studio

OFF = FilterView(state="off", enabled=False, params={"smooth": 0, "brighten": 0}, consent=True)


class WorkerStream:
    """Behaves as processing.BeautyStream does, one step at a time.

    Frames out are numbered; a delta frame of number n builds on frame n - 1. The first frame of
    every worker is a keyframe, and so is the next one after ``request_keyframe``.
    """

    def __init__(
        self,
        codec: Codec,
        parameters: Mapping[str, int],
        *,
        on_frame: Callable[[EncodedFrame], None],
        on_state: Callable[[FilterState, str | None], None],
        on_keyframe_needed: Callable[[], None],
    ) -> None:
        self.codec = codec
        self.parameters = dict(parameters)
        self.on_state = on_state
        self.targets_bps: list[int] = []
        self.closed: str | None = None
        self.waiting: list[EncodedFrame] = []
        self.can_open = True
        self.state = FilterState.OFF
        self._on_frame = on_frame
        self._on_keyframe_needed = on_keyframe_needed
        self._has_worker = False
        self._keyframe_next = True
        self._made = 0

    async def open(self) -> None:
        if not self.can_open:
            raise MediaError("no worker left")
        self._tell(FilterState.STARTING)

    def feed(self, frame: EncodedFrame) -> bool:
        if self._has_worker:
            self.waiting.append(frame)
        return self._has_worker

    def configure(self, parameters: Mapping[str, int]) -> None:
        self.parameters = dict(parameters)

    def aim_at(self, target_bitrate_bps: int) -> None:
        self.targets_bps.append(target_bitrate_bps)

    def trace(self, on_times: object) -> None:
        del on_times

    def request_keyframe(self) -> None:
        self._keyframe_next = True

    async def close(self, reason: str) -> None:
        self.closed = reason
        self._has_worker = False
        self._tell(FilterState.OFF)

    # What a test lets happen

    def get_worker(self) -> None:
        """A worker is there and takes frames."""
        if self.closed is None and self.state is not FilterState.OFF:
            self._has_worker = self._keyframe_next = True
            self._on_keyframe_needed()

    def give_frame(self) -> None:
        """The worker is done with the oldest frame."""
        if self.closed is None and self._has_worker and self.waiting:
            frame = self.waiting.pop(0)
            keyframe, self._keyframe_next = self._keyframe_next, False
            payload = vp8_bitstream(self._made, keyframe=keyframe, tag=b"fil")
            self._made += 1
            self._tell(FilterState.ON)
            self._on_frame(EncodedFrame(frame.codec, frame.timestamp_ticks, keyframe, payload))

    def lose_worker(self, state: FilterState = FilterState.RECOVERING) -> None:
        """The worker is killed; what it was working on is lost."""
        if self.closed is None and self._has_worker:
            self._has_worker = False
            self.waiting.clear()
            self._tell(state, "worker_crashed")

    def _tell(self, state: FilterState, reason: str | None = None) -> None:
        if state is not self.state:
            self.state = state
            self.on_state(state, reason)


class FilterDesk:
    """A room's filter switch, its worker streams and its timers, all in the test's hands."""

    def __init__(self, studio: Studio, initial: FilterView = OFF) -> None:
        self.studio = studio
        self.streams: list[WorkerStream] = []
        self.announced: list[FilterView] = []
        self.background: list[Coroutine[Any, Any, None]] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.can_open = True
        self.switch = FilterSwitch(
            studio.broadcast,
            self._make_stream,
            spawn=self.background.append,
            call_later=self._call_later,
            clock=lambda: studio.now,
            changed=self.announced.append,
            initial=initial,
        )
        studio.on_frame = self.switch.feed
        studio.on_filter_keyframe = self.switch.request_keyframe

    def _make_stream(self, *args: Any, **kwargs: Any) -> WorkerStream:
        stream = WorkerStream(*args, **kwargs)
        stream.can_open = self.can_open
        self.streams.append(stream)
        return stream

    def _call_later(self, delay_s: float, call: Callable[[], None]) -> Callable[[], None]:
        timer = (self.studio.now + delay_s, call)
        self.timers.append(timer)
        return lambda: self.timers.remove(timer)

    @property
    def stream(self) -> WorkerStream:
        return self.streams[-1]

    def run_background(self) -> None:
        """Run what the switch has spawned to its end; nothing in it really waits."""
        while self.background:
            try:
                self.background.pop(0).send(None)
            except StopIteration:
                continue
            raise AssertionError("background work must not wait here")

    def run_timers(self) -> None:
        """Fire every timer that is due."""
        for timer in [t for t in self.timers if t[0] <= self.studio.now]:
            self.timers.remove(timer)
            timer[1]()

    def publish(self, codec: Codec | None = Codec.VP8) -> None:
        """The host's connection is up, as the room's media tells it."""
        self.studio.publish()
        self.switch.publication_began(codec)

    def unpublish(self) -> None:
        self.studio.broadcast.unpublish()
        self.switch.publication_ended()

    def start_worker(self) -> None:
        self.run_background()
        self.stream.get_worker()

    @property
    def states(self) -> list[str]:
        return [view.state for view in self.announced]
