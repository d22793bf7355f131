import { fail, failed, type Outcome, succeed, tellAbout } from "../../storage/failures.js";
import { MAX_NAME_BYTES, type PoolName, parseComponentId } from "../../storage/names.js";
import type { ImageExpectation, Operation } from "../../storage/operations.js";
import { makePage } from "../../storage/page.js";
import type { ImageRecord } from "../../storage/records.js";
import { mibFromBytes } from "../../storage/units.js";
import { isPropertyText, MAX_PROPERTY_CHARACTERS } from "../../storage/volume-settings.js";
import { joinWithin } from "../joined.js";
import { quote } from "../json-text.js";
import { arrayOf, string, struct, uint64 } from "../params.js";
import { change, type Method, method } from "./method.js";
import { pageFields } from "./paging.js";
import { explain, inPool, resolveIn } from "./routing.js";
import { termsFields } from "./terms.js";
import { encodeOneVolume } from "./volumes.js";

const fields = { id: string, type: string, dest: string, source: string, pool: string };
const shape = { struct: "ImageRequest", request: struct(fields) } as const;
const changeShape = { ...shape, request: struct({ ...fields, ...termsFields }) } as const;

interface ImageRequest {
  readonly id: string;
  readonly type: string;
  readonly source: string;
  readonly sources: readonly string[];
  readonly digest: string;
  readonly size: bigint;
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

/** Checks a RequestImage. `type` and `source` become properties of the image's volume. */
function planRequest(request: ImageRequest): Outcome<Operation> {
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
  const several = sources.length > 0 && { sources };
  return succeed({ op: "RequestImage", id: checked.value, type, source, ...several, ...expected.value });
}

/** Plans an operation on an image that there may be. A longer text than a name is not carried on. */
function onKnown(id: string, operation: Operation): Outcome<Operation> {
  if (id.length <= MAX_NAME_BYTES) return succeed(operation);
  return tellAbout(failed.imageNotFound, { object: `image ${id.slice(0, MAX_NAME_BYTES)}…` });
}

function encodeImage(image: ImageRecord): string {
  const places =
    image.status === "complete" ? `,"volume":${quote(image.volume)},"snapshot":${quote(image.snapshot)}` : "";
  return `{"id":${quote(image.id)},"type":${quote(image.type)}${places},"size":${mibFromBytes(image.size)},"status":${quote(image.status)}}`;
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
  const planKnown =
    (op: "GetImage" | "DeleteImage") =>
    (request: { readonly id: string; readonly pool: string }, pools: readonly PoolName[]) =>
      inPool(pools, request, () => onKnown(request.id, { op, id: request.id }));

  return [
    method({
      struct: shape.struct,
      request: struct({ ...fields, ...pageFields }),
      operation: "ListImages",
      role: "read",
      plan: (request, pools) =>
        inPool(pools, request, () => succeed({ op: "ListImages", type: request.type, ...makePage(request) })),
      encode: encodeImages,
    }),
    method({
      ...shape,
      operation: "GetImage",
      role: "read",
      plan: planKnown("GetImage"),
      encode: encodeOne,
    }),
    change({
      struct: shape.struct,
      request: struct({ ...fields, ...termsFields, sources: arrayOf(string), digest: string, size: uint64 }),
      operation: "RequestImage",
      role: "operate",
      plan: (request, pools) => inPool(pools, request, () => planRequest(request)),
      encode: encodeOne,
    }),
    change({
      ...changeShape,
      operation: "DeleteImage",
      role: "admin",
      plan: planKnown("DeleteImage"),
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
