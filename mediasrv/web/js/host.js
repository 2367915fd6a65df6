/** The host studio: ties devices, session and beauty panel to the page. */

import { BeautyPanel } from "./beauty.js";
import { Broadcast } from "./broadcast.js";
import { Capture } from "./capture.js";
import { Delivery } from "./delivery.js";
import { listDevices, permission } from "./devices.js";
import { exposeDiagnostics } from "./diagnostics.js";
import { element, setText, showViewers } from "./dom.js";
import { keepResume, readResume } from "./resume.js";
import { roomOf } from "./rooms.js";
import { connectShare } from "./share.js";
import { Signaling, socketUrl } from "./signaling.js";
import {
  chooseNotice, showBroadcast, showCapture, showDevices, showNotice, showPreview, showVitals,
} from "./studio.js";

const VITALS_MS = 1000;
const ROOM_TAKEN_RETRY_MS = 3000;

const room = roomOf(location.pathname);
const signaling = new Signaling(socketUrl(), { room, role: "host", resume: readResume(room) });
const capture = new Capture();
const broadcast = new Broadcast(signaling, capture);
const beauty = new BeautyPanel(signaling);
const delivery = new Delivery(signaling);
/** Was this page live before it was loaded again, and could not go on by itself? */
let interrupted = false;

function refresh() {
  showBroadcast(broadcast, room);
  showCapture(capture);
  showNotice(chooseNotice({ signaling, broadcast, capture, interrupted }));
  beauty.setLive(broadcast.wanted);
  delivery.setLive(broadcast.state === "live");
  const barred = signaling.status === "refused" || signaling.status === "closed";
  element("go-live").disabled = barred;
}

async function refreshDevices() {
  showDevices(await listDevices(), capture);
}

async function goLive() {
  interrupted = false;
  await capture.open();
  if (capture.videoTrack) broadcast.goLive();
  else refresh();
}

const ACTS = {
  "reload": () => location.reload(),
  "rejoin": () => signaling.retry(),
  "go-live": goLive,
  "microphone": () => capture.useMicrophone(capture.microphoneId),
};

/** The page was loaded again while live: go on, when that needs no question. */
async function joined({ publishing, resume, viewers }) {
  keepResume(room, resume);
  showViewers(element("viewer-count"), viewers);
  if (!publishing || broadcast.publisher || broadcast.wanted) return;
  if (await mayCapture()) await goLive();
  else interrupted = true;
  refresh();
}

async function mayCapture() {
  const states = await Promise.all([permission("camera"), permission("microphone")]);
  return states.every((state) => state === "granted");
}

function connectControls() {
  const on = (id, act, event = "click") => element(id).addEventListener(event, act);
  on("go-live", goLive);
  on("stop-live", () => broadcast.stop());
  on("open-camera", () => (capture.camera === "off" ? capture.setCameraOff(false) : capture.open()));
  on("without-camera", () => capture.openWithoutCamera());
  on("mute", () => capture.setMuted(!capture.muted));
  on("camera-off", () => {
    if (capture.camera === "closed") capture.open();
    else capture.setCameraOff(capture.camera === "on");
  });
  on("notice-act", () => ACTS[element("notice-act").dataset.act]?.());
  on("camera", (event) => capture.useCamera(event.target.value), "change");
  on("microphone", (event) => capture.useMicrophone(event.target.value), "change");
  on("quality", async (event) => {
    await capture.useQuality(event.target.value);
    await broadcast.setQuality(capture.quality);
  }, "change");
  const preview = element("local-video");
  preview.addEventListener("resize", () => {
    const aspect = preview.videoWidth / preview.videoHeight || 1;
    element("frame").style.setProperty("--aspect", String(Math.min(1.78, Math.max(0.75, aspect))));
  });
}

function connectSession() {
  signaling.addEventListener("joined", ({ detail }) => joined(detail));
  signaling.addEventListener("viewers_changed", ({ detail }) => {
    showViewers(element("viewer-count"), detail.viewers);
  });
  signaling.addEventListener("status", () => {
    refresh();
    if (signaling.status === "refused" && signaling.refusal.code === "room_taken") {
      const delayMs = Math.min(ROOM_TAKEN_RETRY_MS, signaling.refusal.retryAfterMs ?? Infinity);
      setTimeout(() => signaling.status === "refused" && signaling.retry(), delayMs);
    }
  });
  broadcast.addEventListener("change", refresh);
  capture.addEventListener("change", () => {
    refresh();
    refreshDevices();
  });
  capture.addEventListener("track", () => showPreview(capture));
  navigator.mediaDevices?.addEventListener?.("devicechange", () => {
    refreshDevices();
    capture.devicesChanged();
  });
}

/** Closing while live keeps the room for the grace; closing otherwise gives it back at once. */
function connectLeaving() {
  addEventListener("beforeunload", (event) => {
    if (broadcast.wanted) event.preventDefault();
  });
  addEventListener("pagehide", () => {
    if (broadcast.wanted) return;
    keepResume(room, null);
    signaling.leave();
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}

async function tick() {
  const sending = broadcast.state === "live" && capture.camera === "on";
  const sent = sending ? await broadcast.publisher?.sample() : null;
  showVitals(broadcast, sent ?? null);
}

setText(element("room-title"), room);
connectShare(room);
connectControls();
connectSession();
connectLeaving();
setInterval(tick, VITALS_MS);
exposeDiagnostics({
  pc: () => broadcast.publisher?.pc ?? null,
  state: () => broadcast.state,
  socket: () => signaling.status,
  offerAtMs: () => broadcast.publisher?.offerAtMs ?? null,
  connectedAtMs: () => broadcast.publisher?.connectedAtMs ?? null,
  publications: () => broadcast.publications,
  filter: () => beauty.told,
});
refresh();
refreshDevices();
signaling.open();
beauty.load();
// Asking is for the button; but who has allowed it before sees the picture at once.
mayCapture().then((may) => may && capture.open());
