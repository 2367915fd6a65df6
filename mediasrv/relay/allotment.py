"""Once a second: what each viewer gets of the video, and what the host has to send for that."""

from collections import deque
from collections.abc import Mapping

from mediasrv.relay.adaptation import Rung
from mediasrv.relay.qualities import Qualities
from mediasrv.relay.subscription import Subscription

# Some ten microseconds each; packets that arrive meanwhile wait for less than a millisecond.
VIEWERS_PER_STEP = 64


class Allotment:
    """Lets every viewer have what its way carries, some of them at a time.

    Args:
        qualities: The video.
        subscriptions: By viewer; looked at and not changed.
    """

    def __init__(self, qualities: Qualities, subscriptions: Mapping[str, Subscription]) -> None:
        self._qualities = qualities
        self._subscriptions = subscriptions
        self._ladder: list[Rung] = []
        self._to_see: deque[str] = deque()
        self._wished: list[int] = []
        self._tracks = qualities.tracks
        self._padded: set[str] = set()

    def advance(self, now: float) -> list[int]:
        """See some viewers; call every 20 ms or so.

        Returns:
            The qualities that the host is to send, once all viewers were seen; else nothing.
        """
        if self._tracks is not self._qualities.tracks:
            # Another publication: what was measured of the one before is void.
            self._tracks = self._qualities.tracks
            self._to_see.clear()
        ladder = self._qualities.measure(now)
        if ladder and not self._to_see:
            self._ladder, self._wished = ladder, []
            self._to_see.extend(self._subscriptions)
        elif not self._to_see:
            return []
        for _ in range(min(VIEWERS_PER_STEP, len(self._to_see))):
            self._see(self._to_see.popleft(), now)
        return [] if self._to_see else self._qualities.wish(self._wished, now)

    def _see(self, viewer: str, now: float) -> None:
        subscription = self._subscriptions.get(viewer)
        if subscription is None:
            return
        qualities = self._qualities
        rung = subscription.choose(self._ladder, now)
        qualities.send(viewer, rung, subscription.stills_bps(now), now)
        track = qualities.track_of(viewer)
        track.want_patience(viewer, subscription.patience.units)
        subscription.got_from(track)
        self._wished += subscription.wished(qualities.best_bps, len(qualities.tracks), now)
        if subscription.is_padded:
            self._padded.add(viewer)

    def pad(self, now: float) -> None:
        """Fill the ways of those who may get more; call every 20 ms or so."""
        for viewer in list(self._padded):
            subscription = self._subscriptions.get(viewer)
            if subscription is None or not subscription.is_padded:
                self._padded.discard(viewer)
            else:
                subscription.pad(viewer, self._qualities.track_of(viewer), now)
