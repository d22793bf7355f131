import { createHash, randomUUID } from "node:crypto";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../support/until.js";
import { IMAGE_MIB, makeStream, noise } from "./fixtures.js";
import {
  type Behaviour,
  broken,
  bytes,
  contentDigest,
  createGate,
  type ImageService,
  openImageService,
  redirect,
  silent,
  status,
} from "./image-service.js";
import { conformance } from "./suite.js";
import { asIncrement, reassembled, withData } from "./zfs-stream.js";

const BLOCK_BYTES = 16 * 1024;

conformance("Fetching images", "fetches", (subject) => {
  const { server, target, pool, otherPool, own } = subject;
  const serviceUrl = `http://127.0.0.1:${target.imageServicePort}`;
  const sourceUrl = `http://127.0.0.1:${target.sourcePort}`;
  let service: ImageService;
  let stream: Buffer;

  beforeAll(async () => {
    service = await openImageService(target.imageServicePort);
    const plain = await makeStream(subject);
    expect(reassembled(plain).equals(plain)).toBe(true);
    stream = withData(plain, noise(8 * BLOCK_BYTES));
  });

  afterAll(() => service.close());

  const complete = (id: string, inPool = pool) => ({
    id,
    type: "kvm",
    volume: `${inPool}/images/${id}`,
    snapshot: `${inPool}/images/${id}@s`,
    size: IMAGE_MIB,
    status: "complete",
  });

  /** No record, no volume under the final name or any other, no snapshot. */
  async function expectNothingOf(...ids: string[]): Promise<void> {
    const errors = await Promise.all(ids.map((id) => server.refusal("GetImage", { id })));
    expect(errors).toEqual(ids.map(() => "not found"));
    const [{ volumes }, { snapshots }, { images }] = await Promise.all([
      server.must("ListVolumes", {}),
      server.must("ListSnapshots", {}),
      server.must("ListImages", {}),
    ]);
    const left = [...volumes, ...snapshots, ...(images ?? [])].map(({ id }) => id);
    expect(left.filter((name) => ids.some((id) => name.includes(id)))).toEqual([]);
    const datasets = await Promise.all(ids.map((id) => server.refusal("GetVolume", { id: `images/${id}` })));
    expect(datasets).toEqual(ids.map(() => "not found"));
  }

  test("a stream is taken in plain or gzipped, whatever the headers say", async () => {
    const gzipped = gzipSync(stream);
    const kinds: [string, Behaviour][] = [
      ["plain", bytes(stream, { "Content-Type": "application/octet-stream" })],
      ["gzip", bytes(gzipped, { "Content-Type": "application/x-gzip" })],
      ["gzip with a space", bytes(gzipped, { "Content-Type": "text/html" })],
      ["gzip-coded", bytes(gzipped, { "Content-Encoding": "gzip" })],
    ];
    const ids = kinds.map(([kind]) => `${own}-${kind}`);
    for (const [kind, behaviour] of kinds) service.serve(`${own}-${kind}`, behaviour);
    const answers = await Promise.all(ids.map((id) => server.must("RequestImage", { id, type: "kvm" })));
    expect(answers).toEqual(ids.map((id) => ({ images: [complete(id)] })));
    expect(ids.map((id) => service.requests(id))).toEqual([1, 1, 1, 1]);

    const [image, volume, snapshots, { images }, again] = await Promise.all([
      server.must("GetImage", { id: `${own}-plain` }),
      server.must("GetVolume", { id: `images/${own}-plain` }),
      server.must("ListSnapshots", { id: `images/${own}-plain` }),
      server.must("ListImages", {}),
      server.must("RequestImage", { id: `${own}-plain`, type: "other" }),
    ]);
    expect(image).toEqual({ images: [complete(`${own}-plain`)] });
    expect(volume.volumes[0]).toMatchObject({ id: `${pool}/images/${own}-plain`, size: IMAGE_MIB });
    expect(snapshots.snapshots.map(({ id }) => id)).toEqual([`${pool}/images/${own}-plain@s`]);
    expect(images).toEqual(expect.arrayContaining(ids.map((id) => complete(id))));
    expect(again).toEqual(image);
    expect(service.requests(`${own}-plain`)).toBe(1);
  });

  test("an image may come by a redirect, with its digest, from an allowed source, into another pool", async () => {
    await expect(server.refusal("RequestImage", { id: `${own}-down`, source: sourceUrl })).resolves.toContain(
      sourceUrl,
    );
    const source = await openImageService(target.sourcePort);
    try {
      source.serve("elsewhere", bytes(stream));
      service.serve(`${own}-redirected`, redirect(`${sourceUrl}/images/elsewhere/download`));
      const gzipped = gzipSync(stream);
      service.serve(`${own}-digest`, bytes(gzipped, contentDigest(gzipped)));
      service.serve(`${own}-pooled`, bytes(stream));
      const answers = await Promise.all([
        server.must("RequestImage", { id: `${own}-redirected`, type: "kvm" }),
        server.must("RequestImage", { id: `${own}-digest`, type: "kvm" }),
        server.must("RequestImage", { id: `${own}-pooled`, type: "kvm", pool: otherPool }),
        server.must("RequestImage", {
          id: `${own}-sourced`,
          type: "kvm",
          source: `${sourceUrl}/images/elsewhere/download`,
        }),
      ]);
      expect(answers).toEqual([
        { images: [complete(`${own}-redirected`)] },
        { images: [complete(`${own}-digest`)] },
        { images: [complete(`${own}-pooled`, otherPool)] },
        { images: [complete(`${own}-sourced`)] },
      ]);
      expect([source.requests("elsewhere"), service.requests(`${own}-sourced`)]).toEqual([2, 0]);
      expect(await server.refusal("GetImage", { id: `${own}-pooled` })).toBe("not found");
    } finally {
      await source.close();
    }
  });

  test("RequestImage needs an id", async () => {
    expect(await server.refusal("RequestImage", {})).toBe("need id");
    expect(await server.refusal("RequestImage", { id: "" })).toBe("need id");
  });

  test.each([
    [404, "image.source_not_found", "ENOENT", false],
    [403, "image.source_error", "EPROTO", false],
    [204, "image.source_error", "EPROTO", false],
    [206, "image.source_error", "EPROTO", false],
    [500, "image.http_status", "EPROTO", true],
    [503, "image.http_status", "EPROTO", true],
  ])(
    "a reply with status %i is an error that names the URL, and is %s",
    async (code, reason, errno, retryable) => {
      const id = `${own}-status-${code}`;
      service.serve(id, status(code));
      const error = await server.failure("RequestImage", { id });
      expect(error.message).toBe(
        `unexpected http response code: expected 200, received ${code}, url: ${serviceUrl}/images/${id}/download`,
      );
      expect(error.data).toMatchObject({ reason, errno, retryable });
      expect(await server.refusal("GetImage", { id })).toBe("not found");
    },
  );

  test.each([
    ["https://example.invalid/x", "image.source_refused"],
    ["http://127.0.0.1:1/x", "image.source_refused"],
    ["file:///etc/passwd", "image.source_refused"],
    ["ftp://127.0.0.1/x", "image.source_refused"],
    ["no url", "image.source_refused"],
  ])("the source %s is not allowed", async (source, reason) => {
    const error = await server.failure("RequestImage", { id: `${own}-refused`, source });
    expect(error.data).toMatchObject({ reason, errno: "EACCES", retryable: false });
    expect(await server.refusal("GetImage", { id: `${own}-refused` })).toBe("not found");
  });

  test("a body that is cut short is an error and leaves nothing, and the next request succeeds", async () => {
    const gzipped = gzipSync(stream);
    const kinds: [string, Behaviour][] = [
      ["broken", broken(stream, stream.length >>> 1)],
      ["clean-cut", bytes(stream.subarray(0, stream.length >>> 1))],
      ["gzip-cut", bytes(gzipped.subarray(0, gzipped.length >>> 1))],
      ["no-end", bytes(stream.subarray(0, stream.length - 312))],
    ];
    const ids = kinds.map(([kind]) => `${own}-${kind}`);
    for (const [kind, behaviour] of kinds) service.serve(`${own}-${kind}`, behaviour);
    const errors = await Promise.all(ids.map((id) => server.failure("RequestImage", { id, type: "kvm" })));
    expect(errors.map(({ data }) => data.reason)).toEqual(ids.map(() => "image.cut_short"));
    expect(errors.map(({ data }) => data.retryable)).toEqual(ids.map(() => true));
    await expectNothingOf(...ids);

    const [first = ""] = ids;
    service.serve(first, bytes(stream));
    expect(await server.must("RequestImage", { id: first, type: "kvm" })).toEqual({
      images: [complete(first)],
    });
  });

  test("a body that is no stream of a volume is an error and leaves nothing", async () => {
    const flipped = (whole: Buffer) => {
      const damaged = Buffer.from(whole);
      const middle = whole.length >>> 1;
      damaged.writeUInt8(damaged.readUInt8(middle) ^ 1, middle);
      return damaged;
    };
    const kinds: [string, Behaviour][] = [
      ["html", bytes(Buffer.from("<html>Please log in</html>\n"), { "Content-Type": "text/html" })],
      ["empty", bytes(Buffer.alloc(0))],
      ["one-byte", bytes(Buffer.from([0x1f]))],
      ["noise", bytes(noise(100_000))],
      ["damaged", bytes(flipped(stream))],
      ["damaged-gzip", bytes(flipped(gzipSync(stream)))],
      ["increment", bytes(asIncrement(stream))],
      ["gzipped-twice", bytes(gzipSync(gzipSync(stream)))],
    ];
    const failed: string[] = [];
    for (let at = 0; at < kinds.length; at += 4) {
      const wave = kinds.slice(at, at + 4);
      for (const [kind, behaviour] of wave) service.serve(`${own}-${kind}`, behaviour);
      const reasons = await Promise.all(
        wave.map(async ([kind]) => {
          const { data, message } = await server.failure("RequestImage", { id: `${own}-${kind}` });
          return `${kind}: ${data.reason}: ${message}`;
        }),
      );
      failed.push(...reasons);
    }
    for (const reason of failed) expect(reason).toMatch(/: image\.(?:bad_stream|cut_short): /);
    await expectNothingOf(...kinds.map(([kind]) => `${own}-${kind}`));
  });

  test("another digest than stated, endless redirects and a silent service are errors that leave nothing", async () => {
    service.serve(`${own}-digest-wrong`, bytes(stream, contentDigest(Buffer.from("another"))));
    service.serve(`${own}-loop`, redirect(`${serviceUrl}/images/${own}-loop/download`));
    service.serve(`${own}-silent`, silent(stream));
    const [digest, loop, silence] = await Promise.all([
      server.failure("RequestImage", { id: `${own}-digest-wrong` }),
      server.failure("RequestImage", { id: `${own}-loop` }),
      server.failure("RequestImage", { id: `${own}-silent` }),
    ]);
    expect(digest.data).toMatchObject({
      reason: "image.digest_mismatch",
      errno: "EBADMSG",
      retryable: true,
    });
    expect(loop.data.reason).toMatch(/^image\./);
    expect(silence.data).toMatchObject({
      reason: "image.unreachable",
      errno: "EHOSTUNREACH",
      retryable: true,
    });
    await expectNothingOf(`${own}-digest-wrong`, `${own}-loop`, `${own}-silent`);
  });

  test("of several sources the first that has the image gives it, and all must be allowed", async () => {
    const source = await openImageService(target.sourcePort);
    try {
      const [missing, cut, whole] = ["missing", "cut", "whole"].map((name) => `${own}-sources-${name}`);
      const urlOf = (id = "") => `${sourceUrl}/images/${id}/download`;
      source.serve(cut ?? "", broken(stream, stream.length >>> 1));
      source.serve(whole ?? "", bytes(stream));
      const id = `${own}-sources`;
      const all = [urlOf(missing), urlOf(cut), urlOf(whole)];
      const failure = await server.failure("RequestImage", { id, sources: all.slice(0, 2) });
      expect(failure.data).toMatchObject({ reason: "image.cut_short", retryable: true });
      await expectNothingOf(id);
      const refused = [...all, "http://example.invalid/x"];
      const refusal = await server.failure("RequestImage", { id, sources: refused });
      expect(refusal.data).toMatchObject({ reason: "image.source_refused" });
      const asked = source.requests(missing ?? "");
      expect(await server.must("RequestImage", { id, type: "kvm", sources: all })).toEqual({
        images: [complete(id)],
      });
      expect(source.requests(missing ?? "")).toBe(asked + 1);
      const both = await server.failure("RequestImage", { id, source: urlOf(whole), sources: all });
      expect(both.data).toMatchObject({ reason: "request.invalid", errno: "EINVAL" });
    } finally {
      await source.close();
    }
  });

  const sha256 = (body: Buffer) => createHash("sha256").update(body).digest("hex");

  test("digest and size of the bytes as transferred are checked, and with others nothing is left", async () => {
    const gzipped = gzipSync(stream);
    const digest = sha256(gzipped);
    const size = gzipped.length;
    const id = `${own}-expected`;
    service.serve(id, bytes(gzipped));
    const wrong = [
      { digest: sha256(stream) },
      { digest: `sha256:${sha256(stream)}`, size },
      { size: size + 1 },
      { digest, size: stream.length },
    ];
    for (const expected of wrong) {
      const { data } = await server.failure("RequestImage", { id, type: "kvm", ...expected });
      expect(data).toMatchObject({ reason: "image.digest_mismatch", errno: "EBADMSG", retryable: true });
    }
    await expectNothingOf(id);
    const right = { digest: `sha256:${digest.toUpperCase()}`, size };
    expect(await server.must("RequestImage", { id, type: "kvm", ...right })).toEqual({
      images: [complete(id)],
    });
    // One that is there is answered as it is.
    const again = await server.must("RequestImage", { id, type: "kvm", digest: sha256(stream) });
    expect(again).toEqual({ images: [complete(id)] });
  });

  test("who asks for an image with another digest while it is fetched is refused", async () => {
    const id = `${own}-two-digests`;
    const gate = createGate();
    service.serve(id, gate.hold(bytes(stream)));
    const ask = { id, type: "kvm", digest: sha256(stream) };
    const first = server.must("RequestImage", ask);
    await until("the fetch begins", () => service.requests(id) > 0);
    const other = await server.failure("RequestImage", { ...ask, digest: sha256(Buffer.from("other")) });
    expect(other.message).toContain(`image ${id} is being fetched with another digest`);
    expect(other.data).toMatchObject({ reason: "dataset.exists", retryable: false });
    const joined = [server.must("RequestImage", ask), server.must("RequestImage", { id, type: "kvm" })];
    gate.open();
    for (const answer of await Promise.all([first, ...joined])) {
      expect(answer).toEqual({ images: [complete(id)] });
    }
    expect(service.requests(id)).toBe(1);
  });

  test.each([
    { digest: "sha256:12" },
    { digest: `sha1:${"1".repeat(64)}` },
    { size: Number.MAX_SAFE_INTEGER + 1 },
  ])("what is no digest or size is refused: %j", async (expected) => {
    const { data } = await server.failure("RequestImage", { id: `${own}-none`, ...expected });
    expect(data).toMatchObject({ reason: "request.invalid", errno: "EINVAL" });
  });

  test("concurrent requests for one image share one fetch", async () => {
    const id = `${own}-shared`;
    const gate = createGate();
    service.serve(id, gate.hold(bytes(stream)));
    const asked = Array.from({ length: 16 }, () => server.must("RequestImage", { id, type: "kvm" }));
    await until("the fetch begins", () => service.requests(id) > 0);

    const [pending, listed, deletion, clone] = await Promise.all([
      server.must("GetImage", { id }),
      server.must("ListImages", {}),
      server.failure("DeleteImage", { id }),
      server.failure("CloneImage", { id, dest: `${own}/early` }),
    ]);
    expect(pending.images).toMatchObject([{ id, status: "pending" }]);
    expect(listed.images).toContainEqual(expect.objectContaining({ id, status: "pending" }));
    for (const { data } of [deletion, clone]) {
      expect(data).toMatchObject({ reason: "dataset.busy", errno: "EBUSY", retryable: true });
    }
    const { volumes } = await server.must("ListVolumes", {});
    expect(volumes.filter((volume) => volume.id.includes(id))).toEqual([]);

    gate.open();
    for (const answer of await Promise.all(asked)) expect(answer).toEqual({ images: [complete(id)] });
    expect(service.requests(id)).toBe(1);
  });

  test("images that nobody waits for any more are not fetched, but those that have begun are", async () => {
    const admitted = target.numFetchers + target.maxPending;
    const gate = createGate();
    const ids = Array.from({ length: admitted }, (_each, index) => `${own}-left-${index}`);
    for (const id of ids) service.serve(id, gate.hold(bytes(stream)));
    const gone = new AbortController();
    const asked = ids.map((id) =>
      fetch(`${target.url}/rpc`, {
        method: "POST",
        headers: { ...target.headers, "content-type": "application/json" },
        body: JSON.stringify({ jsonrpc: "2.0", method: "RequestImage", params: { id, type: "kvm" }, id: 1 }),
        signal: gone.signal,
      }).then(
        () => "answered",
        () => "gone",
      ),
    );
    const begun = () => ids.filter((id) => service.requests(id) > 0);
    await until("as many run as may", () => begun().length === target.numFetchers);
    const pending = async () => {
      const found = await Promise.all(ids.map((id) => server.call("GetImage", { id })));
      return found.filter(({ error }) => error === null).length;
    };
    await until("all are in the queue", async () => (await pending()) === admitted);
    gone.abort();
    expect(await Promise.all(asked)).toEqual(ids.map(() => "gone"));
    await until("those that wait have left", async () => (await pending()) === target.numFetchers);
    // Their places are free: as many others may wait.
    const joined = begun().map((id) => server.must("RequestImage", { id, type: "kvm" }));
    // They have joined before this is answered. An image is complete before its fetch gives up its place.
    await server.must("ListVolumes", {});
    gate.open();
    for (const { images } of await Promise.all(joined)) expect(images?.[0]?.status).toBe("complete");
    expect(begun()).toHaveLength(target.numFetchers);
  });

  test("requests beyond those that run and wait are refused at once; the others succeed", async () => {
    const admitted = target.numFetchers + target.maxPending;
    const gate = createGate();
    const attempt = `${own}-queued-${randomUUID().slice(0, 4)}`;
    const ids = Array.from({ length: admitted + 3 }, (_each, index) => `${attempt}-${index}`);
    for (const id of ids) service.serve(id, gate.hold(bytes(stream)));
    let settled = 0;
    const asked = ids.map(async (id) => {
      const answered = await server.call("RequestImage", { id, type: "kvm" });
      settled++;
      return { ...answered, id };
    });
    // The gate is shut: whatever is answered now was refused without waiting for a fetch.
    await until("three requests are refused", () => settled >= 3, 4_000);
    const running = ids.filter((id) => service.requests(id) > 0).length;
    expect(running).toBeLessThanOrEqual(target.numFetchers);
    const { message, data } = await server.failure("RequestImage", { id: `${attempt}-late` });
    expect(message).toBe(
      `resource temporarily unavailable (maxPending: wanted at most ${target.maxPending} waiting fetches)`,
    );
    expect(data).toMatchObject({ reason: "service.overloaded", errno: "EAGAIN", retryable: true });

    gate.open();
    const answers = await Promise.all(asked);
    const refused = answers.filter(({ error }) => error !== null);
    expect(refused.map(({ error }) => error)).toEqual(
      Array.from({ length: 3 }, () => "resource temporarily unavailable"),
    );
    for (const { id, result, error } of answers) {
      if (error === null) expect(result).toEqual({ images: [complete(id)] });
    }
    expect(refused.map(({ id }) => service.requests(id))).toEqual([0, 0, 0]);
    const [{ id = "" } = {}] = refused;
    expect(await server.must("RequestImage", { id, type: "kvm" })).toEqual({ images: [complete(id)] });
  });
});
