import type { Migration } from 'kysely'
import { statements } from '../statements.ts'

/**
 * Counts of attempts in fixed windows, and the function that raises several of them or none.
 *
 * `take_attempts` locks the rows of its keys in the given order, and stops at the first exhausted key: later keys get
 * no row, and nothing is raised. Each of its statements has a new snapshot (READ COMMITTED), so what it reads under a
 * lock is committed. A key that is exhausted without a lock is refused at once: such a refusal writes nothing, not even
 * a lock.
 *
 * A window that ends later than one that begins now was stored by a wrong clock, and is shortened to that.
 */
export const attemptCounts: Migration = {
  up: statements(
    // Milliseconds since the epoch, since they are compared with sums of milliseconds.
    `create table attempt_counts (
      key text primary key,
      attempts integer not null,
      ends_at bigint not null
    )`,
    `create index attempt_counts_ends_at_index on attempt_counts (ends_at)`,
    // For each key its index, the attempts including this one, and the window's end; or only the exhausted key, without
    // attempts.
    `create function take_attempts(keys text[], maxima bigint[], window_ms bigint, now_ms bigint)
      returns table (place bigint, taken integer, until bigint) language plpgsql as $$
      declare
        latest constant bigint := now_ms + window_ms;
        present record;
      begin
        return query
          select wanted.place, null::integer, c.ends_at
          from unnest(keys, maxima) with ordinality as wanted (key, max, place)
          join attempt_counts c on c.key = wanted.key
          where c.attempts >= wanted.max and c.ends_at > now_ms and c.ends_at <= latest
          order by wanted.place limit 1;
        if found then
          return;
        end if;
        for n in 1 .. cardinality(keys) loop
          loop
            select c.attempts, c.ends_at into present from attempt_counts c where c.key = keys[n]
            for no key update;
            exit when found;
            -- Its window begins with the first attempt. Another transaction may insert it, and pruning delete it again.
            insert into attempt_counts (key, attempts, ends_at) values (keys[n], 0, now_ms)
            on conflict (key) do nothing;
          end loop;
          if present.ends_at > latest then
            update attempt_counts c set ends_at = latest where c.key = keys[n];
          end if;
          if present.ends_at > now_ms and present.attempts >= maxima[n] then
            return query select n::bigint, null::integer, least(present.ends_at, latest);
            return;
          end if;
        end loop;
        -- A window without attempts left is none: no attempt will be returned to it.
        return query
          update attempt_counts c set
            attempts = case when c.ends_at > now_ms then c.attempts + 1 else 1 end,
            ends_at = case when c.ends_at > now_ms and c.attempts > 0 then c.ends_at else latest end
          from unnest(keys) with ordinality as wanted (key, place)
          where c.key = wanted.key
          returning wanted.place, c.attempts, c.ends_at;
      end
    $$`,
  ),
}
