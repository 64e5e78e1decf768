// Elements from data. A text from the memory only ever becomes a text node or an attribute's value.

const SVG = "http://www.w3.org/2000/svg";
// Control characters, marks that change the direction of writing, and halves of surrogate pairs:
// the same as memkit/text/sanitise.py.
const UNSAFE =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]/gu;

export const plain = (text) => String(text).replace(UNSAFE, "\ufffd");

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && !name.includes("-") && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, plain(value));
  }
  element.append(...children.flat(3).filter((child) => child || child === 0).map(toNode));
  return element;
}

const toNode = (child) => (child instanceof Node ? child : document.createTextNode(plain(child)));

/** Make an HTML element: h("p", {class: "quiet"}, "text", child). */
export const h = (tag, properties, ...children) =>
  fill(document.createElement(tag), properties, children);

/** Make an SVG element. */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, plain(value));
  element.append(...children.flat(3).filter(Boolean).map(toNode));
  return element;
}

export const button = (label, onclick, properties) =>
  h("button", { type: "button", onclick, ...properties }, label);

/** A field with its label above. */
export const field = (label, input) => h("label", { class: "field" }, h("span", null, label), input);

/** A person's words, verbatim: serif, and isolated from the text around them. */
export const words = (text, properties) => h("p", { class: "words", dir: "auto", ...properties }, text);

/** Our own sentences: what is between backticks is code. */
export const prose = (text) => text.split("`").map((part, n) => (n % 2 ? h("code", null, part) : part));

/** A bar that is `share` (0 to 1) full. */
export function bar(share, properties) {
  const width = Math.max(0, Math.min(1, share)) * 100;
  return svg(
    "svg", { class: "meter", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true", ...properties },
    svg("rect", { class: "track", width: 100, height: 6, rx: 1 }),
    svg("rect", { class: "filled", width: width.toFixed(2), height: 6, rx: 1 }),
  );
}

const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric" });
const WEEKDAY = new Intl.DateTimeFormat("en-GB", {
  weekday: "long", day: "numeric", month: "long", year: "numeric",
});
const MONTH = new Intl.DateTimeFormat("en-GB", { month: "short", year: "numeric" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

export const day = (time) => DAY.format(new Date(time));
export const weekday = (time) => WEEKDAY.format(new Date(time));
export const month = (time) => MONTH.format(new Date(time));
export const clock = (time) => CLOCK.format(new Date(time));
export const moment = (time) => `${day(time)}, ${clock(time)}`;
export const time = (value, text) => h("time", { datetime: value }, text);

export const number = (value) => value.toLocaleString("en-GB");
export const count = (value, noun, nouns = `${noun}s`) =>
  `${number(value)} ${value === 1 ? noun : nouns}`;
export const percent = (share) => `${Math.round(share * 100)} %`;

/** The end of a day that a date field names, as ISO-8601; null for an empty field. */
export const endOfDay = (value) => (value ? new Date(`${value}T23:59:59.999`).toISOString() : null);

/** What a date field needs to show the day of a time. */
export function dateValue(time) {
  const date = new Date(time);
  const two = (part) => String(part).padStart(2, "0");
  return `${String(date.getFullYear()).padStart(4, "0")}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** Move the focus between the items of a list with the arrow keys, J and K, Home and End. */
export function rove(list, onkey = {}) {
  const items = () => [...list.querySelectorAll(":scope > [data-item]")];
  items().forEach((item, n) => (item.tabIndex = n ? -1 : 0));
  list.addEventListener("focusin", (event) => {
    const current = event.target.closest("[data-item]");
    if (current) items().forEach((item) => (item.tabIndex = item === current ? 0 : -1));
  });
  list.addEventListener("keydown", (event) => {
    const all = items();
    const n = all.indexOf(event.target);
    if (n < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const targets = { ArrowDown: n + 1, j: n + 1, ArrowUp: n - 1, k: n - 1, Home: 0, End: all.length - 1 };
    if (event.key in targets) {
      all[Math.max(0, Math.min(all.length - 1, targets[event.key]))].focus();
    } else if (event.key in onkey) {
      onkey[event.key](event.target);
    } else return;
    event.preventDefault();
  });
  return list;
}
