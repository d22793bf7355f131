import { codeOf, messageOf } from "../protocol/storage/caught-error.js";
import { type FailedOutcome, fail } from "../protocol/storage/failures.js";

/** The failure to listen, with one line for the administrator. `other`: how to choose another port. */
export function listenFailure(error: unknown, host: string, port: number, other: string): FailedOutcome {
  return fail("internal", listenProblem(error, host, port, other));
}

function listenProblem(error: unknown, host: string, port: number, other: string): string {
  switch (codeOf(error)) {
    case "EADDRINUSE":
      return `port ${port} on ${host} is in use: another imagestore may be running; ${other}`;
    case "EACCES":
      return `no permission to listen on ${host}:${port}: ports below 1024 need CAP_NET_BIND_SERVICE`;
    case "EADDRNOTAVAIL":
      return `this machine has no address ${host}: set the host below listen to one that it has`;
    default:
      return messageOf(error);
  }
}

/** The failure to listen on a unix socket, with one line for the administrator. */
export function socketFailure(error: unknown, path: string): FailedOutcome {
  return fail("internal", socketProblem(error, path));
}

function socketProblem(error: unknown, path: string): string {
  switch (codeOf(error)) {
    case "EADDRINUSE":
      return `something answers at the socket ${path}: another imagestore may be running`;
    case "ENOENT":
      return `can't listen on the socket ${path}: its folder is not there`;
    default:
      return `can't listen on the socket ${path}: ${messageOf(error)}`;
  }
}
