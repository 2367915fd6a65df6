"""The beauty switch of one room: when a worker runs and which way the video takes.

One rule stands above all: once the filter has taken over, viewers get the host's own picture again
only because the host switched the filter off. A worker that dies or hangs leaves them with the last
frame, and so does a host who comes back with the filter on when no worker can be had.
"""

import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Protocol

from mediasrv.errors import ConsentMissing, MediaError
from mediasrv.filter_bitrate import FilterBitrate
from mediasrv.media import Codec, EncodedFrame
from mediasrv.processing import FilterState
from mediasrv.processing.messages import FrameTimes
from mediasrv.relay.broadcast import Broadcast
from signaling.messages import FilterView

logger = logging.getLogger(__name__)

# After the host has switched the filter off its worker stays ready for this long: people compare.
LINGER_S = 30.0


class FilterStream(Protocol):
    """One worker's stream, as processing.BeautyStream offers it."""

    async def open(self) -> None:
        """Start a worker; once it takes frames it asks for a keyframe.

        Raises:
            MediaError: No worker can be had.
        """

    def feed(self, frame: EncodedFrame) -> bool:
        """Give it a frame; never blocks."""

    def configure(self, parameters: Mapping[str, int]) -> None:
        """Change the strengths."""

    def aim_at(self, target_bitrate_bps: int) -> None:
        """Change the bitrate."""

    def request_keyframe(self) -> None:
        """Let the next frame out be a keyframe."""

    def trace(self, on_times: Callable[[FrameTimes], None] | None) -> None:
        """Let the worker say where the time of each frame goes; None ends that."""

    async def close(self, reason: str) -> None:
        """End the worker."""


class FilterStreams(Protocol):
    """Makes streams; app.py binds it to processing.BeautyStream."""

    def __call__(
        self,
        codec: Codec,
        parameters: Mapping[str, int],
        *,
        on_frame: Callable[[EncodedFrame], None],
        on_state: Callable[[FilterState, str | None], None],
        on_keyframe_needed: Callable[[], None],
    ) -> FilterStream:
        """Make a stream that is not open yet."""


class FilterSwitch:
    """Settings, worker and video path of one room's filter.

    Args:
        broadcast: Whose video the filter works on.
        streams: Makes worker streams.
        spawn: Runs a coroutine in the background, guarded.
        call_later: Schedules a call; returns what cancels it.
        clock: Monotonic seconds.
        changed: Told whenever :attr:`view` has changed.
        initial: How the filter stands in a new room.
    """

    def __init__(
        self,
        broadcast: Broadcast,
        streams: FilterStreams,
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        call_later: Callable[[float, Callable[[], None]], Callable[[], None]],
        clock: Callable[[], float],
        changed: Callable[[FilterView], None],
        initial: FilterView,
    ) -> None:
        self.view = initial
        self._broadcast = broadcast
        self._streams = streams
        self._spawn = spawn
        self._call_later = call_later
        self._clock = clock
        self._changed = changed
        self._codec: Codec | None = None
        self._on_times: Callable[[FrameTimes], None] | None = None
        self._stream: FilterStream | None = None
        self._is_ready = False
        self._worker_state: tuple[FilterState, str | None] = (FilterState.OFF, None)
        self._cancel_linger: Callable[[], None] | None = None
        self._bitrate = FilterBitrate()

    def set(
        self,
        enabled: bool | None,
        parameters: Mapping[str, int] | None,
        consent: bool | None = None,
    ) -> FilterView:
        """Take the host's wish; what is None stays. Returns the view, which is not announced.

        Raises:
            ConsentMissing: It would be on without the host's consent; nothing has changed.
        """
        params = dict(self.view.params) if parameters is None else dict(parameters)
        agreed = self.view.consent if consent is None else consent
        wanted = (self.view.enabled and agreed) if enabled is None else enabled
        if wanted and not agreed:
            raise ConsentMissing("the host has not agreed that its picture is searched for a face")
        switched = wanted != self.view.enabled
        update = {"enabled": wanted, "params": params, "consent": agreed}
        self.view = self.view.model_copy(update=update)
        if self._stream is not None and parameters is not None:
            self._stream.configure(params)
        if switched and wanted:
            self._switch_on()
        elif switched:
            self._switch_off()
        if not agreed:
            # Also one that was lingering: nothing may look at the picture any more.
            self._drop_stream("the host took its consent back")
        return self.view

    def publication_began(self, codec: Codec | None) -> None:
        """Note the host's new connection; with the filter on, nothing goes past it."""
        self._drop_stream("the host's connection changed")
        self._codec = codec
        self._bitrate = FilterBitrate()
        if codec is None:
            self._show(FilterState.OFF, None)
        elif self.view.enabled:
            self._broadcast.require_filter(self._clock())
            self._start_stream(codec)

    def publication_ended(self) -> None:
        """Note that the host's video has ended: so does its worker."""
        self._codec = None
        self._drop_stream("the host's video has ended")
        self._show(FilterState.OFF, None)

    def reset(self, initial: FilterView) -> None:
        """Forget the settings of a host that has gone; the next one begins anew."""
        self.publication_ended()
        self._broadcast.forget_filter(self._clock())
        self.view = initial

    def feed(self, frame: EncodedFrame) -> None:
        """Pass on a frame of the host."""
        self._bitrate.received(len(frame.payload))
        if self._stream is not None:
            self._stream.feed(frame)

    def follow(self, estimates_bps: Iterable[float], now: float) -> None:
        """Let the bitrate follow what viewers say they can receive; call it often."""
        target_bps = self._bitrate.choose(estimates_bps, now)
        if target_bps is not None and self._stream is not None:
            self._stream.aim_at(target_bps)

    def trace(self, on_times: Callable[[FrameTimes], None] | None) -> None:
        """Let workers, also those to come, say where the time of each frame goes."""
        self._on_times = on_times
        if self._stream is not None:
            self._stream.trace(on_times)

    def request_keyframe(self) -> None:
        """Let the worker make a keyframe for viewers."""
        if self._stream is not None:
            self._stream.request_keyframe()

    def _switch_on(self) -> None:
        self._stop_linger()
        self._broadcast.keep_filtered()
        if self._codec is None:
            return
        if self._stream is None:
            self._start_stream(self._codec)
            return
        if self._is_ready:
            # The worker goes on from the host's next keyframe, and viewers need one of it then.
            self._stream.request_keyframe()
            self._broadcast.divert_to_filter()
        self._show(*self._worker_state)

    def _switch_off(self) -> None:
        self._broadcast.divert_to_direct()
        self._show(FilterState.OFF, None)
        if self._stream is not None:
            self._cancel_linger = self._call_later(LINGER_S, self._linger_ended)

    def _linger_ended(self) -> None:
        self._cancel_linger = None
        self._drop_stream("the filter is off")

    def _stop_linger(self) -> None:
        if self._cancel_linger is not None:
            self._cancel_linger()
            self._cancel_linger = None

    def _start_stream(self, codec: Codec) -> None:
        self._is_ready = False
        stream: FilterStream | None = None

        # Words of a stream that has been replaced in the meantime are not heard any more.
        def on_frame(frame: EncodedFrame) -> None:
            if self._stream is stream:
                self._bitrate.sent(len(frame.payload))
                self._broadcast.write_filtered(frame, self._clock())

        def on_state(state: FilterState, reason: str | None) -> None:
            if self._stream is stream:
                self._take_state(state, reason)

        def on_keyframe_needed() -> None:
            if self._stream is stream:
                self._take_keyframe_wish()

        stream = self._streams(
            codec,
            self.view.params,
            on_frame=on_frame,
            on_state=on_state,
            on_keyframe_needed=on_keyframe_needed,
        )
        if self._bitrate.target_bps is not None:
            stream.aim_at(self._bitrate.target_bps)
        self._stream = stream
        if self._on_times is not None:
            stream.trace(self._on_times)
        self._take_state(FilterState.STARTING, None)
        self._spawn(self._open(stream))

    async def _open(self, stream: FilterStream) -> None:
        try:
            await stream.open()
        except MediaError as exc:
            if self._stream is stream:
                self._stream = None
                self._take_state(FilterState.UNAVAILABLE, str(exc))

    def _take_state(self, state: FilterState, reason: str | None) -> None:
        self._worker_state = (state, reason)
        if state in (FilterState.RECOVERING, FilterState.UNAVAILABLE):
            self._is_ready = False
        if self.view.enabled:
            self._show(state, reason)

    def _take_keyframe_wish(self) -> None:
        """A worker that asks for a keyframe takes frames: the first time, the video may turn."""
        self._is_ready = True
        if not self.view.enabled:
            return
        self._broadcast.divert_to_filter()
        self._broadcast.want_host_keyframe()

    def _drop_stream(self, reason: str) -> None:
        self._stop_linger()
        stream, self._stream, self._is_ready = self._stream, None, False
        if stream is not None:
            self._spawn(stream.close(reason))

    def _show(self, state: FilterState, reason: str | None) -> None:
        before = self.view
        self.view = before.model_copy(update={"state": state.value, "reason": reason})
        if self.view != before:
            self._changed(self.view)
