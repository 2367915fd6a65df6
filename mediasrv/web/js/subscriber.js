/** One subscription: the host's picture and sound on their way to this viewer. */

import { negotiate, openConnection, preferCodecs, watchConnection } from "./peer.js";

export class Subscriber {
  #stopWatching;

  /** The tracks as they arrive; give it to a video element. */
  stream = new MediaStream();
  /** Monotonic milliseconds (performance.now) of createOffer. */
  offerAtMs = null;
  /** Milliseconds from createOffer to the first picture shown, written by `shown`. */
  firstFrameMs = null;

  /** @param {(state: "connected"|"lost") => void} report */
  constructor(report) {
    this.pc = openConnection();
    this.pc.addEventListener("track", ({ track }) => this.stream.addTrack(track));
    this.pc.addTransceiver("audio", { direction: "recvonly" });
    preferCodecs(this.pc.addTransceiver("video", { direction: "recvonly" }));
    for (const receiver of this.pc.getReceivers()) playAtOnce(receiver);
    this.#stopWatching = watchConnection(this.pc, report);
  }

  /** Negotiate; see `negotiate` for `exchange` and what it throws. */
  async open(exchange) {
    this.offerAtMs = performance.now();
    await negotiate(this.pc, exchange);
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
  }

  /** Pictures decoded and audio packets received so far: grows while media flows. */
  async progress() {
    let [frames, packets] = [0, 0];
    for (const entry of (await this.pc.getStats()).values()) {
      if (entry.type !== "inbound-rtp") continue;
      if (entry.kind === "video") frames += entry.framesDecoded ?? 0;
      else packets += entry.packetsReceived ?? 0;
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
