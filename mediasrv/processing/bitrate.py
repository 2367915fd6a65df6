"""How many bits a filtered stream may cost."""

# About 2 Mb/s at 720p30: between what browsers send for 720p by themselves (1.5-2.5 Mb/s), and
# 46 dB PSNR against the picture that goes into our encoder (measured, 720p clip).
BITS_PER_PIXEL = 0.07
NOMINAL_FPS = 30
# Small pictures need more bits per pixel; below this a face turns into blocks.
FLOOR_BPS = 200_000
# 1440p at 0.07 is 7.7 Mb/s; viewers' links are the limit before our encoder is.
CEILING_BPS = 6_000_000


def bitrate_for_size(width_px: int, height_px: int) -> int:
    """Bits per second for a picture of this size when nobody asks for another rate."""
    wanted_bps = round(width_px * height_px * BITS_PER_PIXEL * NOMINAL_FPS)
    return min(max(wanted_bps, FLOOR_BPS), CEILING_BPS)


def clamp_target(target_bps: int) -> int:
    """Keep a foreign target inside what the encoders handle well."""
    return min(max(target_bps, FLOOR_BPS), CEILING_BPS)
