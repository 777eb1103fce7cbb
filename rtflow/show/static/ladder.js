// ladder: the best levels of a book, asks above bids, each with a bar as long as its size.
import { applyLevels, createLevels, said, sorted, stage } from "./stage.js";

const ROW = 18;

const view = {
  create: () => ({ ...createLevels(), depth: 1 }),
  apply(store, message) {
    applyLevels(store, message);
    store.depth = message.depth;
  },
  height: (store) => (2 * store.depth + 1) * ROW + 4,
  draw(pen, store) {
    const { bids, asks } = sorted(store);
    const largest = Math.max(...[...bids, ...asks].map(([, size]) => size), 1e-12);
    const middle = store.depth * ROW;
    const at = pen.width * 0.5;
    for (const [side, levels, step] of [["ask", asks, -1], ["bid", bids, 1]]) {
      levels.slice(0, store.depth).forEach(([price, size], place) => {
        const y = middle + step * (place + 1) * ROW;
        pen.box(at + 12, y + 2, ((at - 20) * size) / largest, ROW - 4, side, 0.35);
        pen.text(at, y + 13, said(price, store.digits[0]), side, { align: "right" });
        pen.text(at + 18, y + 13, said(size, store.digits[1]));
        if (!place) pen.text(4, y + 13, `best ${side}`, "faint", { size: 11 });
      });
    }
    pen.line(0, middle + 0.5, pen.width, middle + 0.5);
    pen.line(0, middle + ROW - 0.5, pen.width, middle + ROW - 0.5);
    if (bids.length && asks.length) {
      pen.text(at, middle + 13, said(asks[0][0] - bids[0][0], store.digits[0]), "faint", { align: "right" });
      pen.text(at + 18, middle + 13, "spread", "faint");
    }
  },
};

export default { render: (context) => stage(context, view) };
