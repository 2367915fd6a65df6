"""Face detection with the nets of MediaPipe's face mesh (478 points), scheduled by ourselves.

The wheel's own graph searches and follows in one go, on a small copy of the picture. Ours are its
halves: :class:`filters.face_search.FaceSearch`, and the landmark net on a crop that is cut out of
the picture as it came, so that small faces are seen as sharply as the camera did. Searching and
following then take turns instead of adding up.
"""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from filters.errors import FilterError, ModelMissing
from filters.face_search import FaceSearch
from filters.image import Plane, YuvImage, chroma_shape
from filters.landmarks import LANDMARK_COUNT, FaceLandmarks
from filters.mediapipe_graph import (
    MediaPipeGraph,
    graph_text,
    nodes_of,
    on_the_calling_thread,
    without_warping,
)
from filters.mediapipe_wheel import FACE_GRAPH, MediaPipeWheel, open_wheel
from filters.native_log import without_known_chatter
from filters.roi import FaceCropper, FaceRoi

LANDMARKS: Final = "facelandmarkcpu__landmarks"
PRESENCE: Final = "facelandmarkcpu__face_presence_score"
# Below this the net itself says that there is no face (its graph has the same threshold).
LEAST_PRESENCE = 0.5
# A search says roughly where a face is; the net's own answer says it well enough to look again.
FIRST_LOOKS = 3
# While fewer faces are followed than asked for, one search comes with so many looks.
SEARCH_EVERY = 3
WARM_UP_PX = (640, 360)

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
    """Finds and follows faces with the models of the mediapipe 0.10.21 wheel.

    Follows faces from picture to picture and searches anew when one is lost, so use one object
    per stream. Everything runs in the calling thread. All files are read by the constructor,
    which also runs the nets once: detection opens nothing and the first picture is not slow.
    Not thread-safe.
    """

    def __init__(self, max_faces: int = 1, *, thorough: bool = False, quiet: bool = True) -> None:
        """Load the models, about 0.2 s.

        Args:
            max_faces: Faces to follow. As long as there is none, every picture is searched, each
                in one place; while there are fewer, now and then.
            thorough: Search the whole picture and all squares of it at every look; for files.
            quiet: Hold back the libraries' start-up lines on standard error.

        Raises:
            ModelMissing: The wheel is absent, another version, or its graphs do not start.
            FilterError: ``max_faces`` is less than 1.
        """
        if max_faces < 1:
            raise FilterError(f"max_faces must be at least 1, not {max_faces}")
        self._max_faces = max_faces
        self._thorough = thorough
        self._cropper = FaceCropper()
        # Where to look at the next picture: followed faces, and what a search has found.
        self._followed: list[FaceRoi] = []
        self._candidates: list[FaceRoi] = []
        self._looks_since_search = 0
        self._is_closed = False
        wheel = open_wheel()
        if quiet:
            with without_known_chatter():
                self._start(wheel)
        else:
            self._start(wheel)

    def detect(self, image: YuvImage) -> Sequence[FaceLandmarks]:
        """Find the faces in the next picture of the stream; reads the planes only.

        Raises:
            FilterError: The detector is closed, or a graph failed.
        """
        if self._is_closed:
            raise FilterError("the face detector is closed")
        found = [face for roi in self._followed if (face := self._look(image, roi)) is not None]
        self._looks_since_search += 1
        if self._followed and not found:
            self._searcher.restart()  # with the whole picture, where it cannot be far
        if self._thorough or not found or self._looks_since_search > SEARCH_EVERY:
            self._search(image, len(found))
        found += [face for roi in self._candidates if (face := self._meet(image, roi)) is not None]
        self._candidates = []
        faces = self._take(found)
        self._followed = [FaceRoi.around(np.asarray(face.points())) for face in faces]
        return faces

    def scout(self, image: YuvImage) -> None:
        """Use a picture at which nobody looks to search for faces that are not yet followed.

        Does nothing when it is not yet time. What is found is looked at by the next
        :meth:`detect`.

        Raises:
            FilterError: The detector is closed, or a graph failed.
        """
        if self._is_closed:
            raise FilterError("the face detector is closed")
        is_due = self._searcher.is_new_here or self._looks_since_search >= SEARCH_EVERY
        if is_due and not self._candidates:
            self._search(image, len(self._followed))

    def close(self) -> None:
        """Stop the graphs; calling it again does nothing."""
        if not self._is_closed:
            self._is_closed = True
            self._searcher.close()
            self._graph.close()

    def _start(self, wheel: MediaPipeWheel) -> None:
        text = without_warping(_landmark_graph(graph_text(wheel, FACE_GRAPH)))
        config = on_the_calling_thread(text, nets=1)
        self._graph = MediaPipeGraph(wheel, config, [LANDMARKS, PRESENCE], {"with_attention": True})
        self._searcher = FaceSearch(wheel)
        drawn = _yuv(draw_face(*WARM_UP_PX))
        try:
            self.detect(drawn)
        except FilterError as exc:
            raise ModelMissing(f"the face nets do not run: {exc}") from exc
        self._followed, self._looks_since_search = [], 0
        self._searcher.restart()

    def _search(self, image: YuvImage, following: int) -> None:
        """Search for faces beyond those followed, if there may be any."""
        self._looks_since_search = 0
        if following >= self._max_faces:
            return
        searcher = self._searcher
        self._candidates = [
            roi
            for roi in (searcher.search_all if self._thorough else searcher.search_next)(image)
            if not any(roi.is_on(other) for other in self._followed)
        ]

    def _meet(self, image: YuvImage, roi: FaceRoi) -> FaceLandmarks | None:
        """Look at a place that a search has found, nearer each time."""
        face = None
        for _ in range(FIRST_LOOKS):
            face = self._look(image, roi)
            if face is None:
                return None
            roi = FaceRoi.around(np.asarray(face.points()))
        return face

    def _look(self, image: YuvImage, roi: FaceRoi) -> FaceLandmarks | None:
        """Run the landmark net on one square; None when there is no face in it."""
        rgb = self._cropper.crop(image, roi)
        if rgb is None:
            return None
        self._graph.run(rgb)
        presence = self._graph.number(PRESENCE) or 0.0
        message = self._graph.proto(LANDMARKS)
        if message is None or presence < LEAST_PRESENCE:
            return None
        return FaceLandmarks(roi.to_picture(read_landmarks(message)), presence)

    def _take(self, found: Sequence[FaceLandmarks]) -> list[FaceLandmarks]:
        """As many as were asked for, each once; those that were followed come first."""
        faces: list[FaceLandmarks] = []
        places: list[FaceRoi] = []
        for face in found:
            place = FaceRoi.around(np.asarray(face.points()))
            if len(faces) < self._max_faces and not any(place.is_on(other) for other in places):
                faces.append(face)
                places.append(place)
        return faces


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


def read_landmarks(message: bytes) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Decode one landmark list, shape (478, 3), in parts of the crop's sides.

    Raises:
        FilterError: The message has another format.
    """
    if len(message) != LANDMARK_COUNT * _ENTRY.itemsize:
        raise FilterError("the landmark net answered in an unknown format")
    fields = np.frombuffer(message, _ENTRY)
    if any((fields[name] != value).any() for name, value in _TAGS):
        raise FilterError("the landmark net answered in an unknown format")
    points = np.empty((LANDMARK_COUNT, 3), np.float32)
    for axis, name in enumerate("xyz"):
        points[:, axis] = fields[name]
    return points


def _landmark_graph(text: str) -> str:
    """Of the wheel's face graph only the landmark net, on a picture that is the crop already.

    Raises:
        ModelMissing: The graph is not the one we know.
    """
    kept = [
        node
        for node in nodes_of(text)
        if 'name: "facelandmarkcpu__' in node and "LandmarkProjectionCalculator" not in node
    ]
    graph = "".join(kept)
    whole = graph.replace("IMAGE:landmarks_loop_image", "IMAGE:image").replace(
        '  input_stream: "NORM_RECT:face_rect"\n', ""
    )
    if len(graph) == len(whole) or LANDMARKS not in whole or PRESENCE not in whole:
        raise ModelMissing("the face graph of this mediapipe wheel is not the one we know")
    return whole + 'input_stream: "IMAGE:image"\ninput_side_packet: "with_attention"\n'


def _yuv(rgb: Plane) -> YuvImage:
    height_px, width_px = rgb.shape[:2]
    i420 = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), np.uint8)
    u, v = i420[height_px:].reshape(2, *chroma_shape(height_px, width_px))
    return YuvImage(i420[:height_px], u, v)
