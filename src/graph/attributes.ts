/** Attribute values of a node with their fallbacks, as numbers. */
import type { NodeRecord } from "../onnx/records.ts";

const utf8 = new TextDecoder();

export const intAttr = (node: NodeRecord, name: string, fallback: number): number => {
  const i = node.attributes.get(name)?.i;
  return i === undefined ? fallback : Number(i);
};

export const intsAttr = (node: NodeRecord, name: string): number[] | undefined => {
  const attribute = node.attributes.get(name);
  return attribute === undefined ? undefined : attribute.ints.map(Number);
};

export const floatAttr = (node: NodeRecord, name: string, fallback: number): number => node.attributes.get(name)?.f ?? fallback;

export const stringAttr = (node: NodeRecord, name: string, fallback: string): string => {
  const s = node.attributes.get(name)?.s;
  return s === undefined ? fallback : utf8.decode(s);
};
