import type { Outcome } from "../../storage/failures.js";
import type { PoolName } from "../../storage/names.js";
import type { Answer, Operation, OperationName } from "../../storage/operations.js";
import type { JsonValue } from "../json.js";
import { type FieldType, readParams } from "../params.js";

/** An operation with the pool whose actor is to run it. */
export interface Routed {
  readonly pool: PoolName;
  readonly operation: Operation;
}

/** A method of the service: how its request is read and its answer is written. */
export interface Method {
  readonly name: string;
  readonly aliases: readonly string[];
  /**
   * Reads and checks a request without looking at the pool. `allowObject`: params may be the object
   * itself, as in 2.0. Fails: request.malformed for a field of the wrong type, else as docs/api.md
   * says for the method.
   */
  plan(params: JsonValue | undefined, allowObject: boolean, pools: readonly PoolName[]): Outcome<Routed>;
  /** The JSON text of an answer. */
  encode(answer: unknown): string;
}

/** A row of the table. `R`: the request's fields. `K`: the operation that the method plans. */
interface Row<R, K extends OperationName> {
  readonly operation: K;
  readonly aliases?: readonly string[];
  /** The name of the request's struct, for messages. */
  readonly struct: string;
  readonly request: FieldType<R>;
  plan(request: R, pools: readonly PoolName[]): Outcome<Routed>;
  encode(answer: Answer<K>): string;
}

/** Creates a method from a row, whose parts the compiler has checked against each other. */
export function method<R, K extends OperationName>(row: Row<R, K>): Method {
  return {
    name: row.operation,
    aliases: row.aliases ?? [],
    plan: (params, allowObject, pools) => {
      const request = readParams(row.request, row.struct, params, allowObject);
      return request.ok ? row.plan(request.value, pools) : request;
    },
    // The caller passes the answer of the operation that `plan` has returned, so it has the type of K.
    encode: (answer) => row.encode(answer as Answer<K>),
  };
}
