/** bnfold verify: do two files compute the same function? */
import { toJson, tool } from "../report/report.ts";
import { runtimeLines } from "../report/runtime.ts";
import { trainingLines } from "../report/text.ts";
import { bisectionLines, verdictLines } from "../report/verdict-text.ts";
import { milliseconds, printable } from "../report/words.ts";
import { bisect } from "../verify/index.ts";
import { type Command, flag, type Values } from "./command.ts";
import { hashed, openInput } from "./files.ts";
import { EXIT } from "./fold-one.ts";
import { givenInputs, runOptions } from "./inputs.ts";
import { runtimeOption } from "./ort.ts";
import { Progress } from "./progress.ts";
import { secondOpinion } from "./second.ts";
import { note, print, stdoutStyle, stdoutWidth } from "./terminal.ts";
import { judge } from "./witness.ts";

async function run(values: Values): Promise<number> {
  const second = await secondOpinion(values);
  const [a, b] = [openInput(String(values.a)), openInput(String(values.b))];
  const progress = new Progress();
  for (const opened of [a, b]) opened.verifyChecksums(progress);
  const { notes, ...given } = await givenInputs(values, a.model);
  for (const line of notes) note(line);
  const options = { ...given, assumeConstant: flag(values, "assume-constant"), observe: second?.observe };
  const { verdict, proofMs, runMs } = await judge(a.model, b.model, options, progress);
  const runtime = await second?.of({ model: a.model }, { model: b.model });
  const bisection = flag(values, "bisect")
    ? bisect(a.model, b.model, verdict, { ...given, onProgress: onProgressOf(progress) })
    : undefined;
  progress.end();
  const verifyMs = proofMs + runMs;
  if (flag(values, "json")) {
    print(
      toJson({
        version: 1,
        tool: tool(),
        a: await hashed(a.facts),
        b: await hashed(b.facts),
        verdict,
        ...(bisection === undefined ? {} : { bisection }),
        ...(runtime === undefined ? {} : { runtime }),
        verifyMs,
      }),
    );
  } else {
    const names = [a, b].map(({ facts }) => printable(facts.file));
    print(
      [
        ...[a, b].flatMap(({ facts }) => trainingLines(facts)).map((line) => (line === "" ? line : stdoutStyle("yellow", line))),
        names.join("  ~  "),
        "",
        ...verdictLines(verdict, stdoutStyle, stdoutWidth()),
        ...(bisection === undefined ? [] : ["", ...bisectionLines(bisection)]),
        ...(runtime === undefined ? [] : ["", ...runtimeLines(runtime)]),
        "",
        `time: ${milliseconds(verifyMs)}`,
      ].join("\n"),
    );
  }
  if (verdict.outcome !== "equivalent") return EXIT.notEquivalent;
  return flag(values, "strict") && [a, b].some(({ facts }) => facts.training !== undefined) ? EXIT.strict : EXIT.done;
}

/** The stage named, without counting. */
const onProgressOf = (progress: Progress) => {
  progress.begin("bisection");
  return (_stage: string, done: number, total: number) => progress.step(done, total);
};

export const command: Command = {
  positionals: {
    a: { type: "string", describe: "The original", demandOption: true },
    b: { type: "string", describe: "The file to compare with it", demandOption: true },
  },
  options: {
    ...runOptions,
    "assume-constant": { type: "boolean", describe: "Take initializers that are also graph inputs as constants" },
    bisect: { type: "boolean", describe: "When they differ: whose numbers make them different" },
    runtime: runtimeOption,
    strict: { type: "boolean", describe: "Exit code 5 when they are equivalent, but in training mode" },
    json: { type: "boolean", describe: "Print JSON" },
  },
  examples: [
    ["bnfold verify model.onnx folded.onnx", "prove, and run both in float64"],
    ["bnfold verify a.onnx b.onnx --shape x=1,3,224,224 --samples 2", "choose the size of an open input"],
    ["bnfold verify a.onnx b.onnx --input x=photo.npy", "on data of your own"],
    ["bnfold verify a.onnx b.onnx --bisect", "name the operators that make them different"],
    ["bnfold verify a.onnx b.onnx --runtime onnxruntime", "and see what ONNX Runtime makes of both"],
  ],
  run,
};
