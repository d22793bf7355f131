import type { Logger } from "pino";
import {
  haveSame,
  type Listener,
  type TlsListener,
  type Transport,
  type TransportOptions,
} from "../protocol/http/transport.js";
import { messageOf } from "../protocol/storage/caught-error.js";
import { type Outcome, succeed } from "../protocol/storage/failures.js";
import { readTlsFiles, type TlsFiles, type TlsSettings } from "./access/tls-files.js";
import { nodeTransport } from "./http/node.js";
import { listenFailure } from "./listen-failure.js";

/** The port with TLS. */
export interface TlsDoor {
  readonly host: string;
  readonly listener: Listener;
  /** When the certificate that is shown expires, in ms since 1970. */
  readonly expiresAt: number;
  /** Reads the files again. If they are not in order, what was read before stays, and the log tells why. */
  renew(): Promise<void>;
}

/** With fewer days left the log warns. */
const FEW_DAYS = 14;
const DAY_MS = 86_400_000;

/** Listens with TLS. Fails, with one line for the administrator: as readTlsFiles and takePort do. */
export async function openTlsDoor(
  settings: TlsSettings,
  transport: Transport,
  options: TransportOptions,
  log: Pick<Logger, "info" | "warn" | "error">,
): Promise<Outcome<TlsDoor>> {
  const { host } = options;
  const first = readTlsFiles(settings);
  if (!first.ok) return first;
  /** What new connections are shown. */
  let files = first.value;
  let listener: TlsListener;
  try {
    // The other transport does not tell whose a certificate is (docs/decisions/tls.md).
    listener = await (files.clientCa ? nodeTransport : transport).listenTls(options, files);
  } catch (error) {
    return listenFailure(error, host, settings.port, "choose another in listen.tls.port");
  }
  tellExpiry(files, log);

  async function renew(): Promise<void> {
    const read = readTlsFiles(settings);
    if (!read.ok) return stays(read.failure.message);
    if (haveSame(read.value, files, ["cert", "key", "clientCa", "crl"])) return;
    try {
      await listener.renew(read.value);
    } catch (error) {
      return stays(messageOf(error));
    }
    files = read.value;
    log.info({ expires: new Date(files.expiresAt) }, "the certificate of listen.tls has been read again");
    tellExpiry(files, log);
  }
  const stays = (reason: string) =>
    log.error({ reason }, "the certificate of listen.tls stays as it was: its files are not in order");

  /** Settles with the last renewal: two at once could end in the wrong order. Never rejects. */
  let last = Promise.resolve();
  return succeed({
    host,
    listener,
    get expiresAt() {
      return files.expiresAt;
    },
    renew: () => {
      last = last.then(renew);
      return last;
    },
  });
}

function tellExpiry({ expiresAt }: TlsFiles, log: Pick<Logger, "warn">): void {
  const days = Math.floor((expiresAt - Date.now()) / DAY_MS);
  if (days < 0) log.warn({ days }, "the certificate of listen.tls has expired");
  else if (days < FEW_DAYS) log.warn({ days }, "the certificate of listen.tls expires soon");
}
