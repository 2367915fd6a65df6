"""A local camera (Video4Linux) as a source."""

import time
from pathlib import Path

import av

from mediasrv.client.errors import SourceUnavailable
from mediasrv.client.sources.base import TimedImage

DEFAULT_DEVICE = Path("/dev/video0")
ASKED_SIZE = "1280x720"
ASKED_FPS = 30


class CameraImages:
    """What the camera shows now; images that nobody takes in time are the driver's to drop."""

    paced = False
    fps = float(ASKED_FPS)

    def __init__(self, device: Path = DEFAULT_DEVICE) -> None:
        if not device.exists():
            found = sorted(str(path) for path in Path("/dev").glob("video*"))
            others = f"; there is {', '.join(found)}" if found else " and no other camera"
            raise SourceUnavailable(f"there is no camera at {device}{others}")
        try:
            self._container = av.open(
                str(device),
                format="v4l2",
                options={"video_size": ASKED_SIZE, "framerate": str(ASKED_FPS)},
            )
        except (av.FFmpegError, OSError) as exc:
            raise SourceUnavailable(f"cannot open the camera {device}: {exc.strerror}") from exc
        self._device = device
        self._images = self._container.decode(video=0)
        self._began_s = time.monotonic()

    def next_image(self) -> TimedImage:
        """Wait for the camera's next image."""
        try:
            image = next(self._images)
        except (av.FFmpegError, OSError, StopIteration) as exc:
            raise SourceUnavailable(f"the camera {self._device} stopped") from exc
        return TimedImage(time.monotonic() - self._began_s, image)

    def close(self) -> None:
        """Give the camera back."""
        self._container.close()
