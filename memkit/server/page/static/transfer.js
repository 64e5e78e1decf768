// A person's data: bring a file in, take everything out, forget everything.

import { getFile, post, save } from "./api.js";
import { failure, showError } from "./dialogs.js";
import { button, count, h, number, prose } from "./dom.js";
import { forget } from "./forget.js";

export function transfer(main, refresh) {
  const report = h("div", { "aria-live": "polite" });
  const choose = h("input", { type: "file", class: "unseen", tabindex: "-1", "aria-label": "File to import", onchange: () => bring(choose.files) });
  const zone = h("div", { class: "drop" },
    h("p", null, "Drop a file here, or ", button("choose a file", () => choose.click(), { class: "link" }), choose),
    h("p", { class: "meta" }, "An export of memkit, of ChatGPT, Claude, WhatsApp, Telegram and others, or messages as JSON lines. Importing a file again adds only what is new."));
  const over = (is) => (event) => { event.preventDefault(); zone.classList.toggle("over", is); };
  zone.addEventListener("dragover", over(true));
  zone.addEventListener("dragleave", over(false));
  zone.addEventListener("drop", (event) => { over(false)(event); bring(event.dataTransfer.files); });

  const bring = async (files) => {
    for (const file of files) await importFile(file, report);
    choose.value = "";
    refresh();
  };
  main.replaceChildren(
    h("h1", null, "Your data"),
    h("section", null, h("h2", null, "Import"), zone, report),
    h("section", null, h("h2", null, "Export"),
      h("p", null, prose("All turns, thoughts with their history and summaries, as JSON lines. `memkit import` restores them.")),
      exportButton()),
    h("section", { class: "final" }, h("h2", null, "Forget everything"),
      h("p", null, "Deletes all turns and all that was drawn from them. You see what goes before anything is deleted."),
      button("Forget everything", () => forget({ everything: true }, refresh), { class: "danger" })));
}

function exportButton() {
  const act = async () => {
    download.disabled = true;
    try {
      save(await getFile("export"), `memory-${new Date().toISOString().slice(0, 10)}.jsonl`);
    } catch (error) {
      showError(error);
    }
    download.disabled = false;
  };
  const download = button("Download everything", act, { class: "primary" });
  return download;
}

async function importFile(file, report) {
  const box = h("div", { class: "report" }, h("p", { class: "loading" }, "Importing ", h("bdi", null, file.name)));
  report.prepend(box);
  try {
    const answer = await post("import", file, { name: file.name });
    box.replaceChildren(...describe(answer).filter(Boolean));
  } catch (error) {
    box.replaceChildren(h("h3", null, h("bdi", null, file.name)), failure(error));
  }
}

function describe(report) {
  const text = report.format === "export"
    ? `${count(report.turns, "new turn")}, ${count(report.thoughts, "thought")} and ${count(report.summaries, "summary", "summaries")}; ${number(report.skipped)} were stored before.`
    : `Read ${count(report.read, "turn")}, ${number(report.new)} new.${report.empty ? ` Left out ${count(report.empty, "empty message")}.` : ""}`;
  return [
    h("h3", null, h("bdi", null, report.name)),
    h("p", null, text),
    report.failed > 0 && [
      h("p", { class: "doubt" }, `${count(report.failed, "message")} could not be used:`),
      h("ul", { class: "problems" }, report.problems.map((problem) => h("li", { dir: "auto" }, problem))),
    ],
    (report.left ?? []).map(({ count: n, reason }) => h("p", { class: "meta", dir: "auto" }, `Left out: ${number(n)} × ${reason}`)),
    (report.notes ?? []).map((note) => h("p", { class: "meta", dir: "auto" }, note)),
  ].flat();
}
