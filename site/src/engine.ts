/** The page's end of the worker. Work is called off by ending the worker; the next request starts a new one. */
import type { Call, Calls, Failure, Message } from "./protocol.ts";

declare global {
  /** In the one-file edition: the worker's program. */
  var BNFOLD_WORKER: string | undefined;
}

export class WorkFailed extends Error {
  constructor(readonly failure: Failure) {
    super(failure.message);
  }
}

export class CalledOff extends Error {}

export type OnProgress = (stage: string, done: number, total: number) => void;

interface Waiting {
  readonly id: number;
  readonly onProgress?: OnProgress;
  resolve(answer: unknown): void;
  reject(error: Error): void;
}

function startWorker(): Worker {
  if (globalThis.BNFOLD_WORKER === undefined) return new Worker(new URL("worker.js", document.baseURI), { type: "module" });
  const url = URL.createObjectURL(new Blob([globalThis.BNFOLD_WORKER], { type: "text/javascript" }));
  return new Worker(url);
}

class Engine {
  private worker: Worker | undefined;
  private waiting: Waiting | undefined;
  private queue: Promise<unknown> = Promise.resolve();
  private ids = 0;

  /** Starts loading the engine before anybody asks for work. */
  warm(): void {
    this.worker ??= this.start();
  }

  /** @throws WorkFailed with what went wrong; CalledOff after `cancel`. */
  ask<K extends Call>(call: K, ask: Calls[K]["ask"], onProgress?: OnProgress, signal?: AbortSignal): Promise<Calls[K]["answer"]> {
    const turn = this.queue.then(
      () =>
        new Promise<Calls[K]["answer"]>((resolve, reject) => {
          if (signal?.aborted) {
            reject(new CalledOff("called off"));
            return;
          }
          this.warm();
          const id = ++this.ids;
          const stop = () => this.end(new CalledOff("called off"));
          signal?.addEventListener("abort", stop, { once: true });
          const done = () => signal?.removeEventListener("abort", stop);
          this.waiting = {
            id,
            onProgress,
            resolve: (answer) => {
              done();
              resolve(answer as Calls[K]["answer"]);
            },
            reject: (error) => {
              done();
              reject(error);
            },
          };
          this.worker?.postMessage({ id, call, ...ask });
        }),
    );
    this.queue = turn.catch(() => undefined);
    return turn;
  }

  private start(): Worker {
    const worker = startWorker();
    worker.addEventListener("message", ({ data }: MessageEvent<Message>) => this.hear(data));
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      const message = event.message || "the worker could not be started, or was ended by the browser";
      this.end(new WorkFailed({ kind: "crash", message, place: {}, stage: "working" }));
    });
    return worker;
  }

  private hear(message: Message): void {
    const { waiting } = this;
    if (waiting === undefined || waiting.id !== message.id) return;
    if (message.type === "progress") {
      waiting.onProgress?.(message.stage, message.done, message.total);
      return;
    }
    this.waiting = undefined;
    if (message.type === "done") waiting.resolve(message.answer);
    else waiting.reject(new WorkFailed(message.failure));
  }

  private end(error: Error): void {
    this.worker?.terminate();
    this.worker = undefined;
    const { waiting } = this;
    this.waiting = undefined;
    waiting?.reject(error);
  }
}

export const engine = new Engine();
