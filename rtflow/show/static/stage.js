// stage: what all live views share: the line above, messages, the page's theme, numbers, and a pen.

// -- the stage -------------------------------------------------------------------------------------------

// Put `view` into the element and keep it up to date; the function that comes back takes it away.
//
// A view is { create() -> store, apply(store, message), height(store), draw(canvas pen or element, store) },
// and `mount(body)` where it draws with elements instead of a canvas.
export function stage({ model, el }, view) {
  const root = element("div", "rtflow");
  const head = root.appendChild(element("div", "head"));
  const [title, note, state] = ["title", "note", "state"].map((kind) => head.appendChild(element("span", kind)));
  const body = root.appendChild(element("div", "stage"));
  const canvas = view.mount ? null : body.appendChild(element("canvas"));
  const parts = view.mount ? view.mount(body) : null;
  const awaited = body.appendChild(element("div", "awaited"));
  const foot = root.appendChild(element("div", "foot"));
  el.replaceChildren(root);

  const store = view.create();
  let colours = null; // an element outside the page has none: they are read when it is first drawn
  let ended = false;
  let waits = true;
  let words = "";
  let heard = Date.now();
  let frame = 0;

  const draw = () => {
    frame = 0;
    const width = Math.floor(body.clientWidth);
    if (!width) return; // not laid out yet, or hidden
    if (!colours) {
      colours = palette(root);
      if (view.themed) view.themed(parts, colours);
    }
    const height = waits ? Math.min(view.height(store), 160) : view.height(store);
    if (canvas) {
      body.style.height = `${height}px`;
      const drawing = pen(canvas, width, height, colours);
      if (!waits) view.draw(drawing, store);
    } else {
      body.style.minHeight = `${height}px`;
      if (!waits) view.draw({ parts, width, height, colours, body }, store);
    }
  };
  const soon = () => { frame ||= requestAnimationFrame(draw); };

  const tell = (message) => {
    if (!message || !message.head) return;
    heard = Date.now();
    view.apply(store, message);
    title.textContent = message.head.title;
    note.textContent = message.head.note;
    words = message.head.state;
    state.textContent = words;
    state.className = `state ${message.head.tone}`;
    waits = Boolean(message.awaited);
    awaited.textContent = message.awaited;
    awaited.style.display = waits ? "" : "none";
    if (parts) [...body.children].forEach((each) => { if (each !== awaited) each.style.display = waits ? "none" : ""; });
    foot.textContent = message.foot;
    if (view.credit) foot.append(message.foot ? " · " : "", view.credit());
    body.classList.toggle("old", Boolean(message.old));
    ended = message.ended;
    soon();
  };
  const custom = (message, buffers) => tell(unpacked(message, buffers));

  // A picture that stands still may be a quiet market or a busy kernel: say for how long it has.
  const ticking = setInterval(() => {
    const quiet = Math.floor((Date.now() - heard) / 1000);
    state.textContent = [words, !ended && quiet >= 3 ? `quiet for ${quiet} s` : ""].filter(Boolean).join(" · ");
  }, 1000);

  const follow = () => {
    const theme = pageTheme();
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    colours = null;
    soon();
  };
  const page = new MutationObserver(follow);
  for (const each of [document.documentElement, document.body]) {
    page.observe(each, { attributes: true, attributeFilter: ["class", "data-jp-theme-light", "data-theme", "style"] });
  }
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", follow);
  const size = new ResizeObserver(soon);
  size.observe(body);

  model.on("msg:custom", custom);
  follow();
  tell(model.get("start"));
  model.send("whole"); // what happened since; where nobody answers, the start is what there is

  return () => {
    model.off("msg:custom", custom);
    clearInterval(ticking);
    cancelAnimationFrame(frame);
    page.disconnect();
    size.disconnect();
    system.removeEventListener("change", follow);
    if (view.unmount) view.unmount(parts);
  };
}

// A message with its columns of numbers where they belong.
export function unpacked(message, buffers) {
  const whole = { ...message };
  (message.binary || []).forEach((name, place) => { whole[name] = buffers[place]; });
  return whole;
}

// The bytes of `view` as numbers of `kind`, wherever in a larger buffer they lie.
export function numbers(view, kind) {
  if (!view || !view.byteLength) return new kind(0);
  const bytes = view.buffer ? view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength) : view.slice(0);
  return new kind(bytes);
}

export function element(name, kind = "", words = "") {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (words) made.textContent = words;
  return made;
}

// -- the theme -------------------------------------------------------------------------------------------

// "light" or "dark" where JupyterLab, VS Code or marimo says so, "" where the system decides.
export function pageTheme(page = document) {
  const body = page.body;
  const named = new Set([...page.documentElement.classList, ...body.classList]);
  const jupyter = body.dataset.jpThemeLight;
  if (jupyter) return jupyter === "true" ? "light" : "dark";
  if (named.has("vscode-dark") || (named.has("vscode-high-contrast") && !named.has("vscode-high-contrast-light"))) return "dark";
  if (named.has("vscode-light") || named.has("vscode-high-contrast-light")) return "light";
  if (named.has("dark")) return "dark";
  if (named.has("light")) return "light";
  return body.dataset.theme === "dark" || body.dataset.theme === "light" ? body.dataset.theme : "";
}

const COLOURS = ["paper", "ink", "faint", "rule", "bid", "ask", "other", "good", "warn", "bad"];

// Every colour as the browser works it out, which a canvas cannot.
function palette(root) {
  const probe = root.appendChild(element("i"));
  const found = {};
  for (const name of COLOURS) {
    probe.style.color = `var(--rt-${name})`;
    found[name] = getComputedStyle(probe).color;
  }
  found.font = getComputedStyle(root).fontFamily;
  probe.remove();
  return found;
}

// -- numbers ---------------------------------------------------------------------------------------------

export function said(number, digits) {
  if (number === null || number === undefined || Number.isNaN(number)) return "–";
  return number.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function short(number) {
  const size = Math.abs(number);
  for (const [limit, by, letter] of [[1e12, 1e12, "T"], [1e9, 1e9, "G"], [1e6, 1e6, "M"], [1e4, 1e3, "k"]]) {
    if (size >= limit) return `${Number((number / by).toPrecision(3))}${letter}`;
  }
  return size >= 1000 ? said(number, 0) : `${Number(number.toPrecision(3))}`;
}

export function decimals(marks) {
  return Math.max(0, ...marks.map((each) => (`${each}`.split(".")[1] || "").length));
}

export function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= least * (1 - 1e-9));
}

// Round numbers from low to high, not many more than `most`.
export function ticks(low, high, most) {
  if (!(high > low)) return [low];
  const step = roundStep((high - low) / Math.max(1, most));
  const marks = [];
  for (let index = Math.ceil(low / step - 1e-9); index <= high / step + 1e-9; index += 1) {
    marks.push(Number((index * step).toPrecision(12)) + 0); // -0 would be written with its sign
  }
  return marks;
}

const STEPS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800,
  3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];

// Round moments (seconds) between two, and with how many decimals of a second they are written.
export function moments(start, end, most) {
  const least = (end - start) / Math.max(1, most);
  const step = STEPS.find((each) => each >= least) || STEPS[STEPS.length - 1];
  const marks = [];
  for (let index = Math.ceil(start / step - 1e-9); index * step <= end + 1e-9; index += 1) marks.push(index * step + 0);
  return { marks, digits: step >= 1 ? 0 : Math.ceil(-Math.log10(step) - 1e-9) };
}

// The time of day, UTC.
export function clock(second, digits = 0) {
  const text = new Date(Math.round(second * 1000)).toISOString();
  return digits ? text.slice(11, 20 + digits) : text.slice(11, 19);
}

// -- the pen ---------------------------------------------------------------------------------------------

export function pen(canvas, width, height, colours) {
  const scale = globalThis.devicePixelRatio || 1;
  const [across, down] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== across || canvas.height !== down) {
    canvas.width = across;
    canvas.height = down;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const paper = canvas.getContext("2d");
  paper.setTransform(scale, 0, 0, scale, 0, 0);
  paper.clearRect(0, 0, width, height);
  const path = (points) => {
    paper.beginPath();
    points.forEach(([x, y], place) => (place ? paper.lineTo(x, y) : paper.moveTo(x, y)));
  };
  return {
    width, height, colours, paper,
    box(x, y, w, h, colour, opacity = 1) {
      paper.globalAlpha = opacity;
      paper.fillStyle = colours[colour];
      paper.fillRect(x, y, Math.max(0, w), Math.max(0, h));
      paper.globalAlpha = 1;
    },
    line(x1, y1, x2, y2, colour = "rule", dash = [], wide = 1) {
      this.path([[x1, y1], [x2, y2]], colour, wide, dash);
    },
    path(points, colour, wide = 1.5, dash = []) {
      paper.strokeStyle = colours[colour];
      paper.lineWidth = wide;
      paper.setLineDash(dash);
      path(points);
      paper.stroke();
    },
    area(points, colour, opacity) {
      paper.globalAlpha = opacity;
      paper.fillStyle = colours[colour];
      path(points);
      paper.closePath();
      paper.fill();
      paper.globalAlpha = 1;
    },
    dot(x, y, radius, colour) {
      paper.fillStyle = colours[colour];
      paper.beginPath();
      paper.arc(x, y, radius, 0, 2 * Math.PI);
      paper.fill();
      paper.strokeStyle = colours.paper;
      paper.lineWidth = 1;
      paper.setLineDash([]);
      paper.stroke();
    },
    text(x, y, words, colour = "ink", { align = "left", size = 12, strong = false, room = Infinity } = {}) {
      paper.font = `${strong ? "600 " : ""}${size}px ${colours.font}`;
      paper.fillStyle = colours[colour];
      paper.textAlign = align;
      let shown = words;
      while (shown.length > 1 && paper.measureText(shown).width > room) shown = `${shown.slice(0, -2)}…`;
      paper.fillText(shown, x, y);
      return paper.measureText(shown).width;
    },
    widthOf(words, size = 11) {
      paper.font = `${size}px ${colours.font}`;
      return paper.measureText(words).width;
    },
  };
}

// -- books -----------------------------------------------------------------------------------------------

export function createLevels() {
  return { bids: new Map(), asks: new Map(), digits: [0, 0] };
}

// Sizes are absolute; 0 takes the price away.
export function applyLevels(store, message) {
  for (const side of ["bids", "asks"]) {
    if (message.whole) store[side].clear();
    for (const [price, size] of message[side] || []) {
      if (size) store[side].set(price, size);
      else store[side].delete(price);
    }
  }
  store.digits = message.digits;
}

// Best first.
export function sorted(store) {
  return {
    bids: [...store.bids].sort((a, b) => b[0] - a[0]),
    asks: [...store.asks].sort((a, b) => a[0] - b[0]),
  };
}
