"use strict";
// Numbers as Python packed them, how they are written, and the forward formula, which is
// all that is computed here: it colours the plane and the neurons' maps.
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const VALUE = Object.fromEntries([...LETTERS].map((letter, i) => [letter, i]));
const LOWEST = -324, MANTISSAS = 9000, ONE_SIGN = (308 - LOWEST + 1) * MANTISSAS;

function unpack(text, start, count) {
  const found = new Array(count);
  for (let i = 0; i < count; i++) {
    let code = 0;
    const at = 4 * (start + i);
    for (let k = 0; k < 4; k++) code = code * 64 + VALUE[text[at + k]];
    found[i] = number(code);
  }
  return found;
}

function number(code) {
  if (code < 4) return [0, NaN, Infinity, -Infinity][code];
  const negative = code - 4 >= ONE_SIGN;
  const place = code - 4 - (negative ? ONE_SIGN : 0);
  const exponent = Math.floor(place / MANTISSAS) + LOWEST - 3;
  return Number(`${negative ? "-" : ""}${place % MANTISSAS + 1000}e${exponent}`);
}

// Four digits, as Python's f"{x:.4g}" writes them.
function shown(x) {
  if (x === 0) return "0";
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x > 0 ? "inf" : "-inf";
  const [mantissa, power] = x.toExponential(3).split("e");
  const exponent = Number(power);
  const short = text => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  if (exponent >= -4 && exponent < 4) return short(x.toFixed(3 - exponent));
  const digits = String(Math.abs(exponent)).padStart(2, "0");
  return `${short(mantissa)}e${exponent < 0 ? "-" : "+"}${digits}`;
}

const softplus = z => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
const sigmoid = z => 1 / (1 + Math.exp(-z));
const ACTIVATIONS = {
  tanh: Math.tanh,
  relu: z => (z > 0 ? z : 0),
  leaky_relu: z => (z > 0 ? z : 0.01 * z),
  sigmoid,
  softplus,
  silu: z => z * sigmoid(z),
  sin: Math.sin,
  linear: z => z,
};

// The activations of every layer at x; weights in the order of model.parameters().
function forward(weights, widths, activation, x) {
  const layers = [];
  let a = x, at = 0;
  for (let layer = 1; layer < widths.length; layer++) {
    const f = layer < widths.length - 1 ? ACTIVATIONS[activation] : ACTIVATIONS.linear;
    const next = [];
    for (let k = 0; k < widths[layer]; k++) {
      let z = 0;
      for (let i = 0; i < a.length; i++) z += weights[at++] * a[i];
      next.push(f(z + weights[at++]));
    }
    layers.push(next);
    a = next;
  }
  return layers;
}

// The activations of all neurons on a grid over a square, in rows from the top.
function grid(weights, widths, activation, low, high, size) {
  const neurons = widths.slice(1).reduce((a, b) => a + b);
  const maps = Array.from({ length: neurons }, () => new Float64Array(size * size));
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const x = low + (high - low) * (column + 0.5) / size;
      const y = high - (high - low) * (row + 0.5) / size;
      const found = forward(weights, widths, activation, [x, y]).flat();
      found.forEach((a, n) => { maps[n][row * size + column] = a; });
    }
  }
  return maps;
}
