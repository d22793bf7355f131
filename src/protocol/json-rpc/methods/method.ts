import type { Role } from "../../access/roles.js";
import { type Outcome, succeed } from "../../storage/failures.js";
import type { PoolName } from "../../storage/names.js";
import type { NodeAnswer, NodeOperation, NodeOperationName } from "../../storage/node-operations.js";
import type {
  Answer,
  DestroyingName,
  DryRunAnswer,
  Operation,
  OperationName,
} from "../../storage/operations.js";
import type { JsonValue } from "../json.js";
import { type FieldType, readParams, type Shape } from "../params.js";
import { isLongerThan, type JsonText } from "../reply-text.js";
import { type dryRunField, dryRunOf, isDryRun, withDoomed } from "./dry-run.js";
import { type CallTerms, readTerms, type termsFields } from "./terms.js";

/** An operation with the pool whose actor is to run it. */
export interface Routed {
  readonly pool: PoolName;
  readonly operation: Operation;
  /** Undefined: its client waits for its answer, and no other request is taken for the same. */
  readonly terms?: CallTerms;
}

/** The same operation for each of several pools, whose answers are written together. */
export interface RoutedToPools {
  readonly pools: readonly PoolName[];
  readonly operation: Operation;
}

/** An operation that main answers itself. */
export interface RoutedToNode {
  readonly onNode: true;
  readonly operation: NodeOperation;
}

export type Planned = Routed | RoutedToPools | RoutedToNode;

/** A method of the service: how its request is read and its answer is written. */
export interface Method {
  readonly name: string;
  readonly aliases: readonly string[];
  /** That its caller needs, where the daemon knows its callers. */
  readonly role: Role;
  /**
   * Reads and checks a request without looking at the pool. `allowObject`: params may be the object
   * itself, as in 2.0. Fails: request.malformed for a field of the wrong type, else as docs/api.md
   * says for the method.
   */
  plan(params: JsonValue | undefined, allowObject: boolean, pools: readonly PoolName[]): Outcome<Planned>;
  /**
   * The JSON text of an answer; for an operation on several pools, of their answers in the pools'
   * order. Undefined if it is longer than `mostBytes`, which is found out early. The text of a list
   * is kept for as long as the list: callers that share an answer share its text. An answer that
   * the actor has written already is bytes, and is its own text.
   */
  encode(answer: unknown, mostBytes: number): JsonText | undefined;
}

/** A row of the table. `R`: the request's fields. `A`: what `encode` writes. `P`: what is planned. */
interface Row<R, K extends OperationName | NodeOperationName, A, P> {
  readonly operation: K;
  readonly aliases?: readonly string[];
  readonly role: Role;
  /** The name of the request's struct, for messages. */
  readonly struct: string;
  readonly request: FieldType<R>;
  plan(request: R, pools: readonly PoolName[]): Outcome<P>;
  /** May give undefined, as soon as the text is longer than `mostBytes`. */
  encode(answer: A, mostBytes: number): string | undefined;
}

/** Creates a method on one pool from a row, whose parts the compiler has checked against each other. */
export function method<R, K extends OperationName>(row: Row<R, K, Answer<K>, Routed>): Method {
  return fromRow(row);
}

type FieldsOf<S> = S extends Shape<infer T> ? T : never;
/** What every request for a change has. */
type Terms = FieldsOf<typeof termsFields>;
type DryRunMember = FieldsOf<typeof dryRunField>;

/** Creates a method that changes one pool, whose request has `termsFields` too. */
export function change<R, K extends OperationName>(row: Row<R & Terms, K, Answer<K>, Routed>): Method {
  return fromRow(onTerms(row));
}

/** Creates a method that destroys something in one pool, whose request has `dryRunField` and `termsFields` too. */
export function destroying<R, K extends DestroyingName>(
  row: Row<R & Terms & DryRunMember, K, Answer<K>, Routed>,
): Method {
  return fromRow(
    onTerms<R & DryRunMember, K, Answer<K> | DryRunAnswer<K>>({
      ...row,
      plan: (request, pools) => {
        const planned = row.plan(request, pools);
        if (!planned.ok || !request.dryRun) return planned;
        return succeed({ ...planned.value, operation: dryRunOf(planned.value.operation) });
      },
      encode: (answer, mostBytes) =>
        isDryRun(answer)
          ? withDoomed(row.encode(answer.answer, mostBytes), answer.destroys, mostBytes)
          : row.encode(answer, mostBytes),
    }),
  );
}

function onTerms<R, K extends OperationName, A>(
  row: Row<R & Terms, K, A, Routed>,
): Row<R & Terms, K, A, Routed> {
  return {
    ...row,
    plan: (request, pools): Outcome<Routed> => {
      const terms = readTerms(request);
      if (!terms.ok) return terms;
      const planned = row.plan(request, pools);
      if (!planned.ok || terms.value === undefined) return planned;
      return succeed({ ...planned.value, terms: terms.value });
    },
  };
}

/** Creates a method on several pools. `encode` gets the answers of all. */
export function methodOnPools<R, K extends OperationName>(
  row: Row<R, K, readonly Answer<K>[], RoutedToPools>,
): Method {
  return fromRow(row);
}

/** Creates a method that main answers itself. `encode` gets what the handler of its operation answers. */
export function methodOnNode<R, K extends NodeOperationName>(
  row: Row<R, K, NodeAnswer<K>, NodeOperation>,
): Method {
  return fromRow({
    ...row,
    plan: (request, pools): Outcome<RoutedToNode> => {
      const operation = row.plan(request, pools);
      return operation.ok ? succeed({ onNode: true, operation: operation.value }) : operation;
    },
  });
}

function fromRow<R, K extends OperationName | NodeOperationName, A, P extends Planned>(
  row: Row<R, K, A, P>,
): Method {
  return {
    name: row.operation,
    aliases: row.aliases ?? [],
    role: row.role,
    plan: (params, allowObject, pools) => {
      const request = readParams(row.request, row.struct, params, allowObject);
      return request.ok ? row.plan(request.value, pools) : request;
    },
    // The caller passes what the planned operation has answered, so it has the type of the row.
    encode: createEncoder((answer, mostBytes) => row.encode(answer as A, mostBytes)),
  };
}

function createEncoder(encode: (answer: unknown, mostBytes: number) => string | undefined): Method["encode"] {
  const texts = new WeakMap<object, string>();
  /** Lists that are longer than so many bytes. */
  const tooLong = new WeakMap<object, number>();

  function encodeWithin(answer: unknown, mostBytes: number): string | undefined {
    const text = encode(answer, mostBytes);
    return text === undefined || isLongerThan(text, mostBytes) ? undefined : text;
  }

  return (answer, mostBytes) => {
    if (answer instanceof Uint8Array) return answer.length > mostBytes ? undefined : answer;
    if (!Array.isArray(answer)) return encodeWithin(answer, mostBytes);
    const known = texts.get(answer);
    if (known !== undefined) return isLongerThan(known, mostBytes) ? undefined : known;
    if ((tooLong.get(answer) ?? -1) >= mostBytes) return undefined;
    const text = encodeWithin(answer, mostBytes);
    if (text === undefined) tooLong.set(answer, mostBytes);
    else texts.set(answer, text);
    return text;
  };
}
