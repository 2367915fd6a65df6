"""Tells people from their background with the selfie segmentation of the mediapipe wheel."""

import re
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from filters.errors import FilterError, ModelMissing
from filters.image import Plane, YuvImage
from filters.mediapipe_wheel import open_wheel
from filters.native_log import without_known_chatter

GRAPH = "modules/selfie_segmentation/selfie_segmentation_cpu.binarypb"
OUTPUT = "segmentation_mask"
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
        self._native: Any = wheel.bindings
        self._latest: Any = None
        self._now_us = 0
        self._i420 = np.empty((HEIGHT_PX * 3 // 2, WIDTH_PX), np.uint8)
        self._rgb = np.empty((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
        native = self._native
        try:
            native.resource_util.set_resource_dir(str(wheel.directory.parent))
            described = native.validated_graph_config.ValidatedGraphConfig()
            described.initialize(binary_graph_path=str(wheel.directory / GRAPH))
            with without_known_chatter():
                self._graph: Any = native.calculator_graph.CalculatorGraph(
                    graph_config=_on_the_calling_thread(described.text_config)
                )
                self._graph.observe_output_stream(OUTPUT, self._keep, True)
                create = native._packet_creator
                self._graph.start_run({"model_selection": create.create_int(LANDSCAPE)})
                self.segment(YuvImage.blank(WIDTH_PX, HEIGHT_PX))
        except (RuntimeError, ValueError, OSError) as exc:
            first_line = str(exc).partition("\n")[0]
            raise ModelMissing(f"the segmentation graph does not start: {first_line}") from exc

    def segment(self, image: YuvImage) -> npt.NDArray[np.float32]:
        """How much of each part of the picture is a person, 0 to 1, shape (144, 256).

        Raises:
            FilterError: It is closed, or the graph failed.
        """
        if self._graph is None:
            raise FilterError("the segmentation is closed")
        native = self._native
        self._shrink(image)
        self._now_us += 1
        self._latest = None
        try:
            packet = native._packet_creator._create_image_frame_from_pixel_data(
                native.image_frame.ImageFormat.SRGB, self._rgb, True
            )
            self._graph.add_packet_to_input_stream("image", packet.at(self._now_us))
            self._graph.wait_until_idle()
        except (RuntimeError, ValueError) as exc:
            raise FilterError("the segmentation graph failed") from exc
        latest, self._latest = self._latest, None
        if latest is None or latest.is_empty():
            return np.zeros((HEIGHT_PX, WIDTH_PX), np.float32)
        mask = native._packet_getter.get_image_frame(latest).numpy_view()
        return np.array(mask, np.float32).reshape(HEIGHT_PX, WIDTH_PX)

    def close(self) -> None:
        """Stop the graph; calling it again does nothing."""
        graph, self._graph = self._graph, None
        if graph is not None:
            graph.close()

    def _keep(self, _stream: str, packet: Any) -> None:
        self._latest = packet

    def _shrink(self, image: YuvImage) -> None:
        half = (HEIGHT_PX // 2, WIDTH_PX // 2)
        chroma = self._i420[HEIGHT_PX:].reshape(2, *half)
        _fit(image.y, self._i420[:HEIGHT_PX])
        _fit(image.u, chroma[0])
        _fit(image.v, chroma[1])
        cv2.cvtColor(self._i420, cv2.COLOR_YUV2RGB_I420, dst=self._rgb)


def _fit(plane: Plane, target: Plane) -> None:
    """Scale by halving, which is quick, and the rest linearly."""
    pixels = np.ascontiguousarray(plane)
    while pixels.shape[0] >= 2 * target.shape[0] and pixels.shape[1] >= 2 * target.shape[1]:
        half = (pixels.shape[1] // 2, pixels.shape[0] // 2)
        pixels = np.asarray(cv2.resize(pixels, half, interpolation=cv2.INTER_AREA), np.uint8)
    size = (target.shape[1], target.shape[0])
    cv2.resize(pixels, size, dst=target, interpolation=cv2.INTER_LINEAR)


def _on_the_calling_thread(graph_text: str) -> str:
    text, executors = re.subn(
        r"^executor \{\s*\}",
        'executor { type: "ApplicationThreadExecutor" }',
        graph_text,
        flags=re.M,
    )
    text, nets = re.subn(r"\bxnnpack \{", "xnnpack { num_threads: 1", text)
    if executors != 1 or nets != 1:
        raise ModelMissing("the segmentation graph of this mediapipe wheel is not the one we know")
    return text
