import { expect, onTestFinished, test } from "vitest";
import { imageUrl } from "../../../../src/workers/actor/image-url.js";
import { openNameServer, type SrvAnswer } from "../../../support/name-server.js";

const HOST = "images.example";
const ADVICE = "; imageService as HOST:PORT needs no look-up";

/** Asks for the URL of the image `i`, with one name server. */
function urlFrom(server: string, imageService = HOST) {
  const settings = { imageService, imageSources: [], dnsServers: [server], timeouts: { dnsMs: 100 } };
  return imageUrl(settings, "i", "");
}

async function urlWith(answer: SrvAnswer) {
  const server = await openNameServer(answer);
  onTestFinished(server.close);
  return { outcome: await urlFrom(server.address), asked: server.asked };
}

test("the port comes from the SRV record of the lowest priority, and there of the largest weight", async () => {
  const { outcome, asked } = await urlWith({
    records: [
      { port: 1111, priority: 2, weight: 9 },
      { port: 2222, priority: 1, weight: 1 },
      { port: 3333, priority: 1, weight: 5 },
    ],
  });
  expect(outcome).toMatchObject({ value: { url: `http://${HOST}:3333/images/i/download` } });
  expect(asked).toEqual([HOST]);
});

const failures: readonly (readonly [what: string, answer: SrvAnswer, why: string])[] = [
  ["knows no such name", { code: 3 }, "the DNS server knows no such name"],
  ["has no SRV record of it", { records: [] }, "it has no SRV record"],
  ["refuses to answer", { code: 5 }, "the DNS server refuses to answer"],
  ["fails itself", { code: 2 }, "the DNS server failed"],
  ["says nothing", "silent", "no DNS server answered in time"],
];

test.each(failures)("a DNS server that %s is told, with what needs none", async (_what, answer, why) => {
  const { outcome } = await urlWith(answer);
  expect(outcome).toMatchObject({
    failure: {
      code: "image.unreachable",
      message: `the port of the image service ${HOST} can't be looked up (DNS SRV): ${why}${ADVICE}`,
    },
  });
});

test("a DNS server that is not there is told, with what needs none", async () => {
  const server = await openNameServer("silent");
  server.close();
  expect(await urlFrom(server.address)).toMatchObject({
    failure: {
      code: "image.unreachable",
      message: `the port of the image service ${HOST} can't be looked up (DNS SRV): no DNS server can be reached${ADVICE}`,
    },
  });
});

test.each(["images.example:80", "127.0.0.1:80", "[::1]:80"])("%s is not looked up", async (service) => {
  const server = await openNameServer("silent");
  onTestFinished(server.close);
  expect(await urlFrom(server.address, service)).toMatchObject({
    value: { url: `http://${service}/images/i/download` },
  });
  expect(server.asked).toEqual([]);
});
