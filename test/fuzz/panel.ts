import fc from 'fast-check'
import type { Answer, Call, Outcome } from '../chaos/http.ts'
import { type Form, formsOf, linksOf } from './forms.ts'
import { ODD_TEXTS } from './generate.ts'

/** How a field is filled in. */
type Fill =
  | { as: 'it is' | 'left out' | 'twice' }
  | { as: 'chosen'; pick: number }
  | { as: 'text'; text: string }

/** A visit of a page on which a form is filled in and sent. */
export interface Visit {
  page: number
  form: number
  fills: readonly Fill[]
  /** Whether hidden fields are changed too. */
  isTampered: boolean
  /** Whether a question that the form leads to is answered with yes. */
  isConfirmed: boolean
}

const MAX_FIELDS = 14

const fill: fc.Arbitrary<Fill> = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Fill>({ as: 'it is' }) },
  { weight: 3, arbitrary: fc.record({ as: fc.constant('chosen' as const), pick: fc.nat(20) }) },
  {
    weight: 3,
    arbitrary: fc.record({ as: fc.constant('text' as const), text: fc.constantFrom(...ODD_TEXTS) }),
  },
  { weight: 1, arbitrary: fc.constantFrom<Fill>({ as: 'left out' }, { as: 'twice' }) },
)

/** Any visit. */
export const visits: fc.Arbitrary<Visit> = fc.record({
  page: fc.nat(60),
  form: fc.nat(20),
  fills: fc.array(fill, { minLength: MAX_FIELDS, maxLength: MAX_FIELDS }),
  isTampered: fc.nat(9).map(number => number === 0),
  isConfirmed: fc.boolean(),
})

/** Sends a call and judges the answer. */
type Send = (call: Call) => Promise<Answer | null>

const isAnswer = (outcome: Outcome | null): outcome is Answer => outcome?.kind === 'answer'

/** The pages of the panel that one user has found. */
export class Panel {
  readonly #pages: string[] = [
    '/admin',
    '/admin/login',
    '/admin/forgot-password',
    '/admin/reset-password',
    '/admin/two-factor',
  ]
  readonly #passwords: Readonly<Record<string, string>>

  /** @param password the user's */
  constructor(password: string) {
    this.#passwords = { password, current_password: password, password_confirmation: password }
  }

  /** Visits a page: opens it, sends one of its forms, and follows where that leads. */
  async visit({ page, form, fills, isTampered, isConfirmed }: Visit, send: Send): Promise<void> {
    const path = this.#pages[page % this.#pages.length] as string
    const opened = await this.#open(path, send)
    if (opened === null) return
    const forms = formsOf(opened.body).filter(({ action }) => !action.endsWith('/logout') || form === 0)
    const chosen = forms[form % Math.max(forms.length, 1)]
    if (chosen === undefined) return
    const answer = await this.#submit(chosen, fills, isTampered, send)
    if (answer === null || !isConfirmed) return
    const question = formsOf(answer.body).find(({ fields }) =>
      fields.some(({ name }) => name === 'confirmed'),
    )
    if (question !== undefined) await this.#submit(question, [], false, send)
  }

  async #open(path: string, send: Send): Promise<Answer | null> {
    const answer = await send({ path })
    if (!isAnswer(answer)) return null
    for (const link of linksOf(answer.body)) if (!this.#pages.includes(link)) this.#pages.push(link)
    return answer.status === 303 ? this.#open(answer.headers.location ?? '/admin', send) : answer
  }

  async #submit(
    { action, method, fields }: Form,
    fills: readonly Fill[],
    isTampered: boolean,
    send: Send,
  ): Promise<Answer | null> {
    const pairs = fields.flatMap(({ name, value, choices, isHidden }, index): [string, string][] => {
      const own = this.#passwords[name] ?? value
      const how = (isHidden && !isTampered ? undefined : fills[index % Math.max(fills.length, 1)]) ?? {
        as: 'it is',
      }
      if (how.as === 'left out') return []
      if (how.as === 'twice')
        return [
          [name, own],
          [name, own],
        ]
      if (how.as === 'text') return [[name, how.text]]
      return [[name, how.as === 'chosen' ? (choices[how.pick % Math.max(choices.length, 1)] ?? own) : own]]
    })
    const query = String(new URLSearchParams(pairs))
    const answer = await send(
      method === 'GET'
        ? { path: `${action}?${query}` }
        : {
            method,
            path: action,
            headers: { 'content-type': 'application/x-www-form-urlencoded' },
            body: Buffer.from(query),
          },
    )
    if (!isAnswer(answer)) return null
    return answer.status === 303 ? this.#open(answer.headers.location ?? '/admin', send) : answer
  }
}
