import { fail, failed, type Outcome, succeed, tellAbout } from "../../storage/failures.js";
import type { ImageExpectation, RequestedOrigin } from "../../storage/image-request.js";
import { type ComponentId, MAX_NAME_BYTES, type PoolScope, parseComponentId } from "../../storage/names.js";
import type { Operation } from "../../storage/operations.js";
import { makePage } from "../../storage/page.js";
import type { ImageRecord } from "../../storage/records.js";
import { mibFromBytes } from "../../storage/units.js";
import { isPropertyText, MAX_PROPERTY_CHARACTERS } from "../../storage/volume-settings.js";
import { joinWithin } from "../joined.js";
import { quote } from "../json-text.js";
import { arrayOf, boolean, string, struct, uint64 } from "../params.js";
import { dryRunField } from "./dry-run.js";
import { change, destroying, type Method, method } from "./method.js";
import { pageFields } from "./paging.js";
import { explain, inPool, resolveField, resolveIn } from "./routing.js";
import { termsFields } from "./terms.js";
import { encodeOneVolume } from "./volumes.js";

const fields = { id: string, type: string, dest: string, source: string, pool: string };
const shape = { struct: "ImageRequest", request: struct(fields) } as const;
const needLimit = tellAbout(fail("request.missing_field", "need olderThanSeconds or unusedForSeconds"), {
  field: "olderThanSeconds",
  wanted: "1 second or more, of one of them or both",
});
/** What becomes of an image with clones that is to be deleted: "" is as ever. */
const WHEN_IN_USE: readonly string[] = ["", "refuse"];
const changeShape = { ...shape, request: struct({ ...fields, ...termsFields }) } as const;

interface ImageRequest {
  readonly id: string;
  readonly type: string;
  readonly source: string;
  readonly sources: readonly string[];
  readonly digest: string;
  readonly size: bigint;
  readonly origin: string;
}

const MOST_SOURCES = 16;

function invalid(field: string, wanted: string): Outcome<never> {
  return tellAbout(fail("request.invalid", `${field}: expected ${wanted}`), { field, wanted });
}

/** What the bytes must be. An empty digest and a size of 0 ask for nothing. */
function readExpectation({ digest, size }: ImageRequest): Outcome<ImageExpectation> {
  const [, hex] = /^(?:sha256:)?([0-9a-f]{64})$/i.exec(digest) ?? [];
  if (digest !== "" && hex === undefined) return invalid("digest", "sha256: and 64 hexadecimal digits");
  if (size > Number.MAX_SAFE_INTEGER) return invalid("size", `at most ${Number.MAX_SAFE_INTEGER} bytes`);
  return succeed({
    ...(hex !== undefined && { digest: hex.toLowerCase() }),
    ...(size > 0n && { size: Number(size) }),
  });
}

/** The snapshot that `id` is to build on, by the name that the origin of an image's record has too. */
function readOrigin(
  { pools, pool }: PoolScope,
  id: ComponentId,
  text: string,
): Outcome<{ readonly origin?: RequestedOrigin }> {
  if (text === "") return succeed({});
  const root = `${pool}/images/`;
  const named = resolveField({ pools, pool }, "origin", text.includes("/") ? text : `${root}${text}`);
  if (!named.ok) return named;
  const { dataset, snapshot } = named.value;
  const image = parseComponentId(dataset.startsWith(root) ? dataset.slice(root.length) : "");
  const wanted = `another image of pool ${pool}, as ID or ID@SNAPSHOT`;
  if (!image.ok || image.value === id) return invalid("origin", wanted);
  return succeed({ origin: { image: image.value, ...(snapshot !== undefined && { snapshot }) } });
}

/** Checks a RequestImage. `type` and `source` become properties of the image's volume. */
function planRequest(scope: PoolScope, request: ImageRequest): Outcome<Operation> {
  const { id, type, source, sources } = request;
  if (id === "") return failed.needImageId;
  const checked = parseComponentId(id);
  if (!checked.ok) return checked;
  for (const [field, value] of Object.entries({ type, source })) {
    if (isPropertyText(value)) continue;
    return fail(
      "request.invalid",
      `${field}: expected at most ${MAX_PROPERTY_CHARACTERS} printable characters`,
    );
  }
  const isBoth = source !== "" && sources.length > 0;
  if (
    isBoth ||
    sources.length > MOST_SOURCES ||
    !sources.every((each) => each !== "" && isPropertyText(each))
  )
    return invalid(
      "sources",
      `at most ${MOST_SOURCES} URLs of ${MAX_PROPERTY_CHARACTERS} printable characters, and no source beside them`,
    );
  const expected = readExpectation(request);
  if (!expected.ok) return expected;
  const origin = readOrigin(scope, checked.value, request.origin);
  if (!origin.ok) return origin;
  const asked = { id: checked.value, type, source, ...(sources.length > 0 && { sources }) };
  return succeed({ op: "RequestImage", ...asked, ...expected.value, ...origin.value });
}

/** Plans an operation on an image that there may be. A longer text than a name is not carried on. */
function onKnown(id: string, operation: Operation): Outcome<Operation> {
  if (id.length <= MAX_NAME_BYTES) return succeed(operation);
  return tellAbout(failed.imageNotFound, { object: `image ${id.slice(0, MAX_NAME_BYTES)}…` });
}

function encodeImage(image: ImageRecord): string {
  const volume = image.status === "pending" ? "" : `,"volume":${quote(image.volume)}`;
  const snapshot = image.status === "complete" ? `,"snapshot":${quote(image.snapshot)}` : "";
  const from = image.status === "complete" ? image.origin : undefined;
  const origin = from === undefined ? "" : `,"origin":${quote(from)}`;
  return `{"id":${quote(image.id)},"type":${quote(image.type)}${volume}${snapshot},"size":${mibFromBytes(image.size)},"status":${quote(image.status)}${origin}}`;
}

/** Keeps the text of each record, because records never change and are often sent again. */
function createImageEncoder(): (images: readonly ImageRecord[], mostBytes: number) => string | undefined {
  const encoded = new WeakMap<ImageRecord, string>();

  function encode(image: ImageRecord): string {
    const known = encoded.get(image);
    if (known !== undefined) return known;
    const text = encodeImage(image);
    encoded.set(image, text);
    return text;
  }

  // An empty list is null, as Go writes a nil slice: old clients expect that.
  return (images, mostBytes) => {
    if (images.length === 0) return '{"images":null}';
    const joined = joinWithin(images, encode, mostBytes);
    return joined === undefined ? undefined : `{"images":[${joined}]}`;
  };
}

export function imageMethods(): readonly Method[] {
  const encodeImages = createImageEncoder();
  const encodeOne = (image: ImageRecord, mostBytes: number) => encodeImages([image], mostBytes);
  return [
    method({
      struct: shape.struct,
      request: struct({ ...fields, ...pageFields, trash: boolean }),
      operation: "ListImages",
      role: "read",
      plan: (request, pools) =>
        inPool(pools, request, () => {
          const { type, trash } = request;
          return succeed({ op: "ListImages", type, ...(trash && { trash }), ...makePage(request) });
        }),
      encode: encodeImages,
    }),
    method({
      ...shape,
      operation: "GetImage",
      role: "read",
      plan: (request, pools) =>
        inPool(pools, request, () => onKnown(request.id, { op: "GetImage", id: request.id })),
      encode: encodeOne,
    }),
    change({
      struct: shape.struct,
      request: struct({
        ...{ ...fields, ...termsFields },
        ...{ sources: arrayOf(string), digest: string, size: uint64, origin: string },
      }),
      operation: "RequestImage",
      role: "operate",
      plan: (request, pools) => inPool(pools, request, (scope) => planRequest(scope, request)),
      encode: encodeOne,
    }),
    destroying({
      ...changeShape,
      request: struct({ ...fields, whenInUse: string, ...dryRunField, ...termsFields }),
      operation: "DeleteImage",
      role: "admin",
      plan: (request, pools) =>
        inPool(pools, request, () => {
          const { id, whenInUse } = request;
          if (whenInUse === "trash") return onKnown(id, { op: "DeleteImage", id, whenInUse });
          if (WHEN_IN_USE.includes(whenInUse)) return onKnown(id, { op: "DeleteImage", id });
          const refused = fail("request.invalid", "whenInUse: expected refuse or trash");
          return tellAbout(refused, { field: "whenInUse", found: whenInUse, wanted: "refuse or trash" });
        }),
      encode: encodeOne,
    }),
    destroying({
      struct: "PruneRequest",
      request: struct({
        ...{ olderThanSeconds: uint64, unusedForSeconds: uint64, type: string, pool: string },
        ...dryRunField,
        ...termsFields,
      }),
      operation: "PruneImages",
      role: "admin",
      plan: (request, pools) =>
        inPool(pools, request, () => {
          const { type } = request;
          const [olderThanSeconds, unusedForSeconds] = [
            Number(request.olderThanSeconds),
            Number(request.unusedForSeconds),
          ];
          if (olderThanSeconds === 0 && unusedForSeconds === 0) return needLimit;
          return succeed({ op: "PruneImages", olderThanSeconds, unusedForSeconds, type });
        }),
      encode: (images, mostBytes) =>
        images.length === 0 ? '{"images":[]}' : encodeImages(images, mostBytes),
    }),
    change({
      struct: shape.struct,
      request: struct({ id: string, volume: string, pool: string, ...termsFields }),
      operation: "RestoreImage",
      role: "admin",
      plan: (request, pools) =>
        inPool(pools, request, () => {
          if (request.id === "") return failed.needImageId;
          const id = parseComponentId(request.id);
          if (!id.ok) return id;
          const { volume } = request;
          return succeed({ op: "RestoreImage", id: id.value, ...(volume !== "" && { volume }) });
        }),
      encode: encodeOne,
    }),
    change({
      ...changeShape,
      operation: "CloneImage",
      role: "operate",
      plan: (request, pools) =>
        inPool(pools, request, (scope) => {
          if (request.dest === "") return failed.needDest;
          const target = explain(resolveIn(pools, { pool: scope.pool, id: request.dest }));
          if (!target.ok) return target;
          if (target.value.snapshot !== undefined) {
            return fail("name.invalid", 'not a valid dataset: dest names a snapshot ("@")');
          }
          const { id } = request;
          return onKnown(id, { op: "CloneImage", id, target: target.value.dataset });
        }),
      encode: encodeOneVolume,
    }),
  ];
}
