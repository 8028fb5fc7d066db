// The pictures of one frame: the net, the plane, the curves and the pulls. Each takes a
// view of numbers that were recorded, and draws.
const find = id => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const sub = n => String(n).replace(/\d/g, digit => "₀₁₂₃₄₅₆₇₈₉"[digit]);
const sign = x => (x > 0 ? "plus" : x < 0 ? "minus" : x === 0 ? "grey" : "nan");
const escape = text => String(text).replace(/[&<>"]/g, c => `&#${c.charCodeAt(0)};`);
const largest = numbers => Math.max(1e-300, ...numbers.map(Math.abs).filter(Number.isFinite));
const share = (x, top) => Math.min(1, Math.abs(x) / top) || 0;

function rgb(name) {
  const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
}

// ---- the net ---------------------------------------------------------------------------

const CARD = 112, TALL = 36, HEAT = 36, HALF = 18, NARROW = 450;
const LEGIBLE = 0.85; // a smaller net is scrolled, not shrunk
const cache = document.createElement("canvas");

// A map as an image: blue above zero, red below, stronger where larger.
function mapped(values, size, top, colours) {
  cache.width = cache.height = size;
  const pen = cache.getContext("2d"), image = pen.createImageData(size, size);
  values.forEach((x, i) => {
    const colour = x > 0 ? colours.plus : x < 0 ? colours.minus : colours.nan;
    const alpha = x === 0 ? 0 : Number.isNaN(x) ? 1 : Math.min(1, Math.abs(x) / top);
    image.data.set([...colour, 255 * 0.85 * alpha], 4 * i);
  });
  pen.putImageData(image, 0, 0);
  return cache;
}

// Where the cards stand: inputs, layers, and the loss below the output.
function placed(widths) {
  const columns = widths.map((width, layer) => ({ layer, count: width }));
  const rows = Math.max(...widths, 3);
  const gap = find("net").clientWidth < NARROW ? 30 : widths.length > 4 ? 46 : 92;
  const height = rows * (TALL + 10) + 18;
  const cards = [];
  columns.forEach(({ layer, count }, c) => {
    const last = c === columns.length - 1;
    const room = (height - 18) / (last ? 3 : count);
    for (let k = 0; k < count; k++) {
      const row = last ? 1 : k;
      cards.push({ layer, k, x: c * (CARD + gap), y: 18 + room * (row + 0.5) - TALL / 2 });
    }
  });
  const end = cards[cards.length - 1];
  const loss = { layer: widths.length, k: 0, x: end.x, y: end.y + TALL + 26 };
  return { cards, loss, width: end.x + CARD, height, gap };
}

function edgesOf(widths) {
  const found = [];
  let at = 0;
  for (let layer = 1; layer < widths.length; layer++) {
    for (let k = 0; k < widths[layer]; k++) {
      for (let i = 0; i < widths[layer - 1]; i++) found.push({ layer, k, i, weight: at++ });
      at++; // the bias
    }
  }
  return found;
}

function drawNet(view) {
  const { widths, phase } = view, layers = widths.length - 1;
  const place = placed(widths), back = phase !== null && phase > layers + 1;
  const done = phase === 2 * layers + 2;
  const cardAt = (layer, k) => place.cards.find(card => card.layer === layer && card.k === k);
  const numbers = done ? view.pulls : view.weights;
  const top = largest(view.edges.map(edge => numbers[edge.weight]));
  const lines = view.edges.map(edge => {
    const a = cardAt(edge.layer - 1, edge.i), b = cardAt(edge.layer, edge.k);
    const x = numbers[edge.weight], chosen = edge.weight === view.weight;
    const classes = ["edge", sign(x)];
    if (chosen) classes.push("chosen");
    if (phase !== null && runs(edge.layer, phase, layers)) classes.push("running");
    const [x1, y1, x2, y2] = endsOf(edge, a, b, widths);
    const name = view.names[edge.weight];
    const told = `${name} = ${shown(view.weights[edge.weight])}, ∂L/∂${name} = ${shown(view.gradient[edge.weight])}`;
    const few = widths[edge.layer] * widths[edge.layer - 1] <= 8 || chosen;
    const at = widths[edge.layer] > 1 ? 0.88 : 0.2;
    const label = few && place.gap > 60
      ? `<text x="${x1 + (x2 - x1) * at}" y="${y1 + (y2 - y1) * at + 3}" text-anchor="${at > 0.5 ? "end" : "start"}">${shown(x)}</text>` : "";
    return `<g class="${classes.join(" ")}" data-weight="${edge.weight}"><title>${told}</title>` +
      `<line class="hit" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}"/>` +
      `<line class="shaft" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke-width="${0.6 + 3 * share(x, top)}"/>${label}</g>`;
  });
  const out = place.cards[place.cards.length - 1];
  lines.push(`<g class="edge grey"><line class="shaft" x1="${out.x + CARD / 2}" y1="${out.y + TALL}" x2="${out.x + CARD / 2}" y2="${place.loss.y}" stroke-width="1.2"/></g>`);
  lines.sort((a, b) => a.includes(" chosen") - b.includes(" chosen"));
  const heads = widths.map((_, layer) => {
    const words = layer === 0 ? "inputs"
      : `layer ${layer} · ${layer < layers ? view.activation : "linear"}`;
    return `<text class="soft" text-anchor="middle" x="${cardAt(layer, 0).x + CARD / 2}" y="10">${words}</text>`;
  });
  const topδ = largest(view.δ);
  const cards = place.cards.map(card => neuronCard(card, view, layers, topδ));
  cards.push(lossCard(place.loss, view, layers));
  find("net").innerHTML =
    `<svg class="drawing${phase === null || done ? "" : " passing"}" style="min-width:${find("net").clientWidth < NARROW ? LEGIBLE * place.width : 0}px" viewBox="-3 0 ${place.width + 6} ${place.height + 4}" role="img" aria-label="${escape(view.spoken)}">` +
    lines.join("") + heads.join("") + cards.join("") + '<g id="dots"></g></svg>';
  if (phase !== null && view.moving && !calm.matches) {
    sendDots(view.edges.filter(edge => runs(edge.layer, phase, layers)), back, cardAt, widths);
  }
}

// From the right of a card to the left of the next, at a height of its own if few arrive.
function endsOf({ layer, i }, a, b, widths) {
  const count = widths[layer - 1], apart = count < 4 ? TALL * (i + 0.5) / count : HALF;
  return [a.x + CARD, a.y + HALF, b.x, b.y + apart];
}

// Whether numbers run along the edges into a layer in this part of a pass.
function runs(layer, phase, layers) {
  if (phase <= layers) return layer === phase;
  return phase < 2 * layers + 2 && layer === 2 * layers + 3 - phase;
}

function neuronCard({ layer, k, x, y }, view, layers, top) {
  const n = view.widths.slice(1, layer).reduce((a, b) => a + b, 0) + k;
  const place = view.widths[layer] > 1 ? `[${k}]` : "";
  if (layer === 0) {
    const words = `<text class="soft" x="5" y="22">x[${k}]</text>` +
      `<text class="value" x="${CARD - 5}" y="22">${shown(view.x[k])}</text>`;
    return card("input", x, y, `x[${k}] = ${shown(view.x[k])}`, words, false, -1);
  }
  const { phase } = view;
  const forwardKnown = phase === null || phase >= layer;
  const δKnown = phase === null || phase >= layers + 2 + (layers - layer);
  const lit = phase !== null && (phase === layer || phase === 2 * layers + 2 - layer);
  const δ = view.δ[n];
  const letter = layer < layers ? "a" : "z";
  const told = `z${sub(layer)}${place} = ${shown(view.z[n])}, a${sub(layer)}${place} = ${shown(view.a[n])}, ` +
    `δ${sub(layer)}${place} = ∂L/∂z${sub(layer)}${place} = ${shown(δ)}`;
  const words =
    `<rect class="top" x="${HEAT}" width="${CARD - HEAT}" height="${HALF}"/>` +
    `<rect class="shade ${sign(δ)}" x="${HEAT}" y="${HALF}" width="${CARD - HEAT}" height="${HALF}" style="opacity:${δKnown ? 0.5 * share(δ, top) : 0}"/>` +
    `<image href="${view.images[n]}" width="${HEAT}" height="${HEAT}" preserveAspectRatio="none"/>` +
    `<text class="soft" x="${HEAT + 3}" y="12.5">${letter}</text>` +
    `<text class="value" x="${CARD - 3}" y="12.5">${forwardKnown ? shown(view.a[n]) : "–"}</text>` +
    `<text class="soft" x="${HEAT + 3}" y="${HALF + 12.5}">δ</text>` +
    `<text class="value adjoint" x="${CARD - 3}" y="${HALF + 12.5}">${δKnown ? shown(δ) : "–"}</text>`;
  return card("op", x, y, told, words, lit, view.biases[n], !forwardKnown);
}

function lossCard({ x, y }, view, layers) {
  const known = view.phase === null || view.phase > layers;
  const words =
    `<rect class="top" width="${CARD}" height="${HALF}"/>` +
    `<text class="soft" x="5" y="12.5">target t</text><text class="value" x="${CARD - 5}" y="12.5">${view.target}</text>` +
    `<text class="soft" x="5" y="${HALF + 12.5}">L, of all</text><text class="value" x="${CARD - 5}" y="${HALF + 12.5}">${known ? shown(view.loss) : "–"}</text>`;
  return card("call", x, y, `L = ${shown(view.loss)}`, words, view.phase === layers + 1, -1, !known);
}

function card(kind, x, y, told, words, lit, weight, waiting = false) {
  return `<g class="card ${kind}${lit ? " lit" : ""}${waiting ? " waiting" : ""}" transform="translate(${x} ${y})" data-weight="${weight}">` +
    `<title>${escape(told)}</title><rect class="box ${kind === "input" ? "top" : ""}" width="${CARD}" height="${TALL}" rx="2"/>${words}` +
    `<rect class="rule" width="${CARD}" height="${TALL}" rx="2"/><rect class="outline" x="-1" y="-1" width="${CARD + 2}" height="${TALL + 2}" rx="3"/></g>`;
}

// What runs along the edges, forward or back.
function sendDots(edges, back, cardAt, widths) {
  for (const edge of edges) {
    const a = cardAt(edge.layer - 1, edge.i), b = cardAt(edge.layer, edge.k);
    const [x1, y1, x2, y2] = endsOf(edge, a, b, widths), path = [[x1, y1], [x2, y2]];
    if (back) path.reverse();
    const dot = document.createElementNS(SVG, "circle");
    dot.setAttribute("class", "dot");
    dot.setAttribute("r", 3.5);
    find("dots").append(dot);
    const move = dot.animate(
      path.map(([x, y]) => ({ transform: `translate(${x}px, ${y}px)` })),
      { duration: 800, easing: "ease-in-out", fill: "forwards" });
    move.finished.then(() => dot.remove(), () => {});
  }
}

// ---- the plane -------------------------------------------------------------------------

const GRID = 60;

function drawPlane(view) {
  const canvas = find("map"), pen = canvas.getContext("2d"), size = canvas.width;
  pen.fillStyle = `rgb(${rgb("--cell")})`;
  pen.fillRect(0, 0, size, size);
  pen.imageSmoothingEnabled = true;
  pen.drawImage(mapped(view.scores, GRID, view.sure, view.colours), 0, 0, size, size);
  drawBoundary(pen, view.scores, size);
  const { low, high, points, targets, watched } = view.data;
  const scale = size / (high - low);
  points.forEach(([x, y], p) => {
    const at = [(x - low) * scale, (high - y) * scale];
    drawPoint(pen, at, targets[p], view, watched.indexOf(p), p === view.point);
  });
  canvas.setAttribute("aria-label",
    `Blue where the answer is 1, red where it is 0; ${view.right} of ${points.length} points are right`);
}

function drawPoint(pen, [x, y], target, view, number, chosen) {
  const r = number < 0 ? 7 : 13;
  pen.beginPath();
  if (target) pen.arc(x, y, r, 0, 7);
  else pen.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
  pen.fillStyle = `rgb(${target ? view.colours.plus : view.colours.minus})`;
  pen.fill();
  pen.lineWidth = chosen ? 4 : 2;
  pen.strokeStyle = `rgb(${chosen ? rgb("--lit") : rgb("--page")})`;
  pen.stroke();
  if (number < 0) return;
  pen.fillStyle = `rgb(${rgb("--page")})`;
  pen.font = "bold 17px Helvetica, Arial, sans-serif";
  pen.textAlign = "center";
  pen.fillText(target, x, y + 6);
}

// The line on which the score is 0, cell by cell between the grid's middles.
function drawBoundary(pen, scores, size) {
  const step = size / GRID;
  pen.beginPath();
  for (let row = 0; row + 1 < GRID; row++) {
    for (let column = 0; column + 1 < GRID; column++) {
      const corners = [[0, 0], [1, 0], [1, 1], [0, 1]].map(([i, j]) => ({
        x: (column + i + 0.5) * step, y: (row + j + 0.5) * step,
        s: scores[(row + j) * GRID + column + i],
      }));
      const cuts = [];
      corners.forEach((a, i) => {
        const b = corners[(i + 1) % 4];
        if ((a.s > 0) === (b.s > 0)) return;
        const part = a.s / (a.s - b.s);
        cuts.push([a.x + part * (b.x - a.x), a.y + part * (b.y - a.y)]);
      });
      for (let i = 0; i + 1 < cuts.length; i += 2) {
        pen.moveTo(...cuts[i]);
        pen.lineTo(...cuts[i + 1]);
      }
    }
  }
  pen.lineWidth = 2.5;
  pen.strokeStyle = `rgb(${rgb("--text")})`;
  pen.stroke();
}

// ---- curves ----------------------------------------------------------------------------

const LEFT = 40, TOP = 8, RIGHT = 6, UNDER = 18;

function drawCurves(view) {
  const { curve, upTo } = view;
  drawChart("loss", curve.steps, [curve.loss], upTo, view);
  drawChart("sizes", curve.steps, curve.sizes, upTo, view);
  find("layers").innerHTML = curve.sizes.map((_, l) =>
    `<svg viewBox="0 0 22 8" aria-hidden="true"><path class="curve l${l}" d="M0 4H22"/></svg> ${l + 1}`).join(" ");
}

function drawChart(id, steps, series, upTo, view) {
  const { width: WIDE, height } = sizeOf(find(id)), BOTTOM = height - UNDER;
  const seen = view.hidden ? steps.findIndex(step => step > view.step) : -1;
  const known = series.map(line => (seen < 0 ? line : line.slice(0, seen)));
  const all = known.flat().filter(x => x > 0 && Number.isFinite(x));
  const high = Math.log10(all.length ? Math.max(...all) : 1) + 0.05;
  const low = Math.min(high - 1, Math.log10(all.length ? Math.min(...all) : 0.1));
  const last = steps[steps.length - 1] || 1;
  const x = step => LEFT + (WIDE - LEFT - RIGHT) * step / last;
  const y = value => {
    const log = Math.log10(value);
    const inside = Math.max(low, Math.min(high, log));
    return Number.isNaN(log) ? TOP : BOTTOM - (BOTTOM - TOP) * (inside - low) / (high - low);
  };
  const path = (line, from, to) => line.slice(from, to)
    .map((value, i) => `${i ? "L" : "M"}${x(steps[from + i]).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const parts = [`<path class="axis" fill="none" d="M${LEFT} ${TOP}V${BOTTOM}H${WIDE - RIGHT}"/>`];
  for (const power of ticks(low, high)) {
    const at = y(10 ** power);
    parts.push(`<path class="axis" d="M${LEFT} ${at}H${WIDE - RIGHT}" opacity=".4"/>` +
      `<text x="${LEFT - 4}" y="${at + 3}" text-anchor="end">${shown(10 ** power)}</text>`);
  }
  parts.push(`<text x="${LEFT}" y="${BOTTOM + 12}">0</text><text x="${WIDE - RIGHT}" y="${BOTTOM + 12}" text-anchor="end">step${view.hidden ? "" : ` ${last}`}</text>`);
  series.forEach((line, l) => {
    if (!view.hidden) parts.push(`<path class="curve ahead l${l}" d="${path(line, 0, line.length)}"/>`);
    parts.push(`<path class="curve l${l}" d="${path(line, 0, upTo + 1)}"/>`);
    parts.push(`<circle class="now" r="3" cx="${x(steps[upTo])}" cy="${y(line[upTo])}"/>`);
  });
  find(id).innerHTML = parts.join("");
  const told = series.map((line, l) => `${series.length > 1 ? `layer ${l + 1}: ` : ""}${shown(line[upTo])}`);
  find(id).setAttribute("aria-label", `At step ${steps[upTo]}: ${told.join(", ")}; logarithmic`);
  find(id).dataset.last = last;
}

// A pixel of the screen is a unit of the drawing: its letters keep their size.
function sizeOf(svg) {
  const width = svg.clientWidth || 280, height = svg.clientHeight || 100;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  return { width, height };
}

// Powers of ten, or where there is hardly one, also twice and five times those.
function ticks(low, high) {
  const from = Math.floor(low), powers = [...Array(Math.ceil(high) - from + 1).keys()];
  const inside = x => x >= low && x <= high;
  const whole = powers.map(i => from + i).filter(inside);
  if (whole.length < 2) return powers.flatMap(i => [1, 2, 5].map(x => Math.log10(x) + from + i)).filter(inside);
  const every = Math.ceil(whole.length / 4);
  return whole.filter((_, i) => i % every === 0);
}

function stepAt(svg, event) {
  const box = svg.getBoundingClientRect();
  return Number(svg.dataset.last) * (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);
}

// ---- pulls -----------------------------------------------------------------------------

function drawPulls(view) {
  const rows = view.watched.map(({ name, pulls }) => [name, pulls[view.weight]]);
  const total = view.gradient[view.weight];
  const top = largest([...rows.map(([, x]) => x), total]);
  const bar = (name, x, kind) =>
    `<div class="bar ${kind}"><span>${escape(name)}</span><span class="track"><i class="${x < 0 ? "plus" : "minus"}" style="width:${50 * share(x, top)}%"></i></span><span>${shown(x)}</span></div>`;
  const w = view.names[view.weight];
  const all = view.data.points.length;
  find("bars").innerHTML =
    rows.map(([name, x]) => bar(name, x, "")).join("") +
    bar(`all ${all}: ∂L/∂w`, total, "total") +
    `<p class="soft">${w} = ${shown(view.weights[view.weight])}. A point's ∂L/∂w is its δ · a; a bar to the right pulls ${w} up` +
    `${all > rows.length ? ` (${rows.length} of ${all} points)` : ""}.</p>`;
}
