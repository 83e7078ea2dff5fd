/** An actor's page: who it is, how far others' verdicts carry it, what of its work was judged, its memory. */
import { useSignal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { type Api, Refused } from "../api.ts";
import { Dialog } from "../dialog.tsx";
import { number, plural } from "../format.ts";
import type { JsonObject } from "../model.ts";
import { Ago, Fact, More, Refusal, Tag, Who } from "../parts.tsx";
import { useRoom } from "../room.ts";
import { Sparkline } from "../surfaces/metric.tsx";
import { Tree } from "../tree.tsx";

/** Points of the line of trust. */
const POINTS = 16;
const VERDICTS_AT_ONCE = 50;

interface Profile {
  readonly display_name: string | null;
  readonly kind: string;
  readonly owner?: string;
  readonly substrate: JsonObject | null;
  readonly created_at: string;
  readonly ended_at?: string;
  /** There only for those who may read the actor's memory. */
  readonly manual?: string | null;
}

interface Trust {
  readonly at: string;
  readonly trust: readonly {
    readonly domain: string;
    readonly success: number;
    readonly total: number;
    readonly trust: number;
    readonly judges: number;
  }[];
  readonly observations: readonly {
    readonly room: string;
    readonly subject: number;
    readonly seq: number;
    readonly judge: string;
    readonly domain: string;
    readonly verdict: string;
    readonly at: string;
  }[];
  readonly next_before?: number;
}

interface Memories {
  readonly memories: readonly {
    readonly name: string;
    readonly kind: string;
    readonly description: string;
    readonly body: string;
  }[];
  readonly total: number;
}

interface Known {
  readonly profile?: Profile | undefined;
  readonly now?: Trust | undefined;
  readonly past: readonly Trust[];
  readonly memory?: Memories | undefined;
}

/** An actor's DID, which opens its page. */
export function Actor({ did }: { readonly did: string }) {
  const isOpen = useSignal(false);
  return (
    <>
      <button
        type="button"
        class="link did"
        aria-haspopup="dialog"
        onClick={() => (isOpen.value = true)}
      >
        {did}
      </button>
      {isOpen.value && (
        <Dialog title={did} onClose={() => (isOpen.value = false)} wide>
          <Page did={did} />
        </Dialog>
      )}
    </>
  );
}

/** What this reader may know of an actor. Throws `Refused`. */
async function load(api: Api, did: string): Promise<Known> {
  const ask = async <T,>(rest: string): Promise<T | undefined> => {
    try {
      return await api.call<T>("GET", `/actors/${encodeURIComponent(did)}${rest}`);
    } catch (error) {
      if (error instanceof Refused && error.status === 404) return undefined;
      throw error;
    }
  };
  const [profile, now] = await Promise.all([
    // Nobody registers an agent of one room.
    did.includes("~") ? undefined : ask<Profile>(""),
    ask<Trust>(`/trust?limit=${VERDICTS_AT_ONCE}`),
  ]);
  const from = Date.parse(now?.observations.at(-1)?.at ?? "");
  // Begins a step before the first verdict, when there was no trust.
  const step = (Date.parse(now?.at ?? "") - from) / POINTS;
  const past = await Promise.all(
    Array.from(
      { length: step > 0 ? POINTS : 0 },
      (_, i) => ask<Trust>(`/trust?limit=1&at=${new Date(from + (i - 1) * step).toISOString()}`),
    ),
  );
  return {
    profile,
    now,
    past: past.filter((then) => then !== undefined),
    memory: profile && "manual" in profile ? await ask<Memories>("/memory") : undefined,
  };
}

function Page({ did }: { readonly did: string }) {
  const { api, store } = useRoom();
  const [known, setKnown] = useState<Known>();
  const [error, setError] = useState<unknown>();
  const verdicts = store.records.value.filter(({ kind }) => kind === "verdict").length;
  useEffect(() => void load(api, did).then(setKnown, setError), [did, verdicts]);
  if (error !== undefined) return <Refusal error={error} />;
  if (!known) return <p class="quiet">Loading</p>;
  const { profile, memory } = known;
  const here = [...store.agents.value].filter(([, { value }]) => value.actor === did);
  return (
    <>
      {!profile && (
        <p class="quiet">
          {did.includes("~") ? "An agent of one room, known nowhere else." : "Not registered here."}
        </p>
      )}
      <dl class="facts">
        <Fact name="In this room" when={here.length > 0}>
          {here.map(([id]) => <Who key={id} id={id} />)}
        </Fact>
        {profile && (
          <>
            <Fact name="Name">{profile.display_name ?? "–"}</Fact>
            <Fact name="Kind">{profile.kind}</Fact>
            <Fact name="Owner">{profile.owner ?? "–"}</Fact>
            <Fact name="Runs on">
              <Tree value={profile.substrate} />
            </Fact>
            <Fact name="Registered">
              <Ago at={profile.created_at} long />
            </Fact>
            <Fact name="Ended" when={profile.ended_at !== undefined}>
              <Ago at={profile.ended_at} long />
            </Fact>
            <Fact name="Manual" when={!!profile.manual}>{profile.manual}</Fact>
          </>
        )}
      </dl>
      <TrustByDomain known={known} />
      <Judged did={did} now={known.now} />
      {memory && (
        <section aria-label="Memory">
          <h3>Memory</h3>
          {memory.memories.length === 0 && <p class="quiet">Nothing yet.</p>}
          {memory.memories.map(({ name, kind, description, body }) => (
            <details key={name}>
              <summary>
                {name} <Tag>{kind}</Tag> {description}
              </summary>
              <p class="text">{body}</p>
            </details>
          ))}
          <More
            rest={memory.total - memory.memories.length}
            one="more memory"
            many="more memories"
          />
        </section>
      )}
    </>
  );
}

function TrustByDomain({ known: { now, past } }: { readonly known: Known }) {
  const domains = now?.trust ?? [];
  return (
    <section aria-label="Trust">
      <h3>Trust</h3>
      {domains.length === 0 && <p class="quiet">No verdict counts yet.</p>}
      <div class="trust">
        {domains.map(({ domain, trust, success, total, judges }) => (
          <div key={domain}>
            <h4>{domain}</h4>
            <p>
              <strong class="num">{trust}</strong>{" "}
              <span class="quiet">
                {success} of {number(total)} accepted, {plural(judges, "judge")}
              </span>
            </p>
            <Sparkline
              values={[...past.map((then) => trustIn(then, domain)), trust]}
              label={`Trust in ${domain} over time`}
            />
          </div>
        ))}
      </div>
    </section>
  );
}

function trustIn({ trust }: Trust, domain: string): number {
  return trust.find((figures) => figures.domain === domain)?.trust ?? 0;
}

function Judged({ did, now }: { readonly did: string; readonly now: Trust | undefined }) {
  const { api, store } = useRoom();
  const [older, setOlder] = useState<readonly Trust[]>([]);
  const [error, setError] = useState<unknown>();
  useEffect(() => setOlder([]), [now]);
  const pages = now ? [now, ...older] : [];
  const observations = pages.flatMap((page) => page.observations);
  if (observations.length === 0) return null;
  const before = pages.at(-1)?.next_before;
  const read = (): void => {
    const path = `/actors/${encodeURIComponent(did)}/trust`;
    api.call<Trust>("GET", `${path}?limit=${VERDICTS_AT_ONCE}&before=${before}`).then(
      (page) => setOlder((known) => [...known, page]),
      setError,
    );
  };
  return (
    <section aria-label="Judged work">
      <h3>Judged work</h3>
      <ol class="history judged">
        {observations.map(({ room, subject, seq, judge, domain, verdict, at }) => {
          const record = store.records.value.find((one) =>
            room === api.room && one.seq === subject
          );
          return (
            <li key={`${room} ${seq}`}>
              <span class="num quiet">{subject}</span>
              <Tag tone={verdict === "accept" ? "good" : "bad"}>{verdict}</Tag>
              <span>
                {record?.action ?? record?.kind ?? `in ${room}`} <span class="quiet">{domain}</span>
              </span>
              <span class="meta">
                <Who id={judge.split("~").at(-1)!} /> <Ago at={at} />
              </span>
            </li>
          );
        })}
      </ol>
      {before !== undefined && (
        <button type="button" class="small" onClick={read}>Older verdicts</button>
      )}
      {error !== undefined && <Refusal error={error} />}
    </section>
  );
}
