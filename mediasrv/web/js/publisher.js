/** One publication: this host's camera and microphone on their way to the server. */

import { makeOffer, negotiate, openConnection, preferCodecs, watchConnection } from "./peer.js";

/** What each choice of the resolution selector asks of the camera and allows on the wire. */
export const QUALITIES = {
  "360p": { width: 640, height: 360, maxBitrate: 800_000 },
  "720p": { width: 1280, height: 720, maxBitrate: 2_500_000 },
  "1080p": { width: 1920, height: 1080, maxBitrate: 4_500_000 },
};

const MAX_FRAMERATE = 30;

export class Publisher {
  #audio;
  #video;
  #stopWatching;
  #lastSample = null;

  /** Monotonic milliseconds (performance.now) of createOffer and of the first "connected". */
  offerAtMs = null;
  connectedAtMs = null;

  /**
   * @param {MediaStream} stream what to send; a missing kind is offered all the same, so that a
   *   camera or microphone that comes later needs no new negotiation
   * @param {string} quality a key of QUALITIES
   * @param {(state: "connected"|"lost") => void} report
   */
  constructor(stream, quality, report) {
    this.pc = openConnection();
    const [audio] = stream.getAudioTracks();
    const [video] = stream.getVideoTracks();
    hintMotion(video);
    const { maxBitrate } = QUALITIES[quality];
    this.#audio = this.pc.addTransceiver(audio ?? "audio", {
      direction: "sendonly", streams: [stream],
    });
    this.#video = addLayeredVideo(this.pc, video ?? "video", stream, {
      maxBitrate, maxFramerate: MAX_FRAMERATE,
    });
    preferCodecs(this.#video);
    this.#stopWatching = watchConnection(this.pc, (state) => {
      if (state === "connected") this.connectedAtMs ??= performance.now();
      report(state);
    });
  }

  /** Negotiate; see `negotiate` for `exchange` and what it throws. */
  async open(exchange) {
    this.offerAtMs = performance.now();
    await negotiate(this.pc, await makeOffer(this.pc), exchange);
    await this.#configure({});
  }

  get connected() {
    return this.pc.connectionState === "connected";
  }

  /** Send another track of the same kind, or nothing; viewers notice no renegotiation. */
  async replaceTrack(kind, track) {
    if (kind === "video") hintMotion(track);
    await (kind === "video" ? this.#video : this.#audio).sender.replaceTrack(track);
  }

  async setQuality(quality) {
    await this.#configure({ maxBitrate: QUALITIES[quality].maxBitrate });
  }

  async #configure(encoding) {
    const { sender } = this.#video;
    try {
      const parameters = sender.getParameters();
      Object.assign(parameters.encodings[0], encoding);
      parameters.degradationPreference = "maintain-resolution";
      await sender.setParameters(parameters);
    } catch {
      // A wish, not a need: the browser then adapts in its own way.
    }
  }

  /**
   * What is being sent, since the last call.
   *
   * @returns {Promise<{width, height, fps, bitrateBps, codec}|null>} null until something is
   */
  async sample() {
    const report = await this.pc.getStats();
    const streams = [...report.values()].filter((entry) => entry.type === "outbound-rtp");
    const video = streams.find((entry) => entry.kind === "video");
    if (!video?.frameWidth) return null;
    const bytes = streams.reduce((sum, entry) => sum + (entry.bytesSent ?? 0), 0);
    const before = this.#lastSample;
    this.#lastSample = { bytes, atMs: video.timestamp };
    const elapsedMs = before ? video.timestamp - before.atMs : 0;
    return {
      width: video.frameWidth,
      height: video.frameHeight,
      fps: Math.round(video.framesPerSecond ?? 0),
      bitrateBps: elapsedMs > 0 ? ((bytes - before.bytes) * 8000) / elapsedMs : null,
      codec: report.get(video.codecId)?.mimeType?.split("/")[1] ?? "",
    };
  }

  close() {
    this.#stopWatching();
    this.pc.close();
  }
}

/** A face in motion, unless the track says that it is something else. */
function hintMotion(track) {
  if (track?.contentHint === "") track.contentHint = "motion";
}

/**
 * Add the video in temporal layers, so that the server can send viewers with little bandwidth fewer
 * frames instead of frozen ones. A browser that knows no layers sends plain video.
 */
function addLayeredVideo(pc, track, stream, encoding) {
  const init = { direction: "sendonly", streams: [stream] };
  try {
    const layered = { ...encoding, scalabilityMode: "L1T3" };
    return pc.addTransceiver(track, { ...init, sendEncodings: [layered] });
  } catch {
    return pc.addTransceiver(track, { ...init, sendEncodings: [encoding] });
  }
}
