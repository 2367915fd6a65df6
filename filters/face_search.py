"""Searches pictures for faces nobody follows yet: in the whole, then nearer in squares of it.

The net looks at 128 x 128 pixels and needs a face to be about a tenth of them. In the whole of a
wide picture small faces are missed, in a square of its shorter side they are not. One place is
searched at a time, so each search costs the same.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from filters.errors import FilterError
from filters.facial_data import FacialData
from filters.image import YuvImage
from filters.mediapipe_graph import MediaPipeGraph, graph_text, nodes_of, on_the_calling_thread
from filters.mediapipe_wheel import SEARCH_GRAPH, MediaPipeWheel
from filters.roi import FaceRoi
from filters.scaling import RgbShrinker

NET_PX = 128
# Neighbouring squares share this part of their side at least: a face on the border of one is
# whole in another.
OVERLAP = 0.35
# In pictures that are mere strips faces may slip through, but each search has its turn.
MOST_SQUARES = 6
SMALLEST_SIDE_PX = 8  # a face in less has no eyes

RECTS: Final = "rects"
# From detections to turned squares, as the wheel's own face graph makes them; from the wheel's
# graph we take the net and what it needs. Numbers 0 and 1 are the eyes.
_TO_RECTS = """
node {
  calculator: "ImagePropertiesCalculator"
  input_stream: "IMAGE:image"
  output_stream: "SIZE:size"
}
node {
  calculator: "BeginLoopDetectionCalculator"
  input_stream: "ITERABLE:detections"
  input_stream: "CLONE:size"
  output_stream: "ITEM:detection"
  output_stream: "CLONE:loop_size"
  output_stream: "BATCH_END:loop_end"
}
node {
  calculator: "DetectionsToRectsCalculator"
  input_stream: "DETECTION:detection"
  input_stream: "IMAGE_SIZE:loop_size"
  output_stream: "NORM_RECT:box"
  options {
    [mediapipe.DetectionsToRectsCalculatorOptions.ext] {
      rotation_vector_start_keypoint_index: 0
      rotation_vector_end_keypoint_index: 1
      rotation_vector_target_angle_degrees: 0
    }
  }
}
node {
  calculator: "RectTransformationCalculator"
  input_stream: "NORM_RECT:box"
  input_stream: "IMAGE_SIZE:loop_size"
  output_stream: "rect"
  options {
    [mediapipe.RectTransformationCalculatorOptions.ext] {
      scale_x: 1.5
      scale_y: 1.5
      square_long: true
    }
  }
}
node {
  calculator: "EndLoopNormalizedRectCalculator"
  input_stream: "ITEM:rect"
  input_stream: "BATCH_END:loop_end"
  output_stream: "ITERABLE:rects"
}
input_stream: "IMAGE:image"
"""
# mediapipe.NormalizedRect in protobuf's wire format: fields 1 to 5 as 32-bit floats.
_FIELD = np.dtype([("tag", "u1"), ("value", "<f4")])
_TAGS = np.array([0x0D, 0x15, 0x1D, 0x25, 0x2D], np.uint8)

# Left, top, right, bottom.
Place = tuple[int, int, int, int]


class FaceSearch(FacialData):
    """Finds faces anew, without memory of those found before. Not thread-safe."""

    __slots__ = ("_graph", "_shrinkers", "_turn", "_turns")

    def __init__(self, wheel: MediaPipeWheel) -> None:
        """Load the net.

        Raises:
            ModelMissing: The wheel's graph is another or does not start.
        """
        nodes = nodes_of(graph_text(wheel, SEARCH_GRAPH))
        config = on_the_calling_thread("".join(nodes) + _TO_RECTS, nets=1)
        self._graph = MediaPipeGraph(wheel, config, [RECTS])
        self._shrinkers: dict[tuple[int, int], RgbShrinker] = {}
        # The next place's number, and how many turns it takes to search all places once.
        self._turn, self._turns = 0, 0

    @property
    def is_new_here(self) -> bool:
        """Whether there are places that were not searched since the start or :meth:`restart`."""
        return self._turn < self._turns

    def search_next(self, image: YuvImage) -> list[FaceRoi]:
        """Search one place: every second time the whole picture, between them a square of it."""
        places = places_of(image.width_px, image.height_px)
        squares = places[1:]
        turn, self._turn = self._turn, self._turn + 1
        self._turns = 2 * len(squares)
        is_square = turn % 2 == 1 and squares
        place = squares[turn // 2 % len(squares)] if is_square else places[0]
        return self._search(image, place)

    def search_all(self, image: YuvImage) -> list[FaceRoi]:
        """Search all places, one after the other; a face may be found several times."""
        places = places_of(image.width_px, image.height_px)
        return [roi for place in places for roi in self._search(image, place)]

    def restart(self) -> None:
        """Begin with the whole picture next time."""
        self._turn = 0

    def close(self) -> None:
        """Release the net; calling it again does nothing."""
        self._graph.close()

    def _search(self, image: YuvImage, place: Place) -> list[FaceRoi]:
        left, top, right, bottom = place
        width_px, height_px = right - left, bottom - top
        if min(width_px, height_px) < SMALLEST_SIDE_PX:
            return []
        half = slice(top // 2, (bottom + 1) // 2), slice(left // 2, (right + 1) // 2)
        part = YuvImage(image.y[top:bottom, left:right], image.u[half], image.v[half])
        self._graph.run(self._shrinker(width_px, height_px).shrink(part))
        return [
            read_rect(message, left, top, width_px, height_px)
            for message in self._graph.protos(RECTS)
        ]

    def _shrinker(self, width_px: int, height_px: int) -> RgbShrinker:
        scale = min(1.0, NET_PX / max(width_px, height_px))
        size = (max(2, round(width_px * scale / 2) * 2), max(2, round(height_px * scale / 2) * 2))
        if size not in self._shrinkers:
            if len(self._shrinkers) > 1:  # of another picture size
                self._shrinkers.clear()
            self._shrinkers[size] = RgbShrinker(*size)
        return self._shrinkers[size]


def places_of(width_px: int, height_px: int) -> Sequence[Place]:
    """The whole picture, then squares of its shorter side that cover it; on even pixels."""
    side_px = min(width_px, height_px)
    spare_px = max(width_px, height_px) - side_px
    places = [(0, 0, width_px, height_px)]
    # Where pictures are nearly square, nothing would come nearer.
    if side_px < SMALLEST_SIDE_PX or spare_px < side_px // 8:
        return places
    count = min(1 + -(-spare_px // round(side_px * (1 - OVERLAP))), MOST_SQUARES)
    for number in range(count):
        first = round(spare_px * number / (count - 1) / 2) * 2
        last = min(first + side_px, side_px + spare_px)
        wide = width_px > height_px
        places.append((first, 0, last, side_px) if wide else (0, first, side_px, last))
    return places


def read_rect(message: bytes, left: int, top: int, width_px: int, height_px: int) -> FaceRoi:
    """Decode a square on a part of a picture that starts at ``left`` and ``top``.

    Raises:
        FilterError: The message has another format.
    """
    length = len(_TAGS) * _FIELD.itemsize
    fields = np.frombuffer(message[:length], _FIELD) if len(message) >= length else None
    if fields is None or (fields["tag"] != _TAGS).any() or not np.isfinite(fields["value"]).all():
        raise FilterError("the face search answered in an unknown format")
    x, y, height, width, angle = (float(value) for value in fields["value"])
    side_px = max(width * width_px, height * height_px)
    return FaceRoi(left + x * width_px, top + y * height_px, side_px, angle)
