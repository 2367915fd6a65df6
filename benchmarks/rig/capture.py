"""Raw video files that stand in for a camera in Chromium."""

from pathlib import Path

import av


def write_capture(clip: Path, target: Path, *, frames: int) -> Path:
    """Write the first ``frames`` pictures of a clip as y4m, which Chromium plays in a loop.

    Args:
        clip: Any video that PyAV reads.
        target: Where to write; about 1.4 MB a picture at 1280x720.
        frames: How many pictures at most.

    Returns:
        ``target``.
    """
    with av.open(str(clip)) as container, target.open("wb") as raw:
        for i, frame in enumerate(container.decode(video=0)):
            if i == frames:
                break
            if i == 0:
                head = f"YUV4MPEG2 W{frame.width} H{frame.height} F30:1 Ip A1:1 C420jpeg\n"
                raw.write(head.encode())
            raw.write(b"FRAME\n" + frame.reformat(format="yuv420p").to_ndarray().tobytes())
    return target
