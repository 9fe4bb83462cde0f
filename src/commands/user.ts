import { Command } from 'commander'
import { hashPassword, passwordFault } from '../auth/password.ts'
import { grant, grantDefaultRoles } from '../database/permissions.ts'
import { insertUser } from '../database/users.ts'
import { type CommandContext, CommandError, withDatabase } from './context.ts'
import { collect } from './options.ts'

/** `user create`: adds a user. */
export const userCommand = (context: CommandContext) =>
  new Command('user').description('manage users').addCommand(
    new Command('create')
      .description('add a user')
      .requiredOption('--name <name>', 'the user name')
      .requiredOption('--email <email>', 'the e-mail address')
      .requiredOption('--password <password>', 'the password; - reads it from standard input')
      .option('--verified', 'count the e-mail address as verified, which gives the default roles')
      .option('--role <role>', 'give a role; may be repeated', collect, [])
      .action((options: CreateOptions) => createUser(context, options)),
  )

interface CreateOptions {
  name: string
  email: string
  password: string
  verified?: true
  role: string[]
}

async function createUser(context: CommandContext, { name, email, verified, role, ...given }: CreateOptions) {
  const password = given.password === '-' ? (await context.readInput()).replace(/\r?\n$/, '') : given.password
  const fault = passwordFault(password)
  if (fault !== null) throw new CommandError(`--password ${fault}.`)
  if (!/^[^\s@]+@[^\s@]+$/.test(email) || email.length > 255) {
    throw new CommandError(`--email ${email}: expected an e-mail address of at most 255 characters.`)
  }
  if (name.trim() === '' || name.length > 255) {
    throw new CommandError(`--name ${name}: expected 1 to 255 characters.`)
  }
  await withDatabase(context, 'user create', async ({ kysely }, config) => {
    const hash = await hashPassword(password, config.hashRounds)
    const id = await kysely.transaction().execute(async transaction => {
      const userId = await insertUser(transaction, {
        name,
        email,
        password: hash,
        verified: verified === true,
        now: context.clock(),
      })
      const holder = { userId, types: config.tokenableTypes }
      if (verified) await grantDefaultRoles(transaction, holder)
      const absent = await grant(transaction, 'role', holder, role)
      if (absent.length > 0) throw new CommandError(`There is no role ${absent.join(', ')}.`)
      return userId
    })
    context.print(`Created user ${id}, ${name} <${email}>.`)
  })
}
