// What is believed: now, in doubt, and before.

import { get } from "./api.js";
import { doubts, openThought, saidBy, validity } from "./detail.js";
import { empty, show } from "./dialogs.js";
import { button, endOfDay, field, h, number, rove, words } from "./dom.js";

const PAGE = 100;
const STATES = { holds: "Now", doubted: "In doubt", before: "Before" };
const NOTHING = {
  holds: ["Nothing is believed", "Thoughts are drawn from turns in the background, a little after they are remembered."],
  doubted: ["Nothing is in doubt", "Where later words may have changed a thought, it is listed here with these words."],
  before: ["Nothing was believed before", "A thought that newer words replaced, or that you took back, is listed here with its history."],
};

export function beliefs(main, refresh) {
  const state = { group: "holds", text: "", day: "", offset: 0 };
  const list = h("div");
  const tabs = h("div", { class: "tabs", role: "group", "aria-label": "Which thoughts" });
  const filter = h("input", { type: "search", maxlength: "200", oninput: () => change({ text: filter.value }) });
  const at = h("input", { type: "date", onchange: () => change({ day: at.value }) });
  main.replaceChildren(h("h1", null, "Beliefs"), tabs,
    h("div", { class: "toolbar" }, field("Has the words", filter), field("As it held on", at)), list);

  const change = (part) => { Object.assign(state, { offset: 0 }, part); load(); };
  const changed = async () => { await refresh(); load(); };
  const load = () => show(list, async () => {
    at.disabled = state.group === "before";
    const as_of = state.group === "before" ? null : endOfDay(state.day);
    const answer = await get("thoughts", { state: state.group, text: state.text, as_of, offset: state.offset, limit: PAGE });
    drawTabs(answer.counts);
    if (!answer.total) return nothing(state);
    return [thoughtList(answer.thoughts, changed), pager(state, answer.total, change)];
  });
  const drawTabs = (counts) => {
    const current = document.activeElement?.dataset?.group;
    tabs.replaceChildren(...Object.entries(STATES).map(([group, label]) => button(
      [label, group in counts && h("span", { class: "count" }, number(counts[group]))], () => change({ group }),
      { "data-group": group, "aria-pressed": String(group === state.group) })));
    if (current) tabs.querySelector(`[data-group=${current}]`)?.focus();
  };
  drawTabs({});
  load();
}

const nothing = ({ group, text, day }) => (text || (day && group !== "before")
  ? empty("No such thought", "None matches; change the words or the day.")
  : empty(...NOTHING[group]));

function pager(state, total, change) {
  if (total <= PAGE) return null;
  const last = Math.min(total, state.offset + PAGE);
  return h("nav", { class: "pager", "aria-label": "Pages of thoughts" },
    button("Newer", () => change({ offset: Math.max(0, state.offset - PAGE) }), { disabled: state.offset === 0 }),
    h("p", null, `${number(state.offset + 1)}–${number(last)} of ${number(total)}`),
    button("Older", () => change({ offset: state.offset + PAGE }), { disabled: last >= total }));
}

function thoughtList(thoughts, changed) {
  const items = thoughts.map((thought) => h("li", { "data-item": "", class: "thought" },
    h("div", { class: "row" },
      h("div", { class: "said" }, words(thought.text),
        h("p", { class: "meta" }, `${validity(thought)} · ${saidBy(thought)}`, thought.closed_by && " · replaced")),
      h("div", { class: "actions" }, thought.retracted_at === null
        && button("Open", () => openThought(thought.id, changed), { class: "quiet open", "aria-label": `Open: ${thought.text.slice(0, 80)}` }))),
    doubts(thought)));
  return rove(h("ul", { class: "thoughts", "aria-label": "Thoughts" }, items), {
    Enter: (item) => item.querySelector(".open")?.click(),
  });
}
