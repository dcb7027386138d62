/*
 * msgpack: decodes every value of the format and encodes the values of a request.  Texts stay texts, and so do
 * prices.  Integers become numbers, exact up to 2^53, as with JSON.parse.
 */

const utf8 = new TextDecoder();

/** Decodes the value at the start of `bytes`, a Uint8Array; throws if they end too early. */
export function decode(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;

  const skip = (count) => (at += count) - count;
  const big = (high, low) => high * 2 ** 32 + low;
  const size = (width) =>
    width === 1 ? view.getUint8(skip(1)) : width === 2 ? view.getUint16(skip(2)) : view.getUint32(skip(4));

  function raw(count) {
    if (at + count > bytes.length)
      throw new RangeError("msgpack: the bytes end too early");
    return bytes.subarray(at, (at += count));
  }
  function text(count) { // most texts are short ASCII: faster than a TextDecoder
    const it = raw(count);
    let said = "";
    for (let i = 0; i < count && count < 32; i++) {
      if (it[i] > 127)
        return utf8.decode(it);
      said += String.fromCharCode(it[i]);
    }
    return count < 32 ? said : utf8.decode(it);
  }
  function array(count) {
    const them = [];
    for (let i = 0; i < count; i++)
      them.push(value());
    return them;
  }
  function map(count) {
    const members = [];
    for (let i = 0; i < count; i++)
      members.push([value(), value()]);
    return Object.fromEntries(members); // makes "__proto__" an ordinary member
  }
  function extension(count) {
    skip(1); // the type of the extension
    return raw(count);
  }
  function value() {
    const tag = view.getUint8(skip(1));
    if (tag < 0x80) return tag;
    if (tag < 0x90) return map(tag & 15);
    if (tag < 0xa0) return array(tag & 15);
    if (tag < 0xc0) return text(tag & 31);
    if (tag >= 0xe0) return tag - 256;
    switch (tag) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return raw(size(1 << (tag - 0xc4)));
      case 0xc7: case 0xc8: case 0xc9: return extension(size(1 << (tag - 0xc7)));
      case 0xca: return view.getFloat32(skip(4));
      case 0xcb: return view.getFloat64(skip(8));
      case 0xcc: case 0xcd: case 0xce: return size(1 << (tag - 0xcc));
      case 0xcf: return big(view.getUint32(skip(4)), view.getUint32(skip(4)));
      case 0xd0: return view.getInt8(skip(1));
      case 0xd1: return view.getInt16(skip(2));
      case 0xd2: return view.getInt32(skip(4));
      case 0xd3: return big(view.getInt32(skip(4)), view.getUint32(skip(4)));
      case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: return extension(1 << (tag - 0xd4));
      case 0xd9: case 0xda: case 0xdb: return text(size(1 << (tag - 0xd9)));
      case 0xdc: case 0xdd: return array(size(tag === 0xdc ? 2 : 4));
      case 0xde: case 0xdf: return map(size(tag === 0xde ? 2 : 4));
      default: throw new RangeError(`msgpack: no value begins with ${tag}`);
    }
  }

  return value();
}

/** Encodes null, booleans, numbers, texts, arrays and plain objects. */
export function encode(value) {
  const out = [];
  put(value, out);
  return new Uint8Array(out);
}

function head(count, short, limit, tags, out) {
  if (count < limit)
    out.push(short | count);
  else if (count < 256 && tags.length === 3)
    out.push(tags[0], count);
  else if (count < 65536)
    out.push(tags.at(-2), count >> 8, count & 255);
  else
    out.push(tags.at(-1), count >>> 24, (count >> 16) & 255, (count >> 8) & 255, count & 255);
}

function put(value, out) {
  if (value === null || value === undefined) {
    out.push(0xc0);
  } else if (typeof value === "boolean") {
    out.push(value ? 0xc3 : 0xc2);
  } else if (Number.isSafeInteger(value) && value >= 0) {
    if (value < 2 ** 32)
      head(value, 0, 128, [0xcc, 0xcd, 0xce], out);
    else
      putNumber(0xcf, (view) => view.setBigUint64(0, BigInt(value)), out);
  } else if (typeof value === "number") {
    putNumber(0xcb, (view) => view.setFloat64(0, value), out);
  } else if (typeof value === "string") {
    const bytes = new TextEncoder().encode(value);
    head(bytes.length, 0xa0, 32, [0xd9, 0xda, 0xdb], out);
    for (const byte of bytes)
      out.push(byte);
  } else if (Array.isArray(value)) {
    head(value.length, 0x90, 16, [0xdc, 0xdd], out);
    for (const one of value)
      put(one, out);
  } else {
    const members = Object.entries(value).filter(([, member]) => member !== undefined);
    head(members.length, 0x80, 16, [0xde, 0xdf], out);
    for (const [name, member] of members) {
      put(name, out);
      put(member, out);
    }
  }
}

function putNumber(tag, set, out) {
  const view = new DataView(new ArrayBuffer(8));
  set(view);
  out.push(tag, ...new Uint8Array(view.buffer));
}
