// The signatures of jsr:@std/streams@1 that this project may use. Nothing of our own belongs here: what is declared must hold for the real package.

export interface TextLineStreamOptions {
  allowCR?: boolean;
}

export declare class TextLineStream extends TransformStream<string, string> {
  constructor(options?: TextLineStreamOptions);
}

export declare class ByteSliceStream extends TransformStream<Uint8Array, Uint8Array> {
  constructor(start?: number, end?: number);
}

export declare class LimitedBytesTransformStream extends TransformStream<Uint8Array, Uint8Array> {
  constructor(size: number, options?: { error?: boolean });
}

export declare function concatReadableStreams<T>(...streams: ReadableStream<T>[]): ReadableStream<T>;
export declare function mergeReadableStreams<T>(...streams: ReadableStream<T>[]): ReadableStream<T>;
export declare function toArrayBuffer(stream: ReadableStream<Uint8Array>): Promise<ArrayBuffer>;
export declare function toBlob(stream: ReadableStream<Uint8Array>): Promise<Blob>;
export declare function toBytes(stream: ReadableStream<Uint8Array>): Promise<Uint8Array>;
export declare function toJson(stream: ReadableStream): Promise<unknown>;
export declare function toText(stream: ReadableStream): Promise<string>;
