import type { Outcome } from "../../protocol/storage/failures.js";
import type { NodeAnswer, NodeOperation, NodeOperationName } from "../../protocol/storage/node-operations.js";
import type { Caller } from "../access/caller.js";
import type { Client } from "../pools/actor-handle.js";
import type { Soon } from "./reply-context.js";

/** Who asks main for something. The role is checked already; what `grant` narrows is the handler's to respect. */
export interface Asker {
  readonly caller: Caller;
  readonly client: Client;
}

/** What main answers itself: a handler for each operation. One that rejects has a bug. */
export type NodeHandlers = {
  readonly [K in NodeOperationName]: (ask: NodeOperation<K>, asker: Asker) => Soon<Outcome<NodeAnswer<K>>>;
};

/** Has the handler of its name run an operation. */
export function runOnNode<K extends NodeOperationName>(
  handlers: NodeHandlers,
  operation: NodeOperation<K>,
  asker: Asker,
): Soon<Outcome<unknown>> {
  const { op } = operation;
  return handlers[op](operation, asker);
}
