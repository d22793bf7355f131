import type { HttpRequest as UwsRequest } from "@btc-vision/uwebsockets.js";
import type { HttpRequest, IncomingBody } from "../../protocol/http/transport.js";

/** Copies what we need of the module's request while that is valid: of its headers only those that are read. */
export class ReceivedRequest implements HttpRequest {
  readonly path: string;
  readonly query: string;
  body = "";
  tooLarge = false;
  incoming: IncomingBody | undefined;
  /**
   * Why the request must not be served: two lines of it say different things about where its body
   * ends, or about whom it asks (RFC 9112, 3.2 and 6.3), or who asks. The module takes the first of them.
   */
  problem: string | undefined;
  private contentType = "";
  private acceptEncoding = "";
  private host = "";
  private origin = "";
  private secFetchSite = "";
  private contentLength = "";
  private requestId = "";
  /** Undefined: it has none. */
  private authorization: string | undefined;
  private lastEventId = "";
  private connection = "";
  private traceparent = "";
  private protocols = "";

  constructor(
    request: UwsRequest,
    readonly method: string,
  ) {
    this.path = request.getUrl();
    this.query = request.getQuery() ?? "";
    // One call for all headers costs no more than one for each that we want, and shows repeated ones.
    request.forEach((name, value) => {
      this.keep(name, value);
    });
  }

  /** How many bytes its body has, where it says so. */
  get bodyLength(): number | undefined {
    return /^\d{1,15}$/.test(this.contentLength) ? Number(this.contentLength) : undefined;
  }

  /** Whether it says that its body has no bytes. */
  get isWithoutBody(): boolean {
    return /^0+$/.test(this.contentLength);
  }

  /** Whether the module closes the connection with the answer, because the client asks for that. */
  get isLast(): boolean {
    return this.connection !== "" && /\bclose\b/i.test(this.connection);
  }

  private keep(name: string, value: string): void {
    switch (name) {
      case "content-type":
        if (this.contentType === "") this.contentType = value;
        break;
      case "accept-encoding":
        this.acceptEncoding = joined(this.acceptEncoding, value);
        break;
      case "host":
        if (this.host !== "") this.problem = "bad request: more than one Host";
        this.host = value;
        break;
      case "origin":
        this.origin = joined(this.origin, value);
        break;
      case "sec-fetch-site":
        this.secFetchSite = joined(this.secFetchSite, value);
        break;
      case "x-request-id":
        this.requestId = value;
        break;
      case "authorization":
        if (this.authorization !== undefined) this.problem = "bad request: more than one Authorization";
        this.authorization = value;
        break;
      case "last-event-id":
        this.lastEventId = value;
        break;
      case "connection":
        this.connection = joined(this.connection, value);
        break;
      case "traceparent":
        this.traceparent = joined(this.traceparent, value);
        break;
      case "sec-websocket-protocol":
        this.protocols = joined(this.protocols, value);
        break;
      case "content-length":
        if (this.contentLength !== "" && this.contentLength !== value) {
          this.problem = "bad request: two different Content-Length";
        }
        this.contentLength = value;
    }
  }

  header(name: string): string {
    switch (name) {
      case "content-type":
        return this.contentType;
      case "accept-encoding":
        return this.acceptEncoding;
      case "host":
        return this.host;
      case "origin":
        return this.origin;
      case "sec-fetch-site":
        return this.secFetchSite;
      case "x-request-id":
        return this.requestId;
      case "authorization":
        return this.authorization ?? "";
      case "last-event-id":
        return this.lastEventId;
      case "traceparent":
        return this.traceparent;
      case "sec-websocket-protocol":
        return this.protocols;
      default:
        return "";
    }
  }
}

/** The value of a header that may be repeated. */
function joined(before: string, value: string): string {
  return before === "" ? value : `${before}, ${value}`;
}
