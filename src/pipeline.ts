import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import access from '../plugins/access.ts'
import accounts from '../plugins/accounts.ts'
import afterAnswer from '../plugins/after-response.ts'
import area from '../plugins/area.ts'
import attempts from '../plugins/attempts.ts'
import authority from '../plugins/authority.ts'
import body from '../plugins/body.ts'
import browsers from '../plugins/browsers.ts'
import ceiling from '../plugins/ceiling.ts'
import clientAddress from '../plugins/client-address.ts'
import confirmation from '../plugins/confirmation.ts'
import cors from '../plugins/cors.ts'
import counters from '../plugins/counters.ts'
import credentials from '../plugins/credentials.ts'
import csrf from '../plugins/csrf.ts'
import database from '../plugins/database.ts'
import enteredPassword from '../plugins/entered-password.ts'
import errors from '../plugins/errors.ts'
import events from '../plugins/events.ts'
import firstParty from '../plugins/first-party.ts'
import host from '../plugins/host.ts'
import sentOnce from '../plugins/idempotent-forms.ts'
import identify from '../plugins/identify.ts'
import identityChanges from '../plugins/identity-changes.ts'
import keys from '../plugins/keys.ts'
import activity from '../plugins/last-use.ts'
import login from '../plugins/login.ts'
import mail from '../plugins/mail.ts'
import metrics from '../plugins/metrics.ts'
import openapi from '../plugins/openapi.ts'
import overload from '../plugins/overload.ts'
import panel from '../plugins/panel.ts'
import passwords from '../plugins/passwords.ts'
import preflight from '../plugins/preflight.ts'
import rateLimit from '../plugins/rate-limit.ts'
import requestCaller from '../plugins/request-caller.ts'
import requestEnd from '../plugins/request-end.ts'
import requestLog from '../plugins/request-log.ts'
import requestTimeout from '../plugins/request-timeout.ts'
import rowWrites from '../plugins/row-writes.ts'
import screening from '../plugins/screening.ts'
import secondFactor from '../plugins/second-factor.ts'
import securityHeaders from '../plugins/security-headers.ts'
import securityMails from '../plugins/security-mails.ts'
import sessions from '../plugins/sessions.ts'
import staff from '../plugins/staff.ts'
import steps from '../plugins/steps.ts'
import swaggerUi from '../plugins/swagger-ui.ts'
import tokens from '../plugins/tokens.ts'
import userKeys from '../plugins/user-keys.ts'
import userWrites from '../plugins/user-writes.ts'

/** What steps stand on: they come first, and are closed last. */
const SERVICES: readonly FastifyPluginAsync[] = [
  steps, // runs for each request the steps that its route needs
  errors, // answers errors in Laravel's JSON
  requestEnd, // tells when a request is over, also when its client hung up
  metrics, // counts and measures
  overload, // publishes what waits and what was shed
  database, // identities and readiness
  identityChanges, // has the cache of identities follow the database, before changes are answered
  counters, // of request rates in memory or Redis, of attempts in the database
  keys, // APP_KEY and the keys before it
  mail, // to users; what is under way when the server stops gets a few seconds
  events, // what happens to accounts
]

/**
 * The steps that every request passes, in this order. A step may have parts in later phases (src/http/step.ts), which run in
 * the same order.
 */
const STEPS: readonly FastifyPluginAsync[] = [
  // With the head of the request. What refuses comes behind the headers that every answer has.
  requestTimeout, // 503 when it is not answered in time
  area, // marks what it belongs to: API, website, panel
  securityHeaders, // on every answer
  host, // 400 for two hosts, or for one that is not ours
  clientAddress, // whom limits count it for while nobody is known to call
  cors, // which pages of other origins may read the answer
  ceiling, // 429 for far more than any limit allows, before anything is looked up
  body, // 408 for a form that was read for its method and came too slowly; reads bodies, and makes Laravel's input of them
  preflight, // 204 for a browser that asks what it may send
  firstParty, // whether its cookies count
  attempts, // bounds on tries of passwords, codes and tokens, which the next steps ask
  sessions, // sends the cookies of sessions and remembered browsers with the answer
  identify, // who calls: by session, remembered browser or bearer token; once more when the body came late
  rateLimit, // 429 for too many requests of a user or an address
  csrf, // 419 for a change in a session that no page of ours asked for; its guards may wait for the body's token
  userWrites, // 503 when too many writes of one user wait, before any row is read
  access, // 401, 403, 404, 405 as the route declares; then loads the row that the path names: 404, 403
  panel, // 403 for a form of the panel from a page of another origin
  // With the body, once its schema has accepted it.
  sentOnce, // leads a form of the panel that was sent twice to where it led
  enteredPassword, // 422 without the password that a form brings along
  confirmation, // asks before a form does what cannot be undone
  rowWrites, // 404, 403 where one statement finds, judges and writes a row
  requestLog, // one line, once it is over
]

/** What handlers call, and what runs beside requests. */
const USE_CASES: readonly FastifyPluginAsync[] = [
  requestCaller, // what a handler asks of whoever calls
  authority, // asks again under lock before a write that gives or takes power
  afterAnswer, // work whose time no answer may tell
  screening, // of new names, addresses and passwords
  credentials, // passwords, checked and hashed in turns
  passwords, // confirming, changing and resetting them
  secondFactor,
  login,
  accounts, // registering, profile, e-mail addresses, the account's end
  tokens,
  browsers, // the sessions and devices of a user
  staff, // users, roles, bans and notifications, for those who run the place
  securityMails, // tells users what happens to their accounts
  activity, // when tokens and sessions were last used
  userKeys, // keys by which names and addresses are compared
  openapi, // the document, made of the routes
  swaggerUi,
]

/** Registers all plugins, in the order that is written down above: nothing depends on the names of files. */
export const pipeline = fp(
  async app => {
    for (const plugin of [...SERVICES, ...STEPS, ...USE_CASES]) await app.register(plugin)
  },
  { name: 'pipeline' },
)
