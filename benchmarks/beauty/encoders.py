"""How good the filtered stream's encoders are at a given bitrate, beside the browser's own."""

import time
from collections.abc import Sequence
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from skimage.metrics import structural_similarity

from benchmarks.beauty.browser_encoder import encode_in_browser
from benchmarks.beauty.room import FPS, TICKS_PER_FRAME
from mediasrv.media import Codec
from mediasrv.processing.encoder import VideoEncoder
from mediasrv.processing.planes import view_planes

QUALITY_BPS = 1_500_000
# Browsers send VP8 to servers in three temporal layers, as we do, and H.264 in one.
BROWSER_LAYERS = {Codec.VP8: (1, 3), Codec.H264: (1,)}
SSIM_EVERY = 10  # it takes a third of a second
DECODERS = {Codec.VP8: "vp8", Codec.H264: "h264"}


def measure_quality(
    codec: Codec, images: Sequence[av.VideoFrame], *, browser: bool
) -> list[dict[str, Any]]:
    """Our encoder at 1.5 Mb/s, and what Chromium makes of the same pictures."""
    encoder = VideoEncoder(codec)
    encoder.aim_at(QUALITY_BPS)
    payloads, spent_s = [], 0.0
    for number, image in enumerate(images):
        began_s = time.perf_counter()
        encoded = encoder.encode(image, number * TICKS_PER_FRAME, keyframe=number == 0)
        spent_s += time.perf_counter() - began_s
        payloads.append(encoded.payload)
    spent_ms = round(spent_s * 1000 / len(images), 2)
    rows = [{"encoder": "ours", "encode_ms": spent_ms, **judge(codec, images, payloads)}]
    for layers in BROWSER_LAYERS[codec] if browser else ():
        theirs = encode_in_browser(codec, images, bitrate_bps=QUALITY_BPS, fps=FPS, layers=layers)
        if theirs is not None:
            rows.append({"encoder": f"chromium, L1T{layers}", **judge(codec, images, theirs)})
    return rows


def judge(
    codec: Codec, images: Sequence[av.VideoFrame], payloads: Sequence[bytes]
) -> dict[str, Any]:
    """Bitrate, and PSNR and SSIM of luma after the first second."""
    decoder = av.CodecContext.create(DECODERS[codec], "r")
    decoder.flags |= Flags.low_delay
    assert isinstance(decoder, av.VideoCodecContext)
    psnr, ssim = [], []
    for number, (image, payload) in enumerate(zip(images, payloads, strict=True)):
        (seen,) = decoder.decode(av.Packet(payload))
        if number < FPS:
            continue
        original, shown = view_planes(image).y, view_planes(seen).y
        error = np.square(original.astype(np.float32) - shown).mean()
        psnr.append(10 * np.log10(255**2 / max(error, 1e-9)))
        if number % SSIM_EVERY == 0:
            ssim.append(structural_similarity(original, shown))  # type: ignore[no-untyped-call]
    return {
        "codec": str(codec),
        "bitrate_bps": round(sum(map(len, payloads)) * 8 * FPS / len(payloads)),
        "psnr_db": round(float(np.mean(psnr)), 2),
        "ssim": round(float(np.mean(ssim)), 4),
    }
