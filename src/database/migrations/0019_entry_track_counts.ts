import type { Migration } from 'kysely'
import { statements } from '../statements.ts'

/**
 * Keeps `anime_theme_entries.tracks_count` current for every writer of tracks: this server, a cascade from
 * playlists or users, or Laravel.
 *
 * Tracks are counted again under the lock of their entry, in a statement of its own, whose snapshot has what others
 * committed who held the lock before (READ COMMITTED). So concurrent changes add up, and an imported count that was wrong
 * is corrected. A statement locks its entries in the order of their ids, all that its cascades delete included, since
 * PostgreSQL runs a statement's trigger once after them: transactions with one statement that changes entries of tracks,
 * as all of this server are, cannot wait for each other (deadlock).
 */
export const entryTrackCounts: Migration = {
  up: statements(
    `create function count_entry_tracks(ids bigint[]) returns void language plpgsql as $$
      begin
        perform from anime_theme_entries where entry_id = any(ids) order by entry_id for no key update;
        update anime_theme_entries e
        set tracks_count = (select count(*) from playlist_tracks t where t.entry_id = e.entry_id)
        where e.entry_id = any(ids);
      end
    $$`,
    `create function count_tracks_of_changed() returns trigger language plpgsql as $$
      begin
        perform count_entry_tracks(array(select distinct entry_id from changed where entry_id is not null));
        return null;
      end
    $$`,
    `create function count_tracks_of_moved() returns trigger language plpgsql as $$
      begin
        perform count_entry_tracks(array_remove(array[old.entry_id, new.entry_id], null));
        return null;
      end
    $$`,
    `create trigger playlist_tracks_count_insert after insert on playlist_tracks
      referencing new table as changed for each statement execute function count_tracks_of_changed()`,
    `create trigger playlist_tracks_count_delete after delete on playlist_tracks
      referencing old table as changed for each statement execute function count_tracks_of_changed()`,
    // By row, since a trigger by statement would also run when tracks are only put in another order.
    `create trigger playlist_tracks_count_update after update of entry_id on playlist_tracks
      for each row when (old.entry_id is distinct from new.entry_id) execute function count_tracks_of_moved()`,
    // No track is written between the triggers and this: creating them locks the table.
    `update anime_theme_entries e set tracks_count = counted.tracks
      from (
        select entry_id, count(t.entry_id) as tracks
        from anime_theme_entries left join playlist_tracks t using (entry_id) group by entry_id
      ) as counted
      where counted.entry_id = e.entry_id and e.tracks_count <> counted.tracks`,
  ),
}
