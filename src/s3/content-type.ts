import mime from 'mime';

/** By the extension of the key; `application/octet-stream` where it says nothing. */
export const contentTypeOf = (key: string): string => mime.getType(key) ?? 'application/octet-stream';
