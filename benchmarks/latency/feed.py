"""The clip that cameras show, at the size wanted, for browsers over HTTP and for Python at hand."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from benchmarks.beauty.scenes import scene
from filters.image import YuvImage

SIZES = {"360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080)}
# One second; played there and back. 93 MB at 1080p.
PICTURES = 30
# A little beside 30 so that it drifts through the refresh of a screen within two seconds, see
# scripts/camera.js.
FPS = 29.7

Planes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Clip:
    """Some pictures.

    Attributes:
        size: Width and height, px; even.
        pictures: I420, each of shape (H * 3 // 2, W).
    """

    size: tuple[int, int]
    pictures: tuple[Planes, ...]

    def at(self, turn: int) -> Planes:
        """The picture of a turn; there and back again, so that there is no cut."""
        count = len(self.pictures)
        position = turn % (2 * count - 2)
        return self.pictures[position if position < count else 2 * count - 2 - position]


def open_clip(size: tuple[int, int], clip: Path | None = None) -> Clip:
    """Read a clip, or make a scene with one face, at ``size`` (width, height)."""
    if clip is None:
        images = scene(*size, faces=1, count=PICTURES)
        return Clip(size, tuple(_planes(image) for image in images))
    with av.open(str(clip)) as container:
        pairs = zip(container.decode(video=0), range(PICTURES), strict=False)
        pictures = tuple(
            np.asarray(
                frame.reformat(width=size[0], height=size[1], format="yuv420p").to_ndarray(),
                np.uint8,
            )
            for frame, _ in pairs
        )
    return Clip(size, pictures)


def _planes(image: YuvImage) -> Planes:
    flat = np.concatenate([plane.ravel() for plane in (image.y, image.u, image.v)])
    return np.asarray(flat.reshape(-1, image.y.shape[1]), np.uint8)


@contextmanager
def serving(clips: dict[str, Clip]) -> Iterator[str]:
    """Serve the pictures of each clip under its name, and an empty page; yields the address."""
    bodies = {
        f"/{name}": b"".join(p.tobytes() for p in clip.pictures) for name, clip in clips.items()
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = bodies.get(self.path, b"<!doctype html><title>glass</title><video muted>")
            self.send_response(200)
            kind = "application/octet-stream" if self.path in bodies else "text/html"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Cross-Origin-Resource-Policy", "cross-origin")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
