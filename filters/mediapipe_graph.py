"""Runs calculator graphs of the mediapipe wheel, picture by picture, in the calling thread."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from filters.errors import FilterError, ModelMissing
from filters.image import Plane
from filters.mediapipe_wheel import MediaPipeWheel

IMAGE: Final = "image"
# The graph schedules in microseconds; only the order counts.
TICK_US = 1
# Options of the calculator that warps which the one that converts does not know.
_WARP_OPTIONS = re.compile(
    r"^ *(?:output_tensor_width|output_tensor_height|keep_aspect_ratio|border_mode): .*$\n", re.M
)
_NODE = re.compile(r"^node \{$.*?^\}$\n?", re.M | re.S)


class MediaPipeGraph:
    """One graph with the input stream ``image``. Not thread-safe."""

    def __init__(
        self,
        wheel: MediaPipeWheel,
        config: str,
        outputs: Sequence[str],
        side_packets: Mapping[str, bool | int] | None = None,
    ) -> None:
        """Start the graph; reads its models.

        Args:
            wheel: Where bindings and models are.
            config: The graph in protobuf's text format.
            outputs: Names of the streams to keep; streams inside the graph will do.
            side_packets: What the graph asks for at its start.

        Raises:
            ModelMissing: It does not start.
        """
        self._native: Any = wheel.bindings
        self._latest: dict[str, Any] = {}
        self._now_us = 0
        create = self._native._packet_creator
        packets = {
            name: create.create_bool(value) if value is True or value is False
            else create.create_int(value)
            for name, value in (side_packets or {}).items()
        }  # fmt: skip
        try:
            self._native.resource_util.set_resource_dir(str(wheel.directory.parent))
            self._graph: Any = self._native.calculator_graph.CalculatorGraph(graph_config=config)
            for name in outputs:
                self._graph.observe_output_stream(name, self._keep, False)
            self._graph.start_run(packets)
        except (RuntimeError, ValueError, OSError) as exc:
            raise ModelMissing(f"a graph does not start: {first_line(exc)}") from exc

    def run(self, rgb: Plane) -> None:
        """Send one picture through the graph, shape (H, W, 3); the outputs are then there.

        Raises:
            FilterError: It is closed, or the graph failed.
        """
        if self._graph is None:
            raise FilterError("the graph is closed")
        native = self._native
        self._now_us += TICK_US
        self._latest.clear()
        try:
            packet = native._packet_creator._create_image_frame_from_pixel_data(
                native.image_frame.ImageFormat.SRGB, rgb, True
            )
            self._graph.add_packet_to_input_stream(IMAGE, packet.at(self._now_us))
            self._graph.wait_until_idle()
        except (RuntimeError, ValueError) as exc:
            raise FilterError("the graph failed") from exc

    def proto(self, name: str) -> bytes | None:
        """The message that came out of a stream, serialised; None when none did."""
        message: bytes | None = self._read(name, self._native._packet_getter._get_serialized_proto)
        return message

    def protos(self, name: str) -> list[bytes]:
        """The list of messages that came out of a stream, serialised each."""
        return self._read(name, self._native._packet_getter._get_serialized_proto_list) or []

    def number(self, name: str) -> float | None:
        """The number that came out of a stream."""
        number: float | None = self._read(name, self._native._packet_getter.get_float)
        return number

    def image(self, name: str) -> Any:
        """The picture that came out of a stream, as a view that lives until the next run."""
        getter = self._native._packet_getter
        return self._read(name, lambda packet: getter.get_image_frame(packet).numpy_view())

    def close(self) -> None:
        """Stop the graph; calling it again does nothing."""
        graph, self._graph = self._graph, None
        self._latest.clear()
        if graph is not None:
            graph.close()

    def _keep(self, name: str, packet: Any) -> None:
        self._latest[name] = packet

    def _read(self, name: str, getter: Callable[[Any], Any]) -> Any:
        packet = self._latest.get(name)
        return None if packet is None or packet.is_empty() else getter(packet)


def graph_text(wheel: MediaPipeWheel, path: Path) -> str:
    """A graph of the wheel with its subgraphs in place, in text format.

    Raises:
        ModelMissing: It is not there, or not valid.
    """
    native = wheel.bindings
    try:
        native.resource_util.set_resource_dir(str(wheel.directory.parent))
        described = native.validated_graph_config.ValidatedGraphConfig()
        described.initialize(binary_graph_path=str(wheel.directory / path))
        text: str = described.text_config
    except (RuntimeError, ValueError, OSError) as exc:
        raise ModelMissing(f"a graph does not start: {first_line(exc)}") from exc
    return text


def nodes_of(text: str) -> list[str]:
    """The nodes of a graph in text format, one string each."""
    return _NODE.findall(text)


def on_the_calling_thread(text: str, nets: int) -> str:
    """The graph without pools and hand-overs: it and its nets work for the thread that waits.

    Args:
        text: The graph, without an executor of its own.
        nets: How many nets it must hold.

    Raises:
        ModelMissing: It holds another number of nets.
    """
    text, found = re.subn(r"\bxnnpack \{", "xnnpack { num_threads: 1", text)
    if found != nets:
        raise ModelMissing("the face graph of this mediapipe wheel is not the one we know")
    return text + 'executor { type: "ApplicationThreadExecutor" }\n'


def without_warping(text: str) -> str:
    """The graph for pictures of its net's own size: they are converted, not warped.

    The wheel's calculator warps them even so, which takes a tenth of the net's time.
    """
    text = text.replace("ImageToTensorCalculator", "TensorConverterCalculator")
    return _WARP_OPTIONS.sub("", text)


def first_line(exc: Exception) -> str:
    """What an error of the native library says, without its trace."""
    return str(exc).partition("\n")[0]
