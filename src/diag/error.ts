/**
 * The one error class. Thrown only for broken input or a broken environment; a declined fold is a
 * `Refusal` value, never an exception.
 */

/** What went wrong, and the exit code a command line gives it. */
export const ERROR_KINDS = {
  usage: 2,
  format: 3,
  model: 3,
  operator: 3,
  file: 4,
  /** Nothing is wrong with the input: a server or a store did not answer; the same again may do. */
  temporary: 75,
} as const;

/**
 * What went wrong: the call or its options (usage), bytes that are no ONNX (format), a model that breaks ONNX's rules (model), an
 * operator that cannot be computed (operator), a file that cannot be read or written (file), a service that did not answer (temporary).
 */
export type ErrorKind = keyof typeof ERROR_KINDS;

/** Where in the input it went wrong, as far as that is known. */
export interface ErrorPlace {
  /** File or stream the input came from. */
  readonly file?: string;
  /** Byte offset in that file. */
  readonly byte?: number;
  /** Node, as `name (OpType)`. */
  readonly node?: string;
  /** Tensor or value name. */
  readonly tensor?: string;
}

/** Bad input, said once: what, where, expected, got, and what to do. */
export class BnfoldError extends Error {
  override readonly name = "BnfoldError";

  constructor(
    readonly kind: ErrorKind,
    message: string,
    readonly place: ErrorPlace = {},
    /** One sentence on what to do about it. */
    readonly hint?: string,
  ) {
    super(message);
  }

  /** The exit code the command line gives this kind of error. */
  get exitCode(): number {
    return ERROR_KINDS[this.kind];
  }

  /** The error with more of its place filled in; what is known already wins. */
  at(place: ErrorPlace): BnfoldError {
    return new BnfoldError(this.kind, this.message, { ...place, ...this.place }, this.hint);
  }
}

/** What was caught, where it is bad input; anything else is a fault of the program, and thrown on. */
export function inputError(error: unknown): BnfoldError {
  if (!(error instanceof BnfoldError)) throw error;
  return error;
}
