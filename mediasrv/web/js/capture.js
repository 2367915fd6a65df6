/** The host's own picture and sound: which devices, on or off, and what viewers get meanwhile. */

import { DeviceError, listDevices, openBoth, openCamera, openMicrophone } from "./devices.js";
import { openPlaceholder } from "./placeholder.js";
import { QUALITIES } from "./publisher.js";

const CAMERA_OFF_CARD = "The camera is off";
const CAMERA_LOST_CARD = "Back in a moment";

/**
 * Owns the camera and microphone tracks.
 *
 * Events: "track" {kind, track} when what is to be sent changed; "change" when anything that the
 * page shows did. Work on the devices is done one after the other, however fast buttons are pressed.
 *
 * camera: "closed" (never opened), "on", "off" (the host's wish), "lost" (see `cameraProblem`).
 */
export class Capture extends EventTarget {
  #work = Promise.resolve();

  /** What to send: the camera or its still card, and the microphone when there is one. */
  stream = new MediaStream();
  camera = "closed";
  /** @type {DeviceError|null} */
  cameraProblem = null;
  /** @type {DeviceError|null} */
  microphoneProblem = null;
  muted = false;
  quality = "720p";
  cameraId = "";
  microphoneId = "";

  get videoTrack() {
    return this.stream.getVideoTracks()[0] ?? null;
  }

  get audioTrack() {
    return this.stream.getAudioTracks()[0] ?? null;
  }

  /** Is the browser opening a device, perhaps asking its user? */
  asking = false;

  /** Open camera and microphone, asking for permission when that is needed. */
  open() {
    return this.#inTurn(async () => {
      if (this.camera === "on" || this.camera === "off") return;
      if (this.audioTrack) {
        await this.#openCamera();
        return;
      }
      const wishes = { deviceId: this.microphoneId };
      const opened = await this.#ask(openBoth(this.#cameraWishes(), wishes));
      this.#takeMicrophone(opened.microphone);
      this.#takeCamera(opened.camera);
    });
  }

  /** Open the microphone alone and let a still card stand for the camera. */
  openWithoutCamera() {
    return this.#inTurn(async () => {
      if (!this.audioTrack && !this.microphoneProblem) await this.#openMicrophone();
      this.cameraProblem = null;
      this.#rest("off", CAMERA_OFF_CARD);
    });
  }

  useCamera(deviceId) {
    this.cameraId = deviceId;
    return this.#inTurn(() => this.#reopenCamera());
  }

  useQuality(quality) {
    this.quality = quality;
    return this.#inTurn(() => this.#reopenCamera());
  }

  useMicrophone(deviceId) {
    this.microphoneId = deviceId;
    return this.#inTurn(() => this.#openMicrophone());
  }

  /** Turn the camera off, light included, or on again. */
  setCameraOff(off) {
    return this.#inTurn(async () => {
      if (off && this.camera !== "off") {
        this.cameraProblem = null;
        this.#rest("off", CAMERA_OFF_CARD);
      } else if (!off && this.camera !== "on") {
        await this.#openCamera();
      }
    });
  }

  setMuted(muted) {
    this.muted = muted;
    if (this.audioTrack) this.audioTrack.enabled = !muted;
    this.#changed();
  }

  /** Devices were plugged in: open what was missing, without asking for anything new. */
  devicesChanged() {
    return this.#inTurn(async () => {
      const { cameras, microphones } = await listDevices();
      if (mends(this.cameraProblem, cameras, this.cameraId)) await this.#openCamera();
      if (mends(this.microphoneProblem, microphones, this.microphoneId)) {
        await this.#openMicrophone();
      }
    });
  }

  #cameraWishes() {
    return { deviceId: this.cameraId, quality: this.quality };
  }

  async #reopenCamera() {
    if (this.camera !== "on" && this.camera !== "lost") return;
    // Closed first: many phones refuse to open a second camera beside the first.
    this.videoTrack?.stop();
    await this.#openCamera();
  }

  async #openCamera() {
    const opening = openCamera(this.#cameraWishes()).catch((error) => error);
    this.#takeCamera(await this.#ask(opening));
  }

  async #openMicrophone() {
    this.audioTrack?.stop();
    const opening = openMicrophone({ deviceId: this.microphoneId }).catch((error) => error);
    this.#takeMicrophone(await this.#ask(opening));
  }

  #takeCamera(opened) {
    if (opened instanceof Error) {
      this.cameraProblem = opened;
      // Before the first picture there is nothing to hide, so no card either.
      if (this.camera === "closed") this.#changed();
      else this.#rest("lost", CAMERA_LOST_CARD);
      return;
    }
    this.cameraProblem = null;
    this.camera = "on";
    this.cameraId = opened.getSettings().deviceId ?? "";
    opened.addEventListener("ended", () => this.#cameraEnded(opened));
    this.#put("video", opened);
  }

  #takeMicrophone(opened) {
    if (opened instanceof Error) {
      this.microphoneProblem = opened;
      this.#put("audio", null);
      return;
    }
    this.microphoneProblem = null;
    this.microphoneId = opened.getSettings().deviceId ?? "";
    opened.enabled = !this.muted;
    opened.addEventListener("ended", () => this.#microphoneEnded(opened));
    this.#put("audio", opened);
  }

  /** Unplugged, or its permission withdrawn: tracks that we stop ourselves do not say "ended". */
  #cameraEnded(track) {
    if (track !== this.videoTrack) return;
    this.cameraProblem = unplugged("camera");
    this.#rest("lost", CAMERA_LOST_CARD);
  }

  #microphoneEnded(track) {
    if (track !== this.audioTrack) return;
    this.microphoneProblem = unplugged("microphone");
    this.#put("audio", null);
  }

  #rest(camera, text) {
    this.videoTrack?.stop();
    this.camera = camera;
    this.#put("video", openPlaceholder(QUALITIES[this.quality], text));
  }

  #put(kind, track) {
    const old = kind === "video" ? this.videoTrack : this.audioTrack;
    if (old && old !== track) {
      this.stream.removeTrack(old);
      old.stop();
    }
    if (track) this.stream.addTrack(track);
    this.dispatchEvent(new CustomEvent("track", { detail: { kind, track } }));
    this.#changed();
  }

  async #ask(opening) {
    this.asking = true;
    this.#changed();
    try {
      return await opening;
    } finally {
      this.asking = false;
    }
  }

  #inTurn(step) {
    this.#work = this.#work.then(step);
    return this.#work;
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/**
 * May a device be opened without being asked to? Any, when there was none; after an unplugging only
 * the same one again: another camera may look where the host does not expect it.
 */
function mends(problem, devices, id) {
  if (problem?.reason === "missing") return devices.length > 0;
  return problem?.reason === "unplugged" && devices.some((device) => device.id === id);
}

function unplugged(kind) {
  return new DeviceError(kind, new DOMException("the track ended", "EndedError"));
}
