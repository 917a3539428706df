/** The published schema as a validator for each report. */
import { readFileSync } from "node:fs";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { expect } from "vitest";

const schema = JSON.parse(readFileSync(new URL("../../src/report/report.schema.json", import.meta.url), "utf8"));
const ajv = new Ajv2020({ strict: true, strictRequired: false, allowUnionTypes: true, allErrors: true });
ajv.addSchema(schema, "report");

const compiled = (path: string) => ajv.getSchema(path) as ValidateFunction;
const REPORTS = [
  ...(["verify", "certify", "inspect", "channels", "run", "momentum", "momentumModel"] as const),
  ...(["freeze", "recalibrate", "batch", "merge", "many", "diff"] as const),
] as const;

export const validators = {
  fold: compiled("report"),
  batchLine: compiled("report#/$defs/batchLine"),
  ...(Object.fromEntries(REPORTS.map((name) => [name, compiled(`report#/$defs/${name}Report`)])) as Record<
    (typeof REPORTS)[number],
    ValidateFunction
  >),
};

export const definitions: Record<string, { enum?: string[]; properties?: object }> = schema.$defs;

/** Fails with what the schema says is wrong. */
export function expectValid(kind: keyof typeof validators, value: unknown): void {
  const validate = validators[kind];
  validate(value);
  expect(validate.errors ?? []).toEqual([]);
}
