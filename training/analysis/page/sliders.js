// The controls: they change capsules, and what is shown follows.

const root = document.currentScript.parentElement;
const data = JSON.parse(root.querySelector(".data").textContent);
const decoder = new Decoder(data.decoder);
const dimensions = data.effects[0].length;
const parts = {
  faces: [...root.querySelectorAll(".faces input")],
  original: root.querySelector(".original"),
  caption: root.querySelector(".caption"),
  reconstruction: root.querySelector(".reconstruction"),
  change: root.querySelector(".change"),
  present: [...root.querySelectorAll(".present input")],
  chosen: root.querySelector("select"),
  length: root.querySelector(".length"),
  together: root.querySelector(".together input"),
  dimensions: [...root.querySelectorAll(".dimension")],
  reset: root.querySelector("button"),
  numbers: Object.fromEntries(
    [...root.querySelectorAll("[data-number]")].map((place) => [place.dataset.number, place]),
  ),
  chosenNames: [...root.querySelectorAll(".chosen-name")],
  status: root.querySelector("[role=status]"),
};
const state = { face: 0, chosen: 0, capsules: null, first: null, drawing: false };

function text(number, digits) {
  const rounded = number.toFixed(digits);
  return (Number(rounded) === 0 ? (0).toFixed(digits) : rounded).replace("-", "\u2212");
}

function vectorsOf(face) {
  const all = unpacked(face.capsules);
  return data.classes.map((_, number) =>
    all.slice(number * dimensions, (number + 1) * dimensions),
  );
}

// Dimensions of the chosen class, those first that change pictures most.
function order() {
  const effects = data.effects[state.chosen];
  return effects.map((_, dimension) => dimension).sort((a, b) => effects[b] - effects[a]);
}

function fraction(input, value) {
  const [low, high] = [Number(input.min), Number(input.max)];
  return Math.min(Math.max((value - low) / (high - low), 0), 1);
}

// What is between the network's own value and the present one is coloured.
function showSlider(row, value, own) {
  const input = row.querySelector("input");
  input.value = value;
  input.setAttribute("aria-valuetext", text(value, 2));
  row.querySelector(".value").textContent = text(value, 2);
  row.style.setProperty("--own", fraction(input, own));
  row.style.setProperty("--low", fraction(input, Math.min(value, own)));
  row.style.setProperty("--high", fraction(input, Math.max(value, own)));
}

function showControls() {
  const { capsules, chosen } = state;
  capsules.present.forEach((present, number) => {
    parts.present[number].checked = present;
  });
  if (parts.chosen) {
    parts.chosen.value = chosen;
    [...parts.chosen.options].forEach((option, number) => {
      option.text = data.classes[number] + (capsules.present[number] ? " \u2713" : "");
    });
  }
  parts.chosenNames.forEach((place) => {
    place.textContent = data.classes[chosen];
  });
  showSlider(parts.length, capsules.lengths[chosen], lengthOf(capsules.vectors[chosen]));
  const ordered = order();
  parts.dimensions.forEach((row, place) => {
    const dimension = ordered[place];
    row.querySelector("label").textContent = `Dimension ${dimension}`;
    row.querySelector("small").textContent = [
      data.names[chosen][dimension],
      `${text(data.effects[chosen][dimension], 1)} grey levels`,
    ].filter(Boolean).join(", ");
    showSlider(
      row,
      capsules.values[chosen][dimension],
      capsules.vectors[chosen][dimension],
    );
  });
}

function showNumbers(levels) {
  const { capsules, chosen } = state;
  const length = lengthOf(capsules.capsule(chosen));
  const before = lengthOf(capsules.vectors[chosen]);
  const [now, own] = [text(length, 2), text(before, 2)];
  parts.numbers.length.textContent = now === own ? now : `${own} \u2192 ${now}`;
  parts.numbers.angle.textContent = `${text(capsules.angle(chosen), 0)}\u00b0`;
  parts.numbers.change.textContent = text(levels, 1);
  return (
    `${data.classes[chosen]}: length ${now}, turned by ${text(capsules.angle(chosen), 0)} ` +
    `degrees; the picture changed by ${text(levels, 1)} grey levels.`
  );
}

function show() {
  state.drawing = false;
  const picture = decoder.picture(state.capsules.masked());
  state.first ??= picture;
  drawPicture(parts.reconstruction, picture, decoder.side);
  drawChange(parts.change, state.first, picture, decoder.side);
  state.sentence = showNumbers(difference(state.first, picture));
}

// However fast a slider moves, pictures are drawn as often as the screen shows them.
function showSoon() {
  if (state.drawing) return;
  state.drawing = true;
  requestAnimationFrame(show);
}

function startFace(number) {
  const face = data.faces[number];
  state.face = number;
  state.capsules = new ChangedCapsules(vectorsOf(face), face.present);
  state.first = null;
  parts.faces[number].checked = true;
  const thumbnail = parts.faces[number].parentElement.querySelector("img");
  parts.original.src = thumbnail.src;
  parts.original.alt = face.caption;
  parts.caption.textContent = face.caption;
  if (!face.present[state.chosen]) state.chosen = Math.max(face.present.indexOf(true), 0);
  showControls();
  show();
}

// A capsule that is changed is one whose change is to be seen.
function changeCapsule(change) {
  change(state.capsules);
  state.capsules.present[state.chosen] = true;
  showControls();
  showSoon();
}

parts.faces.forEach((input, number) => {
  input.addEventListener("change", () => startFace(number));
});
parts.present.forEach((input, number) => {
  input.addEventListener("change", () => {
    state.capsules.present[number] = input.checked;
    showControls();
    showSoon();
  });
});
parts.chosen?.addEventListener("change", () => {
  state.chosen = Number(parts.chosen.value);
  showControls();
  showSoon();
});
parts.length.querySelector("input").addEventListener("input", ({ target }) => {
  changeCapsule((capsules) => {
    const together = parts.together?.checked ?? false;
    capsules.lengths = capsules.lengths.map((length, number) =>
      number === state.chosen || (together && capsules.present[number])
        ? Number(target.value)
        : length,
    );
  });
});
parts.dimensions.forEach((row, place) => {
  row.querySelector("input").addEventListener("input", ({ target }) => {
    changeCapsule((capsules) => {
      capsules.values[state.chosen][order()[place]] = Number(target.value);
    });
  });
});
parts.reset.addEventListener("click", () => startFace(state.face));
// Said once a slider rests, not with each of its steps.
root.addEventListener("change", () => {
  requestAnimationFrame(() => {
    parts.status.textContent = state.sentence;
  });
});

startFace(0);
