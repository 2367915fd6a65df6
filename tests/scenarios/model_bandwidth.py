"""What a viewer's browser believes that its network carries."""

from dataclasses import dataclass, field


@dataclass
class BandwidthEstimate:
    """What a viewer's REMB says: less when packets queue up, slowly more when they do not."""

    bitrate_bps: float | None = None
    _least_s: float = 1e9
    _window: list[tuple[float, int]] = field(default_factory=list)

    def received(self, delay_s: float, size: int) -> None:
        self._window.append((delay_s, size))

    def update(self, interval_s: float) -> int | None:
        window, self._window = self._window, []
        if not window:
            return None
        received_bps = sum(size for _, size in window) * 8 / interval_s
        now_s = min(delay for delay, _ in window)
        self._least_s = min(self._least_s, now_s)
        before = self.bitrate_bps or received_bps * 1.5
        if now_s > self._least_s + 0.03:
            self.bitrate_bps = min(before, 0.85 * received_bps)
        else:
            # AimdRateControl of the WebRTC sources: little traffic stops growth and takes nothing.
            grown = min(before * 1.08**interval_s, 1.5 * received_bps + 10_000)
            self.bitrate_bps = max(before, grown)
        return int(self.bitrate_bps)
