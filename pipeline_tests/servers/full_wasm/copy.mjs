// COPY … FROM STDIN: this build traps on the protocol's own way, so the data is collected and read from a device.
import { message } from './messages.mjs'

const FROM_STDIN = /\bfrom\s+stdin\b/i

export class CopyIn {
  #sql
  #parts = []

  static isStartedBy(sql) { return /^\s*copy\b/i.test(sql) && FROM_STDIN.test(sql) }

  constructor(sql) { this.#sql = sql }

  response() { return message('G', Buffer.from([/\bbinary\b/i.test(this.#sql) ? 1 : 0, 0, 0])) }

  add(bytes) { this.#parts.push(bytes) }

  // Gives the number of rows.
  async run(db) {
    const sql = this.#sql.replace(FROM_STDIN, "FROM '/dev/blob'")
    return (await db.query(sql, [], { blob: new Blob(this.#parts) })).affectedRows ?? 0
  }
}
