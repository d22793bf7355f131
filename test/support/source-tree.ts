import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Node, parseSync, Visitor } from "oxc-parser";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

export interface SourceFile {
  /** From the project's root: `src/main/cli.ts`. */
  readonly path: string;
  readonly text: string;
}

/** All files of src. */
export function sourceFiles(root = ROOT): SourceFile[] {
  return readdirSync(join(root, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((path) => ({ path: path.slice(root.length), text: readFileSync(path, "utf8") }));
}

export interface FunctionLines {
  readonly name: string;
  /** Lines of the function, without those of functions in it. */
  readonly lines: number;
}

/** What the rules of CONTRIBUTING.md measure in a file. */
export interface Shape {
  readonly lines: number;
  readonly functions: readonly FunctionLines[];
  /** Type assertions except `as const`. */
  readonly casts: number;
  readonly nonNullAssertions: number;
  readonly anys: number;
  /** Names at the top level whose value can change: `let`, and containers that are not read-only. */
  readonly mutableState: readonly string[];
}

interface OpenFunction {
  readonly name: string;
  readonly lines: number;
  innerLines: number;
}

const MUTABLE = new Set(["Map", "Set", "WeakMap", "WeakSet", "Array", "Uint8Array", "Int32Array"]);

export function shapeOf({ path, text }: SourceFile): Shape {
  const { program, errors } = parseSync(path, text);
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]?.message}`);
  const lineAt = (offset: number) => text.slice(0, offset).split("\n").length;
  const linesOf = ({ start, end }: { start: number; end: number }) => lineAt(end) - lineAt(start) + 1;
  const functions: FunctionLines[] = [];
  const open: OpenFunction[] = [];
  const counts = { casts: 0, nonNullAssertions: 0, anys: 0 };
  const enter = (node: Node) => {
    const name =
      "id" in node && node.id && "name" in node.id ? String(node.id.name) : `line ${lineAt(node.start)}`;
    open.push({ name, lines: linesOf(node), innerLines: 0 });
  };
  const leave = () => {
    const left = open.pop();
    if (!left) return;
    const around = open.at(-1);
    if (around) around.innerLines += left.lines;
    functions.push({ name: left.name, lines: left.lines - left.innerLines });
  };
  new Visitor({
    FunctionDeclaration: enter,
    "FunctionDeclaration:exit": leave,
    FunctionExpression: enter,
    "FunctionExpression:exit": leave,
    ArrowFunctionExpression: enter,
    "ArrowFunctionExpression:exit": leave,
    TSAsExpression: ({ typeAnnotation }) => {
      const isConst = text.slice(typeAnnotation.start, typeAnnotation.end) === "const";
      if (!isConst) counts.casts++;
    },
    TSTypeAssertion: () => {
      counts.casts++;
    },
    TSNonNullExpression: () => {
      counts.nonNullAssertions++;
    },
    TSAnyKeyword: () => {
      counts.anys++;
    },
  }).visit(program);
  return {
    lines: text.split("\n").length - 1,
    functions,
    ...counts,
    mutableState: mutableStateOf(program.body, text),
  };
}

function mutableStateOf(statements: readonly Node[], text: string): string[] {
  return statements.flatMap((statement) => {
    const declaration =
      statement.type === "ExportNamedDeclaration" && statement.declaration
        ? statement.declaration
        : statement;
    if (declaration.type !== "VariableDeclaration") return [];
    return declaration.declarations
      .filter(({ id, init }) => {
        if (declaration.kind !== "const") return true;
        const type =
          "typeAnnotation" in id && id.typeAnnotation
            ? text.slice(id.typeAnnotation.start, id.typeAnnotation.end)
            : "";
        // Other types, such as `Headers`, are checked where they are declared.
        if (type !== "" && !/^:\s*(?:Map|Set|WeakMap|WeakSet|Array|\w+\[\])/.test(type)) return false;
        const made =
          init?.type === "NewExpression" && init.callee.type === "Identifier" ? init.callee.name : "";
        const isEmptyBytes = init !== null && /^new Uint8Array\(0\)$/.test(text.slice(init.start, init.end));
        return (MUTABLE.has(made) && !isEmptyBytes) || init?.type === "ArrayExpression";
      })
      .map(({ id }) => text.slice(id.start, id.end));
  });
}
