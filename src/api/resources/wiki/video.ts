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
    id: { kind: 'integer', shown: 'default', column: 'video_id', example: 2712 },
    audio_id: { kind: 'integer', shown: 'never' },
    // Names are NULL in older rows.
    basename: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      example: 'Bakemonogatari-OP1.webm',
    },
    filename: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      example: 'Bakemonogatari-OP1',
    },
    lyrics: { kind: 'boolean', shown: 'default', example: false },
    mimetype: {
      kind: 'string',
      shown: 'optional',
      nullable: true,
      example: 'video/webm',
    },
    nc: { kind: 'boolean', shown: 'default', example: true },
    overlap: {
      kind: 'enum',
      shown: 'default',
      labels: VIDEO_OVERLAP,
      example: 'None',
    },
    path: {
      kind: 'string',
      shown: 'default',
      nullable: true,
      example: '2009/Summer/Bakemonogatari-OP1.webm',
    },
    resolution: {
      kind: 'integer',
      shown: 'default',
      nullable: true,
      example: 1080,
    },
    size: {
      kind: 'integer',
      shown: 'default',
      nullable: true,
      example: 65_950_223,
    },
    source: {
      kind: 'enum',
      shown: 'default',
      nullable: true,
      labels: VIDEO_SOURCE,
      example: 'BD',
    },
    subbed: {
      kind: 'boolean',
      shown: 'default',
      example: false,
    },
    uncen: { kind: 'boolean', shown: 'default', example: false },
    tags: {
      kind: 'string',
      shown: 'default',
      computed: { columns: TAGGED, value: videoTags },
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
      example: 'https://v.animethemes.moe/Bakemonogatari-OP1.webm',
    },
  },
  onlyNull: 'deleted_at',
})
