// The capsules of one face as the reader has changed them.

function lengthOf(vector) {
  return Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
}

class ChangedCapsules {
  // vectors: of all classes, one Float32Array each; present: of all classes, true or false.
  constructor(vectors, present) {
    this.vectors = vectors;
    this.present = [...present];
    this.lengths = vectors.map(lengthOf);
    this.values = vectors.map((vector) => vector.slice());
  }

  // With the dimensions set, and then as long as its length says.
  capsule(number) {
    const values = this.values[number];
    const length = lengthOf(values);
    const factor = length > 0 ? this.lengths[number] / length : 0;
    return values.map((value) => value * factor);
  }

  // Degrees between the capsule and what the network gave.
  angle(number) {
    const [before, after] = [this.vectors[number], this.values[number]];
    const lengths = lengthOf(before) * lengthOf(after);
    if (!(lengths > 0)) return 0;
    const product = before.reduce((sum, value, place) => sum + value * after[place], 0);
    return (Math.acos(Math.min(Math.max(product / lengths, -1), 1)) * 180) / Math.PI;
  }

  // What the decoder takes: all classes, those that are absent 0.
  masked() {
    const dimensions = this.vectors[0].length;
    const all = new Float32Array(this.vectors.length * dimensions);
    this.present.forEach((present, number) => {
      if (present) all.set(this.capsule(number), number * dimensions);
    });
    return all;
  }
}
