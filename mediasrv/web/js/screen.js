/** How the viewer's page looks in every state: the curtain, its words, the controls. */

import { element, setIcon, setText, show, showState } from "./dom.js";
import { WATCH_STATES } from "./state.js";

const QUIET_MS = 3000;

const CURTAINS = {
  connecting: ["Connecting…", ""],
  waiting: ["Waiting for the host", "It starts by itself as soon as they go live. Leave this page open."],
  "host-away": ["The host is coming back", "Their connection dropped. It goes on by itself."],
  slow: ["Little gets through", "The picture goes on by itself, as your connection allows."],
  reconnecting: ["Reconnecting…", "Hold on. It goes on by itself."],
  ended: ["This live has ended", "If the host comes back, it starts again by itself."],
  failed: ["Cannot play", ""],
};

/**
 * @param {{state: string, detail: string}} viewing
 * @param {{moving: boolean, shown: boolean, blocked: boolean}} picture is it live, is there one at
 *   all, does the browser want a tap before it plays?
 */
export function showViewing(viewing, picture, room) {
  const { state, detail } = viewing;
  const screen = element("screen");
  showState(element("live-state"), state, WATCH_STATES[state]);
  screen.dataset.state = state;
  screen.dataset.picture = picture.shown ? "still" : "none";
  document.title = `${WATCH_STATES[state]} · ${room}`;
  if (picture.blocked && state === "live") {
    writeCurtain("Ready", "Your browser waits for a tap.", "Play");
  } else if (picture.moving || state === "live" || (state === "slow" && picture.shown)) {
    // On a slow way the last picture is what there is to see; the pill says why it stands still.
    show(element("curtain"), false);
  } else {
    const [title, text] = CURTAINS[state];
    writeCurtain(title, detail || text, state === "failed" ? "Try again" : "");
  }
  show(element("curtain-lobby"), ["waiting", "ended", "failed"].includes(state));
}

function writeCurtain(title, text, action) {
  show(element("curtain"), true);
  setText(element("curtain-title"), title);
  setText(element("curtain-text"), text);
  show(element("curtain-act"), action !== "");
  setText(element("curtain-act"), action);
}

/** One button: a large invitation while muted, a small one afterwards. */
export function showSound(audible, muted) {
  const button = element("sound");
  show(button, audible);
  button.dataset.muted = String(muted);
  setIcon(button, muted ? "sound-off" : "sound");
  const name = element("sound-name");
  setText(name, muted ? "Tap for sound" : "Mute");
  name.className = muted ? "" : "only-read-aloud";
  button.title = muted ? "Sound on (M)" : "Mute (M)";
}

/** Let the controls fade while nobody touches anything and something plays. */
export function connectQuiet(isPlaying) {
  const screen = element("screen");
  let timer = null;
  const wake = () => {
    screen.dataset.quiet = "false";
    clearTimeout(timer);
    timer = setTimeout(() => {
      // The invitation to unmute stays until it was answered.
      const asking = element("sound").dataset.muted === "true" && !element("sound").hidden;
      screen.dataset.quiet = String(isPlaying() && !asking);
    }, QUIET_MS);
  };
  for (const type of ["pointermove", "pointerdown", "keydown", "focusin"]) addEventListener(type, wake);
  wake();
}

/** Full screen for the whole page where there is that, for the video alone on an iPhone. */
export function connectFullscreen(video) {
  const screen = element("screen");
  const button = element("fullscreen");
  const wholePage = document.fullscreenEnabled && screen.requestFullscreen;
  const videoAlone = !wholePage && video.webkitEnterFullscreen;
  show(button, false);
  const toggle = () => {
    if (!wholePage) video.webkitEnterFullscreen();
    else if (document.fullscreenElement) document.exitFullscreen();
    else screen.requestFullscreen().catch(() => {}); // refused: the page stays as it is
  };
  button.addEventListener("click", toggle);
  document.addEventListener("fullscreenchange", () => {
    const full = Boolean(document.fullscreenElement);
    setIcon(button, full ? "shrink" : "expand");
    button.setAttribute("aria-label", full ? "Leave full screen" : "Full screen");
  });
  return {
    toggle: () => !button.hidden && toggle(),
    offer: (playing) => show(button, playing && Boolean(wholePage || videoAlone)),
  };
}
