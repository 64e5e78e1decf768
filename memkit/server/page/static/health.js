// The state of the memory: counts, checks, the ledger, and the latest changes.

import { get } from "./api.js";
import { show } from "./dialogs.js";
import { button, count, h, moment, number, time } from "./dom.js";

const COUNTS = {
  turns: "turns", thoughts: "thoughts", summaries: "summaries", waiting_turns: "turns to think about",
  parked_turns: "turns that failed", hidden_chunks: "hidden by pruning",
};
const ONE = { turns: "turn", thoughts: "thought", summaries: "summary", chunks: "chunk" };
const UNITS = ["bytes", "kB", "MB", "GB"];

export function health(main) {
  const box = h("div");
  const load = () => show(box, async () => report(await get("health")));
  main.replaceChildren(h("div", { class: "title-bar" }, h("h1", null, "Health"), button("Check again", load)), box);
  load();
}

function report({ stats, embedder, faults, ledger, recent }) {
  return [
    h("dl", { class: "counts" }, Object.entries(COUNTS).map(([name, label]) =>
      h("div", null, h("dt", null, label), h("dd", null, number(stats[name]))))),
    check("Memory", faults, "Rows, full text, vectors and index agree."),
    check("Ledger", ledger.faults, `${count(ledger.events, "event")}, none was changed, removed or moved.`),
    h("section", null, h("h2", null, "Latest changes"),
      h("table", { class: "events" },
        h("thead", null, h("tr", null, ["When", "What", "How much"].map((label) => h("th", { scope: "col" }, label)))),
        h("tbody", null, recent.map((event) => h("tr", null,
          h("td", null, time(event.at, moment(event.at))), h("td", null, event.kind), h("td", null, amounts(event))))))),
    h("p", { class: "meta" }, `${size(stats.bytes)} on disk · embedded with ${embedder}`),
  ];
}

const check = (title, faults, sentence) => h("section", { class: faults.length ? "check bad" : "check" },
  h("h2", null, title), h("p", { class: faults.length ? "doubt" : "good" }, faults.length ? count(faults.length, "fault") : `Sound. ${sentence}`),
  faults.length > 0 && h("ul", { class: "problems" }, faults.slice(0, 50).map((fault) => h("li", { dir: "auto" }, fault))));

// what the gate measured is in thousandths and belongs to `memkit audit log`
const amounts = ({ kind, counts }) => (["admitted", "refused"].includes(kind)
  ? "measured by the gate"
  : Object.entries(counts).filter(([, value]) => value).map(([name, value]) =>
    `${number(value)} ${(value === 1 && ONE[name]) || name.replaceAll("_", " ")}`).join(", ") || "–");

function size(bytes) {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${(bytes / 1000 ** power).toFixed(power ? 1 : 0)} ${UNITS[power]}`;
}
