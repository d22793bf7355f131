import { type Failure, type FailureAbout, tellAbout } from "../storage/failures.js";
import type { AnyOperation } from "../storage/node-operations.js";
import { isPull } from "../storage/operation-kinds.js";
import { quote } from "./json-text.js";

/** What an operation is about, as far as its failure doesn't say so itself. */
function objectOf(operation: AnyOperation, { code }: Failure): string | undefined {
  if (operation.op === "CreateSnapshot" || operation.op === "SnapshotGuest") {
    return code === "dataset.not_found" ? operation.dataset : operation.snapshot;
  }
  if (operation.op === "CloneImage") {
    return code.startsWith("image.") ? `image ${operation.id}` : operation.target;
  }
  if (operation.op === "GetJob" || operation.op === "WaitJob" || operation.op === "CancelJob") {
    return `job ${operation.id}`;
  }
  if ((operation.op === "CloneSnapshot" || operation.op === "CopyVolume") && code !== "dataset.not_found")
    return operation.target;
  if (operation.op === "RenameVolume" && code === "dataset.exists") return operation.target;
  if (operation.op === "ReceiveVolume") return operation.target;
  if (isPull(operation)) return code === "dataset.not_found" ? operation.source : operation.target;
  if ("root" in operation) return operation.root;
  if ("name" in operation) return operation.name;
  if ("guest" in operation) return `guest ${operation.guest.id}`;
  return "id" in operation ? `image ${operation.id}` : undefined;
}

/** Failures that are about what the request names, and not about the daemon. */
const ABOUT_ITS_OBJECT = /^(?:dataset|snapshot|image|job|pool|command|name)\./;

/** The failure of an operation, with what it is about. Clients compare its message: that stays. */
export function aboutOperation(failure: Failure, operation: AnyOperation): Failure {
  if (operation.op === "DryRun") return aboutOperation(failure, operation.of);
  if (failure.about?.object !== undefined || !ABOUT_ITS_OBJECT.test(failure.code)) return failure;
  const object = objectOf(operation, failure);
  return object === undefined ? failure : tellAbout({ ok: false, failure }, { object }).failure;
}

/** The message of a failure for 2.0: what happened, to what, and what was wanted there. */
export function messageOf20({ code, message, detail, about = {} }: Failure): string {
  const { object, field, found, wanted } = about;
  let text = message;
  if (object !== undefined && !text.includes(object.replace(/^(?:image|guest|job) /, "")))
    text += `: ${object}`;
  const compared = [
    ...(found === undefined ? [] : [`found ${found}`]),
    ...(wanted === undefined ? [] : [`wanted ${wanted}`]),
  ].join(", ");
  if (field !== undefined && compared === "" && text.includes(field)) return text;
  if (field !== undefined) text += compared === "" ? ` (${field})` : ` (${field}: ${compared})`;
  else if (compared !== "") text += ` (${compared})`;
  const explains = code === "name.invalid" && detail !== undefined && !text.includes(detail);
  return explains ? `${text}: ${detail}` : text;
}

/** The members of 2.0's `data` that say what a failure is about, each with a comma in front. */
export function encodeAbout(about: FailureAbout = {}): string {
  const { object, field, found, wanted } = about;
  return Object.entries({ object, field, found, wanted })
    .map(([key, value]) => (value === undefined ? "" : `,"${key}":${quote(value)}`))
    .join("");
}
