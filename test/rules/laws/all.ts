/** Every operator the laws are checked on. */
import { elementwise } from "./elementwise.ts";
import { linear } from "./linear.ts";
import { moving } from "./moving.ts";
import type { Subject } from "./subject.ts";

export const subjects: readonly Subject[] = [...linear, ...elementwise, ...moving];
