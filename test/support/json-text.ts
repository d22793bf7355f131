import fc from "fast-check";

/** JSON before it is written. A scalar is its token, so that the test knows every character. */
export type Tree =
  | { readonly kind: "scalar"; readonly token: string }
  | { readonly kind: "array"; readonly items: readonly Tree[] }
  | { readonly kind: "object"; readonly members: readonly (readonly [key: string, value: Tree])[] };

const anyString = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 12 }),
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.constantFrom("", "\\", '"', "{}[],:", "a\u2028b\u2029c", "<&>", "\u0000\u001f", "__proto__", " \t\n "),
);

/** A string token. Each character is written as by JSON.stringify, or as a \u escape. */
export const stringToken = fc.tuple(anyString, fc.infiniteStream(fc.boolean())).map(([value, escapes]) => {
  let token = "";
  for (let at = 0; at < value.length; at++) {
    const escaped = escapes.next().value === true;
    const hex = value.charCodeAt(at).toString(16).padStart(4, "0");
    token += escaped ? `\\u${hex}` : JSON.stringify(value.charAt(at)).slice(1, -1);
  }
  return `"${token}"`;
});

export const numberToken = fc.oneof(
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
  fc.constantFrom("-0", "0", "1.0", "1e3", "1E+400", "-1.50e-07", "18446744073709551615"),
);

export const scalarToken = fc.oneof(fc.constantFrom("null", "true", "false"), numberToken, stringToken);

export const jsonTree: fc.Arbitrary<Tree> = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { depthSize: "medium", withCrossShrink: true },
    scalarToken.map((token): Tree => ({ kind: "scalar", token })),
    fc.array(tie("tree"), { maxLength: 5 }).map((items): Tree => ({ kind: "array", items })),
    fc
      .array(fc.tuple(stringToken, tie("tree")), { maxLength: 5 })
      .map((members): Tree => ({ kind: "object", members })),
  ),
})).tree;

const space = fc.string({ unit: fc.constantFrom(" ", "\t", "\n", "\r"), maxLength: 3 });

/** Functions that return white space, to be put wherever JSON allows it. */
export const spaces = fc.infiniteStream(space).map((stream) => () => stream.next().value as string);

export const noSpace = () => "";

/** A tree as text, with the text of each part. Tests compare what a reader finds with these. */
export interface Written {
  readonly text: string;
  readonly keys: readonly string[];
  readonly parts: readonly Written[];
}

export function write(tree: Tree, gap: () => string): Written {
  if (tree.kind === "scalar") return { text: tree.token, keys: [], parts: [] };
  const [open, close] = tree.kind === "array" ? ["[", "]"] : ["{", "}"];
  const keys = tree.kind === "array" ? [] : tree.members.map(([key]) => key);
  const values = tree.kind === "array" ? tree.items : tree.members.map(([, value]) => value);
  const parts = values.map((value) => write(value, gap));
  const inner = parts.map(({ text }, index) => {
    const key = keys[index];
    const label = key === undefined ? "" : `${key}${gap()}:${gap()}`;
    return `${gap()}${label}${text}${gap()}`;
  });
  return { text: `${open}${gap()}${inner.join(",")}${close}`, keys, parts };
}
