"""Face detection with MediaPipe's face mesh (478 points), run as a bare calculator graph."""

import re
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from filters.errors import FilterError, ModelMissing
from filters.image import Plane, YuvImage, chroma_shape
from filters.landmarks import LANDMARK_COUNT, FaceLandmarks
from filters.mediapipe_wheel import FACE_GRAPH, MediaPipeWheel, open_wheel
from filters.native_log import without_known_chatter

OUTPUT = "multi_face_landmarks"
SEARCH = "search"
# The nets look at crops of 128 and 192 px, so more pixels than this only cost time.
LONG_SIDE_PX = 640
SHORT_SIDE_PX = 360
SMALLEST_SIDE_PX = 8  # a face in less has no eyes
# While fewer faces are followed than asked for, one look of so many also searches for new ones:
# searching costs half as much again as following a face. The first look's boxes are rough, so the
# looks after it search too.
SEARCH_EVERY, FIRST_SEARCHES = 5, 3
# The graph schedules in microseconds; only the order counts.
TICK_US = 1

# One entry of mediapipe.NormalizedLandmarkList in protobuf's wire format: field 1 (tag 0x0a) of
# 15 bytes: x, y, z as 32-bit floats with the tags 0x0d, 0x15, 0x1d.
_ENTRY = np.dtype(
    [
        ("list", "u1"),
        ("length", "u1"),
        ("x_tag", "u1"),
        ("x", "<f4"),
        ("y_tag", "u1"),
        ("y", "<f4"),
        ("z_tag", "u1"),
        ("z", "<f4"),
    ]
)
_TAGS = (("list", 0x0A), ("length", 15), ("x_tag", 0x0D), ("y_tag", 0x15), ("z_tag", 0x1D))


class MediaPipeFaceMesh:
    """Finds faces with the graph and models of the mediapipe 0.10.21 wheel.

    Follows faces from picture to picture and searches anew when one is lost, so use one object
    per stream. Everything runs in the calling thread. All files are read by the constructor,
    which also runs the nets once: detection opens nothing and the first picture is not slow.
    Not thread-safe.
    """

    def __init__(
        self,
        max_faces: int = 1,
        *,
        long_side_px: int = LONG_SIDE_PX,
        short_side_px: int = SHORT_SIDE_PX,
        quiet: bool = True,
    ) -> None:
        """Load the model, about 0.2 s.

        Args:
            max_faces: Faces to look for. As long as there is none, every picture is searched;
                while there are fewer, every fifth.
            long_side_px: Pictures are scaled down to fit this times ``short_side_px``.
            short_side_px: See ``long_side_px``.
            quiet: Hold back the libraries' start-up lines on standard error.

        Raises:
            ModelMissing: The wheel is absent, another version, or its graph does not start.
        """
        if max_faces < 1:
            raise FilterError(f"max_faces must be at least 1, not {max_faces}")
        self._limit_px = (long_side_px, short_side_px)
        self._max_faces = max_faces
        self._now_us = 0
        self._following = 0
        self._looks = 0
        self._latest: Any = None
        self._buffers: dict[tuple[int, int], tuple[Plane, Plane]] = {}
        wheel = open_wheel()
        self._native: Any = wheel.bindings
        if quiet:
            with without_known_chatter():
                self._graph: Any = self._start(wheel)
        else:
            self._graph = self._start(wheel)

    def detect(self, image: YuvImage) -> Sequence[FaceLandmarks]:
        """Find the faces in the next picture of the stream; reads the planes only.

        Raises:
            FilterError: The detector is closed, or the graph failed.
        """
        if self._graph is None:
            raise FilterError("the face detector is closed")
        if min(image.width_px, image.height_px) < SMALLEST_SIDE_PX:
            return []
        found = self._run(self._shrink(image), search=self._is_search_due())
        self._following = len(found)
        return [
            _read_landmarks(entry, image.width_px, image.height_px)
            for entry in found[: self._max_faces]
        ]

    def close(self) -> None:
        """Stop the graph; calling it again does nothing."""
        graph, self._graph = self._graph, None
        self._latest = None
        self._buffers.clear()
        if graph is not None:
            graph.close()

    def _start(self, wheel: MediaPipeWheel) -> Any:
        native = self._native
        try:
            native.resource_util.set_resource_dir(str(wheel.directory.parent))
            described = native.validated_graph_config.ValidatedGraphConfig()
            described.initialize(binary_graph_path=str(wheel.directory / FACE_GRAPH))
            graph = native.calculator_graph.CalculatorGraph(
                graph_config=_adapted(described.text_config)
            )
            graph.observe_output_stream(OUTPUT, self._keep, True)
            create = native._packet_creator
            graph.start_run(
                {
                    "num_faces": create.create_int(self._max_faces),
                    "with_attention": create.create_bool(True),
                    "use_prev_landmarks": create.create_bool(True),
                }
            )
            self._graph = graph
            self._warm_up()
        except (RuntimeError, ValueError, OSError) as exc:
            first_line = str(exc).partition("\n")[0]
            raise ModelMissing(f"the face graph does not start: {first_line}") from exc
        return graph

    def _warm_up(self) -> None:
        """Run all nets once on a drawn face, then let the graph forget it."""
        width_px, height_px = LONG_SIDE_PX, SHORT_SIDE_PX
        self._run(draw_face(width_px, height_px))
        self._run(np.zeros((height_px, width_px, 3), np.uint8))

    def _is_search_due(self) -> bool:
        if self._following == 0:
            self._looks = 0
        self._looks += 1
        is_first = self._looks <= FIRST_SEARCHES
        return self._following < self._max_faces and (is_first or self._looks % SEARCH_EVERY == 0)

    def _keep(self, _stream: str, packet: Any) -> None:
        self._latest = packet

    def _run(self, rgb: Plane, *, search: bool = True) -> list[bytes]:
        """Send one picture through the graph; one serialised landmark list per face.

        Args:
            rgb: The picture.
            search: Whether to look for faces that are not yet followed.
        """
        native = self._native
        self._now_us += TICK_US
        self._latest = None
        try:
            packet = native._packet_creator._create_image_frame_from_pixel_data(
                native.image_frame.ImageFormat.SRGB, rgb, True
            )
            wanted = native._packet_creator.create_bool(search)
            self._graph.add_packet_to_input_stream("image", packet.at(self._now_us))
            self._graph.add_packet_to_input_stream(SEARCH, wanted.at(self._now_us))
            self._graph.wait_until_idle()
        except (RuntimeError, ValueError) as exc:
            raise FilterError("the face graph failed") from exc
        latest, self._latest = self._latest, None
        if latest is None or latest.is_empty():
            return []
        found: list[bytes] = native._packet_getter._get_serialized_proto_list(latest)
        return found

    def _shrink(self, image: YuvImage) -> Plane:
        """Scale the planes down and convert the small picture to RGB, in reused buffers."""
        width_px, height_px = self._input_size(image)
        if (width_px, height_px) not in self._buffers:
            self._buffers.clear()
            self._buffers[width_px, height_px] = (
                np.empty((height_px * 3 // 2, width_px), np.uint8),
                np.empty((height_px, width_px, 3), np.uint8),
            )
        i420, rgb = self._buffers[width_px, height_px]
        half = chroma_shape(height_px, width_px)
        chroma = i420[height_px:].reshape(2, *half)
        _scale_into(i420[:height_px], image.y)
        _scale_into(chroma[0], image.u)
        _scale_into(chroma[1], image.v)
        cv2.cvtColor(i420, cv2.COLOR_YUV2RGB_I420, dst=rgb)
        return rgb

    def _input_size(self, image: YuvImage) -> tuple[int, int]:
        """Width and height for the graph: within the limits, even, never scaled up."""
        long_px, short_px = self._limit_px
        width_px, height_px = image.width_px, image.height_px
        if width_px < height_px:
            long_px, short_px = short_px, long_px
        scale = min(1.0, long_px / width_px, short_px / height_px)
        even_width_px = max(2, round(width_px * scale / 2) * 2)
        return even_width_px, max(2, round(height_px * scale / 2) * 2)


def draw_face(width_px: int, height_px: int) -> Plane:
    """Draw a plain face that the detector recognises, RGB, shape (height_px, width_px, 3)."""
    unit = min(width_px, height_px) * 0.3
    centre = np.array([width_px / 2, height_px / 2])
    picture: Plane = np.full((height_px, width_px, 3), (90, 100, 110), np.uint8)

    def ellipse(x: float, y: float, w: float, h: float, colour: tuple[int, int, int]) -> None:
        middle = centre + np.array([x, y]) * unit
        at, axes = (int(middle[0]), int(middle[1])), (int(w * unit), int(h * unit))
        cv2.ellipse(picture, at, axes, 0, 0, 360, colour, -1, cv2.LINE_AA)

    ellipse(0, -0.25, 0.85, 1.1, (50, 35, 25))
    ellipse(0, 0, 0.72, 1.0, (205, 160, 135))
    for side in (-1, 1):
        ellipse(side * 0.3, -0.15, 0.17, 0.09, (240, 235, 230))
        ellipse(side * 0.3, -0.15, 0.08, 0.08, (40, 30, 25))
        ellipse(side * 0.3, -0.36, 0.2, 0.045, (60, 40, 30))
        ellipse(side * 0.09, 0.24, 0.05, 0.03, (120, 80, 65))
    ellipse(0, 0.1, 0.09, 0.17, (215, 172, 148))
    ellipse(0, 0.52, 0.28, 0.09, (165, 80, 80))
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), unit * 0.02), np.uint8)


def _adapted(graph_text: str) -> str:
    """Change the wheel's graph in two ways.

    It and its nets work in the thread that waits for them: no pools, no hand-over. And we say
    when it searches for faces, where it would search whenever it follows fewer than it may.
    """
    text, executors = re.subn(
        r"^executor \{\s*\}",
        'executor { type: "ApplicationThreadExecutor" }',
        graph_text,
        flags=re.M,
    )
    text, nets = re.subn(r"\bxnnpack \{", "xnnpack { num_threads: 1", text)
    text, gates = re.subn(r'"DISALLOW:prev_has_enough_faces"', f'"ALLOW:{SEARCH}"', text)
    text += f'input_stream: "SEARCH:{SEARCH}"\n'
    if executors != 1 or nets != 2 or gates != 1:
        raise ModelMissing("the face graph of this mediapipe wheel is not the one we know")
    return text


def _scale_into(target: Plane, plane: Plane) -> None:
    height_px, width_px = target.shape
    if plane.shape == target.shape:
        np.copyto(target, plane)
    else:
        cv2.resize(plane, (width_px, height_px), dst=target, interpolation=cv2.INTER_AREA)


def _read_landmarks(entry: bytes, width_px: int, height_px: int) -> FaceLandmarks:
    """Decode one landmark list and scale it to pixels; z has the scale of x."""
    if len(entry) != LANDMARK_COUNT * _ENTRY.itemsize:
        raise FilterError("the face graph answered in an unknown format")
    fields = np.frombuffer(entry, _ENTRY)
    if any((fields[name] != value).any() for name, value in _TAGS):
        raise FilterError("the face graph answered in an unknown format")
    points = np.empty((LANDMARK_COUNT, 3), np.float32)
    np.multiply(fields["x"], width_px, out=points[:, 0])
    np.multiply(fields["y"], height_px, out=points[:, 1])
    np.multiply(fields["z"], width_px, out=points[:, 2])
    return FaceLandmarks(points)
