/** Cameras and microphones: opening them, listing them, and what went wrong, in words. */

import { QUALITIES } from "./publisher.js";

const FRAME_RATE = 30;

/** The browser would not give a device; `kind` is "camera" or "microphone". */
export class DeviceError extends Error {
  constructor(kind, cause) {
    super(cause.message, { cause });
    this.name = "DeviceError";
    this.kind = kind;
    this.reason = reasonOf(cause);
  }
}

function reasonOf(cause) {
  switch (cause.name) {
    case "NotAllowedError":
    case "SecurityError":
      return /system/i.test(cause.message) ? "system_denied" : "denied";
    case "NotFoundError":
      return "missing";
    case "NotReadableError":
    case "AbortError":
      return "busy";
    case "InsecureError":
      return "insecure";
    case "EndedError":
      return "unplugged";
    default:
      return "unknown";
  }
}

/** A title, a sentence that says what to do, and a word for the button, for each failure. */
export function explainDevice(error) {
  const { kind, reason } = error;
  const name = kind === "camera" ? "Camera" : "Microphone";
  const device = name.toLowerCase();
  switch (reason) {
    case "denied":
      return {
        title: `${name} access is blocked`,
        text: `Allow the ${device} for this site (the icon beside the address), then try again.`,
      };
    case "system_denied":
      return {
        title: `The system blocks the ${device}`,
        text: `Allow this browser to use the ${device} in the system's privacy settings, then try again.`,
      };
    case "missing":
      return {
        title: `No ${device} found`,
        text: `Plug one in; this page notices by itself.`,
      };
    case "unplugged":
      return {
        title: `Your ${device} went away`,
        text: kind === "camera"
          ? "Viewers see a still card meanwhile. Plug it in again, or choose another one."
          : "You are without sound meanwhile. Plug it in again, or choose another one.",
      };
    case "busy":
      return {
        title: `The ${device} is busy`,
        text: `Another program or tab is using it. Close that one, then try again.`,
      };
    case "insecure":
      return {
        title: `Browsers give the ${device} to secure pages only`,
        text: "Open this page through https://, or through http://localhost on the server's own machine.",
      };
    default:
      return {
        title: `The ${device} did not start`,
        text: error.message ? `The browser says: ${error.message}` : "Try again, or choose another one.",
      };
  }
}

function requireDevices(kind) {
  if (navigator.mediaDevices?.getUserMedia) return navigator.mediaDevices;
  throw new DeviceError(kind, new DOMException("not a secure context", "InsecureError"));
}

function videoWishes({ deviceId, quality }) {
  const { width, height } = QUALITIES[quality];
  return {
    width: { ideal: width },
    height: { ideal: height },
    frameRate: { ideal: FRAME_RATE, max: FRAME_RATE },
    ...(deviceId ? { deviceId: { exact: deviceId } } : { facingMode: "user" }),
  };
}

function audioWishes({ deviceId }) {
  return {
    echoCancellation: true,
    noiseSuppression: true,
    autoGainControl: true,
    ...(deviceId ? { deviceId: { exact: deviceId } } : {}),
  };
}

/**
 * Open with the wishes; when no device can fulfil them (the chosen one is gone, an odd camera),
 * open any device of the kind.
 */
async function openOne(kind, constraint, wishes) {
  const devices = requireDevices(kind);
  try {
    return (await devices.getUserMedia({ [constraint]: wishes })).getTracks()[0];
  } catch (cause) {
    if (cause.name !== "OverconstrainedError") throw new DeviceError(kind, cause);
  }
  try {
    return (await devices.getUserMedia({ [constraint]: true })).getTracks()[0];
  } catch (cause) {
    throw new DeviceError(kind, cause);
  }
}

/** @returns {Promise<MediaStreamTrack>} @throws {DeviceError} */
export function openCamera(wishes) {
  return openOne("camera", "video", videoWishes(wishes));
}

/** @returns {Promise<MediaStreamTrack>} @throws {DeviceError} */
export function openMicrophone(wishes) {
  return openOne("microphone", "audio", audioWishes(wishes));
}

/**
 * Open both with one question to the user. When that fails, each is tried alone, so that a missing
 * microphone does not cost the picture.
 *
 * @returns {Promise<{camera: MediaStreamTrack|DeviceError, microphone: MediaStreamTrack|DeviceError}>}
 */
export async function openBoth(camera, microphone) {
  try {
    const stream = await requireDevices("camera").getUserMedia({
      video: videoWishes(camera),
      audio: audioWishes(microphone),
    });
    return { camera: stream.getVideoTracks()[0], microphone: stream.getAudioTracks()[0] };
  } catch (cause) {
    if (cause instanceof DeviceError) return { camera: cause, microphone: cause };
    return openEach(camera, microphone, cause);
  }
}

async function openEach(camera, microphone, cause) {
  const refused = cause.name === "NotAllowedError";
  const open = async (kind, opening) => {
    // A question that was just refused is not asked a second time.
    if (refused && (await permission(kind)) !== "granted") return new DeviceError(kind, cause);
    return opening().catch((error) => error);
  };
  return {
    camera: await open("camera", () => openCamera(camera)),
    microphone: await open("microphone", () => openMicrophone(microphone)),
  };
}

/** "granted", "denied", or "prompt" (also when the browser does not tell). */
export async function permission(kind) {
  try {
    return (await navigator.permissions.query({ name: kind })).state;
  } catch {
    return "prompt";
  }
}

/** The devices by kind, each with an id and a label; unnamed before permission was given. */
export async function listDevices() {
  const all = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  const named = (kind, fallback) =>
    all.filter((device) => device.kind === kind && device.deviceId)
      .map((device, index) => ({
        id: device.deviceId,
        label: device.label || `${fallback} ${index + 1}`,
      }));
  return {
    cameras: named("videoinput", "Camera"),
    microphones: named("audioinput", "Microphone"),
  };
}
