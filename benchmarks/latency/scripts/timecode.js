/** The time code of benchmarks/timecode.py in browsers; see there. Defines `glassCode`. */
(() => {
  const [ROWS, COLUMNS, ROW_SHARE] = [2, 26, 1 / 20];
  const [BLACK, WHITE, CONTRAST_MIN] = [16, 235, 60];
  const HALF = COLUMNS - 2;

  function crc(stamp) {
    let value = 0xffff;
    for (let byte = 3; byte >= 0; byte -= 1) {
      value ^= ((stamp >>> (8 * byte)) & 0xff) << 8;
      for (let bit = 0; bit < 8; bit += 1) {
        value = (value & 0x8000 ? (value << 1) ^ 0x1021 : value << 1) & 0xffff;
      }
    }
    return value;
  }

  function bitsOf(stamp) {
    const check = crc(stamp);
    const bits = [];
    for (let place = 31; place >= 0; place -= 1) bits.push((stamp >>> place) & 1);
    for (let place = 15; place >= 0; place -= 1) bits.push((check >>> place) & 1);
    return bits;
  }

  // As Python's round() does it, halves to even.
  function round(value) {
    const below = Math.floor(value);
    if (value - below !== 0.5) return Math.round(value);
    return below % 2 === 0 ? below : below + 1;
  }

  function rowOf(row, height) {
    const below = ROWS - row;
    return [height - round(below * height * ROW_SHARE), height - round((below - 1) * height * ROW_SHARE)];
  }

  const edge = (column, width) => Math.floor((column * width) / COLUMNS);

  /** Draw `stamp` (tenths of ms, 32 bits) into the luma plane that I420 `bytes` begin with. */
  function write(bytes, width, height, stamp) {
    const bits = bitsOf(stamp >>> 0);
    for (let row = 0; row < ROWS; row += 1) {
      const [top, bottom] = rowOf(row, height);
      const blocks = [row === 0 ? 1 : 0, ...bits.slice(row * HALF, (row + 1) * HALF), row];
      for (let column = 0; column < COLUMNS; column += 1) {
        const [left, right] = [edge(column, width), edge(column + 1, width)];
        for (let y = top; y < bottom; y += 1) {
          bytes.fill(blocks[column] ? WHITE : BLACK, y * width + left, y * width + right);
        }
      }
    }
  }

  /** The part of a picture that holds the code, on even pixels as I420 wants it. */
  function strip(width, height) {
    const y = rowOf(0, height)[0] & ~1;
    return { x: 0, y, width: width & ~1, height: (height - y) & ~1 };
  }

  /** Read from the luma of `strip(width, height)`; null when there is no code. */
  function read(luma, stride, width, height) {
    const from = strip(width, height).y;
    const bits = [];
    for (let row = 0; row < ROWS; row += 1) {
      const [top, bottom] = rowOf(row, height);
      const margin = (bottom - top) >> 2;
      const means = [];
      for (let column = 0; column < COLUMNS; column += 1) {
        const [left, right] = [edge(column, width), edge(column + 1, width)];
        const side = (right - left) >> 2;
        let [sum, count] = [0, 0];
        for (let y = top + margin - from; y < bottom - margin - from; y += 1) {
          for (let x = left + side; x < right - side; x += 1) sum += luma[y * stride + x];
          count += right - left - 2 * side;
        }
        means.push(sum / count);
      }
      const [white, black] = row === 0 ? [means[0], means[COLUMNS - 1]] : [means[COLUMNS - 1], means[0]];
      if (!(white - black >= CONTRAST_MIN)) return null;
      for (const mean of means.slice(1, -1)) bits.push(mean > (white + black) / 2 ? 1 : 0);
    }
    const number = (from, to) => bits.slice(from, to).reduce((sum, bit) => sum * 2 + bit, 0);
    const stamp = number(0, 32);
    return crc(stamp) === number(32, 48) ? stamp : null;
  }

  window.glassCode = { write, strip, read };
})();
