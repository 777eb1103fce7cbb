// health: how the line does: connection, rates, lag, gaps and losses.
import { element, pen, said, stage } from "./stage.js";

const MINUTE = 60;

function applyHealth(store, message) {
  if (message.whole) Object.assign(store, create());
  for (const row of message.kinds) store.kinds.set(row[0], row);
  for (const [second, count] of message.seconds) store.seconds.set(second, count);
  const now = Math.max(...store.seconds.keys());
  for (const second of store.seconds.keys()) if (second <= now - MINUTE) store.seconds.delete(second);
  store.facts = message.facts;
  store.log = [...store.log, ...message.log].slice(-message.lines);
}

const create = () => ({ kinds: new Map(), seconds: new Map(), facts: [], log: [] });

function sparks(canvas, width, colours, seconds) {
  const own = pen(canvas, width, 52, colours);
  const now = Math.max(...seconds.keys());
  const largest = Math.max(...seconds.values());
  const step = (width - 8) / MINUTE;
  for (const [second, count] of seconds) {
    const place = MINUTE - 1 - (now - second);
    const tall = (34 * count) / largest;
    own.box(4 + place * step, 36 - tall, Math.max(1, step - 1), tall, "other", 0.7);
  }
  own.line(4, 36.5, width - 4, 36.5);
  own.text(4, 48, "items a second, one minute", "faint", { size: 11 });
  own.text(width - 4, 48, `most ${said(largest, 0)}`, "faint", { align: "right", size: 11 });
}

function row(cells, first = "left") {
  const made = element("tr");
  cells.forEach((words, place) => made.append(element("td", place ? "" : first, words)));
  return made;
}

const view = {
  create,
  apply: applyHealth,
  height: () => 346,
  mount(body) {
    const facts = body.appendChild(element("table", "rows even"));
    const canvas = body.appendChild(element("canvas"));
    const kinds = body.appendChild(element("table", "rows even first"));
    const log = body.appendChild(element("table", "rows log"));
    return { facts, canvas, kinds, log };
  },
  draw({ parts, width, colours }, store) {
    if (!store.kinds.size) return;
    const names = element("tr");
    const values = element("tr");
    for (const [name, words, tone] of store.facts) {
      names.append(element("th", "left", name));
      values.append(element("td", `left strong ${tone === "quiet" ? "" : tone}`, words));
    }
    parts.facts.replaceChildren(names, values);
    sparks(parts.canvas, width, colours, store.seconds);
    const head = element("tr");
    ["kind", "count", "a second", "lag ms", "99 %"].forEach((word, place) => head.append(element("th", place ? "" : "left", word)));
    const kinds = [...store.kinds.values()].sort((a, b) => b[1] - a[1]).slice(0, 7);
    parts.kinds.replaceChildren(head, ...kinds.map(([name, count, rate, lag, late]) =>
      row([name, said(count, 0), said(rate, 1), said(lag, 1), said(late, 1)])));
    parts.log.replaceChildren(...store.log.map(([, time, tone, words]) => {
      const made = element("tr");
      made.append(element("td", "left quiet", time), element("td", `words ${tone === "quiet" ? "" : tone}`, words));
      return made;
    }));
  },
};

export { applyHealth, create };
export default { render: (context) => stage(context, view) };
