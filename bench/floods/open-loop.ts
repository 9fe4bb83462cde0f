/**
 * A process that sends requests at a fixed rate, whether or not earlier ones have a response (an open loop): due
 * requests wait for a free connection, one request at a time on each. Options come as JSON in the first argument, calls
 * as JSON lines on standard input; the result is JSON on standard output.
 *
 * It writes bytes to sockets and parses only lengths: Node's HTTP client takes as much CPU as the server.
 */
import { connect, type Socket } from 'node:net'
import { createHistogram, performance } from 'node:perf_hooks'
import { text } from 'node:stream/consumers'
import type { Call } from '../load.ts'

/** The load. */
export interface OpenLoop {
  url: string
  path: string
  connections: number
  /** Requests per second; unlimited if not finite (null in JSON). */
  rate: number | null
  seconds: number
}

/** The result. Latencies are in milliseconds, from the request sent to the response received. */
export interface OpenLoopResult {
  /** Requests sent per second. */
  offered: number
  /** Responses per second with status 2xx and 503. */
  accepted: number
  shed: number
  /** 503 without Retry-After, other statuses, and connections that failed. */
  failed: number
  p50: number
  p99: number
  max: number
  /** The 99th percentile of 503 responses. */
  shedP99: number
  /** The longest time to connect. */
  connectMax: number
}

const { url, path, connections, rate, seconds } = JSON.parse(process.argv[2] as string) as OpenLoop
const { hostname, port } = new URL(url)
const calls = (await text(process.stdin)).split('\n').map(line => JSON.parse(line) as Call)

const requests = calls.map(({ headers, method = 'GET', body = '' }) => {
  const length = body === '' ? [] : [`content-length: ${Buffer.byteLength(body)}`]
  const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  const head = [`${method} ${path} HTTP/1.1`, `host: ${hostname}`, ...fields, ...length]
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`)
})

const accepted = createHistogram()
const shed = createHistogram()
let failed = 0
let sent = 0
let connectMax = 0
let isOver = false

const idle: Connection[] = []

class Connection {
  #socket: Socket | undefined
  #sentAt = 0
  #isBusy = false
  #received = ''

  open() {
    const from = performance.now()
    const socket = connect(Number(port), hostname)
    this.#socket = socket
    socket.setNoDelay(true)
    socket.setEncoding('latin1')
    socket.once('connect', () => {
      connectMax = Math.max(connectMax, performance.now() - from)
      this.#free()
    })
    socket.on('data', chunk => this.#read(String(chunk)))
    socket.on('error', () => {})
    socket.once('close', () => {
      if (this.#isBusy) failed += 1
      this.#isBusy = false
      const index = idle.indexOf(this)
      if (index !== -1) idle.splice(index, 1)
      if (!isOver) this.open()
    })
  }

  send(request: Buffer) {
    this.#isBusy = true
    this.#sentAt = performance.now()
    this.#received = ''
    this.#socket?.write(request)
  }

  close() {
    this.#socket?.destroy()
  }

  #read(chunk: string) {
    this.#received += chunk
    const end = this.#received.indexOf('\r\n\r\n')
    if (end === -1) return
    const head = this.#received.slice(0, end)
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0)
    if (this.#received.length < end + 4 + length) return
    const microseconds = Math.max(1, Math.round((performance.now() - this.#sentAt) * 1000))
    const status = Number(head.slice(9, 12))
    if (status >= 200 && status < 300) accepted.record(microseconds)
    else if (status === 503 && /\r\nretry-after:/i.test(head)) shed.record(microseconds)
    else failed += 1
    this.#isBusy = false
    if (/\r\nconnection: close/i.test(head)) this.#socket?.end()
    else this.#free()
  }

  #free() {
    idle.push(this)
    dispatch()
  }
}

const pool = Array.from({ length: connections }, () => new Connection())
for (const connection of pool) connection.open()

const start = performance.now()
const dueBy = (now: number) => (rate === null ? Number.POSITIVE_INFINITY : (rate * (now - start)) / 1000)

function dispatch() {
  if (isOver) return
  const due = dueBy(performance.now())
  while (sent < due) {
    const connection = idle.pop()
    if (connection === undefined) return
    connection.send(requests[sent % requests.length] as Buffer)
    sent += 1
  }
}

const timer = setInterval(dispatch, 1)
setTimeout(() => {
  isOver = true
  clearInterval(timer)
  const elapsed = (performance.now() - start) / 1000
  for (const connection of pool) connection.close()
  const result: OpenLoopResult = {
    offered: sent / elapsed,
    accepted: accepted.count / elapsed,
    shed: shed.count / elapsed,
    failed,
    p50: accepted.percentile(50) / 1000,
    p99: accepted.percentile(99) / 1000,
    max: accepted.max / 1000,
    shedP99: shed.percentile(99) / 1000,
    connectMax,
  }
  process.stdout.write(JSON.stringify(result))
}, seconds * 1000)
