"use strict";
// Shows the steps that Python has worked out; it computes no number of its own.
const find = id => document.getElementById(id);
const steps = JSON.parse(find("steps").textContent);
const last = steps.length - 1;
const scene = find("scene"), drawing = scene.querySelector("svg");
const cards = [...drawing.querySelectorAll(".card")];
const arrows = [...drawing.querySelectorAll(".arrow")];
const [width, height] = drawing.getAttribute("viewBox").split(" ").slice(2).map(Number);
const letter = Number(drawing.dataset.letter || 13); // its height at scale 1
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const pace = Math.max(400, Math.min(1600, 60000 / last)); // milliseconds a step
// A smaller drawing is scrolled, not shrunk.
const legible = () => (innerWidth < 600 ? 11 : 7.8) / letter;
let now = -1, timer = 0, linking = 0;

function go(step) {
  const wanted = Math.max(0, Math.min(last, Math.trunc(step) || 0));
  if (wanted === now) return;
  now = wanted;
  say();
  paint();
  follow();
  find("slider").value = now;
  find("slider").setAttribute("aria-valuetext", `${now} of ${last}: ${steps[now].head}`);
  find("count").textContent = `${now} / ${last}`;
  find("first").disabled = find("back").disabled = now === 0;
  find("next").disabled = find("last").disabled = now === last;
  find("link").href = `#step=${now}`;
  clearTimeout(linking); // browsers allow few changes of the address in a row
  linking = setTimeout(remember, 250);
}

function remember() {
  try {
    history.replaceState(null, "", `#step=${now}`);
  } catch { /* a sandboxed frame has no address to keep */ }
}

function say() {
  const { head, lines } = steps[now];
  const paragraphs = [[head], ...lines].map(parts => {
    const p = document.createElement("p");
    for (const part of parts) {
      const span = document.createElement("span");
      span.textContent = part;
      p.append(span, " ");
    }
    return p;
  });
  find("panel").replaceChildren(...paragraphs);
  find("panel").scrollTop = 0;
}

function paint() {
  const known = new Set(), walked = new Set(), adjoints = new Map();
  for (const step of steps.slice(0, now + 1)) {
    step.values.forEach(card => known.add(card));
    if (step.back) step.arrows.forEach(arrow => walked.add(arrow));
    for (const [card, ...adjoint] of step.adjoints) adjoints.set(card, adjoint);
  }
  const { card: lit, arrows: taken, fed, back } = steps[now];
  drawing.classList.toggle("back", back);
  cards.forEach((card, i) => {
    card.classList.toggle("waiting", !known.has(i));
    card.classList.toggle("lit", i === lit);
    card.classList.toggle("fed", fed.includes(i));
    fill(card, adjoints.get(i) || ["", "–", "grey", 0]);
  });
  arrows.forEach((arrow, i) => {
    const { sign, width } = arrow.dataset;
    arrow.classList.toggle("waiting", !known.has(Number(arrow.dataset.head)));
    arrow.classList.toggle("lit", taken.includes(i));
    arrow.classList.toggle(sign, walked.has(i));
    arrow.classList.toggle("back", walked.has(i));
    arrow.style.strokeWidth = walked.has(i) ? width : 1;
  });
}

function fill(card, [exact, shown, sign, share]) {
  card.dataset.adjoint = exact;
  card.querySelector(".adjoint").textContent = shown;
  card.querySelector("title").textContent =
    card.dataset.tip + (exact && `; adjoint ${exact}`);
  const shade = card.querySelector(".shade");
  shade.setAttribute("class", `shade ${sign}`);
  shade.style.opacity = share;
}

function fit() {
  const room = Math.min(
    scene.offsetWidth / width, (scene.offsetHeight - 2) / height, 20.8 / letter);
  const scale = Math.max(room, legible());
  drawing.setAttribute("width", Math.floor(width * scale));
  drawing.setAttribute("height", Math.floor(height * scale));
}

function follow(behavior = calm.matches ? "auto" : "smooth") {
  const { card, fed } = steps[now];
  const shown = [card, ...fed].filter(i => i !== null).map(i => cards[i]);
  if (!shown.length) return;
  const frame = scene.getBoundingClientRect();
  const boxes = shown.map(element => element.getBoundingClientRect());
  const middle = (low, high, extent) => {
    const a = Math.min(...boxes.map(box => box[low]));
    const b = Math.max(...boxes.map(box => box[high]));
    const centre = b - a < frame[extent] ? (a + b) / 2 : (boxes[0][low] + boxes[0][high]) / 2;
    return centre - frame[low] - frame[extent] / 2;
  };
  scene.scrollTo({
    left: scene.scrollLeft + middle("left", "right", "width"),
    top: scene.scrollTop + middle("top", "bottom", "height"),
    behavior,
  });
}

function pause() {
  clearInterval(timer);
  timer = 0;
  find("play").textContent = "Play";
}

function playOrPause() {
  if (timer) return pause();
  if (now === last) go(0);
  find("play").textContent = "Pause";
  timer = setInterval(() => {
    go(now + 1);
    if (now === last) pause();
  }, pace);
}

function linked() {
  const match = /^#step=(\d+)$/.exec(location.hash);
  return match ? Number(match[1]) : 0;
}

const moves = {
  first: () => 0, back: () => now - 1, next: () => now + 1, last: () => last,
};
const keys = { ArrowLeft: "back", ArrowRight: "next", Home: "first", End: "last" };

for (const [id, target] of Object.entries(moves)) {
  find(id).addEventListener("click", () => { pause(); go(target()); });
}
find("play").addEventListener("click", playOrPause);
find("slider").addEventListener("input", event => { pause(); go(event.target.value); });
addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key in keys) {
    pause();
    go(moves[keys[event.key]]());
  } else if (event.key === " " && event.target.tagName !== "BUTTON") {
    playOrPause();
  } else {
    return;
  }
  event.preventDefault();
});
addEventListener("hashchange", () => { pause(); go(linked()); });
find("link").hidden = self !== top;
new ResizeObserver(() => { fit(); follow("auto"); }).observe(scene);
fit();
go(linked());
