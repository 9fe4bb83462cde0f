import t from 'tap'
import { errorsOf, invalidFieldsOf } from '../../../../fixtures/answers.ts'
import { anEntryVideo } from '../../../../fixtures/lists.ts'
import { urlOf } from '../../../../fixtures/queries.ts'
import { encodeForm, FORM, flipCase, JSON_TYPE, requestWith } from '../../../../fixtures/requests.ts'
import {
  aPlaylistWithTracks,
  NOT_LINKED,
  orderOf,
  TRACK_SETTINGS,
  trackAt,
  trackOf,
  trackRow,
  tracksUrl,
  trackUrl,
} from '../../../../fixtures/tracks.ts'
import { aUser } from '../../../../fixtures/users.ts'
import { integerError, requiredError, selectedError, stringError } from '../../../../fixtures/validation.ts'
import { type Answer, startApp } from '../../../../support/app.ts'
import { createDatabase, ENGINES } from '../../../../support/databases.ts'

type Values = Record<string, string>
type SendValues = (method: string, url: string, values: Values) => Promise<Answer>

const texts = (values: object): Values =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]))

for (const engine of ENGINES) {
  t.test(`input of playlist tracks on ${engine}`, async t => {
    const database = await createDatabase(t, engine)
    t.teardown(() => database.close())
    const app = await startApp(t, { database, environment: TRACK_SETTINGS })

    /** A user with playlists, contents of tracks, and the ways to send fields as text. */
    const prepare = async () => {
      const owner = await aUser(database, { permissions: ['create playlist track', 'update playlist track'] })
      const request = requestWith(app, owner.token)
      const [content, other] = [await anEntryVideo(database), await anEntryVideo(database)]
      const asJson: SendValues = (method, url, values) => request(method, url, values)
      const asForm: SendValues = (method, url, values) => request(method, url, encodeForm(values), FORM)
      const asQuery: SendValues = (method, url, values) => request(method, urlOf(url, values))
      const newPlaylist = () => aPlaylistWithTracks(database, owner, { content })
      return { request, content, other, newPlaylist, asJson, asForm, asQuery }
    }

    t.test('fields are accepted as JSON, as a form and as a query', async t => {
      const { request, content, other, newPlaylist, asJson, asForm, asQuery } = await prepare()
      const withEmptyJson: SendValues = (method, url, values) =>
        request(method, urlOf(url, values), '', JSON_TYPE)
      const withEmptyObject: SendValues = (method, url, values) => request(method, urlOf(url, values), {})
      for (const [way, sendValues] of [
        ['JSON', asJson],
        ['a form', asForm],
        ['a query', asQuery],
        ['a query with an empty JSON body', withEmptyJson],
        ['a query with an empty JSON object', withEmptyObject],
      ] as const) {
        const playlist = await newPlaylist()
        const next = trackOf(playlist, 'B').hashid
        const created = await sendValues('POST', tracksUrl(playlist), { ...texts(content), next })
        t.equal(created.status, 201, `POST by ${way}`)
        t.equal(await orderOf(database, playlist), 'A+BC', way)
        for (const method of ['PUT', 'PATCH']) {
          const changed = await newPlaylist()
          const previous = ` ${trackOf(changed, 'C').hashid} `
          const moved = await sendValues(method, trackUrl(changed, 'A'), { ...texts(other), previous })
          t.equal(moved.status, 200, `${method} by ${way}`)
          t.equal(await orderOf(database, changed), 'BCA', way)
          t.match(await trackRow(database, trackAt(changed, 0).id), other, way)
        }
        const notLinked = texts({ ...content, video_id: other.video_id })
        t.strictSame(errorsOf(await sendValues('POST', tracksUrl(playlist), notLinked)), NOT_LINKED, way)
      }
    })

    t.test('a query adds fields that the body does not have', async t => {
      const { request, content, other, newPlaylist } = await prepare()
      const playlist = await newPlaylist()
      const url = tracksUrl(playlist)
      const { entry_id, video_id } = content
      const next = trackOf(playlist, 'A').hashid
      const both = await request('POST', urlOf(url, { ...other, next }), content)
      t.equal(both.status, 201, 'the body precedes the query')
      t.equal(await orderOf(database, playlist), '+ABC', 'the place comes from the query')
      const half = await request('POST', urlOf(url, { entry_id }), { video_id })
      t.equal(half.status, 201, 'one field in the body and one in the query')
      const withNull = await request('POST', urlOf(url, { ...content }), { entry_id: null })
      t.equal(withNull.status, 422, 'null in the body precedes the query')
    })

    t.test('integers can have a sign and white space', async t => {
      const { request, content, newPlaylist } = await prepare()
      const { entry_id, video_id } = content
      const values = { entry_id: `+${entry_id}`, video_id: ` ${video_id} ` }
      t.equal((await request('POST', tracksUrl(await newPlaylist()), values)).status, 201)
    })

    t.test('include, fields and other query parameters do not change the answers of writes', async t => {
      const { request, content, newPlaylist } = await prepare()
      const playlist = await newPlaylist()
      for (const query of [
        'include=video&fields[track]=created_at',
        'include=nope&sort=x&page[size]=0&q=y&filter[z]=1',
      ]) {
        const created = await request('POST', `${tracksUrl(playlist)}?${query}`, content)
        t.equal(created.status, 201, query)
        t.strictSame(Object.keys(created.json.track), ['id'])
        const changed = await request('PUT', `${trackUrl(playlist)}?${query}`, content)
        t.strictSame(changed.json, { track: { id: trackAt(playlist, 0).hashid } })
      }
    })

    for (const [field, otherField] of [
      ['entry_id', 'video_id'],
      ['video_id', 'entry_id'],
    ] as const) {
      t.test(`an invalid ${field} returns 422`, async t => {
        const { request, content, newPlaylist, asJson, asForm, asQuery } = await prepare()
        const playlist = await newPlaylist()
        const name = field.replace('_', ' ')
        const rest = JSON.stringify({ [otherField]: content[otherField] }).slice(1)
        // Where the error is undefined, only the field is compared.
        for (const [json, error] of [
          ['9007199254740993', selectedError(name)],
          ['9223372036854775807', selectedError(name)],
          ['18446744073709551617', undefined],
          ['1e300', undefined],
          ['1e999', undefined],
          ['-1', selectedError(name)],
          ['0', selectedError(name)],
          ['2147483648', selectedError(name)],
          ['1.5', undefined],
          ['"x"', integerError(name)],
          ['"1.5"', integerError(name)],
          ['"1e3"', integerError(name)],
          ['"0x1"', integerError(name)],
          [`"${content[field]} or 1=1"`, integerError(name)],
          ['"-1"', selectedError(name)],
          ['"9007199254740993"', selectedError(name)],
          ['"9223372036854775807"', selectedError(name)],
          ['"9223372036854775808"', integerError(name)],
          ['"99999999999999999999999"', integerError(name)],
          ['"\\u0000"', undefined],
          ['true', undefined],
          ['false', undefined],
          ['[]', undefined],
          [`[${content[field]}]`, integerError(name)],
          ['{}', undefined],
          [`{"id":${content[field]}}`, integerError(name)],
          ['null', requiredError(name)],
          ['""', requiredError(name)],
          ['" "', requiredError(name)],
        ] as const) {
          const posted = await request('POST', tracksUrl(playlist), `{"${field}":${json},${rest}`, JSON_TYPE)
          const put = await request('PUT', trackUrl(playlist), `{"${field}":${json}}`, JSON_TYPE)
          if (error) {
            const errors = { [field]: error, [otherField]: selectedError(otherField.replace('_', ' ')) }
            t.strictSame(errorsOf(posted), errors, `POST ${json}`)
            t.strictSame(errorsOf(put), { [field]: error }, `PUT ${json}`)
          } else {
            t.strictSame(invalidFieldsOf(posted), ['entry_id', 'video_id'], `POST ${json}`)
            t.strictSame(invalidFieldsOf(put), [field], `PUT ${json}`)
          }
        }
        for (const json of ['999999999', '9007199254740993', '"99999999999999999999"', '-1', '"x"', '1.5']) {
          const body = `{"${field}":${json},${rest}`
          const answer = await request('PUT', trackUrl(playlist), body, JSON_TYPE)
          t.strictSame(
            invalidFieldsOf(answer),
            ['entry_id', 'video_id'],
            `PUT of both, which are not linked: ${json}`,
          )
        }
        for (const value of ['x', '-1', '1.5', '9007199254740993', '', '\0']) {
          for (const [way, sendValues] of [
            ['JSON', asJson],
            ['a form', asForm],
            ['a query', asQuery],
          ] as const) {
            const values = texts({ [field]: value, [otherField]: content[otherField] })
            const message = `${JSON.stringify(value)} by ${way}`
            const posted = await sendValues('POST', tracksUrl(playlist), values)
            t.strictSame(invalidFieldsOf(posted), ['entry_id', 'video_id'], `POST ${message}`)
            const put = await sendValues('PUT', trackUrl(playlist), { [field]: value })
            t.strictSame(invalidFieldsOf(put), [field], `PUT ${message}`)
          }
        }
        for (const query of [`${field}[]=1`, `${field}[a][b]=1`, `${field}=1&${field}[x]=2`]) {
          t.strictSame(
            invalidFieldsOf(await request('PUT', `${trackUrl(playlist)}?${query}`)),
            [field],
            query,
          )
        }
        t.equal(await orderOf(database, playlist), 'ABC', 'nothing is added')
        t.match(await trackRow(database, trackAt(playlist, 0).id), content, 'nothing is changed')
      })
    }

    for (const [field, opposite] of [
      ['next', 'previous'],
      ['previous', 'next'],
    ] as const) {
      t.test(`an invalid ${field} returns 422`, async t => {
        const { request, content, newPlaylist, asForm, asQuery } = await prepare()
        const playlist = await newPlaylist()
        const { hashid, id } = trackOf(playlist, 'B')
        const requests = [
          ['POST', tracksUrl(playlist), content],
          ['PUT', trackUrl(playlist), {}],
        ] as const
        for (const [value, error] of [
          [id, stringError(field)],
          [0, stringError(field)],
          [1.5, stringError(field)],
          [true, stringError(field)],
          [false, stringError(field)],
          [[], undefined],
          [[hashid], stringError(field)],
          [{}, undefined],
          [{ id: hashid }, stringError(field)],
          [String(id), selectedError(field)],
          ['nope', selectedError(field)],
          [flipCase(hashid), selectedError(field)],
          [`${hashid}x`, selectedError(field)],
          [hashid.slice(0, -1), selectedError(field)],
          [`${hashid}\0`, selectedError(field)],
          ['\0', undefined],
          ["' or true --", selectedError(field)],
          ['%', selectedError(field)],
          ['x'.repeat(10_000), selectedError(field)],
          ['\ud800', selectedError(field)],
          ['é', selectedError(field)],
          [null, requiredError(field)],
          ['', requiredError(field)],
        ] as [unknown, string[] | undefined][]) {
          const message = JSON.stringify(value).slice(0, 40)
          for (const [method, url, values] of requests) {
            const answer = await request(method, url, { ...values, [field]: value })
            if (error) t.strictSame(errorsOf(answer), { [field]: error }, `${method} ${message}`)
            else t.strictSame(invalidFieldsOf(answer), [field], `${method} ${message}`)
          }
          const both = await request('PUT', trackUrl(playlist), { [field]: value, [opposite]: hashid })
          t.ok(errorsOf(both)[field], `${message} with ${opposite}`)
        }
        for (const value of ['nope', flipCase(hashid), `${hashid}\0`, '\0', '', 'é']) {
          for (const [way, sendValues] of [
            ['a form', asForm],
            ['a query', asQuery],
          ] as const) {
            for (const [method, url, values] of requests) {
              const answer = await sendValues(method, url, { ...texts(values), [field]: value })
              const message = `${method} ${JSON.stringify(value)} by ${way}`
              t.strictSame(invalidFieldsOf(answer), [field], message)
            }
          }
        }
        const list = await request('PUT', `${trackUrl(playlist)}?${field}[]=${hashid}`)
        t.strictSame(errorsOf(list), { [field]: stringError(field) }, 'a list in the query')
        t.equal(await orderOf(database, playlist), 'ABC', 'nothing is added or moved')
      })
    }

    t.test('the server logs no error', async t => t.strictSame(app.logged, []))
  })
}
