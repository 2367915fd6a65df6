/**
 * Notes when a viewer's connection comes how far: `window.joining`, performance.now() each.
 *
 * asked: the page asked for the room (its websocket was made); answered: the server's answer was
 * set; ice, dtls: so far was the connection; packet: the video's first packet (its track unmutes).
 */
(() => {
  const joining = (window.joining = {});
  const note = (name) => { joining[name] ??= performance.now(); };
  const { prototype } = RTCPeerConnection;
  const set = prototype.setRemoteDescription;
  prototype.setRemoteDescription = function (description) {
    note("answered");
    this.addEventListener("iceconnectionstatechange", () => {
      if (["connected", "completed"].includes(this.iceConnectionState)) note("ice");
    });
    this.addEventListener("connectionstatechange", () => {
      if (this.connectionState === "connected") note("dtls");
    });
    for (const { track } of this.getReceivers()) {
      if (track.kind === "video") track.addEventListener("unmute", () => note("packet"));
    }
    return set.call(this, description);
  };
})();
