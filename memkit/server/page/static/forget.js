// Forgetting: show exactly what goes, ask, delete, show the receipt.

import { post, save } from "./api.js";
import { openDialog, showError } from "./dialogs.js";
import { button, count, day, h, number, prose, time, words } from "./dom.js";

const MOST_IDS = 10_000; // that one request may name: memkit/server/page/forms.py

/** Preview a deletion and ask. `selection` is what /api/forget takes; `done` runs after the deletion. */
export async function forget(selection, done) {
  let preview;
  try {
    preview = await post("forget", { ...selection, dry_run: true });
  } catch (error) {
    return showError(error);
  }
  const { receipt } = preview;
  const turns = count(receipt.turn_ids.length, "turn");
  const isExact = !selection.everything && receipt.turn_ids.length <= MOST_IDS;
  const exact = isExact ? { turn_ids: receipt.turn_ids } : selection;
  const act = async () => {
    confirm.disabled = true;
    confirm.textContent = "Forgetting";
    try {
      const answer = await post("forget", { ...exact, dry_run: false });
      dialog.close();
      showReceipt(answer);
      done?.();
    } catch (error) {
      dialog.close();
      showError(error);
    }
  };
  const confirm = button(`Forget ${turns}`, act, { class: "danger" });
  const cancel = button("Cancel", () => dialog.close(), { autofocus: true });
  const title = selection.everything ? "Forget everything?" : `Forget ${turns}?`;
  const dialog = openDialog(title, describe(preview), [cancel, confirm], { wide: true, alert: true });
}

function describe({ receipt, turns, thoughts }) {
  return [
    h("p", null, "This cannot be undone. The words leave the memory and all of its files."),
    h("h3", null, count(receipt.turn_ids.length, "turn")),
    h("ul", { class: "going" }, turns.map((turn) =>
      h("li", null, h("p", { class: "meta" }, time(turn.said_at, day(turn.said_at)), ` · ${turn.speaker}`),
        words(turn.text)))),
    more(receipt.turn_ids.length - turns.length, "turn"),
    receipt.thoughts > 0 && [
      h("h3", null, `${count(receipt.thoughts, "thought")} drawn from ${receipt.turn_ids.length === 1 ? "it" : "them"}`),
      h("ul", { class: "going" }, thoughts.map((thought) => h("li", null, words(thought.text)))),
      more(receipt.thoughts - thoughts.length, "thought"),
    ],
    receipt.summaries > 0 && h("p", null,
      `${count(receipt.summaries, "summary", "summaries")} with these words ${receipt.summaries === 1 ? "goes" : "go"} too; what stays is summarised anew.`),
  ];
}

const more = (rest, noun) => rest > 0 && h("p", { class: "meta" }, `and ${count(rest, noun)} more`);

function showReceipt({ receipt, document: text, unsigned }) {
  const name = `receipt-${receipt.at.slice(0, 19).replaceAll(":", "")}.json`;
  const download = () => save(new Blob([text], { type: "application/json" }), name);
  const state = receipt.purged
    ? "Nothing of it is left in the files."
    : "It is still in the files until other processes that use them end; memkit removes it then.";
  const fact = (label, value) => [h("dt", null, label), h("dd", null, value)];
  const body = [
    h("p", { class: receipt.purged ? "good" : "doubt" }, state),
    h("dl", { class: "facts" },
      fact("Turns", number(receipt.turn_ids.length)),
      fact("Thoughts", number(receipt.thoughts)),
      fact("Summaries", number(receipt.summaries)),
      fact("Pieces searched for", number(receipt.searched)),
      fact("Pieces left in files", receipt.residue === null ? "not searched" : number(receipt.residue)),
      fact("Pieces left in thoughts", receipt.recalled === null ? "not searched" : number(receipt.recalled)),
      fact("Event", h("code", null, receipt.event))),
    h("p", { class: "meta" }, prose(unsigned === null
      ? "The receipt is signed with the key of this memory; `memkit verify-receipt` checks it. It has no words."
      : `The receipt is not signed: ${unsigned}. It has no words.`)),
  ];
  const close = button("Close", () => dialog.close(), { autofocus: true });
  const dialog = openDialog("Forgotten", body, [button("Download receipt", download), close]);
}
