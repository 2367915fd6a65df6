/** The still card that viewers see while the host's camera is off or gone. */

const REDRAW_MS = 500;
/** At first it fades in, faster than it is redrawn later: encoders skip what hardly changes, and
 * skipped blocks would keep a shadow of the picture before. */
const FADE_MS = 2000;
const FADE_REDRAW_MS = 100;
const BRIGHTEST = 56;
const DARKEST = 26;

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
  const [track] = canvas.captureStream().getVideoTracks();
  track.contentHint = "detail";
  const openedMs = performance.now();
  const redraw = () => {
    if (track.readyState === "ended") return;
    const faded = Math.min(1, (performance.now() - openedMs) / FADE_MS);
    draw(context, text, BRIGHTEST + faded * (DARKEST - BRIGHTEST));
    setTimeout(redraw, faded < 1 ? FADE_REDRAW_MS : REDRAW_MS);
  };
  redraw();
  return track;
}

function draw(context, text, grey) {
  const { width, height } = context.canvas;
  context.fillStyle = `rgb(${grey} ${grey} ${grey})`; // without colour there is none to be left over
  context.fillRect(0, 0, width, height);
  context.fillStyle = "#f4f5f8";
  context.font = `600 ${Math.round(height / 18)}px ${getComputedStyle(document.body).fontFamily}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, width / 2, height / 2, width * 0.9);
}
