/**
 * A camera that shows a clip with the time code in every frame, stamped as it is handed over.
 *
 * Needs `timecode.js`. Configured by `window.glassCamera`: {url, width, height, count, fps,
 * sound}; the url gives `count` I420 pictures, one after the other. getUserMedia gives this camera instead of a
 * real one. Its rate is a little beside 30 so that it drifts against the screen's refresh: delays
 * are then spread over the whole of it instead of sticking at one phase.
 */
(() => {
  const devices = navigator.mediaDevices;
  if (!devices) return;
  const real = devices.getUserMedia.bind(devices);
  const now = () => performance.now();
  const glass = { sent: 0, late: 0, ready: false };
  window.glassHost = glass;

  async function open() {
    const { url, width, height, count, fps } = window.glassCamera;
    const size = width * height + 2 * Math.ceil(width / 2) * Math.ceil(height / 2);
    const pictures = new Uint8Array(await (await fetch(url)).arrayBuffer());
    const track = new MediaStreamTrackGenerator({ kind: "video" });
    const writer = track.writable.getWriter();
    const began = now();
    let turn = 0;

    function step() {
      if (track.readyState === "ended") return;
      // There and back again, so that the clip has no cut.
      const position = turn % (2 * count - 2);
      const picture = position < count ? position : 2 * count - 2 - position;
      const bytes = pictures.subarray(picture * size, (picture + 1) * size);
      const stampMs = now();
      window.glassCode.write(bytes, width, height, Math.round(stampMs * 10));
      const frame = new VideoFrame(bytes, {
        format: "I420", codedWidth: width, codedHeight: height, timestamp: Math.round(stampMs * 1000),
      });
      // What the encoder has not taken is dropped by the generator, as a camera does.
      writer.write(frame).catch(() => {});
      glass.sent += 1;
      turn += 1;
      const due = began + (turn * 1000) / fps;
      // A picture that is a little late says so in its stamp; here the next one is late already.
      if (now() > due + 5) glass.late += 1;
      setTimeout(step, Math.max(0, due - now()));
    }
    step();
    glass.ready = true;
    return track;
  }

  devices.getUserMedia = async (wishes) => {
    if (wishes.audio && !window.glassCamera.sound) {
      throw new DOMException("this host has no microphone", "NotFoundError");
    }
    const stream = new MediaStream();
    if (wishes.video) stream.addTrack(await open());
    if (wishes.audio) (await real({ audio: wishes.audio })).getTracks().forEach((t) => stream.addTrack(t));
    return stream;
  };
})();
