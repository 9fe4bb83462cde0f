/** What of a route's access its callers are told. */
export interface RouteAccess {
  auth: 'required' | 'optional' | 'guest' | 'none'
  via?: 'session' | 'token'
}
