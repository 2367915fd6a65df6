/** One subscription: the host's picture and sound on their way to this viewer. */

import { makeOffer, negotiate, openConnection, preferCodecs, watchConnection } from "./peer.js";

/** The sound waits this long for the picture. */
const SOUND_MS = 1500;
/** A prepared offer older than this may tell of a network that the device has left. */
const FRESH_MS = 30_000;

/**
 * Event: "playable", once, when the stream has its first track.
 *
 * It prepares its offer while the page is still joining the room, so that `open` finds it ready,
 * with the certificate made and the device's addresses gathered. The sound joins the stream after
 * the first picture: opening the speakers takes a browser a good part of the time to it.
 */
export class Subscriber extends EventTarget {
  #report;
  #sound = null;
  #preparedAtMs = performance.now();
  #offer;
  #stopWatching = () => {};

  /** The tracks as they arrive; give it to a video element. */
  stream = new MediaStream();
  /** Monotonic milliseconds (performance.now) of `open`. */
  offerAtMs = null;
  /** Milliseconds from `open` to the first picture shown, written by `shown`. */
  firstFrameMs = null;

  /**
   * @param {(state: "connected"|"lost") => void} report
   * @throws {Error} with words for people, where the browser forbids WebRTC
   */
  constructor(report) {
    super();
    this.#report = report;
    this.pc = openConnection();
    this.pc.addEventListener("track", ({ track }) => {
      if (track.kind === "audio") this.#sound = track;
      else this.#admit(track);
    });
    this.pc.addTransceiver("audio", { direction: "recvonly" });
    preferCodecs(this.pc.addTransceiver("video", { direction: "recvonly" }));
    for (const receiver of this.pc.getReceivers()) playAtOnce(receiver);
    this.#offer = makeOffer(this.pc);
    this.#offer.catch(() => {}); // `open` tells
  }

  /** Is what was prepared still true? */
  get fresh() {
    return performance.now() - this.#preparedAtMs < FRESH_MS;
  }

  /** Negotiate; see `negotiate` for `exchange` and what it throws. */
  async open(exchange) {
    this.offerAtMs = performance.now();
    this.#stopWatching = watchConnection(this.pc, this.#report);
    await negotiate(this.pc, await this.#offer, exchange);
    if (this.hasVideo) setTimeout(() => this.#admit(this.#sound), SOUND_MS);
    else this.#admit(this.#sound);
  }

  #admit(track) {
    if (!track || this.stream.getTracks().includes(track)) return;
    this.stream.addTrack(track);
    if (this.stream.getTracks().length === 1) this.dispatchEvent(new Event("playable"));
  }

  get connected() {
    return this.pc.connectionState === "connected";
  }

  /** Does the host send a picture at all? Known once the answer is there. */
  get hasVideo() {
    return this.#receives("video");
  }

  get hasAudio() {
    return this.#receives("audio");
  }

  #receives(kind) {
    return this.pc.getTransceivers().some((transceiver) =>
      transceiver.receiver.track.kind === kind && transceiver.currentDirection === "recvonly");
  }

  /** Note that a picture is on the screen. */
  shown(atMs) {
    this.firstFrameMs ??= atMs - this.offerAtMs;
    this.#admit(this.#sound);
  }

  /** Pictures decoded and audio packets received so far: grows while media flows. */
  async progress() {
    let [frames, packets] = [0, 0];
    for (const entry of (await this.pc.getStats()).values()) {
      if (entry.type !== "inbound-rtp") continue;
      if (entry.kind === "video") frames += entry.framesDecoded ?? 0;
      packets += entry.packetsReceived ?? 0;
    }
    return { frames, packets };
  }

  close() {
    this.#stopWatching();
    this.pc.close();
  }
}

/** Ask for no playout delay beyond what jitter needs: live means now. */
function playAtOnce(receiver) {
  if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
  else if ("playoutDelayHint" in receiver) receiver.playoutDelayHint = 0;
}
