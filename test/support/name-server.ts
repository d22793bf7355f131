import { createSocket } from "node:dgram";

/** How a name server answers a query for SRV records: not at all, with a code of RFC 1035, or with records. */
export type SrvAnswer =
  | "silent"
  | { readonly code: number }
  | {
      readonly records: readonly {
        readonly port: number;
        readonly priority?: number;
        readonly weight?: number;
      }[];
    };

/** A name server on UDP that answers every query in one way. All records point at `localhost`. */
export interface NameServer {
  /** `ADDRESS:PORT`, as `dnsServers` takes it. */
  readonly address: string;
  /** The names that were asked for. */
  readonly asked: readonly string[];
  close(): void;
}

/** The labels of a name, each behind its length, as they are in a message; the last one is empty. */
function nameAt(message: Buffer, start: number): { readonly name: string; readonly end: number } {
  const labels: string[] = [];
  let at = start;
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
    labels.push(message.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join("."), end: at + 1 };
}

/** RFC 1035, sections 4.1.1 and 4.1.3, and RFC 2782. */
function reply(query: Buffer, questionEnd: number, answer: Exclude<SrvAnswer, "silent">): Buffer {
  const records = "records" in answer ? answer.records : [];
  const code = "code" in answer ? answer.code : 0;
  const header = Buffer.from([0, 0, 0x81, 0x80 + code, 0, 1, 0, records.length, 0, 0, 0, 0]);
  query.copy(header, 0, 0, 2);
  const target = Buffer.from("\x09localhost\x00", "latin1");
  const answers = records.map(({ port, priority = 0, weight = 0 }) => {
    const fields = Buffer.alloc(18);
    fields.writeUInt16BE(0xc00c, 0); // the name: a pointer to the question
    fields.writeUInt16BE(33, 2); // SRV
    fields.writeUInt16BE(1, 4); // IN
    fields.writeUInt32BE(60, 6);
    fields.writeUInt16BE(6 + target.length, 10);
    fields.writeUInt16BE(priority, 12);
    fields.writeUInt16BE(weight, 14);
    fields.writeUInt16BE(port, 16);
    return Buffer.concat([fields, target]);
  });
  return Buffer.concat([header, query.subarray(12, questionEnd), ...answers]);
}

export async function openNameServer(answer: SrvAnswer): Promise<NameServer> {
  const asked: string[] = [];
  const server = createSocket("udp4", (query, from) => {
    const { name, end } = nameAt(query, 12);
    asked.push(name);
    // The type and the class of the question follow its name.
    if (answer !== "silent") server.send(reply(query, end + 4, answer), from.port, from.address);
  });
  await new Promise<void>((resolve) => server.bind(0, "127.0.0.1", resolve));
  return { address: `127.0.0.1:${server.address().port}`, asked, close: () => void server.close() };
}
