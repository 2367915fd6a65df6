"""The time code of the benchmarks is the same in browsers and in Python."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

import benchmarks.latency
from benchmarks.latency.timecode import read_code, write_code

pytestmark = pytest.mark.browser

SCRIPT = Path(benchmarks.latency.__file__).parent / "scripts" / "timecode.js"
SIZES = [(320, 180), (256, 144), (214, 122)]
STAMPS = [0, 123_456_789, 2**32 - 1]

_WRITE = """([width, height, stamp]) => {
  const luma = new Uint8Array(width * height).fill(120);
  window.glassCode.write(luma, width, height, stamp);
  return Array.from(luma);
}"""
_READ = """([luma, width, height]) => {
  const { y, height: rows } = window.glassCode.strip(width, height);
  const strip = new Uint8Array(luma).subarray(y * width, (y + rows) * width);
  return window.glassCode.read(strip, width, width, height);
}"""


@pytest.fixture
def page(viewer_browser: Browser):
    page = viewer_browser.new_page()
    page.evaluate(SCRIPT.read_text())
    yield page
    page.close()


@pytest.mark.parametrize("size", SIZES)
def test_what_a_browser_draws_python_reads(page: Page, size):
    width, height = size
    for stamp in STAMPS:
        luma = np.array(page.evaluate(_WRITE, [width, height, stamp]), np.uint8)
        assert read_code(luma.reshape(height, width)) == stamp


@pytest.mark.parametrize("size", SIZES[:1])
def test_what_python_draws_a_browser_reads_and_a_plain_picture_it_does_not(page: Page, size):
    width, height = size
    luma = np.full((height, width), 120, np.uint8)
    assert page.evaluate(_READ, [luma.ravel().tolist(), width, height]) is None
    for stamp in STAMPS:
        write_code(luma, stamp)
        assert page.evaluate(_READ, [luma.ravel().tolist(), width, height]) == stamp
