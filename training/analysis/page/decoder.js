// A capsule network's decoder: three fully connected layers, bilinear enlargement, and the pixels'
// statistics undone. It computes what the class Decoder in training/networks/network.py computes.

const TYPES = { int8: Int8Array, float32: Float32Array };

function unpacked({ type, base64 }) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = text.charCodeAt(i);
  return new TYPES[type](bytes.buffer);
}

function linear({ weight, scale, bias }, input) {
  const output = new Float32Array(bias.length);
  for (let row = 0, at = 0; row < output.length; row += 1) {
    let sum = 0;
    for (let column = 0; column < input.length; column += 1, at += 1) {
      sum += weight[at] * input[column];
    }
    output[row] = sum * scale[row] + bias[row];
  }
  return output;
}

function rectified(numbers) {
  return numbers.map((number) => Math.max(number, 0));
}

// For each pixel of a line: the two numbers of the short line that it lies between, and how near
// to the second. Both lines have the same ends (align_corners=False).
function between(from, to) {
  return Array.from({ length: to }, (_, pixel) => {
    const place = Math.max(((pixel + 0.5) * from) / to - 0.5, 0);
    const first = Math.floor(place);
    return { first, second: Math.min(first + 1, from - 1), part: place - first };
  });
}

class Decoder {
  constructor({ layers, channels, smallSide, side, mean, std }) {
    this.layers = layers.map(({ weight, scale, bias }) => ({
      weight: unpacked(weight),
      scale: unpacked(scale),
      bias: unpacked(bias),
    }));
    Object.assign(this, { channels, smallSide, side });
    this.mean = unpacked(mean);
    this.std = unpacked(std);
    this.lines = between(smallSide, side);
  }

  // Class capsules, one after the other, those of absent classes 0 -> pixels in 0 .. 1,
  // channel by channel, row by row.
  picture(capsules) {
    const last = this.layers.length - 1;
    const small = this.layers.reduce((input, layer, number) => {
      const output = linear(layer, input);
      return number < last ? rectified(output) : output;
    }, capsules);
    return this.enlarged(small).map((value, pixel) =>
      Math.min(Math.max(value * this.std[pixel] + this.mean[pixel], 0), 1),
    );
  }

  enlarged(small) {
    const { channels, smallSide, side, lines } = this;
    const pixels = new Float32Array(channels * side * side);
    for (let channel = 0, at = 0; channel < channels; channel += 1) {
      const corner = channel * smallSide * smallSide;
      for (const row of lines) {
        const upper = corner + row.first * smallSide;
        const lower = corner + row.second * smallSide;
        for (const { first, second, part } of lines) {
          const above = small[upper + first] * (1 - part) + small[upper + second] * part;
          const below = small[lower + first] * (1 - part) + small[lower + second] * part;
          pixels[at] = above * (1 - row.part) + below * row.part;
          at += 1;
        }
      }
    }
    return pixels;
  }
}
