// The timeline: turns in the order they were said, a page at a time, and a strip of all of them.

import { get } from "./api.js";
import { empty, show } from "./dialogs.js";
import { openTurn } from "./detail.js";
import { button, clock, count, dateValue, field, h, month, number, rove, svg, time, weekday, words } from "./dom.js";
import { forget } from "./forget.js";

const PAGE = 50;
const LONG = 700; // characters of a turn that are shown before it is unfolded
const BARS = 96;

/** Show the timeline in `main`; `refresh` reloads what the header shows. */
export function timeline(main, refresh) {
  const state = { session: null, fromEnd: PAGE, times: [], selected: new Set() };
  const tools = h("div", { class: "toolbar" });
  const strip = h("div", { class: "strip" });
  const list = h("div");
  main.replaceChildren(h("h1", null, "Timeline"), tools, strip, list);

  const changed = async () => { await refresh(); load(); };
  const page = (fromEnd) => {
    state.fromEnd = Math.max(Math.min(PAGE, state.times.length), Math.min(state.times.length, fromEnd));
    state.selected.clear();
    drawStrip();
    return show(list, () => turnList(state, page, changed));
  };
  const load = () => show(list, async () => {
    state.selected.clear();
    const overview = await get("overview");
    ({ times: state.times } = await get("times", { session_id: state.session }));
    tools.replaceChildren(...toolbar(state, overview.sessions, load, page, changed));
    state.fromEnd = Math.max(Math.min(PAGE, state.times.length), Math.min(state.fromEnd, state.times.length));
    drawStrip();
    if (!state.times.length) return nothing();
    return turnList(state, page, changed);
  });
  const drawStrip = () => strip.replaceChildren(...density(state, page));
  load();
}

const nothing = () => empty("Nothing is remembered yet",
  "Turns appear here as soon as a chat, an integration or `memkit add` remembers them.",
  "You can also bring conversations from a file: see Your data.");

// ---- which page

function toolbar(state, sessions, load, page, changed) {
  const named = sessions.filter((session) => session.id !== null);
  const select = h("select", { onchange: () => { state.session = select.value || null; state.fromEnd = PAGE; load(); } },
    h("option", { value: "" }, "All conversations"),
    named.map((session) => h("option", { value: session.id }, `${session.id} (${number(session.turns)})`)));
  // the value as it is, because a shown text is sanitised
  named.forEach((session, n) => { select.options[n + 1].value = session.id; });
  select.value = state.session ?? "";
  const { times } = state;
  const jump = h("input", { type: "date", onchange: () => jump.value && page(state.times.length - firstOf(state.times, jump.value)) });
  if (times.length) {
    jump.min = dateValue(times[0] * 1000);
    jump.max = dateValue(times.at(-1) * 1000);
  }
  return [
    field("Conversation", select),
    field("Jump to a day", jump),
    state.session !== null && button("Forget this conversation", () => forget({ session_id: state.session }, () => {
      state.session = null;
      changed();
    }), { class: "danger" }),
  ].filter(Boolean);
}

/** Return the number of the first turn said on a day or after it. */
function firstOf(times, value) {
  const start = new Date(`${value}T00:00:00`).getTime() / 1000;
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < start) low = middle + 1;
    else high = middle;
  }
  return Math.min(low, times.length - 1);
}

function pager(state, page) {
  const total = state.times.length;
  const first = total - state.fromEnd;
  const last = Math.min(total, first + PAGE);
  const step = (label, fromEnd, disabled) => button(label, () => page(fromEnd), { disabled });
  return h("nav", { class: "pager", "aria-label": "Pages of the timeline" },
    step("Oldest", total, first <= 0), step("Older", state.fromEnd + PAGE, first <= 0),
    h("p", null, `Turns ${number(first + 1)}–${number(last)} of ${number(total)}`),
    step("Newer", state.fromEnd - PAGE, last >= total), step("Newest", PAGE, last >= total));
}

/** How many turns were said when; a click shows the turns from there on. */
function density(state, page) {
  const { times } = state;
  if (times.length < 2 || times[0] === times.at(-1)) return [];
  const [start, end] = [times[0], times.at(-1)];
  const bars = new Array(BARS).fill(0);
  const place = (value) => Math.min(BARS - 1, Math.floor(((value - start) / (end - start)) * BARS));
  times.forEach((value) => { bars[place(value)] += 1; });
  const most = Math.max(...bars);
  const first = times.length - state.fromEnd;
  const [from, to] = [place(times[first]), place(times[Math.min(times.length, first + PAGE) - 1])];
  const draw = (turns, n) => turns > 0 && svg("rect", {
    class: n >= from && n <= to ? "here" : "there", x: n * 10 + 1, width: 8,
    y: (60 - 56 * Math.sqrt(turns / most)).toFixed(1), height: (56 * Math.sqrt(turns / most)).toFixed(1),
  });
  const picture = svg("svg", {
    viewBox: `0 0 ${BARS * 10} 60`, preserveAspectRatio: "none", role: "img",
    "aria-label": `${count(times.length, "turn")} from ${month(start * 1000)} to ${month(end * 1000)}`,
  }, bars.map(draw));
  picture.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    const target = start + ((event.clientX - box.left) / box.width) * (end - start);
    const n = times.findIndex((value) => value >= target);
    page(times.length - (n < 0 ? times.length - 1 : n));
  });
  return [picture, h("p", { class: "ends" }, h("span", null, month(start * 1000)), h("span", null, month(end * 1000)))];
}

// ---- the turns of a page

async function turnList(state, page, changed) {
  const query = { session_id: state.session, from_end: state.fromEnd, limit: PAGE };
  const { turns } = await get("turns", query);
  const selection = h("div", { class: "selection", role: "status" });
  const drawSelection = () => selection.replaceChildren(...(state.selected.size ? [
    h("p", null, `${count(state.selected.size, "turn")} selected`),
    button(`Forget ${count(state.selected.size, "turn")}`, () => forget({ turn_ids: [...state.selected] }, changed), { class: "danger" }),
  ] : []));
  // the newest day first; a day reads from morning to evening
  const days = Map.groupBy(turns, (turn) => weekday(turn.said_at));
  const items = [...days.values()].reverse().flatMap((said) => said.map((turn, n) =>
    turnItem(turn, said[n - 1], { state, changed, drawSelection })));
  const list = rove(h("ul", { class: "turns", "aria-label": "Turns" }, items), {
    Enter: (item) => item.querySelector(".open").click(),
    x: (item) => item.querySelector("input").click(),
    Delete: (item) => item.querySelector(".forget").click(),
  });
  return [pager(state, page), selection, list, turns.length > 10 && pager(state, page)];
}

function turnItem(turn, before, { state, changed, drawSelection }) {
  const isNewDay = !before;
  const isNewSession = isNewDay || before.session_id !== turn.session_id;
  const choose = h("input", { type: "checkbox", "aria-label": `Select: ${turn.speaker}, ${clock(turn.said_at)}`, onchange: () => {
    state.selected[choose.checked ? "add" : "delete"](turn.id);
    drawSelection();
  } });
  choose.checked = state.selected.has(turn.id);
  return h("li", { "data-item": "", class: `turn ${turn.role === "user" ? "person" : "machine"}` },
    isNewDay && h("h2", { class: "day" }, time(turn.said_at, weekday(turn.said_at))),
    isNewSession && turn.session_id !== null && h("p", { class: "session", dir: "auto" }, turn.session_id),
    h("div", { class: "row" },
      choose,
      h("div", { class: "said" },
        h("p", { class: "meta" }, h("strong", { dir: "auto" }, turn.speaker), " ", time(turn.said_at, clock(turn.said_at)),
          turn.source !== turn.role && ` · ${turn.source}`, turn.flags.length > 0 && ` · ${turn.flags.join(", ").replaceAll("_", " ")}`),
        foldable(turn)),
      h("div", { class: "actions" },
        button("Details", () => openTurn(turn.id, changed), { class: "quiet open", "aria-label": `Details: ${turn.speaker}, ${clock(turn.said_at)}` }),
        button("Forget", () => forget({ turn_ids: [turn.id] }, changed), { class: "quiet forget", "aria-label": `Forget: ${turn.speaker}, ${clock(turn.said_at)}` }))));
}

function foldable(turn) {
  if (turn.length <= LONG) return words(turn.text);
  const text = words(`${turn.text.slice(0, LONG)}…`);
  const unfold = button(`Show more (${number(turn.length)} characters)`, () => {
    text.replaceWith(words(turn.text));
    unfold.remove();
  }, { class: "link" });
  return [text, unfold];
}
