// The page: asks for a key, starts a conversation, shows one.

import { ApiError, get, post, setKey } from "./api.js";
import { Talk } from "./talk.js";
import { element, initials } from "./text.js";

const $ = (id) => document.getElementById(id);
const IDEAS = [
  "Is a hot dog a sandwich?",
  "What would you save from a burning museum?",
  "Should cities ban cars from their centres?",
  "Why does music move us?",
];
const THEMES = ["auto", "light", "dark"];
let session = null;
let talk = null;

function show(view) {
  for (const id of ["key-view", "start-view", "talk-view"]) $(id).hidden = id !== view;
}

function tell(message, ...more) {
  $("banner").hidden = !message;
  $("banner").replaceChildren(message, ...more);
}

function announce(message) {
  $("live").textContent = message;
}

function setTheme(theme) {
  localStorage.setItem("dialogue-theme", theme);
  document.documentElement.dataset.theme = theme;
  $("theme").textContent = `Theme: ${theme}`;
}

function speakerCard(speaker, place) {
  const box = element("input", { type: "checkbox", name: "speaker", value: speaker.name });
  box.checked = !speaker.guest;
  const name = element("span", {}, speaker.name, element("small", {}, speaker.model));
  const avatar = element("span", { class: "avatar", "aria-hidden": "true" }, initials(speaker.name));
  const persona = element("textarea", { rows: 2, maxlength: session.limits.persona_chars, placeholder: "A persona, if you like" });
  persona.setAttribute("aria-label", `Persona of ${speaker.name}`);
  persona.value = speaker.persona;
  persona.dataset.speaker = speaker.name;
  return element("div", { class: `speaker who${place % 4}` }, element("label", {}, avatar, name, box), persona);
}

function fillStart() {
  const { limits } = session;
  $("topic").maxLength = limits.topic_chars;
  $("turns").max = limits.most_turns;
  $("turns").value = limits.turns;
  $("speakers").replaceChildren(...session.speakers.map(speakerCard));
  const guests = session.speakers.length > 2 ? " Who is left out now can be invited later." : "";
  $("speakers-hint").textContent = `Two to ${limits.speakers} models.${guests}`;
  $("ideas").replaceChildren(...IDEAS.map((idea) => {
    const button = element("button", { type: "button" }, idea);
    button.addEventListener("click", () => {
      $("topic").value = idea;
      $("topic").focus();
      check();
    });
    return button;
  }));
  check();
}

function chosen() {
  return [...document.querySelectorAll("input[name=speaker]:checked")].map((box) => box.value);
}

function check() {
  const names = chosen();
  const left = session.limits.topic_chars - $("topic").value.length;
  $("topic-count").textContent = left < 200 ? `${left} characters left` : "";
  $("begin").disabled = names.length < 2 || names.length > session.limits.speakers;
}

const STATES = { running: "runs", stopped: "stopped", finished: "over" };

async function showMine() {
  const { conversations } = await get("/api/conversations").catch(() => ({ conversations: [] }));
  const hours = Math.round(session.limits.keep_seconds / 3600);
  $("mine").hidden = !conversations.length;
  $("mine-hint").textContent = `They are deleted ${hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} days`} after their end.`;
  $("mine-list").replaceChildren(...conversations.map(({ id, topic, began, state, turns }) => {
    const when = new Date(began).toLocaleString();
    const facts = element("small", {}, `${when} · ${turns} turns · ${STATES[state] ?? state}`);
    return element("li", {}, element("a", { href: `#${id}` }, element("bdi", {}, topic), facts));
  }));
}

async function begin(event) {
  event.preventDefault();
  const names = chosen();
  const personas = {};
  for (const area of document.querySelectorAll(".speaker textarea")) {
    if (names.includes(area.dataset.speaker)) personas[area.dataset.speaker] = area.value;
  }
  const body = { topic: $("topic").value, speakers: names, personas, turns: Number($("turns").value) };
  $("begin").disabled = true;
  try {
    const conversation = await post("/api/conversations", body);
    history.pushState(null, "", `#${conversation.id}`);
    route();
  } catch (error) {
    refuse(error);
  } finally {
    check();
  }
}

function refuse(error) {
  const running = error instanceof ApiError && error.code === "busy" ? error.details.running?.[0] : "";
  if (running) tell(`${error.message}. `, element("a", { href: `#${running}` }, "Go to the one that runs"));
  else if (error instanceof ApiError && error.status === 401) askForKey(error.message);
  else tell(error.message);
}

function askForKey(message) {
  show("key-view");
  tell(sessionStorage.getItem("dialogue-key") ? message : "");
  $("key").focus();
}

async function route() {
  tell("");
  talk?.close();
  talk = null;
  const id = location.hash.slice(1);
  if (!id) {
    document.title = session.title;
    show("start-view");
    $("topic").focus();
    await showMine();
    return;
  }
  const current = new Talk(id, { speakers: session.speakers, tell, announce, again: () => watch(current) });
  talk = current;
  show("talk-view");
  $("talk-topic").focus();
  await watch(current, async () => {
    const { yours } = await get(`/api/conversations/${id}`);
    if (!yours) current.mayNotSteer();
  });
}

async function watch(current, first = async () => {}) {
  try {
    await first();
    await current.run();
  } catch (error) {
    if (error instanceof ApiError && error.status === 404 && current.turns.size) {
      tell("The service does not have this conversation any more. What is shown here can still be downloaded.");
    } else if (error instanceof ApiError && error.status === 404) {
      history.replaceState(null, "", "#");
      await route();
      tell("That conversation is not there any more.");
    } else {
      refuse(error);
    }
  }
}

async function open() {
  try {
    session = await get("/api/session");
  } catch (error) {
    refuse(error);
    return;
  }
  $("title").textContent = session.title;
  $("notice").textContent = session.notice;
  $("notice").hidden = !session.notice;
  $("store").hidden = !session.store.problem;
  fillStart();
  await route();
}

function closeMenus(except) {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (menu !== except) menu.open = false;
}

setTheme(localStorage.getItem("dialogue-theme") ?? "auto");
$("theme").addEventListener("click", () => {
  setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length]);
});
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setKey($("key").value.trim());
  $("key").value = "";
  open();
});
$("start-form").addEventListener("submit", begin);
$("start-form").addEventListener("input", check);
$("topic").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("start-form").requestSubmit();
});
$("stop").addEventListener("click", () => talk?.toggle());
$("new").addEventListener("click", () => {
  history.pushState(null, "", "#");
  route();
});
$("formats").addEventListener("click", (event) => {
  if (event.target.dataset.format) talk?.download(event.target.dataset.format);
});
$("newest").addEventListener("click", () => talk?.scrollToEnd());
addEventListener("scroll", () => {
  $("newest").hidden = !talk || talk.atEnd();
}, { passive: true });
addEventListener("click", (event) => closeMenus(event.target.closest("details.menu summary")?.parentElement));
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const open = document.querySelector("details.menu[open]");
  closeMenus();
  open?.querySelector("summary").focus();
});
addEventListener("hashchange", () => session && route());
open();
