/** GitHub's workflow commands: a line for each finding, which GitHub shows as an annotation, and the answer behind them. */
import { commandProperty, commandText } from "../escape.ts";
import { type Finding, ruleOf, textOf } from "../findings.ts";
import { printable } from "../words.ts";

const COMMANDS = { error: "error", warning: "warning", note: "notice" } as const;

export function github(findings: readonly Finding[], answer: string): string {
  const lines = findings.map((finding) => {
    const { rule, level, file } = finding;
    const title = `bnfold ${rule}: ${ruleOf(rule).title}`;
    return `::${COMMANDS[level]} file=${commandProperty(file)},title=${commandProperty(title)}::${commandText(textOf(finding, "\n"))}`;
  });
  // A line that begins with two colons would be a command.
  return [...lines, printable(answer).replace(/^(?=::)/, " ")].join("\n");
}
