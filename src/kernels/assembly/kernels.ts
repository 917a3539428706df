/**
 * WebAssembly SIMD kernels in float64 (AssemblyScript; compiled by scripts/kernels.mjs into ../wasm-bytes.ts).
 *
 *   contract:  out[m, n] = init[m·initRow + n·initCol] + Σ_k a[m, k] · x[tap[k] + col[n]]      k ascending
 *   depthwise: out[m, r, j] = init[m] + Σ_k w[m, k] · x[⌊m / multiplier⌋, tap[k] + row[r] + j·step]   k ascending
 *   pack:      lays rows of a out as contract reads them, float32 widened
 *   frame:     copies the rows of planes to their places inside larger, zeroed planes
 *   tiles:     a convolution of kernel 3 over tiles of two outputs an axis (formulas: ../winograd.ts), with `turn` for its weights
 *   largest:   the largest of some elements, as depthwise has them;  affine, clip, add: element by element;  tame: whether every magnitude is below a limit
 *
 * One lane computes one output with separate multiply and add, so every bit equals that of the plain twin (plain.ts).
 * All pointers are byte addresses chosen by the caller; nothing is allocated here, so threads may share the memory.
 *
 * `task(job, index, thread)` computes one part of a job. A job is a row of i32 at address `job`, its kind first:
 *   contract  0, a, scratch, bytes of scratch a thread, x, tap, col, init, initRow, initCol, out, outRow, m, n, k, rows a task,
 * columns a task
 *   depthwise 1, x, plane, w, init, tap, k, row, rows, length, step, out, channels, multiplier, channels a task
 *   frame     2, source, target, planes, rows, row bytes, plane bytes, at, planes a task, 1 to fill with −∞ in place of 0
 *   pack      3, source, target, rows, k, 1 if float32, rows a task (a multiple of three)
 *   affine    4, x, out, parameters (means, factors, shifts), channels, elements a plane, planes, planes a task
 *   clip      5, x, out, bounds (low, high), elements, elements a task (even)
 *   add       6, x, y, out, elements, elements a task (even)
 *   tame      7, x, limit, flag (set to 1 when a magnitude is not below), elements, elements a task, 1 if float32
 *   turn      8, source, target, rows, k, 1 if float32, axes, rows a task (a multiple of six), scratch, bytes of scratch a thread
 *   tiles     9, u, scratch, bytes of scratch a thread, x, tap, tile, point, k, m, tiles, tiles a task (a multiple of six), axes,
 * init, out, outRow, outAt, place, mask
 *   largest  10, x, plane, tap, k, row, rows, length, step, out, planes, planes a task
 */

/**
 * A tile of outputs: 3 rows by 6 columns. Its nine sums, three of columns, one of rows and a product fill the registers the compiler
 * leaves; of all shapes this one measured fastest (5 by 4 nearly so, 4 by 4 a quarter slower).
 */
const ROWS: i32 = 3;
const COLUMNS: i32 = 6;
/** Bytes of a step of k in packed rows and in packed columns. */
const A_STEP: usize = 24;
const B_STEP: usize = 48;

/** Columns packed at a time: the panel of `x` is k × 60 and is reused by every row of `a`. */
const BLOCK: i32 = 60;

/** Gathers six columns of x into b[k][6]. */
function packColumns(b: usize, x: usize, tap: usize, col: usize, k: i32): void {
  const c0: i32 = load<i32>(col);
  const c1: i32 = load<i32>(col, 4);
  const c2: i32 = load<i32>(col, 8);
  const c3: i32 = load<i32>(col, 12);
  const c4: i32 = load<i32>(col, 16);
  const c5: i32 = load<i32>(col, 20);
  const tapEnd = tap + ((k as usize) << 2);
  // Columns ascend, or repeat the last one.
  if (c4 == c0 + 4 && c5 == c0 + 5) {
    const base = x + ((c0 as usize) << 3);
    while (tap < tapEnd) {
      const p = base + ((load<i32>(tap) as usize) << 3);
      v128.store(b, v128.load(p));
      v128.store(b, v128.load(p, 16), 16);
      v128.store(b, v128.load(p, 32), 32);
      tap += 4;
      b += B_STEP;
    }
    return;
  }
  const x0 = x + ((c0 as usize) << 3);
  const x1 = x + ((c1 as usize) << 3);
  const x2 = x + ((c2 as usize) << 3);
  const x3 = x + ((c3 as usize) << 3);
  const x4 = x + ((c4 as usize) << 3);
  const x5 = x + ((c5 as usize) << 3);
  while (tap < tapEnd) {
    const t = (load<i32>(tap) as usize) << 3;
    store<f64>(b, load<f64>(x0 + t));
    store<f64>(b, load<f64>(x1 + t), 8);
    store<f64>(b, load<f64>(x2 + t), 16);
    store<f64>(b, load<f64>(x3 + t), 24);
    store<f64>(b, load<f64>(x4 + t), 32);
    store<f64>(b, load<f64>(x5 + t), 40);
    tap += 4;
    b += B_STEP;
  }
}

// @ts-ignore: decorator
@inline
function pair(p: usize, step: usize): v128 {
  return f64x2.replace_lane(f64x2.splat(load<f64>(p)), 1, load<f64>(p + step));
}

/** out[3][6] = init + a[k][3]ᵀ · b[k][6]; `outRow` in bytes. */
function tile(a: usize, b: usize, k: i32, init: usize, initRow: usize, initCol: usize, out: usize, outRow: usize): void {
  const next = initCol << 1;
  let c00 = pair(init, initCol);
  let c01 = pair(init + next, initCol);
  let c02 = pair(init + 2 * next, initCol);
  init += initRow;
  let c10 = pair(init, initCol);
  let c11 = pair(init + next, initCol);
  let c12 = pair(init + 2 * next, initCol);
  init += initRow;
  let c20 = pair(init, initCol);
  let c21 = pair(init + next, initCol);
  let c22 = pair(init + 2 * next, initCol);
  const end = a + (k as usize) * A_STEP;
  while (a < end) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const b2 = v128.load(b, 32);
    let w = v128.load64_splat(a);
    c00 = f64x2.add(c00, f64x2.mul(w, b0));
    c01 = f64x2.add(c01, f64x2.mul(w, b1));
    c02 = f64x2.add(c02, f64x2.mul(w, b2));
    w = v128.load64_splat(a, 8);
    c10 = f64x2.add(c10, f64x2.mul(w, b0));
    c11 = f64x2.add(c11, f64x2.mul(w, b1));
    c12 = f64x2.add(c12, f64x2.mul(w, b2));
    w = v128.load64_splat(a, 16);
    c20 = f64x2.add(c20, f64x2.mul(w, b0));
    c21 = f64x2.add(c21, f64x2.mul(w, b1));
    c22 = f64x2.add(c22, f64x2.mul(w, b2));
    a += A_STEP;
    b += B_STEP;
  }
  v128.store(out, c00);
  v128.store(out, c01, 16);
  v128.store(out, c02, 32);
  out += outRow;
  v128.store(out, c10);
  v128.store(out, c11, 16);
  v128.store(out, c12, 32);
  out += outRow;
  v128.store(out, c20);
  v128.store(out, c21, 16);
  v128.store(out, c22, 32);
}

/**
 * `a` is packed [⌈m/3⌉][k][3], `col` is padded to a multiple of six entries with valid offsets, `init` likewise (its rows to three) with
 * any numbers; `scratch` has room for a tile across the border of the output and k × 60 packed elements. `outRow` counts elements.
 */
function contract(
  a: usize, scratch: usize, x: usize, tap: usize, col: usize, init: usize, initRow: i32, initCol: i32,
  out: usize, outRow: i32, m: i32, n: i32, k: i32,
): void {
  const edge = scratch;
  const b = scratch + 192;
  const row = (outRow as usize) << 3;
  const stripe = (k as usize) * A_STEP;
  const panelBytes = (k as usize) * B_STEP;
  const ir = (initRow as usize) << 3;
  const ic = (initCol as usize) << 3;
  for (let n0 = 0; n0 < n; n0 += BLOCK) {
    const width = min(BLOCK, n - n0);
    let panel = b;
    for (let j = 0; j < width; j += COLUMNS) {
      packColumns(panel, x, tap, col + ((n0 + j) << 2), k);
      panel += panelBytes;
    }
    let stripeOfA = a;
    for (let i = 0; i < m; i += ROWS) {
      panel = b;
      for (let j = 0; j < width; j += COLUMNS) {
        const start = init + (i as usize) * ir + ((n0 + j) as usize) * ic;
        const target = out + (i as usize) * row + (((n0 + j) as usize) << 3);
        const rows = min(ROWS, m - i);
        const columns = min(COLUMNS, width - j);
        if (rows == ROWS && columns == COLUMNS) {
          tile(stripeOfA, panel, k, start, ir, ic, target, row);
        } else {
          tile(stripeOfA, panel, k, start, ir, ic, edge, B_STEP);
          for (let r = 0; r < rows; r++) {
            memory.copy(target + (r as usize) * row, edge + (r as usize) * B_STEP, (columns as usize) << 3);
          }
        }
        panel += panelBytes;
      }
      stripeOfA += stripe;
    }
  }
}

// @ts-ignore: decorator
@inline
function stepped(p: usize, step: usize): v128 {
  return v128.load64_lane(p + step, v128.load64_zero(p), 1);
}

/** The outputs j … length of a row, two at a time; gives the end of what it wrote. */
function restOfRow(
  line: usize, j: i32, length: i32, s: usize, w: usize, bias: v128, tap: usize, tapEnd: usize, out: usize,
): usize {
  for (; j + 2 <= length; j += 2) {
    const p = line + (j as usize) * s;
    let c = bias;
    let weight = w;
    for (let t = tap; t < tapEnd; t += 4) {
      c = f64x2.add(c, f64x2.mul(v128.load64_splat(weight), stepped(p + ((load<i32>(t) as usize) << 3), s)));
      weight += 8;
    }
    v128.store(out, c);
    out += 16;
  }
  if (j < length) {
    const p = line + (j as usize) * s;
    let c = f64x2.extract_lane(bias, 0);
    let weight = w;
    for (let t = tap; t < tapEnd; t += 4) {
      c += load<f64>(weight) * load<f64>(p + ((load<i32>(t) as usize) << 3));
      weight += 8;
    }
    store<f64>(out, c);
    out += 8;
  }
  return out;
}

/** `rows` × `length` outputs a plane; `tap` and `row` are element offsets inside a plane of `plane` elements. */
function depthwise(
  x: usize, plane: i32, w: usize, init: usize, tap: usize, k: i32, row: usize, rows: i32, length: i32, step: i32,
  out: usize, channels: i32, multiplier: i32,
): void {
  const tapEnd = tap + ((k as usize) << 2);
  const s = (step as usize) << 3;
  for (let m = 0; m < channels; m++) {
    const source = x + (((m / multiplier) as usize) * (plane as usize) << 3);
    const bias = v128.load64_splat(init + ((m as usize) << 3));
    for (let r = 0; r < rows; r++) {
      const line = source + ((load<i32>(row + ((r as usize) << 2)) as usize) << 3);
      let j = 0;
      for (; j + 8 <= length; j += 8) {
        const p = line + (j as usize) * s;
        let c0 = bias;
        let c1 = bias;
        let c2 = bias;
        let c3 = bias;
        let weight = w;
        if (step == 1) {
          for (let t = tap; t < tapEnd; t += 4) {
            const v = v128.load64_splat(weight);
            const q = p + ((load<i32>(t) as usize) << 3);
            c0 = f64x2.add(c0, f64x2.mul(v, v128.load(q)));
            c1 = f64x2.add(c1, f64x2.mul(v, v128.load(q, 16)));
            c2 = f64x2.add(c2, f64x2.mul(v, v128.load(q, 32)));
            c3 = f64x2.add(c3, f64x2.mul(v, v128.load(q, 48)));
            weight += 8;
          }
        } else {
          const s2 = s << 1;
          for (let t = tap; t < tapEnd; t += 4) {
            const v = v128.load64_splat(weight);
            let q = p + ((load<i32>(t) as usize) << 3);
            c0 = f64x2.add(c0, f64x2.mul(v, stepped(q, s)));
            q += s2;
            c1 = f64x2.add(c1, f64x2.mul(v, stepped(q, s)));
            q += s2;
            c2 = f64x2.add(c2, f64x2.mul(v, stepped(q, s)));
            q += s2;
            c3 = f64x2.add(c3, f64x2.mul(v, stepped(q, s)));
            weight += 8;
          }
        }
        v128.store(out, c0);
        v128.store(out, c1, 16);
        v128.store(out, c2, 32);
        v128.store(out, c3, 48);
        out += 64;
      }
      out = restOfRow(line, j, length, s, w, bias, tap, tapEnd, out);
    }
    w += (k as usize) << 3;
  }
}

/** Row r of each plane (`rowBytes` long) goes to element offset at[r] of its framed plane (`planeBytes` long, filled first). */
function frame(
  source: usize, target: usize, planes: i32, rows: i32, rowBytes: usize, planeBytes: usize, at: usize, lowest: i32,
): void {
  if (lowest) {
    const end = target + planeBytes * (planes as usize);
    for (let p = target; p < end; p += 8) store<f64>(p, -Infinity);
  } else memory.fill(target, 0, planeBytes * (planes as usize));
  for (let p = 0; p < planes; p++) {
    for (let r = 0; r < rows; r++) {
      memory.copy(target + ((load<i32>(at + ((r as usize) << 2)) as usize) << 3), source, rowBytes);
      source += rowBytes;
    }
    target += planeBytes;
  }
}

// @ts-ignore: decorator
@inline
function number(p: usize, single: i32): f64 {
  return single ? (load<f32>(p) as f64) : load<f64>(p);
}

/** packed[⌈rows/3⌉][k][3] from dense rows of k numbers; rows that are missing repeat the last. */
function pack(source: usize, target: usize, rows: i32, k: i32, single: i32): void {
  const size: usize = single ? 4 : 8;
  const row = (k as usize) * size;
  for (let i = 0; i < rows; i += ROWS) {
    const end = source + row;
    const second = i + 1 < rows ? row : 0;
    const third = i + 2 < rows ? 2 * row : second;
    if (single) {
      for (let p = source; p < end; p += 4, target += A_STEP) {
        store<f64>(target, load<f32>(p) as f64);
        store<f64>(target, load<f32>(p + second) as f64, 8);
        store<f64>(target, load<f32>(p + third) as f64, 16);
      }
    } else {
      for (let p = source; p < end; p += 8, target += A_STEP) {
        store<f64>(target, load<f64>(p));
        store<f64>(target, load<f64>(p + second), 8);
        store<f64>(target, load<f64>(p + third), 16);
      }
    }
    source += 3 * row;
  }
}

// @ts-ignore: decorator
@inline
function field(job: usize, i: usize): i32 {
  return load<i32>(job + (i << 2));
}

function contractTask(job: usize, index: i32, thread: i32): void {
  const m = field(job, 12);
  const n = field(job, 13);
  const k = field(job, 14);
  const rows = field(job, 15);
  const columns = field(job, 16);
  const across = (n + columns - 1) / columns;
  const m0 = index / across * rows;
  const n0 = index % across * columns;
  const initRow = field(job, 8);
  const initCol = field(job, 9);
  const outRow = field(job, 11);
  contract(
    (field(job, 1) as usize) + (m0 as usize) * (k as usize) * 8,
    (field(job, 2) as usize) + (thread as usize) * (field(job, 3) as usize),
    field(job, 4), field(job, 5),
    (field(job, 6) as usize) + ((n0 as usize) << 2),
    (field(job, 7) as usize) + ((m0 * initRow + n0 * initCol) as usize) * 8,
    initRow, initCol,
    (field(job, 10) as usize) + ((m0 as usize) * (outRow as usize) + (n0 as usize)) * 8,
    outRow, min(rows, m - m0), min(columns, n - n0), k,
  );
}

function depthwiseTask(job: usize, index: i32): void {
  const plane = field(job, 2);
  const k = field(job, 6);
  const rows = field(job, 8);
  const length = field(job, 9);
  const channels = field(job, 12);
  const multiplier = field(job, 13);
  const each = field(job, 14);
  const first = index * each;
  depthwise(
    (field(job, 1) as usize) + ((first / multiplier) as usize) * (plane as usize) * 8, plane,
    (field(job, 3) as usize) + (first as usize) * (k as usize) * 8,
    (field(job, 4) as usize) + (first as usize) * 8,
    field(job, 5), k, field(job, 7), rows, length, field(job, 10),
    (field(job, 11) as usize) + (first as usize) * (rows as usize) * (length as usize) * 8,
    min(each, channels - first), multiplier,
  );
}

function frameTask(job: usize, index: i32): void {
  const rows = field(job, 4);
  const rowBytes = field(job, 5) as usize;
  const planeBytes = field(job, 6) as usize;
  const each = field(job, 8);
  const first = index * each;
  frame(
    (field(job, 1) as usize) + (first as usize) * (rows as usize) * rowBytes,
    (field(job, 2) as usize) + (first as usize) * planeBytes,
    min(each, field(job, 3) - first), rows, rowBytes, planeBytes, field(job, 7),
    field(job, 9),
  );
}

function packTask(job: usize, index: i32): void {
  const k = field(job, 4);
  const single = field(job, 5);
  const each = field(job, 6);
  const first = index * each;
  pack(
    (field(job, 1) as usize) + (first as usize) * (k as usize) * (single ? 4 : 8),
    (field(job, 2) as usize) + (first as usize) * (k as usize) * 8,
    min(each, field(job, 3) - first), k, single,
  );
}

// @ts-ignore: decorator
@inline
function largestTask(job: usize, index: i32): void {
  const plane = (field(job, 2) as usize) << 3;
  const tap = field(job, 3) as usize;
  const tapEnd = tap + ((field(job, 4) as usize) << 2);
  const row = field(job, 5) as usize;
  const rows = field(job, 6);
  const length = field(job, 7);
  const s = (field(job, 8) as usize) << 3;
  const each = field(job, 11);
  const first = index * each;
  const last = min(first + each, field(job, 10));
  let out = (field(job, 9) as usize) + ((first as usize) * (rows as usize) * (length as usize) << 3);
  for (let p = first; p < last; p++) {
    for (let r = 0; r < rows; r++) {
      let line = (field(job, 1) as usize) + (p as usize) * plane + ((load<i32>(row + (r << 2)) as usize) << 3);
      let j = 0;
      for (; j + 2 <= length; j += 2, out += 16, line += 2 * s) {
        let best = f64x2.splat(-Infinity);
        for (let t = tap; t < tapEnd; t += 4) best = f64x2.max(best, stepped(line + ((load<i32>(t) as usize) << 3), s));
        v128.store(out, best);
      }
      if (j < length) {
        let best = -Infinity;
        for (let t = tap; t < tapEnd; t += 4) best = max<f64>(best, load<f64>(line + ((load<i32>(t) as usize) << 3)));
        store<f64>(out, best);
        out += 8;
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function affineTask(job: usize, index: i32): void {
  const channels = field(job, 4);
  const inner = field(job, 5);
  const each = field(job, 7);
  const first = index * each;
  const last = min(first + each, field(job, 6));
  const skip = ((first as usize) * (inner as usize)) << 3;
  let x = (field(job, 1) as usize) + skip;
  let out = (field(job, 2) as usize) + skip;
  const bytes = (channels as usize) << 3;
  for (let p = first; p < last; p++) {
    const at = (field(job, 3) as usize) + ((p % channels) << 3);
    const mean = v128.load64_splat(at);
    const factor = v128.load64_splat(at + bytes);
    const shift = v128.load64_splat(at + 2 * bytes);
    const end = x + ((inner & ~1) << 3);
    for (; x < end; x += 16, out += 16) {
      v128.store(out, f64x2.add(f64x2.mul(f64x2.sub(v128.load(x), mean), factor), shift));
    }
    if (inner & 1) {
      store<f64>(out, (load<f64>(x) - load<f64>(at)) * load<f64>(at + bytes) + load<f64>(at + 2 * bytes));
      x += 8;
      out += 8;
    }
  }
}

/** Elements come in pairs: a region has room for one more than an odd number of them. */
// @ts-ignore: decorator
@inline
function clipTask(job: usize, index: i32): void {
  const each = field(job, 5);
  const first = index * each;
  const skip = (first as usize) << 3;
  let x = (field(job, 1) as usize) + skip;
  let out = (field(job, 2) as usize) + skip;
  const low = v128.load64_splat(field(job, 3));
  const high = v128.load64_splat(field(job, 3) + 8);
  const end = x + ((min(each, field(job, 4) - first) as usize) << 3);
  for (; x < end; x += 16, out += 16) v128.store(out, f64x2.min(f64x2.max(v128.load(x), low), high));
}

// @ts-ignore: decorator
@inline
function addTask(job: usize, index: i32): void {
  const each = field(job, 5);
  const first = index * each;
  const skip = (first as usize) << 3;
  let x = (field(job, 1) as usize) + skip;
  let y = (field(job, 2) as usize) + skip;
  let out = (field(job, 3) as usize) + skip;
  const end = x + ((min(each, field(job, 4) - first) as usize) << 3);
  for (; x < end; x += 16, y += 16, out += 16) v128.store(out, f64x2.add(v128.load(x), v128.load(y)));
}

/** In single precision every finite number is below the limit. */
// @ts-ignore: decorator
@inline
function tameTask(job: usize, index: i32): void {
  const each = field(job, 5);
  const single = field(job, 6);
  const size = single ? 4 : 8;
  const first = index * each;
  let x = (field(job, 1) as usize) + (first as usize) * size;
  const limit = load<f64>(field(job, 2));
  const end = x + (min(each, field(job, 4) - first) as usize) * size;
  const pairs = x + ((end - x) & ~15);
  let good = i64x2.splat(-1);
  if (single) {
    const limits = f32x4.splat(Infinity);
    for (; x < pairs; x += 16) good = v128.and(good, f32x4.lt(f32x4.abs(v128.load(x)), limits));
  } else {
    const limits = f64x2.splat(limit);
    for (; x < pairs; x += 16) good = v128.and(good, f64x2.lt(f64x2.abs(v128.load(x)), limits));
  }
  let all = i32x4.all_true(good);
  for (; x < end; x += size) all = all && Math.abs(number(x, single)) < (single ? Infinity : limit);
  if (!all) store<i32>(field(job, 3), 1);
}

/**
 * The transforms work on pairs of numbers (two tiles, or two rows of weights), an axis a pass: a pass takes the numbers along the first
 * axis, which lie `apart` from one another, and leaves the results side by side as the last axis. After as many passes as there are
 * axes they stand in order. `to` and `next` are where the results go, one `next` apart.
 */
// @ts-ignore: decorator
@inline
function putWeights(g0: v128, g1: v128, g2: v128, to: usize, next: usize): void {
  const half = f64x2.splat(0.5);
  const sum = f64x2.add(g0, g2);
  v128.store(to, g0);
  v128.store(to + next, f64x2.mul(half, f64x2.add(sum, g1)));
  v128.store(to + 2 * next, f64x2.mul(half, f64x2.sub(sum, g1)));
  v128.store(to + 3 * next, g2);
}

function passWeights(from: usize, apart: usize, to: usize, next: usize): void {
  for (const end = from + apart; from < end; from += 16, to += 4 * next) {
    putWeights(v128.load(from), v128.load(from + apart), v128.load(from + 2 * apart), to, next);
  }
}

// @ts-ignore: decorator
@inline
function putInput(d0: v128, d1: v128, d2: v128, d3: v128, to: usize, next: usize): void {
  v128.store(to, f64x2.sub(d0, d2));
  v128.store(to + next, f64x2.add(d1, d2));
  v128.store(to + 2 * next, f64x2.sub(d2, d1));
  v128.store(to + 3 * next, f64x2.sub(d1, d3));
}

function passInput(from: usize, apart: usize, to: usize, next: usize): void {
  for (const end = from + apart; from < end; from += 16, to += 4 * next) {
    putInput(v128.load(from), v128.load(from + apart), v128.load(from + 2 * apart), v128.load(from + 3 * apart), to, next);
  }
}

/** `step` is between numbers along the other axes. */
function passOutput(from: usize, apart: usize, step: usize, to: usize): void {
  for (const end = from + apart; from < end; from += step, to += 32) {
    const m1 = v128.load(from + apart);
    const m2 = v128.load(from + 2 * apart);
    v128.store(to, f64x2.add(f64x2.add(v128.load(from), m1), m2));
    v128.store(to + 16, f64x2.sub(f64x2.sub(m1, m2), v128.load(from + 3 * apart)));
  }
}

/** Bytes of a buffer between two passes: 64 pairs. */
const PAIRS: usize = 1024;
/**
 * Numbers of different points of a tile stand this much more than a round number of bytes apart: they are written and read together, and
 * at round distances would drive each other out of the cache.
 */
const APART: usize = 64;

// @ts-ignore: decorator
@inline
function numbers(p: usize, q: usize, single: i32): v128 {
  return f64x2.replace_lane(f64x2.splat(number(p, single)), 1, number(p + q, single));
}

/** u[point][⌈rows/3⌉][k][3] from dense rows of k kernels of 3^axes numbers, two rows at a time; the last row may be repeated. */
// @ts-ignore: decorator
@inline
function turnTask(job: usize, index: i32, thread: i32): void {
  const rows = field(job, 3);
  const k = field(job, 4);
  const single = field(job, 5);
  const axes = field(job, 6);
  const each = field(job, 7);
  const size: usize = single ? 4 : 8;
  const plane: usize = (axes == 2 ? 3 : 9) * size;
  const points = 1 << (2 * axes);
  const stripe = (k as usize) * A_STEP;
  const next = stripe * (((rows + 2) / 3) as usize) + APART;
  const one = (field(job, 8) as usize) + (thread as usize) * (field(job, 9) as usize);
  const other = one + PAIRS;
  const first = index * each;
  const last = min(first + each, rows);
  const row = (k as usize) * 3 * plane;
  for (let i = first; i < last; i += 2) {
    const isPair = i + 1 < rows;
    const q: usize = isPair ? row : 0;
    let p = (field(job, 1) as usize) + (i as usize) * row;
    let u0 = (field(job, 2) as usize) + ((i / 3) as usize) * stripe + (((i % 3) as usize) << 3);
    let u1 = isPair ? (field(job, 2) as usize) + (((i + 1) / 3) as usize) * stripe + ((((i + 1) % 3) as usize) << 3) : u0;
    for (let c = 0; c < k; c++, u0 += A_STEP, u1 += A_STEP, p += 2 * plane) {
      let to = one;
      for (const end = p + plane; p < end; p += size, to += 64) {
        putWeights(numbers(p, q, single), numbers(p + plane, q, single), numbers(p + 2 * plane, q, single), to, 16);
      }
      let from = one;
      if (axes == 2) {
        passWeights(one, 64, other, 16);
        from = other;
      } else {
        passWeights(one, 192, other, 16);
        passWeights(other, 256, one, 16);
      }
      let t0 = u0;
      let t1 = u1;
      for (let t = 0; t < points; t++, from += 16, t0 += next, t1 += next) {
        const value = v128.load(from);
        v128.store64_lane(t0, value, 0);
        v128.store64_lane(t1, value, 1);
      }
    }
  }
}

/** Gathers and transforms the input of six tiles: v[point][k][6]. */
// @ts-ignore: decorator
@inline
function turnTiles(job: usize, tile: usize, v: usize, next: usize, one: usize): void {
  const k = field(job, 8);
  const axes = field(job, 12);
  const other = one + PAIRS;
  const tap = field(job, 5) as usize;
  const pointAt = field(job, 7) as usize;
  const x = field(job, 4) as usize;
  const points = axes == 2 ? 4 : 16;
  const apart: usize = points << 4;
  // Along the first axis points are a fixed number of bytes apart.
  const plane = (load<i32>(pointAt + (points << 2)) as usize) << 3;
  const end = pointAt + (points << 2);
  for (let c = 0; c < k; c++, v += B_STEP) {
    const base = x + ((load<i32>(tap + (c << 2)) as usize) << 3);
    for (let pair = 0; pair < COLUMNS; pair += 2) {
      const x0 = base + ((load<i32>(tile + (pair << 2)) as usize) << 3);
      const q = base + ((load<i32>(tile + (pair << 2), 4) as usize) << 3) - x0;
      let to = one;
      for (let p = pointAt; p < end; p += 4, to += 64) {
        const p0 = x0 + ((load<i32>(p) as usize) << 3);
        putInput(stepped(p0, q), stepped(p0 + plane, q), stepped(p0 + 2 * plane, q), stepped(p0 + 3 * plane, q), to, 16);
      }
      if (axes == 2) passInput(one, apart, v + (pair << 3), next);
      else {
        passInput(one, apart, other, 16);
        passInput(other, apart, v + (pair << 3), next);
      }
    }
  }
}

/** Transforms the sums y[point][m][width] back and writes the outputs of `count` tiles from tile t0 on. */
// @ts-ignore: decorator
@inline
function finishTiles(job: usize, y: usize, next: usize, width: i32, t0: i32, count: i32, one: usize): void {
  const m = field(job, 9);
  const axes = field(job, 12);
  const init = field(job, 13) as usize;
  const outAt = (field(job, 16) as usize) + (t0 << 2);
  const place = field(job, 17) as usize;
  const mask = (field(job, 18) as usize) + (t0 << 2);
  const results = 1 << axes;
  const other = one + PAIRS;
  for (let i = 0; i < m; i++) {
    const row = (field(job, 14) as usize) + (((i as usize) * (field(job, 15) as usize)) << 3);
    const start = v128.load64_splat(init + (i << 3));
    for (let j = 0; j < count; j += 2) {
      const source = y + (((i as usize) * (width as usize) + (j as usize)) << 3);
      let from = other;
      if (axes == 2) {
        passOutput(source, next << 2, next, one);
        passOutput(one, 32, 16, other);
      } else {
        passOutput(source, next << 4, next, one);
        passOutput(one, 128, 16, other);
        passOutput(other, 64, 16, one);
        from = one;
      }
      const p0 = row + ((load<i32>(outAt + (j << 2)) as usize) << 3);
      const p1 = row + ((load<i32>(outAt + (j << 2), 4) as usize) << 3);
      const mask0 = load<i32>(mask + (j << 2));
      const mask1 = load<i32>(mask + (j << 2), 4);
      for (let q = 0; q < results; q++, from += 16) {
        const value = f64x2.add(v128.load(from), start);
        const offset = (load<i32>(place + (q << 2)) as usize) << 3;
        if ((mask0 >> q) & 1) v128.store64_lane(p0 + offset, value, 0);
        if ((mask1 >> q) & 1) v128.store64_lane(p1 + offset, value, 1);
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function tilesTask(job: usize, index: i32, thread: i32): void {
  const k = field(job, 8);
  const m = field(job, 9);
  const each = field(job, 11);
  const t0 = index * each;
  const count = min(each, field(job, 10) - t0);
  const width = (count + 5) / 6 * 6;
  const stripe = (k as usize) * A_STEP;
  const panelBytes = (k as usize) * B_STEP;
  const points = 1 << (2 * field(job, 12));
  const scratch = (field(job, 2) as usize) + (thread as usize) * (field(job, 3) as usize);
  const zero = scratch + 2 * PAIRS;
  v128.store(zero, i64x2.splat(0));
  const v = zero + 64;
  const nextV = (((k as usize) * (width as usize)) << 3) + APART;
  for (let j = 0; j < width; j += COLUMNS) {
    turnTiles(job, (field(job, 6) as usize) + ((t0 + j) << 2), v + ((j / 6) as usize) * panelBytes, nextV, scratch);
  }
  const y = v + nextV * (points as usize);
  const stripes = (m + 2) / 3;
  const row = (width as usize) << 3;
  const nextY = ((stripes * 3) as usize) * row + APART;
  const nextU = stripe * (stripes as usize) + APART;
  for (let p = 0; p < points; p++) {
    let target = y + (p as usize) * nextY;
    let a = (field(job, 1) as usize) + (p as usize) * nextU;
    for (let i = 0; i < stripes; i++) {
      let panel = v + (p as usize) * nextV;
      for (let j = 0; j < width; j += COLUMNS) {
        tile(a, panel, k, zero, 0, 0, target + (j << 3), row);
        panel += panelBytes;
      }
      a += stripe;
      target += 3 * row;
    }
  }
  finishTiles(job, y, nextY, width, t0, count, scratch);
}

export function task(job: usize, index: i32, thread: i32): void {
  const kind = field(job, 0);
  if (kind == 0) contractTask(job, index, thread);
  else if (kind == 1) depthwiseTask(job, index);
  else if (kind == 2) frameTask(job, index);
  else if (kind == 3) packTask(job, index);
  else if (kind == 4) affineTask(job, index);
  else if (kind == 5) clipTask(job, index);
  else if (kind == 6) addTask(job, index);
  else if (kind == 7) tameTask(job, index);
  else if (kind == 8) turnTask(job, index, thread);
  else if (kind == 9) tilesTask(job, index, thread);
  else largestTask(job, index);
}
