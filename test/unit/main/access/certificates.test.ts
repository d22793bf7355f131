import { expect, test } from "vitest";
import { ANYONE } from "../../../../src/main/access/caller.js";
import { identifyByCertificate } from "../../../../src/main/access/certificates.js";
import type { ClientCertificate, TlsConnection } from "../../../../src/protocol/http/transport.js";
import { downloadRequest } from "../../../support/download-request.js";
import { silentReply } from "../../../support/silent-reply.js";

const GOOD: ClientCertificate = {
  subject: "O=Cloud, CN=agent",
  fingerprint: "ab".repeat(32),
  expiresAt: Date.now() + 60_000,
  problem: undefined,
};
const SETTINGS = [
  { subject: "O=Cloud, CN=agent", role: "operate", names: ["guests/a"] },
  { fingerprint: "cd".repeat(32), role: "admin" },
] as const;
const BY_TOKEN = { id: "token", grant: { role: "read" } } as const;

interface Asked {
  readonly tls?: TlsConnection | undefined;
  readonly certificate?: ClientCertificate;
  readonly authorization?: string;
  readonly isOpen?: boolean;
  readonly hasTokens?: boolean;
}
/** Who is found; else the status and the words that are sent. */
function ask({ certificate, tls, authorization = "", isOpen = false, hasTokens = false }: Asked) {
  let sent: unknown;
  const problems: string[] = [];
  const settings = SETTINGS.map((each) => ({ pools: undefined, names: undefined, ...each }));
  const byToken = hasTokens ? () => (authorization === "Bearer good" ? BY_TOKEN : undefined) : undefined;
  const identify = identifyByCertificate(
    settings.map(({ names, ...each }) => ({ ...each, names: names && [...names] })),
    { byToken, isOpen },
    (problem) => problems.push(problem),
  );
  const connection = certificate ? { certificate, isLast: false } : tls;
  const caller = identify(
    { ...downloadRequest, header: (name) => (name === "authorization" ? authorization : "") },
    {
      ...silentReply,
      tls: connection,
      send: (status, _headers, body) => {
        sent = `${status} ${String(body)}`;
      },
    },
  );
  return caller ?? sent ?? "refused by its token";
}
const WITHOUT: TlsConnection = { certificate: undefined, isLast: false };

test("a caller is known by the subject or the fingerprint of a certificate", () => {
  const grant = { role: "operate", pools: undefined, names: ["guests/a"] };
  expect(ask({ certificate: GOOD })).toMatchObject({ id: GOOD.subject, grant });
  const pinned = { ...GOOD, fingerprint: "cd".repeat(32) };
  expect(ask({ certificate: pinned })).toMatchObject({ id: GOOD.subject, grant: { role: "admin" } });
  const unnamed = { ...pinned, subject: "" };
  expect(ask({ certificate: unnamed })).toMatchObject({ id: pinned.fingerprint, grant: { role: "admin" } });
});

test.each([
  [{ problem: "it has been revoked" }, "401 the certificate is not taken: it has been revoked\n"],
  [{ expiresAt: Date.now() - 1 }, "401 the certificate is not taken: it has expired\n"],
  [
    { subject: "O=Cloud, CN=agent2" },
    "401 the certificate is good, but auth.certificates does not name it\n",
  ],
  [{ subject: "o=cloud, cn=agent" }, "401 the certificate is good, but auth.certificates does not name it\n"],
  [{ subject: "" }, "401 the certificate is good, but auth.certificates does not name it\n"],
])("nobody is known by %j", (changed, told) => {
  expect(ask({ certificate: { ...GOOD, ...changed } })).toBe(told);
});

test("without a certificate TLS serves nobody, unless it is open, and the plain port whoever reaches it", () => {
  expect(ask({ tls: WITHOUT })).toMatch(/^401 a certificate is needed/);
  expect(ask({ tls: WITHOUT, isOpen: true })).toBe(ANYONE);
  expect(ask({})).toBe(ANYONE);
});

test("where there are tokens one that is sent goes before a certificate, good or bad", () => {
  const hasTokens = true;
  expect(ask({ hasTokens, certificate: GOOD, authorization: "Bearer good" })).toBe(BY_TOKEN);
  expect(ask({ hasTokens, certificate: GOOD, authorization: "Bearer bad" })).toBe("refused by its token");
  expect(ask({ hasTokens, certificate: GOOD })).toMatchObject({ id: GOOD.subject });
  expect(ask({ hasTokens, tls: WITHOUT })).toBe("refused by its token");
  expect(ask({ hasTokens })).toBe("refused by its token");
  expect(ask({ certificate: GOOD, authorization: "Bearer bad" })).toMatchObject({ id: GOOD.subject });
});

test("a caller is no longer current once its certificate has lost its trust, or its connection is closed", () => {
  const reply: { tls: TlsConnection | undefined } & typeof silentReply = {
    ...silentReply,
    tls: { certificate: GOOD, isLast: false },
  };
  const settings = [{ subject: GOOD.subject, fingerprint: undefined, role: "read" as const }];
  const identify = identifyByCertificate(settings, { byToken: undefined, isOpen: false }, () => {});
  const caller = identify({ ...downloadRequest, header: () => "" }, reply);
  expect(caller?.isCurrent?.()).toBe(true);
  reply.tls = { certificate: { ...GOOD, problem: "it has been revoked" }, isLast: true };
  expect(caller?.isCurrent?.()).toBe(false);
  reply.tls = { certificate: { ...GOOD, expiresAt: Date.now() - 1 }, isLast: false };
  expect(caller?.isCurrent?.()).toBe(false);
  reply.tls = undefined;
  expect(caller?.isCurrent?.()).toBe(false);
});
