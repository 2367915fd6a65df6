"""Touches on eyes and mouth: brighter eyes, whiter teeth. Ours."""

import numpy as np

from filters import mesh
from filters.canvas import Canvas
from filters.image import BLACK_Y, NEUTRAL_CHROMA
from filters.parameters import Parameters
from filters.region import smooth_step
from filters.stages.paint import PaintStage

EYE_SOFTNESS = 0.02
# Part of the light above black that eyes gain, the contrast, and the colour the whites lose.
EYE_LIFT, EYE_CONTRAST, EYE_COLOUR = 0.09, 0.22, 0.35
# A mouth is open when its gap is this part of its width; fully so at the second.
MOUTH_OPEN = (0.06, 0.14)
TEETH_SOFTNESS = 0.02
TEETH_LIFT, TEETH_COLOUR = 0.1, 0.65
# Teeth are the lighter part of an open mouth.
TEETH_FROM, TEETH_SPAN = -0.4, 0.8


class Features(PaintStage):
    """Eyes and teeth; the skin around them stays."""

    name = "features"
    parameters = ("eye_bright", "teeth_white")


def brighten_eyes(canvas: Canvas, strength: float, _: Parameters) -> None:
    """Lift the eyes between the lids, with more contrast and clearer whites."""
    points = canvas.face.points
    for ring in (mesh.RIGHT_EYE, mesh.LEFT_EYE):
        eye = canvas.mask([points[ring]], EYE_SOFTNESS)
        mean = float(np.vdot(canvas.y, eye)) / max(float(eye.sum()), 1e-3)
        eye *= np.float32(strength)
        above_black = np.maximum(canvas.y - BLACK_Y, 0)
        lift = EYE_LIFT * above_black + EYE_CONTRAST * np.maximum(canvas.y - mean, 0)
        canvas.dy += eye * lift.astype(np.float32)
        white = eye * smooth_step((canvas.y - np.float32(mean)) / 30 + np.float32(0.5))
        canvas.du -= np.float32(EYE_COLOUR) * white * (canvas.u - NEUTRAL_CHROMA)
        canvas.dv -= np.float32(EYE_COLOUR) * white * (canvas.v - NEUTRAL_CHROMA)


def whiten_teeth(canvas: Canvas, strength: float, _: Parameters) -> None:
    """Lift the lighter part of an open mouth and take its colour."""
    points = canvas.face.points
    openness = mouth_openness(canvas)
    if openness <= 0:
        return
    mouth = canvas.mask([points[mesh.MOUTH]], TEETH_SOFTNESS)
    total = max(float(mouth.sum()), 1e-3)
    offset = canvas.y - np.float32(np.vdot(canvas.y, mouth) / total)
    deviation = max(float(np.vdot(offset * offset, mouth) / total) ** 0.5, 2.0)
    teeth = mouth * smooth_step((offset / np.float32(deviation) - TEETH_FROM) / TEETH_SPAN)
    teeth *= np.float32(strength * openness)
    canvas.dy += np.float32(TEETH_LIFT) * teeth * np.maximum(canvas.y - BLACK_Y, 0)
    canvas.du -= np.float32(TEETH_COLOUR) * teeth * (canvas.u - NEUTRAL_CHROMA)
    canvas.dv -= np.float32(TEETH_COLOUR) * teeth * (canvas.v - NEUTRAL_CHROMA)


def mouth_openness(canvas: Canvas) -> float:
    """0 for a closed mouth, 1 for one open wide enough to show teeth."""
    points = np.asarray(canvas.face.points)[:, :2]
    gap_px = np.linalg.norm(points[mesh.UPPER_LIP_EDGE] - points[mesh.LOWER_LIP_EDGE])
    width_px = np.linalg.norm(points[mesh.RIGHT_MOUTH_CORNER] - points[mesh.LEFT_MOUTH_CORNER])
    low, high = MOUTH_OPEN
    part = float(gap_px) / max(float(width_px), 1.0)
    return float(smooth_step(np.asarray((part - low) / (high - low), np.float32)))


Features.touches = {"eye_bright": brighten_eyes, "teeth_white": whiten_teeth}
