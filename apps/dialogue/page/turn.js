// One turn in the feed: what is said, and what is waited for.

import { element, format, initials } from "./text.js";

const STEPS = [
  ["node", "GPU node"],
  ["image", "Image"],
  ["weights", "Weights"],
  ["reading", "Reading"],
];
const CHARS_PER_MS = 100;
const ENDINGS = {
  length: "Cut off: the limit on a turn's length is reached.",
  stopped: "Stopped in the middle.",
  repeat: "Cut off: the model kept repeating itself.",
};

function seconds(value) {
  const whole = Math.max(0, Math.round(value));
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")} min`;
}

export class Turn {
  constructor(number, speaker, place) {
    this.number = number;
    this.speaker = speaker;
    this.content = "";
    this.tokens = 0;
    this.began = 0;
    this.status = null;
    const heading = `turn-${number}`;
    this.rate = element("span", { class: "rate" });
    this.text = element("div", { class: "text", dir: "auto" });
    this.unseen = "";
    this.wait = element("div", { class: "wait", hidden: "" });
    this.body = element("div", { class: "body" }, this.text, this.wait);
    const head = element("div", { class: "head" }, element("h2", { id: heading }, speaker.name), this.rate);
    const side = place % 2 ? "right" : "left";
    this.element = element(
      "article",
      { class: `said ${side} who${place % 4}`, "aria-labelledby": heading, "aria-busy": "true" },
      element("span", { class: "avatar", "aria-hidden": "true" }, initials(speaker.name)),
      element("div", {}, head, this.body),
    );
  }

  say(text, tokens) {
    if (!this.began) this.began = performance.now();
    this.status = null;
    this.wait.hidden = true;
    // Each change lays the whole answer out again: the longer it is, the fewer there are (milliseconds), so that all of
    // them together take time in proportion to its length.
    if (!this.unseen) setTimeout(() => requestAnimationFrame(() => this.show()), this.content.length / CHARS_PER_MS);
    this.unseen += text;
    this.content += text;
    this.tokens += tokens;
    const spent = (performance.now() - this.began) / 1000;
    if (spent > 1) this.rate.textContent = `${(this.tokens / spent).toFixed(1)} tokens/s`;
  }

  show() {
    if (!this.unseen) return;
    if (!this.text.firstChild) this.text.append("");
    this.text.lastChild.appendData(this.unseen);
    this.unseen = "";
  }

  // Says again what the service has kept; what was shown beyond it will be said once more.
  restore(text, tokens) {
    this.began = 0;
    this.tokens = tokens;
    this.content = text;
    this.unseen = "";
    this.text.replaceChildren(...(text ? [text] : []));
  }

  resumed(how) {
    this.began = 0;
    this.tokens = 0;
    if (how === "restarted" && this.content) {
      const before = element("details", { class: "before" }, element("summary", {}, "Broke off; it starts again"));
      before.append(element("p", { dir: "auto" }, this.content));
      this.body.prepend(before);
      this.unseen = "";
      this.text.replaceChildren();
      this.content = "";
    }
  }

  // Shows a waiting state; true if it is another one than before.
  waiting(status) {
    const another = this.status?.label !== status.label;
    this.status = { ...status, at: performance.now() };
    this.element.setAttribute("aria-busy", "true");
    const dots = element("span", { class: "dots", "aria-hidden": "true" }, element("i"), element("i"), element("i"));
    this.clock = element("time");
    const now = element("p", { class: "now" }, dots, element("span", {}, status.label), this.clock);
    this.why = element("p", { class: "why" });
    this.wait.replaceChildren(now);
    const place = status.state === "late" ? 3 : STEPS.findIndex(([state]) => state === status.state);
    const waking = place >= 0 && (status.estimated || status.state === "weights" || status.retry_seconds !== null);
    if (waking) this.wait.append(this.steps(place));
    if (status.state !== "asking") this.wait.append(this.why);
    this.wait.hidden = false;
    this.tick();
    return another;
  }

  steps(place) {
    const items = STEPS.map(([, label], index) => {
      const current = index === place ? { "aria-current": "step" } : {};
      return element("li", { class: index < place ? "done" : index === place ? "now" : "", ...current }, label);
    });
    return element("ol", { class: "steps", "aria-label": "Waking the model" }, ...items);
  }

  tick() {
    if (!this.status) return;
    const since = (performance.now() - this.status.at) / 1000;
    const waited = this.status.waited + since;
    this.clock.textContent = waited >= 1 ? seconds(waited) : "";
    const parts = [this.status.seen];
    if (this.status.estimated) parts.push("the step is estimated from the time");
    const left = (this.status.retry_seconds ?? 0) - since;
    if (left >= 1) parts.push(`next try in ${seconds(left)}`);
    this.why.textContent = parts.join(" · ");
  }

  end(data) {
    this.show();
    this.reason = data.reason;
    this.said = data.tokens;
    this.status = null;
    this.wait.hidden = true;
    this.element.setAttribute("aria-busy", "false");
    if (data.tokens_per_second) this.rate.textContent = `${data.tokens_per_second.toFixed(1)} tokens/s · ${data.tokens} tokens`;
    const open = data.reason === "stopped" || data.reason === "failed";
    if (!open && this.content) {
      this.text.replaceChildren();
      for (const block of format(this.content)) this.text.append(block);
      this.text.classList.add("formatted");
    }
    this.note?.remove();
    const note = data.message || ENDINGS[data.reason] || (this.content ? "" : "Said nothing.");
    if (note) {
      this.note = element("p", { class: data.message ? "note bad" : "note" }, note);
      this.body.append(this.note);
    }
  }

  reopen() {
    this.note?.remove();
    this.element.setAttribute("aria-busy", "true");
  }
}
