// A conversation on the page: follows its events, and steers it.

import { ApiError, file, follow, post } from "./api.js";
import { element, initials } from "./text.js";
import { write } from "./transcript.js";
import { Turn } from "./turn.js";

const $ = (id) => document.getElementById(id);
const ENDS = {
  turns: "All turns are taken.",
  tokens: "The limit on tokens is reached.",
  time: "The limit on time is reached.",
  asked: "Stopped.",
  unwatched: "Stopped, because nobody was watching.",
  failure: "Stopped: a model did not answer.",
  shutdown: "The service starts again; the conversation goes on by itself.",
  gone: "A model of it is not here any more.",
};

export class Talk {
  // again: called when there is something to follow once more.
  constructor(id, { speakers, tell, announce, again }) {
    this.id = id;
    this.again = again;
    this.place = { last: "" };
    this.following = false;
    this.known = speakers;
    this.tell = tell;
    this.announce = announce;
    this.people = [];
    this.turns = new Map();
    this.tokens = 0;
    this.state = "";
    this.yours = true;
    this.abort = new AbortController();
    for (const part of ["feed", "people", "progress", "talk-topic"]) $(part).replaceChildren();
  }

  // Follows the conversation until nothing more comes by itself: an open page keeps no sleeping service awake.
  async run() {
    if (this.following || this.abort.signal.aborted) return;
    this.following = true;
    this.refresh();
    const clock = setInterval(() => this.turn?.tick(), 1000);
    // Where the page is looked at once a frame: asking lays it out.
    let asked = false;
    const onEvent = (kind, data) => {
      if (!asked) {
        asked = true;
        const follows = this.atEnd();
        requestAnimationFrame(() => requestAnimationFrame(() => {
          asked = false;
          if (follows) this.scrollToEnd();
        }));
      }
      this[`on_${kind}`]?.(data);
    };
    const onConnection = (up) => this.tell(up ? "" : "The connection is lost. Trying again …");
    try {
      await follow(this.id, this.place, { onEvent, onConnection, signal: this.abort.signal });
    } finally {
      clearInterval(clock);
      this.following = false;
      if (!this.abort.signal.aborted) this.refresh();
    }
  }

  close() {
    this.abort.abort();
  }

  async toggle() {
    if (this.yours) await this.steer(this.state === "running" ? "stop" : "resume");
    else this.again();
  }

  async steer(action, body) {
    try {
      await post(`/api/conversations/${this.id}/${action}`, body);
      this.tell("");
      this.again();
    } catch (error) {
      this.tell(error.message);
      if (error instanceof ApiError && error.code === "not_yours") this.mayNotSteer();
    }
  }

  mayNotSteer() {
    this.yours = false;
    this.refresh();
  }

  async download(format) {
    try {
      const { name, content } = await file(`/api/conversations/${this.id}/transcript?format=${format}`);
      this.save(name, content);
    } catch (error) {
      if (!this.turns.size) return this.tell(error.message);
      // What was shown can be kept whatever has become of the service.
      const { name, content } = write(this, format);
      this.save(name, content);
      this.tell(`${error.message} The file has what this page has shown.`);
    }
  }

  save(name, content) {
    const link = element("a", { href: URL.createObjectURL(content), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    this.announce(`${name} is downloaded.`);
  }

  on_store({ ok }) {
    $("store").hidden = ok;
    if (!ok) this.announce($("store").textContent);
  }

  // The service goes on with what it has kept: what was shown beyond that is said again.
  on_restored({ turn, text, tokens }) {
    for (const [number, each] of this.turns) {
      if (number <= turn) continue;
      each.element.remove();
      this.turns.delete(number);
    }
    this.turn = this.turns.get(turn);
    if (text !== undefined) this.turn?.restore(text, tokens);
    this.does();
    this.refresh();
  }

  on_conversation(data) {
    this.topic = data.topic;
    this.notice = data.notice ?? "";
    this.began = data.began;
    $("talk-topic").textContent = data.topic;
    document.title = `${[...data.topic].slice(0, 60).join("")} · Dialogue`;
    this.mostTurns = data.turns;
    data.speakers.forEach((speaker) => this.add(speaker));
  }

  on_joined({ speaker }) {
    this.add(speaker);
    this.announce(`${speaker.name} joins.`);
  }

  on_state({ state, reason }) {
    this.state = state;
    this.reason = reason;
    if (state === "running" && this.turn) this.turn.reopen();
    if (state !== "running") {
      this.does();
      this.announce(ENDS[reason] ?? state);
    }
    this.refresh();
  }

  on_turn({ turn, speaker }) {
    const place = this.people.findIndex((person) => person.name === speaker);
    this.turn = new Turn(turn, this.people[place], place);
    this.turns.set(turn, this.turn);
    $("feed").append(this.turn.element);
    this.refresh();
  }

  on_status(data) {
    const turn = this.turns.get(data.turn);
    this.does(turn.speaker.name, data.state === "reading" || data.state === "thinking" ? data.label : "waiting");
    if (turn.waiting(data) && data.state !== "asking") this.announce(`${turn.speaker.name}: ${data.label}.`);
  }

  on_token({ turn, text, tokens }) {
    this.turns.get(turn).say(text, tokens);
    this.does(this.turns.get(turn).speaker.name, "speaking");
  }

  on_resumed({ turn, how }) {
    this.turns.get(turn).resumed(how);
  }

  on_turn_end(data) {
    const turn = this.turns.get(data.turn);
    turn.end(data);
    if (turn.content && data.reason !== "stopped") this.announce(`${turn.speaker.name} said: ${turn.content}`);
    turn.counted = data.tokens;
    this.tokens = [...this.turns.values()].reduce((sum, each) => sum + (each.counted ?? 0), 0);
    this.does();
    this.refresh();
  }

  add(speaker) {
    const place = this.people.length;
    const does = element("span", { class: "does" });
    const avatar = element("span", { class: "avatar", "aria-hidden": "true" }, initials(speaker.name));
    const item = element("li", { class: `who${place % 4}`, title: `${speaker.name}: ${speaker.model}` }, avatar, speaker.name, does);
    this.people.push({ ...speaker, item, does });
    $("people").append(item);
    this.refresh();
  }

  // Marks who does what beside their names.
  does(name, what = "") {
    for (const person of this.people) {
      const active = person.name === name;
      if (person.does.textContent !== (active ? what : "")) person.does.textContent = active ? what : "";
      person.item.classList.toggle("active", active);
    }
  }

  refresh() {
    const over = this.state === "finished";
    // Who may not resume it can look whether somebody else has.
    $("stop").hidden = over || (!this.yours && (this.following || this.state !== "stopped"));
    $("stop").textContent = !this.yours ? "Look again" : this.state === "stopped" ? "Resume" : "Stop";
    const present = this.people.map((person) => person.name);
    const guests = this.known.filter((speaker) => !present.includes(speaker.name));
    $("invite-menu").hidden = over || !this.yours || !guests.length || present.length >= 4;
    $("guests").replaceChildren(...guests.map((guest) => {
      const button = element("button", { type: "button" }, guest.name);
      button.addEventListener("click", () => this.steer("guests", { speaker: guest.name }));
      return button;
    }));
    const count = element("span", {}, `Turn ${this.turns.size} of ${this.mostTurns} · ${this.tokens} tokens`);
    const note = this.state && this.state !== "running" ? element("strong", {}, `${ENDS[this.reason] ?? ""} `) : "";
    $("progress").replaceChildren(note, count);
  }

  atEnd() {
    const root = document.documentElement;
    return root.scrollHeight - root.scrollTop - root.clientHeight < 120;
  }

  scrollToEnd() {
    document.documentElement.scrollTop = document.documentElement.scrollHeight;
  }
}
