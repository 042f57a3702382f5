/**
 * What a session is told when it begins: over what it speaks, and what is different where it dials and where it was booted.
 *
 * @module
 */

import type { Options } from "../protocol/options.ts";
import type { Opening } from "../protocol/superblock.ts";
import type { Wire } from "../transports/wire.ts";
import type { Extending } from "./extending.ts";
import type { Heartbeat } from "./heartbeat.ts";
import type { Hold } from "./hold.ts";
import type { Link } from "./link.ts";
import type { PartsInit } from "./parts.ts";
import type { Hello } from "./peer.ts";

/** The options that a session knows. */
export type SessionOptions = Pick<Options, "timeout" | "acceptExportedModules" | "maxMessageSize" | "expose">;

/** What a session is told. */
export interface SessionInit {
  readonly wire: Wire;
  readonly options: SessionOptions;
  /** Whether the peer may start things here. */
  readonly acceptCalls: boolean;
  /** Called as soon as the peer's hello was read. */
  readonly greeted?: () => void;
  /** What finds out how the peer's stream opens. */
  readonly opening: Pick<Opening, "feed" | "noise">;
  /** The public connection; absent where that is made only when somebody asks for it. */
  readonly connection?: object;
  /** See {@linkcode PartsInit}. */
  readonly beforeCall?: PartsInit["beforeCall"];
  /** See {@linkcode PartsInit}. */
  readonly keep?: PartsInit["keep"];
  /** Makes what sends the extension to a peer that is booted. */
  readonly extending?: (link: Link, heartbeat: Heartbeat) => Extending;
  /** Takes the extension, where this end was booted by its peer, which owns the process. See {@linkcode PartsInit}. */
  readonly extend?: PartsInit["extend"];
  /** Ends the process at once, where nothing is left to do for it once both sides have said goodbye. */
  readonly leave?: () => void;
  /** How long the peer may be silent from its hello on, in milliseconds, where that is not what `timeout` says. */
  readonly patience?: (hello: Hello) => number;
  /** What keeps the process alive as long as it is needed. Absent where the wire does so all the time. */
  readonly hold?: Hold;
}
