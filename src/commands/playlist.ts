import { Command } from 'commander'
import { correctTrackCounts } from '#src/database/track-counts.ts'
import { findBrokenPlaylists, repairPlaylist } from '#src/database/track-order.ts'
import { type CommandContext, withDatabase } from './context.ts'

/** `playlist repair`: repairs lists that another program wrote. */
export const playlistCommand = (context: CommandContext) =>
  new Command('playlist').description('maintain playlists').addCommand(
    new Command('repair')
      .description(
        'repair the track order of playlists whose links and positions disagree, and wrong track counts of theme entries',
      )
      .action(() =>
        withDatabase(context, 'playlist repair', async ({ kysely }) => {
          const broken = await findBrokenPlaylists(kysely)
          for (const id of broken) await repairPlaylist(kysely, id, context.clock())
          context.print(
            broken.length === 0
              ? 'All playlists are in order.'
              : `Repaired ${broken.length} playlist${broken.length === 1 ? '' : 's'}.`,
          )
          const entries = await correctTrackCounts(kysely)
          if (entries > 0)
            context.print(
              `Counted the tracks of ${entries === 1 ? 'one theme entry' : `${entries} theme entries`}.`,
            )
        }),
      ),
  )
