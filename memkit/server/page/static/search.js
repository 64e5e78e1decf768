// Search: what a question recalls, and why.

import { post } from "./api.js";
import { attentionPicture } from "./attention.js";
import { openThought, openTurn } from "./detail.js";
import { empty, show } from "./dialogs.js";
import { bar, button, count, day, endOfDay, field, h, percent, rove, time, words } from "./dom.js";
import { forget } from "./forget.js";

// the names of signals in memkit/retrieval/fusion.py, in words
const SIGNALS = {
  dense: "meaning", learned: "meaning, as trained", "dense window": "meaning of the talk around it",
  lexical: "its own words", "lexical window": "words of the talk around it", attention: "chunk attention",
  thought: "a thought drawn from it", session: "words of the whole conversation", speaker: "the question names the speaker",
  person: "said by a person", latest: "nobody says it again later", time: "said when the question asks about", length: "it says more",
};
const last = { query: "", day: "", kind: "turn" }; // comes back with the view

export function search(main, refresh) {
  const query = h("input", { type: "search", maxlength: "20000", autocomplete: "off", id: "query", required: true });
  const at = h("input", { type: "date" });
  const kind = h("select", null, h("option", { value: "turn" }, "What was said"), h("option", { value: "thought" }, "What is believed"));
  [query.value, at.value, kind.value] = [last.query, last.day, last.kind];
  const results = h("div");
  const run = () => {
    Object.assign(last, { query: query.value, day: at.value, kind: kind.value });
    if (!query.value.trim()) return results.replaceChildren(start());
    return show(results, () => find({ query: query.value, kind: kind.value, as_of: endOfDay(at.value) }, changed));
  };
  const changed = async () => { await refresh(); run(); };
  const form = h("form", { class: "toolbar search", role: "search", onsubmit: (event) => { event.preventDefault(); run(); } },
    field("Question or words", query), field("Look in", kind), field("As of", at),
    h("button", { type: "submit", class: "primary" }, "Search"));
  main.replaceChildren(h("h1", null, "Search"), form, results);
  run();
}

const start = () => empty("Ask the memory something",
  "It finds turns by meaning, words, who said them and when, inside this memory alone.",
  "With a day in As of, it answers from what had been said by then.");

async function find(form, changed) {
  const { hits } = await post("search", form);
  if (!hits.length) return empty("Nothing relevant was said", "Try other words, or a later day.");
  const ids = [...new Set(hits.flatMap((hit) => hit.turn_ids))];
  const list = rove(h("ol", { class: "hits", "aria-label": "Hits, best first" }, hits.map((hit) => hitItem(hit, changed))), {
    Enter: (item) => item.querySelector(".open").click(),
  });
  return [
    h("div", { class: "result-bar" }, h("p", { role: "status" }, count(hits.length, "hit")),
      button("Forget these results", () => forget({ turn_ids: ids }, changed), { class: "quiet danger" })),
    list,
    form.kind === "turn" && attentionBox(form),
  ];
}

function hitItem(hit, changed) {
  const open = () => (hit.thought_id ? openThought(hit.thought_id, changed) : openTurn(hit.turn_ids[0], changed));
  const shares = Object.entries(hit.explain).filter(([, share]) => share >= 0.0005).sort((a, b) => b[1] - a[1]);
  const most = Math.max(...shares.map(([, share]) => share), 0.0001);
  return h("li", { "data-item": "", class: "hit" },
    h("div", { class: "row" },
      h("p", { class: "relevance" }, h("span", { class: "figure" }, percent(hit.relevance)), bar(hit.relevance)),
      h("div", { class: "said" },
        h("p", { class: "meta" }, h("strong", { dir: "auto" }, hit.speaker), " ", time(hit.said_at, day(hit.said_at)),
          hit.session_id && h("span", { dir: "auto" }, ` · ${hit.session_id}`)),
        words(hit.text),
        h("details", null, h("summary", null, "Why it was recalled"),
          h("table", { class: "shares" },
            h("caption", { class: "unseen" }, "Each signal's share of the relevance"),
            h("tbody", null, shares.map(([signal, share]) => h("tr", null,
              h("th", { scope: "row" }, SIGNALS[signal] ?? signal), h("td", null, bar(share / most)),
              h("td", { class: "figure" }, `${(share * 100).toFixed(1)} %`))))))),
      h("div", { class: "actions" }, button("Open", open, { class: "quiet open", "aria-label": `Open: ${hit.text.slice(0, 80)}` }))));
}

function attentionBox(form) {
  const box = h("div");
  const details = h("details", { class: "panel", ontoggle: () => {
    if (details.open && !box.childElementCount) {
      show(box, async () => attentionPicture(await post("attention", { query: form.query, as_of: form.as_of }), box.clientWidth));
    }
  } }, h("summary", null, "Chunk attention"),
  h("p", { class: "meta" }, "The memory compares the question with stretches of dialogue, opens the best of them and looks inside these. This is one of the signals above."), box);
  return details;
}
