/** The beauty panel: one switch, the sliders of the server's filters, and their state in words. */

import { hasConsent, keepConsent } from "./consent.js";
import { create, element, setText, show } from "./dom.js";
import { SignalingError } from "./signaling.js";
import { capitalised, groupSliders, Slider, Throttle, USUAL_SCHEMA } from "./sliders.js";
import { explainRefusal, filterWords } from "./state.js";

const SEND_INTERVAL_MS = 100;
/** A server's echo within this time of a move does not pull the slider back under the finger. */
const ECHO_MS = 1000;
/** A start for people who do not want to try numbers; the server may suggest others. */
const NATURAL = { smooth: 45, brighten: 20 };

/**
 * The page is the truth while its host moves things; the server is when they join.
 *
 * What could not be sent, because the socket was away, is sent at the next join.
 */
export class BeautyPanel {
  #signaling;
  #toggle = element("beauty-toggle");
  #sliders = new Map();
  #presets = [];
  #schema = USUAL_SCHEMA;
  #consented = hasConsent();
  #touched = false;
  #movedAtMs = -Infinity;
  #live = false;
  #params;
  #told = { state: "off", enabled: false, params: {}, reason: null };

  /** What the server last told, with what the host asked for since. */
  #filter = this.#told;

  constructor(signaling) {
    this.#signaling = signaling;
    this.#params = new Throttle((params) => this.#send({ params }), SEND_INTERVAL_MS);
    this.#build(USUAL_SCHEMA);
    this.#toggle.addEventListener("change", () => this.#toggled());
    element("beauty-withdraw").addEventListener("click", () => this.#withdrawn());
    element("beauty-natural").addEventListener("click", () => this.#useNatural());
    signaling.addEventListener("joined", ({ detail }) => this.#joined(detail.filter));
    signaling.addEventListener("filter_changed", ({ detail }) => this.#changed(detail.filter));
    this.#show();
  }

  /** Ask the server which filters it has; without an answer the usual ones stay. */
  async load() {
    try {
      const response = await fetch("/api/filters", { cache: "no-store" });
      if (!response.ok) throw new Error(`status ${response.status}`);
      const schema = await response.json();
      if (!Object.keys(schema.properties ?? {}).length) throw new Error("no filters");
      this.#build(schema);
    } catch {
      setText(element("beauty-note"), "The server's list of filters did not load; these are the usual two.");
      show(element("beauty-note"), true);
    }
  }

  /** The filter as the server last told it. */
  get told() {
    return this.#told;
  }

  setLive(live) {
    this.#live = live;
    this.#show();
  }

  #build(schema) {
    const kept = this.#values();
    this.#schema = schema;
    this.#sliders = new Map(Object.entries(schema.properties).map(([name, property]) =>
      [name, new Slider(name, property, () => this.#moved())]));
    element("beauty-sliders").replaceChildren(...groupSliders(schema.properties, this.#sliders));
    this.#buildPresets(schema.presets ?? {});
    this.#setValues({ ...this.#filter.params, ...(this.#touched ? kept : {}) });
    this.#show();
  }

  #buildPresets(presets) {
    const row = element("beauty-presets");
    this.#presets = Object.entries(presets).map(([name, params]) => {
      const button = create("button", "button", capitalised(name));
      button.type = "button";
      button.dataset.testid = `preset-${name}`;
      button.addEventListener("click", () => {
        this.#setValues(params);
        this.#moved();
      });
      return { button, params };
    });
    row.replaceChildren(...this.#presets.map(({ button }) => button));
    show(row, row.childElementCount > 0);
  }

  #values() {
    return Object.fromEntries([...this.#sliders].map(([name, slider]) => [name, slider.value]));
  }

  #setValues(params) {
    for (const [name, slider] of this.#sliders) {
      if (params[name] !== undefined) slider.value = params[name];
    }
  }

  #moved() {
    this.#touched = true;
    this.#movedAtMs = performance.now();
    this.#params.push(this.#values());
    this.#show();
  }

  /** Beside the switch stands what it agrees to, for as long as that has not been agreed. */
  #toggled() {
    if (this.#toggle.checked && !this.#consented) {
      this.#consented = true;
      keepConsent(true);
    }
    this.#switch(this.#toggle.checked);
  }

  #switch(enabled) {
    this.#touched = true;
    this.#filter = { ...this.#filter, enabled };
    // The sliders as they stand go along: the server may not have heard of them yet.
    this.#send({ enabled, params: this.#values(), consent: this.#consented });
    this.#show();
  }

  #withdrawn() {
    this.#consented = false;
    keepConsent(false);
    this.#switch(false);
    this.#toggle.focus();
  }

  #useNatural() {
    const suggested = Object.entries(this.#schema.properties)
      .map(([name, property]) => [name, property.suggested ?? NATURAL[name] ?? 0]);
    this.#setValues(Object.fromEntries(suggested));
    this.#moved();
  }

  async #send(fields) {
    try {
      await this.#signaling.request("set_filter", fields);
    } catch (error) {
      if (!(error instanceof SignalingError)) throw error;
      if (error.code === "socket_lost" || error.code === "timeout") return; // sent at the next join
      this.#refused(error);
    }
  }

  #refused(error) {
    if (error.code === "filter_unavailable") {
      this.#filter = { ...this.#told, state: "unavailable", reason: error.message };
      this.#show();
      return;
    }
    setText(element("beauty-note"), explainRefusal(error));
    show(element("beauty-note"), true);
  }

  #joined(filter) {
    const { enabled } = this.#filter;
    const wishes = { enabled, params: this.#values(), consent: this.#consented };
    this.#told = this.#filter = filter;
    if (this.#touched) {
      this.#filter = { ...filter, enabled: wishes.enabled };
      this.#send(wishes);
    } else {
      this.#setValues(filter.params);
    }
    this.#show();
  }

  #changed(filter) {
    this.#told = this.#filter = filter;
    if (performance.now() - this.#movedAtMs > ECHO_MS) this.#setValues(filter.params);
    this.#show();
  }

  #show() {
    const { state, words } = filterWords(this.#filter, this.#live);
    const status = element("beauty-state");
    status.dataset.state = state;
    setText(status, words);
    this.#toggle.checked = this.#filter.enabled;
    const values = this.#values();
    for (const { button, params } of this.#presets) {
      const isChosen = Object.entries(values).every(([name, value]) => (params[name] ?? value) === value);
      button.setAttribute("aria-pressed", String(isChosen));
    }
    const allZero = Object.values(values).every((value) => value === 0);
    show(element("beauty-hint"), this.#filter.enabled && allZero);
    show(element("beauty-consent"), !this.#consented);
    show(element("beauty-withdraw"), this.#consented);
    element("beauty").dataset.enabled = String(this.#filter.enabled);
  }
}
