// Pictures on canvases, and how much two of them differ.

const WHITE = 255;
const BRIGHTER = [230, 120, 0];
const DARKER = [40, 120, 220];

// Change at which the colour of the change is full, in grey levels.
const FULL_CHANGE = 64;

function draw(canvas, side, colourOf) {
  const image = new ImageData(side, side);
  for (let pixel = 0; pixel < side * side; pixel += 1) image.data.set(colourOf(pixel), 4 * pixel);
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function drawPicture(canvas, pixels, side) {
  const plane = side * side;
  const [green, blue] = pixels.length > plane ? [plane, 2 * plane] : [0, 0];
  draw(canvas, side, (pixel) => [
    pixels[pixel] * WHITE,
    pixels[green + pixel] * WHITE,
    pixels[blue + pixel] * WHITE,
    WHITE,
  ]);
}

function drawChange(canvas, before, after, side) {
  const plane = side * side;
  draw(canvas, side, (pixel) => {
    let change = 0;
    for (let at = pixel; at < after.length; at += plane) change += after[at] - before[at];
    const levels = (change * WHITE * plane) / after.length;
    // The root lets small changes be seen, too.
    const strength = Math.sqrt(Math.min(Math.abs(levels) / FULL_CHANGE, 1));
    return [...(levels > 0 ? BRIGHTER : DARKER), strength * WHITE];
  });
}

// Root mean square over pixels, in grey levels.
function difference(before, after) {
  const sum = after.reduce((total, value, at) => total + (value - before[at]) ** 2, 0);
  return WHITE * Math.sqrt(sum / after.length);
}
