import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { Redis } from 'ioredis'
import { answers, freePort } from '../support/services.ts'
import { own } from './owned.ts'
import { until } from './wait.ts'

/** A Redis server whose process this run controls. */
export class RedisServer {
  readonly url: string
  readonly #port: number
  #child: ChildProcess | null = null

  private constructor(port: number) {
    this.#port = port
    this.url = `redis://127.0.0.1:${port}`
  }

  /** Starts a server on a free port without persistence. */
  static async create(): Promise<RedisServer> {
    const redis = new RedisServer(await freePort())
    own(() => redis.#child?.kill('SIGKILL'))
    await redis.start()
    return redis
  }

  /** Starts it again on the same port, empty. */
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

  /** Stops it; clients are disconnected. */
  async stop(): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null) return
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await ended
  }

  /** Suspends it; connections stay open. */
  pause(): void {
    this.#child?.kill('SIGSTOP')
  }

  /** Resumes it. */
  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  /** Sets the memory limit in bytes, beyond which writes are refused; 0 for none. */
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
