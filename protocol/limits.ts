/**
 * Every limit of the protocol in one place. A peer that exceeds one of them is cut off or has the one operation refused, as the comment says.
 *
 * @module
 */

/** The limits. Sizes are bytes. */
export const LIMITS: {
  readonly bannerSize: number;
  readonly frameSize: number;
  readonly fragmentSize: number;
  readonly openFragments: number;
  readonly messageSize: number;
  readonly inlineBytes: number;
  readonly depth: number;
  readonly bigintDigits: number;
  readonly segments: number;
  readonly text: number;
  readonly streams: number;
  readonly itemCost: number;
  readonly streamAdvance: number;
  readonly streamAdvances: number;
  readonly calls: number;
  readonly references: number;
  readonly awaited: number;
} = {
  /** Text before the first protocol bytes (a login banner, a motd) that is skipped; more is a `ProtocolError`. */
  bannerSize: 64 * 1024,
  /** Payload of one frame that is accepted; more is a `ProtocolError`. */
  frameSize: 256 * 1024,
  /** Bytes of a message that we put into one frame; more goes in several. With what is before them they fill a pipe of the system exactly. */
  fragmentSize: 64 * 1024 - 8,
  /** Messages that may be in the middle of arriving at one time; more is a `ProtocolError`. */
  openFragments: 64,
  /** Default of `maxMessageSize`. */
  messageSize: 1024 * 1024 * 1024,
  /** Binary values up to this size travel inside the message, larger ones as segments behind it. */
  inlineBytes: 16 * 1024,
  /** How deep values may be nested; deeper ones are refused where they are encoded, and fail the one call where they are decoded. */
  depth: 1000,
  /** Hexadecimal digits of one `bigint`. */
  bigintDigits: 1 << 20,
  /** Segments of one message. More large binaries than this travel inside the message. */
  segments: 4096,
  /** UTF-16 units of one block of text: what a short string that is kept may keep with it. */
  text: 8192,
  /** Streams that may be open at one time over a connection. */
  streams: 1 << 16,
  /** What an item of a stream costs beside the bytes of its message: what it takes to keep it. */
  itemCost: 1024,
  /** What may be sent of one stream before anybody has asked for it. */
  streamAdvance: 64 * 1024,
  /** The same for all streams of one direction of a connection. */
  streamAdvances: 1024 * 1024,
  /** Calls of the peer that run or whose results are held for it, all together; more are refused. */
  calls: 1 << 21,
  /** References to objects of the peer that are held; what brings more fails its one call. */
  references: 1 << 21,
  /** Blobs whose bytes have not come, and signals that the peer may still abort; more of either are a `ProtocolError`. */
  awaited: 1 << 16,
};
