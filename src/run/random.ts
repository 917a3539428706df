/**
 * Uniform doubles in [0, 1) from MT19937 (Matsumoto and Nishimura, 1998) with the seeding and the 53-bit conversion
 * (a·2²⁶ + b) / 2⁵³, a of 27 and b of 26 bits, that NumPy's RandomState uses: a node with a `seed` draws the numbers that
 * ONNX's reference implementation draws.
 */
export function uniform(seed: number): () => number {
  const state = new Uint32Array(624);
  state[0] = seed;
  for (let i = 1; i < 624; i++) state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
  let at = 624;
  const twist = () => {
    for (let i = 0; i < 624; i++) {
      const y = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7fffffff);
      state[i] = state[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    at = 0;
  };
  const next = () => {
    if (at === 624) twist();
    let y = state[at++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
  return () => {
    const a = next() >>> 5;
    const b = next() >>> 6;
    return (a * 2 ** 26 + b) / 2 ** 53;
  };
}

/** FNV-1a over the UTF-16 units of a text: a seed from a name. */
export function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}
