/** The client's address: the peer's, or what a trusted proxy says. */

/** The address of a peer that has none: a socket of the machine, or a call inside the process. */
export const UNTOLD_ADDRESS = "local";

/** Is this an address of the machine itself? */
export function isLoopbackAddress(address: string): boolean {
  return address === "::1" || /^(::ffff:)?127(\.\d{1,3}){3}$/i.test(address);
}

/** The address that rate limits count. */
export function clientAddress(
  request: Request,
  peer: Deno.Addr,
  trustedProxies: readonly string[],
): string {
  const address = "hostname" in peer ? peer.hostname : UNTOLD_ADDRESS;
  if (!trustedProxies.includes(address)) return address;
  const chain = (request.headers.get("x-forwarded-for") ?? "").split(",").map((part) =>
    part.trim()
  );
  // From the right: the first hop that is no proxy of ours is the client.
  for (let i = chain.length - 1; i >= 0; i--) {
    if (chain[i] !== "" && !trustedProxies.includes(chain[i]!)) return chain[i]!;
  }
  return address;
}
