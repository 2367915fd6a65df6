/** One publication: this host's camera and microphone on their way to the server. */

import { makeOffer, negotiate, openConnection, preferCodecs, watchConnection } from "./peer.js";

/** What each choice of the resolution selector asks of the camera and allows on the wire. */
export const QUALITIES = {
  "360p": { width: 640, height: 360, maxBitrate: 800_000 },
  "720p": { width: 1280, height: 720, maxBitrate: 2_500_000 },
  "1080p": { width: 1920, height: 1080, maxBitrate: 4_500_000 },
};

const MAX_FRAMERATE = 30;

/**
 * Smaller pictures for viewers with little bandwidth, the smallest first; sent while the server
 * wants them. Chromium sends fewer streams of small pictures, and would leave out the best one:
 * `minHeight` is what a picture needs for them.
 */
const LOWER = [
  { rid: "q", scaleResolutionDownBy: 4, maxBitrate: 150_000, minHeight: 540 },
  { rid: "h", scaleResolutionDownBy: 2, maxBitrate: 500_000, minHeight: 540 },
];
const BEST_RID = "f";

export class Publisher {
  #audio;
  #video;
  #stopWatching;
  #lastSample = null;
  /** The rids that the server wants. */
  #wanted = [];
  #best = { active: true, scaleResolutionDownBy: 1 };

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
    this.#best.maxBitrate = maxBitrate;
    this.#audio = this.pc.addTransceiver(audio ?? "audio", {
      direction: "sendonly", streams: [stream],
    });
    this.#video = addVideo(this.pc, video ?? "video", stream, encodings(maxBitrate));
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
    await this.#configure();
  }

  get connected() {
    return this.pc.connectionState === "connected";
  }

  /** Send another track of the same kind, or nothing; viewers notice no renegotiation. */
  async replaceTrack(kind, track) {
    if (kind === "video") hintMotion(track);
    await (kind === "video" ? this.#video : this.#audio).sender.replaceTrack(track);
    if (kind === "video") await this.#configure();
  }

  async setQuality(quality) {
    this.#best.maxBitrate = QUALITIES[quality].maxBitrate;
    await this.#configure();
  }

  /** Send these qualities, by rid, and no other; the best one always. */
  async wantQualities(rids) {
    this.#wanted = rids;
    await this.#configure();
  }

  async #configure() {
    const { sender } = this.#video;
    const height = sender.track?.getSettings?.().height ?? 0;
    try {
      const parameters = sender.getParameters();
      // A server without simulcast leaves fewer encodings, one or two: the last one is the best then.
      Object.assign(parameters.encodings.at(-1), this.#best);
      const hasSimulcast = /^a=simulcast:/m.test(this.pc.remoteDescription?.sdp ?? "");
      for (const encoding of parameters.encodings.slice(0, -1)) {
        const { minHeight } = LOWER.find(({ rid }) => rid === encoding.rid);
        const isWanted = hasSimulcast && this.#wanted.includes(encoding.rid);
        encoding.active = isWanted && height >= minHeight;
      }
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
    const video = streams.filter((entry) => entry.kind === "video" && entry.frameWidth)
      .sort((a, b) => b.frameWidth - a.frameWidth)[0];
    if (!video) return null;
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
 * The video in qualities and temporal layers, so that the server can send viewers with little
 * bandwidth fewer frames or a smaller picture instead of a frozen one.
 */
function encodings(maxBitrate) {
  const common = { maxFramerate: MAX_FRAMERATE, scalabilityMode: "L1T3" };
  const lower = LOWER.map(({ minHeight, ...encoding }) => ({ ...common, ...encoding, active: false }));
  return [...lower, { ...common, rid: BEST_RID, maxBitrate }];
}

/** Add the video as well as the browser can: some know no layers, some no simulcast. */
function addVideo(pc, track, stream, sendEncodings) {
  const init = { direction: "sendonly", streams: [stream] };
  const { rid, scalabilityMode, ...plain } = sendEncodings.at(-1);
  const attempts = [sendEncodings, [{ ...plain, scalabilityMode }], [plain]];
  for (const attempt of attempts.slice(0, -1)) {
    try {
      return pc.addTransceiver(track, { ...init, sendEncodings: attempt });
    } catch {
      // The next attempt asks for less.
    }
  }
  return pc.addTransceiver(track, { ...init, sendEncodings: attempts.at(-1) });
}
