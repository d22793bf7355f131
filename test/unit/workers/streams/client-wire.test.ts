import { createServer as createHttpServer } from "node:http";
import { connect, createServer, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { ClientWire } from "../../../../src/workers/streams/client-wire.js";
import { until } from "../../../support/until.js";

/** A server that gets its connections by wires. `handle` answers. */
async function serve(handle: (wire: ClientWire, end: (text: string) => void) => void) {
  const http = createHttpServer((incoming, outgoing) => {
    const wire = wires.get(incoming.socket);
    outgoing.shouldKeepAlive = false;
    if (wire) handle(wire, (text) => outgoing.end(text));
  });
  const wires = new Map<object, ClientWire>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const wire = new ClientWire(socket);
    wires.set(wire, wire);
    http.emit("connection", wire);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  const request = (text: string) => {
    const client = connect(port, "127.0.0.1", () => client.write(text));
    let answer = "";
    client.on("data", (chunk) => {
      answer += chunk.toString("latin1");
    });
    client.on("error", () => {});
    return { client, answer: () => answer };
  };
  return { request, wires };
}

const REQUEST = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

test("a server answers by a wire as by the socket, and the connection is closed behind the reply", async () => {
  const { request } = await serve((wire, end) => end(`hello ${wire.remoteAddress}`));
  const { client, answer } = request(REQUEST);
  await until("it is closed", () => client.closed);
  expect(answer()).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nhello 127\.0\.0\.1$/);
});

test("what the server can't read is answered 400, and the connection is closed", async () => {
  const { request } = await serve(() => {});
  const { client, answer } = request("nonsense\r\n\r\n");
  await until("it is closed", () => client.closed);
  expect(answer()).toMatch(/^HTTP\/1\.1 400 /);
});

test("a socket that was taken is ours: the server neither reads nor writes nor closes it", async () => {
  let taken: Socket | undefined;
  const { request } = await serve((wire, end) => {
    taken = wire.takeSocket();
    taken.on("error", () => {});
    // Too late: it reaches nobody.
    end("from the server");
  });
  const { client, answer } = request(REQUEST);
  await until("it is taken", () => taken !== undefined);
  let read = "";
  taken?.on("data", (chunk: Buffer) => {
    read += chunk.toString();
  });
  taken?.resume();
  taken?.write("from us");
  client.write(REQUEST);
  await until("both have got it", () => answer() !== "" && read !== "");
  expect([answer(), read]).toEqual(["from us", REQUEST]);
  expect(taken?.destroyed).toBe(false);
  taken?.destroy();
  await until("it is closed", () => client.closed);
  expect(answer()).toBe("from us");
});

test("a client that goes away, or closes its half, ends the wire", async () => {
  const { request, wires } = await serve(() => {});
  for (const leave of [(client: Socket) => client.destroy(), (client: Socket) => client.end()]) {
    wires.clear();
    const { client } = request(REQUEST);
    await until("it has come", () => wires.size === 1);
    leave(client);
    await until("the wire has ended", () => [...wires.values()].every(({ destroyed }) => destroyed));
    await until("the connection is closed", () => client.closed);
  }
});
