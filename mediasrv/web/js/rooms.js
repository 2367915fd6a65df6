/** Names of rooms: the rule, friendly suggestions, addresses, and the picture a name gives. */

const NAME = /^[a-z0-9][a-z0-9-]{0,63}$/;

/** From blue over violet and rose to amber: what goes with the pages' own colour. */
const FIRST_HUE = 205;
const HUES = 180;
/** Multiples of the golden ratio lie far apart, so names that are alike do not look alike. */
const GOLDEN = 0.618034;

const MOODS = [
  "amber", "bold", "breezy", "bright", "calm", "clever", "cosy", "dapper", "early", "gentle",
  "golden", "happy", "jolly", "kind", "late", "lively", "lucky", "mellow", "merry", "misty",
  "noble", "quiet", "rosy", "silver", "smooth", "snug", "sunny", "swift", "tidy", "velvet",
  "warm", "witty",
];
const THINGS = [
  "acorn", "badger", "balcony", "bonfire", "cello", "comet", "cove", "ember", "falcon", "fern",
  "harbour", "heron", "kettle", "lagoon", "lantern", "lemon", "maple", "meadow", "mirror",
  "orchard", "otter", "parlour", "pebble", "piano", "plaza", "poppy", "robin", "studio", "sundial",
  "terrace", "tulip", "willow",
];

/** Does the signalling protocol accept this name? */
export function isRoomName(name) {
  return NAME.test(name);
}

/** What is wrong with a name, in words; an empty string when nothing is. */
export function explainName(name) {
  if (name === "") return "A room needs a name.";
  if (name.length > 64) return "That is too long: 64 letters at most.";
  if (name.startsWith("-")) return "Start with a letter or a digit.";
  if (!isRoomName(name)) return "Use letters a to z, digits and hyphens.";
  return "";
}

/** Turn what people type or paste into a name: case, spaces, a whole link of ours. */
export function tidyName(typed) {
  const link = /\/(?:watch|host)\/([^/?#\s]+)/.exec(typed);
  return (link ? link[1] : typed).trimStart().toLowerCase().replace(/[\s_]+/g, "-");
}

/** A friendly random name such as "sunny-otter-42". */
export function suggestName(random = Math.random) {
  const pick = (words) => words[Math.floor(random() * words.length)];
  return `${pick(MOODS)}-${pick(THINGS)}-${10 + Math.floor(random() * 90)}`;
}

/** The room in this page's own address. */
export function roomOf(pathname) {
  return decodeURIComponent(pathname.split("/")[2] ?? "");
}

/** Paint an element with a room's two colours and its initials. */
export function paintPortrait(target, name) {
  let hash = 0;
  for (const letter of name) hash = (hash * 31 + letter.charCodeAt(0)) % 9973;
  const share = (hash * GOLDEN) % 1;
  target.style.setProperty("--hue", String(Math.round(FIRST_HUE + share * HUES)));
  const words = name.split("-").filter((word) => /[a-z]/.test(word));
  const initials = (words.length ? words : [name]).slice(0, 2).map((word) => word[0]);
  target.textContent = initials.join("").toUpperCase();
}
