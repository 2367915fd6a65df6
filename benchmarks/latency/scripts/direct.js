/**
 * One connection straight from browser to browser: what the server's path is compared with.
 *
 * `glassOffer(bitrate)` opens the camera and returns an offer with all candidates; `glassAnswer`
 * takes it at the other end, shows the video and returns the answer; `glassConnect` takes that.
 */
(() => {
  const pc = new RTCPeerConnection();
  window.mediasrv = { pc };

  async function described(description) {
    await pc.setLocalDescription(description);
    if (pc.iceGatheringState !== "complete") {
      await new Promise((done) => pc.addEventListener("icegatheringstatechange",
        () => pc.iceGatheringState === "complete" && done()));
    }
    return pc.localDescription.sdp;
  }

  function prefer(transceiver) {
    transceiver.setCodecPreferences(RTCRtpReceiver.getCapabilities("video").codecs);
  }

  window.glassOffer = async (maxBitrate) => {
    const wishes = { video: true, audio: Boolean(window.glassCamera.sound) };
    const stream = await navigator.mediaDevices.getUserMedia(wishes);
    const [video] = stream.getVideoTracks();
    video.contentHint = "motion";
    for (const track of stream.getAudioTracks()) {
      pc.addTransceiver(track, { direction: "sendonly", streams: [stream] });
    }
    const encoding = { maxBitrate, maxFramerate: 30, scalabilityMode: "L1T3" };
    const init = { direction: "sendonly", streams: [stream] };
    let transceiver;
    try {
      transceiver = pc.addTransceiver(video, { ...init, sendEncodings: [encoding] });
    } catch {
      delete encoding.scalabilityMode;
      transceiver = pc.addTransceiver(video, { ...init, sendEncodings: [encoding] });
    }
    prefer(transceiver);
    const sdp = await described(await pc.createOffer());
    const parameters = transceiver.sender.getParameters();
    parameters.degradationPreference = "maintain-resolution";
    await transceiver.sender.setParameters(parameters);
    return sdp;
  };

  window.glassAnswer = async (sdp) => {
    const video = document.querySelector("video");
    const stream = new MediaStream();
    pc.addEventListener("track", ({ track, receiver }) => {
      receiver.jitterBufferTarget = 0;
      stream.addTrack(track);
      video.srcObject = stream;
      video.play();
    });
    await pc.setRemoteDescription({ type: "offer", sdp });
    for (const transceiver of pc.getTransceivers()) {
      if (transceiver.receiver.track.kind === "video") prefer(transceiver);
    }
    return described(await pc.createAnswer());
  };

  window.glassConnect = (sdp) => pc.setRemoteDescription({ type: "answer", sdp });
})();
