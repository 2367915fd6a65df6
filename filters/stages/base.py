"""What a stage is, and the common half of those that change faces."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from filters.image import YuvImage
from filters.parameters import MAXIMUM, Parameters
from filters.region import FaceRegion


class Stage(Protocol):
    """One step of the pipeline. A stage object belongs to one stream and keeps its buffers."""

    @property
    def name(self) -> str:
        """Its name in measurements."""

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


@dataclass(frozen=True, slots=True)
class Pace:
    """What a picture leaves of its time to a stage with a net of its own.

    Attributes:
        look_every: Look at one of so many pictures that it would look at.
        is_new_scene: Look at this one: nothing of the last is true any more.
        in_haste: Other nets look at this one; rather look at the next.
    """

    look_every: int = 1
    is_new_scene: bool = False
    in_haste: bool = False


@runtime_checkable
class LookingStage(Protocol):
    """A stage with a net of its own, which looks at some of the pictures only."""

    def keep_pace(self, pace: Pace) -> None:
        """Take what the next picture has time for."""


class FaceStage(ABC):
    """A stage that changes each face by itself.

    With all its parameters at 0 it does not run, which makes 0 bit-exact.

    Attributes:
        name: What measurements call it.
        parameters: The strengths that switch it on.
        whole_picture: Whether it changes what is outside faces too.
    """

    name: ClassVar[str]
    parameters: ClassVar[tuple[str, ...]]
    needs_faces: ClassVar[bool] = True
    whole_picture: ClassVar[bool] = False

    def is_active(self, parameters: Parameters) -> bool:
        """Whether any of its own strengths is not 0."""
        return any(getattr(parameters, name) for name in self.parameters)

    def apply(self, image: YuvImage, faces: Sequence[FaceRegion], parameters: Parameters) -> None:
        """Change every face in place, each as much as it counts."""
        if not self.is_active(parameters):
            return
        for face in faces:
            self.change_face(image, face, parameters)

    @abstractmethod
    def change_face(self, image: YuvImage, face: FaceRegion, parameters: Parameters) -> None:
        """Change one face in place; ``face.weight`` scales the effect."""


class StrengthStage(FaceStage):
    """A face stage with one strength, of its own name."""

    def change_face(self, image: YuvImage, face: FaceRegion, parameters: Parameters) -> None:
        """Change one face in place."""
        self.change(image, face, strength_of(parameters, self.name))

    @abstractmethod
    def change(self, image: YuvImage, face: FaceRegion, strength: float) -> None:
        """Change one face in place.

        Args:
            image: The picture.
            face: Where the face is; ``face.weight`` scales the effect.
            strength: More than 0, at most 1.
        """


def strength_of(parameters: Parameters, name: str) -> float:
    """A parameter in parts of its full strength, from -1 to 1."""
    value: int = getattr(parameters, name)
    return value / MAXIMUM
