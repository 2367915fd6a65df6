/**
 * How the room's media fares, as the server tells the host: one line of figures under the picture.
 *
 * The server counts; rates are differences between two of its messages.
 */

import { element, setText, show } from "./dom.js";

const EVERY_S = 2;
/** From here on a share of losses is worth a look; players still hide it. */
const LOSS_TO_SHOW = 0.02;

export class Delivery {
  #signaling;
  #isLive = false;
  #isWatching = false;
  #before = null;

  constructor(signaling) {
    this.#signaling = signaling;
    signaling.addEventListener("statistics", ({ detail }) => this.#told(detail));
    signaling.addEventListener("joined", () => {
      this.#isWatching = false; // that ended with the connection before
      this.#watch();
    });
  }

  /** Watch while live, and show nothing otherwise. */
  setLive(isLive) {
    if (isLive === this.#isLive) return;
    this.#isLive = isLive;
    if (!isLive) show(element("delivery"), false);
    this.#watch();
  }

  async #watch() {
    this.#before = null;
    // Without a connection "joined" calls again.
    if (this.#isWatching === this.#isLive || this.#signaling.status !== "joined") return;
    this.#isWatching = this.#isLive;
    try {
      await this.#signaling.request("watch_statistics", { every_s: this.#isLive ? EVERY_S : null });
    } catch {
      // An older server: the line stays away.
    }
  }

  #told(statistics) {
    const before = this.#before;
    if (before?.elapsed_s === statistics.elapsed_s) return; // nothing was counted anew
    this.#before = statistics;
    if (!this.#isLive || !before) return;
    const figures = read(before, statistics);
    show(element("delivery"), figures !== null);
    if (figures) write(figures);
  }
}

/**
 * What happened between two messages.
 *
 * @returns {{sentBps, repaired, hostLoss, worstLoss, worstRttMs, forwardMs}|null} null before there
 *   is media, and after the counters have started anew
 */
export function read(before, after) {
  const elapsedS = after.elapsed_s - before.elapsed_s;
  const [old, now] = [before.tracks, after.tracks];
  if (elapsedS <= 0 || old.length !== now.length || now.length === 0) return null;
  const grown = (pick) => sum(now, pick) - sum(old, pick);
  const [came, lost] = [(track) => track.received.packets, (track) => track.received.lost];
  if (grown(came) < 0) return null;
  const lostNow = Math.max(0, grown(lost));
  return {
    sentBps: (8 * grown((track) => track.sent.bytes)) / elapsedS,
    repaired: grown((track) => track.sent.repaired),
    hostLoss: lostNow / Math.max(1, grown(came) + lostNow),
    worstLoss: Math.max(0, ...after.peers.map((peer) => peer.loss)),
    worstRttMs: most(after.peers.map((peer) => peer.rtt_ms)),
    forwardMs: after.forward_ms?.p95 ?? null,
  };
}

function sum(tracks, pick) {
  return tracks.reduce((total, track) => total + pick(track), 0);
}

function most(values) {
  const known = values.filter((value) => value !== null);
  return known.length ? Math.max(...known) : null;
}

function write(figures) {
  const { sentBps, repaired, hostLoss, worstLoss, worstRttMs, forwardMs } = figures;
  fill("delivery-sent", `${(sentBps / 1e6).toFixed(1)} Mb/s`);
  fill("delivery-host-loss", percent(hostLoss), hostLoss >= LOSS_TO_SHOW);
  fill("delivery-loss", percent(worstLoss), worstLoss >= LOSS_TO_SHOW);
  fill("delivery-repaired", String(repaired));
  fill("delivery-rtt", worstRttMs === null ? "–" : `${Math.round(worstRttMs)} ms`);
  fill("delivery-server", forwardMs === null ? "–" : `${forwardMs.toFixed(1)} ms`);
}

function fill(id, text, isPoor = false) {
  setText(element(id), text);
  element(id).dataset.poor = String(isPoor);
}

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}
