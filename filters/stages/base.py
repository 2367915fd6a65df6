"""What a stage is, and the common half of those that change faces."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Protocol

from filters.image import YuvImage
from filters.parameters import MAXIMUM, Parameters
from filters.region import FaceRegion


class Stage(Protocol):
    """One step of the pipeline. A stage object belongs to one stream and keeps its buffers."""

    @property
    def name(self) -> str:
        """Its name in measurements; for a filter also the name of its parameter."""

    @property
    def needs_faces(self) -> bool:
        """Whether faces have to be found before it can work."""

    def is_active(self, parameters: Parameters) -> bool:
        """Whether it would change anything."""

    def apply(self, image: YuvImage, faces: Sequence[FaceRegion], parameters: Parameters) -> None:
        """Change the picture in place; only called when active.

        Args:
            image: Its planes are written to, nowhere outside what the stage is about.
            faces: All faces in the picture; empty when none was found or asked for.
            parameters: All strengths; the stage reads its own.
        """


class FaceStage(ABC):
    """A stage with one strength that changes each face by itself.

    At strength 0 it does not run at all, which makes 0 bit-exact.
    """

    name: ClassVar[str]
    needs_faces: ClassVar[bool] = True

    def is_active(self, parameters: Parameters) -> bool:
        """Whether its own strength is above 0."""
        return self._strength(parameters) > 0

    def apply(self, image: YuvImage, faces: Sequence[FaceRegion], parameters: Parameters) -> None:
        """Change every face in place, each as much as it counts."""
        strength = self._strength(parameters)
        if strength <= 0:
            return
        for face in faces:
            self.change(image, face, strength)

    @abstractmethod
    def change(self, image: YuvImage, face: FaceRegion, strength: float) -> None:
        """Change one face in place.

        Args:
            image: The picture.
            face: Where the face is; ``face.weight`` scales the effect.
            strength: More than 0, at most 1.
        """

    def _strength(self, parameters: Parameters) -> float:
        value: int = getattr(parameters, self.name)
        return value / MAXIMUM
