"""The common half of stages that paint on a face's coarse grid."""

from collections.abc import Callable, Mapping
from typing import ClassVar

from filters.canvas import Canvas, Painter
from filters.image import YuvImage
from filters.parameters import Parameters
from filters.region import FaceRegion
from filters.stages.base import FaceStage, strength_of

# Adds to the canvas what one parameter asks for; the strength is not 0, from -1 to 1.
Touch = Callable[[Canvas, float, Parameters], None]


class PaintStage(FaceStage):
    """Runs its touches on each face and puts them on the picture at once.

    Attributes:
        touches: By parameter, in order; each sees the picture as it came to the stage.
    """

    touches: ClassVar[Mapping[str, Touch]]

    def __init__(self) -> None:
        self._painter = Painter()

    def change_face(self, image: YuvImage, face: FaceRegion, parameters: Parameters) -> None:
        """Paint one face in place; reads and writes inside its rectangle only."""
        canvas = self._painter.begin(image, face)
        self.paint(canvas, parameters)
        self._painter.finish(image, canvas)

    @classmethod
    def paint(cls, canvas: Canvas, parameters: Parameters) -> None:
        """Let every touch that is on add to the canvas."""
        for name, touch in cls.touches.items():
            strength = strength_of(parameters, name)
            if strength:
                touch(canvas, strength, parameters)
