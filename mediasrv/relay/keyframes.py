"""When to ask a host for a keyframe: merged, and again until one comes."""

# The shortest time between two requests to one host. Each keyframe costs several times the
# bytes of a delta frame; LiveKit and Galene use the same half second.
MERGE_S = 0.5


class KeyframeRequests:
    """Merge everybody's wishes for a keyframe of one track.

    Attributes:
        sent: Requests that went out.
        asked: Wishes that came in.
        wanted: True until a keyframe arrives.
    """

    def __init__(self) -> None:
        self.sent = 0
        self.asked = 0
        self.wanted = False
        self._last_sent: float | None = None

    def ask(self) -> None:
        """Wish for a keyframe; :meth:`due` says when to send the request."""
        self.asked += 1
        self.wanted = True

    def due(self, now: float) -> bool:
        """Tell whether a request must go out now, and take it as sent."""
        if not self.wanted:
            return False
        if self._last_sent is not None and now - self._last_sent < MERGE_S:
            return False
        self._last_sent = now
        self.sent += 1
        return True

    def arrived(self) -> None:
        """Note a keyframe: every wish is fulfilled."""
        self.wanted = False
