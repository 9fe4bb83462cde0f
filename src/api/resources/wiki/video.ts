import { shape } from '#src/query/declare.ts'
import { WIKI_DATES } from './dates.ts'
import { linkBelow } from './link.ts'

export const VIDEO_OVERLAP = ['None', 'Transition', 'Over'] as const
export const VIDEO_SOURCE = ['WEB', 'RAW', 'BD', 'DVD', 'VHS', 'LD'] as const

/** The columns that distinguish the videos of a theme. */
const TAGGED = ['nc', 'source', 'resolution', 'subbed', 'lyrics'] as const

/** Returns the tags that distinguish a video among those of its theme, such as `NCBD1080`. */
export function videoTags({
  nc,
  source,
  resolution,
  subbed,
  lyrics,
}: Readonly<Partial<Record<(typeof TAGGED)[number], unknown>>>): string {
  const label = typeof source === 'number' ? VIDEO_SOURCE[source] : undefined
  return [
    nc ? 'NC' : '',
    label === 'BD' || label === 'DVD' ? label : '',
    // The default resolution is omitted.
    typeof resolution === 'number' && resolution !== 720 ? String(resolution) : '',
    subbed ? 'Subbed' : lyrics ? 'Lyrics' : '',
  ].join('')
}

/** A video of a theme, as a file. */
export const videoShape = shape({
  type: 'video',
  schemaName: 'Video',
  plural: 'videos',
  isWiki: true,
  about: 'A video file of a theme.',
  table: 'videos',
  key: 'video_id',
  fields: {
    ...WIKI_DATES,
    id: { kind: 'integer', shown: 'default', column: 'video_id', about: 'The id.', example: 2712 },
    audio_id: { kind: 'integer', shown: 'never' },
    // Names are NULL in older rows.
    basename: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      about: "The file's name.",
      example: 'Bakemonogatari-OP1.webm',
    },
    filename: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      about: "The file's name without its extension.",
      example: 'Bakemonogatari-OP1',
    },
    lyrics: { kind: 'boolean', shown: 'default', about: 'Whether it shows the lyrics.', example: false },
    mimetype: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      about: "The file's media type.",
      example: 'video/webm',
    },
    nc: { kind: 'boolean', shown: 'default', about: 'Whether it is free of credits.', example: true },
    overlap: {
      kind: 'enum',
      shown: 'default',
      labels: VIDEO_OVERLAP,
      about: 'How far it overlaps with the episode.',
      example: 'None',
    },
    path: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      about: 'The path of the file in the storage.',
      example: '2009/Summer/Bakemonogatari-OP1.webm',
    },
    resolution: {
      kind: 'integer',
      shown: 'default',
      nullable: true,
      about: 'The height in pixels.',
      example: 1080,
    },
    size: {
      kind: 'integer',
      shown: 'default',
      nullable: true,
      about: "The file's size in bytes.",
      example: 65_950_223,
    },
    source: {
      kind: 'enum',
      shown: 'default',
      nullable: true,
      labels: VIDEO_SOURCE,
      about: 'The source.',
      example: 'BD',
    },
    subbed: {
      kind: 'boolean',
      shown: 'default',
      about: 'Whether it shows subtitles of the dialogue.',
      example: false,
    },
    uncen: { kind: 'boolean', shown: 'default', about: 'Whether it is uncensored.', example: false },
    tags: {
      kind: 'string',
      shown: 'default',
      computed: { columns: TAGGED, value: videoTags },
      about: 'The tags that distinguish it among the videos of its theme.',
      example: 'NCBD1080',
    },
    link: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      computed: {
        columns: ['basename'],
        value: ({ basename }, { wikiUrls }) => linkBelow(wikiUrls.video, basename),
      },
      about: 'The URL of the file; null if the server has no base URL configured.',
      example: 'https://v.animethemes.moe/Bakemonogatari-OP1.webm',
    },
  },
  onlyNull: 'deleted_at',
})
