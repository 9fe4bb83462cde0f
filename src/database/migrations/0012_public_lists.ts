import type { Migration } from 'kysely'
import { statements } from '../statements.ts'

/** Indexes for listing and searching public playlists and profiles. */
export const publicLists: Migration = {
  up: statements(
    // No query uses positions across playlists, and each moved track would have to be reindexed.
    `drop index playlist_tracks_position_index`,
    `create index playlists_visibility_index on playlists (visibility, playlist_id)`,
    `create index external_profiles_visibility_index on external_profiles (visibility, profile_id)`,
    // Without the extension, or the privilege to create it, names are searched sequentially.
    `do $$
    begin
      create extension if not exists pg_trgm;
      create index playlists_name_trigrams_index on playlists using gin (name gin_trgm_ops);
      create index external_profiles_name_trigrams_index on external_profiles using gin (name gin_trgm_ops);
    exception
      when insufficient_privilege or undefined_file or feature_not_supported or undefined_object then null;
    end
    $$`,
  ),
}
