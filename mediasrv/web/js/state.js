/** The words for every state and refusal that the pages show, in one place. */

export const HOST_STATES = {
  idle: "Not live",
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Reconnecting…",
  failed: "Not live: something failed",
};

export const WATCH_STATES = {
  waiting: "Waiting for the host",
  connecting: "Connecting…",
  live: "Live",
  "host-away": "Host is reconnecting…",
  slow: "Slow connection",
  reconnecting: "Reconnecting…",
  ended: "Ended",
  failed: "Cannot play",
};

const REFUSALS = {
  room_taken: "Somebody is already hosting this room.",
  not_allowed: "The server does not allow that.",
  not_live: "The host is not live any more.",
  bad_sdp: "The server did not understand this browser's offer.",
  unsupported_codec: "This browser and the server have no video format in common.",
  filter_unavailable: "The beauty filter is not available on this server.",
  consent_required: "Agree first, then the filter can be switched on.",
  bad_filter: "The server did not accept these filter settings.",
  rate_limited: "That was too much at once. It goes on in a moment.",
  overloaded: "The server is full at the moment. Trying again…",
  unsupported_version: "This page and the server are of different versions. Reload the page.",
  socket_lost: "The server cannot be reached. Trying again…",
  timeout: "The server takes too long to answer.",
  internal: "The server made a mistake. Trying again…",
};

/** A sentence for an error of the signalling, or of the browser itself. */
export function explainRefusal(error) {
  return REFUSALS[error.code] ?? error.message ?? "Something unexpected went wrong.";
}

/**
 * The beauty filter's state for its host.
 *
 * @param {{state: string, enabled: boolean, reason: string|null}} filter as the server tells it
 * @param {boolean} live is anything being sent at the moment?
 * @returns {{state: string, words: string}} `state` is the server's, or "ready": on, but not live
 */
export function filterWords(filter, live) {
  if (filter.state === "unavailable") {
    const why = filter.reason ? `Not available: ${filter.reason}.` : "Not available.";
    // Nobody's face is shown unfiltered because something broke: only the host's switch does that.
    const held = filter.enabled && live ? " Viewers see your last frame until you switch it off." : "";
    return { state: "unavailable", words: why.replace(/\.\.$/, ".") + held };
  }
  if (!filter.enabled) {
    return { state: "off", words: "Off. Viewers see your camera as it is." };
  }
  if (!live) return { state: "ready", words: "Ready. It starts when you go live." };
  switch (filter.state) {
    case "on":
      return { state: "on", words: "On. Viewers see the filtered picture." };
    case "recovering":
      return { state: "recovering", words: "Recovering. Viewers see your last frame for a moment." };
    default:
      return { state: "starting", words: "Starting…" };
  }
}

/**
 * What a viewer's page is in, from the things that can each go wrong on their own.
 *
 * @param {{
 *   refused: boolean,
 *   socket: "connecting"|"joined"|"lost",
 *   room: "unknown"|"waiting"|"live"|"away"|"ended",
 *   hostMedia: "connected"|"lost",
 *   media: "none"|"connecting"|"playing"|"stalled"|"lost",
 * }} parts
 * @returns {keyof WATCH_STATES}
 */
export function watchState({ refused, socket, room, hostMedia, media }) {
  if (refused) return "failed";
  if (socket === "lost") return "reconnecting";
  if (room === "unknown") return "connecting";
  if (room === "waiting") return "waiting";
  if (room === "ended") return "ended";
  if (room === "away") return "host-away";
  if (media === "playing") return "live";
  if (hostMedia === "lost") return "host-away";
  if (media === "slow") return "slow";
  return media === "stalled" || media === "lost" ? "reconnecting" : "connecting";
}
