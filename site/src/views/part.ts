/** A part of a result that is made when it is first opened. */
import { type Children, h, replace } from "../dom.ts";
import { CalledOff, WorkFailed } from "../engine.ts";
import { failureView } from "./progress.ts";

interface Made {
  readonly element: HTMLElement;
  /** Called when it is on the screen. */
  start?(): void;
}

export interface Part<T extends Made> {
  readonly element: HTMLElement;
  /** Opens it; undefined when it could not be made, which it says. */
  open(): Promise<T | undefined>;
}

export function part<T extends Made>(title: Children, make: () => Promise<T>, command: string): Part<T> {
  const body = h("div", {});
  const element = h("details", { class: "part" }, h("summary", {}, h("h3", {}, title)), body);
  let making: Promise<T | undefined> | undefined;
  const made = async (): Promise<T | undefined> => {
    replace(body, h("p", { class: "why" }, "Reading\u2026"));
    try {
      const found = await make();
      replace(body, found.element);
      found.start?.();
      return found;
    } catch (error) {
      // What was called off, or had no room, may be asked for again.
      making = undefined;
      if (error instanceof WorkFailed) replace(body, failureView(error.failure, command));
      else if (error instanceof CalledOff) element.open = false;
      else throw error;
      return undefined;
    }
  };
  const open = () => {
    element.open = true;
    making ??= made();
    return making;
  };
  element.addEventListener("toggle", () => element.open && void open());
  return { element, open };
}
