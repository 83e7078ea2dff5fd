/** A receiver of OTLP over HTTP, as a collector is one: takes spans as protobuf and keeps them. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A span as it came. */
export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  /** 1 internal, 2 server, 3 client. */
  readonly kind: number;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  /** 2 is an error. */
  readonly status: number;
  /** What the process said of itself. */
  readonly resource: Readonly<Record<string, string | number | boolean>>;
}

type Field = readonly [number: number, value: bigint | Uint8Array];

/** The fields of a protobuf message, in order. */
function fieldsOf(bytes: Uint8Array): Field[] {
  const fields: Field[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n;; shift += 7n) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const key = Number(varint()), number = key >> 3;
    switch (key & 7) {
      case 0:
        fields.push([number, varint()]);
        break;
      case 1:
        fields.push([number, view.getBigUint64(at, true)]);
        at += 8;
        break;
      case 2: {
        const length = Number(varint());
        fields.push([number, bytes.subarray(at, at + length)]);
        at += length;
        break;
      }
      case 5:
        fields.push([number, BigInt(view.getUint32(at, true))]);
        at += 4;
        break;
      default:
        throw new Error(`no protobuf: wire type ${key & 7}`);
    }
  }
  return fields;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

function all(fields: readonly Field[], number: number): Uint8Array[] {
  return fields.filter(([n]) => n === number).map(([, value]) => value as Uint8Array);
}

function first(fields: readonly Field[], number: number): Uint8Array {
  return all(fields, number)[0] ?? new Uint8Array();
}

function whole(fields: readonly Field[], number: number): bigint {
  return fields.find(([n]) => n === number)?.[1] as bigint | undefined ?? 0n;
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function valueOf(bytes: Uint8Array): string | number | boolean {
  const [field] = fieldsOf(bytes);
  if (!field) return "";
  const [number, value] = field;
  if (number === 1) return utf8.decode(value as Uint8Array);
  return number === 2 ? value === 1n : Number(value);
}

function attributesOf(fields: readonly Field[], number: number): ReceivedSpan["attributes"] {
  return Object.fromEntries(
    all(fields, number).map((bytes) => {
      const pair = fieldsOf(bytes);
      return [utf8.decode(first(pair, 1)), valueOf(first(pair, 2))];
    }),
  );
}

function spanOf(bytes: Uint8Array, resource: ReceivedSpan["resource"]): ReceivedSpan {
  const fields = fieldsOf(bytes);
  return {
    traceId: hex(first(fields, 1)),
    spanId: hex(first(fields, 2)),
    parentSpanId: hex(first(fields, 4)),
    name: utf8.decode(first(fields, 5)),
    kind: Number(whole(fields, 6)),
    attributes: attributesOf(fields, 9),
    links: all(fields, 13).map((link) => {
      const parts = fieldsOf(link);
      return { traceId: hex(first(parts, 1)), spanId: hex(first(parts, 2)) };
    }),
    status: Number(whole(fieldsOf(first(fields, 15)), 3)),
    resource,
  };
}

/** The spans of an `ExportTraceServiceRequest`. */
export function spansOf(request: Uint8Array): ReceivedSpan[] {
  return all(fieldsOf(request), 1).flatMap((bytes) => {
    const fields = fieldsOf(bytes);
    const resource = attributesOf(fieldsOf(first(fields, 1)), 1);
    return all(fields, 2).flatMap((scope) =>
      all(fieldsOf(scope), 2).map((span) => spanOf(span, resource))
    );
  });
}

/** A receiver that listens. */
export interface Receiver {
  readonly url: string;
  readonly spans: readonly ReceivedSpan[];
  /** Headers of the requests that came. */
  readonly headers: readonly Readonly<Record<string, string | string[] | undefined>>[];
  close(): Promise<void>;
}

/** Begins to listen on a free port of the loopback address, answering every request with a status. */
export async function openReceiver(status = 200): Promise<Receiver> {
  const spans: ReceivedSpan[] = [];
  const headers: Receiver["headers"][number][] = [];
  const server = createServer((request, response) => {
    const chunks: Uint8Array[] = [];
    request.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    request.on("end", () => {
      headers.push(request.headers);
      if (request.url === "/v1/traces" && request.method === "POST") {
        spans.push(...spansOf(new Uint8Array(chunks.flatMap((chunk) => [...chunk]))));
      }
      response.writeHead(status, { "Content-Type": "application/x-protobuf" }).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    spans,
    headers,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
