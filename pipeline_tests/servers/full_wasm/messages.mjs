// Messages of PostgreSQL's wire protocol, version 3: cutting them out of a stream, building and reading them.

const bytesOf = (part) => typeof part === 'string' ? Buffer.from(`${part}\0`) : part

// A message of a type with its parts; text parts are ended by a zero byte.
export function message(type, ...parts) {
  const body = Buffer.concat(parts.map(bytesOf)), head = Buffer.alloc(5)
  head.write(type, 0, 'latin1')
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

// The text at a place, and the place after it.
export function cstring(bytes, at) {
  const end = bytes.indexOf(0, at)
  return [bytes.toString('utf8', at, end), end + 1]
}

const ERROR_FIELDS = { code: 'C', message: 'M', detail: 'D', hint: 'H', where: 'W', schema: 's', table: 't',
  column: 'c', dataType: 'd', constraint: 'n' }

// What the client library turned into an exception, as the message it came from.
export function errorMessage(error) {
  const fields = { S: 'ERROR', V: 'ERROR', C: 'XX000' }
  for (const [name, field] of Object.entries(ERROR_FIELDS)) if (error[name]) fields[field] = String(error[name])
  return message('E', ...Object.entries(fields).map(([field, text]) => field + text), Buffer.alloc(1))
}

// The transaction status of the last ReadyForQuery in some output.
export function lastStatus(output, status) {
  for (let at = 0; at + 5 <= output.length; at += 1 + output.readInt32BE(at + 1)) {
    if (output[at] === 0x5a) status = String.fromCharCode(output[at + 5])
  }
  return status
}

// The same message with a name of the connection's own for its prepared statement: all share one session.
export function withOwnStatements(frame, id) {
  const type = String.fromCharCode(frame[0]), body = frame.subarray(5), prefix = Buffer.from(`c${id}_`)
  let at = -1
  if (type === 'P') at = 0
  else if (type === 'B') at = cstring(body, 0)[1] // after the name of the portal
  else if ((type === 'D' || type === 'C') && body[0] === 0x53) at = 1
  if (at < 0 || body[at] === 0) return frame // the unnamed statement lives for one message group
  return message(type, body.subarray(0, at), prefix, body.subarray(at))
}

// Cuts a stream of bytes into messages.
export class Frames {
  #bytes = Buffer.alloc(0)

  add(bytes) { this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]) }

  next() { return this.#cut(1) }

  nextUntyped() { return this.#cut(0) } // the first one of a connection has no type

  #cut(lengthAt) {
    if (this.#bytes.length < lengthAt + 4) return null
    const length = lengthAt + this.#bytes.readInt32BE(lengthAt)
    if (this.#bytes.length < length) return null
    const frame = Buffer.from(this.#bytes.subarray(0, length))
    this.#bytes = this.#bytes.subarray(length)
    return frame
  }
}
