import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { Redis } from 'ioredis'
import { answers, freePort } from '../support/services.ts'
import { own } from './owned.ts'
import { until } from './wait.ts'

/** A Redis server whose process this run starts, stops and signals. */
export class RedisServer {
  readonly url: string
  readonly #port: number
  #child: ChildProcess | null = null

  private constructor(port: number) {
    this.#port = port
    this.url = `redis://127.0.0.1:${port}`
  }

  /** Starts one on a free port, which keeps nothing on disk. */
  static async create(): Promise<RedisServer> {
    const redis = new RedisServer(await freePort())
    own(() => redis.#child?.kill('SIGKILL'))
    await redis.start()
    return redis
  }

  /** Starts it on the same port, empty. */
  async start(): Promise<void> {
    const args = ['--port', String(this.#port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
    const child = spawn('redis-server', args, { stdio: 'ignore' })
    this.#child = child
    const failed = once(child, 'error').then(([error]) => {
      throw error
    })
    await Promise.race([failed, until('Redis to answer', () => answers(this.url))])
    failed.catch(() => {})
  }

  /** Stops it, which its clients are told. */
  async stop(): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null) return
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await ended
  }

  /** Has it do nothing, connected as everybody is. */
  pause(): void {
    this.#child?.kill('SIGSTOP')
  }

  /** Has it go on. */
  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  /** Sets how many bytes it may hold: beyond them it refuses to write. 0 for as many as there are. */
  async setMaxMemory(bytes: number): Promise<void> {
    const client = new Redis(this.url, { lazyConnect: true, retryStrategy: () => null, connectTimeout: 500 })
    client.on('error', () => {})
    try {
      await client.connect()
      await client.config('SET', 'maxmemory-policy', 'noeviction')
      await client.config('SET', 'maxmemory', bytes)
    } finally {
      client.disconnect()
    }
  }
}
