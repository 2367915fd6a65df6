/** How the studio looks in every state: preview, cover, notice, buttons, device lists. */

import { explainDevice } from "./devices.js";
import { clock, element, setIcon, setText, show, showState } from "./dom.js";
import { explainRefusal } from "./state.js";

const COVERS = {
  closed: ["See yourself first", "Nobody sees you until you go live."],
  off: ["Your camera is off", "Viewers see a still card in its place."],
  asking: ["Waiting for the camera", "If your browser asks, allow it to go on."],
};
const SLOW_ASK_MS = 400;

let askedTimer = null;

/** The preview: always the camera as it is, never the filtered picture. */
export function showPreview(capture) {
  const preview = element("local-video");
  const track = capture.videoTrack;
  if ((preview.srcObject?.getVideoTracks()[0] ?? null) !== track) {
    preview.srcObject = track ? new MediaStream([track]) : null;
  }
}

/** Everything that depends on the devices. */
export function showCapture(capture) {
  element("frame").dataset.camera = capture.camera;
  const on = capture.camera === "on";
  show(element("frame-tag"), on);
  showCover(capture);
  const mute = element("mute");
  mute.disabled = !capture.audioTrack;
  showControl(mute, capture.muted, ["mic", "Mute"], ["mic-off", "Unmute"]);
  const cameraOff = element("camera-off");
  showControl(cameraOff, !on, ["camera", "Camera off"], ["camera-off", "Camera on"]);
  // Not opened yet is no reason for emphasis.
  if (capture.camera === "closed") cameraOff.dataset.off = "false";
}

function showControl(button, off, [onIcon, onName], [offIcon, offName]) {
  button.dataset.off = String(off);
  setIcon(button, off ? offIcon : onIcon);
  setText(button.querySelector(".control-name"), off ? offName : onName);
}

function showCover(capture) {
  clearTimeout(askedTimer);
  const cover = element("cover");
  if (capture.asking) {
    // Most answers come at once; only a slow one deserves a word.
    askedTimer = setTimeout(() => writeCover(...COVERS.asking, ""), SLOW_ASK_MS);
    return;
  }
  show(cover, capture.camera !== "on");
  if (capture.cameraProblem) {
    const { title, text } = explainDevice(capture.cameraProblem);
    writeCover(title, text, "Try again");
    show(element("without-camera"), true);
  } else if (capture.camera !== "on") {
    const [title, text] = COVERS[capture.camera];
    writeCover(title, text, capture.camera === "off" ? "Turn it on" : "Turn on camera");
  }
}

function writeCover(title, text, action) {
  show(element("cover"), true);
  setText(element("cover-title"), title);
  setText(element("cover-text"), text);
  show(element("open-camera"), action !== "");
  setText(element("open-camera"), action);
  show(element("without-camera"), false);
}

/** Everything that depends on being live. */
export function showBroadcast(broadcast, room) {
  const { state, words, wanted } = broadcast;
  showState(element("live-state"), state, words);
  show(element("go-live"), !wanted);
  show(element("stop-live"), wanted);
  document.title = `${state === "idle" ? "Studio" : words} · ${room}`;
}

/** Time on air and what is sent, once a second. */
export function showVitals(broadcast, sent) {
  const since = broadcast.liveSinceMs;
  show(element("clock"), since !== null);
  if (since !== null) setText(element("clock"), clock((performance.now() - since) / 1000));
  show(element("sent"), sent !== null);
  if (sent) setText(element("sent"), sentWords(sent));
}

function sentWords({ width, height, fps, bitrateBps, codec }) {
  const rate = bitrateBps === null ? "" : `${(bitrateBps / 1e6).toFixed(1)} Mb/s`;
  return [`${width} × ${height}`, `${fps} fps`, rate, codec].filter(Boolean).join(" · ");
}

/** Fill the selectors and keep what is in use selected. */
export function showDevices({ cameras, microphones }, capture) {
  fillSelect(element("camera"), cameras, capture.cameraId, "Listed once the camera is on");
  fillSelect(element("microphone"), microphones, capture.microphoneId,
    capture.microphoneProblem?.reason === "missing" ? "None found" : "Listed once it is on");
}

function fillSelect(select, devices, current, whenEmpty) {
  const known = devices.some((device) => device.id === current);
  const options = devices.map(({ id, label }) => new Option(label, id, false, id === current));
  if (!known) options.unshift(new Option(devices.length ? "Default" : whenEmpty, "", true, true));
  select.replaceChildren(...options);
  select.disabled = devices.length === 0;
}

/**
 * The one thing worth saying now, with the way on.
 *
 * @returns {{text: string, action?: string, act?: string}|null} `act` names what `action` does
 */
export function chooseNotice({ signaling, broadcast, capture, interrupted }) {
  const { refusal } = signaling;
  if (signaling.status === "refused" && refusal.code === "unsupported_version") {
    return { text: explainRefusal(refusal), action: "Reload", act: "reload" };
  }
  if (signaling.status === "refused") {
    const free = refusal.code === "room_taken" ? " It becomes yours as soon as it is free." : "";
    return { text: explainRefusal(refusal) + free, action: "Try again", act: "rejoin" };
  }
  if (signaling.status === "closed" && signaling.ended === "replaced") {
    return {
      text: "This room was opened in another tab or window.",
      action: "Take it back here", act: "rejoin",
    };
  }
  if (broadcast.state === "failed") {
    return { text: broadcast.detail || "You are not live.", action: "Go live again", act: "go-live" };
  }
  if (interrupted && !broadcast.wanted) {
    return {
      text: "You were live a moment ago, and your viewers are waiting.",
      action: "Go live again", act: "go-live",
    };
  }
  if (broadcast.wanted && broadcast.detail) return { text: broadcast.detail };
  if (signaling.status === "lost") return { text: "The server cannot be reached. Trying again…" };
  return microphoneNotice(capture);
}

function microphoneNotice({ microphoneProblem, cameraProblem }) {
  // One cause for both is told once, over the picture.
  if (!microphoneProblem || microphoneProblem.reason === cameraProblem?.reason) return null;
  const { title, text } = explainDevice(microphoneProblem);
  return { text: `${title}. ${text}`, action: "Try again", act: "microphone" };
}

export function showNotice(notice) {
  show(element("notice"), notice !== null);
  if (!notice) return;
  setText(element("notice-text"), notice.text);
  const button = element("notice-act");
  show(button, Boolean(notice.action));
  setText(button, notice.action ?? "");
  button.dataset.act = notice.act ?? "";
}
