"""The video of a room in the qualities that its host sends, and which viewer gets which.

A host with simulcast sends its picture in several sizes, each a stream with keyframes of its own.
Each is a track here; a viewer goes from one to another at a keyframe and sees one stream.
"""

from collections.abc import Sequence

from mediasrv.relay.adaptation import QUALITY_STEP, Rung, ladder_of
from mediasrv.relay.lanes import Fanout
from mediasrv.relay.rates import LayerRates
from mediasrv.relay.track import TrackRelay

# Browsers give lower qualities precedence, and send nothing of the best one where their uplink does
# not carry 600 kb/s of it as well. Then it goes alone for so long, and twice as long each time.
BEST_FIRST_S = 30.0
BEST_FIRST_MAX_S = 600.0
# A quality costs the host CPU and uplink, a viewer who comes back to it a few seconds.
LINGER_S = 20.0


class Qualities:
    """One host's video, and its viewers.

    Args:
        best: The best quality; the one that the filter works on. It lives as long as the room.
        fanout: Sends to many viewers at once.

    Attributes:
        tracks: From the best one down.
        best_bps: What the best one took when something came of it last.
    """

    def __init__(self, best: TrackRelay, fanout: Fanout) -> None:
        self.tracks = [best]
        self.best_bps = 0.0
        self._fanout = fanout
        self._rates = LayerRates()
        self._flowing: set[int] = set()
        self._wished_at: dict[int, float] = {}
        self._best_first_s = BEST_FIRST_S
        self._best_first_until = 0.0

    def begin(self, count: int) -> None:
        """Take another publication, in ``count`` qualities; everybody begins at the best one."""
        self.gather()
        best, hz = self.tracks[0], self.tracks[0].clock_hz
        lower = (TrackRelay(hz, seekable=True, fanout=self._fanout) for _ in range(1, count))
        self.tracks = [best, *lower]
        self._rates = LayerRates()
        self._flowing = set()
        self._wished_at = {}
        self._best_first_s, self._best_first_until = BEST_FIRST_S, 0.0

    def gather(self) -> None:
        """Let everybody get the best quality, from its next keyframe on, and nothing else."""
        best = self.tracks[0]
        for track in self.tracks[1:]:
            track.drop_pending()
            for viewer in list(track.forwarders):
                best.take_over(viewer, track, track.forwarders[viewer].layer_wanted)
                best.keyframes.ask()
            for viewer in list(best.forwarders):
                track.forget(viewer)

    def track_of(self, viewer: str) -> TrackRelay:
        """Return the track that a viewer is sent at present."""
        return next((t for t in self.tracks if viewer in t.forwarders), self.tracks[0])

    def target_of(self, viewer: str) -> TrackRelay:
        """Return the track that a viewer is to be sent: where a keyframe helps it."""
        return next((t for t in self.tracks if t.is_expecting(viewer)), self.track_of(viewer))

    def remove(self, viewer: str) -> None:
        """Stop sending to a viewer; unknown ones are ignored."""
        for track in self.tracks:
            track.remove(viewer)

    def send(self, viewer: str, rung: Rung, stills_bps: float | None, now: float) -> None:
        """Let a viewer have the video like this from now on, or from the next keyframe of it.

        Args:
            viewer: Its id.
            rung: What it is to get.
            stills_bps: The pace of keyframes when it is to get nothing else, None for all frames.
            now: Seconds.
        """
        target, present = self.tracks[rung.quality], self.track_of(viewer)
        for track in self.tracks:
            if track is not target:
                track.forget(viewer)
        if target is present:
            target.forget(viewer)
            if stills_bps is not None:
                target.show_stills(viewer, stills_bps, now)
            else:
                target.show_moving(viewer)
                target.want_layer(viewer, rung.layer)
        elif viewer in present.forwarders:
            if not target.is_expecting(viewer):
                target.keyframes.ask()
            target.expect(viewer, present, rung.layer)
            if rung.quality > self.tracks.index(present):
                # It is too much already; the base layer is the least that can be sent meanwhile.
                present.want_layer(viewer, 0)

    def measure(self, now: float) -> list[Rung]:
        """Return what can be sent, the lowest rung first; empty until a second is over."""
        rates = self._rates.update([track.layer_bytes for track in self.tracks], now)
        if rates is None:
            return []
        self.best_bps = max(rates[0]) or self.best_bps
        begun = {quality for quality, layers in enumerate(rates) if any(layers)}
        for quality in begun - self._flowing:
            # It flowed for a part of the second only, and must not seem to take less than it will.
            least_bps = self.best_bps / QUALITY_STEP**quality
            factor = max(1.0, least_bps / max(rates[quality]))
            rates[quality] = [rate * factor for rate in rates[quality]]
        if 0 in self._flowing and 0 not in begun:
            self._best_first_until = now + self._best_first_s
            self._best_first_s = min(BEST_FIRST_MAX_S, 2 * self._best_first_s)
        self._flowing = begun
        return ladder_of(rates)

    def wish(self, qualities: Sequence[int], now: float) -> list[int]:
        """Note which qualities viewers would take; returns those that the host is to send."""
        if now < self._best_first_until:
            return [0]
        for quality in qualities:
            self._wished_at[quality] = now
        return [0, *(q for q, at in sorted(self._wished_at.items()) if q and now - at <= LINGER_S)]
