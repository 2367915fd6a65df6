/**
 * The host's yes to the filter, kept in this history entry as the resume token is.
 *
 * It survives a reload, belongs to this page in this tab, and nothing is stored. Another tab, another
 * room or another day asks again.
 */

const KEY = "mediasrvConsent";

export function hasConsent() {
  return history.state?.[KEY] === true;
}

export function keepConsent(given) {
  history.replaceState({ ...history.state, [KEY]: given }, "");
}
