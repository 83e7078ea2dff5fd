/** The client's address: the peer's, or what a trusted proxy says. */

/** The address that rate limits count. */
export function clientAddress(
  request: Request,
  peer: Deno.Addr,
  trustedProxies: readonly string[],
): string {
  const address = "hostname" in peer ? peer.hostname : "local";
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
