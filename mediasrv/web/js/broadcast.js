/**
 * The host's session: in the room, live or not, and back again after every kind of loss.
 *
 * No document here: the page shows `state` and `words`, and hands in the stream.
 */

import { Publisher } from "./publisher.js";
import { backoffMs } from "./signaling.js";
import { HOST_STATES, explainRefusal } from "./state.js";

/** Attempts to bring media through before the page says that it cannot. */
const MEDIA_ATTEMPTS = 4;
/** How long the server may call the media lost before this page starts it anew. */
const DOUBT_MS = 2000;
/** Refusals of an offer that the same offer would meet again. */
const FINAL = new Set(["bad_sdp", "unsupported_codec", "not_allowed", "wrong_order", "bad_message"]);

/**
 * Events: "change" when state, words or detail did; "connected" when media flows (again).
 *
 * state: "idle", "connecting", "live", "reconnecting", "failed".
 */
export class Broadcast extends EventTarget {
  #signaling;
  #capture;
  #wanted = false;
  #hasBeenLive = false;
  #owesUnpublish = false;
  #attempt = 0;
  #timer = null;
  #doubtTimer = null;
  #round = 0;

  /** @type {Publisher|null} */
  publisher = null;
  state = "idle";
  words = HOST_STATES.idle;
  /** A sentence more, when there is something to explain; else empty. */
  detail = "";
  publications = 0;
  /** When the present broadcast went live (performance.now), or null. */
  liveSinceMs = null;

  constructor(signaling, capture) {
    super();
    this.#signaling = signaling;
    this.#capture = capture;
    signaling.addEventListener("joined", ({ detail }) => this.#joined(detail));
    signaling.addEventListener("status", () => this.#statusChanged());
    signaling.addEventListener("host_media", ({ detail }) => this.#serverSees(detail.state));
    signaling.addEventListener("qualities_wanted", ({ detail }) => {
      this.publisher?.wantQualities(detail.rids);
    });
    capture.addEventListener("track", ({ detail: { kind, track } }) => {
      this.publisher?.replaceTrack(kind, track).catch(() => this.#mediaLost());
    });
  }

  /** Does the host want to be live, whatever the network does at the moment? */
  get wanted() {
    return this.#wanted;
  }

  goLive() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#hasBeenLive = false;
    this.#attempt = 0;
    this.#set("connecting");
    this.#publish();
  }

  async stop() {
    this.#wanted = false;
    this.#closePublisher();
    this.liveSinceMs = null;
    this.#set("idle");
    await this.#unpublish();
  }

  async setQuality(quality) {
    await this.publisher?.setQuality(quality);
  }

  async #unpublish() {
    try {
      await this.#signaling.request("unpublish");
      this.#owesUnpublish = false;
    } catch (error) {
      // Without a socket now, `#joined` sees to it when there is one.
      this.#owesUnpublish = error.code === "socket_lost";
    }
  }

  async #publish() {
    const round = ++this.#round;
    this.#closePublisher();
    if (this.#signaling.status !== "joined") return; // `#joined` calls again
    const publisher = this.#openPublisher();
    if (!publisher) return;
    this.publisher = publisher;
    this.publications += 1;
    try {
      await publisher.open((sdp) => this.#signaling.request("publish", { sdp }));
    } catch (error) {
      if (round === this.#round && this.#wanted) this.#refused(error);
    }
  }

  #openPublisher() {
    try {
      const { stream, quality } = this.#capture;
      const publisher = new Publisher(stream, quality, (report) => {
        if (publisher !== this.publisher) return;
        if (report === "connected") this.#mediaConnected();
        else this.#mediaLost();
      });
      return publisher;
    } catch (error) {
      this.#fail(explainRefusal(error));
      return null;
    }
  }

  #refused(error) {
    this.#closePublisher();
    if (error.code === "socket_lost") return; // `#joined` calls `#publish` again
    if (FINAL.has(error.code)) this.#fail(explainRefusal(error));
    else this.#publishLater(error.retryAfterMs, explainRefusal(error));
  }

  #publishLater(retryAfterMs, why) {
    if (this.#attempt >= MEDIA_ATTEMPTS && !this.#hasBeenLive) {
      this.#fail(why);
      return;
    }
    this.#set(this.#hasBeenLive ? "reconnecting" : "connecting", why);
    const delayMs = Math.max(retryAfterMs ?? 0, backoffMs(this.#attempt++));
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#wanted && this.#publish(), delayMs);
  }

  #mediaConnected() {
    this.#attempt = 0;
    this.#hasBeenLive = true;
    this.liveSinceMs ??= performance.now();
    this.#settle();
    this.dispatchEvent(new Event("connected"));
  }

  #mediaLost() {
    if (!this.#wanted) return;
    this.#publishLater(null, "Your picture does not reach the server. A firewall may block UDP.");
  }

  /** The server may notice a dead path before this browser does. */
  #serverSees(state) {
    clearTimeout(this.#doubtTimer);
    const doubted = this.publisher;
    if (state !== "lost" || !doubted) return;
    this.#doubtTimer = setTimeout(() => {
      if (doubted === this.publisher) this.#mediaLost();
    }, DOUBT_MS);
  }

  #joined({ publishing }) {
    if (!this.#wanted) {
      // Stopped while the socket was away, and the server still keeps the publication.
      if (publishing && this.#owesUnpublish) this.#unpublish();
    } else if (publishing && this.publisher?.connected) {
      this.#settle();
    } else {
      this.#publish();
    }
  }

  #statusChanged() {
    const { status } = this.#signaling;
    if (!this.#wanted || status === "joined") return;
    if (status === "lost" || status === "connecting") {
      const seen = this.publisher?.connected ? "Your viewers can still see you." : "";
      this.#set(this.#hasBeenLive ? "reconnecting" : "connecting", seen);
    } else {
      // Refused, or taken over by another page: this one is no longer the host.
      this.#fail(this.#signaling.refusal ? explainRefusal(this.#signaling.refusal) : "");
    }
  }

  /** Live needs both: media that arrives and a place in the room. */
  #settle() {
    if (this.#wanted && this.publisher?.connected && this.#signaling.status === "joined") {
      this.#set("live");
    }
  }

  #fail(why) {
    this.#wanted = false;
    this.#closePublisher();
    this.liveSinceMs = null;
    this.#set("failed", why);
  }

  #closePublisher() {
    clearTimeout(this.#timer);
    clearTimeout(this.#doubtTimer);
    this.publisher?.close();
    this.publisher = null;
  }

  #set(state, detail = "") {
    if (state === this.state && detail === this.detail) return;
    this.state = state;
    this.words = HOST_STATES[state];
    this.detail = detail;
    this.dispatchEvent(new Event("change"));
  }
}
