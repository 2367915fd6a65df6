/** The still card that viewers see while the host's camera is off or gone. */

const REDRAW_MS = 500;

/**
 * Open a video track that shows a dark card with a sentence.
 *
 * It is sent instead of the camera so that viewers see words and not the last frame of a face, and
 * so that the camera itself can be closed, light included. It is drawn anew twice a second because
 * a canvas track sends nothing while nothing is drawn.
 *
 * @param {{width: number, height: number}} size in pixels
 * @returns {MediaStreamTrack} stopping it stops the drawing as well
 */
export function openPlaceholder({ width, height }, text) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { alpha: false });
  draw(context, text);
  const [track] = canvas.captureStream().getVideoTracks();
  const timer = setInterval(() => {
    if (track.readyState === "ended") clearInterval(timer);
    else draw(context, text);
  }, REDRAW_MS);
  return track;
}

function draw(context, text) {
  const { width, height } = context.canvas;
  context.fillStyle = "#15171d";
  context.fillRect(0, 0, width, height);
  context.fillStyle = "#f4f5f8";
  context.font = `600 ${Math.round(height / 18)}px ${getComputedStyle(document.body).fontFamily}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, width / 2, height / 2, width * 0.9);
}
