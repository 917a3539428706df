/**
 * Threads that compute the tasks of one job together, on one shared memory. One word holds what is left to do: the job's number
 * in the upper half, the tasks not yet taken in the lower. Taking a task is one compare-and-exchange of that word; a job's fields
 * are written only while no task is left and all are done, so whoever holds a task reads fields that stand still. Which thread
 * computes a task changes no bit.
 *
 * How a thread is started is given from outside (`spawn`): this file knows no runtime.
 */
import { WASM_BASE64 } from "./wasm-bytes.ts";

/** The kernels' one entry: computes task `index` of the job at address `job`. */
type Task = (job: number, index: number, thread: number) => void;

/** What runs the tasks of a job. */
export interface Team {
  /** Threads, the caller's included. */
  readonly size: number;
  readonly memory: WebAssembly.Memory;
  /** Runs the tasks of the job at address `job` and returns when all are done. At most 65,535 tasks. */
  run(job: number, tasks: number): void;
}

/** What a new thread is given; everything in it can be posted. */
export interface Recruit {
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  readonly control: Int32Array;
  /** Number of the thread: 1, 2, … */
  readonly thread: number;
}

/** Places in `control`: the word, tasks done, address of the job, 1 after a task that failed. */
const WORD = 0;
const DONE = 1;
const JOB = 2;
const FAILED = 3;
/** Size of the memory when the job was given. */
const PAGES = 4;

/** Pages of 64 KiB a shared memory may grow to (3 GiB). */
const MAXIMUM = 49152;

/** Looks this often at a word before sleeping on it. */
const SPINS = 2000;

/** JavaScript for a thread: give `recruit` a value before it. It never returns; end the thread from outside. */
export const THREAD_SOURCE = `
const { memory, module, control, thread } = recruit;
const { task } = new WebAssembly.Instance(module, { env: { memory } }).exports;
for (let idle = 0; ; idle++) {
  const word = Atomics.load(control, ${WORD});
  const left = word & 0xffff;
  if (left === 0) {
    // The next job often comes at once, and waking takes longer than looking.
    if (idle >= ${SPINS}) Atomics.wait(control, ${WORD}, word);
  } else if (Atomics.compareExchange(control, ${WORD}, word, word - 1) === word) {
    // A task that fails is done too: nobody may wait for it.
    try {
      // The memory may have grown while this thread was starting: it looks again, or bounds of before would stop the task.
      if (memory.buffer.byteLength / 65536 < Atomics.load(control, ${PAGES})) memory.grow(0);
      task(Atomics.load(control, ${JOB}), left - 1, thread);
    } catch {
      Atomics.store(control, ${FAILED}, 1);
    }
    Atomics.add(control, ${DONE}, 1);
    Atomics.notify(control, ${DONE});
    idle = 0;
  }
}`;

export function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/**
 * The module for a memory that threads share. The memory is its only import, so the limits (0, minimum) end the import section: they
 * become (3, minimum, maximum).
 */
function forSharedMemory(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const IMPORTS = 2;
  let at = 8;
  for (;;) {
    let size = 0;
    let body = at + 1;
    for (let shift = 0; ; shift += 7) {
      size += (bytes[body] & 0x7f) << shift;
      if (bytes[body++] < 0x80) break;
    }
    if (bytes[at] === IMPORTS) {
      const maximum = [(MAXIMUM & 0x7f) | 0x80, ((MAXIMUM >> 7) & 0x7f) | 0x80, MAXIMUM >> 14];
      const limits = [3, bytes[body + size - 1], ...maximum];
      const imports = [IMPORTS, size + maximum.length, ...bytes.subarray(body, body + size - 2), ...limits];
      return Uint8Array.from([...bytes.subarray(0, at), ...imports, ...bytes.subarray(body + size)]);
    }
    at = body + size;
  }
}

function taskOf(module: WebAssembly.Module, memory: WebAssembly.Memory): Task {
  return new WebAssembly.Instance(module, { env: { memory } }).exports.task as Task;
}

/** The caller's thread alone; undefined where WebAssembly or its SIMD instructions are missing. */
export function instantiate(): Team | undefined {
  if (typeof WebAssembly === "undefined") return undefined;
  try {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const task = taskOf(new WebAssembly.Module(decodeBase64(WASM_BASE64)), memory);
    return {
      size: 1,
      memory,
      run(job, tasks) {
        for (let i = 0; i < tasks; i++) task(job, i, 0);
      },
    };
  } catch {
    return undefined;
  }
}

/**
 * The caller's thread and `size − 1` started with `spawn`, which may be slow to come: until then the caller does the work. The
 * caller must be allowed to block (`Atomics.wait`). Undefined where shared memory or the instructions are missing.
 */
export function assemble(size: number, spawn: (recruit: Recruit) => void): Team | undefined {
  if (typeof WebAssembly === "undefined" || typeof SharedArrayBuffer === "undefined") return undefined;
  let memory: WebAssembly.Memory;
  let module: WebAssembly.Module;
  let task: Task;
  try {
    memory = new WebAssembly.Memory({ initial: 1, maximum: MAXIMUM, shared: true });
    module = new WebAssembly.Module(forSharedMemory(decodeBase64(WASM_BASE64)));
    task = taskOf(module, memory);
  } catch {
    return undefined;
  }
  const control = new Int32Array(new SharedArrayBuffer(20));
  for (let thread = 1; thread < size; thread++) spawn({ memory, module, control, thread });
  let number = 0;

  function run(job: number, tasks: number): void {
    if (tasks === 1) {
      task(job, 0, 0);
      return;
    }
    number = (number + 1) & 0x7fff;
    Atomics.store(control, JOB, job);
    Atomics.store(control, PAGES, memory.buffer.byteLength / 65536);
    Atomics.store(control, DONE, 0);
    Atomics.store(control, WORD, (number << 16) | tasks);
    Atomics.notify(control, WORD);
    for (;;) {
      const word = Atomics.load(control, WORD);
      const left = word & 0xffff;
      if (left === 0) break;
      if (Atomics.compareExchange(control, WORD, word, word - 1) !== word) continue;
      try {
        task(job, left - 1, 0);
      } catch {
        Atomics.store(control, FAILED, 1);
      }
      Atomics.add(control, DONE, 1);
    }
    for (let i = 0; ; i++) {
      const done = Atomics.load(control, DONE);
      if (done === tasks) {
        if (Atomics.exchange(control, FAILED, 0) !== 0) throw new Error("a kernel task failed");
        return;
      }
      if (i >= SPINS) Atomics.wait(control, DONE, done);
    }
  }

  return { size, memory, run };
}
