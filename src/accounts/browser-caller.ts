import type { Caller } from './caller.ts'
import type { DeviceHolder, Devices } from './devices.ts'
import type { LinkHolder } from './opened-links.ts'
import type { Sessions } from './sessions.ts'

/** A caller whose browser may receive another session and another device cookie. */
export interface BrowserCaller extends Caller, DeviceHolder, LinkHolder {}

/** Replaces the session of the caller's browser. Every login and logout issues a new id (prevents session fixation). */
export type SessionReplacement = Pick<Sessions, 'prepareReplacement' | 'adopt' | 'start'>

/** The tokens of remembered devices. */
export type DeviceTokens = Pick<Devices, 'presentedToken' | 'mintToken' | 'sendCookie'>
