// @platformatic/kafka: its producer, its consumer (a group and a stream) and its admin.
'use strict'

const assert = require('node:assert')
const { randomUUID } = require('node:crypto')
const { Admin, ConfigResourceTypes, Consumer, Producer, stringDeserializers, stringSerializers } = require('@platformatic/kafka')
const { allReady, newTopic, numbered } = require('../suite/scenarios')

const codecNames = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const groupSettings = { sessionTimeout: 10_000, rebalanceTimeout: 10_000, heartbeatInterval: 300, maxWaitTime: 300 }

function toMessage({ partition, offset, key, value, headerEntries }) {
  const headers = headerEntries.map(([name, content]) => [name.toString(), content])
  return { partition, offset, key: key ?? null, value, headers }
}

class PlatformaticClient {
  name = 'platformatic'
  // A fetch that waits while the group rebalances still delivers what arrives for partitions that were taken away.
  deliversRevoked = true

  constructor({ bootstrap }) {
    this.common = { clientId: 'alluvium-tests', bootstrapBrokers: [bootstrap], strict: true }
    this.extra = {
      'autocreate-topic': place => this.autocreateTopic(place),
      'admin-topics': place => this.adminTopics(place),
      'admin-groups': place => this.adminGroups(place),
      transactions: place => this.transactions(place),
      'admin-log-dirs': place => this.adminLogDirs(place),
      'admin-delete-offsets': place => this.adminDeleteOffsets(place)
    }
  }

  async withAdmin(action) {
    const admin = new Admin(this.common)
    try {
      return await action(admin)
    } finally {
      await admin.close()
    }
  }

  createTopic(topic, partitions, replicas) {
    return this.withAdmin(admin => admin.createTopics({ topics: [topic], partitions, replicas }))
  }

  ready(topic) {
    const partitions = [0, 1, 2].map(partitionIndex => ({ partitionIndex, timestamp: -1n }))
    return this.withAdmin(admin => admin.listOffsets({ topics: [{ name: topic, partitions }] }))
  }

  partitionCount(topic) {
    return this.withAdmin(async admin => (await admin.metadata({ topics: [topic], forceUpdate: true })).topics.get(topic).partitionsCount)
  }

  // `requests` splits the messages into so many requests, sent one after the other without waiting.
  async produce(topic, messages, { codec = 'none', idempotent = false, requests = 1 } = {}) {
    const producer = new Producer({ ...this.common, idempotent, compression: codec })
    try {
      const each = Math.ceil(messages.length / requests)
      const parts = Array.from({ length: requests }, (_, i) => messages.slice(i * each, (i + 1) * each))
      const sends = parts.map(part => producer.send({ messages: part.map(message => toSend(topic, message)) }))
      const replies = await Promise.all(sends)
      return parts.flatMap((part, i) => withOffsets(part, replies[i].offsets))
    } finally {
      await producer.close()
    }
  }

  async read(place, topic, from, count) {
    const offsets = Object.entries(from).map(([partition, offset]) => ({ topic, partition: Number(partition), offset }))
    const consumer = new Consumer({ ...this.common, ...groupSettings, groupId: `reader-${randomUUID()}`, autocommit: false })
    const stream = await consumer.consume({ topics: [topic], mode: 'manual', fallbackMode: 'earliest', offsets })
    const messages = []
    let failure
    stream.on('data', message => messages.push(toMessage(message)))
    stream.on('error', error => (failure = error))
    try {
      await place.until(
        () => failure || messages.length >= count,
        () => `${messages.length} of ${count} messages have arrived`
      )
      if (failure) throw failure
      return messages
    } finally {
      await stream.close()
      await consumer.close()
    }
  }

  async join(place, groupId, topic) {
    const consumer = new Consumer({ ...this.common, ...groupSettings, groupId, autocommit: false })
    const member = { messages: [], partitions: [], left: false }
    const own = assignments => {
      member.partitions = [...(assignments?.find(one => one.topic === topic)?.partitions ?? [])].sort()
    }
    consumer.on('consumer:group:join', () => own(consumer.assignments))
    consumer.on('consumer:group:rebalance', () => own(null))
    const stream = await consumer.consume({ topics: [topic], mode: 'committed', fallbackMode: 'earliest' })
    stream.on('data', message => member.messages.push(toMessage(message)))
    stream.on('error', error => console.error(`a member of ${groupId} stopped:`, error))
    member.assigned = () => member.partitions
    member.commit = messages =>
      consumer.commit({
        offsets: newest(messages).map(({ partition, offset }) => ({ topic, partition, offset: offset + 1n, leaderEpoch: -1 }))
      })
    member.leave = async () => {
      if (member.left) return
      member.left = true
      await stream.close()
      await consumer.close()
    }
    return member
  }

  committed(place, groupId, topic) {
    return this.withAdmin(async admin => {
      const [group] = await admin.listConsumerGroupOffsets({ groups: [groupId] })
      const { partitions } = group.topics.find(({ name }) => name === topic) ?? { partitions: [] }
      return Object.fromEntries(
        partitions.sort((left, right) => left.partitionIndex - right.partitionIndex).map(one => [one.partitionIndex, one.committedOffset])
      )
    })
  }

  // The consumer reads with read_committed unless told otherwise.
  async transactions(place) {
    const topic = await newTopic(place, this, 'transactions')
    const producer = new Producer({ ...this.common, idempotent: true, transactionalId: topic })
    try {
      for (const [values, commits] of [[['one', 'two'], true], [['aborted'], false], [['three'], true]]) {
        const transaction = await producer.beginTransaction()
        for (const value of values) await transaction.send({ messages: [{ topic, partition: 0, value: Buffer.from(value) }] })
        await (commits ? transaction.commit() : transaction.abort())
      }
    } finally {
      await producer.close()
    }
    const read = await this.read(place, topic, { 0: 0n }, 3)
    assert.deepStrictEqual(read.map(({ value }) => value.toString()), ['one', 'two', 'three'])
  }

  // Tells the codec of each stored batch of a partition, which no client shows its users, from a fetch of its own.
  async storedCodecs(topic, partition) {
    const consumer = new Consumer({ ...this.common, groupId: `inspector-${randomUUID()}` })
    try {
      const { topics } = await consumer.metadata({ topics: [topic] })
      const { id, partitions } = topics.get(topic)
      const wanted = { partition, fetchOffset: 0n, partitionMaxBytes: 1 << 20, currentLeaderEpoch: -1, lastFetchedEpoch: -1 }
      const node = partitions[partition].leader
      const reply = await consumer.fetch({ node, maxWaitTime: 1000, minBytes: 1, maxBytes: 1 << 20, topics: [{ topicId: id, partitions: [wanted] }] })
      const batches = reply.responses[0].partitions[0].records
      assert.ok(batches.length > 0, 'nothing is stored')
      return batches.map(({ attributes }) => codecNames[attributes & 7])
    } finally {
      await consumer.close()
    }
  }

  // The first lines of the README, on a topic that is created on first use.
  async autocreateTopic(place) {
    const topic = place.named('autocreate')
    const producer = new Producer({ ...this.common, serializers: stringSerializers, autocreateTopics: true })
    await producer.send({ messages: [{ topic, key: 'user-123', value: 'login', headers: { source: 'web-app' } }] })
    await producer.close()
    const groupId = place.named('autocreate-group')
    const consumer = new Consumer({ ...this.common, ...groupSettings, groupId, deserializers: stringDeserializers })
    const stream = await consumer.consume({ autocommit: true, topics: [topic], mode: 'earliest' })
    for await (const message of stream) {
      assert.deepStrictEqual([message.key, message.value, message.headers.get('source')], ['user-123', 'login', 'web-app'])
      break
    }
    await stream.close()
    await consumer.close()
  }

  adminTopics(place) {
    return this.withAdmin(async admin => {
      const name = place.named('admin-topics')
      await admin.createTopics({ topics: [name], partitions: 3, replicas: 1, configs: [{ name: 'retention.ms', value: '7200000' }] })
      const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName: name }
      const retention = async () => {
        const [described] = await admin.describeConfigs({ resources: [{ ...resource, configurationKeys: ['retention.ms'] }] })
        return described.configs[0].value
      }
      await place.settled(async () => assert.strictEqual(await retention(), '7200000'))
      const set = [{ name: 'retention.ms', value: '10800000', configOperation: 0 }]
      await admin.incrementalAlterConfigs({ resources: [{ ...resource, configs: set }] })
      await place.settled(async () => assert.strictEqual(await retention(), '10800000'))
      await admin.alterConfigs({ resources: [{ ...resource, configs: [{ name: 'retention.ms', value: '14400000' }] }] })
      await place.settled(async () => assert.strictEqual(await retention(), '14400000'))
      await admin.createPartitions({ topics: [{ name, count: 5 }] })
      await place.settled(async () => assert.strictEqual(await this.partitionCount(name), 5))
      await allReady(place, this, name)
      await this.produce(name, numbered(0, 10))
      const [deleted] = await admin.deleteRecords({ topics: [{ name, partitions: [{ partition: 0, offset: 4n }] }] })
      assert.strictEqual(deleted.partitions[0].lowWatermark, 4n)
      for (const [timestamp, offset] of [[-2n, 4n], [-1n, 10n], [1000n, 4n]]) {
        const [listed] = await admin.listOffsets({ topics: [{ name, partitions: [{ partitionIndex: 0, timestamp }] }] })
        assert.strictEqual(listed.partitions[0].offset, offset, `the offset for timestamp ${timestamp}`)
      }
      await admin.deleteTopics({ topics: [name] })
      await place.settled(async () => assert.ok(!(await admin.listTopics()).includes(name), 'a deleted topic is listed'))
    })
  }

  adminGroups(place) {
    return this.withAdmin(async admin => {
      const topic = await newTopic(place, this, 'admin-groups')
      const groupId = place.named('admin-groups-group')
      const member = await this.join(place, groupId, topic)
      try {
        await place.until(
          () => member.assigned().length === 3,
          () => 'the member owns nothing'
        )
        const described = (await admin.describeGroups({ groups: [groupId] })).get(groupId)
        assert.deepStrictEqual([described.state.toUpperCase(), described.members.size], ['STABLE', 1])
        assert.ok((await admin.listGroups()).has(groupId), 'the group is not listed')
      } finally {
        await member.leave()
      }
      const altered = [{ name: topic, partitionOffsets: [{ partition: 1, offset: 3n }] }]
      await admin.alterConsumerGroupOffsets({ groupId, topics: altered })
      assert.strictEqual((await this.committed(place, groupId, topic))[1], 3n)
      await admin.deleteGroups({ groups: [groupId] })
      await place.settled(async () => assert.ok(!(await admin.listGroups()).has(groupId), 'a deleted group is listed'))
    })
  }

  adminLogDirs(place) {
    return this.withAdmin(async admin => {
      const name = await newTopic(place, this, 'log-dirs')
      await this.produce(name, numbered(0, 10))
      const [{ results }] = await admin.describeLogDirs({ topics: [{ name, partitions: [0] }] })
      const sizes = results.flatMap(({ topics }) => topics).flatMap(({ partitions }) => partitions.map(one => one.partitionSize))
      assert.ok(sizes.length === 1 && sizes[0] > 0n, `partition sizes are [${sizes}]`)
    })
  }

  adminDeleteOffsets(place) {
    return this.withAdmin(async admin => {
      const topic = await newTopic(place, this, 'delete-offsets')
      const groupId = place.named('delete-offsets-group')
      const partitionOffsets = [0, 1].map(partition => ({ partition, offset: 0n }))
      await admin.alterConsumerGroupOffsets({ groupId, topics: [{ name: topic, partitionOffsets }] })
      await admin.deleteConsumerGroupOffsets({ groupId, topics: [{ name: topic, partitionIndexes: [1] }] })
      assert.deepStrictEqual(await this.committed(place, groupId, topic), { 0: 0n })
    })
  }
}

function toSend(topic, { partition, key, value, headers }) {
  return {
    topic,
    partition,
    key: key ?? undefined,
    value,
    headers: new Map(headers.map(([name, content]) => [Buffer.from(name), content]))
  }
}

// The last message of each partition: the offset after it is what is committed.
function newest(messages) {
  return [...new Map(messages.map(message => [message.partition, message])).values()]
}

// Gives messages whose partition was chosen by us the offset that follows from their partition's first one.
function withOffsets(messages, replies) {
  const next = new Map(replies.map(({ partition, offset }) => [partition, offset]))
  return messages.map(message => {
    if (message.partition === undefined) return message
    const offset = next.get(message.partition)
    next.set(message.partition, offset + 1n)
    return { ...message, offset }
  })
}

module.exports = { PlatformaticClient }
