/** Lets pages offer one video codec only: `window.glassCodec`, like "VP8". */
(() => {
  const { prototype } = RTCRtpTransceiver;
  const choose = prototype.setCodecPreferences;
  prototype.setCodecPreferences = function (codecs) {
    const wanted = [`video/${window.glassCodec}`, "video/rtx"].map((type) => type.toLowerCase());
    choose.call(this, codecs.filter((codec) => wanted.includes(codec.mimeType.toLowerCase())));
  };
})();
