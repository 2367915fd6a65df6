"""Make-up: lips, cheeks, brows, lids. Colours are laid as chroma and shade, so skin shows through.

Ours. Each has an amount, and a shade that runs along a palette; both go with the light on the
face, so that the same setting is the same make-up on every skin.
"""

import math
from typing import Final

import numpy as np

from filters import mesh
from filters.canvas import Canvas
from filters.image import BLACK_Y, NEUTRAL_CHROMA
from filters.parameters import Parameters
from filters.region import Grid, Points, from_to, smooth_step
from filters.stages.base import strength_of
from filters.stages.paint import PaintStage

# Palettes: rows of Cb and Cr, from 128, at mid light, and the part of the light that goes.
Palette = tuple[tuple[float, float, float], ...]
# Coral, rose, red, berry, plum.
LIP_SHADES: Final[Palette] = (
    (-22.0, 42.0, 0.02),
    (-8.0, 40.0, 0.08),
    (-12.0, 52.0, 0.22),
    (2.0, 38.0, 0.32),
    (10.0, 26.0, 0.42),
)
# Peach, pink, rose, wine.
BLUSH_SHADES: Final[Palette] = (
    (-8.0, 14.0, 0.0),
    (-1.0, 15.0, 0.0),
    (1.0, 18.0, 0.03),
    (3.0, 16.0, 0.07),
)
# Sand, rosewood, brown, slate, plum, blue. Sand is about as red as skin: less looks green on it.
LID_SHADES: Final[Palette] = (
    (-12.0, 20.0, 0.16),
    (-3.0, 16.0, 0.2),
    (-8.0, 10.0, 0.34),
    (4.0, -2.0, 0.36),
    (9.0, 10.0, 0.34),
    (18.0, -6.0, 0.26),
)
# Taupe, brown, black.
BROW_SHADES: Final[Palette] = ((-3.0, 5.0, 0.25), (-7.0, 9.0, 0.4), (-1.0, 3.0, 0.55))

LIP_SOFTNESS, LIP_COVER = 0.022, 0.8
# Lips are pinker than the skin beside them by 4 to 20 steps of Cb and Cr together at mid light, on
# faces of all tones; a hand is not. What loses this much Cr is cloth. Widths are parts of the face.
PINKER, GREENEST, LEAST_LIGHT = (1.0, 4.0), -8.0, 0.2
LIP_AROUND, LIPS_BESIDE = 0.05, 0.14
SEEN = (0.25, 0.5)
# In pictures that are nearly grey, by how much of their colour, a mouth is told by light: parts of
# lips are darker than the skin beside them by this part, and not as dark as cloth may be.
GREY, LEAST_COLOUR = (0.25, 0.75), 0.25
DARKER, TOO_DARK, DARK_SEEN = (0.05, 0.12), (0.35, 0.5), (0.08, 0.2)
# How much of its colour make-up keeps on a face without any: it is seen, and does not glare.
COLOUR_ON_GREY = 0.5
BLUSH_RADIUS, BLUSH_COVER = 0.2, 0.75
# From the middle of the cheek towards the cheekbone.
BLUSH_CENTRES = ((50, 117), (280, 346))
LID_SOFTNESS, LID_COVER = 0.045, 0.75
# Hair of a brow is darker than skin by this many code values; between the hairs less is drawn,
# and colour follows less than shade, or brows turn grey.
BROW_SOFTNESS, BROW_CONTRAST, BARE_SHARE, BROW_COLOUR = 0.03, 40.0, 0.35, 0.3
# Upper rim of each eye from corner to corner, and how far shadow climbs from it to the brow.
RIGHT_LID, LEFT_LID = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133),
    (
        *(263, 466, 388, 387, 386),
        *(385, 384, 398, 362),
    ),
)
RIGHT_BROW_EDGE, LEFT_BROW_EDGE = (46, 53, 52, 65, 55), (276, 283, 282, 295, 285)
LID_CLIMB = 0.55


class MakeUp(PaintStage):
    """Lipstick, blush, brows and eye shadow."""

    name = "makeup"
    parameters = ("lipstick", "blush", "brow", "eye_shadow")


def lay_lipstick(canvas: Canvas, strength: float, parameters: Parameters) -> None:
    """Colour the lips, not what an open mouth shows between them."""
    points = canvas.face.points
    lips = canvas.mask([points[mesh.LIPS]], LIP_SOFTNESS, without=[points[mesh.MOUTH]])
    lips *= lip_evidence(canvas, canvas.mask([points[mesh.LIPS]], LIP_SOFTNESS))
    _lay(
        canvas, lips * np.float32(strength * LIP_COVER), LIP_SHADES, _shade(parameters, "lipstick")
    )


def lip_evidence(canvas: Canvas, lips: Grid) -> Grid:
    """How much each cell may be lips, 0 to 1: not a hand, a mask or a glass before them.

    On every skin tone lips are pinker than the skin close around them, Cb and Cr together, by an
    amount that goes with the light and with the picture's colour; a hand is not, and cloth is of
    another colour altogether. Without colour, the mouth's line and shade have to be seen.

    Args:
        canvas: The face.
        lips: Where lips and mouth should be, 0 to 1.
    """
    beside = np.maximum(canvas.blurred(lips, LIPS_BESIDE) - lips, 0) * canvas.inside
    beside *= np.float32(1 / max(float(beside.sum()), 1e-3))
    light = max(canvas.light(), LEAST_LIGHT)
    colour = canvas.colour()
    usual = np.float32(1 / (light * max(colour, LEAST_COLOUR)))
    u, v = (
        (canvas.blurred(plane, LIP_AROUND) - np.float32(np.vdot(plane, beside))) * usual
        for plane in (canvas.u, canvas.v)
    )
    pinker = from_to(u + v, PINKER) * from_to(v, (GREENEST, 0.0))
    told = _where_most_is(pinker, lips, SEEN)
    is_coloured = _part(colour, GREY)
    if is_coloured == 1:
        return told
    skin = max(float(np.vdot(canvas.y, beside)) - BLACK_Y, 1.0)
    darker = np.float32(1) - (canvas.blurred(canvas.y, LIP_AROUND) - BLACK_Y) * np.float32(1 / skin)
    shade = from_to(darker, DARKER) * (1 - from_to(darker, TOO_DARK))
    told_by_light = _where_most_is(shade, lips, DARK_SEEN)
    return told_by_light + np.float32(is_coloured) * (told - told_by_light)


def _where_most_is(evidence: Grid, lips: Grid, seen: tuple[float, float]) -> Grid:
    """Where enough of the mouth is seen to be lips, so are its other parts."""
    share = float(np.vdot(evidence, lips)) / max(float(lips.sum()), 1e-3)
    part = np.float32(_part(share, seen))
    return evidence + part * (1 - evidence)


def _part(value: float, bounds: tuple[float, float]) -> float:
    """0 up to the first bound, 1 from the second on."""
    return min(max((value - bounds[0]) / (bounds[1] - bounds[0]), 0.0), 1.0)


def lay_blush(canvas: Canvas, strength: float, parameters: Parameters) -> None:
    """Colour the cheeks in two soft rounds that end on the skin."""
    points = np.asarray(canvas.face.points)
    for low, high in BLUSH_CENTRES:
        centre = (points[low, :2] + points[high, :2]) / 2
        round_ = canvas.spot(centre, BLUSH_RADIUS) * canvas.face.skin
        amount = round_ * np.float32(strength * BLUSH_COVER)
        _add(canvas, amount, BLUSH_SHADES, _shade(parameters, "blush"))


def draw_brows(canvas: Canvas, strength: float, parameters: Parameters) -> None:
    """Darken the brows where they are; what is as light as skin gets less."""
    points = canvas.face.points
    rings = [points[mesh.RIGHT_BROW], points[mesh.LEFT_BROW]]
    brows = canvas.mask(rings, BROW_SOFTNESS)
    darker = (canvas.on_skin(canvas.y) - canvas.y) / np.float32(BROW_CONTRAST * canvas.light())
    brows *= np.float32(BARE_SHARE) + np.float32(1 - BARE_SHARE) * smooth_step(darker)
    brows *= np.float32(strength)
    _lay(canvas, brows, BROW_SHADES, _shade(parameters, "brow"), BROW_COLOUR)


def lay_eye_shadow(canvas: Canvas, strength: float, parameters: Parameters) -> None:
    """Colour the lids from the lashes towards the brow, not the eye itself."""
    points = canvas.face.points
    lids = [
        _lid(points, RIGHT_LID, RIGHT_BROW_EDGE),
        _lid(points, LEFT_LID, LEFT_BROW_EDGE),
    ]
    shadow = canvas.mask(lids, LID_SOFTNESS)
    shadow *= canvas.face.likeness  # not on hair, nor on the rims of glasses
    amount = shadow * np.float32(strength * LID_COVER)
    _lay(canvas, amount, LID_SHADES, _shade(parameters, "eye_shadow"))


MakeUp.touches = {
    "lipstick": lay_lipstick,
    "blush": lay_blush,
    "brow": draw_brows,
    "eye_shadow": lay_eye_shadow,
}


def pick(palette: Palette, part: float) -> tuple[float, float, float]:
    """The colour at a place from 0 to 1 along a palette: Cb and Cr from 128, part of light."""
    places = np.linspace(0, 1, len(palette))
    cb, cr, darker = (
        float(np.interp(part, places, column)) for column in zip(*palette, strict=True)
    )
    return cb, cr, darker


def _shade(parameters: Parameters, of: str) -> float:
    return strength_of(parameters, f"{of}_shade")


def _lay(canvas: Canvas, amount: Grid, palette: Palette, part: float, colour: float = 1.0) -> None:
    """Bring colour towards the palette's, as an opaque paint of this amount does."""
    cb, cr, darker = pick(palette, part)
    vivid = _vividness(canvas)
    canvas.dy -= amount * np.float32(darker) * np.maximum(canvas.y - BLACK_Y, 0)
    amount = amount * np.float32(colour)
    canvas.du += amount * (np.float32(NEUTRAL_CHROMA + vivid * cb) - canvas.u)
    canvas.dv += amount * (np.float32(NEUTRAL_CHROMA + vivid * cr) - canvas.v)


def _add(canvas: Canvas, amount: Grid, palette: Palette, part: float) -> None:
    """Add the palette's colour to what is there, as a powder does."""
    cb, cr, darker = pick(palette, part)
    vivid = _vividness(canvas)
    canvas.du += amount * np.float32(vivid * cb)
    canvas.dv += amount * np.float32(vivid * cr)
    canvas.dy -= amount * np.float32(darker) * np.maximum(canvas.y - BLACK_Y, 0)


def _vividness(canvas: Canvas) -> float:
    """How much of a palette's colour suits the face: less in the dark, and on a grey picture."""
    return math.sqrt(canvas.light()) * (COLOUR_ON_GREY + (1 - COLOUR_ON_GREY) * canvas.colour())


def _lid(points: Points, rim: tuple[int, ...], brow: tuple[int, ...]) -> Points:
    """Outline of one lid: along the lashes, and back part of the way up to the brow."""
    lower = points[list(rim), :2]
    # As many places along the brow as along the rim.
    places = np.linspace(0, len(brow) - 1, len(rim))
    edge = np.asarray(points[list(brow), :2])
    upper = np.stack(
        [np.interp(places, np.arange(len(brow)), edge[:, axis]) for axis in (0, 1)], axis=1
    )
    climbed = lower + np.float32(LID_CLIMB) * (upper.astype(np.float32) - lower)
    return np.asarray(np.concatenate([lower, climbed[::-1]]), np.float32)
