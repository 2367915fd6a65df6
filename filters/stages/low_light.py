"""Lifts dark pictures so that faces can be seen, steadily.

Only what is dark as a whole is lifted: the picture's highlights decide together with the face, so
dark skin in good light stays as it is. The lift follows a slow mean and cannot flicker.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from filters.image import BLACK_Y, NEUTRAL_CHROMA, Plane, YuvImage
from filters.parameters import Parameters
from filters.region import FaceRegion
from filters.stages.base import FaceStage, strength_of

WHITE_Y = 235
# Luma of the face, and of the picture's highlights, at which lifting begins and is full.
FACE_Y = (95.0, 40.0)
HIGHLIGHT_Y = (165.0, 80.0)
HIGHLIGHT_PERCENT = 95
GAMMA = 0.9
# Part of the lift that chroma follows; all of it would colour the noise.
CHROMA_FOLLOWS = 0.45
# Weight of the newest picture in the mean: half of a change within a second at 30 pictures.
FOLLOWS = 0.023
# A change of need beyond this is another scene.
JUMP = 0.5
SAMPLE = 16


class LowLight(FaceStage):
    """Lifts the whole picture while a face in it is in the dark; without a face it does nothing."""

    name = "low_light"
    parameters = ("low_light",)
    whole_picture = True

    def __init__(self) -> None:
        self._need: float | None = None

    def apply(self, image: YuvImage, faces: Sequence[FaceRegion], parameters: Parameters) -> None:
        """Lift the picture in place."""
        strength = strength_of(parameters, "low_light")
        if strength <= 0 or not faces:
            return
        need = self._steadied(max(face_need(image, face) for face in faces))
        lift = strength * need * max(face.weight for face in faces)
        if lift <= 0:
            return
        light, colour = curves(lift)
        np.copyto(image.y, cv2.LUT(np.ascontiguousarray(image.y), light))
        for plane in (image.u, image.v):
            np.copyto(plane, cv2.LUT(np.ascontiguousarray(plane), colour))

    def change_face(self, image: YuvImage, face: FaceRegion, parameters: Parameters) -> None:
        """Nothing: the light is the whole picture's."""

    def _steadied(self, need: float) -> float:
        if self._need is None or abs(need - self._need) > JUMP:
            self._need = need
        else:
            self._need += FOLLOWS * (need - self._need)
        return self._need


def face_need(image: YuvImage, face: FaceRegion) -> float:
    """How much a face needs light, 0 to 1."""
    crop = face.crop(image.y)[:: face.step, :: face.step]
    skin = face.skin[: crop.shape[0], : crop.shape[1]]
    total = float(skin.sum())
    if total < 1:
        return 0.0
    on_skin = float((crop * skin).sum()) / total
    highlights = float(np.percentile(image.y[::SAMPLE, ::SAMPLE], HIGHLIGHT_PERCENT))
    return min(_falling(on_skin, FACE_Y), _falling(highlights, HIGHLIGHT_Y))


def curves(lift: float) -> tuple[Plane, Plane]:
    """Luma and chroma after a lift from 0 to 1, for each code value, shape (256,)."""
    codes = np.arange(256, dtype=np.float64)
    tone = np.clip((codes - BLACK_Y) / (WHITE_Y - BLACK_Y), 0, 1)
    lifted = BLACK_Y + (WHITE_Y - BLACK_Y) * tone ** (1 / (1 + GAMMA * lift))
    inside = (codes >= BLACK_Y) & (codes <= WHITE_Y)
    light = np.where(inside, lifted, codes)
    colour = NEUTRAL_CHROMA + (codes - NEUTRAL_CHROMA) * (1 + CHROMA_FOLLOWS * lift)
    return _codes(light), _codes(colour)


def _codes(curve: npt.NDArray[np.float64]) -> Plane:
    return np.rint(np.clip(curve, 0, 255)).astype(np.uint8)


def _falling(value: float, bounds: tuple[float, float]) -> float:
    none, full = bounds
    part = min(max((none - value) / (none - full), 0.0), 1.0)
    return part * part * (3 - 2 * part)
