/** One model folded or equalised, and what came of it told: reports written, and printed in the form asked for. */
import { renderText } from "../report/text.ts";
import { flag, type Values } from "./command.ts";
import { type FoldOptions, foldOne } from "./fold-one.ts";
import { say, wantedOf, wantsHashes, writeReports } from "./formats.ts";
import { Progress } from "./progress.ts";
import type { Target } from "./target.ts";
import { barsHere, note, stdoutStyle, stdoutWidth } from "./terminal.ts";

/** @returns The exit code. */
export async function foldTold(
  values: Values,
  file: string,
  target: Target,
  more: Pick<FoldOptions, "equalizeOnly"> = {},
): Promise<number> {
  const wanted = wantedOf(values, [file, target.path]);
  const { report, code, notes } = await foldOne(values, file, target, {
    progress: new Progress(),
    hash: wantsHashes(wanted),
    ...more,
  });
  for (const line of notes) note(line);
  const document = { kind: "fold", report } as const;
  await writeReports(document, wanted, code);
  const verbose = flag(values, "verbose");
  if (!flag(values, "quiet") || wanted.format !== "text")
    say(document, wanted, code, () =>
      renderText(report, { color: stdoutStyle, width: stdoutWidth(), verbose, bars: barsHere() }),
    );
  return code;
}
