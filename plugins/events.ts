import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'

/** What happens to accounts. */
export type AccountEvent =
  | 'registered'
  | 'login'
  | 'logout'
  | 'wrong password'
  | 'wrong code'
  | 'password confirmed'
  | 'password changed'
  | 'password reset'
  | 'password reset asked for'
  | 'email verified'
  | 'profile changed'
  | 'second factor enabled'
  | 'second factor confirmed'
  | 'second factor removed'
  | 'recovery codes shown'
  | 'recovery codes replaced'
  | 'device stolen'
  | 'account deleted'

/** Whose account it is, and what else there is to know, such as the cause: never a secret. */
interface EventDetails {
  /** Null for nobody's. */
  userId: number | null
  [detail: string]: string | number | boolean | null
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Writes to the log what happened to an account, and from where. */
    record(event: AccountEvent, details: EventDetails): void
  }
}

/** Adds `request.record()`. */
export default fp(
  async app => {
    app.decorateRequest(
      'record',
      function (this: FastifyRequest, event: AccountEvent, details: EventDetails) {
        this.log.info({ ...details, address: this.ip }, event)
      },
    )
  },
  { name: 'events' },
)
