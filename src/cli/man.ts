/** The man page, made from the table of commands. */
import { VERSION } from "../report/version.ts";
import type { Command } from "./command.ts";
import { commonOptions, exitCodes, places, written } from "./help.ts";
import { commandTable } from "./table.ts";

/** Text that roff takes as it is. */
const roff = (text: string): string =>
  text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^([.'])/, "\\&$1");

const optionLines = (options: Command["options"]): string[] =>
  Object.entries(options).flatMap(([name, option]) => [
    ".TP",
    `.B ${roff(written(name, option).trim())}`,
    roff(option.describe ?? ""),
  ]);

export async function manPage(): Promise<string> {
  const commands = await Promise.all(
    Object.entries(commandTable()).map(async ([name, entry]) => ({ name, entry, command: (await entry.load()).command })),
  );
  return [
    `.TH BNFOLD 1 "" "bnfold ${VERSION}" "User Commands"`,
    ".SH NAME",
    "bnfold \\- fold batch normalization into ONNX weights, and prove the result equivalent",
    ".SH SYNOPSIS",
    ...commands.flatMap(({ name, command }) => [
      `.B bnfold ${roff(name)}`,
      roff(`${places(command).join(" ")} [options]`),
      ".br",
    ]),
    ".SH commandTable()",
    ...commands.flatMap(({ name, entry, command }) => [
      `.SS bnfold ${roff(name)} ${roff(places(command).join(" "))}`,
      roff(`${entry.describe}.`),
      ...optionLines(command.options),
      ...command.examples.flatMap(([example, what]) => [".PP", ".nf", roff(example), ".fi", ".RS", roff(what), ".RE"]),
    ]),
    ".SH COMMON OPTIONS",
    ...optionLines(commonOptions),
    ".SH CONFIGURATION",
    roff(
      "Options can stand in bnfold.config.json of the working folder, under bnfold in its package.json, or in BNFOLD_<OPTION> variables. The command line counts first, then variables, then the file.",
    ),
    ".SH EXIT STATUS",
    ...exitCodes().flatMap(([code, meaning]) => [".TP", `.B ${code}`, roff(meaning)]),
    "",
  ].join("\n");
}
