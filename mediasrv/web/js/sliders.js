/** Sliders built from a JSON schema, and the throttle that lets them move freely. */

import { create } from "./dom.js";

/** What every server of this version has, for the case that it cannot be asked. */
export const USUAL_SCHEMA = {
  properties: {
    smooth: {
      title: "Smooth",
      description: "Evens out the skin; eyes, brows and lips stay sharp.",
      minimum: 0, maximum: 100, default: 0,
    },
    brighten: {
      title: "Brighten",
      description: "Lifts the light on the face.",
      minimum: 0, maximum: 100, default: 0,
    },
  },
};

/**
 * Calls `act` with the newest value at most once per interval: the first at once, the last always.
 */
export class Throttle {
  #act;
  #intervalMs;
  #clock;
  #lastMs = -Infinity;
  #timer = null;
  #newest;

  /** @param {{now: () => number, setTimeout, clearTimeout}} clock replaced by tests */
  constructor(act, intervalMs, clock = systemClock) {
    this.#act = act;
    this.#intervalMs = intervalMs;
    this.#clock = clock;
  }

  push(value) {
    this.#newest = value;
    if (this.#timer !== null) return;
    const waitMs = this.#lastMs + this.#intervalMs - this.#clock.now();
    if (waitMs <= 0) this.#fire();
    else this.#timer = this.#clock.setTimeout(() => this.#fire(), waitMs);
  }

  #fire() {
    this.#timer = null;
    this.#lastMs = this.#clock.now();
    this.#act(this.#newest);
  }
}

const systemClock = {
  now: () => performance.now(),
  setTimeout: (act, delayMs) => setTimeout(act, delayMs),
};

/** One labelled range input with its value beside it. */
export class Slider {
  #range;
  #output;

  /**
   * @param {string} name the parameter's name
   * @param {{title?: string, description?: string, minimum?: number, maximum?: number,
   *   default?: number}} property its schema
   * @param {(value: number) => void} moved called for every move by hand
   */
  constructor(name, property, moved) {
    this.row = create("div", "slider");
    const label = create("label", "", property.title ?? name);
    this.#range = createRange(name, property);
    this.#output = create("output");
    label.htmlFor = this.#range.id;
    this.#output.htmlFor = this.#range.id;
    this.row.append(label, this.#output, this.#range);
    if (property.description) {
      const note = create("p", "fine", property.description);
      note.id = `${this.#range.id}-note`;
      this.#range.setAttribute("aria-describedby", note.id);
      this.row.append(note);
    }
    this.value = property.default ?? 0;
    this.#range.addEventListener("input", () => {
      this.#showValue();
      moved(this.value);
    });
  }

  get value() {
    return this.#range.valueAsNumber;
  }

  set value(value) {
    this.#range.value = String(value);
    this.#showValue();
  }

  #showValue() {
    const { min, max } = this.#range;
    const share = (value) => `${((value - min) / (max - min || 1)) * 100}%`;
    // A two-way slider is filled from its middle, where it does nothing.
    const off = Math.max(0, min);
    this.#range.style.setProperty("--from", share(Math.min(off, this.value)));
    this.#range.style.setProperty("--to", share(Math.max(off, this.value)));
    this.#output.value = this.#range.value;
  }
}

function createRange(name, property) {
  const range = create("input", "range");
  range.type = "range";
  range.id = `slider-${name}`;
  range.dataset.testid = `slider-${name}`;
  range.min = String(property.minimum ?? 0);
  range.max = String(property.maximum ?? 100);
  range.step = "1";
  return range;
}

/**
 * The sliders' rows as the page shows them: groups fold, and only the first is open. Sliders whose
 * schema names no group come first, by themselves.
 *
 * @param {Object<string, {group?: string}>} properties the schema, in its order
 * @param {Map<string, Slider>} sliders by the same names
 */
export function groupSliders(properties, sliders) {
  const groups = new Map();
  for (const [name, slider] of sliders) {
    const group = properties[name].group ?? "";
    groups.set(group, [...(groups.get(group) ?? []), slider.row]);
  }
  const loose = groups.get("") ?? [];
  groups.delete("");
  return [...loose, ...[...groups].map(([name, rows], place) => {
    const folded = create("details", "slider-group");
    folded.open = place === 0 && loose.length === 0;
    const inside = create("div", "sliders");
    inside.append(...rows);
    folded.append(create("summary", "", capitalised(name)), inside);
    return folded;
  })];
}

export function capitalised(name) {
  return name.charAt(0).toUpperCase() + name.slice(1);
}
