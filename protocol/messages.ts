/**
 * What messages say: their kinds, and the small numbers inside them. `docs/protocol.md` gives the layout of each, byte by byte; `session/` writes
 * and reads them.
 *
 * @module
 */

/** The first byte of a message. */
export const MESSAGE: {
  readonly HELLO: 1;
  readonly DEFINE: 2;
  readonly EXTEND: 3;
  readonly CALL: 4;
  readonly RESULT: 5;
  readonly FAILURE: 6;
  readonly CANCEL: 7;
  readonly RELEASE: 8;
  readonly DROP: 9;
  readonly ROOTS: 10;
  readonly FETCH: 11;
  readonly MODULES: 12;
  readonly BLOB: 13;
  readonly GOODBYE: 14;
  readonly STREAM: 15;
  readonly SIGNAL: 16;
  readonly LOG: 17;
} = {
  /** What the sender is and accepts: the first message of each side, one value. */
  HELLO: 1,
  /** Gives a number to a function or class: number, kind (`DEFINITION`), text. */
  DEFINE: 2,
  /** The packed extension, for an end that has only the kernel; or nothing, from such an end, which asks for it. */
  EXTEND: 3,
  /** Asks for an operation: number, flags (`WANT`), base (`BASE`), path, action (`ACTION`), arguments. */
  CALL: 4,
  /** Answers a call: its number, one value. */
  RESULT: 5,
  /** Answers a call that failed: its number, one value, which was thrown. */
  FAILURE: 6,
  /** The caller does not want the result any more: number of the call, one value, the reason; undefined where that cannot travel. */
  CANCEL: 7,
  /** References that the sender does not hold any more: count, then handle and how often it was received. */
  RELEASE: 8,
  /** Held results that the sender does not need any more: count, numbers of the calls. */
  DROP: 9,
  /** Modules that the receiver may import from the sender: 1 if sources follow unasked, count, URLs. */
  ROOTS: 10,
  /** Asks for the source of a module and all that it imports: number, URL. */
  FETCH: 11,
  /** Sources: number of the FETCH or 0, then packed sources, or an error in their place. */
  MODULES: 12,
  /** Bytes of a `Blob` that an earlier message announced: number, bytes or an error in their place. */
  BLOB: 13,
  /** The sender will neither ask nor answer any more. */
  GOODBYE: 14,
  /** Traffic of one stream: what (`STREAM`), number, what belongs to it. */
  STREAM: 15,
  /** A signal of the sender: number, a list of the reason that it was aborted with, or undefined if it never will be. */
  SIGNAL: 16,
  /** Log records: one value, a list. */
  LOG: 17,
};

/** What a STREAM message says. */
export const STREAM: {
  readonly ITEM: 0;
  readonly BYTES: 1;
  readonly END: 2;
  readonly FAIL: 3;
  readonly CREDIT: 4;
  readonly CANCEL: 5;
  readonly THROW: 6;
  readonly DONE: 7;
  readonly UNASKED: 128;
} = {
  /** From the sending end: the next item, a value. */
  ITEM: 0,
  /** From the sending end: the next item, or a part of it, as bytes. */
  BYTES: 1,
  /** From the sending end: nothing more comes. What a generator returned. */
  END: 2,
  /** From the sending end: nothing more comes. Why, a value. */
  FAIL: 3,
  /** From the receiving end: so much more may be sent. */
  CREDIT: 4,
  /** From the receiving end: nothing more is wanted. Why, or what a generator is to return. */
  CANCEL: 5,
  /** From the receiving end: a generator is to go on as if its `yield` had thrown this value, and then to end. */
  THROW: 6,
  /** From the receiving end of a `WritableStream`: END or FAIL was acted upon. */
  DONE: 7,
  /** Added to ITEM and BYTES: sent without credit of the stream, on that of the connection. */
  UNASKED: 128,
};

/** What a definition's text is. */
export const DEFINITION: {
  readonly EXPORTED: 0;
  readonly PUBLIC: 1;
  readonly SOURCE: 2;
  readonly CLASS: 3;
  readonly PUBLIC_CLASS: 4;
} = {
  /** `URL#path` of an exported function or class. */
  EXPORTED: 0,
  /** Name of a global, or `node:module#path`. */
  PUBLIC: 1,
  /** JavaScript of a function or class expression. */
  SOURCE: 2,
  /** As EXPORTED, of a class whose instances will be sent: later messages are not read before it is there. */
  CLASS: 3,
  /** As PUBLIC, likewise. */
  PUBLIC_CLASS: 4,
};

/** Flags of a call: what becomes of its result. */
export const WANT: { readonly VALUE: 1; readonly REFERENCE: 2; readonly HOLD: 4; readonly NOTHING: 8 } = {
  /** Send it. */
  VALUE: 1,
  /** Send a reference to it. */
  REFERENCE: 2,
  /** Keep it, as base or argument of later calls, until a DROP. */
  HOLD: 4,
  /** It was cancelled before it left, and is not to be carried out. */
  NOTHING: 8,
};

/** What an operation starts from. */
export const BASE: {
  readonly DEFINED: 0;
  readonly HANDLE: 1;
  readonly RESULT: 2;
  readonly ROOT: 3;
  readonly MODULE: 4;
  readonly VALUE: 5;
  readonly SOURCE: 6;
} = {
  /** Something that was given a number by DEFINE. */
  DEFINED: 0,
  /** An object of the receiver that the sender holds a reference to. */
  HANDLE: 1,
  /** The held result of an earlier call, by its number. */
  RESULT: 2,
  /** What the receiver exposes. */
  ROOT: 3,
  /** The namespace of a module, by its specifier. */
  MODULE: 4,
  /** A value, which is sent. */
  VALUE: 5,
  /** What a piece of source evaluates to: source, variables. */
  SOURCE: 6,
};

/** What to do with what the path leads to. */
export const ACTION: {
  readonly GET: 0;
  readonly CALL: 1;
  readonly NEW: 2;
  readonly INVOKE: 3;
  readonly SET: 4;
  readonly DELETE: 5;
  readonly HAS: 6;
  readonly ITERATE: 7;
  readonly DISPOSE: 8;
} = {
  /** Nothing: it is the result. */
  GET: 0,
  /** Call it. */
  CALL: 1,
  /** Construct it. */
  NEW: 2,
  /** Construct it if it is a class, else call it. */
  INVOKE: 3,
  /** Assign the one argument to it. */
  SET: 4,
  /** Delete it. */
  DELETE: 5,
  /** Tell whether it is there. */
  HAS: 6,
  /** Start an iteration over it: the result is a stream. */
  ITERATE: 7,
  /** Run its own dispose method, if it has one. */
  DISPOSE: 8,
};

/** Values that go by reference, or that arrive later: the byte behind the codec's tag for them. */
export const REFERENCE: {
  readonly YOURS: 0;
  readonly MINE: 1;
  readonly FUNCTION: 2;
  readonly PROMISE: 3;
  readonly PENDING: 4;
  readonly CODE: 5;
  readonly BLOB: 6;
  readonly SIGNAL: 7;
  readonly READABLE: 8;
  readonly WRITABLE: 9;
  readonly ITERABLE: 10;
  readonly ITSELF: 11;
} = {
  /** An object of the receiver: handle. */
  YOURS: 0,
  /** An object of the sender: handle, name. */
  MINE: 1,
  /** A function of the sender: handle, name. */
  FUNCTION: 2,
  /** A promise of the sender: handle. */
  PROMISE: 3,
  /** What a base and a path of the receiver lead to. */
  PENDING: 4,
  /** A function or class by name or source: number of its definition. */
  CODE: 5,
  /** A Blob: number, media type; its bytes follow in a BLOB message. */
  BLOB: 6,
  /** An AbortSignal: number, state. */
  SIGNAL: 7,
  /** A ReadableStream: number, 1 if it is one of bytes, else 0. */
  READABLE: 8,
  /** A WritableStream: number. */
  WRITABLE: 9,
  /** An async iterable, generator or iterator: number. */
  ITERABLE: 10,
  /** In an answer: the object that the operation started from. */
  ITSELF: 11,
};
