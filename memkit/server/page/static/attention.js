// Chunk attention as a picture, drawn from its numbers.

import { bar, clock, count, day, h, percent, svg, time, words } from "./dom.js";

const NAMES = ["A", "B", "C"];
const [HEIGHT, MARGIN] = [130, 22];

// beside its circle, because another stem may be above it
const label = (name, x, y) => svg("text", {
  x: (x < 2 * MARGIN ? x + 8 : x - 8).toFixed(1), y: (y + 4).toFixed(1), "text-anchor": x < 2 * MARGIN ? "start" : "end",
}, name);

/** Return the picture of the opened chunks over time, and the turns inside the best. */
export function attentionPicture({ chunks, opened, best }, width) {
  const w = Math.max(260, width || 600);
  const times = opened.map((chunk) => Date.parse(`${chunk.said_at}Z`));
  const [start, end] = [Math.min(...times), Math.max(...times)];
  const most = Math.max(...opened.map((chunk) => chunk.weight));
  const x = (value) => (end === start ? w / 2 : MARGIN + ((value - start) / (end - start)) * (w - 2 * MARGIN));
  const y = (weight) => HEIGHT - MARGIN - (weight / most) * (HEIGHT - 2 * MARGIN - 8);
  const ranked = [...opened].sort((a, b) => b.weight - a.weight);
  const stem = (chunk, n) => {
    const rank = ranked.indexOf(chunk);
    const at = x(times[n]).toFixed(1);
    return svg("g", { class: rank < NAMES.length ? "best" : "other" },
      svg("line", { x1: at, x2: at, y1: HEIGHT - MARGIN, y2: y(chunk.weight).toFixed(1) }),
      svg("circle", { cx: at, cy: y(chunk.weight).toFixed(1), r: 4 }),
      rank < NAMES.length && label(NAMES[rank], x(times[n]), y(chunk.weight)));
  };
  const picture = svg("svg", {
    class: "attention", viewBox: `0 0 ${w} ${HEIGHT}`, role: "img",
    "aria-label": `Attention of ${count(opened.length, "opened chunk")} over time; the best are listed below`,
  },
  svg("line", { class: "axis", x1: 0, x2: w, y1: HEIGHT - MARGIN, y2: HEIGHT - MARGIN }), opened.map(stem),
  svg("text", { class: "tick", x: 0, y: HEIGHT - 5 }, day(start)),
  end !== start && svg("text", { class: "tick", x: w, y: HEIGHT - 5, "text-anchor": "end" }, day(end)));
  return [
    picture,
    h("p", { class: "meta" }, `${count(opened.length, "chunk")} of ${count(chunks, "chunk")} opened.`),
    best.map((chunk, n) => [
      h("h2", null, `${NAMES[n]} · ${day(chunk.turns[0].said_at)} · ${percent(chunk.weight)} of the attention`),
      h("ul", { class: "inside" }, chunk.turns.map((turn) => h("li", null,
        h("p", { class: "relevance" }, h("span", { class: "figure" }, `${(turn.share * 100).toFixed(1)} %`), bar(turn.share / chunk.weight)),
        h("div", null, h("p", { class: "meta" }, h("strong", { dir: "auto" }, turn.speaker), " ", time(turn.said_at, clock(turn.said_at))), words(turn.text))))),
    ]),
  ];
}
