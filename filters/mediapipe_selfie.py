"""Tells people from their background with the selfie segmentation of the mediapipe wheel."""

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from filters.errors import FilterError, ModelMissing
from filters.image import YuvImage
from filters.mediapipe_graph import (
    MediaPipeGraph,
    graph_text,
    nodes_of,
    on_the_calling_thread,
    without_warping,
)
from filters.mediapipe_wheel import open_wheel
from filters.native_log import without_known_chatter
from filters.scaling import RgbShrinker

GRAPH = Path("modules/selfie_segmentation/selfie_segmentation_cpu.binarypb")
OUTPUT: Final = "segmentation_mask"
# What the net for wide pictures takes in.
WIDTH_PX, HEIGHT_PX = 256, 144
LANDSCAPE = 1


class MediaPipeSelfie:
    """Finds people in pictures, each by itself. Runs in the calling thread; not thread-safe."""

    def __init__(self) -> None:
        """Load the model and run it once.

        Raises:
            ModelMissing: The wheel is absent, another version, or its graph does not start.
        """
        wheel = open_wheel()
        self._shrinker = RgbShrinker(WIDTH_PX, HEIGHT_PX)
        config = without_warping("".join(nodes_of(graph_text(wheel, GRAPH))))
        config += 'input_stream: "IMAGE:image"\ninput_side_packet: "model_selection"\n'
        with without_known_chatter():
            self._graph = MediaPipeGraph(
                wheel,
                on_the_calling_thread(config, nets=1),
                [OUTPUT],
                {"model_selection": LANDSCAPE},
            )
            try:
                self.segment(YuvImage.blank(WIDTH_PX, HEIGHT_PX))
            except FilterError as exc:
                raise ModelMissing(f"the segmentation does not run: {exc}") from exc

    def segment(self, image: YuvImage) -> npt.NDArray[np.float32]:
        """How much of each part of the picture is a person, 0 to 1, shape (144, 256).

        Raises:
            FilterError: It is closed, or the graph failed.
        """
        self._graph.run(self._shrinker.shrink(image))
        mask = self._graph.image(OUTPUT)
        if mask is None:
            return np.zeros((HEIGHT_PX, WIDTH_PX), np.float32)
        return np.array(mask, np.float32).reshape(HEIGHT_PX, WIDTH_PX)

    def close(self) -> None:
        """Stop the graph; calling it again does nothing."""
        self._graph.close()
