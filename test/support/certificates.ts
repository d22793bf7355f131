import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TlsMaterial } from "../../src/protocol/http/transport.js";

/** A certificate and its key, as files. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** What a certificate is made of. */
interface Wanted {
  readonly subject: string;
  /** As `DNS:localhost,IP:127.0.0.1`. */
  readonly names?: string;
  /** From today on; negative: it has expired. */
  readonly days?: number;
  /** In how many days it begins to be valid; it has begun by default. */
  readonly fromDays?: number;
  /** As `serverAuth`. */
  readonly usage?: string;
}

/** A CA with its certificates, in a folder of its own. */
export interface TestCa {
  readonly folder: string;
  /** Its own certificate. */
  readonly file: string;
  /** Makes and signs a certificate, in files of that name. */
  issue(name: string, wanted: Wanted): CertificateFiles;
  /** Revokes a certificate of its. */
  revoke(files: CertificateFiles): void;
  /** Writes the list of those that are revoked. @returns its file, which is always the same. */
  writeCrl(): string;
  remove(): void;
}

const HOST_NAMES = "DNS:localhost,IP:127.0.0.1";
const DAY_MS = 86_400_000;

const openssl = (args: readonly string[]) => execFileSync("openssl", args, { stdio: "pipe" });
/** As openssl ca takes a time. */
const timeText = (days: number) =>
  `${new Date(Date.now() + days * DAY_MS).toISOString().replace(/[-:T]/g, "").slice(0, 14)}Z`;

/** Makes a CA by openssl, with keys on a curve: those are made in a moment. */
export function createTestCa(subject = "/CN=test CA"): TestCa {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const at = (name: string) => join(folder, name);
  const newKey = (name: string) => [
    ...["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", at(`${name}.key`)],
  ];
  openssl([...["req", "-x509", ...newKey("ca"), "-out", at("ca.pem"), "-subj", subject, "-days", "2"]]);
  writeFileSync(at("index"), "");
  writeFileSync(
    at("ca.conf"),
    [
      "[ca]\ndefault_ca=own\n[own]",
      `database=${at("index")}\nnew_certs_dir=${folder}\nrand_serial=yes\nunique_subject=no`,
      `certificate=${at("ca.pem")}\nprivate_key=${at("ca.key")}\ndefault_md=sha256\ndefault_crl_days=2`,
      "copy_extensions=copy\npolicy=any\n[any]\ncommonName=optional\norganizationName=optional\n",
    ].join("\n"),
  );
  return {
    folder,
    file: at("ca.pem"),
    issue: (name, { subject: of, names, days = 2, fromDays = Math.min(-1, days - 1), usage }) => {
      const extensions = [
        ...(names === undefined ? [] : ["-addext", `subjectAltName=${names}`]),
        ...(usage === undefined ? [] : ["-addext", `extendedKeyUsage=${usage}`]),
      ];
      openssl(["req", ...newKey(name), "-out", at(`${name}.csr`), "-subj", of, ...extensions]);
      openssl([
        ...[
          "ca",
          "-batch",
          "-preserveDN",
          "-config",
          at("ca.conf"),
          "-in",
          at(`${name}.csr`),
          "-out",
          at(`${name}.pem`),
        ],
        ...["-notext", "-startdate", timeText(fromDays), "-enddate", timeText(days)],
      ]);
      return { cert: at(`${name}.pem`), key: at(`${name}.key`) };
    },
    revoke: ({ cert }) => void openssl(["ca", "-config", at("ca.conf"), "-revoke", cert]),
    writeCrl: () => {
      openssl(["ca", "-config", at("ca.conf"), "-gencrl", "-out", at("crl.pem")]);
      return at("crl.pem");
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** A certificate for this machine. */
export function issueForHost(ca: TestCa, name = "host", days?: number): CertificateFiles {
  return ca.issue(name, { subject: `/CN=${name}`, names: HOST_NAMES, ...(days !== undefined && { days }) });
}

export function materialOf({ cert, key }: CertificateFiles): TlsMaterial {
  return { certFile: cert, keyFile: key, cert: readFileSync(cert), key: readFileSync(key) };
}
