"""Touches on the skin that need no fine detail: tone, colour, spots, circles, folds, gloss.

All compare a face with itself and with no colour of ours, and go with the light on it, so they
work alike on every skin. Ours.
"""

import numpy as np

from filters import mesh
from filters.canvas import Canvas
from filters.image import BLACK_Y, NEUTRAL_CHROMA
from filters.parameters import Parameters
from filters.region import Grid, smooth_step
from filters.stages.brighten import DARKEST_GAIN_BASE, lift_of
from filters.stages.paint import PaintStage

# Tone: steps of luma at full strength relative to the lift of "brighten", and what chroma
# follows. Tan needs more colour than the lighter end loses, or it looks like shade, and more in Cb
# than in Cr, or pink skin looks burnt.
TONE_LIFT, TONE_CHROMA = 0.85, 0.6
TAN_CB, TAN_CR = 2.2, 0.9
MOST_CHROMA, TAN_MOST = 0.25, 0.4
# The light around a place decides, not the grain at it.
TONE_AROUND = 0.07
ROSY_V, ROSY_U = 6.0, -1.5
# Colour shows every border, so it fades over a wider one than the mask has.
ROSY_FADE = 0.12
# A spot is this many deviations from the skin around it, which is this wide (parts of the face).
SPOT_AROUND, SPOT_FROM, SPOT_TO = 0.11, 0.6, 1.8
# What differs by much more is no spot but hair, a rim, a shadow's edge.
SPOT_LAST, NO_SPOT = 5.0, 9.0
SPOT_FILLED, SPOT_COLOUR = 0.85, 0.9
# At mid light; contrasts of a skin go with the light on it.
LEAST_DEVIATION = 1.5
CIRCLE_SOFTNESS, CIRCLE_FILLED, CIRCLE_COLOUR = 0.045, 0.6, 0.5
FOLD_WIDTH, FOLD_AROUND, FOLD_FILLED = 0.05, 0.13, 0.65
# Gloss is lighter than the skin by more than this part of its deviation.
GLOSS_FROM, GLOSS_TAKEN = 0.7, 0.6
CLARITY_AROUND, CLARITY_GAIN = 0.14, 0.45


class Skin(PaintStage):
    """Tone, colour and evenness of the skin; fades with the masks of the face."""

    name = "skin"
    parameters = ("blemish", "tone", "rosy", "under_eye", "smile_lines", "shine", "clarity")


def change_tone(canvas: Canvas, strength: float, _: Parameters) -> None:
    """Lighter or tanned: a curve on luma, and chroma in proportion so that the hue stays."""
    light = canvas.blurred(canvas.y, TONE_AROUND)
    lift = lift_of(light, TONE_LIFT * strength)
    canvas.dy += lift * canvas.face.glow
    relative = lift / np.maximum(canvas.y - BLACK_Y, DARKEST_GAIN_BASE)
    if strength > 0:
        more_u = more_v = np.minimum(relative * np.float32(TONE_CHROMA), np.float32(MOST_CHROMA))
    else:
        more_u, more_v = (
            np.minimum(relative * np.float32(-follows), np.float32(most))
            for follows, most in ((TAN_CB, TAN_MOST), (TAN_CR, MOST_CHROMA))
        )
    canvas.du += more_u * canvas.face.glow * (canvas.u - NEUTRAL_CHROMA)
    canvas.dv += more_v * canvas.face.glow * (canvas.v - NEUTRAL_CHROMA)


def add_rosy(canvas: Canvas, strength: float, _: Parameters) -> None:
    """More red, less where it is dark: colour goes with light."""
    soft = np.minimum(canvas.blurred(canvas.face.skin, ROSY_FADE), canvas.face.skin)
    amount = np.float32(strength * canvas.light()) * soft
    canvas.dv += np.float32(ROSY_V) * amount
    canvas.du += np.float32(ROSY_U) * amount


def take_spots(canvas: Canvas, strength: float, _: Parameters) -> None:
    """Fill what is darker or redder than the skin close around it."""
    skin = canvas.face.skin
    weight = canvas.blurred(skin, SPOT_AROUND) + np.float32(1e-3)
    around = [canvas.blurred(plane * skin, SPOT_AROUND) / weight for plane in _planes(canvas)]
    y, u, v = (plane - mean for plane, mean in zip(_planes(canvas), around, strict=True))
    least = LEAST_DEVIATION * canvas.light()
    deviation = max(canvas.on_skin(y * y) ** 0.5, least)
    redness = max(canvas.on_skin(v * v) ** 0.5, least / 2)
    strangeness = np.maximum(-y / np.float32(deviation), v / np.float32(redness))
    spots = smooth_step((strangeness - SPOT_FROM) / (SPOT_TO - SPOT_FROM)) * skin
    spots *= smooth_step((NO_SPOT - strangeness) / (NO_SPOT - SPOT_LAST))
    spots *= np.float32(strength)
    canvas.dy += np.float32(SPOT_FILLED) * spots * np.maximum(-y, 0)
    canvas.du -= np.float32(SPOT_COLOUR) * spots * u
    canvas.dv -= np.float32(SPOT_COLOUR) * spots * v


def lift_circles(canvas: Canvas, strength: float, _: Parameters) -> None:
    """Bring the skin under the eyes towards the cheek beside it, light first, then colour."""
    points = canvas.face.points
    for band, cheek in (
        (mesh.RIGHT_UNDER_EYE, mesh.RIGHT_CHEEK),
        (mesh.LEFT_UNDER_EYE, mesh.LEFT_CHEEK),
    ):
        under = canvas.mask([points[band]], CIRCLE_SOFTNESS) * canvas.face.skin
        beside = canvas.mask([points[cheek]], CIRCLE_SOFTNESS) * canvas.face.skin
        total = max(float(beside.sum()), 1e-3)
        wanted = [float(np.vdot(plane, beside)) / total for plane in _planes(canvas)]
        if total < 1:  # that cheek is turned away
            continue
        smooth_y = canvas.blurred(canvas.y, CIRCLE_SOFTNESS)
        under *= np.float32(strength)
        missing = np.maximum(np.float32(wanted[0]) - smooth_y, 0)
        canvas.dy += np.float32(CIRCLE_FILLED) * under * missing
        under *= np.float32(CIRCLE_COLOUR)
        canvas.du += under * (np.float32(wanted[1]) - canvas.u)
        canvas.dv += under * (np.float32(wanted[2]) - canvas.v)


def soften_folds(canvas: Canvas, strength: float, _: Parameters) -> None:
    """Lighten the folds beside the mouth where they are darker than what is around them."""
    points = canvas.face.points
    lines = [points[mesh.RIGHT_FOLD], points[mesh.LEFT_FOLD]]
    fold = canvas.mask(lines, FOLD_WIDTH, thickness=FOLD_WIDTH) * canvas.face.skin
    missing = np.maximum(canvas.blurred(canvas.y, FOLD_AROUND) - canvas.y, 0)
    canvas.dy += np.float32(FOLD_FILLED * strength) * np.minimum(2 * fold, 1) * missing


def take_shine(canvas: Canvas, strength: float, _: Parameters) -> None:
    """Pull what is much lighter than the skin towards it."""
    offset = canvas.y - np.float32(canvas.on_skin(canvas.y))
    deviation = max(canvas.on_skin(offset * offset) ** 0.5, LEAST_DEVIATION * canvas.light())
    excess = np.maximum(offset - np.float32(GLOSS_FROM * deviation), 0)
    canvas.dy -= np.float32(GLOSS_TAKEN * strength) * excess * canvas.face.skin


def add_clarity(canvas: Canvas, strength: float, _: Parameters) -> None:
    """Strengthen what is finer than a cheek and coarser than a pore, skin and features alike."""
    form = canvas.y - canvas.blurred(canvas.y, CLARITY_AROUND)
    canvas.dy += np.float32(CLARITY_GAIN * strength) * form * canvas.face.glow


Skin.touches = {
    "blemish": take_spots,
    "tone": change_tone,
    "rosy": add_rosy,
    "under_eye": lift_circles,
    "smile_lines": soften_folds,
    "shine": take_shine,
    "clarity": add_clarity,
}


def _planes(canvas: Canvas) -> tuple[Grid, Grid, Grid]:
    return canvas.y, canvas.u, canvas.v
