// What the panel says: a question before a surprise and its reason afterwards, the parts
// of a pass, or what there is to see. Numbers are those that were recorded.
function paragraph(text, kind = "") {
  const p = document.createElement("p");
  p.className = kind;
  p.textContent = text;
  return p;
}

function button(words, act, id = "") {
  const found = document.createElement("button");
  found.textContent = words;
  found.id = id;
  found.addEventListener("click", act);
  return found;
}

function say(view) {
  const found = trainings[state.t].surprise;
  const parts = state.note ? [paragraph(state.note, "soft")] : [];
  if (asks()) parts.push(...question(found));
  else if (state.phase !== null) parts.push(...passWords(view));
  else if (found && !revealed.has(state.t)) parts.push(...watching(found));
  else if (found) parts.push(...reason(found));
  else parts.push(...plainWords(view));
  const key = parts.map(part => part.outerHTML).join("");
  if (find("panel").dataset.key === key) return;
  find("panel").dataset.key = key;
  find("panel").replaceChildren(...parts);
  find("panel").scrollTop = 0;
}

function question({ question: words, options: choices }) {
  const buttons = document.createElement("div");
  choices.forEach((choice, i) => buttons.append(button(choice, () => answer(i), `answer-${i}`)));
  return [paragraph(`Before you play: ${words}`), buttons];
}

function answer(i) {
  answered.set(state.t, i);
  if (calm.matches) { go(lastFrame()); return; }
  go(0);
  play();
}

function watching({ options: choices }) {
  const given = choices[answered.get(state.t)];
  return [paragraph(`You said: “${given}”. Watch the loss.`), button("Show me the end", () => step("last"), "end")];
}

function reason({ kind, options: choices, answer: right, said }) {
  const given = answered.get(state.t);
  const verdict = given === right ? "You were right" : `You said “${choices[given]}”`;
  const head = `${kind}. ${verdict}: ${given === right ? "" : "but "}${choices[right].replace(/^./, c => c.toLowerCase())}.`;
  const lines = said.map(line => paragraph(line, /^∂|^\d\. |^ +/.test(line) ? "engine" : ""));
  const better = nearest(t => t.learned, state.t);
  const buttons = document.createElement("div");
  if (better !== null) {
    buttons.append(button(`Compare: ${differences(state.t, better)}`, () => open(better), "compare"));
  }
  return [paragraph(head), buttons, ...lines];
}

function plainWords(view) {
  const layers = view.widths.length - 1;
  return [
    paragraph(state.frame || trainings.length < 2
      ? "Each step: forward, loss, backward, then w ← w - γ · ∂L/∂w for every weight."
      : "Press Play; then try another cost function or γ."),
    paragraph(`A card is a neuron: a map of its a over the plane; beside it a, and the error δ = ∂L/∂z, at the point ${view.watched[state.point].name}.`),
    paragraph(`L is the mean over ${view.data.points.length} points, so that a point's δ holds its share of it. “Forward, then back” shows how δ${sub(layers)} at the output becomes ${layers > 1 ? `δ${sub(layers - 1)}: by the same weights` : "∂L/∂w"}.`),
  ];
}

function passWords(view) {
  const layers = view.widths.length - 1, { phase } = view;
  const f = view.activation, last = view.a.length - 1;
  const vector = (numbers, layer) => {
    const part = numbers.slice(firstOf(view, layer), firstOf(view, layer) + view.widths[layer]).map(shown);
    return part.length > 1 ? `[${part.join(", ")}]` : part[0];
  };
  if (phase === 0) return [paragraph(`The inputs: x = (${view.x.join(", ")}), and the target is ${view.target}.`)];
  if (phase <= layers) {
    const below = phase > 1 ? `a${sub(phase - 1)}` : "x", n = sub(phase);
    const lines = [paragraph("Forward: numbers run along the edges, each times its weight."),
      paragraph(`z${n} = W${n}${below} + b${n} = ${vector(view.z, phase)}`, "engine")];
    if (phase < layers) lines.push(paragraph(`a${n} = ${f}(z${n}) = ${vector(view.a, phase)}`, "engine"));
    lines.push(...uppermost(forwardSum(view, phase)));
    return lines;
  }
  if (phase === layers + 1) {
    return [paragraph("How wrong is it?"),
      paragraph(`The output is ${shown(view.z[last])} where the target is ${view.target}. Over all points the ${cost()} is L = ${shown(view.loss)}.`)];
  }
  const layer = 2 * layers + 2 - phase;
  if (layer === layers) {
    return [paragraph("Backward: the error begins at the loss."),
      paragraph(`δ${sub(layers)} = ∂L/∂z${sub(layers)} = ${shown(view.δ[last])}`, "engine")];
  }
  if (layer >= 1) {
    const n = sub(layer), m = sub(layer + 1);
    return [paragraph("… and runs back along the same edges, times the same weights, then times the slope σ′."),
      paragraph(`δ${n} = (W${m}ᵀδ${m}) ⊙ ${f}′(z${n}) = ${vector(view.δ, layer)}`, "engine"),
      ...uppermost(backwardSum(view, layer))];
  }
  return [paragraph("Each weight's gradient is its δ times the number that it multiplied, now on its line; added up over the points it moves the weight."),
    paragraph(`∂L/∂W₁ = Σ δ₁xᵀ, ∂L/∂b₁ = Σ δ₁; w ← w - ${options.rate[trainings[state.t].at[1]]} · ∂L/∂w`, "engine")];
}

// What happens to the uppermost neuron, in recorded numbers; four digits make it "≈".
const MOST_TERMS = 4;
const factor = x => (x < 0 ? `(${shown(x)})` : shown(x));
const uppermost = sum => (sum ? [paragraph(`uppermost neuron: ${sum}`, "engine")] : []);
const firstOf = (view, layer) => view.widths.slice(1, layer).reduce((a, b) => a + b, 0);

function forwardSum(view, layer) {
  const edges = view.edges.filter(edge => edge.layer === layer && edge.k === 0);
  if (edges.length > MOST_TERMS) return "";
  const below = i => (layer > 1 ? view.a[firstOf(view, layer - 1) + i] : view.x[i]);
  const terms = edges.map(edge => `${factor(view.weights[edge.weight])} · ${factor(below(edge.i))}`);
  const n = firstOf(view, layer);
  return `${terms.join(" + ")} + ${factor(view.weights[view.biases[n]])} ≈ ${shown(view.z[n])}`;
}

function backwardSum(view, layer) {
  const edges = view.edges.filter(edge => edge.layer === layer + 1 && edge.i === 0);
  if (edges.length > MOST_TERMS) return "";
  const terms = edges.map(edge => `${factor(view.weights[edge.weight])} · ${factor(view.δ[firstOf(view, layer + 1) + edge.k])}`);
  const n = firstOf(view, layer), sum = terms.length > 1 ? `(${terms.join(" + ")})` : terms[0];
  return `${sum} · ${view.activation}′(${shown(view.z[n])}) ≈ ${shown(view.δ[n])}`;
}

