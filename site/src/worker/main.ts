/** The worker: one request at a time. To call one off, the page ends the worker and starts another. */
import { BnfoldError } from "../../../src/diag/error.ts";
import type { Call, Calls, Failure, Message, Request } from "../protocol.ts";

const post = (message: Message): void => postMessage(message);

/** Milliseconds between two messages of progress. */
const EVERY = 60;

/** Progress as messages, not too many; remembers the stage for what may go wrong in it. */
class Progress {
  stage = "reading";
  private last = 0;

  constructor(private readonly id: number) {}

  readonly step = (stage: string, done: number, total: number): void => {
    const now = performance.now();
    if (stage === this.stage && now - this.last < EVERY) return;
    [this.stage, this.last] = [stage, now];
    post({ id: this.id, type: "progress", stage, done, total });
  };
}

async function answer(request: Request, told: Progress["step"]): Promise<Calls[Call]["answer"]> {
  switch (request.call) {
    case "open":
      return (await import("./fold.ts")).opened(request.model);
    case "fold":
      return (await import("./fold.ts")).folded(request.model, request.options, told);
    case "verify":
      return (await import("./verify.ts")).verified(request, request.options, request.bisect, told);
    case "channels": {
      const [{ inspectChannels }, { openModel }] = await Promise.all([
        import("../../../src/train/channels.ts"),
        import("./models.ts"),
      ]);
      return inspectChannels(await openModel(request.model));
    }
    case "graph": {
      const [{ drawnPair }, { openModel }] = await Promise.all([import("./graph.ts"), import("./models.ts")]);
      return drawnPair(await openModel(request.before), request.after && (await openModel(request.after)));
    }
    case "layout":
      return (await import("./layout.ts")).laidOut(request);
  }
}

const MEMORY = /allocation failed|out of memory|invalid (typed )?array( buffer)? length|could not allocate/i;

function failureOf(error: unknown, stage: string): Failure {
  if (error instanceof BnfoldError) {
    const { kind, message, place, hint } = error;
    return { kind, message, place, stage, ...(hint === undefined ? {} : { hint }) };
  }
  const message = error instanceof Error ? error.message : String(error);
  const kind = MEMORY.test(message) ? "memory" : "internal";
  return { kind, message, place: {}, stage };
}

// Most of what is asked for needs this, and the first question often comes later than the worker is there.
void import("./fold.ts").catch(() => undefined);

addEventListener("message", async ({ data }: MessageEvent<Request>) => {
  const progress = new Progress(data.id);
  try {
    post({ id: data.id, type: "done", answer: await answer(data, progress.step) });
  } catch (error) {
    post({ id: data.id, type: "failed", failure: failureOf(error, progress.stage) });
  }
});
