/** A drawing as plain data: the report writes it as text, the page makes elements of it. */
export interface Shape {
  readonly tag: string;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly children: readonly (Shape | string)[];
}

export const shape = (tag: string, attributes: Shape["attributes"], ...children: Shape["children"]): Shape => ({
  tag,
  attributes,
  children,
});
