/**
 * Notes every frame that a video element shows: its time code and what the browser knows of it.
 *
 * Needs `timecode.js`. `glassWatch(video)` begins; `glassSeen()` takes the rows noted since:
 * [stamp or null, shown, presented, expected, received, decoding, rtp, count, width, height, reading],
 * times in milliseconds of performance.now(), null where the browser does not tell.
 */
(() => {
  let rows = [];
  let watching = null;
  const number = (value) => (typeof value === "number" ? value : null);

  window.glassSeen = () => rows.splice(0);

  window.glassWatch = (video) => {
    rows = [];
    if (watching === video) return;
    watching = video;
    let buffer = new Uint8Array(0);

    async function read(row, frame) {
      const began = performance.now();
      try {
        const rect = window.glassCode.strip(frame.displayWidth, frame.displayHeight);
        const size = frame.allocationSize({ rect });
        if (buffer.length < size) buffer = new Uint8Array(size);
        const target = buffer;
        const [luma] = await frame.copyTo(target, { rect });
        row[0] = window.glassCode.read(
          target.subarray(luma.offset), luma.stride, frame.displayWidth, frame.displayHeight);
      } finally {
        frame.close();
      }
      row[10] = performance.now() - began;
    }

    const step = (shown, about) => {
      if (watching !== video) return;
      video.requestVideoFrameCallback(step);
      const row = [
        null, shown, about.presentationTime, about.expectedDisplayTime, number(about.receiveTime),
        about.processingDuration == null ? null : about.processingDuration * 1000,
        number(about.rtpTimestamp), about.presentedFrames, about.width, about.height, null,
      ];
      rows.push(row);
      read(row, new VideoFrame(video)).catch(() => {});
    };
    video.requestVideoFrameCallback(step);
  };
})();
