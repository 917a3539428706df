/** Work that leaves nothing behind when the process is told to end. */
import { remove } from "./litter.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** A file that the system was just told to make is there after this long. */
const MADE_MS = 20;

/**
 * Takes away what is in `live` when the process is told to end while `work` is under way; the signal then does what it does by default.
 * It is heard when the event loop turns.
 */
export async function guarded<T>(
  live: ReadonlySet<string>,
  work: () => Promise<T>,
  take: (path: string) => void = remove,
): Promise<T> {
  const clean = () => live.forEach(take);
  const received = new Set<NodeJS.Signals>();
  const leave = () => {
    for (const name of SIGNALS) process.removeListener(name, onSignal);
    process.removeListener("exit", clean);
  };
  const onSignal = (signal: NodeJS.Signals) => {
    clean();
    received.add(signal);
    if (received.size > 1) return;
    const files = [...live];
    setTimeout(() => {
      // What another thread was making meanwhile, and what was begun since.
      files.forEach(take);
      clean();
      leave();
      // Nobody else has a plan for this signal: let it do what it does by default.
      for (const name of received) if (process.listenerCount(name) === 0) process.kill(process.pid, name);
    }, MADE_MS);
  };
  for (const name of SIGNALS) process.on(name, onSignal);
  process.on("exit", clean);
  try {
    return await work();
  } catch (error) {
    // Its files are gone: that the work then fails is nothing to tell.
    if (received.size > 0) await new Promise(() => undefined);
    throw error;
  } finally {
    if (received.size === 0) leave();
  }
}
