// spread: best bid and best ask over time, and below them how far they are apart.
import { clock, decimals, moments, numbers, said, stage, ticks } from "./stage.js";

// Points are [second, bid, ask]; what was told last may still have changed, so it is told again.
function applyPoints(store, message) {
  if (message.whole) store.points = [];
  const values = numbers(message.points, Float64Array);
  for (let place = 0; place < values.length; place += 3) {
    const point = [values[place], values[place + 1], values[place + 2]];
    const slot = Math.floor(point[0] / message.every + 1e-6);
    if (store.points.length && store.slot === slot) store.points[store.points.length - 1] = point;
    else store.points.push(point);
    store.slot = slot;
  }
  if (store.points.length > message.history) store.points.splice(0, store.points.length - message.history);
  store.digits = message.digits;
}

// Stretches of points that are known, each up to where the next unknown one begins.
function stretches(points) {
  const known = [[]];
  const blank = [];
  for (const [second, bid, ask] of points) {
    const run = known.at(-1);
    if (Number.isNaN(bid)) {
      if (run.length) {
        run.push([second, run.at(-1)[1], run.at(-1)[2]]);
        known.push([]);
      }
      if (blank.length && blank.at(-1)[1] === null) continue;
      blank.push([second, null]);
    } else {
      if (blank.length && blank.at(-1)[1] === null) blank.at(-1)[1] = second;
      run.push([second, bid, ask]);
    }
  }
  if (blank.length && blank.at(-1)[1] === null) blank.at(-1)[1] = points.at(-1)[0];
  return { known: known.filter((run) => run.length), blank };
}

// A value holds until the next one comes.
function stairs(run, value) {
  const corners = [];
  for (const point of run) {
    if (corners.length) corners.push([point[0], corners.at(-1)[1]]);
    corners.push([point[0], value(point)]);
  }
  return corners;
}

const view = {
  create: () => ({ points: [], slot: -1, digits: 0 }),
  apply: applyPoints,
  height: () => 280,
  draw(pen, store) {
    const points = store.points;
    if (!points.length) return;
    const sure = points.filter((each) => !Number.isNaN(each[1]));
    const [start, end] = [points[0][0], points.at(-1)[0]];
    const [floor, ceiling, bottom] = [170, 192, 260];
    let [low, high, wide, least] = [Infinity, -Infinity, 0, 0];
    for (const [, bid, ask] of sure) {
      low = Math.min(low, bid);
      high = Math.max(high, ask);
      wide = Math.max(wide, ask - bid);
      least = Math.min(least, ask - bid);
    }
    const left = 2;
    const right = pen.width - 10 - Math.max(40, sure.length ? pen.widthOf(said(high, store.digits)) : 0);
    const at = (second) => left + ((right - left) * (second - start)) / (end - start || 1);
    const { known, blank } = stretches(points);
    if (sure.length) {
      const pad = (high - low) * 0.06 || Math.abs(high) * 0.0001 || 1;
      [low, high, wide] = [low - pad, high + pad, wide || 1];
      const up = (price) => floor - ((floor - 22) * (price - low)) / (high - low);
      const tall = (distance) => bottom - ((bottom - ceiling) * (distance - least)) / (wide - least);
      for (const [marks, place] of [[ticks(low, high, 4), up], [ticks(least, wide, 3), tall]]) {
        for (const mark of marks) {
          pen.line(left, Math.round(place(mark)) + 0.5, right, Math.round(place(mark)) + 0.5);
          pen.text(right + 6, place(mark) + 4, said(mark, decimals(marks)), "faint", { size: 11 });
        }
      }
      for (const run of known) {
        const [bids, asks] = [1, 2].map((side) => stairs(run, (point) => point[side]).map(([x, y]) => [at(x), up(y)]));
        pen.area([...bids, ...asks.slice().reverse()], "faint", 0.15);
        pen.path(bids, "bid");
        pen.path(asks, "ask");
        pen.path(stairs(run, (point) => point[2] - point[1]).map(([x, y]) => [at(x), tall(y)]), "other");
      }
    }
    for (const [from, until] of blank) {
      pen.box(at(from), 6, at(until) - at(from), bottom - 6, "warn", 0.14);
      if (at(until) - at(from) > 56) pen.text((at(from) + at(until)) / 2, 18, "not live", "warn", { align: "center", size: 11 });
    }
    pen.text(left + 4, ceiling - 7, "spread", "other", { size: 11 });
    pen.text(left + 4, 14, "ask", "ask", { size: 11 });
    pen.text(left + 30, 14, "bid", "bid", { size: 11 });
    const { marks, digits } = moments(start, end, Math.max(2, Math.floor((right - left) / 110)));
    for (const moment of marks) {
      if (at(moment) > left + 26 && at(moment) < right - 26) {
        pen.text(at(moment), bottom + 15, clock(moment, digits), "faint", { align: "center", size: 11 });
      }
    }
  },
};

export { applyPoints, stretches };
export default { render: (context) => stage(context, view) };
