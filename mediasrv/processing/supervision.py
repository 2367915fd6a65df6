"""When a worker counts as lost and when to try again; pure, time is an argument."""

from collections import deque
from enum import StrEnum


class FilterState(StrEnum):
    """What a host and the viewers are told about the filter."""

    OFF = "off"
    STARTING = "starting"
    ON = "on"
    RECOVERING = "recovering"
    UNAVAILABLE = "unavailable"


class WorkerLoss(StrEnum):
    """Why a stream lost its worker; goes to the host as the reason of a state."""

    CRASHED = "worker_crashed"
    HUNG = "worker_hung"
    GREW = "worker_grew"
    BROKE_PROTOCOL = "worker_broke_protocol"
    START_FAILED = "worker_start_failed"


class ProgressWatchdog:
    """Barks when a worker was fed and nothing came back for too long.

    Time that is not the worker's fault does not count, when it was ready to run but got no
    processor, or the server stood still itself: on an overloaded machine a slow worker is not a
    hung one, and replacing it would only add load.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._fed: tuple[float, float] | None = None

    def note_fed(self, now_s: float, starved_s: float = 0.0) -> None:
        """A frame went to the worker.

        Args:
            now_s: When.
            starved_s: For how long so far it was not the worker's fault that it said nothing.
        """
        if self._fed is None:
            self._fed = now_s, starved_s

    @property
    def is_waiting(self) -> bool:
        """Whether the worker owes a sign of life."""
        return self._fed is not None

    def note_progress(self) -> None:
        """A message came from the worker."""
        self._fed = None

    def is_hung(self, now_s: float, starved_s: float = 0.0) -> bool:
        """Whether the worker has been silent for too long; arguments as for ``note_fed``."""
        if self._fed is None:
            return False
        fed_s, starved_before_s = self._fed
        return now_s - fed_s - (starved_s - starved_before_s) >= self._timeout_s


class RestartPolicy:
    """Replaces a lost worker at once; after too many losses in a short time, now and then.

    Once in the slow mode, it stays there until a worker has given pictures for a whole window.
    """

    def __init__(self, limit: int, window_s: float, retry_interval_s: float) -> None:
        self._limit = limit
        self._window_s = window_s
        self._retry_interval_s = retry_interval_s
        self._losses_s: deque[float] = deque(maxlen=limit)
        self._is_slow = False

    @property
    def is_slow(self) -> bool:
        """Whether the filter counts as unavailable."""
        return self._is_slow

    def note_loss(self, now_s: float, *, first_frame_s: float | None) -> float:
        """Count a lost worker.

        Args:
            now_s: When it was lost.
            first_frame_s: When it gave its first frame; None if it never did.

        Returns:
            How long to wait before the next one, in seconds.
        """
        if first_frame_s is not None and now_s - first_frame_s >= self._window_s:
            self._is_slow = False
            self._losses_s.clear()
        self._losses_s.append(now_s)
        is_full = len(self._losses_s) == self._limit
        if is_full and now_s - self._losses_s[0] <= self._window_s:
            self._is_slow = True
        return self._retry_interval_s if self._is_slow else 0.0


class RequestPacer:
    """Lets a repeated request through at most once per interval."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._last_s: float | None = None

    def allows(self, now_s: float) -> bool:
        """Whether to ask now; if so, counts as asked."""
        if self._last_s is not None and now_s - self._last_s < self._interval_s:
            return False
        self._last_s = now_s
        return True
