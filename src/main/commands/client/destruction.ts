import { sizeText } from "../../diagnosis/text-layout.js";
import type { DaemonAddress } from "./daemon-address.js";
import type { ShownRecord } from "./record-tables.js";
import type { Verb } from "./verb.js";
import { callVerb } from "./verb-call.js";

type Params = Readonly<Record<string, unknown>>;

const line = ({ id, bytes }: ShownRecord) =>
  Number(bytes) > 0 ? `${id}  ${sizeText(Number(bytes))}` : String(id);

/** What a command is about to destroy: a sentence, and the names. */
export interface Destruction {
  readonly sentence: string;
  readonly names: readonly string[];
}

function sentenceOf({ destroys }: Verb, { id, destroyMoreRecent, force }: Params): string | undefined {
  switch (destroys) {
    case "dataset":
      return `This deletes ${id}, with all below it`;
    case "image":
      return `This deletes the image ${id}`;
    case "old images":
      return "This deletes the images that nothing is cloned from and that were not used for so long";
    case "disks":
      return `This deletes the disks of the guest ${id}`;
    case "newer snapshots": {
      const lost = destroyMoreRecent
        ? "What was written since then is lost, and those of its snapshots that are newer"
        : "What was written since then is lost";
      return `This gives a volume the content of ${id} again. ${lost}`;
    }
    case "what its source has not":
      return force ? `This destroys what ${id} has and its source has not, also what was written` : undefined;
    default:
      return undefined;
  }
}

/**
 * What a command destroys, as a dry run of it tells, with what each gives back. Undefined: nothing. Rejects with a
 * CallFailure, as the command itself would.
 */
export async function destructionOf(
  address: DaemonAddress,
  verb: Verb,
  params: Params,
): Promise<Destruction | undefined> {
  const sentence = sentenceOf(verb, params);
  if (sentence === undefined) return undefined;
  const { records } = await callVerb(address, verb, { ...params, dryRun: true });
  return { sentence, names: records.map(line) };
}
