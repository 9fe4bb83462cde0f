import type pg from 'pg'

/** Limits that the servers of a run are started with. */
export const LIMITS = { playlists: 6, tracks: 10, profiles: 3, tokens: 8 }

/** Each returns a row if a user has more than allowed. */
const QUOTAS: Readonly<Record<string, string>> = {
  'a user has more playlists than allowed': `
    select count(*) from playlists where user_id = $1 having count(*) > ${LIMITS.playlists}`,
  'a user has more external profiles than allowed': `
    select count(*) from external_profiles where user_id = $1 having count(*) > ${LIMITS.profiles}`,
  'a user has more tokens than allowed': `
    select count(*) from personal_access_tokens where tokenable_id = $1 having count(*) > ${LIMITS.tokens}`,
  'a playlist has more tracks than allowed': `
    select playlist_id from playlist_tracks join playlists using (playlist_id) where user_id = $1
    group by playlist_id having count(*) > ${LIMITS.tracks}`,
}

/** Each returns the rows of a user that contradict it. */
const INVARIANTS: Readonly<Record<string, string>> = {
  'the positions of a playlist have gaps': `
    select playlist_id from playlist_tracks join playlists using (playlist_id) where user_id = $1
    group by playlist_id having min(position) <> 1 or max(position) <> count(*) or count(distinct position) <> count(*)`,
  'the links of tracks do not agree with their positions': `
    select * from (
      select track_id, previous_id, next_id,
        lag(track_id) over w as before, lead(track_id) over w as after
      from playlist_tracks join playlists using (playlist_id) where user_id = $1
      window w as (partition by playlist_id order by position)
    ) as tracks where previous_id is distinct from before or next_id is distinct from after`,
  'first and last of a playlist are not the ends of its tracks': `
    select playlist_id from playlists where user_id = $1 and (
      first_id is distinct from (select track_id from playlist_tracks t where t.playlist_id = playlists.playlist_id
        order by position limit 1)
      or last_id is distinct from (select track_id from playlist_tracks t where t.playlist_id = playlists.playlist_id
        order by position desc limit 1))`,
  'two playlists have one id': `
    select hashid from playlists where user_id = $1 group by hashid having count(*) > 1`,
}

/** What is wrong with the rows of a user, a sentence each. */
export async function brokenInvariants(
  pool: pg.Pool,
  userId: number,
  { isLimited }: { isLimited: boolean },
): Promise<string[]> {
  const results = await Promise.all(
    Object.entries({ ...INVARIANTS, ...(isLimited && QUOTAS) }).map(async ([sentence, query]) => {
      const { rows } = await pool.query(query, [userId])
      return rows.length === 0 ? [] : [`${sentence}: user ${userId}, ${JSON.stringify(rows[0])}`]
    }),
  )
  return results.flat()
}
