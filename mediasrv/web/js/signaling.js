/**
 * The signalling socket: one websocket kept open, requests with replies, events as they come.
 *
 * It knows the envelope of the protocol (version 1), not what rooms are for. A socket that drops is
 * opened again by itself and joins again, with the resume token that the server gave.
 */

const VERSION = 1;
const REPLY_TIMEOUT_MS = 10_000;
const OPEN_TIMEOUT_MS = 8000;
const BACKOFF_FIRST_MS = 500;
const BACKOFF_LAST_MS = 5000;

/** Refusals of a join that trying again soon cannot mend: somebody has to decide something. */
const FINAL_REFUSALS = new Set([
  "room_taken", "not_allowed", "unsupported_version", "bad_message", "unknown_type", "wrong_order",
]);

/** How long to wait before attempt number `attempt` (0, 1, ...): 0.5 s doubling to 5 s, jittered. */
export function backoffMs(attempt, random = Math.random) {
  const full = Math.min(BACKOFF_LAST_MS, BACKOFF_FIRST_MS * 2 ** Math.min(attempt, 10));
  return full * (0.5 + random() / 2);
}

/** The server said no, or there is nobody to ask: `code` is stable, `message` is for people. */
export class SignalingError extends Error {
  constructor(code, message, retryAfterMs = null) {
    super(message);
    this.name = "SignalingError";
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The address of `/ws` beside a page. */
export function socketUrl(base = location.href) {
  const url = new URL("/ws", base);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

/**
 * One peer's line to the server.
 *
 * Events: "status" whenever `status` changes; every message of the server under its own type, with
 * the message as `detail`, except errors that answer a request.
 *
 * status: "connecting" (no join yet), "joined", "lost" (opens again by itself), "refused" (see
 * `refusal`; call `retry()`), "closed" (over: left, or taken over by another page).
 */
export class Signaling extends EventTarget {
  #url;
  #membership;
  #socket = null;
  #waiting = new Map();
  #nextId = 1;
  #attempt = 0;
  #timer = null;
  #wentOffline = false;

  status = "connecting";
  refusal = null;
  /** Why the session is over, once `status` is "closed": "left", "replaced", ... */
  ended = null;

  /**
   * @param {string} url address of the websocket
   * @param {{room: string, role: "host"|"viewer", resume?: string|null}} membership what to join
   *   as; `resume` follows what the server hands out
   */
  constructor(url, membership) {
    super();
    this.#url = url;
    this.#membership = { ...membership };
    addEventListener("offline", () => { this.#wentOffline = true; });
    addEventListener("online", () => this.#networkReturned());
  }

  /** The secret that lets this host return to its room, or null. */
  get resume() {
    return this.#membership.resume ?? null;
  }

  open() {
    clearTimeout(this.#timer);
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#giveUpOpening(socket), OPEN_TIMEOUT_MS);
    socket.addEventListener("open", () => this.#join(socket));
    socket.addEventListener("message", (event) => {
      if (socket === this.#socket) this.#receive(event.data);
    });
    socket.addEventListener("close", () => {
      if (socket === this.#socket) this.#dropped();
    });
  }

  /** Join again now: after a refusal, or to take a room back from another page. */
  retry() {
    this.#abandon();
    this.refusal = null;
    this.ended = null;
    this.#attempt = 0;
    this.#setStatus("connecting");
    this.open();
  }

  /**
   * Ask for something and wait for the answer.
   *
   * @returns {Promise<object>} the server's reply
   * @throws {SignalingError} the server's refusal; "socket_lost" or "timeout" when none came
   */
  request(type, fields = {}) {
    if (this.status !== "joined") {
      return Promise.reject(new SignalingError("socket_lost", "The server cannot be reached."));
    }
    return this.#ask(type, fields);
  }

  /** Leave for good; also works while the page is being closed. */
  leave() {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#send({ type: "leave" });
    this.ended = "left";
    this.#setStatus("closed");
  }

  #ask(type, fields) {
    const id = String(this.#nextId++);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new SignalingError("timeout", "The server did not answer in time."));
      }, REPLY_TIMEOUT_MS);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#send({ type, id, ...fields });
    });
  }

  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  async #join(socket) {
    const { room, role, resume } = this.#membership;
    const fields = { version: VERSION, room, role, ...(resume ? { resume } : {}) };
    try {
      await this.#ask("join", fields);
    } catch (error) {
      if (socket === this.#socket) this.#joinRefused(error);
    }
  }

  #joinRefused(error) {
    if (error.code === "socket_lost") return; // the close event handles it
    if (this.#membership.resume && FINAL_REFUSALS.has(error.code)) {
      // The token may be older than the grace: try once more as somebody new.
      this.#membership.resume = null;
      this.#abandon();
      this.open();
      return;
    }
    if (FINAL_REFUSALS.has(error.code)) {
      this.#abandon();
      this.refusal = error;
      this.#setStatus("refused");
      return;
    }
    this.#abandon();
    this.#reopenLater(error.retryAfterMs);
  }

  #receive(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return; // not of this protocol; the server is newer or not ours
    }
    if (message.type === "joined") this.#joined(message);
    if (message.type === "left") this.#left(message.reason);
    const asked = this.#waiting.get(message.reply_to);
    if (asked) {
      this.#waiting.delete(message.reply_to);
      clearTimeout(asked.timer);
      if (message.type === "error") {
        asked.reject(errorOf(message));
        return;
      }
      asked.resolve(message);
    }
    this.dispatchEvent(new CustomEvent(message.type, { detail: message }));
  }

  #joined(message) {
    this.#membership.resume = message.resume ?? null;
    this.#attempt = 0;
    this.refusal = null;
    this.#setStatus("joined");
  }

  #left(reason) {
    if (reason === "shutdown") return; // the socket closes next; then we knock until it is back
    this.ended = reason;
    this.#setStatus("closed");
  }

  #dropped() {
    this.#failWaiting();
    this.#socket = null;
    if (this.status === "closed" || this.status === "refused") return;
    this.#reopenLater(null);
  }

  #giveUpOpening(socket) {
    if (socket !== this.#socket || socket.readyState !== WebSocket.CONNECTING) return;
    this.#abandon();
    this.#reopenLater(null);
  }

  #reopenLater(retryAfterMs) {
    const delayMs = Math.max(retryAfterMs ?? 0, backoffMs(this.#attempt++));
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.open(), delayMs);
    this.#setStatus("lost");
  }

  /** The machine has a network again: do not wait for a dead socket to notice. */
  #networkReturned() {
    if (!this.#wentOffline || this.status === "closed" || this.status === "refused") return;
    this.#wentOffline = false;
    this.#abandon();
    this.#setStatus("lost");
    this.open();
  }

  /** Forget the present socket; whatever it still does is not ours. */
  #abandon() {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#timer);
    this.#failWaiting();
    socket?.close();
  }

  #failWaiting() {
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new SignalingError("socket_lost", "The connection to the server was lost."));
    }
    this.#waiting.clear();
  }

  #setStatus(status) {
    if (status === this.status) return;
    this.status = status;
    this.dispatchEvent(new CustomEvent("status", { detail: { status } }));
  }
}

function errorOf(message) {
  const retryAfterMs = message.retry_after_s == null ? null : message.retry_after_s * 1000;
  return new SignalingError(message.code, message.message, retryAfterMs);
}
