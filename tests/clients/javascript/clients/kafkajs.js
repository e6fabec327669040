// KafkaJS: its producer, its consumer (always a group) and its admin.
'use strict'

const assert = require('node:assert')
const { randomUUID } = require('node:crypto')
const { execFile } = require('node:child_process')
const path = require('node:path')
const { promisify } = require('node:util')
const zlib = require('node:zlib')
const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, Partitioners, logLevel } = require('kafkajs')
const SnappyCodec = require('kafkajs-snappy')
const Lz4Codec = require('@2l/kafkajs-lz4')
const { allReady, newTopic, numbered } = require('../suite/scenarios')

// KafkaJS brings gzip alone; the others are plugged in the way its documentation says.
CompressionCodecs[CompressionTypes.Snappy] = SnappyCodec
CompressionCodecs[CompressionTypes.LZ4] = new (Lz4Codec.default ?? Lz4Codec)().codec
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => zlib.zstdCompressSync(encoder.buffer),
  decompress: async buffer => zlib.zstdDecompressSync(buffer)
})

const compressionOf = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD
}

const coordinatorErrors = ['GROUP_LOAD_IN_PROGRESS', 'GROUP_COORDINATOR_NOT_AVAILABLE', 'NOT_COORDINATOR_FOR_GROUP']
const consumerSettings = { maxWaitTimeInMs: 300, heartbeatInterval: 300, sessionTimeout: 10_000, rebalanceTimeout: 10_000 }

function logToStderr() {
  return ({ namespace, label, log }) => console.error(`kafkajs ${label} ${namespace}: ${log.message} ${log.error ?? ''}`)
}

function toMessage(partition, { key, value, headers, offset }) {
  const list = Object.entries(headers ?? {}).flatMap(([name, values]) => [values].flat().map(one => [name, one]))
  return { partition, offset: BigInt(offset), key, value, headers: list }
}

class KafkaJsClient {
  name = 'kafkajs'
  // Two sends that do not wait for each other may be written in either order.
  sendsRace = true

  constructor({ bootstrap, reference }) {
    this.bootstrap = bootstrap
    // Apache Kafka answers "unknown topic" for a moment after it created one, at which KafkaJS gives up waiting for leaders.
    this.waitForLeaders = !reference
    this.kafka = new Kafka({
      clientId: 'alluvium-tests',
      brokers: [bootstrap],
      logLevel: logLevel.WARN,
      logCreator: logToStderr
    })
    this.extra = {
      'headers-with-one-name': place => this.headersWithOneName(place),
      'admin-topics': place => this.adminTopics(place),
      'admin-groups': place => this.adminGroups(place),
      transactions: place => this.transactions(place),
      'tutorial-seek': place => this.tutorialSeek(place)
    }
  }

  async withAdmin(action) {
    const admin = this.kafka.admin()
    await admin.connect()
    try {
      return await action(admin)
    } finally {
      await admin.disconnect()
    }
  }

  createTopic(topic, numPartitions, replicationFactor) {
    return this.withAdmin(async admin => {
      const created = await admin.createTopics({
        topics: [{ topic, numPartitions, replicationFactor }],
        waitForLeaders: this.waitForLeaders
      })
      assert.ok(created, 'the topic exists already')
    })
  }

  ready(topic) {
    return this.withAdmin(admin => admin.fetchTopicOffsets(topic))
  }

  partitionCount(topic) {
    return this.withAdmin(async admin => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      return topics[0].partitions.length
    })
  }

  // `requests` splits the messages into so many requests, sent one after the other without waiting.
  async produce(topic, messages, { codec = 'none', idempotent = false, requests = 1 } = {}) {
    const producer = this.kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, idempotent })
    await producer.connect()
    try {
      const each = Math.ceil(messages.length / requests)
      const parts = Array.from({ length: requests }, (_, i) => messages.slice(i * each, (i + 1) * each))
      const sends = parts.map(part =>
        producer.send({
          topic,
          compression: compressionOf[codec],
          messages: part.map(({ partition, key, value, headers }) => ({ partition, key, value, headers: Object.fromEntries(headers) }))
        })
      )
      const replies = await Promise.all(sends)
      return parts.flatMap((part, i) => withOffsets(part, replies[i]))
    } finally {
      await producer.disconnect()
    }
  }

  async read(place, topic, from, count) {
    const consumer = this.kafka.consumer({ ...consumerSettings, groupId: `reader-${randomUUID()}` })
    const messages = []
    await consumer.connect()
    try {
      await consumer.subscribe({ topics: [topic], fromBeginning: true })
      await consumer.run({
        autoCommit: false,
        eachMessage: async ({ partition, message }) => void messages.push(toMessage(partition, message))
      })
      for (const [partition, offset] of Object.entries(from)) {
        if (offset > 0n) consumer.seek({ topic, partition: Number(partition), offset: String(offset) })
      }
      await place.until(
        () => messages.length >= count,
        () => `${messages.length} of ${count} messages have arrived`
      )
      return messages
    } finally {
      await consumer.disconnect()
    }
  }

  async join(place, groupId, topic) {
    const consumer = this.kafka.consumer({ ...consumerSettings, groupId })
    const member = { messages: [], partitions: [], left: false }
    member.assigned = () => member.partitions
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      member.partitions = [...(payload.memberAssignment[topic] ?? [])].sort()
    })
    consumer.on(consumer.events.REBALANCING, () => (member.partitions = []))
    member.commit = messages =>
      consumer.commitOffsets(messages.map(({ partition, offset }) => ({ topic, partition, offset: String(offset + 1n) })))
    member.leave = async () => {
      if (member.left) return
      member.left = true
      await consumer.disconnect()
    }
    await consumer.connect()
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => void member.messages.push(toMessage(partition, message))
    })
    return member
  }

  // The admin leaves it to its caller to ask again while a coordinator is loading or moving, as after a restart.
  committed(place, groupId, topic) {
    return this.withAdmin(admin =>
      place.until(
        async () => {
          try {
            const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [topic] })
            return Object.fromEntries(partitions.map(({ partition, offset }) => [partition, BigInt(offset)]))
          } catch (error) {
            if (!coordinatorErrors.includes(error.type)) throw error
          }
        },
        () => 'the coordinator does not become available'
      )
    )
  }

  // KafkaJS gives headers as an object: one name with several values is a list, and the order of names is the object's.
  async headersWithOneName(place) {
    const topic = await newTopic(place, this, 'headers-with-one-name')
    const producer = this.kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
    await producer.connect()
    await producer.send({ topic, messages: [{ partition: 0, value: 'v', headers: { twice: ['first', 'second'] } }] })
    await producer.disconnect()
    const [message] = await this.read(place, topic, { 0: 0n }, 1)
    assert.deepStrictEqual(message.headers, [['twice', Buffer.from('first')], ['twice', Buffer.from('second')]])
    assert.strictEqual(message.key, null)
  }

  // KafkaJS reads with read_committed unless told otherwise.
  async transactions(place) {
    const topic = await newTopic(place, this, 'transactions')
    const groupId = place.named('transactions-group')
    const producer = this.kafka.producer({
      createPartitioner: Partitioners.DefaultPartitioner,
      idempotent: true,
      maxInFlightRequests: 1,
      transactionalId: topic
    })
    await producer.connect()
    try {
      for (const [values, commits] of [[['one', 'two'], true], [['aborted'], false], [['three'], true]]) {
        const transaction = await producer.transaction()
        for (const value of values) await transaction.send({ topic, messages: [{ partition: 0, value }] })
        await transaction.sendOffsets({ consumerGroupId: groupId, topics: [{ topic, partitions: [{ partition: 0, offset: commits ? '7' : '9' }] }] })
        await (commits ? transaction.commit() : transaction.abort())
      }
    } finally {
      await producer.disconnect()
    }
    const read = await this.read(place, topic, { 0: 0n }, 3)
    assert.deepStrictEqual(read.map(({ value }) => value.toString()), ['one', 'two', 'three'])
    await place.settled(async () => {
      const committed = await this.committed(place, groupId, topic)
      assert.strictEqual(committed[0], 7n, 'what the group has committed')
    })
  }

  adminTopics(place) {
    return this.withAdmin(async admin => {
      const topic = place.named('admin-topics')
      const configEntries = [{ name: 'retention.ms', value: '7200000' }]
      await admin.createTopics({ topics: [{ topic, numPartitions: 3, configEntries }], waitForLeaders: this.waitForLeaders })
      await place.settled(async () => assert.ok((await admin.listTopics()).includes(topic), 'the topic is not listed'))
      const retention = async () => {
        const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames: ['retention.ms'] }]
        const described = await admin.describeConfigs({ resources, includeSynonyms: true })
        return described.resources[0].configEntries[0].configValue
      }
      await place.settled(async () => assert.strictEqual(await retention(), '7200000'))
      const changed = [{ name: 'retention.ms', value: '10800000' }]
      await admin.alterConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: changed }] })
      await place.settled(async () => assert.strictEqual(await retention(), '10800000'))
      await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] })
      await place.settled(async () => assert.strictEqual(await this.partitionCount(topic), 5))
      await allReady(place, this, topic)
      await this.produce(topic, numbered(0, 10))
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '4' }] })
      const offsets = (await admin.fetchTopicOffsets(topic)).find(({ partition }) => partition === 0)
      assert.deepStrictEqual([offsets.low, offsets.high], ['4', '10'])
      const byTime = (await admin.fetchTopicOffsetsByTimestamp(topic, 1000)).find(({ partition }) => partition === 0)
      assert.strictEqual(byTime.offset, '4')
      const cluster = await admin.describeCluster()
      assert.ok(cluster.clusterId && cluster.brokers.length > 0, 'the cluster has no id or no broker')
      await admin.deleteTopics({ topics: [topic] })
      await place.settled(async () => assert.ok(!(await admin.listTopics()).includes(topic), 'a deleted topic is listed'))
    })
  }

  adminGroups(place) {
    return this.withAdmin(async admin => {
      const topic = await newTopic(place, this, 'admin-groups')
      const groupId = place.named('admin-groups-group')
      await this.produce(topic, numbered(1, 5))
      const member = await this.join(place, groupId, topic)
      await place.until(
        () => member.messages.length === 5,
        () => 'the member has not read everything'
      )
      await member.commit(member.messages)
      const [described] = (await admin.describeGroups([groupId])).groups
      assert.deepStrictEqual([described.state, described.members.length], ['Stable', 1])
      assert.ok((await admin.listGroups()).groups.some(group => group.groupId === groupId), 'the group is not listed')
      await member.leave()
      await admin.setOffsets({ groupId, topic, partitions: [{ partition: 1, offset: '3' }] })
      assert.strictEqual((await this.committed(place, groupId, topic))[1], 3n)
      await admin.resetOffsets({ groupId, topic, earliest: true })
      // KafkaJS commits its number for "earliest", -2, as it is, and resolves it when it asks.
      assert.strictEqual((await this.committed(place, groupId, topic))[1], -2n)
      const [resolved] = await admin.fetchOffsets({ groupId, topics: [topic], resolveOffsets: true })
      assert.strictEqual(resolved.partitions.find(({ partition }) => partition === 1).offset, '0')
      await admin.deleteGroups([groupId])
    })
  }

  // The program in tutorials/, as a beginner runs it: its own process, topics created on first use.
  async tutorialSeek(place) {
    const program = path.join(__dirname, '..', 'tutorials', 'kafkajs-seek.js')
    const parameters = [program, this.bootstrap, place.named('tutorial'), place.named('tutorial-group')]
    const timeout = place.deadline - Date.now()
    const { stdout } = await promisify(execFile)(process.execPath, parameters, { timeout })
    const lines = stdout.split('\n').filter(line => line.startsWith('offset '))
    assert.deepStrictEqual(
      lines,
      [5, 6, 7, 8, 9].map(offset => `offset ${offset}: message ${offset}`)
    )
  }
}

// Gives messages whose partition was chosen by us the offset that follows from their partition's first one.
function withOffsets(messages, replies) {
  const next = new Map(replies.map(({ partition, baseOffset }) => [partition, BigInt(baseOffset)]))
  return messages.map(message => {
    if (message.partition === undefined) return message
    const offset = next.get(message.partition)
    next.set(message.partition, offset + 1n)
    return { ...message, offset }
  })
}

module.exports = { KafkaJsClient }
