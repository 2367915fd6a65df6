/** The viewer's page: ties the session to the video element and its few controls. */

import { exposeDiagnostics } from "./diagnostics.js";
import { element, setText, showViewers } from "./dom.js";
import { paintPortrait, roomOf } from "./rooms.js";
import { connectFullscreen, connectQuiet, showSound, showViewing } from "./screen.js";
import { Signaling, socketUrl } from "./signaling.js";
import { Viewing } from "./viewing.js";

const room = roomOf(location.pathname);
const signaling = new Signaling(socketUrl(), { room, role: "viewer" });
const viewing = new Viewing(signaling);
const video = element("remote-video");
const picture = { moving: false, shown: false, blocked: false };
const fullscreen = connectFullscreen(video);

function refresh() {
  picture.moving = viewing.moving;
  showViewing(viewing, picture, room);
  showSound(isAudible(), video.muted);
  fullscreen.offer(picture.shown);
}

/** Is there any sound to unmute? A track is "muted" as long as nothing arrives on it. */
function isAudible() {
  const [track] = viewing.subscriber?.stream.getAudioTracks() ?? [];
  return Boolean(track && !track.muted && viewing.subscriber.hasAudio);
}

function attach() {
  const { subscriber } = viewing;
  if (!subscriber) {
    // Between two subscriptions the last picture stays, until it is known that nothing follows.
    if (["ended", "waiting", "failed"].includes(viewing.state)) clearPicture();
    return;
  }
  subscriber.pc.addEventListener("track", ({ track }) => {
    track.addEventListener("unmute", refresh);
    track.addEventListener("mute", refresh);
  });
  subscriber.addEventListener("playable", () => play(subscriber));
}

function play(subscriber) {
  video.srcObject = subscriber.stream;
  picture.shown = false;
  video.play().then(
    () => { picture.blocked = false; },
    (error) => { picture.blocked = error.name === "NotAllowedError"; },
  ).then(refresh);
  video.requestVideoFrameCallback?.((nowMs) => {
    if (subscriber === viewing.subscriber) pictureShown(nowMs);
  });
}

function pictureShown(atMs) {
  picture.shown = true;
  viewing.shown(atMs);
  refresh();
}

function clearPicture() {
  video.srcObject = null;
  picture.shown = false;
}

function toggleSound() {
  if (element("sound").hidden) return;
  video.muted = !video.muted;
  video.play().catch(() => {}); // a browser may pause when sound comes on; then it asks for a tap
  refresh();
}

function connectControls() {
  element("sound").addEventListener("click", toggleSound);
  element("curtain-act").addEventListener("click", () => {
    if (viewing.state === "failed") location.reload();
    else video.play().then(() => { picture.blocked = false; }).then(refresh);
  });
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "m") toggleSound();
    if (event.key === "f") fullscreen.toggle();
  });
  // In a tab that was opened in the background no frame callback comes; this event does.
  video.addEventListener("loadeddata", () => pictureShown(null));
}

function connectSession() {
  viewing.addEventListener("change", () => {
    if (["ended", "waiting", "failed"].includes(viewing.state)) clearPicture();
    refresh();
  });
  viewing.addEventListener("subscriber", attach);
  for (const type of ["joined", "viewers_changed"]) {
    signaling.addEventListener(type, ({ detail }) => {
      showViewers(element("viewer-count"), detail.viewers);
    });
  }
  addEventListener("pagehide", () => signaling.leave());
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}

setText(element("room-title"), room);
paintPortrait(element("portrait"), room);
element("curtain").style.setProperty("--hue", element("portrait").style.getPropertyValue("--hue"));
connectControls();
connectSession();
connectQuiet(() => viewing.state === "live");
exposeDiagnostics({
  pc: () => viewing.subscriber?.pc ?? null,
  state: () => viewing.state,
  socket: () => signaling.status,
  offerAtMs: () => viewing.subscriber?.offerAtMs ?? null,
  firstFrameMs: () => viewing.subscriber?.firstFrameMs ?? null,
  subscriptions: () => viewing.subscriptions,
});
refresh();
signaling.open();
