import type { Access } from './access.ts'

/**
 * Who may set up, show or remove a second factor: whoever finds a browser that is logged in must not take it from its
 * user, nor give one.
 */
export const SECOND_FACTOR_ACCESS: Access = {
  auth: 'required',
  via: 'session',
  password: 'confirmed',
  beforeSecondFactor: true,
}
