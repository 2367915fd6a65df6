"""Chromium's own video encoders, as its pages have them (WebCodecs), on given pictures."""

import base64
from collections.abc import Sequence

import av
from playwright.sync_api import Page, sync_playwright

from benchmarks.rig.browsers import CHROMIUM, CHROMIUM_ARGS
from mediasrv.media import Codec
from mediasrv.processing.planes import view_planes

NAMES = {Codec.VP8: "vp8", Codec.H264: "avc1.42001f"}
# Codecs are for secure pages only; nobody is asked for this one.
PAGE = "https://encoder.test/"

_CONFIGURE = """async (settings) => {
  if (!(await VideoEncoder.isConfigSupported(settings)).supported) return false;
  window.payloads = [];
  window.encoder = new VideoEncoder({
    output: (chunk) => {
      const bytes = new Uint8Array(chunk.byteLength);
      chunk.copyTo(bytes);
      let text = "";
      for (let i = 0; i < bytes.length; i += 4096) {
        text += String.fromCharCode(...bytes.subarray(i, i + 4096));
      }
      window.payloads.push(btoa(text));
    },
    error: (error) => { window.failure = String(error); },
  });
  window.encoder.configure(settings);
  return true;
}"""

_ENCODE = """async ([pixels, width, height, timestamp]) => {
  const bytes = Uint8Array.from(atob(pixels), (letter) => letter.charCodeAt(0));
  const init = { format: "I420", codedWidth: width, codedHeight: height, timestamp };
  const frame = new VideoFrame(bytes, init);
  window.encoder.encode(frame, { keyFrame: timestamp === 0 });
  frame.close();
  await window.encoder.flush();
  if (window.failure) throw new Error(window.failure);
  return window.payloads.splice(0);
}"""


def encode_in_browser(
    codec: Codec,
    images: Sequence[av.VideoFrame],
    *,
    bitrate_bps: int,
    fps: int,
    layers: int = 1,
) -> list[bytes] | None:
    """Encode in real-time mode at a constant bitrate, one frame out for each in.

    Args:
        codec: To encode with.
        images: All of one size.
        bitrate_bps: What to aim at.
        fps: Of the images.
        layers: Temporal ones.

    Returns:
        The encoded frames; None when this Chromium has no encoder for the codec.
    """
    width, height = images[0].width, images[0].height
    settings = {
        "codec": NAMES[codec],
        "width": width,
        "height": height,
        "bitrate": bitrate_bps,
        "bitrateMode": "constant",
        "framerate": fps,
        "latencyMode": "realtime",
        "scalabilityMode": f"L1T{layers}",
        **({"avc": {"format": "annexb"}} if codec is Codec.H264 else {}),
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        page = browser.new_page()
        page.route(PAGE, lambda route: route.fulfill(body="<title>encoder</title>"))
        page.goto(PAGE)
        if not page.evaluate(_CONFIGURE, settings):
            return None
        steps = (round(number * 1e6 / fps) for number in range(len(images)))
        return [_encode(page, image, at) for image, at in zip(images, steps, strict=True)]


def _encode(page: Page, image: av.VideoFrame, timestamp_us: int) -> bytes:
    planes = view_planes(image)
    pixels = b"".join(plane.tobytes() for plane in (planes.y, planes.u, planes.v))
    arguments = [base64.b64encode(pixels).decode(), image.width, image.height, timestamp_us]
    payloads: list[str] = page.evaluate(_ENCODE, arguments)
    return b"".join(base64.b64decode(payload) for payload in payloads)
