/** CRC-32's polynomial, bits reversed as the algorithm has them. */
const polynomial = 0xedb88320;

/**
 * The CRC32 of pieces joined, from the CRC32 and the length in bytes of each: what came before is moved past as many
 * zero bytes (a multiplication by x^(8·length) modulo the polynomial), the piece added. After zlib's crc32_combine.
 */
export function crc32OfJoined(pieces: Iterable<{ readonly crc32: number; readonly size: number }>): number {
  // parts have one size and the last another, so there are two factors to compute for thousands of parts
  const factors = new Map<number, number>();
  let joined = 0;
  for (const { crc32, size } of pieces) {
    const factor = factors.get(size) ?? powerOfX(size * 8);
    factors.set(size, factor);
    joined = (multiply(factor, joined) ^ crc32) >>> 0;
  }
  return joined;
}

/** a·b modulo the polynomial; the highest bit is x⁰. */
function multiply(a: number, b: number): number {
  let product = 0;
  let shifted = b;
  for (let bit = 0x80000000; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) product ^= shifted;
    shifted = shifted & 1 ? (shifted >>> 1) ^ polynomial : shifted >>> 1;
  }
  return product >>> 0;
}

/** x^n modulo the polynomial, by squaring. `n` may pass 2³², so it is halved by arithmetic, not by shifts. */
function powerOfX(n: number): number {
  let result = 0x80000000;
  let square = 0x40000000;
  for (let left = n; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) result = multiply(square, result);
    square = multiply(square, square);
  }
  return result;
}
