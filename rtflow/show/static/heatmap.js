// heatmap: what rested at each price over time, and the trades that took of it.
import { clock, decimals, moments, numbers, said, stage, ticks } from "./stage.js";

// Columns by slot; asks are negative. A column that is still being written is told again.
function applyColumns(store, message) {
  if (message.whole) {
    store.columns.clear();
    store.trades.clear();
  }
  const sizes = numbers(message.sizes, Float32Array);
  message.columns.forEach(([slot, base, live], place) => {
    store.columns.set(slot, { base, live, sizes: sizes.subarray(place * message.rows, (place + 1) * message.rows) });
  });
  for (const [slot, trades] of message.trades) store.trades.set(slot, trades);
  const surplus = store.columns.size - message.history;
  if (surplus > 0) {
    for (const slot of [...store.columns.keys()].sort((a, b) => a - b).slice(0, surplus)) store.columns.delete(slot);
  }
  const oldest = Math.min(...store.columns.keys());
  for (const slot of store.trades.keys()) if (slot < oldest) store.trades.delete(slot);
  store.tick = message.tick;
  store.every = message.every;
}

// Which slots and which prices (in ticks) there are, and the size that is shown in full colour.
function extent(columns) {
  let [first, last, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  const all = [];
  for (const [slot, { base, sizes }] of columns) {
    first = Math.min(first, slot);
    last = Math.max(last, slot + 1);
    sizes.forEach((size, place) => {
      if (!size) return;
      low = Math.min(low, base + place);
      high = Math.max(high, base + place + 1);
      all.push(Math.abs(size));
    });
  }
  all.sort((a, b) => a - b);
  if (!all.length) [low, high] = [0, 1];
  return { first, last, low, high, full: all[Math.floor(0.97 * (all.length - 1))] || 1 };
}

const rgb = (colour) => colour.match(/[\d.]+/g).slice(0, 3).map((part) => (colour.startsWith("color") ? part * 255 : +part));

function pixels(store, { first, last, low, high, full }, colours) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [last - first, high - low];
  const paper = canvas.getContext("2d");
  const image = paper.createImageData(canvas.width, canvas.height);
  const [bid, ask] = [rgb(colours.bid), rgb(colours.ask)];
  for (const [slot, { base, sizes }] of store.columns) {
    sizes.forEach((size, place) => {
      const row = high - 1 - (base + place);
      if (!size || row < 0 || row >= canvas.height) return;
      const alpha = 20 + 235 * Math.min(1, Math.abs(size) / full) ** 0.7;
      image.data.set([...(size < 0 ? ask : bid), alpha], 4 * (row * canvas.width + slot - first));
    });
  }
  paper.putImageData(image, 0, 0);
  return canvas;
}

// Neighbouring slots as stretches, ends excluded.
function runs(slots) {
  const found = [];
  for (const slot of slots) {
    if (found.length && found.at(-1)[1] === slot) found.at(-1)[1] = slot + 1;
    else found.push([slot, slot + 1]);
  }
  return found;
}

const view = {
  create: () => ({ columns: new Map(), trades: new Map(), tick: 1, every: 1 }),
  apply: applyColumns,
  height: () => 340,
  draw(pen, store) {
    if (!store.columns.size) return;
    const seen = extent(store.columns);
    const { first, last, low, high } = seen;
    const digits = decimals([store.tick]);
    const [left, top, bottom] = [2, 4, 320];
    const right = pen.width - 10 - pen.widthOf(said(high * store.tick, digits));
    const at = (slot) => left + ((right - left) * (slot - first)) / (last - first);
    const up = (price) => bottom - ((bottom - top) * (price / store.tick - low)) / (high - low);
    pen.paper.imageSmoothingEnabled = false;
    pen.paper.drawImage(pixels(store, seen, pen.colours), left, top, right - left, bottom - top);
    const slots = [...store.columns.keys()].sort((a, b) => a - b).filter((slot) => !store.columns.get(slot).live);
    for (const [from, until] of runs(slots)) {
      pen.box(at(from), top, at(until) - at(from), bottom - top, "warn", 0.16);
      if (at(until) - at(from) > 60) pen.text((at(from) + at(until)) / 2, top + 14, "not live", "warn", { align: "center", size: 11 });
    }
    for (const price of ticks(low * store.tick, high * store.tick, 6)) {
      pen.line(right, up(price), right + 3, up(price));
      pen.text(right + 6, up(price) + 4, said(price, digits), "faint", { size: 11 });
    }
    const across = moments(first * store.every, last * store.every, Math.max(2, Math.floor((right - left) / 110)));
    for (const moment of across.marks) {
      const x = at(moment / store.every);
      if (x > left + 26 && x < right - 26) pen.text(x, bottom + 15, clock(moment, across.digits), "faint", { align: "center", size: 11 });
    }
    const shown = [...store.trades].flatMap(([slot, trades]) => trades.map((trade) => [slot + 0.5, ...trade]))
      .filter(([slot, price]) => slot >= first && slot <= last && price / store.tick >= low && price / store.tick <= high);
    const largest = Math.max(...shown.map((trade) => trade[2]), 1e-12);
    for (const [slot, price, size, side] of shown) {
      pen.dot(at(slot), up(price), 1.5 + 4 * Math.sqrt(size / largest), side > 0 ? "bid" : side < 0 ? "ask" : "ink");
    }
    pen.line(left, bottom + 0.5, right, bottom + 0.5);
  },
};

export { applyColumns, extent, runs };
export default { render: (context) => stage(context, view) };
