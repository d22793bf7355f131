/**
 * A small assembler: instructions in the words of the WebAssembly text format become a module. It knows
 * what fletcher4-simd.ts needs. Source of the numbers: the WebAssembly specification, "Instructions" and
 * "Binary Format".
 */

/** What follows an instruction: the name of a local, a number, or the offset of an access to memory. */
type Operand = "none" | "local" | "number" | "lane" | "offset" | "block";

const PLAIN: Readonly<Record<string, readonly [operand: Operand, code: number]>> = {
  block: ["block", 0x02],
  loop: ["block", 0x03],
  end: ["none", 0x0b],
  br_if: ["number", 0x0d],
  "local.get": ["local", 0x20],
  "local.set": ["local", 0x21],
  "local.tee": ["local", 0x22],
  "i64.load": ["offset", 0x29],
  "i64.load32_u": ["offset", 0x35],
  "i64.store": ["offset", 0x37],
  "i32.const": ["number", 0x41],
  "i64.const": ["number", 0x42],
  "i32.lt_u": ["none", 0x49],
  "i32.ge_u": ["none", 0x4f],
  "i32.add": ["none", 0x6a],
  "i32.sub": ["none", 0x6b],
  "i32.and": ["none", 0x71],
  "i32.shr_u": ["none", 0x76],
  "i64.add": ["none", 0x7c],
  "i64.mul": ["none", 0x7e],
  "i64.div_u": ["none", 0x80],
  "i64.extend_i32_u": ["none", 0xad],
};

/** These begin with a byte of their own. */
const VECTOR_PREFIX = 0xfd;
const VECTOR: Readonly<Record<string, readonly [operand: Operand, code: number]>> = {
  "v128.load": ["offset", 0x00],
  "i64x2.extract_lane": ["lane", 0x1d],
  "i64x2.extend_low_i32x4_u": ["none", 0xc9],
  "i64x2.extend_high_i32x4_u": ["none", 0xca],
  "i64x2.add": ["none", 0xce],
};

export const VALUE_TYPES = { i32: 0x7f, i64: 0x7e, v128: 0x7b } as const;
export type ValueType = keyof typeof VALUE_TYPES;

interface WasmFunction {
  readonly name: string;
  readonly params: Readonly<Record<string, ValueType>>;
  /** Zero at first. */
  readonly locals: Readonly<Record<string, ValueType>>;
  /** Instructions with their operands, between them any white space. It gives nothing back. */
  readonly body: string;
}

/** An integer in LEB128, see "Values". */
function leb128(value: number, isSigned: boolean): number[] {
  const low = value & 0x7f;
  const rest = isSigned ? value >> 7 : value >>> 7;
  const isLast = isSigned ? rest === (low & 0x40 ? -1 : 0) : rest === 0;
  return isLast ? [low] : [low | 0x80, ...leb128(rest, isSigned)];
}

const unsigned = (value: number) => leb128(value, false);
const list = (items: readonly (readonly number[])[]) => [...unsigned(items.length), ...items.flat()];
const sized = (content: readonly number[]) => [...unsigned(content.length), ...content];
const text = (name: string) => sized([...Buffer.from(name, "utf8")]);
const section = (id: number, content: readonly number[]) => [id, ...sized(content)];

function operandOf(operand: Operand, word: string, locals: readonly string[]): number[] {
  switch (operand) {
    case "local": {
      const index = locals.indexOf(word);
      if (index < 0) throw new Error(`no local ${word}`);
      return unsigned(index);
    }
    case "number":
      return leb128(Number(word), true);
    case "lane":
      return [Number(word)];
    case "offset":
      // In front of it the alignment, a hint: 2^0.
      return [0, ...unsigned(Number(word))];
    case "block":
      // The type of a block that gives nothing.
      return [0x40];
    case "none":
      return [];
  }
}

function assemble(body: string, locals: readonly string[]): number[] {
  const words = body.trim().split(/\s+/);
  const code: number[] = [];
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    const vector = VECTOR[word];
    const [operand, number] = vector ?? PLAIN[word] ?? [];
    if (operand === undefined || number === undefined) throw new Error(`no instruction ${word}`);
    code.push(...(vector ? [VECTOR_PREFIX, ...unsigned(number)] : [number]));
    const hasWord = operand !== "none" && operand !== "block";
    code.push(...operandOf(operand, (hasWord && words.shift()) || "", locals));
  }
  return code;
}

/** A module with one function and its memory, exported as `memory`, of so many pages of 64 KiB. */
export function assembleModule({ name, params, locals, body }: WasmFunction, pages: number): Uint8Array {
  const types = (of: Readonly<Record<string, ValueType>>) =>
    Object.values(of).map((type) => VALUE_TYPES[type]);
  const names = [...Object.keys(params), ...Object.keys(locals)];
  const code = [...assemble(body, names), ...assemble("end", [])];
  return Uint8Array.from([
    ...Buffer.from("\0asm", "latin1"),
    ...[1, 0, 0, 0],
    ...section(1, list([[0x60, ...sized(types(params)), ...unsigned(0)]])),
    ...section(3, list([unsigned(0)])),
    ...section(5, list([[0x00, ...unsigned(pages)]])),
    ...section(
      7,
      list([
        [...text("memory"), 0x02, ...unsigned(0)],
        [...text(name), 0x00, ...unsigned(0)],
      ]),
    ),
    ...section(10, list([sized([...list(types(locals).map((type) => [1, type])), ...code])])),
  ]);
}
