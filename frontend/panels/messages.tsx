/** Messages: threads, kinds, who they are for, claims, and a box to write in. */
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { now } from "../clock.ts";
import { plural, span } from "../format.ts";
import type { Api, Query } from "../api.ts";
import type { Context, JsonObject, Message } from "../model.ts";
import { Ago, Empty, Refusal, Tag, Who } from "../parts.tsx";
import { canWrite, useRoom } from "../room.ts";
import { placeOf } from "../store.ts";
import { Tree } from "../tree.tsx";
import { Compose } from "./compose.tsx";

const AT_ONCE = 200;
/** Records in which older messages are looked for at first; then twice as many, and again. */
const SPAN = 500;
const SPANS = 8;
const PAGE = { only: "messages", messages_limit: 500, peek: true } as const;

/** The panel. */
export function MessagesPanel() {
  const room = useRoom();
  const { store } = room;
  const kind = useSignal("");
  const thread = useSignal<number | undefined>(undefined);
  const replyTo = useSignal<number | undefined>(undefined);
  const count = useSignal(AT_ONCE);
  const error = useSignal<unknown>(undefined);
  const all = store.messages.value;
  const kinds = [...new Set(all.map((message) => message.kind))].sort();
  const fitting = inThread(all, thread.value).filter((message) =>
    kind.value === "" || message.kind === kind.value
  );
  const shown = fitting.slice(-count.value);
  const counters = store.counters.value;
  const total = Math.max(all.length, counters?.count ?? 0);
  const older = async (): Promise<void> => {
    count.value += AT_ONCE;
    if (fitting.length >= count.value || all.length >= total) return;
    try {
      store.addOlderMessages(await olderMessages(room.api, placeOf(all[0]!)));
      error.value = undefined;
    } catch (failure) {
      error.value = failure;
    }
  };
  const hasOlder = fitting.length > shown.length || all.length < total;
  const onOlder = hasOlder ? () => void older() : undefined;
  return (
    <>
      <div class="toolbar">
        <label>
          <span class="label">Kind</span>
          <select value={kind.value} onChange={(event) => (kind.value = event.currentTarget.value)}>
            <option value="">all</option>
            {kinds.map((name) => <option key={name} value={name}>{name}</option>)}
          </select>
        </label>
        {thread.value !== undefined && (
          <button type="button" class="small" onClick={() => (thread.value = undefined)}>
            Leave thread {thread.value}
          </button>
        )}
        <span class="quiet count" role="status">
          {shown.length < total && `${shown.length} of `}
          {plural(total, "message")}
          {counters && counters.unclaimed > 0 && `, ${plural(counters.unclaimed, "open task")}`}
          {counters && counters.directed_unread > 0 && `, ${counters.directed_unread} for you`}
        </span>
      </div>
      {shown.length === 0
        ? <Empty title={all.length === 0 ? "No messages yet." : "No message fits the filter."} />
        : <Feed messages={shown} all={all} thread={thread} replyTo={replyTo} onOlder={onOlder} />}
      {error.value !== undefined && <Refusal error={error.value} />}
      {canWrite(room) && (
        <Compose replyTo={replyTo.value} onSent={() => (replyTo.value = undefined)} />
      )}
    </>
  );
}

/** Messages before one, newest stretches first, until there are enough. */
async function olderMessages(api: Api, first: number): Promise<Message[]> {
  const found: Message[] = [];
  let to = first - 1;
  for (let i = 0; i < SPANS && to > 0 && found.length < AT_ONCE; i++) {
    const from = Math.max(0, to - SPAN * 2 ** i);
    for (let after: number | undefined = from; after !== undefined && after < to;) {
      const query: Query = { ...PAGE, messages_after: after };
      const { messages }: Context = await api.get<Context>("/context", query);
      found.push(...messages.recent.filter((message) => placeOf(message) <= to));
      after = messages.next_after;
    }
    to = from;
  }
  return found;
}

/** The messages of a thread: its first and all that reply to it, directly or by others. Pure. */
export function inThread(all: readonly Message[], thread: number | undefined): readonly Message[] {
  if (thread === undefined) return all;
  const members = new Set([thread]);
  return all.filter((message) => {
    if (message.reply_to !== undefined && members.has(message.reply_to)) members.add(message.seq);
    return members.has(message.seq);
  });
}

interface FeedProps {
  readonly messages: readonly Message[];
  readonly all: readonly Message[];
  readonly thread: { value: number | undefined };
  readonly replyTo: { value: number | undefined };
  readonly onOlder: (() => void) | undefined;
}

/** The newest are at the bottom, and stay in sight unless one has scrolled up. */
function Feed({ messages, all, thread, replyTo, onOlder }: FeedProps) {
  const box = useRef<HTMLOListElement>(null);
  const isAtEnd = useRef(true);
  const before = useRef({ oldest: messages[0]?.seq, height: 0 });
  const [oldest, newest] = [messages[0]?.seq, messages.at(-1)?.seq];
  useLayoutEffect(() => {
    const element = box.current!;
    const { scrollHeight: height } = element;
    if (isAtEnd.current) element.scrollTop = height;
    else if (before.current.oldest !== oldest) {
      // Older ones came in above: what was in sight stays there.
      element.scrollTop += height - before.current.height;
    }
    before.current = { oldest, height };
  }, [oldest, newest, messages.length]);
  useEffect(() => {
    const element = box.current!;
    const onScroll = (): void => {
      isAtEnd.current = element.scrollTop + element.clientHeight > element.scrollHeight - 40;
    };
    element.addEventListener("scroll", onScroll, { passive: true });
    return () => element.removeEventListener("scroll", onScroll);
  }, []);
  const bySeq = new Map(all.map((message) => [message.seq, message]));
  return (
    <ol class="feed" ref={box} tabIndex={0} aria-label="Messages, oldest first">
      {onOlder && (
        <li class="older">
          <button type="button" class="small" onClick={onOlder}>Older messages</button>
        </li>
      )}
      {messages.map((message) => (
        <MessageItem
          key={message.seq}
          message={message}
          parent={message.reply_to === undefined ? undefined : bySeq.get(message.reply_to)}
          replies={all.filter((other) => other.reply_to === message.seq).length}
          onThread={() => (thread.value = message.reply_to ?? message.seq)}
          onReply={() => (replyTo.value = message.seq)}
        />
      ))}
    </ol>
  );
}

function MessageItem({ message, parent, replies, onThread, onReply }: {
  readonly message: Message;
  readonly parent: Message | undefined;
  readonly replies: number;
  readonly onThread: () => void;
  readonly onReply: () => void;
}) {
  const room = useRoom();
  const { seq, from, kind, to, body, reply_to } = message;
  const isMine = to?.includes(room.store.self.value) ?? false;
  return (
    <li class={`message${reply_to === undefined ? "" : " reply"}${isMine ? " mine" : ""}`}>
      <div class="message-head">
        <Who id={from} />
        {to && <span class="quiet">to {to.map((id) => <Who key={id} id={id} />)}</span>}
        {kind !== "chat" && <Tag tone={kind === "task" ? "info" : ""}>{kind}</Tag>}
        <ClaimState message={message} />
        <span class="row message-actions">
          {replies > 0 && (
            <button type="button" class="link" onClick={onThread}>
              {plural(replies, "reply", "replies")}
            </button>
          )}
          {canWrite(room) && <ClaimButtons message={message} />}
          {canWrite(room) && (
            <button type="button" class="link" onClick={onReply} aria-label={`Reply to ${seq}`}>
              Reply
            </button>
          )}
          <span class="quiet num">
            #{seq} · <Ago at={message.ts} />
          </span>
        </span>
      </div>
      {reply_to !== undefined && (
        <button type="button" class="link quoted" onClick={onThread}>
          in reply to #{reply_to}
          {parent && typeof parent.body === "string" ? `: ${brief(parent.body)}` : ""}
        </button>
      )}
      <div class="message-body">
        <MessageText body={body} />
      </div>
    </li>
  );
}

const BRIEF = 80;

function brief(text: string): string {
  return text.length > BRIEF ? `${text.slice(0, BRIEF)}…` : text;
}

const LONG = 1_200;

/** A body as text or as a tree; a long text is folded. */
export function MessageText({ body }: { readonly body: Message["body"] }) {
  if (typeof body !== "string") return <Tree value={body} open={1} />;
  if (body.length <= LONG) {
    return (
      <p class="text">
        <bdi>{body}</bdi>
      </p>
    );
  }
  return <Tree value={body} />;
}

function ClaimState({ message }: { readonly message: Message }) {
  const { claimed_by, lease_expires_at, kind } = message;
  if (!claimed_by) return kind === "task" ? <Tag tone="warn">open</Tag> : null;
  const left = lease_expires_at ? Date.parse(lease_expires_at) - now.value : undefined;
  return (
    <Tag tone="good">
      claimed by {claimed_by}
      {left !== undefined && `, ${span(left)} left`}
    </Tag>
  );
}

function ClaimButtons({ message }: { readonly message: Message }) {
  const { api, store, refresh } = useRoom();
  const error = useSignal<unknown>(undefined);
  const self = store.self.value;
  if (self === "" || self === "admin" || api.agent !== undefined) return null;
  const run = async (action: string, params: JsonObject): Promise<void> => {
    error.value = undefined;
    try {
      await api.invoke(action, params);
      refresh();
    } catch (failure) {
      error.value = failure;
    }
  };
  const isOpen = !message.claimed_by && message.kind === "task";
  return (
    <>
      {isOpen && (
        <button
          type="button"
          class="link"
          onClick={() => void run("_claim_message", { seq: message.seq })}
        >
          Claim
        </button>
      )}
      {message.claimed_by === self && (
        <button
          type="button"
          class="link"
          onClick={() => void run("_release_message", { seq: message.seq })}
        >
          Release
        </button>
      )}
      {error.value !== undefined && <Refusal error={error.value} />}
    </>
  );
}
