/** Types and signatures as HTML text, as they are written in TypeScript, each name that has a place on the pages a link to it. */

export const escaped = (text) =>
  String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

/** A list in parentheses or the like: over lines of its own where it would be long. */
export const listed = (open, items, close, separator = ",") => {
  const plain = items.join("").replace(/<[^>]*>/g, "");
  const line = `${open}${items.join(`${separator} `)}${close}`;
  if (items.length < 2 || plain.length <= 70) return line;
  return `${open}\n${items.map((item) => `  ${item.replaceAll("\n", "\n  ")}${separator}\n`).join("")}${close}`;
};

/** `link(reflection, text)` gives the text as a link, where there is a place for it. */
export function printer(link) {
  /** A type where another one encloses it. */
  const inside = (type, where) => (type.needsParenthesis(where) ? `(${print(type)})` : print(type));
  const generic = (types) => (types === undefined || types.length === 0 ? "" : `&lt;${types.map(print).join(", ")}&gt;`);
  const spelled = (value) =>
    typeof value === "bigint" ? `${value}n` : typeof value === "string" ? escaped(JSON.stringify(value)) : String(value);

  const KINDS = {
    array: ({ elementType }) => `${inside(elementType, "arrayElement")}[]`,
    conditional: ({ checkType, extendsType, trueType, falseType }) =>
      `${inside(checkType, "conditionalCheck")} extends ${inside(extendsType, "conditionalExtends")} ? ${print(trueType)} : ${print(falseType)}`,
    indexedAccess: ({ objectType, indexType }) => `${inside(objectType, "indexedObject")}[${print(indexType)}]`,
    inferred: ({ name, constraint }) =>
      `infer ${escaped(name)}${constraint === undefined ? "" : ` extends ${print(constraint)}`}`,
    intersection: ({ types }) => types.map((type) => inside(type, "intersectionElement")).join(" &amp; "),
    intrinsic: ({ name }) => escaped(name),
    literal: ({ value }) => spelled(value),
    mapped: (type) => {
      const sign = (modifier, word) => (modifier === undefined ? "" : `${modifier === "-" ? "-" : ""}${word}`);
      const as = type.nameType === undefined ? "" : ` as ${print(type.nameType)}`;
      return `{ ${sign(type.readonlyModifier, "readonly ")}[${escaped(type.parameter)} in ${print(type.parameterType)}${as}]${sign(type.optionalModifier, "?")}: ${print(type.templateType)} }`;
    },
    namedTupleMember: ({ name, isOptional, element }) => `${escaped(name)}${isOptional ? "?" : ""}: ${print(element)}`,
    optional: ({ elementType }) => `${inside(elementType, "optionalElement")}?`,
    predicate: ({ name, asserts, targetType }) =>
      `${asserts ? "asserts " : ""}${escaped(name)}${targetType === undefined ? "" : ` is ${print(targetType)}`}`,
    query: ({ queryType }) => `typeof ${print(queryType)}`,
    reference: (type) => `${link(type.reflection, escaped(type.name))}${generic(type.typeArguments)}`,
    reflection: ({ declaration }) => object(declaration),
    rest: ({ elementType }) => `...${inside(elementType, "restElement")}`,
    templateLiteral: ({ head, tail }) =>
      `\`${escaped(head)}${tail.map(([type, text]) => `\${${print(type)}}${escaped(text)}`).join("")}\``,
    tuple: ({ elements }) => listed("[", elements.map(print), "]"),
    typeOperator: ({ operator, target }) => `${operator} ${inside(target, "typeOperatorTarget")}`,
    union: ({ types }) => {
      const parts = types.map((type) => inside(type, "unionElement"));
      const line = parts.join(" | ");
      return line.replace(/<[^>]*>/g, "").length <= 90 ? line : `\n  | ${parts.join("\n  | ")}`;
    },
    unknown: ({ name }) => escaped(name),
  };
  const print = (type) => KINDS[type.type](type);

  const typeParameters = (list = []) => {
    const each = ({ name, type, default: usual }) =>
      `${escaped(name)}${type === undefined ? "" : ` extends ${print(type)}`}${usual === undefined ? "" : ` = ${print(usual)}`}`;
    return list.length === 0 ? "" : `&lt;${list.map(each).join(", ")}&gt;`;
  };
  const parameter = ({ name, flags, type, defaultValue }) => {
    // A destructured parameter has no name.
    const shown = /^__\w+$/.test(name) ? "options" : escaped(name);
    const mark = flags.isRest || (!flags.isOptional && defaultValue === undefined) ? "" : "?";
    return `${flags.isRest ? "..." : ""}${shown}${mark}: ${print(type)}`;
  };
  const given = ({ typeParameters: types, parameters = [] }) =>
    `${typeParameters(types)}${listed("(", parameters.map(parameter), ")")}`;
  /** What follows a function's name; an arrow in place of the colon for its type alone. */
  const call = (signature, colon = ": ") => `${given(signature)}${colon}${print(signature.type)}`;
  const key = (name) => (/^[\w$]+$/.test(name) ? name : escaped(JSON.stringify(name)));

  /** A member of an interface, a class or an object type, in one piece. */
  function member({ name, flags, type, signatures, getSignature, defaultValue }) {
    const head = `${flags.isStatic ? "static " : ""}${flags.isReadonly || getSignature !== undefined ? "readonly " : ""}${key(name)}`;
    if (signatures !== undefined) return signatures.map((one) => `${head}${call(one)}`).join(";\n");
    const shown = getSignature?.type ?? type;
    return `${head}${flags.isOptional ? "?" : ""}: ${shown === undefined ? escaped(defaultValue ?? "unknown") : print(shown)}`;
  }

  /** An object type written out, or the type of a function. */
  function object({ children = [], signatures = [], indexSignatures = [] }) {
    if (children.length === 0 && indexSignatures.length === 0 && signatures.length === 1) return call(signatures[0], " =&gt; ");
    const indexes = indexSignatures.map(({ parameters, type }) => `[${parameter(parameters[0])}]: ${print(type)}`);
    const all = [...signatures.map((one) => call(one)), ...indexes, ...children.map(member)];
    return all.length === 0
      ? "{}"
      : listed("{ ", all, " }", ";")
          .replace(/^\{ \n/, "{\n")
          .replace(/\n \}$/, "\n}");
  }

  return { print, call, given, member, typeParameters };
}
