/**
 * The proof: how two sides show each other that they know a secret before anything else is parsed. Challenge and response over a stream of bytes; what
 * carries them is `transports/proof.ts`, and what follows is a stream that opens as `superblock.ts` says.
 *
 * @module
 */

import { ProtocolError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { PROOF_MAGIC } from "./superblock.ts";
import { MAJOR, MINOR, VERSION } from "./version.ts";

/** Size of a challenge in bytes. */
export const CHALLENGE_SIZE = 48;
/** Size of a nonce in bytes. */
export const NONCE_SIZE = 32;
/** Size of an answer to a challenge in bytes. */
export const ANSWER_SIZE = 32;

/**
 * Which side of a connection one is. The one that dialled answers first: so who listens gives strangers nothing that they could try passwords on, or
 * pass on to another that listens. `either` is for streams that no stranger reaches, as it plays whichever part the peer leaves.
 */
export const SIDE: { readonly either: 0; readonly dials: 1; readonly listens: 2 } = { either: 0, dials: 1, listens: 2 };
/** A value of {@linkcode SIDE}. */
export type Side = typeof SIDE[keyof typeof SIDE];

const text = (it: string): Uint8Array => new TextEncoder().encode(it);
const MAGIC = Uint8Array.from(PROOF_MAGIC);
/** What sides say that ask for no proof: the first half of a superblock, and a BIOS. */
const UNPROVED = [Uint8Array.of(0x8b, ...text("across\n")), text("~across1")];
const LABEL = text("across proof 1: ");

/** What a proof speaks over. Both reject when the stream ends or breaks. */
export interface ProofStream {
  /** Gives exactly as many bytes. */
  read(size: number): Promise<Uint8Array>;
  /** Resolves when they have left. */
  write(bytes: Uint8Array): Promise<void> | undefined;
}

/** What a proof is made with. */
export interface ProofInit {
  readonly side: Side;
  /** 32 bytes that were never used before. */
  readonly nonce: Uint8Array;
  /** HMAC-SHA-256 under the secret. */
  readonly mac: (bytes: Uint8Array) => Promise<Uint8Array>;
}

/**
 * Whether two arrays of the same length are equal, found out in a time that does not depend on where they differ.
 *
 * @param left One.
 * @param right The other one.
 */
export function equalBytes(left: ArrayLike<number>, right: ArrayLike<number>): boolean {
  let difference = left.length ^ right.length;
  for (let i = 0; i < left.length; i++) difference |= left[i]! ^ right[i]!;
  return difference === 0;
}

/** The bytes that a side sends first: magic (8), major and minor version (2 each), side (1), zeros (3), and its nonce (32). */
export function challenge(side: Side, nonce: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(...MAGIC, MAJOR & 255, MAJOR >> 8, MINOR & 255, MINOR >> 8, side, 0, 0, 0, ...nonce);
}

/**
 * What the HMAC is made of: a label, which side answers (1 byte), and both challenges with all that is in them.
 *
 * @param side Who answers.
 * @param dialled The challenge of the side that dialled.
 * @param listened The challenge of the side that listened.
 */
export function answerBytes(side: Side, dialled: Uint8Array, listened: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(...LABEL, side, ...dialled, ...listened);
}

/** Reads the peer's challenge. Where one dialled, it may stand behind the banner of something on the way. */
async function readChallenge({ read }: ProofStream, side: Side): Promise<Uint8Array> {
  let head = await read(MAGIC.length);
  for (let skipped = 0; !equalBytes(head, MAGIC); skipped++) {
    if (UNPROVED.some((it) => equalBytes(head, it))) throw refusal("it neither asks for a proof nor gives one");
    if (side === SIDE.listens || skipped === LIMITS.bannerSize) throw refusal("it sent no challenge");
    head = Uint8Array.of(...head.subarray(1), ...await read(1));
  }
  const found = Uint8Array.of(...head, ...await read(CHALLENGE_SIZE - MAGIC.length));
  const major = found[8]! | found[9]! << 8, minor = found[10]! | found[11]! << 8;
  if (major !== MAJOR || minor !== MINOR) {
    throw new ProtocolError(`Cannot speak with across ${major}.${minor} as this is across ${VERSION}`);
  }
  return found;
}

/** Whether we are the side that dialled. Where neither knows, the greater nonce decides. */
function dials(side: Side, mine: Uint8Array, theirs: Uint8Array): boolean {
  const other = theirs[12]!;
  if (side && side === other) {
    throw refusal(`both sides ${side === SIDE.dials ? "dialled" : "wait for one that dials"}`);
  }
  if (side || other) return side ? side === SIDE.dials : other === SIDE.listens;
  // That they differ is known.
  const at = mine.findIndex((byte, index) => byte !== theirs[index]);
  return mine[at]! > theirs[at]!;
}

/** The error of a peer that is not let in. */
export function refusal(why: string, cause?: unknown): ProtocolError {
  return new ProtocolError(`Cannot authenticate the peer: ${why}`, cause === undefined ? {} : { cause });
}

/**
 * Proves to a peer that we know the secret, and has it prove the same.
 *
 * @param stream What lies between.
 * @param init What the proof is made with.
 * @throws {ProtocolError} If the peer does not prove it.
 */
export async function prove(stream: ProofStream, { side, nonce, mac }: ProofInit): Promise<void> {
  const mine = challenge(side, nonce);
  await stream.write(mine);
  const theirs = await readChallenge(stream, side);
  if (equalBytes(theirs.subarray(CHALLENGE_SIZE - NONCE_SIZE), nonce)) throw refusal("it sent our challenge back");
  const first = dials(side, mine, theirs);
  const answerOf = (side: Side) => mac(first ? answerBytes(side, mine, theirs) : answerBytes(side, theirs, mine));
  const expected = await answerOf(first ? SIDE.listens : SIDE.dials);
  if (first) await stream.write(await answerOf(SIDE.dials));
  if (!equalBytes(await stream.read(ANSWER_SIZE), expected)) throw refusal("it does not know the secret");
  if (!first) await stream.write(await answerOf(SIDE.listens));
}
