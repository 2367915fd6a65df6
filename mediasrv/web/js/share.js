/** The link for viewers: shown, copied, or handed to the phone's own sharing. */

import { element, setText } from "./dom.js";

const COPIED_MS = 2000;
const LOOPBACK = /^(localhost|127\.|\[::1\])/;

export function connectShare(room) {
  const address = new URL(`/watch/${room}`, location.href).href;
  const field = element("watch-link");
  const button = element("copy-link");
  field.value = address;
  field.addEventListener("focus", () => field.select());
  element("see-viewers").href = address;
  if (LOOPBACK.test(location.hostname)) {
    setText(element("link-note"), "This address works on this computer only.");
  }
  const byPhone = matchMedia("(pointer: coarse)").matches && navigator.share;
  if (byPhone) setText(button, "Share");
  button.addEventListener("click", async () => {
    // A share sheet that its user closes again is no mistake.
    if (byPhone) await navigator.share({ url: address }).catch(() => {});
    else if (await copy(field)) showCopied(button);
  });
}

async function copy(field) {
  try {
    await navigator.clipboard.writeText(field.value);
    return true;
  } catch {
    // Pages without https have no clipboard; the selected text can still be copied.
    field.select();
    return document.execCommand("copy");
  }
}

function showCopied(button) {
  setText(button, "Copied");
  setTimeout(() => setText(button, "Copy"), COPIED_MS);
}
