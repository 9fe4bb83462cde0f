import type { ColumnType, Generated } from 'kysely'
import type { EpochMillis, EpochSeconds } from '#src/runtime/units.ts'

/**
 * A `timestamp without time zone` as PostgreSQL prints it, always UTC: `2026-03-01 12:34:56[.123456]`.
 * Kept as text so that microseconds survive; `src/auth/time.ts` reads and writes the form.
 */
export type TimestampText = string

type CreatedAt = ColumnType<TimestampText, TimestampText | undefined, TimestampText>

export interface UsersTable {
  id: Generated<number>
  name: string
  email: string
  email_verified_at: TimestampText | null
  password: string
  two_factor_secret: string | null
  two_factor_recovery_codes: string | null
  two_factor_confirmed_at: TimestampText | null
  remember_token: string | null
  created_at: CreatedAt
  updated_at: CreatedAt
  deleted_at: TimestampText | null
  /** Keys for comparing names and addresses, in columns that Laravel does not have; NULL until they are filled in. */
  name_key: string | null
  name_skeleton: string | null
  email_key: string | null
}

export interface PersonalAccessTokensTable {
  id: Generated<number>
  tokenable_type: string
  tokenable_id: number
  name: string
  token: string
  abilities: string | null
  last_used_at: TimestampText | null
  /** Address and client of the last use, in columns that Laravel does not have. */
  last_used_ip: string | null
  last_used_agent: string | null
  /** A JSON array of allowed addresses and ranges; NULL for all. */
  allowed_ips: string | null
  /** The id of the token that issued it, in a column that Laravel does not have; NULL for a session. */
  issued_by: number | null
  /** The ids of issuers that it inherited from tokens that it replaced: it ends with them too. Not in Laravel. */
  inherited_issuers: number[] | null
  expires_at: TimestampText | null
  created_at: TimestampText | null
  updated_at: TimestampText | null
}

/** Which token a leak report of a replaced token ends too: not a table of Laravel. */
export interface TokenSuccessorsTable {
  /** The SHA-256 of the reported token's secret. */
  digest: string
  token_id: number
}

export interface PermissionsTable {
  id: Generated<number>
  name: string
  guard_name: string
  created_at: TimestampText | null
  updated_at: TimestampText | null
}

export interface RolesTable {
  id: Generated<number>
  name: string
  guard_name: string
  default: Generated<boolean>
  color: string | null
  priority: Generated<number>
  created_at: TimestampText | null
  updated_at: TimestampText | null
}

export interface ModelHasPermissionsTable {
  permission_id: number
  model_type: string
  model_id: number
}

export interface ModelHasRolesTable {
  role_id: number
  model_type: string
  model_id: number
}

export interface RoleHasPermissionsTable {
  permission_id: number
  role_id: number
}

export interface ProhibitionsTable {
  id: Generated<number>
  name: string
  created_at: TimestampText | null
  updated_at: TimestampText | null
}

export interface SanctionsTable {
  id: Generated<number>
  name: string
  created_at: TimestampText | null
  updated_at: TimestampText | null
}

export interface SanctionProhibitionTable {
  sanction_id: number
  prohibition_id: number
  created_at: TimestampText | null
  updated_at: TimestampText | null
}

interface Restriction {
  model_type: string
  model_id: number
  moderator_type: string | null
  moderator_id: number | null
  expires_at: TimestampText | null
  reason: string | null
  created_at: TimestampText | null
  updated_at: TimestampText | null
}

export interface ModelProhibitionsTable extends Restriction {
  prohibition_id: number
}

export interface ModelSanctionsTable extends Restriction {
  sanction_id: number
}

export interface PlaylistsTable {
  playlist_id: Generated<number>
  created_at: CreatedAt
  updated_at: CreatedAt
  hashid: string | null
  name: string
  visibility: number
  user_id: number
  description: string | null
  first_id: number | null
  last_id: number | null
}

export interface PlaylistTracksTable {
  track_id: Generated<number>
  created_at: CreatedAt
  updated_at: CreatedAt
  hashid: string | null
  playlist_id: number
  entry_id: number | null
  video_id: number | null
  previous_id: number | null
  next_id: number | null
  position: Generated<number>
}

export interface ExternalProfilesTable {
  profile_id: Generated<number>
  created_at: CreatedAt
  updated_at: CreatedAt
  name: string
  site: number
  visibility: number
  user_id: number | null
  synced_at: TimestampText | null
  external_user_id: number | null
}

export interface ExternalEntriesTable {
  entry_id: Generated<number>
  created_at: CreatedAt
  updated_at: CreatedAt
  score: number | null
  status: number
  is_favorite: Generated<boolean>
  anime_id: number | null
  profile_id: number
}

export interface ExternalTokensTable {
  token_id: Generated<number>
  created_at: CreatedAt
  updated_at: CreatedAt
  access_token: string | null
  refresh_token: string | null
  profile_id: number | null
}

export interface NotificationsTable {
  id: string
  type: string
  notifiable_type: string
  notifiable_id: number
  data: string
  read_at: TimestampText | null
  created_at: TimestampText | null
  updated_at: TimestampText | null
}

export interface FeaturesTable {
  feature_id: Generated<number>
  name: string
  scope: string
  value: string
  created_at: TimestampText | null
  updated_at: TimestampText | null
}

interface WikiRow {
  created_at: CreatedAt
  updated_at: CreatedAt
  deleted_at: TimestampText | null
}

export interface AnimeTable extends WikiRow {
  anime_id: Generated<number>
  slug: string
  title: string
  title_english: string | null
  title_native: string | null
  year: number | null
  season: number | null
  format: number | null
  synopsis: string | null
}

export interface AnimeThemesTable extends WikiRow {
  theme_id: Generated<number>
  type: number
  sequence: number | null
  slug: string
  anime_id: number
  song_id: number | null
  group_id: number | null
}

export interface AnimeThemeEntriesTable extends WikiRow {
  entry_id: Generated<number>
  version: Generated<number>
  episodes: string | null
  nsfw: Generated<boolean>
  spoiler: Generated<boolean>
  notes: string | null
  likes_count: Generated<number>
  tracks_count: Generated<number>
  theme_id: number | null
}

export interface AnimeThemeEntryVideoTable {
  id: Generated<number>
  entry_id: number
  video_id: number
  created_at: TimestampText | null
  updated_at: TimestampText | null
}

export interface ArtistsTable extends WikiRow {
  artist_id: Generated<number>
  slug: string
  name: string
  name_native: string | null
  information: string | null
}

export interface AudiosTable extends WikiRow {
  audio_id: Generated<number>
  basename: string
  filename: string
  path: string
  size: number
  mimetype: string
}

export interface GroupsTable extends WikiRow {
  group_id: Generated<number>
  name: string
  slug: string
}

export interface ImageablesTable {
  id: Generated<number>
  image_id: number
  imageable_type: string
  imageable_id: number
  depth: number | null
  created_at: TimestampText | null
  updated_at: TimestampText | null
}

export interface ImagesTable extends WikiRow {
  image_id: Generated<number>
  path: string
  facet: number | null
}

export interface PerformancesTable extends WikiRow {
  performance_id: Generated<number>
  song_id: number
  artist_id: number
  member_id: number | null
  alias: string | null
  as: string | null
  member_alias: string | null
  member_as: string | null
  relevance: Generated<number>
}

export interface SongsTable extends WikiRow {
  song_id: Generated<number>
  title: string | null
  title_native: string | null
}

export interface VideosTable extends WikiRow {
  video_id: Generated<number>
  basename: string | null
  filename: string | null
  path: string | null
  size: number | null
  mimetype: string | null
  resolution: number | null
  nc: Generated<boolean>
  subbed: Generated<boolean>
  lyrics: Generated<boolean>
  uncen: Generated<boolean>
  overlap: Generated<number>
  source: number | null
  audio_id: number | null
}

export interface SessionsTable {
  /** The SHA-256 of the session id. */
  id: string
  user_id: number | null
  ip_address: string | null
  user_agent: string | null
  payload: string
  last_activity: EpochSeconds
}

/** Account events: not a table of Laravel. */
export interface AccountEventsTable {
  id: Generated<number>
  user_id: number
  event: string
  /** A JSON object. */
  details: string
  ip_address: string | null
  user_agent: string | null
  /** The address of another user who caused it: visible to staff only. */
  actor_ip_address: Generated<string | null>
  actor_user_agent: Generated<string | null>
  created_at: TimestampText
}

/** Mailed reset tokens, one per address. */
export interface PasswordResetTokensTable {
  email: string
  /** bcrypt. */
  token: string
  created_at: TimestampText | null
}

/** Remembered devices: not a table of Laravel. */
export interface RememberedDevicesTable {
  selector: string
  user_id: number
  /** The SHA-256 of the cookie's secret, and of the previous one. */
  validator: string
  previous_validator: string | null
  rotated_at: TimestampText
  /** Whether the browser has presented the current token. */
  is_delivered: boolean
  /** The stamp of the password at the login. */
  password: string
  ip_address: string | null
  user_agent: string | null
  created_at: TimestampText
  last_used_at: TimestampText
  expires_at: TimestampText
}

/** The last TOTP step that each user has used: not a table of Laravel. */
export interface SecondFactorStepsTable {
  user_id: number
  step: number
}

/** When each user's recovery codes were generated: not a table of Laravel. */
export interface RecoveryCodeTimesTable {
  user_id: number
  made_at: TimestampText
  /** The digest of the session that set up the second factor; null if unknown. */
  session: string | null
}

/** Addresses of logins: not a table of Laravel. */
export interface LoginAddressesTable {
  user_id: number
  address: string
  last_login_at: TimestampText
}

/** E-mail addresses that wait for confirmation: not a table of Laravel. */
export interface PendingEmailChangesTable {
  user_id: number
  email: string
  requested_at: TimestampText
  /** Whether a second factor was confirmed when a change was first requested. */
  had_second_factor: boolean
}

/** Registrations that wait for confirmation by mail: not a table of Laravel. */
export interface PendingRegistrationsTable {
  token: string
  email: string
  name: string
  requested_at: TimestampText
}

/** Users whose e-mail address was changed since registration: not a table of Laravel. */
export interface ChangedEmailsTable {
  user_id: number
  changed_at: TimestampText
}

/** Former e-mail addresses that can be restored until the row expires: not a table of Laravel. */
export interface EmailRevertsTable {
  id: Generated<number>
  user_id: number
  email: string
  /** The key for comparison; NULL in rows older than the column. */
  email_key: string | null
  /** The SHA-256 of the mailed token. */
  token: string
  /** Whether a second factor was confirmed when the change was first requested. */
  had_second_factor: boolean
  changed_at: TimestampText
  expires_at: TimestampText
}

/** Submitted forms of the panel, for idempotency: not a table of Laravel. */
export interface FormSubmissionsTable {
  /** A SHA-256 of the form and its session. */
  id: string
  /** The page to redirect to; null while the form is being processed. */
  leads_to: string | null
  created_at: TimestampText
}

/** Attempts in windows of time: not a table of Laravel. */
export interface AttemptCountsTable {
  /** The kind of attempt, and a SHA-256 of its subject. */
  key: string
  attempts: number
  ends_at: EpochMillis
}

/** Browsers and networks of logins: not a table of Laravel. */
export interface KnownLoginsTable {
  user_id: number
  kind: 'browser' | 'network'
  /** `Firefox on Linux`, or a /24 or /48 network. */
  value: string
  first_seen_at: TimestampText
  last_seen_at: TimestampText
}

/** Links of security mails: not a table of Laravel. */
export interface SecurityLinksTable {
  /** The SHA-256 of the mailed token. */
  token: string
  user_id: number
  /** When the reported event happened. */
  happened_at: TimestampText
  expires_at: TimestampText
}

/** Reminders of expiring tokens that were sent: not a table of Laravel. */
export interface TokenRemindersTable {
  token_id: number
  /** How many days before the expiry. */
  days: number
}

/** One row: the version of roles, permissions, prohibitions and sanctions. Not a table of Laravel. */
export interface PermissionVersionsTable {
  version: number
}

/** Every table, under Laravel's names. */
export interface Schema {
  users: UsersTable
  personal_access_tokens: PersonalAccessTokensTable
  token_successors: TokenSuccessorsTable
  permissions: PermissionsTable
  roles: RolesTable
  model_has_permissions: ModelHasPermissionsTable
  model_has_roles: ModelHasRolesTable
  role_has_permissions: RoleHasPermissionsTable
  prohibitions: ProhibitionsTable
  sanctions: SanctionsTable
  sanction_prohibition: SanctionProhibitionTable
  model_prohibitions: ModelProhibitionsTable
  model_sanctions: ModelSanctionsTable
  playlists: PlaylistsTable
  playlist_tracks: PlaylistTracksTable
  external_profiles: ExternalProfilesTable
  external_entries: ExternalEntriesTable
  external_tokens: ExternalTokensTable
  notifications: NotificationsTable
  features: FeaturesTable
  anime: AnimeTable
  anime_themes: AnimeThemesTable
  anime_theme_entries: AnimeThemeEntriesTable
  anime_theme_entry_video: AnimeThemeEntryVideoTable
  artists: ArtistsTable
  audios: AudiosTable
  groups: GroupsTable
  imageables: ImageablesTable
  images: ImagesTable
  performances: PerformancesTable
  songs: SongsTable
  videos: VideosTable
  sessions: SessionsTable
  account_events: AccountEventsTable
  password_reset_tokens: PasswordResetTokensTable
  remembered_devices: RememberedDevicesTable
  second_factor_steps: SecondFactorStepsTable
  recovery_code_times: RecoveryCodeTimesTable
  login_addresses: LoginAddressesTable
  pending_email_changes: PendingEmailChangesTable
  pending_registrations: PendingRegistrationsTable
  email_reverts: EmailRevertsTable
  changed_emails: ChangedEmailsTable
  form_submissions: FormSubmissionsTable
  attempt_counts: AttemptCountsTable
  known_logins: KnownLoginsTable
  security_links: SecurityLinksTable
  token_reminders: TokenRemindersTable
  permission_versions: PermissionVersionsTable
}
