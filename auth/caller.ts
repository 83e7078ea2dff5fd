/** A known principal as one request sees it. */
import type { Principal } from "../policy.ts";

/** Who calls with a credential; whether one would have been needed is found out when it is asked. */
export class Caller implements Principal {
  readonly lineage: Principal["lineage"];
  readonly user?: NonNullable<Principal["user"]>;
  readonly service?: NonNullable<Principal["service"]>;
  readonly roles: Principal["roles"];
  readonly embodied: Principal["embodied"];
  readonly #isOpen: () => boolean;

  constructor(known: Principal, isOpen: () => boolean) {
    this.lineage = known.lineage;
    if (known.user) this.user = known.user;
    if (known.service) this.service = known.service;
    this.roles = known.roles;
    this.embodied = known.embodied;
    this.#isOpen = isOpen;
  }

  get isOpen(): boolean {
    return this.#isOpen();
  }
}
