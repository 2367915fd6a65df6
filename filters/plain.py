"""The filters once more, slow and obvious: what the fast ones are tested against.

Pure numpy in double precision on whole arrays, no OpenCV, no reused memory. Masks and the
constants of each filter are shared with the fast version; the arithmetic is not.
"""

import numpy as np
import numpy.typing as npt

from filters import texture as texture_of
from filters.canvas import Canvas
from filters.dither import Dither
from filters.image import BLACK_Y, NEUTRAL_CHROMA, Plane, YuvImage
from filters.parameters import Parameters
from filters.region import FaceRegion, load_padded
from filters.stages import brighten, sharpen, smooth
from filters.stages.paint import PaintStage
from filters.stages.shape import make_warp

Array = npt.NDArray[np.float64]

# Fast and plain may differ by one code value where rounding falls the other way.
TOLERANCE = 1


def smooth_face(image: YuvImage, face: FaceRegion, strength: float) -> YuvImage:
    """Do what :class:`filters.stages.smooth.Smooth` does, on a copy."""
    result = image.copy()
    luma = _load(result.y, face, chroma=False)
    half_window = smooth.window(face) // 2
    cells, skin = _cell_means(luma, face.step), face.skin.astype(np.float64)
    mean = _box(cells, half_window)
    within = _cell_means(luma**2, face.step) - cells**2
    variance = np.maximum(_box(within + (cells - mean) ** 2, half_window), 0)
    on_skin = max((mean * skin).sum() / max(skin.sum(), 1e-3), BLACK_Y + 1.0)
    contrast = ((on_skin - BLACK_Y) / (smooth.MID_Y - BLACK_Y)) ** 2
    clear = np.sort(variance[face.skin > smooth.CLEARLY_SKIN])
    bound = 0.0
    if clear.size:
        quarter, middle = clear[clear.size // 4], clear[clear.size // 2]
        bound = min(smooth.EDGE_PER_MEDIAN * middle, smooth.EDGE_PER_QUARTER * quarter)
    light = mean / (smooth.SHADE_BELOW * on_skin)
    edge = np.clip(bound, *(np.array(smooth.EDGE_VARIANCE) * contrast))
    edge = edge * np.clip(light**2, smooth.DARKEST_SHARE, 1) + smooth.NOISE_VARIANCE
    texture = edge / (variance + edge)
    slope, offset = _box(texture, half_window) * skin, _box(mean * texture, half_window) * skin

    grainless = (1 - smooth.GRAIN_KEPT) * luma + smooth.GRAIN_KEPT * _binomial_blur(
        luma, (1, 4, 6, 4, 1)
    )
    change = _spread(slope, face.step) * grainless - _spread(offset, face.step)
    patches = smooth.measure_texture(
        face, luma.astype(np.float32), change.astype(np.float32), slope.astype(np.float32)
    )
    part = texture_of.dose(patches, smooth.texture_left(strength)) * face.weight
    _store(result.y, face, luma - part * change, chroma=False)
    return result


def brighten_face(image: YuvImage, face: FaceRegion, strength: float) -> YuvImage:
    """Do what :class:`filters.stages.brighten.Brighten` does, on a copy."""
    result = image.copy()
    luma = _load(image.y, face, chroma=False)
    lift = brighten.lift_curve(strength)
    gain = brighten.gain_curve(lift)
    glow = face.glow.astype(np.float64) * face.weight
    means = _box(_cell_means(luma, face.step), brighten.window(face) // 2)
    gained = np.interp(means, np.arange(256), lift) * glow
    lifted = np.minimum(luma + _spread(gained, face.step), brighten.WHITE_Y)
    _store(result.y, face, np.maximum(lifted, luma), chroma=False)

    coarse = np.floor(_cell_means(luma, 2) + 0.5).astype(int)
    mask = _cell_means(glow, 2) if face.step == 1 else _spread(glow, face.step // 2)
    for plane in (result.u, result.v):
        colour = _load(plane, face, chroma=True) - NEUTRAL_CHROMA
        grown = NEUTRAL_CHROMA + colour * (1 + gain[coarse] * mask)
        _store(plane, face, grown, chroma=True)
    return result


def paint_face(
    stage_type: type[PaintStage], image: YuvImage, face: FaceRegion, parameters: Parameters
) -> YuvImage:
    """Do what a stage that paints does, on a copy; what it paints is shared with it."""
    result = image.copy()
    planes = ((image.y, False), (image.u, True), (image.v, True))
    means = [_cells(_load(plane, face, chroma=chroma), face) for plane, chroma in planes]
    canvas = Canvas(face, *(mean.astype(np.float32) for mean in means))
    stage_type.paint(canvas, parameters)
    for plane, gain, chroma in (
        (result.y, canvas.dy, False),
        (result.u, canvas.du, True),
        (result.v, canvas.dv, True),
    ):
        pixels = _load(plane, face, chroma=chroma)
        wanted = gain.astype(np.float64) * face.weight
        ratio = pixels.shape[0] / wanted.shape[0]
        spread = _cell_means(wanted, 2) if ratio < 1 else _spread(wanted, int(ratio))
        _store(plane, face, pixels + spread, chroma=chroma)
    return result


def sharpen_face(image: YuvImage, face: FaceRegion, strength: float) -> YuvImage:
    """Do what :class:`filters.stages.sharpen.Sharpen` does, on a copy."""
    result = image.copy()
    luma = _load(result.y, face, chroma=False)
    gain = _spread(sharpen.sharpening(face, strength).astype(np.float64), face.step)
    _store(result.y, face, luma + gain * (luma - _binomial_blur(luma)), chroma=False)
    return result


def shape_face(image: YuvImage, face: FaceRegion, parameters: Parameters) -> YuvImage:
    """Do what :class:`filters.stages.shape.Shape` does, on a copy; the field is shared with it."""
    result = image.copy()
    warp = make_warp(image, face, parameters)
    if warp is None:
        return result
    for plane, scale in ((result.y, 1), (result.u, 2), (result.v, 2)):
        rows, columns = warp.height_px // scale, warp.width_px // scale
        top, left = warp.top // scale, warp.left // scale
        source = plane[top : top + rows, left : left + columns].astype(np.float64)
        x, y = (
            _resized(field.astype(np.float64), rows, columns) / scale for field in (warp.x, warp.y)
        )
        across = _thirty_seconds(np.arange(columns)[None, :] + x, columns)
        down = _thirty_seconds(np.arange(rows)[:, None] + y, rows)
        i, j = np.floor(down).astype(int), np.floor(across).astype(int)
        below, beside = np.minimum(i + 1, rows - 1), np.minimum(j + 1, columns - 1)
        b, a = down - i, across - j
        upper = source[i, j] * (1 - a) + source[i, beside] * a
        lower = source[below, j] * (1 - a) + source[below, beside] * a
        moved = np.rint(upper * (1 - b) + lower * b)
        plane[top : top + rows, left : left + columns] = moved
    return result


def _thirty_seconds(places: Array, count: int) -> Array:
    """Places between pixels as finely as the fast version knows them, inside the source."""
    return np.asarray(np.clip(np.rint(places * 32) / 32, 0, count - 1))


def _resized(field: Array, rows: int, columns: int) -> Array:
    """Bilinear, centres on centres, to any size."""
    down = (np.arange(rows) + 0.5) * (field.shape[0] / rows) - 0.5
    across = (np.arange(columns) + 0.5) * (field.shape[1] / columns) - 0.5
    return _between(_between(field, down).T, across).T


def _cells(pixels: Array, face: FaceRegion) -> Array:
    """Means per cell of the face's grid; chroma of cells of one pixel is spread to them."""
    ratio = pixels.shape[0] / face.grid_shape[0]
    return _spread(pixels, 2) if ratio < 1 else _cell_means(pixels, int(ratio))


def _load(plane: Plane, face: FaceRegion, *, chroma: bool) -> Array:
    scale = 2 if chroma else 1
    padded = np.empty((face.height_px // scale, face.width_px // scale), np.uint8)
    load_padded(padded, face.crop(plane, chroma=chroma))
    return padded.astype(np.float64)


def _store(plane: Plane, face: FaceRegion, values: Array, *, chroma: bool) -> None:
    target = face.crop(plane, chroma=chroma)
    rows, columns = target.shape
    scale = 2 if chroma else 1
    pattern = Dither().pattern(face.top // scale, face.left // scale, (rows, columns))
    target[:] = np.clip(np.rint(values[:rows, :columns] + pattern), 0, 255)


def _cell_means(values: Array, step: int) -> Array:
    rows, columns = values.shape
    cells = values.reshape(rows // step, step, columns // step, step)
    means: Array = cells.mean(axis=(1, 3))
    return means


def _box(values: Array, half: int) -> Array:
    """Mean over a window; beyond the border values go on mirrored, the border itself once."""
    rows, columns = values.shape
    padded = np.pad(values, half, mode="reflect") if min(rows, columns) > half else None
    if padded is None:  # mirrored more than once
        index = [
            np.abs((np.arange(-half, n + half) + n - 1) % max(2 * n - 2, 1) - (n - 1))
            for n in values.shape
        ]
        padded = values[index[0][:, None], index[1]]
    width = 2 * half + 1
    shifted = [
        padded[dy : dy + rows, dx : dx + columns] for dy in range(width) for dx in range(width)
    ]
    means: Array = np.mean(shifted, axis=0)
    return means


def _binomial_blur(values: Array, weights: tuple[int, ...] = (1, 2, 1)) -> Array:
    half = len(weights) // 2
    padded = np.pad(values, half, mode="reflect")
    rows, columns = values.shape
    share = np.array(weights) / sum(weights)
    down: Array = np.sum([w * padded[n : n + rows] for n, w in enumerate(share)], axis=0)
    blurred: Array = np.sum([w * down[:, n : n + columns] for n, w in enumerate(share)], axis=0)
    return blurred


def _spread(grid: Array, step: int) -> Array:
    """Bilinear, cell centres on cell centres; beyond the outermost centres values stay."""
    rows, columns = grid.shape
    by_row = _between(grid, (np.arange(rows * step) + 0.5) / step - 0.5)
    spread: Array = _between(by_row.T, (np.arange(columns * step) + 0.5) / step - 0.5).T
    return spread


def _between(values: Array, positions: Array) -> Array:
    positions = np.clip(positions, 0, len(values) - 1)
    lower = np.minimum(positions.astype(int), max(len(values) - 2, 0))
    upper = np.minimum(lower + 1, len(values) - 1)
    part = (positions - lower)[:, None]
    between: Array = values[lower] * (1 - part) + values[upper] * part
    return between
