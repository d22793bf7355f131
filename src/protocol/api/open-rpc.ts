import { FAILURES, type FailureCode } from "../storage/failures.js";
import { commonFailures, type Example, type MethodDefinition } from "./definition.js";
import { DEFINITIONS } from "./definitions.js";
import type { JsonSchema } from "./json-schema.js";
import { RECORDS } from "./record-schemas.js";

/** The version of the specification: https://spec.open-rpc.org. */
const OPENRPC_VERSION = "1.3.2";
/** Where a daemon with the default configuration answers. */
const DEFAULT_URL = "http://127.0.0.1:19999/rpc";

/** What the document takes from the row that runs a method. */
interface RunMethod {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly role: string;
}

interface NamedSchema {
  readonly name: string;
  readonly schema: JsonSchema;
}

/** A method in the document. Members that begin with `x-` are ours. */
interface OpenRpcMethod {
  readonly name: string;
  readonly summary: string;
  readonly description?: string;
  readonly paramStructure: "by-name";
  readonly params: readonly (NamedSchema & { readonly required: boolean; readonly description: string })[];
  readonly result: NamedSchema;
  readonly errors: readonly { readonly $ref: string }[];
  readonly examples: readonly object[];
  readonly "x-role": string;
  readonly "x-effect": MethodDefinition["effect"];
  readonly "x-since": string;
  readonly "x-aliases"?: readonly string[];
  /** When the failures of its own are answered. */
  readonly "x-failures": Readonly<Partial<Record<FailureCode, string>>>;
}

export interface OpenRpcDocument {
  readonly openrpc: string;
  readonly info: object;
  readonly servers: readonly object[];
  readonly methods: readonly OpenRpcMethod[];
  readonly components: {
    readonly schemas: Readonly<Record<string, JsonSchema>>;
    readonly errors: Readonly<Record<string, object>>;
  };
}

const ABOUT = [
  "Manages guest disks and ZFS pools of a hypervisor node. Sizes are whole MiB, where `x-unit` says nothing else.",
  "Every name may have `ImageStore.` in front. `params` is an object, or an array of one.",
  "`x-role`: what the caller's token needs. `x-effect`: `read` changes nothing; a repeat of a `repeatable` change",
  "answers as the first did; one of a change that can happen `once` is refused.",
].join(" ");

function exampleOf({ name, params, result }: Example): object {
  return {
    name,
    params: Object.entries(params).map(([key, value]) => ({ name: key, value })),
    result: { name: "result", value: result },
  };
}

/** A row without a definition gives undefined: a test wants one for each. */
function methodOf({ name, aliases, role }: RunMethod): OpenRpcMethod | undefined {
  const definition = DEFINITIONS[name];
  if (!definition) return undefined;
  const { summary, description, params, result, failures, since, effect, examples } = definition;
  const common = commonFailures(definition).filter((code) => !(code in failures));
  return {
    name,
    summary,
    ...(description !== undefined && { description }),
    paramStructure: "by-name",
    params: Object.entries(params).map(([param, { schema, isRequired }]) => ({
      name: param,
      description: schema.description ?? "",
      required: isRequired,
      schema,
    })),
    result: { name: "result", schema: result },
    errors: [...Object.keys(failures), ...common].map((code) => ({ $ref: `#/components/errors/${code}` })),
    examples: examples.map(exampleOf),
    "x-role": role,
    "x-effect": effect,
    "x-since": since,
    ...(aliases.length > 0 && { "x-aliases": aliases }),
    "x-failures": failures,
  };
}

/** The OpenRPC document of these methods: what `rpc.discover` answers. `version`: of this release. */
export function openRpcDocument(methods: Iterable<RunMethod>, version: string): OpenRpcDocument {
  const errors = Object.entries(FAILURES).map(([reason, { rpc, errno, retryable }]) => [
    reason,
    { code: rpc, message: reason, data: { reason, errno, retryable } },
  ]);
  return {
    openrpc: OPENRPC_VERSION,
    info: {
      title: "imagestore",
      version,
      description: ABOUT,
      license: { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" },
    },
    servers: [{ name: "a daemon of this machine", url: DEFAULT_URL }],
    methods: Array.from(methods, methodOf).filter((method) => method !== undefined),
    components: { schemas: RECORDS, errors: Object.fromEntries(errors) },
  };
}
