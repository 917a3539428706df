/**
 * Seeded random numbers that are the same on every platform, and do not change when the executor's own generator does.
 *   words    xoshiro128** (Blackman and Vigna, Scrambled linear pseudorandom number generators, 2018); its state is the
 *            output of a Weyl sequence through the finalizer of MurmurHash3
 *   uniform  (a·2²¹ + b) / 2⁵³, a of 32 and b of 21 bits
 *   rough    (u₁ + … + u₄ − 2)·√3, u of 16 bits
 *   normal   (u₁ + … + u₁₂) − 6: mean 0, variance 1, at most 6 (Irwin–Hall). Additions only: Math.log and Math.cos may differ
 *            in their last bit between engines
 */
export interface Random {
  /** In [0, 1). */
  uniform(): number;
  /** A whole number in [0, n). */
  below(n: number): number;
  /** Standard normal. */
  normal(): number;
  /** In [−1, 1), from one word: for many numbers of which only the size matters. */
  signed(): number;
  /** Mean 0, variance 1, at most 2√3, bell-shaped, from two words: the same for values. */
  rough(): number;
}

/** FNV-1a over UTF-16 units. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h;
}

const rotate = (x: number, k: number): number => (x << k) | (x >>> (32 - k));

function words(seed: number): () => number {
  let weyl = seed;
  const mixed = () => {
    weyl = (weyl + 0x9e3779b9) | 0;
    let z = Math.imul(weyl ^ (weyl >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return z ^ (z >>> 16);
  };
  let [s0, s1, s2, s3] = [mixed(), mixed(), mixed(), mixed()];
  return () => {
    const word = Math.imul(rotate(Math.imul(s1, 5), 7), 9) >>> 0;
    const shifted = s1 << 9;
    s2 ^= s0;
    s3 ^= s1;
    s1 ^= s2;
    s0 ^= s3;
    s2 ^= shifted;
    s3 = rotate(s3, 11);
    return word;
  };
}

/** The stream of a path such as (seed, sample, input name): different paths are independent. */
export function randomOf(...path: readonly (string | number)[]): Random {
  const word = words(hash(path.join("\u0000")));
  const uniform = () => (word() * 2 ** 21 + (word() >>> 11)) / 2 ** 53;
  return {
    uniform,
    below: (n) => Math.floor(uniform() * n),
    signed: () => word() / 2 ** 31 - 1,
    rough() {
      const [p, q] = [word(), word()];
      return (((p & 0xffff) + (p >>> 16) + (q & 0xffff) + (q >>> 16)) / 2 ** 16 - 2) * Math.sqrt(3);
    },
    normal() {
      let sum = -6;
      for (let i = 0; i < 12; i++) sum += uniform();
      return sum;
    },
  };
}

/** Numbers that are drawn once and come again where more are wanted: a prime, which no step along an axis divides, lays the same ones nowhere side by side. */
const PERIOD = 8191;

/** Fills an array with what `draw` gives, the first numbers again and again. `turn` works on those before they are copied. */
export function fillWith(
  data: Float64Array,
  draw: () => number,
  turn: (drawn: Float64Array) => ArrayLike<number> = (drawn) => drawn,
): void {
  const drawn = data.subarray(0, Math.min(data.length, PERIOD));
  for (let i = 0; i < drawn.length; i++) drawn[i] = draw();
  drawn.set(turn(drawn));
  for (let at = drawn.length; at < data.length; at += drawn.length) data.set(drawn.subarray(0, data.length - at), at);
}
