/**
 * SHA-256 of bytes as they come, everywhere: FIPS 180-4. Of a file of gigabytes a page can ask `crypto.subtle` only when all of
 * it is in memory.
 *
 *   Σ0(x) = x ⋙ 2 ⊕ x ⋙ 13 ⊕ x ⋙ 22      σ0(x) = x ⋙ 7 ⊕ x ⋙ 18 ⊕ x ≫ 3
 *   Σ1(x) = x ⋙ 6 ⊕ x ⋙ 11 ⊕ x ⋙ 25      σ1(x) = x ⋙ 17 ⊕ x ⋙ 19 ⊕ x ≫ 10
 */

const BLOCK = 64;

/** The first 32 bits of the fractional parts of a root of the first primes: the constants of the standard. */
function fractions(count: number, power: number): Uint32Array {
  const out = new Uint32Array(count);
  for (let n = 2, i = 0; i < count; n++) {
    let prime = true;
    for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;
    if (!prime) continue;
    const root = n ** power;
    out[i++] = (root - Math.floor(root)) * 2 ** 32;
  }
  return out;
}

const K = fractions(64, 1 / 3);
const INITIAL = fractions(8, 1 / 2);

const turn = (x: number, n: number): number => (x >>> n) | (x << (32 - n));

/** SHA-256 (FIPS 180-4) of bytes that come in parts. */
export class Sha256 {
  private readonly state = Uint32Array.from(INITIAL);
  private readonly rest = new Uint8Array(BLOCK);
  private readonly words = new Uint32Array(64);
  private length = 0;
  private done: string | undefined;

  /** @throws Error after `hex`. */
  update(bytes: Uint8Array): this {
    if (this.done !== undefined) throw new Error("a hash that was read takes no more bytes");
    let at = 0;
    const filled = this.length % BLOCK;
    this.length += bytes.length;
    if (filled > 0) {
      at = Math.min(BLOCK - filled, bytes.length);
      this.rest.set(bytes.subarray(0, at), filled);
      if (filled + at < BLOCK) return this;
      this.block(this.rest, 0);
    }
    for (; at + BLOCK <= bytes.length; at += BLOCK) this.block(bytes, at);
    this.rest.set(bytes.subarray(at));
    return this;
  }

  /** The hash of all bytes so far in lower-case hexadecimal; no more can follow. */
  hex(): string {
    if (this.done !== undefined) return this.done;
    const bits = this.length * 8;
    const padding = new Uint8Array(((119 - (this.length % BLOCK)) % BLOCK) + 9);
    padding[0] = 0x80;
    const view = new DataView(padding.buffer);
    view.setUint32(padding.length - 8, Math.floor(bits / 2 ** 32));
    view.setUint32(padding.length - 4, bits % 2 ** 32);
    this.update(padding);
    this.done = Array.from(this.state, (word) => word.toString(16).padStart(8, "0")).join("");
    return this.done;
  }

  private block(bytes: Uint8Array, at: number): void {
    const { state, words: w } = this;
    for (let i = 0; i < 16; i++, at += 4) w[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
    for (let i = 16; i < 64; i++) {
      const [p, q] = [w[i - 15], w[i - 2]];
      const s0 = turn(p, 7) ^ turn(p, 18) ^ (p >>> 3);
      const s1 = turn(q, 17) ^ turn(q, 19) ^ (q >>> 10);
      w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 64; i++) {
      const s1 = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25);
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
      const s0 = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22);
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    const next = [a, b, c, d, e, f, g, h];
    for (let i = 0; i < 8; i++) state[i] += next[i];
  }
}
