// One line a scenario on stdout and the count at the end: the contract of every suite in tests/clients.
//
// Invariants
// 1. A scenario has exactly one outcome, printed as soon as it is known.
// 2. A scenario that outlives its deadline fails; the suite goes on.
'use strict'

const { randomBytes } = require('node:crypto')
const { spawn } = require('node:child_process')
const { setTimeout: pause } = require('node:timers/promises')

const scenarioTimeoutMs = 60_000
const restartTimeoutMs = 90_000
const pollIntervalMs = 20

class Skip extends Error {}

function isSet(name) {
  return !['', '0', undefined].includes(process.env[name])
}

// Place is where a suite runs: the broker, and the suffix that makes the names of topics and groups unique.
class Place {
  constructor() {
    this.bootstrap = process.env.BOOTSTRAP
    if (!this.bootstrap) throw new Error('BOOTSTRAP is not set: the host:port of a running broker')
    this.restartCommand = process.env.SERVER_RESTART ?? ''
    this.reference = isSet('REFERENCE') || isSet('ALLUVIUM_REFERENCE')
    this.run = randomBytes(4).toString('hex')
    this.client = ''
    this.deadline = Infinity
  }

  named(name) {
    return `${name}-${this.client}-${this.run}`
  }

  // Polls a condition until it holds; what comes out of it is returned. `complain` says what did not happen.
  async until(condition, complain) {
    for (;;) {
      const outcome = await condition()
      if (outcome) return outcome
      if (Date.now() > this.deadline) throw new Error(`deadline passed: ${complain()}`)
      await pause(pollIntervalMs)
    }
  }

  // Alluvium must satisfy a check at once: what was acknowledged is seen by the next request. Apache Kafka's brokers
  // learn of topics and configs a moment later, so there it is repeated until the deadline.
  async settled(check) {
    if (!this.reference) return check()
    let last
    return this.until(
      async () => {
        try {
          await check()
          return true
        } catch (error) {
          last = error
          return false
        }
      },
      () => describe(last)
    )
  }

  needRestart() {
    if (!this.restartCommand) throw new Skip('SERVER_RESTART is not set')
  }

  // Stops the server and starts it again on the same data. The server may keep our stderr: nobody waits for its end.
  restartServer() {
    this.needRestart()
    // The deadline is the client's: it does not pay for a server that is slow to start.
    this.deadline += restartTimeoutMs
    return new Promise((resolve, reject) => {
      const command = spawn('sh', ['-c', this.restartCommand], { stdio: ['ignore', 2, 2] })
      command.on('error', reject)
      command.on('exit', code => (code === 0 ? resolve() : reject(new Error(`the restart command ended with ${code}`))))
    })
  }
}

function describe(error) {
  const parts = []
  for (let cause = error, depth = 0; cause && depth < 4; cause = cause.cause ?? cause.errors?.[0], depth++) {
    parts.push(`${cause.name ?? 'Error'}: ${cause.message ?? cause}`)
  }
  return parts.join(' <- ').replace(/\s+/g, ' ').slice(0, 400)
}

class Report {
  passed = 0
  failed = 0
  skipped = 0

  async run(place, name, action) {
    const started = Date.now()
    place.deadline = started + scenarioTimeoutMs
    let timer
    const late = new Promise((_, reject) => {
      timer = setInterval(() => {
        if (Date.now() > place.deadline + 5_000) reject(new Error('not done after its deadline'))
      }, 1_000)
    })
    try {
      await Promise.race([action(place), late])
      this.passed++
      console.log(`ok ${name}`)
    } catch (error) {
      if (error instanceof Skip) {
        this.skipped++
        console.log(`skip ${name}: ${error.message}`)
      } else {
        this.failed++
        console.log(`FAIL ${name}: ${describe(error)}`)
        console.error(error)
      }
    } finally {
      clearInterval(timer)
    }
    console.error(`${name} took ${((Date.now() - started) / 1000).toFixed(2)} s`)
  }

  finish() {
    console.log(`${this.passed} passed, ${this.failed} failed, ${this.skipped} skipped`)
    return this.failed > 0 ? 1 : 0
  }
}

module.exports = { Place, Report, Skip }
