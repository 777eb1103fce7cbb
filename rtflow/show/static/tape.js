// tape: time and sales, the newest on top.
import { element, said, stage } from "./stage.js";

function applyRows(store, message) {
  if (message.whole) store.rows = [];
  store.rows.unshift(...message.rows.slice().reverse());
  store.rows.length = Math.min(store.rows.length, message.most);
  store.most = message.most;
  store.digits = message.digits;
}

const SIGNS = { 1: ["bid", "▲ buy"], [-1]: ["ask", "▼ sell"], 0: ["", "·"] };
const COLUMNS = [["time", "left"], ["symbol", "left"], ["side", "left"], ["price", ""], ["size", ""]];

function line(row, digits) {
  const made = element("tr");
  if (row.length === 2) {
    const cell = made.appendChild(element("td", "words warn", row[1]));
    cell.colSpan = COLUMNS.length;
    return made;
  }
  const [, time, symbol, side, price, size] = row;
  const [colour, sign] = SIGNS[side];
  made.append(
    element("td", "left quiet", time),
    element("td", "left", symbol),
    element("td", `left ${colour}`, sign),
    element("td", colour, said(price, digits[0])),
    element("td", "", said(size, digits[1])),
  );
  return made;
}

const view = {
  create: () => ({ rows: [], most: 1, digits: [0, 0] }),
  apply: applyRows,
  height: (store) => (store.most + 1) * 19,
  mount(body) {
    const table = body.appendChild(element("table", "rows"));
    const head = table.createTHead().insertRow();
    for (const [name, kind] of COLUMNS) head.append(element("th", kind, name));
    return table.createTBody();
  },
  draw({ parts }, store) {
    parts.replaceChildren(...store.rows.map((row) => line(row, store.digits)));
  },
};

export { applyRows };
export default { render: (context) => stage(context, view) };
