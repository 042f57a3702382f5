/**
 * The first byte of every encoded value. docs/values.md describes what follows each of them. Nothing but numbers lives here.
 *
 * @module
 */

// Values that are whole in their tag: an integer from 0 to 127 is its own tag.
/** First tag of the ASCII strings of 0 to 31 characters. */
export const SHORT_STRING = 0x80;
/** First tag of the arrays of 0 to 15 elements. */
export const SHORT_ARRAY = 0xa0;
/** First tag of the records of the message's first 16 shapes. */
export const SHORT_RECORD = 0xb0;

/** `undefined`. */
export const UNDEFINED = 0xc0;
/** `null`. */
export const NULL = 0xc1;
/** `false`. */
export const FALSE = 0xc2;
/** `true`. */
export const TRUE = 0xc3;
/** An integer of 32 bits, not negative. */
export const INTEGER = 0xc4;
/** A negative integer of 32 bits. */
export const NEGATIVE = 0xc5;
/** Any other number. */
export const DOUBLE = 0xc6;
/** A `bigint`. */
export const BIGINT = 0xc7;
/** A string within the message. */
export const STRING = 0xc8;
/** A string in a segment. */
export const SEGMENT_STRING = 0xc9;
/** A well-known symbol. */
export const SYMBOL = 0xca;
/** A symbol of the registry. */
export const REGISTERED_SYMBOL = 0xcb;
/** An object that was in this message before. */
export const BACK = 0xcc;
/** What the session writes: references, functions, streams. */
export const EXTERNAL = 0xcd;
/** An array of 16 elements or more. */
export const ARRAY = 0xce;
/** A missing element of an array. */
export const HOLE = 0xcf;
/** An array as a record: one with few elements for its length. */
export const SPARSE_ARRAY = 0xd0;
/** A record of a later shape. */
export const RECORD = 0xd1;
/** A record with keys of its own. */
export const DICTIONARY = 0xd2;
/** An object without prototype: a record follows. */
export const NULL_OBJECT = 0xd3;
/** An instance of a class: a record follows. */
export const INSTANCE = 0xd4;
/** An instance of a class that extends a built-in one. */
export const DERIVED = 0xd5;
/** What a class made of its instance itself. */
export const CUSTOM = 0xd6;
/** An error. */
export const ERROR = 0xd7;
/** An `ArrayBuffer` or a view of one. */
export const BINARY = 0xd8;
/** Where the bytes of the binary values in what follows are. */
export const BINARY_TABLE = 0xd9;
/** A part of the text of the last block. */
export const TEXT_STRING = 0xda;
/** A block of text, in front of a value. */
export const TEXT = 0xdb;
/** First tag of the built-in objects, in the order of builtins.ts. */
export const BUILTIN = 0xe0;
