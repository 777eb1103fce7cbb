// depth: how much rests on either side of the mid up to each price, added up.
import { applyLevels, createLevels, decimals, said, short, sorted, stage, ticks } from "./stage.js";

// The corners of a side's stairs, from the touch outwards to `end`.
function stairs(levels, end) {
  const corners = [[levels[0][0], 0]];
  let sum = 0;
  for (const [price, size] of levels) {
    corners.push([price, sum], [price, sum + size]);
    sum += size;
  }
  return [...corners, [end, sum]];
}

const total = (levels) => levels.reduce((sum, [, size]) => sum + size, 0);

const view = {
  create: createLevels,
  apply: applyLevels,
  height: () => 260,
  draw(pen, store) {
    const { bids, asks } = sorted(store);
    const prices = [...bids, ...asks].map(([price]) => price);
    if (!prices.length) return;
    const [left, right, bottom] = [52, pen.width - 10, 238];
    let [low, high] = [Math.min(...prices), Math.max(...prices)];
    if (low === high) [low, high] = [low - 1, high + 1];
    const pad = (high - low) * 0.02; // so that the last step can be seen
    [low, high] = [low - pad, high + pad];
    const most = Math.max(total(bids), total(asks));
    const at = (price) => left + ((right - left) * (price - low)) / (high - low);
    const up = (size) => bottom - ((bottom - 8) * size) / most;
    for (const size of ticks(0, most, 4)) {
      pen.line(left, Math.round(up(size)) + 0.5, right, Math.round(up(size)) + 0.5);
      pen.text(left - 6, up(size) + 4, short(size), "faint", { align: "right", size: 11 });
    }
    const across = ticks(low, high, Math.max(2, Math.floor((right - left) / 110)));
    for (const price of across) {
      const align = at(price) < left + 20 ? "left" : at(price) > right - 30 ? "right" : "center";
      pen.text(at(price), bottom + 15, said(price, decimals(across)), "faint", { align, size: 11 });
    }
    for (const [side, levels, end] of [["bid", bids, low], ["ask", asks, high]]) {
      if (!levels.length) continue;
      const corners = stairs(levels, end).map(([price, size]) => [at(price), up(size)]);
      pen.area([...corners, [corners.at(-1)[0], bottom], [corners[0][0], bottom]], side, 0.22);
      pen.path(corners, side);
    }
    if (bids.length && asks.length) {
      const mid = (bids[0][0] + asks[0][0]) / 2;
      const align = at(mid) > right - 90 ? "right" : "left";
      pen.line(at(mid), 4, at(mid), bottom, "faint", [3, 3]);
      pen.text(at(mid) + (align === "left" ? 5 : -5), 13, `mid ${said(mid, Math.min(6, decimals([mid])))}`, "faint", { align, size: 11 });
    }
  },
};

export default { render: (context) => stage(context, view) };
