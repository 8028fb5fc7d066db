// The laboratory: which training, which frame, which part of a pass is shown. It prints
// what Python recorded; see forward.js for the one thing that it computes.
const content = JSON.parse(find("content").textContent);
const { options, trainings, data: sets, nets } = content;
const NAMES = ["cost", "rate", "data", "activation", "depth", "width", "seed", "start"];
const TITLES = {
  cost: "cost function", rate: "learning rate γ", data: "data", activation: "activation",
  depth: "hidden layers", width: "neurons in each", seed: "seed", start: "start",
};
const CHIPS = 6, PACE = 160, PART = 1300, LONG = 240, SMALL = 16;
const answered = new Map(); // training -> option
const revealed = new Set(); // trainings that were seen to their end
const state = { t: 0, frame: 0, point: 1, weight: 1, phase: null, note: "" };
let running = 0, passing = 0, linking = 0;

// ---- what was recorded -----------------------------------------------------------------

function opened(t) {
  const training = trainings[t];
  if (training.opened) return training.opened;
  const { widths, names } = nets[training.net];
  const data = sets[options.data[training.at[2]]];
  const neurons = widths.slice(1).reduce((a, b) => a + b);
  const points = data.watched.length, count = names.length;
  const width = widths.length, found = unpack(training.curve, 0, training.curve.length / 4);
  const curve = { steps: [], loss: [], sizes: Array.from({ length: width - 1 }, () => []) };
  for (let i = 0; i < found.length; i += width) {
    curve.steps.push(training.stride * i / width);
    curve.loss.push(found[i]);
    curve.sizes.forEach((line, l) => line.push(found[i + 1 + l]));
  }
  const edges = edgesOf(widths);
  const biases = names.map((_, i) => i).filter(i => !edges.some(edge => edge.weight === i));
  training.opened = { widths, names, data, neurons, points, count, curve, edges, biases };
  return training.opened;
}

function recorded(t, frame) {
  const training = trainings[t], o = opened(t);
  const length = 2 + 3 * o.count + o.points * (o.count + 2 * o.neurons);
  const all = unpack(training.frames, frame * length, length);
  let at = 0;
  const take = n => all.slice(at, at += n);
  const [loss, right] = take(2), halves = take(2 * o.count), gradient = take(o.count);
  const rows = n => Array.from({ length: o.points }, () => take(n));
  const pulls = rows(o.count), z = rows(o.neurons), a = rows(o.neurons);
  const exact = [], weights = [];
  for (let i = 0; i < halves.length; i += 2) {
    weights.push(halves[i]);
    exact.push(halves[i] + halves[i + 1]);
  }
  return { loss, right, weights, exact, gradient, pulls, z, a, step: training.steps[frame] };
}

const cost = () => options.cost[trainings[state.t].at[0]];
const asks = () => trainings[state.t].surprise && !answered.has(state.t);
const lastFrame = () => trainings[state.t].steps.length - 1;
const pointName = (data, p) => `(${data.points[p].join(", ")}) → ${data.targets[p]}`;

function viewed() {
  const o = opened(state.t), r = recorded(state.t, state.frame), { data } = o;
  const training = trainings[state.t], p = state.point;
  const colours = { plus: rgb("--plus"), minus: rgb("--minus"), nan: rgb("--nan") };
  const rough = grid(r.exact, o.widths, training.activation, data.low, data.high, SMALL);
  const images = rough.map((map, n) => {
    const top = largest([...map]);
    const values = n === o.neurons - 1 ? map.map(z => z - content.costs[cost()]) : map;
    return mapped(values, SMALL, top, colours).toDataURL();
  });
  const maps = grid(r.exact, o.widths, training.activation, data.low, data.high, GRID);
  const upTo = Math.max(0, o.curve.steps.findLastIndex(step => step <= r.step));
  const pulls = r.pulls[p];
  return {
    ...o, ...r, colours, images, upTo, phase: state.phase, weight: state.weight,
    sure: content.costs[cost()] || 2, scores: maps[o.neurons - 1].map(z => z - content.costs[cost()]),
    x: data.points[data.watched[p]], target: data.targets[data.watched[p]],
    z: r.z[p], a: r.a[p], pulls, δ: o.biases.map(i => pulls[i]),
    point: data.watched[p], hidden: asks(), moving: passing > 0, activation: training.activation,
    watched: data.watched.map((q, i) => ({ name: pointName(data, q), pulls: r.pulls[i] })),
    spoken: `Network ${o.widths.join("-")} at step ${r.step}`,
  };
}

// ---- showing it ------------------------------------------------------------------------

function show() {
  const view = viewed(), training = trainings[state.t];
  drawNet(view);
  drawPlane(view);
  drawCurves(view);
  drawPulls(view);
  const last = lastFrame(), all = view.data.points.length;
  const gone = training.diverged && state.frame === last ? " · it has diverged" : "";
  find("status").innerHTML = `Step <b>${view.step}</b> of ${asks() ? "…" : training.steps[last]} · loss L = <b>${shown(view.loss)}</b> · ${view.right} of ${all} right${gone}`;
  find("answers").textContent = "Blue: class 1; red: class 0" +
    (all > 4 ? "; with a number: points whose δ are shown" : "");
  find("slider").max = last;
  find("slider").value = state.frame;
  find("slider").setAttribute("aria-valuetext", `step ${view.step}, loss ${shown(view.loss)}`);
  find("first").disabled = find("back").disabled = state.frame === 0 || asks();
  find("next").disabled = find("last").disabled = state.frame === last || asks();
  find("run").disabled = find("slider").disabled = Boolean(asks());
  find("code").textContent = training.code.replace("STEP", view.step);
  say(view);
  clearTimeout(linking);
  linking = setTimeout(remember, 250);
}

function remember() {
  try {
    history.replaceState(null, "", `#training=${state.t}&frame=${state.frame}`);
  } catch { /* a sandboxed frame has no address to keep */ }
}

// ---- choosing --------------------------------------------------------------------------

const apart = (a, b) => a.filter((x, i) => x !== b[i]).length;

// The training that fits, with the fewest choices other than those of training t.
function nearest(fits, t) {
  const here = trainings[t].at;
  const found = trainings.map((training, i) => i).filter(i => fits(trainings[i]));
  const far = i => apart(trainings[i].at, here);
  return found.length ? found.reduce((a, b) => (far(b) < far(a) ? b : a)) : null;
}

function differences(from, to) {
  return NAMES.filter((_, c) => trainings[from].at[c] !== trainings[to].at[c])
    .map(name => `${TITLES[name]} ${words(name, trainings[to].at[NAMES.indexOf(name)])}`).join(", ");
}

function words(name, i) {
  const option = options[name][i];
  return name === "start" ? content.starts[option] : String(option);
}

function choose(c, option) {
  const found = nearest(training => training.at[c] === option, state.t);
  const also = NAMES.filter((_, i) => i !== c && trainings[found].at[i] !== trainings[state.t].at[i])
    .map(name => `${TITLES[name]}: ${words(name, trainings[found].at[NAMES.indexOf(name)])}`);
  open(found, also.length ? `This page has no such training; the nearest one has also ${also.join("; ")}.` : "");
}

function open(t, note = "", frame = state.frame) {
  pause();
  stopPass();
  const before = trainings[state.t].steps[state.frame], same = trainings[t].net === trainings[state.t].net;
  Object.assign(state, { t, note, phase: null });
  if (!same) state.weight = 1;
  state.point = Math.min(state.point, opened(t).points - 1);
  const near = trainings[t].steps.findLastIndex(step => step <= before);
  state.frame = asks() ? 0 : frame === state.frame ? Math.max(0, near) : frame;
  offerChoices();
  offerPoints();
  offerWeights();
  show();
}

function offerChoices() {
  const focus = document.activeElement && document.activeElement.id;
  const parts = [];
  const only = [];
  NAMES.forEach((name, c) => {
    if (options[name].length === 1) only.push(`${TITLES[name]}: ${words(name, 0)}`);
    else parts.push(options[name].length > CHIPS ? sliderFor(name, c) : chipsFor(name, c));
  });
  if (only.length) parts.push(paragraph(trainings.length > 1 ? only.join(" · ") : inShort(), "only soft"));
  const kinds = [...new Set(trainings.map(t => t.surprise && t.surprise.kind).filter(Boolean))];
  if (kinds.length && trainings.length > 1) {
    const box = document.createElement("div");
    box.className = "surprises";
    box.append(paragraph("Surprises: guess first", "soft"));
    for (const kind of kinds) {
      const t = trainings.findIndex(training => training.surprise && training.surprise.kind === kind);
      box.append(button(kind, () => open(t, "", 0), `surprise-${kind.replaceAll(" ", "-")}`));
    }
    parts.push(box);
  }
  find("choices").replaceChildren(...parts);
  if (focus && find(focus)) find(focus).focus({ preventScroll: true });
}

function inShort() {
  const [loss, rate, data, f, depth, width, seed, start] = NAMES.map(name => options[name][0]);
  return `${loss} · γ = ${rate} · ${data} · ${depth} × ${width} ${f} · seed ${seed} · start ${start}`;
}

function chip(group, id, label, checked, act, far = false) {
  const found = document.createElement("label");
  found.className = `chip${far ? " far" : ""}`;
  const input = Object.assign(document.createElement("input"), { type: "radio", name: group, id, checked });
  input.addEventListener("change", act);
  const span = document.createElement("span");
  span.textContent = label;
  found.append(input, span);
  return found;
}

function titled(name) {
  const box = document.createElement("fieldset"), legend = document.createElement("legend");
  legend.textContent = TITLES[name];
  box.append(legend);
  return box;
}

function chipsFor(name, c) {
  const box = titled(name), row = document.createElement("div"), here = trainings[state.t].at;
  row.className = "chips";
  options[name].forEach((_, i) => {
    const far = !trainings.some(({ at }) => at[c] === i && apart(at, here) <= 1);
    const label = name === "start" ? options.start[i] : words(name, i);
    const made = chip(name, `${name}-${i}`, label, here[c] === i, () => choose(c, i), far);
    if (far) made.title = "changes other choices, too";
    if (name === "start") made.title = content.starts[options.start[i]];
    row.append(made);
  });
  box.append(row);
  return box;
}

function sliderFor(name, c) {
  const box = titled(name), at = trainings[state.t].at[c];
  const input = Object.assign(document.createElement("input"), {
    type: "range", min: 0, max: options[name].length - 1, value: at, id: `${name}-slider`,
  });
  input.setAttribute("aria-valuetext", words(name, at));
  input.addEventListener("input", () => choose(c, Number(input.value)));
  box.firstChild.textContent = `${TITLES[name]}: ${words(name, at)}`;
  box.append(input);
  return box;
}

function offerPoints() {
  const { data } = opened(state.t);
  find("points").replaceChildren(...data.watched.map((p, i) =>
    chip("point", `point-${i}`, `(${data.points[p].join(", ")})`, i === state.point, () => { state.point = i; show(); })));
}

function offerWeights() {
  const { names } = opened(state.t);
  find("weight").replaceChildren(...names.map((name, i) =>
    Object.assign(document.createElement("option"), { value: i, textContent: name, selected: i === state.weight })));
}

function chooseWeight(i) {
  if (i < 0) return;
  state.weight = i;
  find("weight").value = i;
  show();
}

// ---- playing ---------------------------------------------------------------------------

function go(frame) {
  if (asks()) return;
  state.frame = Math.max(0, Math.min(lastFrame(), Math.trunc(frame) || 0));
  if (state.frame === lastFrame()) revealed.add(state.t);
  show();
}

function pause() {
  clearInterval(running);
  running = 0;
  find("run").textContent = "Play";
}

function play() {
  if (asks()) return;
  stopPass();
  if (running) { pause(); return; }
  if (state.frame === lastFrame()) go(0);
  find("run").textContent = "Pause";
  const few = lastFrame() < 12; // a training that was soon over
  running = setInterval(() => {
    go(state.frame + 1);
    if (state.frame === lastFrame()) pause();
  }, few ? 3 * PACE : PACE);
}

const lastPart = () => 2 * opened(state.t).widths.length;

function stopPass() {
  clearInterval(passing);
  passing = 0;
  state.phase = null;
}

// One part further or back, round by the whole picture, which is no part.
function part(move) {
  clearInterval(passing);
  passing = 0;
  turn(move);
}

function turn(move) {
  pause();
  const parts = [null, ...Array(lastPart() + 1).keys()];
  const at = parts.indexOf(state.phase) + move;
  state.phase = parts[(at + parts.length) % parts.length];
  show();
}

function pass() {
  if (asks()) return;
  if (passing) { stopPass(); show(); return; }
  state.phase = null;
  passing = setInterval(() => {
    turn(1);
    if (state.phase === null) stopPass();
  }, PART);
  turn(1);
}

const moves = { first: () => 0, back: () => state.frame - 1, next: () => state.frame + 1, last: lastFrame };
const keys = { ArrowLeft: "back", ArrowRight: "next", Home: "first", End: "last" };
const others = { ".": () => part(1), ",": () => part(-1), p: pass };

function step(name) {
  pause();
  stopPass();
  state.note = "";
  go(moves[name]());
}

for (const id of Object.keys(moves)) find(id).addEventListener("click", () => step(id));
find("run").addEventListener("click", play);
find("pass").addEventListener("click", pass);
find("before").addEventListener("click", () => part(-1));
find("after").addEventListener("click", () => part(1));
find("slider").addEventListener("input", event => { pause(); stopPass(); go(event.target.value); });
find("weight").addEventListener("change", event => chooseWeight(Number(event.target.value)));
find("net").addEventListener("click", event => {
  const chosen = event.target.closest("[data-weight]");
  if (chosen) chooseWeight(Number(chosen.dataset.weight));
});
find("map").addEventListener("click", event => {
  const { data } = opened(state.t), box = find("map").getBoundingClientRect();
  const x = data.low + (data.high - data.low) * (event.clientX - box.left) / box.width;
  const y = data.high - (data.high - data.low) * (event.clientY - box.top) / box.height;
  const away = p => Math.hypot(data.points[p][0] - x, data.points[p][1] - y);
  const order = data.watched.map((p, i) => [away(p), i]).sort((a, b) => a[0] - b[0]);
  state.point = order[0][1];
  offerPoints();
  show();
});
for (const id of ["loss", "sizes"]) {
  find(id).addEventListener("click", event => {
    const wanted = stepAt(find(id), event), { steps } = trainings[state.t];
    const near = (a, b) => (Math.abs(steps[b] - wanted) < Math.abs(steps[a] - wanted) ? b : a);
    pause();
    stopPass();
    go(steps.map((_, i) => i).reduce(near));
  });
}
addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { target } = event;
  const chooses = target.tagName === "SELECT" || (target.tagName === "INPUT" && target.id !== "slider");
  if (chooses) return;
  if (event.key in keys) step(keys[event.key]);
  else if (event.key in others) others[event.key]();
  else if (event.key === " " && !["BUTTON", "SUMMARY"].includes(target.tagName)) play();
  else return;
  event.preventDefault();
});

function linked() {
  const found = new URLSearchParams(location.hash.slice(1));
  const whole = (name, most) => Math.max(0, Math.min(most, Math.trunc(Number(found.get(name))) || 0));
  const t = whole("training", trainings.length - 1);
  open(t, "", whole("frame", trainings[t].steps.length - 1));
}

document.body.classList.toggle("alone", trainings.length === 1);
addEventListener("hashchange", linked);
addEventListener("resize", show);
addEventListener("beforeprint", show);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
linked();
