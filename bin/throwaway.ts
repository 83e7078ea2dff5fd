/** A service of one's own on a free port and a database that goes with it, for tools that show or measure. */
import { readConfig } from "../config.ts";
import { createService } from "../main.ts";

/** A service that nobody else uses. */
export interface Throwaway {
  readonly origin: string;
  /** Stops it and removes its database. */
  close(): Promise<void>;
}

/** Starts one; its port is known before it is configured, since its links name it. */
export async function openThrowaway(): Promise<Throwaway> {
  const folder = await Deno.makeTempDir();
  const holder: { fetch?: (request: Request) => Promise<Response> } = {};
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    (request) => holder.fetch!(request),
  );
  const env: Record<string, string> = {
    PORT: String(server.addr.port),
    SYNC_DB: `file:${folder}/sync.db`,
    SYNC_LOG: "off",
  };
  const service = await createService({ config: readConfig((name) => env[name]) });
  holder.fetch = service.fetch;
  return {
    origin: `http://localhost:${server.addr.port}`,
    close: async () => {
      await server.shutdown();
      await service.close();
      await Deno.remove(folder, { recursive: true });
    },
  };
}
