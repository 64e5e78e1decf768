// Dialogs, short messages, and the three states of a view: loading, empty, error.

import { button, h, prose } from "./dom.js";

let dialogs = 0;

/** Open a modal dialog. `actions` are elements of its footer; the one with `autofocus` has focus. */
export function openDialog(title, body, actions = [], { wide = false, alert = false } = {}) {
  const id = `dialog-${++dialogs}`;
  const dialog = h(
    "dialog", { class: wide ? "wide" : null, "aria-labelledby": id, role: alert ? "alertdialog" : null },
    h("header", null, h("h2", { id, tabindex: "-1" }, title),
      button("Close", () => dialog.close(), { class: "quiet close" })),
    h("div", { class: "dialog-body", tabindex: "0", role: "group", "aria-labelledby": id }, body),
    actions.length ? h("footer", null, actions) : null,
  );
  dialog.addEventListener("close", () => {
    dialog.remove();
    // what had the focus before may be gone
    if (document.activeElement === document.body) document.getElementById("main").focus();
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  (dialog.querySelector("[autofocus]") ?? dialog.querySelector("h2")).focus();
  return dialog;
}

/** Show a short message; one with an action stays until it is used or dismissed. */
export function toast(message, action) {
  const box = h("div", { class: "toast" }, h("p", null, prose(message)));
  if (action) {
    box.append(button(action.label, () => { box.remove(); action.run(); }));
    box.append(button("Dismiss", () => box.remove(), { class: "quiet" }));
  } else setTimeout(() => box.remove(), 6_000);
  document.getElementById("toasts").replaceChildren(box);
}

export const showError = (error) => toast(error.message);

export const loading = () => h("p", { class: "loading", role: "status" }, "Loading");

export const empty = (title, ...sentences) =>
  h("div", { class: "empty" }, h("h2", null, title), sentences.map((text) => h("p", null, prose(text))));

export const failure = (error, retry) =>
  h("div", { class: "failure", role: "alert" },
    h("h2", null, "That did not work"), h("p", null, prose(error.message)),
    retry ? button("Try again", retry) : null);

/** Show what `make` returns in `box`: loading first, an error with its sentence and a retry. */
export async function show(box, make) {
  const focus = rememberFocus(box);
  const turn = (box.dataset.turn = String(Number(box.dataset.turn ?? 0) + 1));
  box.setAttribute("aria-busy", "true");
  const waiting = setTimeout(() => box.dataset.turn === turn && box.replaceChildren(loading()), 150);
  let content;
  try {
    content = await make();
  } catch (error) {
    if (error.status === 401) dispatchEvent(new CustomEvent("memkit:locked", { detail: error }));
    content = failure(error, () => show(box, make));
  }
  clearTimeout(waiting);
  if (box.dataset.turn !== turn) return; // a newer one is on its way
  box.replaceChildren(...[content].flat(3).filter(Boolean));
  box.removeAttribute("aria-busy");
  focus();
}

/** Return what gives the focus back to the same item or button of a box that is filled anew. */
function rememberFocus(box) {
  const active = document.activeElement;
  if (!box.contains(active)) return () => {};
  const items = () => [...box.querySelectorAll("[data-item]")];
  const [n, label] = [items().indexOf(active.closest("[data-item]")), active.textContent];
  return () => {
    if (document.activeElement !== document.body) return;
    const button = [...box.querySelectorAll("button")].find((item) => item.textContent === label && !item.disabled);
    const item = items()[Math.max(0, Math.min(n, items().length - 1))];
    ((n < 0 && button) || item || document.getElementById("main")).focus();
  };
}
