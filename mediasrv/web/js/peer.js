/** What a publisher's and a subscriber's RTCPeerConnection have in common. */

const CONNECT_TIMEOUT_MS = 10_000;
/** ICE often mends "disconnected" by itself; after this long we start anew. */
const DISCONNECTED_MS = 3000;
/** What the server carries; fewer codecs make a shorter offer, which is sooner answered. */
const VIDEO_CODECS = ["video/vp8", "video/h264", "video/rtx"];

/** The server is found by the candidates of its answer, so no STUN server is asked anything. */
const CONFIGURATION = { iceServers: [], bundlePolicy: "max-bundle" };

/** @throws {Error} with words for people, where the browser or an extension of it forbids WebRTC */
export function openConnection() {
  try {
    return new RTCPeerConnection(CONFIGURATION);
  } catch (cause) {
    throw new Error("WebRTC is switched off in this browser, so live video cannot pass.", { cause });
  }
}

/** Offer VP8 first, keep H264, leave out what the server does not carry. */
export function preferCodecs(transceiver) {
  const all = RTCRtpReceiver.getCapabilities?.("video")?.codecs ?? [];
  const wanted = VIDEO_CODECS.flatMap((type) =>
    all.filter((codec) => codec.mimeType.toLowerCase() === type));
  try {
    if (wanted.length) transceiver.setCodecPreferences(wanted);
  } catch {
    // An older browser keeps its own order; the server picks what it knows.
  }
}

/**
 * Make the offer, which sets off certificates and the gathering of candidates.
 *
 * @param {RTCPeerConnection} pc with its transceivers added
 * @returns {Promise<string>} the offer without candidates: the server learns the way from checks
 */
export async function makeOffer(pc) {
  const offer = await pc.createOffer();
  await pc.setLocalDescription(offer);
  return offer.sdp;
}

/**
 * Post an offer and take the answer.
 *
 * @param {RTCPeerConnection} pc that made the offer
 * @param {string} offer its SDP
 * @param {(sdp: string) => Promise<{sdp: string}>} exchange sends the offer, brings the answer
 * @throws {SignalingError} when the server refuses
 */
export async function negotiate(pc, offer, exchange) {
  const { sdp } = await exchange(offer);
  if (pc.signalingState !== "closed") await pc.setRemoteDescription({ type: "answer", sdp });
}

/**
 * Report what becomes of a connection: "connected" each time it is, "lost" once, when it failed,
 * stayed disconnected for 3 s, or did not connect within 10 s.
 *
 * @returns {() => void} stop watching
 */
export function watchConnection(pc, report) {
  let timer = setTimeout(lose, CONNECT_TIMEOUT_MS);

  function stop() {
    clearTimeout(timer);
    pc.removeEventListener("connectionstatechange", changed);
  }
  function lose() {
    stop();
    report("lost");
  }
  function changed() {
    if (pc.connectionState === "connected") {
      clearTimeout(timer);
      report("connected");
    } else if (pc.connectionState === "disconnected") {
      clearTimeout(timer);
      timer = setTimeout(lose, DISCONNECTED_MS);
    } else if (pc.connectionState === "failed") {
      lose();
    }
  }
  pc.addEventListener("connectionstatechange", changed);
  return stop;
}
