import type { Access } from './access.ts'

/**
 * The access of routes that set up, show or remove the second factor. They require the password, so that an unattended
 * browser is not enough.
 */
export const SECOND_FACTOR_ACCESS: Access = {
  auth: 'required',
  via: 'session',
  password: 'confirmed',
  beforeSecondFactor: true,
}
