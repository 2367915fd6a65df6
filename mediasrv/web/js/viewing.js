/**
 * The viewer's session: in the room, playing whenever the host is live, back after every loss.
 *
 * No document here: the page shows `state`, plays `subscriber.stream`, and tells when a picture is
 * on the screen.
 */

import { backoffMs } from "./signaling.js";
import { explainRefusal, watchState } from "./state.js";
import { Subscriber } from "./subscriber.js";

const LOOK_MS = 1000;
/** No new picture for this long: what is on the screen is not live any more. */
const STALLED_MS = 3000;
/** Nothing came for this long although the host is live: subscribe anew. */
const HOPELESS_MS = 8000;
/** Something comes, but no picture: on a way so narrow a new subscription makes it worse. */
const PICTURELESS_MS = 30_000;
/** After the socket was away: something must come within this time, or we subscribe anew. */
const PROOF_MS = 1500;
/** A socket that is back sooner than this was not worth a word. */
const LOST_MS = 1000;
/** Media that has shown a picture, whether it moves or not. */
const SHOWN = new Set(["playing", "stalled", "slow"]);
const FINAL = new Set(["bad_sdp", "unsupported_codec", "not_allowed", "bad_message"]);

/** Events: "change" when state or detail did; "subscriber" when there is another one, or none. */
export class Viewing extends EventTarget {
  #signaling;
  /** Ready for the first subscription. @type {Subscriber|null} */
  #prepared = null;
  #timer = null;
  #attempt = 0;
  /** Is there a publication to subscribe to? Also while its host is away. */
  #publishing = false;
  #seen = { frames: 0, packets: 0 };
  #arrivedAtMs = 0;
  #movedAtMs = 0;
  #provenFromMs = null;
  #lostTimer = null;
  #parts = {
    refused: false, socket: "connecting", room: "unknown", hostMedia: "connected", media: "none",
  };

  /** @type {Subscriber|null} */
  subscriber = null;
  state = "connecting";
  /** A sentence for "failed" and "ended"; else empty. */
  detail = "";
  subscriptions = 0;

  constructor(signaling) {
    super();
    this.#signaling = signaling;
    const on = (type, act) => signaling.addEventListener(type, ({ detail }) => act(detail));
    on("status", () => this.#statusChanged());
    on("joined", (joined) => this.#joined(joined));
    on("host_live", () => this.#roomChanged("live"));
    on("host_away", () => this.#roomChanged("away"));
    on("host_returned", () => this.#roomChanged(this.#publishing ? "live" : "waiting"));
    on("host_left", ({ reason }) => this.#hostLeft(reason));
    on("host_media", ({ state }) => this.#update({ hostMedia: state }));
    setInterval(() => this.#look(), LOOK_MS);
    try {
      this.#prepared = this.#newSubscriber();
    } catch {
      // `#subscribe` meets the same and tells; a room that is not live needs no word of it.
    }
  }

  /**
   * The page shows the first picture of the present subscription.
   *
   * @param {number|null} atMs when it came on the screen (performance.now), if that is known
   */
  shown(atMs) {
    if (atMs !== null) this.subscriber?.shown(atMs);
    this.#attempt = 0;
    this.#movedAtMs = performance.now();
    this.#update({ media: "playing" });
  }

  /** Does the picture on the screen move, whatever else is being mended? */
  get moving() {
    return this.#parts.media === "playing";
  }

  #statusChanged() {
    const { status } = this.#signaling;
    clearTimeout(this.#lostTimer);
    if (status === "lost") {
      this.#lostTimer = setTimeout(() => this.#update({ socket: "lost" }), LOST_MS);
    } else if (status === "joined") {
      this.#update({ socket: "joined" });
    } else if (status === "refused") {
      this.#fail(this.#signaling.refusal);
    } else if (status === "closed") {
      this.#unsubscribe();
      this.#update({ room: "ended" }, "This page has left the room.");
    }
  }

  #joined({ state, publishing }) {
    this.#publishing = publishing;
    const flowing = this.subscriber?.connected;
    const ended = this.#parts.room === "ended" && state === "waiting";
    this.#update({ room: ended ? "ended" : state, hostMedia: "connected" });
    if (!publishing) this.#unsubscribe();
    else if (!flowing) this.#subscribe();
    else this.#demandProof(this.subscriber);
  }

  /** The server may be another one by now, which knows nothing of this connection. */
  async #demandProof(subscriber) {
    const soFar = await subscriber.progress();
    if (subscriber !== this.subscriber) return;
    this.#seen = soFar;
    this.#provenFromMs = performance.now();
  }

  #roomChanged(room) {
    this.#update({ room, hostMedia: "connected" }, "");
    if (room === "live") this.#publishing = true;
    if (this.#publishing && !this.subscriber) this.#subscribe();
  }

  #hostLeft(reason) {
    this.#publishing = false;
    this.#unsubscribe();
    this.#update({ room: "ended" }, reason === "timeout" ? "The host lost the connection." : "");
  }

  async #subscribe() {
    clearTimeout(this.#timer);
    this.#unsubscribe(this.#parts.media === "none" ? "connecting" : "lost");
    if (this.#signaling.status !== "joined") return; // `#joined` calls again
    const subscriber = this.#openSubscriber();
    if (!subscriber) return;
    this.subscriber = subscriber;
    this.subscriptions += 1;
    this.#seen = { frames: 0, packets: 0 };
    this.#movedAtMs = this.#arrivedAtMs = performance.now();
    this.#provenFromMs = null;
    this.dispatchEvent(new Event("subscriber"));
    try {
      await subscriber.open((sdp) => this.#signaling.request("subscribe", { sdp }));
    } catch (error) {
      if (subscriber === this.subscriber) this.#refused(error);
    }
  }

  #openSubscriber() {
    const prepared = this.#prepared;
    this.#prepared = null;
    if (prepared?.fresh) return prepared;
    prepared?.close();
    try {
      return this.#newSubscriber();
    } catch (error) {
      this.#fail(error);
      return null;
    }
  }

  #newSubscriber() {
    const subscriber = new Subscriber((report) => {
      if (subscriber === this.subscriber && report === "lost") this.#mediaLost();
    });
    return subscriber;
  }

  #unsubscribe(media = "none") {
    clearTimeout(this.#timer);
    if (this.subscriber) {
      this.subscriber.close();
      this.subscriber = null;
      this.dispatchEvent(new Event("subscriber"));
    }
    this.#update({ media });
  }

  #refused(error) {
    if (error.code === "not_live") {
      this.#publishing = false;
      this.#unsubscribe();
      if (this.#parts.room === "live") this.#update({ room: "waiting" });
    } else if (error.code === "socket_lost") {
      this.#unsubscribe("lost"); // `#joined` subscribes again
    } else if (FINAL.has(error.code)) {
      this.#unsubscribe();
      this.#fail(error);
    } else {
      this.#subscribeLater(error.retryAfterMs);
    }
  }

  #mediaLost() {
    this.#update({ media: "lost" });
    this.#subscribeLater(null);
  }

  #subscribeLater(retryAfterMs) {
    this.#unsubscribe("lost");
    const delayMs = Math.max(retryAfterMs ?? 0, this.#attempt ? backoffMs(this.#attempt) : 0);
    this.#attempt += 1;
    this.#timer = setTimeout(() => {
      if (this.#publishing && !this.subscriber) this.#subscribe();
    }, delayMs);
  }

  #fail(error) {
    this.#update({ refused: true }, explainRefusal(error));
  }

  /** Once a second: do the pictures still move? */
  async #look() {
    const { subscriber } = this;
    if (!subscriber) return;
    const { frames, packets } = await subscriber.progress();
    if (subscriber !== this.subscriber) return;
    const nowMs = performance.now();
    const before = this.#seen;
    this.#seen = { frames, packets };
    if (packets > before.packets) {
      this.#arrivedAtMs = nowMs;
      this.#provenFromMs = null;
    }
    if (subscriber.hasVideo ? frames > before.frames : packets > before.packets) {
      this.#movedAtMs = nowMs;
      if (!subscriber.hasVideo) this.#attempt = 0;
      if (this.#parts.media !== "connecting" || !subscriber.hasVideo) {
        this.#update({ media: "playing" });
      }
      return;
    }
    this.#judge(nowMs);
  }

  #judge(nowMs) {
    const stillMs = nowMs - this.#movedAtMs;
    const silentMs = nowMs - this.#arrivedAtMs;
    const unproven = this.#provenFromMs !== null && nowMs - this.#provenFromMs > PROOF_MS;
    if (stillMs > STALLED_MS && SHOWN.has(this.#parts.media)) {
      this.#update({ media: silentMs > STALLED_MS ? "stalled" : "slow" });
    }
    // While the host's own media is away, a new subscription would show no more than this one.
    const expected = this.#publishing && this.#parts.hostMedia === "connected";
    const hopeless = silentMs > HOPELESS_MS || stillMs > PICTURELESS_MS;
    if (expected && (unproven || hopeless)) this.#mediaLost();
  }

  #update(parts, detail = this.detail) {
    const moved = this.moving;
    Object.assign(this.#parts, parts);
    const state = watchState(this.#parts);
    if (state === this.state && detail === this.detail && moved === this.moving) return;
    this.state = state;
    this.detail = detail;
    this.dispatchEvent(new Event("change"));
  }
}
