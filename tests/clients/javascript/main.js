// Puts KafkaJS and @platformatic/kafka through the scenarios of tests/clients.
'use strict'

const { Place, Report } = require('./suite/report')
const { Traffic } = require('./suite/traffic')
const { sharedScenarios } = require('./suite/scenarios')

async function main() {
  const place = new Place()
  const traffic = new Traffic()
  if (process.env.API_VERSIONS) traffic.watch()
  const { KafkaJsClient } = require('./clients/kafkajs')
  const { PlatformaticClient } = require('./clients/platformatic')
  const inspector = new PlatformaticClient(place)
  const report = new Report()
  for (const client of [new KafkaJsClient(place), new PlatformaticClient(place)]) {
    place.client = traffic.client = client.name
    const watched = { storedCodecs: (...parameters) => inspect(traffic, client, () => inspector.storedCodecs(...parameters)) }
    for (const [scenario, action] of Object.entries(sharedScenarios(client, watched))) {
      const name = `${client.name}/${scenario}`
      if (name.includes(process.env.SCENARIO ?? '')) await report.run(place, name, action)
    }
  }
  if (process.env.API_VERSIONS) traffic.print()
  return report.finish()
}

// What the inspector sends is not the client's.
async function inspect(traffic, client, action) {
  traffic.client = 'inspector'
  try {
    return await action()
  } finally {
    traffic.client = client.name
  }
}

process.on('unhandledRejection', error => console.error('unhandled rejection:', error))
main().then(
  code => process.exit(code),
  error => {
    console.error(error)
    process.exit(2)
  }
)
