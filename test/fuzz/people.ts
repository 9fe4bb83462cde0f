import { Secret, TOTP } from 'otpauth'
import type pg from 'pg'
import { hashPassword } from '#src/auth/password.ts'
import { Browser } from '../chaos/browser.ts'
import { type Answer, type Call, describe, type Outcome, send } from '../chaos/http.ts'
import type { Names, PathValue } from './request.ts'

/** Who sends requests. */
export const CALLERS = ['guest', 'token', 'limited token', 'session', 'staff token', 'staff session'] as const
export type CallerKind = (typeof CALLERS)[number]

export const isStaff = (caller: CallerKind): boolean => caller.startsWith('staff')
export const hasSession = (caller: CallerKind): boolean => caller.endsWith('session')

export const PASSWORD = 'fuzz-Password-1'
const ROUNDS = 4

/** The value of Laravel's type columns for users. */
const TYPE = 'App\\Models\\Auth\\User'

/** The ids of a user's rows by the name of the path parameter. */
type Ids = Record<string, string[]>

/** A user with rows to read and change. */
export interface Person {
  id: number
  email: string
  token: string
  limitedToken: string
  ids: Ids
}

/** Adds users to the database, with rows that they create themselves over HTTP. */
export class People {
  readonly #pool: pg.Pool
  readonly #hash: Promise<string>
  readonly #pairs: Promise<{ entry_id: string; video_id: string }[]>
  #count = 0

  constructor(pool: pg.Pool) {
    this.#pool = pool
    this.#hash = hashPassword(PASSWORD, ROUNDS)
    this.#pairs = pool
      .query('select entry_id, video_id from anime_theme_entry_video order by entry_id, video_id limit 50')
      .then(({ rows }) => rows)
  }

  /** Adds a user with two tokens, a playlist of three tracks, an external profile and two notifications. */
  async create(base: string, role: 'Verified' | 'Admin'): Promise<Person> {
    this.#count += 1
    const name = `fuzz${process.pid}n${this.#count}`
    const email = `${name}@example.org`
    const { rows } = await this.#pool.query(
      `with person as (
         insert into users (name, email, password, email_verified_at, created_at)
         values ($1, $2, $3, now(), now()) returning id
       ), roles as (
         insert into model_has_roles (role_id, model_type, model_id)
         select roles.id, $4, person.id from roles, person where roles.name in ('Verified', $5)
       ), told as (
         insert into notifications (id, type, notifiable_type, notifiable_id, data, created_at)
         select gen_random_uuid(), 'App\\Notifications\\Fuzz', $4, id, '{"title":"a"}', now()
         from person, generate_series(1, 2) returning id
       ), tokens as (
         insert into personal_access_tokens (tokenable_type, tokenable_id, name, token, abilities, created_at)
         select $4, id, kind, encode(sha256((kind || $1)::bytea), 'hex'), abilities, now() from person,
           (values ('all', '["*"]'), ('some', '["read:playlist","write:playlist"]')) as kinds (kind, abilities)
         returning id, name
       )
       select (select id from person) as id, (select json_agg(id) from told) as notifications,
         (select json_object_agg(name, id) from tokens) as tokens`,
      [name, email, await this.#hash, TYPE, role],
    )
    const [{ id, notifications, tokens }] = rows
    const token = `${tokens.all}|all${name}`
    const ids: Ids = {
      notification: notifications,
      token: [String(tokens.some), String(tokens.all)],
      id: [String(id)],
      session: [],
      hash: [],
    }
    const person = { id, email, token, limitedToken: `${tokens.some}|some${name}`, ids }
    await this.#addRows(base, person)
    return person
  }

  /** Makes the tokens of a user valid again, whatever ended them. */
  async restoreTokens({ id, token, limitedToken }: Person): Promise<void> {
    for (const [text, name, abilities] of [
      [token, 'all', '["*"]'],
      [limitedToken, 'some', '["read:playlist","write:playlist"]'],
    ] as const) {
      const [tokenId, secret = ''] = text.split('|')
      await this.#pool.query(
        `insert into personal_access_tokens (id, tokenable_type, tokenable_id, name, token, abilities, created_at)
         select $1, $2, id, $4, encode(sha256($5::bytea), 'hex'), $6, now() from users where id = $3
         on conflict (id) do nothing`,
        [tokenId, TYPE, id, name, secret, abilities],
      )
    }
  }

  async #addRows(base: string, { token, ids }: Person) {
    const create = async (path: string, json: object): Promise<Record<string, { id: string | number }>> => {
      const answer = await send(base, { method: 'POST', path, token, json })
      if (answer.kind !== 'answer' || answer.status !== 201)
        throw new Error(`POST ${path}: ${describe(answer)}`)
      return answer.json as Record<string, { id: string | number }>
    }
    const { playlist } = await create('/api/playlist', { name: 'first', visibility: 'Public' })
    const tracks: string[] = []
    for (const { entry_id, video_id } of (await this.#pairs).slice(0, 3)) {
      const path = `/api/playlist/${playlist?.id}/track`
      const { track } = await create(path, { entry_id: Number(entry_id), video_id: Number(video_id) })
      tracks.push(String(track?.id))
    }
    const profile = { name: `p${ids.id?.[0]}`, site: 'AniList', visibility: 'Public' }
    const { externalprofile } = await create('/api/externalprofile', profile)
    const entries = await this.#pool.query(
      `insert into external_entries (profile_id, score, is_favorite, status, created_at)
       values ($1, 7, true, 1, now()) returning entry_id`,
      [externalprofile?.id],
    )
    Object.assign(ids, {
      playlist: [String(playlist?.id)],
      track: tracks,
      externalprofile: [String(externalprofile?.id)],
      externalentry: entries.rows.map(row => String(row.entry_id)),
    })
  }

  /** An entry and a video that belong together. */
  async pair(index: number): Promise<{ entry: number; video: number }> {
    const pairs = await this.#pairs
    const { entry_id, video_id } = pairs[index % pairs.length] as { entry_id: string; video_id: string }
    return { entry: Number(entry_id), video: Number(video_id) }
  }
}

/** A user who sends requests, or a guest. */
export class Caller implements Names {
  readonly kind: CallerKind
  readonly person: Person
  readonly #other: Person
  readonly #browser = new Browser()
  readonly #people: People
  #pair = { entry: 0, video: 0 }
  #count = 0
  /** The secret of the second factor in Base32, once it was shown. */
  #secret: string | null = null
  #isLost = false

  /** @param other the user whose rows are not the caller's */
  constructor(people: People, kind: CallerKind, person: Person, other: Person) {
    this.#people = people
    this.kind = kind
    this.person = person
    this.#other = other
  }

  /** Makes the credentials valid again if they ended, unless requests have changed the password or deleted the user. */
  async revive(base: string): Promise<void> {
    if (!this.#isLost) return
    this.#isLost = false
    if (hasSession(this.kind)) await this.logIn(base)
    else await this.#people.restoreTokens(this.person)
  }

  /** Logs in and confirms the password. */
  async logIn(base: string): Promise<void> {
    if (!hasSession(this.kind)) return
    const post = (path: string, json: object) => this.#browser.send(base, { method: 'POST', path, json })
    const login = await this.#browser.logIn(base, { email: this.person.email, password: PASSWORD })
    if ((login as Answer).json?.two_factor === true) await post('/two-factor-challenge', { code: this.#code })
    await post('/user/confirm-password', { password: PASSWORD })
    const sessions = await this.#browser.send(base, { path: '/api/me/session' })
    const rows = (sessions as Answer).json?.sessions as { id: string }[] | undefined
    this.person.ids.session = (rows ?? []).map(({ id }) => id)
  }

  /** Uses an entry and a video for the next requests. */
  use(pair: { entry: number; video: number }): void {
    this.#pair = pair
  }

  /** Sends a call with the caller's credentials, without the proof of its page if it is forged. */
  send(base: string, call: Call, isForged = false): Promise<Outcome> {
    const { kind, person } = this
    if (kind === 'guest') return send(base, call)
    if (hasSession(kind)) {
      const forged = { 'x-xsrf-token': 'forged', origin: 'http://localhost:3000' }
      return this.#browser.send(base, isForged ? { ...call, headers: { ...call.headers, ...forged } } : call)
    }
    const token = kind === 'limited token' ? person.limitedToken : person.token
    return send(base, { ...call, token })
  }

  /** The placeholders of the credentials in a curl command. */
  get credentials(): string[] {
    if (this.kind === 'guest') return []
    if (!hasSession(this.kind)) return [`-H "Authorization: Bearer $TOKEN"`]
    return ['-b "$COOKIES"', '-H "X-XSRF-TOKEN: $CSRF"', `-H 'Origin: http://localhost:3000'`]
  }

  /** Takes from an answer the ids of created rows and the second factor's secret, and whether credentials have ended. */
  learn({ json, status }: Answer, isForged: boolean): void {
    if ((status === 401 || status === 419) && !isForged) this.#isLost = true
    if (typeof json?.secretKey === 'string') this.#secret = json.secretKey
    if (status !== 201 || json === null) return
    for (const [name, ids] of Object.entries(this.person.ids)) {
      const row = json[name] as { id?: string | number } | undefined
      if (row?.id !== undefined) ids.push(String(row.id))
    }
  }

  /** The current code of the authenticator app. */
  get #code(): string {
    return this.#secret === null ? '000000' : new TOTP({ secret: Secret.fromBase32(this.#secret) }).generate()
  }

  valueOf(name: string): string | number | undefined {
    const [kind = '', index = '0'] = name.split(':')
    this.#count += 1
    const values: Record<string, () => string | number | undefined> = {
      email: () => this.person.email,
      password: () => PASSWORD,
      code: () => this.#code,
      entry: () => this.#pair.entry,
      video: () => this.#pair.video,
      track: () => this.person.ids.track?.[Number(index)] ?? 'none',
      'new-email': () => `new${this.person.id}n${this.#count}@example.org`,
      'new-name': () => `new${this.person.id}n${this.#count}`,
    }
    return values[kind]?.()
  }

  idOf({ name, owner, pick }: PathValue): string {
    if (owner === 'none') return pick
    const ids = (owner === 'own' ? this.person : this.#other).ids[name] ?? []
    return ids[Number(pick) % Math.max(ids.length, 1)] ?? 'none'
  }
}
