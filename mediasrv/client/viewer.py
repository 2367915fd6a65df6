"""A viewer in Python: joins a room, waits for the host, watches and measures."""

from time import monotonic

from mediasrv.client.errors import MediaNotConnected
from mediasrv.client.link import Link
from mediasrv.client.packets import PacketLog
from mediasrv.client.room_client import RoomClient
from mediasrv.client.statistics import ViewerReport
from mediasrv.client.subscription import Measurement, MediaSink, Subscription
from signaling import ErrorCode, Refused
from signaling.messages import Joined, Subscribe, Subscribed

# A path that fails this often in a row will not work the next time either.
CONNECT_ATTEMPTS = 3


class ViewerClient(RoomClient):
    """A viewer of a room. ``open()`` returns once joined, whether or not the host is there.

    Attributes:
        measurement: What was seen so far, over all subscriptions.
        subscription: The present subscription, or None.
        subscriptions: How often media was negotiated; 1 when nothing broke.
    """

    role = "viewer"

    def __init__(
        self,
        url: str,
        room: str,
        *,
        name: str | None = None,
        sinks: tuple[MediaSink, ...] = (),
        decode: bool = True,
        keep_packets: bool = False,
    ) -> None:
        """Prepare a viewer; nothing happens before ``open()``.

        Args:
            url: The server's address.
            room: The room to watch.
            name: Shown to the host.
            sinks: Where decoded media goes, besides being counted.
            decode: False only counts packets, which is cheap enough for many viewers in one
                process; then no loss is repaired and no picture seen.
            keep_packets: Keep what arrived, for tests that compare.
        """
        super().__init__(url, room, name=name)
        self.measurement = Measurement()
        self.subscription: Subscription | None = None
        self.subscriptions = 0
        self._sinks = sinks
        self._decode = decode
        self._keep_packets = keep_packets
        self._opened_s: float | None = None
        self._failures = 0

    async def open(self) -> None:
        """Join the room.

        Raises:
            ServerUnreachable: Nobody answers at the address.
            SignalingError: The server refused.
        """
        self._opened_s = monotonic()
        await super().open()

    async def first_frame(self, timeout_s: float | None = None) -> float:
        """Wait for the first video frame; returns milliseconds since the offer was begun.

        Raises:
            TimeoutError: None came within ``timeout_s``.
            ClientError: The session ended first.
        """
        await self.until(lambda: self.measurement.first_frame_ms is not None, timeout_s)
        return self.measurement.first_frame_ms or 0.0

    async def watch(self, seconds: float | None = None) -> ViewerReport:
        """Watch for some time, or until the session ends, and report.

        Raises:
            ClientError: The session ended early.
            SignalingError: The server refused to go on.
        """
        await self.stay(seconds)
        return self.report()

    @property
    def received(self) -> PacketLog:
        """What the present subscription received.

        Raises:
            MediaNotConnected: There is no subscription.
        """
        if self.subscription is None:
            raise MediaNotConnected("nothing is subscribed")
        return self.subscription.received

    def report(self) -> ViewerReport:
        """Sum up what was seen until now."""
        now_s = monotonic()
        seen = self.measurement
        images = seen.images.ended(now_s)
        return ViewerReport(
            room=self.room,
            seconds=round(now_s - (self._opened_s or now_s), 3),
            decoded=self._decode,
            connected_ms=seen.connected_ms,
            first_frame_ms=seen.first_frame_ms,
            frames=images.frames,
            fps=round(images.fps, 2),
            width=seen.width,
            height=seen.height,
            freezes=images.freezes,
            frozen_ms=round(1000 * images.frozen_s, 1),
            longest_gap_ms=round(1000 * images.longest_gap_s, 1),
            audio_frames=seen.sounds,
            subscriptions=self.subscriptions,
            joins=self.joins,
            video=seen.figures("video", now_s),
            audio=seen.figures("audio", now_s),
        )

    async def _on_joined(self, link: Link, joined: Joined) -> None:
        if joined.state == "waiting":
            await self._release()

    def _is_wanted(self) -> bool:
        publishing = self.state == "live"
        return publishing or (self.state == "away" and self.subscription is not None)

    async def _reconcile(self, link: Link) -> None:
        if not self._is_wanted():
            await self._release()
        elif self.subscription is None or self.subscription.path.lost:
            await self._release()
            await self._subscribe(link)

    async def _subscribe(self, link: Link) -> None:
        async def exchange(offer: str) -> str:
            return (await link.request(Subscribe(sdp=offer), Subscribed)).sdp

        self.subscription = Subscription(
            self.url,
            self.measurement,
            self._note_change,
            sinks=self._sinks,
            decode=self._decode,
            keep_packets=self._keep_packets,
        )
        self.subscriptions += 1
        try:
            await self.subscription.open(exchange)
            self._failures = 0
        except BaseException as exc:
            # Half a subscription would look like one that needs no attention.
            await self._release()
            if not self._may_try_again(exc):
                raise

    def _may_try_again(self, exc: BaseException) -> bool:
        if isinstance(exc, Refused) and exc.code is ErrorCode.NOT_LIVE:
            return True  # the host left in between; host_live will come
        if isinstance(exc, MediaNotConnected):
            self._failures += 1
            self._note_change()
            return self._failures < CONNECT_ATTEMPTS
        return False

    async def _release(self) -> None:
        if self.subscription is not None:
            await self.subscription.close()
            self.subscription = None
