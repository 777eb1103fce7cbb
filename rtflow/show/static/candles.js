// candles: bars as candlesticks with their volume below, drawn by TradingView's Lightweight Charts.
import { element, said, stage } from "./stage.js";

// Bars by time; [time, open, high, low, close, volume, marks], marks being letters: g gap, p partial,
// s synthetic, f forming. What comes back says whether the chart must be given everything anew.
function applyBars(store, message) {
  const late = [];
  let anew = Boolean(message.whole);
  if (message.whole) store.bars.clear();
  for (const row of message.bars) {
    if (row[0] < store.newest && !store.bars.has(row[0])) anew = true;
    store.bars.set(row[0], row);
    store.newest = Math.max(store.newest, row[0]);
    late.push(row);
  }
  if (store.bars.size > message.history * 1.2) {
    const old = [...store.bars.keys()].sort((a, b) => a - b).slice(0, store.bars.size - message.history);
    for (const time of old) store.bars.delete(time);
    anew = true;
  }
  store.digits = message.digits;
  if (anew) [store.anew, store.changed] = [true, new Map()];
  else for (const row of late) store.changed.set(row[0], row);
}

const create = () => ({ bars: new Map(), changed: new Map(), newest: -Infinity, anew: true, digits: 2 });

function candle([time, open, high, low, close, , marks], colours) {
  const colour = marks.includes("s") ? colours.faint : close >= open ? colours.bid : colours.ask;
  const body = marks.includes("s") || close < open ? colour : colours.paper;
  return { time, open, high, low, close, color: body, borderColor: colour, wickColor: colour };
}

function volume([time, open, , , close, size], colours) {
  return { time, value: size, color: faded(close >= open ? colours.bid : colours.ask) };
}

const faded = (colour) => colour.replace("rgb(", "rgba(").replace(")", ", 0.4)");

function options(colours) {
  return {
    layout: {
      background: { type: "solid", color: "transparent" },
      textColor: colours.faint,
      fontFamily: colours.font,
      fontSize: 11,
      attributionLogo: true,
    },
    grid: { vertLines: { visible: false }, horzLines: { color: colours.rule } },
    rightPriceScale: { borderVisible: false, entireTextOnly: true },
    timeScale: { borderColor: colours.rule, timeVisible: true, secondsVisible: true },
  };
}

const view = {
  create,
  apply: applyBars,
  height: () => 320,
  mount(body) {
    const library = globalThis.LightweightCharts;
    const place = body.appendChild(element("div"));
    place.style.height = "320px";
    const chart = library.createChart(place, { width: body.clientWidth || 400, height: 320 });
    const prices = chart.addSeries(library.CandlestickSeries, { priceLineVisible: false, lastValueVisible: false });
    const sizes = chart.addSeries(library.HistogramSeries, {
      priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false,
    });
    chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    prices.priceScale().applyOptions({ scaleMargins: { top: 0.08, bottom: 0.22 } });
    return { chart, prices, sizes, marks: library.createSeriesMarkers(prices, []), digits: -1, colours: null };
  },
  unmount: (parts) => parts.chart.remove(),
  themed(parts, colours) {
    parts.chart.applyOptions(options(colours));
    parts.colours = null; // the candles carry their colours, so they are given anew
  },
  draw({ parts, colours, width }, store) {
    if (parts.width !== width) {
      parts.width = width;
      parts.chart.resize(width, 320);
    }
    if (parts.digits !== store.digits) {
      parts.digits = store.digits;
      parts.prices.applyOptions({ priceFormat: { type: "price", precision: store.digits, minMove: 10 ** -store.digits } });
      parts.chart.applyOptions({ localization: { priceFormatter: (price) => said(price, store.digits) } });
    }
    if (store.anew || parts.colours !== colours) {
      const rows = [...store.bars.values()].sort((a, b) => a[0] - b[0]);
      const first = parts.colours === null && !parts.fitted && rows.length;
      parts.prices.setData(rows.map((row) => candle(row, colours)));
      parts.sizes.setData(rows.map((row) => volume(row, colours)));
      if (first) {
        parts.fitted = true;
        parts.chart.timeScale().setVisibleLogicalRange({ from: Math.max(0, rows.length - 120) - 3, to: rows.length });
      }
    } else {
      for (const row of [...store.changed.values()].sort((a, b) => a[0] - b[0])) {
        const old = row[0] < store.newest;
        parts.prices.update(candle(row, colours), old);
        parts.sizes.update(volume(row, colours), old);
      }
    }
    const gaps = [...store.bars.values()].filter((row) => row[6].includes("g")).sort((a, b) => a[0] - b[0]);
    const told = gaps.map((row) => row[0]).join();
    if (told !== parts.gaps || parts.colours !== colours) {
      const times = [...store.bars.keys()].sort((a, b) => a - b);
      const follows = (row) => gaps.some((other) => times.indexOf(other[0]) === times.indexOf(row[0]) - 1);
      parts.marks.setMarkers(gaps.map((row) => ({
        time: row[0], position: "aboveBar", shape: "square", color: colours.warn, text: follows(row) ? "" : "gap",
      })));
      parts.gaps = told;
    }
    parts.colours = colours;
    store.anew = false;
    store.changed.clear();
  },
  credit() {
    const link = element("a", "", "TradingView Lightweight Charts™");
    link.href = "https://www.tradingview.com/";
    link.target = "_blank";
    link.rel = "noopener";
    const words = element("span", "", "Copyright © 2026 TradingView, Inc.: ");
    words.append(link);
    return words;
  },
};

export { applyBars, create };
export default { render: (context) => stage(context, view) };
