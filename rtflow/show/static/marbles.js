// marbles: what happened when in several streams, one lane each, aligned.
import { clock, moments, stage } from "./stage.js";

const LANE = 46;

function applyMarbles(store, message) {
  if (message.whole) store.lanes = new Map();
  for (const name of message.lanes) if (!store.lanes.has(name)) store.lanes.set(name, []);
  for (const [name, marbles] of Object.entries(message.marbles)) {
    const lane = store.lanes.get(name);
    lane.push(...marbles);
    if (lane.length > message.most) lane.splice(0, lane.length - message.most);
  }
  [store.start, store.end] = message.window;
  store.clock = message.clock;
}

function span(second) {
  if (second >= 1) return `${Number(second.toFixed(3))}s`;
  return second >= 0.001 ? `${Number((second * 1e3).toFixed(3))}ms` : `${Math.round(second * 1e6)}us`;
}

const SHAPES = {
  end: (pen, x, y, tone) => pen.line(x, y - 10, x, y + 10, tone, [], 2.5),
  error(pen, x, y, tone) {
    pen.line(x - 7, y - 7, x + 7, y + 7, tone, [], 2.5);
    pen.line(x - 7, y + 7, x + 7, y - 7, tone, [], 2.5);
  },
  hole: (pen, x, y, tone) => pen.area([[x, y - 9], [x + 9, y], [x, y + 9], [x - 9, y]], tone, 1),
  square(pen, x, y, tone) {
    pen.box(x - 7, y - 7, 14, 14, "paper");
    pen.box(x - 6, y - 6, 12, 12, tone);
  },
  circle: (pen, x, y, tone) => pen.dot(x, y, 6, tone),
};

const view = {
  create: () => ({ lanes: new Map(), start: 0, end: 1, clock: false }),
  apply: applyMarbles,
  height: (store) => LANE * store.lanes.size + 26,
  draw(pen, store) {
    const { start, end } = store;
    const longest = Math.max(...[...store.lanes.keys()].map((name) => pen.widthOf(name, 12)));
    const [left, right] = [Math.min(26 + longest * 1.1, pen.width * 0.3), pen.width - 26];
    const bottom = LANE * store.lanes.size;
    const at = (second) => left + ((right - left) * (second - start)) / (end - start || 1);
    const { marks, digits } = moments(start, end, Math.max(2, Math.floor((right - left) / 90)));
    for (const moment of marks) {
      pen.line(at(moment), 4, at(moment), bottom, "rule", [2, 4]);
      pen.text(at(moment), bottom + 14, store.clock ? clock(moment, digits) : span(moment), "faint", { align: "center", size: 11 });
    }
    [...store.lanes].forEach(([name, lane], place) => {
      const y = LANE * place + 20;
      pen.text(4, y + 4, name, "ink", { strong: true, room: left - 14 });
      pen.line(left - 6, y, right + 14, y, "faint");
      pen.area([[right + 14, y - 4], [right + 21, y], [right + 14, y + 4]], "faint", 1);
      let free = left - 20;
      for (const [second, shape, tone, words] of lane) {
        if (second < start) continue;
        SHAPES[shape](pen, at(second), y, tone);
        const wide = pen.widthOf(words);
        if (words && at(second) - wide / 2 > free) {
          pen.text(at(second), y + 22, words, "faint", { align: "center", size: 11 });
          free = at(second) + wide / 2 + 4;
        }
      }
    });
  },
};

export { applyMarbles, span };
export default { render: (context) => stage(context, view) };
