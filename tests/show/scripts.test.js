// What the views' scripts make of messages, without a browser: node --test, beside the files of rtflow/show/static.
import assert from "node:assert/strict";
import { test } from "node:test";

import * as candles from "./candles.js";
import * as health from "./health.js";
import * as heatmap from "./heatmap.js";
import * as marbles from "./marbles.js";
import * as spread from "./spread.js";
import * as stage from "./stage.js";
import * as tape from "./tape.js";

const bytes = (array) => new DataView(array.buffer);

test("sizes are absolute, 0 takes a price away, and a whole message starts over", () => {
  const store = stage.createLevels();
  stage.applyLevels(store, { whole: true, bids: [[99, 1], [98, 2]], asks: [[101, 1]], digits: [0, 0] });
  stage.applyLevels(store, { whole: false, bids: [[99, 0], [100, 5]], asks: [], digits: [0, 1] });
  assert.deepEqual(stage.sorted(store), { bids: [[100, 5], [98, 2]], asks: [[101, 1]] });
  stage.applyLevels(store, { whole: true, bids: [], asks: [], digits: [0, 0] });
  assert.deepEqual(stage.sorted(store), { bids: [], asks: [] });
});

test("numbers are read wherever they lie in a buffer", () => {
  const whole = new Uint8Array(20);
  whole.set(new Uint8Array(new Float32Array([1.5, -2]).buffer), 3);
  assert.deepEqual([...stage.numbers(new DataView(whole.buffer, 3, 8), Float32Array)], [1.5, -2]);
  assert.equal(stage.numbers(undefined, Float64Array).length, 0);
  assert.deepEqual(stage.unpacked({ a: 1, binary: ["sizes"] }, ["buffer"]), { a: 1, binary: ["sizes"], sizes: "buffer" });
});

test("numbers are written as in Python", () => {
  assert.equal(stage.said(1234.5, 2), "1,234.50");
  assert.equal(stage.said(null, 2), "–");
  assert.deepEqual([0.000125, 12.5, 4321, 1_250_000].map(stage.short), ["0.000125", "12.5", "4,321", "1.25M"]);
  assert.deepEqual(stage.ticks(0, 1, 4), [0, 0.5, 1]);
  assert.deepEqual(stage.ticks(5, 5, 4), [5]);
  assert.deepEqual(stage.moments(0, 1, 2), { marks: [0, 0.5, 1], digits: 1 });
  assert.equal(stage.clock(1_790_000_000.25), "14:13:20");
  assert.equal(stage.clock(1_790_000_000.25, 2), "14:13:20.25");
});

test("the page says whether it is dark", () => {
  const page = (root, body, data = {}) => ({
    documentElement: { classList: root }, body: { classList: body, dataset: data },
  });
  assert.equal(stage.pageTheme(page([], [], { jpThemeLight: "false" })), "dark");
  assert.equal(stage.pageTheme(page([], [], { jpThemeLight: "true" })), "light");
  assert.equal(stage.pageTheme(page([], ["vscode-dark"])), "dark");
  assert.equal(stage.pageTheme(page([], ["vscode-high-contrast"])), "dark");
  assert.equal(stage.pageTheme(page([], ["vscode-high-contrast", "vscode-high-contrast-light"])), "light");
  assert.equal(stage.pageTheme(page(["dark"], [])), "dark");
  assert.equal(stage.pageTheme(page([], ["light"])), "light");
  assert.equal(stage.pageTheme(page([], [], { theme: "dark" })), "dark");
  assert.equal(stage.pageTheme(page([], [])), "");
});

test("a column that is still written is told again, and old ones are forgotten", () => {
  const store = { columns: new Map(), trades: new Map() };
  const tell = (slots, trades = [], whole = false) => heatmap.applyColumns(store, {
    whole, rows: 2, tick: 1, every: 1, history: 3, trades,
    columns: slots.map((slot) => [slot, 10, true]), sizes: bytes(new Float32Array(slots.flatMap((slot) => [slot, 0]))),
  });
  tell([1, 2], [[1, [[10, 1, 1]]], [2, [[10, 1, 1]]]], true);
  tell([2, 3, 4]);
  assert.deepEqual([...store.columns.keys()], [2, 3, 4]);
  assert.deepEqual(heatmap.extent(store.columns), { first: 2, last: 5, low: 10, high: 11, full: 3 });
  assert.deepEqual(heatmap.runs([1, 2, 5]), [[1, 3], [5, 6]]);
  tell([5], [[5, [[10, 1, 1], [11, 2, -1]]]]);
  assert.deepEqual([...store.trades.keys()], [5]);
});

test("a point that is still written is told again, and where nothing is known there is no line", () => {
  const store = { points: [], slot: -1, digits: 0 };
  const tell = (points, whole = false) => spread.applyPoints(store, {
    whole, every: 1, history: 4, digits: 1, points: bytes(new Float64Array(points.flat())),
  });
  tell([[1, 9, 11], [2, 9, 11]], true);
  tell([[2.5, 8, 11], [3, NaN, NaN], [4, 9, 11], [5, 9, 11]]);
  assert.deepEqual(store.points.map((point) => point[0]), [2.5, 3, 4, 5]);
  const { known, blank } = spread.stretches(store.points);
  assert.deepEqual(known, [[[2.5, 8, 11], [3, 8, 11]], [[4, 9, 11], [5, 9, 11]]]);
  assert.deepEqual(blank, [[3, 4]]);
  assert.deepEqual(spread.stretches([[1, NaN, NaN], [2, NaN, NaN]]).blank, [[1, 2]]);
});

test("new bars are given alone, everything anew only where it must", () => {
  const store = candles.create();
  const tell = (times, whole = false) => candles.applyBars(store, {
    whole, history: 10, digits: 1, bars: times.map((time) => [time, 1, 2, 0, 1, 5, ""]),
  });
  tell([1, 3], true);
  assert.equal(store.anew, true);
  store.anew = false;
  tell([3, 4]);
  assert.equal(store.anew, false);
  assert.deepEqual([...store.changed.keys()], [3, 4]);
  tell([2]); // late, and between two
  assert.equal(store.anew, true);
  for (let time = 5; time < 500; time += 1) tell([time]);
  assert.ok(store.bars.size <= 12);
});

test("a tape keeps its rows, newest first", () => {
  const store = {};
  tape.applyRows(store, { whole: true, most: 3, digits: [0, 0], rows: [[1], [2]] });
  tape.applyRows(store, { whole: false, most: 3, digits: [0, 0], rows: [[3], [4]] });
  assert.deepEqual(store.rows, [[4], [3], [2]]);
});

test("health keeps a minute and some lines", () => {
  const store = health.create();
  const tell = (seconds, log, whole = false) => health.applyHealth(store, {
    whole, kinds: [["Trade", 5, 1, 2, 3]], seconds, facts: [["gaps", "0", "quiet"]], log, lines: 2,
  });
  tell([[1, 5], [2, 6]], [[1], [2]], true);
  tell([[62, 1]], [[3]]);
  assert.deepEqual([...store.seconds.keys()], [62]);
  assert.deepEqual(store.log, [[2], [3]]);
});

test("marbles stay on their lanes, and old ones are forgotten", () => {
  const store = {};
  const tell = (marks, whole = false) => marbles.applyMarbles(store, {
    whole, lanes: ["a", "b"], marbles: { a: marks }, most: 3, window: [0, 2], clock: false,
  });
  tell([[1, "circle", "bid", "x"]], true);
  tell([[2], [3], [4]]);
  assert.deepEqual(store.lanes.get("a"), [[2], [3], [4]]);
  assert.deepEqual(store.lanes.get("b"), []);
  assert.deepEqual([1.5, 0.25, 0.00002].map(marbles.span), ["1.5s", "250ms", "20us"]);
});
