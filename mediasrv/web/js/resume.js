/**
 * The host's resume token, kept in this history entry.
 *
 * It survives a reload and a reopened tab, belongs to one room, and nothing is stored: no cookie,
 * no local storage. A tab duplicated by its user carries it too; the server then says "replaced" to
 * the older one.
 */

const KEY = "mediasrvResume";

export function readResume(room) {
  const kept = history.state?.[KEY];
  return kept?.room === room ? kept.token : null;
}

export function keepResume(room, token) {
  history.replaceState({ ...history.state, [KEY]: token ? { room, token } : null }, "");
}
