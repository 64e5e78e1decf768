// The running summary, the summary of summaries, and their versions.

import { get } from "./api.js";
import { empty, show } from "./dialogs.js";
import { count, h, moment, time } from "./dom.js";

export function summary(main) {
  const box = h("div");
  main.replaceChildren(h("h1", null, "Summary"), box);
  show(box, async () => {
    const { running, overview } = await get("summaries");
    if (!running.length && !overview.length) {
      return empty("There is no summary yet", "It is written in the background from what holds, and again whenever that changes.");
    }
    return [section("Of all time", overview), section("Running", running)];
  });
}

function section(title, versions) {
  if (!versions.length) return null;
  const [current, ...older] = versions;
  return h("section", { class: "summary" }, h("h2", null, title), text(current), facts(current),
    older.length > 0 && h("details", null, h("summary", null, `${count(older.length, "earlier version")}`),
      h("ol", { class: "history" }, older.map((version) => h("li", null, facts(version), text(version))))));
}

const text = (version) => h("div", { class: "words summary-text", dir: "auto" },
  version.text.split("\n").filter((line) => line.trim()).map((line) => h("p", null, line)));

const facts = (version) => h("p", { class: "meta" }, "Written ", time(version.created_at, moment(version.created_at)),
  ` · takes in ${count(version.through, "turn")} · ${count(version.tokens, "token")} · ${count(version.sources, "source")}`);
