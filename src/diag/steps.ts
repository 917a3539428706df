/**
 * Long work in steps: a generator that stops where others may have their turn. The same work runs to its end at once
 * (`finish`), or gives way to the event loop at bounded intervals and can be called off between them (`paced`).
 */

/** Work that stops now and then, until it has its result. */
export type Steps<T> = Generator<void, T, void>;

/** Does all of it at once. */
export function finish<T>(work: Steps<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

/** How work that gives way to the event loop is called off. */
export interface Pace {
  /** Calls the work off: it throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Milliseconds of computing after which the event loop gets its turn. Half of what may pass: a step is not cut short. */
const TURN_MS = 25;

/** The next turn of the event loop: timers, input and signals come first. */
export const nextTurn: () => Promise<void> =
  typeof setImmediate === "function"
    ? () => new Promise((resolve) => setImmediate(resolve))
    : () =>
        new Promise((resolve) => {
          // A timer would wait for four milliseconds.
          const { port1, port2 } = new MessageChannel();
          port1.onmessage = () => {
            port1.close();
            resolve();
          };
          port2.postMessage(undefined);
        });

/**
 * Does the work and lets the event loop turn about every 25 ms.
 * @throws whatever the work throws, or the signal's reason.
 */
export async function paced<T>(work: Steps<T>, { signal }: Pace = {}): Promise<T> {
  try {
    for (let since = performance.now(); ; ) {
      signal?.throwIfAborted();
      const step = work.next();
      if (step.done === true) return step.value;
      if (performance.now() - since < TURN_MS) continue;
      await nextTurn();
      since = performance.now();
    }
  } catch (error) {
    // What the work has open is closed by its own `finally`.
    work.return(undefined as T);
    throw error;
  }
}
