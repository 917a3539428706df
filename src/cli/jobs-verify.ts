/** bnfold jobs verify: pairs of models of a store, compared by whoever takes the jobs. */
import { BnfoldError } from "../diag/error.ts";
import { nameOf, type VerifyJob } from "../jobs/job.ts";
import type { Run } from "../jobs/runs.ts";
import type { VerifyLine } from "../report/document.ts";
import { lineOf } from "./batch-lines.ts";
import { type Command, talkOptions, type Values } from "./command.ts";
import { formatOptions, wantedOf } from "./formats.ts";
import { findStored, type Named } from "./jobs-find.ts";
import { jobsExit, sortedLines, titleOf, told } from "./jobs-fold.ts";
import { ALLOWED, verifyNames } from "./jobs-options.ts";
import { followed, jobOptions, leave, openSession, sendOptions } from "./jobs-session.ts";
import { exitOfPairs } from "./verify-many.ts";
import { comparedOptions } from "./verify-options.ts";

/** Models with the same name in both places; of one model each, these two. */
function pairsOf(as: readonly Named[], bs: readonly Named[]): [Named, Named][] {
  if (as.length === 1 && bs.length === 1) return [[as[0], bs[0]]];
  const byName = new Map(bs.map((b) => [b.file, b]));
  const alone = as.filter(({ file }) => !byName.has(file)).map(({ file }) => file);
  if (alone.length > 0)
    throw new BnfoldError(
      "usage",
      `${alone.length === 1 ? "a model has" : `${alone.length} models have`} no counterpart: ${alone.slice(0, 3).join(", ")}`,
      {},
      "Models are paired by their names below both folders.",
    );
  return as.map((a) => [a, byName.get(a.file) as Named]);
}

async function run(values: Values): Promise<number> {
  wantedOf(values);
  const session = await openSession(values);
  const { store, tag, attempts, retries } = session;
  const options = jobOptions(values, verifyNames);
  const places = [String(values.a), String(values.b)];
  const [as, bs] = [await findStored(store, places[0]), await findStored(store, places[1])];
  const run = nameOf("run", "verify", tag, places, options);
  const jobs = pairsOf(as, bs).map(([a, b]): VerifyJob => {
    const [x, y] = [a, b].map(({ entry: { key, version } }) => ({ key, version }));
    return {
      v: 1,
      kind: "verify",
      id: nameOf("verify", run, x, y),
      run,
      tag,
      attempts,
      retries,
      file: a.file,
      a: x,
      b: y,
      options,
    };
  });
  const title = titleOf("verify", places, options);
  const made: Run = { version: 1, run, kind: "verify", title, tag, created: Date.now(), options, jobs };
  const { ended, lines } = await followed<VerifyLine>(session, values, ALLOWED, "verifying", made, {
    next: (done) => jobs.filter(({ id }) => !done.has(id)),
    parse: (value) => lineOf(value) as VerifyLine | undefined,
  });
  if (ended !== "done") return leave(ended, session, run, values);
  const found = sortedLines(lines.values());
  return told(values, { kind: "verifies", lines: found }, jobsExit(found, exitOfPairs(found)));
}

export const command: Command = {
  positionals: {
    a: { type: "string", describe: "Key of the store: the originals, a folder or one model", demandOption: true },
    b: { type: "string", describe: "The models to compare with them, of the same names", demandOption: true },
  },
  options: {
    ...sendOptions,
    ...comparedOptions,
    ...formatOptions,
    json: { type: "boolean", describe: "The same as --format json" },
    ...talkOptions,
  },
  examples: [["bnfold jobs verify models folded --store /mnt/zoo", "every model beside the one of its name"]],
  run,
};
