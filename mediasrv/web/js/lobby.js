/** The lobby: who is live, and the way into a room. */

import { create, element, setText, show } from "./dom.js";
import { explainName, paintPortrait, suggestName, tidyName } from "./rooms.js";

const POLL_MS = 2000;
const KEEP_NAME = "Keep this one, or type your own.";

const list = element("room-list");
const form = element("open");
const field = element("room");
const note = element("room-note");

/** Name, viewers and age of one live room, as a link into it. */
function createCard(room) {
  const item = create("li");
  const link = create("a", "room");
  link.href = `/watch/${room.room}`;
  const portrait = create("div", "portrait");
  paintPortrait(portrait, room.room);
  portrait.append(create("span", "pill"));
  const caption = create("p", "small viewers-line");
  link.append(portrait, create("p", "room-name", room.room), caption);
  item.dataset.room = room.room;
  item.append(link);
  updateCard(item, room);
  return item;
}

function updateCard(item, room) {
  const away = room.state === "away";
  const pill = item.querySelector(".pill");
  pill.dataset.state = away ? "away" : "live";
  setText(pill, away ? "Back in a moment" : "Live");
  const watching = room.viewers === 1 ? "1 viewer" : `${room.viewers} viewers`;
  setText(item.querySelector(".viewers-line"), [watching, age(room.since)].filter(Boolean).join(" · "));
}

/** How long a room has been live; `since` is seconds since 1970, or null. */
function age(since) {
  if (typeof since !== "number") return "";
  const minutes = Math.floor((Date.now() / 1000 - since) / 60);
  if (minutes < 1) return "just started";
  if (minutes < 60) return `for ${minutes} min`;
  return `for ${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Bring the list up to date without rebuilding it, so that focus and hover stay. */
function showRooms(rooms) {
  const live = rooms.filter((room) => room.state === "live" || room.state === "away");
  live.sort((one, other) => other.viewers - one.viewers || one.room.localeCompare(other.room));
  const cards = new Map([...list.children].map((item) => [item.dataset.room, item]));
  live.forEach((room, index) => {
    const item = cards.get(room.room) ?? createCard(room);
    updateCard(item, room);
    cards.delete(room.room);
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
  });
  for (const gone of cards.values()) gone.remove();
  setText(element("rooms-count"), live.length ? (live.length === 1 ? "1 room" : `${live.length} rooms`) : "");
  showEmpty(live.length === 0, "Nobody is live right now",
    "Be the first: open the studio, check how you look, then go live. " +
    "Or type the name of a room and wait there; it starts by itself.");
}

function showEmpty(empty, title, text) {
  show(element("empty"), empty);
  setText(element("empty-title"), title);
  setText(element("empty-text"), text);
}

async function fetchRooms() {
  const response = await fetch("/api/rooms", { cache: "no-store", signal: AbortSignal.timeout(5000) });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return (await response.json()).rooms;
}

async function pollRooms() {
  if (!document.hidden) {
    try {
      showRooms(await fetchRooms());
    } catch {
      list.replaceChildren();
      setText(element("rooms-count"), "");
      showEmpty(true, "The server does not answer",
        "This page keeps trying. If you run the server yourself, see whether it is still up.");
    }
  }
  setTimeout(pollRooms, POLL_MS);
}

function checkName(forgiving) {
  const problem = explainName(field.value);
  const shown = problem && !(forgiving && field.value === "") ? problem : "";
  field.setAttribute("aria-invalid", String(Boolean(shown)));
  setText(note, shown || KEEP_NAME);
  return problem === "";
}

field.addEventListener("input", () => {
  const tidy = tidyName(field.value);
  if (tidy !== field.value) field.value = tidy;
  checkName(true);
});

// A suggestion is there to be typed over.
field.addEventListener("focus", () => field.select());

element("shuffle").addEventListener("click", () => {
  field.value = suggestName();
  checkName(true);
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!checkName(false)) {
    field.focus();
    return;
  }
  const page = event.submitter?.value === "watch" ? "watch" : "host";
  location.assign(`/${page}/${field.value}`);
});

field.value = suggestName();
pollRooms();
