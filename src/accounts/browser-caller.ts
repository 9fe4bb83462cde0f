import type { Caller } from './caller.ts'
import type { DeviceHolder, Devices } from './devices.ts'
import type { Sessions } from './sessions.ts'

/** A caller whose browser gets another session by what is asked for, and perhaps is remembered or forgotten. */
export interface BrowserCaller extends Caller, DeviceHolder {}

/** Replaces the sessions of callers' browsers: whoever logs in or out gets another id (session fixation). */
export type SessionReplacement = Pick<Sessions, 'next' | 'adopt' | 'start'>

/** The tokens by which browsers are remembered beyond their session. */
export type DeviceTokens = Pick<Devices, 'presented' | 'mint' | 'send'>
