/** The published schema as three validators. */
import { readFileSync } from "node:fs";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { expect } from "vitest";

const schema = JSON.parse(readFileSync(new URL("../../src/report/report.schema.json", import.meta.url), "utf8"));
const ajv = new Ajv2020({ strict: true, strictRequired: false, allowUnionTypes: true, allErrors: true });
ajv.addSchema(schema, "report");

const compiled = (path: string) => ajv.getSchema(path) as ValidateFunction;
export const validators = {
  fold: compiled("report"),
  verify: compiled("report#/$defs/verifyReport"),
  inspect: compiled("report#/$defs/inspectReport"),
};

export const definitions: Record<string, { enum?: string[] }> = schema.$defs;

/** Fails with what the schema says is wrong. */
export function expectValid(kind: keyof typeof validators, value: unknown): void {
  const validate = validators[kind];
  validate(value);
  expect(validate.errors ?? []).toEqual([]);
}
