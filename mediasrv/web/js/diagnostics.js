/**
 * `window.mediasrv`: read-only diagnostics for engineers, tests and benchmarks.
 *
 * Host page:
 *   pc               the RTCPeerConnection that sends, or null
 *   state            the live state, as in data-state of the pill
 *   offerAtMs        performance.now() when the present offer was begun (createOffer), or null
 *   connectedAtMs    performance.now() when its media first connected, or null
 *   publications     offers made since the page was opened
 *   filter           the filter state as the server last told it
 * Watch page:
 *   pc               the RTCPeerConnection that receives, or null
 *   state            the live state, as in data-state of the pill
 *   offerAtMs        performance.now() when the present subscription was begun: the room is live
 *                    and the prepared offer goes out, or null
 *   firstFrameMs     milliseconds from there to the first picture on the screen
 *                    (requestVideoFrameCallback), or null while there is none
 *   subscriptions    offers made since the page was opened
 * Both:
 *   socket           status of the signalling: connecting, joined, lost, refused, closed
 *
 * Every value is read at the moment of asking; nothing here can be written.
 */
export function exposeDiagnostics(getters) {
  const face = {};
  for (const [name, get] of Object.entries(getters)) {
    Object.defineProperty(face, name, { get, enumerable: true });
  }
  Object.defineProperty(window, "mediasrv", { value: Object.freeze(face), enumerable: true });
}
