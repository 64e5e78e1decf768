// A turn or a thought in full, with what can be done to it.

import { get, post } from "./api.js";
import { openDialog, show, showError, toast } from "./dialogs.js";
import { button, day, field, h, moment, plain, time, words } from "./dom.js";
import { forget } from "./forget.js";

const fact = (label, value) => (value ? [h("dt", null, label), h("dd", { dir: "auto" }, value)] : null);
const KINDS = { fact: "a lasting fact", plan: "a plan", state: "a passing state" };

export function openTurn(id, changed) {
  const box = h("div");
  const dialog = openDialog("Turn", box, [
    button("Forget this turn", () => { dialog.close(); forget({ turn_ids: [id] }, changed); }, { class: "danger" }),
  ]);
  show(box, async () => {
    const { turn, thoughts } = await get("turn", { id });
    const metadata = Object.keys(turn.metadata).length ? JSON.stringify(turn.metadata, null, 1) : null;
    return [
      h("p", { class: "meta" }, time(turn.said_at, moment(turn.said_at)), ` · ${turn.speaker}`),
      words(turn.text),
      h("dl", { class: "facts" },
        fact("Role", turn.role), turn.source !== turn.role && fact("Origin", turn.source),
        fact("Conversation", turn.session_id), fact("Agent", turn.agent_id),
        fact("Stored", moment(turn.stored_at)), fact("Flagged", turn.flags.join(", ").replaceAll("_", " ")),
        fact("Metadata", metadata && h("pre", null, metadata)), fact("Id", h("code", null, turn.id))),
      h("h3", null, "Believed because of it"),
      thoughts.length
        ? h("ul", { class: "plain" }, thoughts.map((thought) => h("li", null,
          button(thought.text, () => { dialog.close(); openThought(thought.id, changed); }, { class: "link" }))))
        : h("p", { class: "meta" }, "No thought was drawn from this turn."),
    ];
  });
}

export function openThought(id, changed) {
  const box = h("div");
  const actions = h("div", { class: "actions" });
  const dialog = openDialog("Thought", box, [actions], { wide: true });
  show(box, async () => {
    const { thought, versions, turns } = await get("thought", { id });
    actions.replaceChildren(...thoughtActions(thought, () => dialog.close(), changed));
    return [
      words(thought.text, { class: "words large" }),
      h("dl", { class: "facts" },
        fact("Holds", validity(thought)), fact("Said by", saidBy(thought)),
        fact("Kind", KINDS[thought.kind]), fact("Believed since", thought.recorded_at && moment(thought.recorded_at)),
        fact("Id", h("code", null, thought.id))),
      doubts(thought),
      h("h3", null, "The words it comes from"),
      h("ul", { class: "going" }, turns.map((turn) => h("li", null,
        h("p", { class: "meta" }, time(turn.said_at, day(turn.said_at)), ` · ${turn.speaker}`), words(turn.text)))),
      versions.length > 1 && history(versions, id),
    ];
  });
}

export const validity = (thought) => {
  if (thought.retracted_at) return `taken back on ${day(thought.retracted_at)}`;
  const start = day(thought.valid_from);
  if (thought.valid_to) return `${start} to ${day(thought.valid_to)}`;
  return `${new Date(thought.valid_from) > new Date() ? "from" : "since"} ${start}`;
};

export const saidBy = (thought) =>
  thought.support > 1 ? `${thought.said_by}, ${thought.support} times` : thought.said_by;

/** The later words that may have changed a thought. */
export const doubts = (thought) => thought.later.length > 0 && h("div", { class: "doubts" },
  h("p", { class: "label" }, "Later words may have changed it"),
  thought.later.map((quote) => h("blockquote", { dir: "auto" }, quote.text,
    h("footer", null, time(quote.said_at, day(quote.said_at))))));

function history(versions, id) {
  return [
    h("h3", null, "History"),
    h("ol", { class: "history" }, versions.map((version) => h("li",
      { "aria-current": version.id === id ? "true" : null },
      h("p", { class: "meta" }, version.kind === "denial" ? `${day(version.valid_from)} · said that it no longer holds` : validity(version)),
      words(version.text)))),
  ];
}

function thoughtActions(thought, close, changed) {
  const leave = (act) => () => { close(); act(); };
  const forgetIt = button("Forget its words", leave(() => forget({ thought_id: thought.id }, changed)), { class: "danger" });
  if (thought.closed_by || thought.retracted_at) return [forgetIt];
  return [
    button("Correct", leave(() => correct(thought, changed))),
    button("It is wrong", leave(() => retract(thought, changed))),
    forgetIt,
  ];
}

function correct(thought, changed) {
  const text = h("textarea", { rows: 3, maxlength: "20000", autofocus: true, required: true });
  text.value = plain(thought.text);
  const act = async () => {
    if (!text.value.trim()) return text.focus();
    try {
      const { thought: next } = await post("correct", { id: thought.id, text: text.value });
      dialog.close();
      const undo = () => forget({ turn_ids: next.turn_ids }, changed);
      toast("Corrected. The old thought stays in the history.", { label: "Take it back", run: undo });
      changed();
    } catch (error) {
      showError(error);
    }
  };
  const dialog = openDialog("Correct a thought", [
    words(thought.text),
    field("What holds instead", text),
    h("p", { class: "meta" }, "It is remembered as words of the person who said it, today."),
  ], [button("Cancel", () => dialog.close()), button("Correct", act, { class: "primary" })]);
  text.select();
}

async function retract(thought, changed) {
  try {
    const { event } = await post("retract", { id: thought.id });
    const undo = async () => {
      try {
        await post("undo", { event });
        changed();
      } catch (error) {
        showError(error);
      }
    };
    toast("No longer believed. The turns it came from stay.", { label: "Undo", run: undo });
    changed();
  } catch (error) {
    showError(error);
  }
}
