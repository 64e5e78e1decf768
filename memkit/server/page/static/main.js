// The frame of the page: whose memory, which view, theme, shortcuts.

import { get, useToken } from "./api.js";
import { beliefs } from "./beliefs.js";
import { failure, openDialog } from "./dialogs.js";
import { count, field, h, number, prose } from "./dom.js";
import { health } from "./health.js";
import { search } from "./search.js";
import { summary } from "./summary.js";
import { timeline } from "./timeline.js";
import { transfer } from "./transfer.js";

const VIEWS = {
  timeline: ["Timeline", timeline], beliefs: ["Beliefs", beliefs], search: ["Search", search],
  summary: ["Summary", summary], data: ["Your data", transfer], health: ["Health", health],
};
const THEMES = { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" };
const POLL_MS = 4_000;
const main = document.getElementById("main");
const byId = (id) => document.getElementById(id);

// ---- header

let polling;

async function refresh() {
  clearTimeout(polling);
  const { user_id, stats } = await get("overview");
  byId("owner").replaceChildren(h("strong", null, h("bdi", null, user_id)), h("span", null, "’s memory"));
  document.title = `${currentView()[0]} · ${byId("owner").textContent}`;
  const parts = [count(stats.turns, "turn"), count(stats.thoughts, "thought")];
  if (stats.waiting_turns) parts.push(`thinking about ${number(stats.waiting_turns)}`);
  const text = parts.join(" · ");
  if (byId("state").textContent !== text) byId("state").textContent = text;
  if (stats.waiting_turns) polling = setTimeout(() => refresh().catch(() => {}), POLL_MS);
}

// ---- views

const currentView = () => VIEWS[location.hash.slice(2)] ?? VIEWS.timeline;

function openView() {
  if (location.hash && !location.hash.startsWith("#/")) return;
  const [label, view] = currentView();
  byId("views").replaceChildren(...Object.entries(VIEWS).map(([name, [text, other]]) =>
    h("a", { href: `#/${name}`, "aria-current": other === view ? "page" : null }, text)));
  document.title = `${label} · ${byId("owner").textContent}`;
  scrollTo(0, 0);
  view(main, refresh);
}

addEventListener("hashchange", () => { openView(); main.focus({ preventScroll: true }); });
byId("skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });

async function start() {
  try {
    await refresh();
    openView();
  } catch (error) {
    if (error.status === 401) askForToken(error);
    else main.replaceChildren(failure(error, start));
  }
}

function askForToken(error) {
  const input = h("input", { type: "password", autocomplete: "off", required: true });
  const open = (event) => { event.preventDefault(); useToken(input.value.trim()); start(); };
  byId("views").replaceChildren();
  main.replaceChildren(h("form", { class: "locked", onsubmit: open },
    h("h1", null, "This memory is locked"), h("p", { role: "alert" }, prose(error.message)),
    field("Token or key", input), h("button", { type: "submit", class: "primary" }, "Open")));
  input.focus();
}

addEventListener("memkit:locked", (event) => askForToken(event.detail));

// ---- theme

function setTheme(theme) {
  localStorage.setItem("memkit theme", theme);
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId("theme").textContent = THEMES[theme];
}

byId("theme").addEventListener("click", () => {
  const names = Object.keys(THEMES);
  const current = document.documentElement.dataset.theme ?? "auto";
  setTheme(names[(names.indexOf(current) + 1) % names.length]);
});
const stored = localStorage.getItem("memkit theme");
setTheme(stored in THEMES ? stored : "auto");

// ---- shortcuts

const SHORTCUTS = [
  ["1 – 6", "open a view"], ["/", "search"], ["?", "this list"], ["Up, Down or K, J", "previous or next item"],
  ["Home, End", "first or last item"], ["Enter", "open the item"], ["X", "select the turn"],
  ["Delete", "forget the turn, after a preview"], ["Escape", "close a dialog"],
];
const usesKeys = () => localStorage.getItem("memkit keys") !== "off";

function showShortcuts() {
  const toggle = h("input", { type: "checkbox", checked: usesKeys(), onchange: () => localStorage.setItem("memkit keys", toggle.checked ? "on" : "off") });
  openDialog("Keyboard shortcuts", [
    h("dl", { class: "facts keys" }, SHORTCUTS.map(([keys, text]) => [h("dt", null, h("kbd", null, keys)), h("dd", null, text)])),
    h("label", { class: "check-field" }, toggle, " Single keys open views and search"),
  ]);
}

byId("help").addEventListener("click", showShortcuts);
addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input:not([type=checkbox]), select, textarea, dialog");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || !usesKeys()) return;
  const name = Object.keys(VIEWS)[Number(event.key) - 1];
  if (name) location.hash = `#/${name}`;
  else if (event.key === "?") showShortcuts();
  else if (event.key === "/") {
    event.preventDefault();
    location.hash = "#/search";
    setTimeout(() => byId("query")?.focus());
  }
});

start();
