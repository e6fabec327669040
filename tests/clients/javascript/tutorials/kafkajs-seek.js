// A beginner's program: sends ten messages, then reads with a consumer that seeks to offset 5.
// usage: node kafkajs-seek.js BROKER TOPIC GROUP
const { Kafka } = require('kafkajs')

const [broker, topic, groupId] = process.argv.slice(2)

const kafka = new Kafka({
  clientId: 'my-app',
  brokers: [broker]
})

const producer = kafka.producer()
const consumer = kafka.consumer({ groupId })

const run = async () => {
  await producer.connect()
  for (let i = 0; i < 10; i++) {
    await producer.send({
      topic,
      messages: [{ key: `key ${i}`, value: `message ${i}`, partition: 0 }]
    })
  }
  await producer.disconnect()

  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ message }) => {
      console.log(`offset ${message.offset}: ${message.value.toString()}`)
      if (message.offset === '9') {
        setImmediate(() => consumer.disconnect().then(() => process.exit(0)))
      }
    }
  })
  consumer.seek({ topic, partition: 0, offset: '5' })
}

run().catch(error => {
  console.error(error)
  process.exit(1)
})
