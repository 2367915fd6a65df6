/** The few verbs that the pages need to speak with the document. */

const ICONS = "/static/icons/icons.svg";

/** The element with this id; a page without it is a mistake in the page. */
export function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no element #${id}.`);
  return found;
}

/** Write text only when it differs, so that a live region speaks once. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

export function show(target, visible) {
  target.hidden = !visible;
}

/** A new element with a class and text, never with markup. */
export function create(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** A decorative icon of the shared sheet. */
export function createIcon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${ICONS}#${name}`);
  svg.append(use);
  return svg;
}

/** Change the picture of a button whose meaning changed. */
export function setIcon(target, name) {
  target.querySelector("use").setAttribute("href", `${ICONS}#${name}`);
}

/** Show a state on a pill: the attribute for the colour (and for tests), the words for people. */
export function showState(pill, state, words) {
  pill.dataset.state = state;
  setText(pill, words);
}

/** Show the number of viewers as "1 viewer", "2 viewers". */
export function showViewers(target, viewers) {
  target.dataset.viewers = String(viewers);
  setText(target.querySelector(".number"), String(viewers));
  setText(target.querySelector(".unit"), viewers === 1 ? " viewer" : " viewers");
}

/** Say how long something has lasted: "0:07", "12:30", "1:02:03". */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
