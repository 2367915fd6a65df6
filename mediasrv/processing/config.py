"""Settings of the beauty path; every figure says where it comes from."""

import os
from dataclasses import dataclass, field

from mediasrv.processing.confinement import SandboxLevel, usual_level

FACE_PIPELINE = "mediasrv.processing.face_pipeline:open_face_pipeline"


def _default_max_workers() -> int:
    # A 720p30 stream keeps a core busy for about two fifths (see the figures in transcoder.py), so
    # two per core leave room for the relay.
    return 2 * (os.cpu_count() or 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessingConfig:
    """How many workers there are, what they run, and when one counts as lost.

    Attributes:
        max_workers: Streams that may be filtered at the same time; the next one is refused.
        spares: Warm worker processes that wait for the next stream or for a crash, on top of
            ``max_workers``.
        spare_delay_s: Pause before a taken spare is replaced, so that its start-up does not
            compete with the start of the stream that took it.
        pipeline: ``module:factory`` of what the worker runs on every image.
        extra_stages: ``module:factory`` names of callables that get every image before the
            pipeline does, whatever the filters are set to (see
            :class:`mediasrv.processing.pipeline.FrontStage`). For watermarks, and for tests.
        python_path: Directories that the worker may import those names from.
        sandbox: What a worker must have given up before it may filter. ``strict`` refuses a worker
            in which any guard is missing, ``best-effort`` takes what the system can do, ``off``
            does nothing.
        start_timeout_s: A worker that is not ready after this is killed. Getting ready takes 0.7 s
            of CPU (measured), nearly all of it imports.
        hang_timeout_s: A worker that was fed and gave no sign of life for this long is killed;
            time that it waited for a processor does not count.
        growth_limit_bytes: A worker that has grown by this much since it took its stream is
            replaced. Sizes that come and go stay below 200 MB (measured, 180p to 1440p).
        close_timeout_s: How long a worker may take to exit when told to, before it is killed.
        crash_limit: This many lost workers within ``crash_window_s`` make the filter unavailable.
        crash_window_s: See ``crash_limit``; also how long a worker must run to be trusted again.
        retry_interval_s: While unavailable, a new worker is tried this often.
        outbox_bytes: Encoded input that may wait for one worker: 8 s at 2 Mb/s.
        outbox_frames: The same in frames: 2 s at 30 per second.
        keyframe_interval_s: Shortest time between two keyframe requests to the host.
        target_bitrate_bps: For all streams; 0 means by picture size.
    """

    max_workers: int = field(default_factory=_default_max_workers)
    spares: int = 1
    spare_delay_s: float = 3.0
    pipeline: str = FACE_PIPELINE
    extra_stages: tuple[str, ...] = ()
    python_path: tuple[str, ...] = ()
    sandbox: SandboxLevel = field(default_factory=usual_level)
    start_timeout_s: float = 20.0
    hang_timeout_s: float = 1.0
    growth_limit_bytes: int = 512 * 1024 * 1024
    close_timeout_s: float = 0.5
    crash_limit: int = 3
    crash_window_s: float = 10.0
    retry_interval_s: float = 5.0
    outbox_bytes: int = 2 * 1024 * 1024
    outbox_frames: int = 60
    keyframe_interval_s: float = 0.5
    target_bitrate_bps: int = 0
