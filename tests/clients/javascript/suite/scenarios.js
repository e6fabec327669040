// The scenarios that every client must show, written once.
//
// A client is an object with
//   name
//   createTopic(topic, partitionCount, replicationFactor)
//   partitionCount(topic)
//   produce(topic, messages, { codec, idempotent })   resolves to the messages, with partition and offset where known
//   read(place, topic, from, count)                   from: { partition: offset }, without committing anything
//   join(place, group, topic)                         resolves to a member, see groups.js
//   committed(place, group, topic)                    resolves to { partition: offset }
//   ready(topic)                                      rejects until every partition answers; Apache Kafka alone needs it
//   extra                                             { name: action }, what only this client has
// A message is { partition, offset, key, value, headers }: key and value are Buffers or null, headers is a list of
// [name, Buffer]. Values are unique within a topic, so that messages whose partition a client does not tell can be found.
'use strict'

const assert = require('node:assert')
const { Skip } = require('./report')

const topicPartitionCount = 3
const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const fromStart = { 0: 0n, 1: 0n, 2: 0n }

// Makes messages whose values name their number; with keys, one of six.
function numbered(partition, count, { keys = false, first = 0 } = {}) {
  return Array.from({ length: count }, (_, i) => ({
    partition,
    key: keys ? Buffer.from(`key-${(first + i) % 6}`) : null,
    value: Buffer.from(`value-${partition ?? 'any'}-${String(first + i).padStart(5, '0')}`),
    headers: []
  }))
}

// Checks that what was sent is what was read: once, in order within a partition, at dense offsets, with nothing changed.
function compare(sent, read, { ordered = true } = {}) {
  const expected = new Map(sent.map((message, order) => [message.value.toString('latin1'), { message, order }]))
  assert.strictEqual(expected.size, sent.length, 'the values of a test are unique')
  const last = new Map()
  for (const got of read) {
    const text = got.value.toString('latin1')
    const found = expected.get(text)
    assert.ok(found, `${text.slice(0, 40)} was read twice or never sent`)
    expected.delete(text)
    const { message: want, order } = found
    const at = `${got.partition}/${got.offset}`
    if (want.partition !== undefined) assert.strictEqual(got.partition, want.partition, `partition of ${at}`)
    if (want.offset !== undefined) assert.strictEqual(got.offset, want.offset, `offset of ${text.slice(0, 40)}`)
    assert.deepStrictEqual(got.key, want.key, `key at ${at}`)
    assert.deepStrictEqual(got.headers, want.headers, `headers at ${at}`)
    const before = last.get(got.partition)
    if (before) {
      assert.strictEqual(got.offset, before.offset + 1n, `offsets of partition ${got.partition} have a gap`)
      if (ordered) assert.ok(order > before.order, `partition ${got.partition} is out of order at ${at}`)
    }
    last.set(got.partition, { offset: got.offset, order })
  }
  assert.strictEqual(expected.size, 0, `${expected.size} messages that were acknowledged were not read`)
}

async function newTopic(place, client, name) {
  const topic = place.named(name)
  await client.createTopic(topic, topicPartitionCount, 1)
  await allReady(place, client, topic)
  return topic
}

// On Alluvium a topic that was created is there; Apache Kafka's partitions answer a moment later.
async function allReady(place, client, topic) {
  if (place.reference) await place.settled(() => client.ready(topic))
}

async function threePartitions(place, client, topic) {
  await place.settled(async () => assert.strictEqual(await client.partitionCount(topic), topicPartitionCount))
}

async function createTopic(place, client) {
  const topic = await newTopic(place, client, 'create')
  await threePartitions(place, client, topic)
  await assert.rejects(client.createTopic(topic, topicPartitionCount, 1), 'the same topic could be created twice')
}

async function replicationFactorThree(place, client) {
  if (place.reference) throw new Skip('one Apache Kafka broker cannot hold three replicas')
  const topic = place.named('replicated')
  await client.createTopic(topic, topicPartitionCount, 3)
  await threePartitions(place, client, topic)
}

async function produceAndCompare(place, client, name, messages, options = {}) {
  const topic = await newTopic(place, client, name)
  const sent = await client.produce(topic, messages, options)
  const read = await client.read(place, topic, fromStart, messages.length)
  compare(sent, read)
  return read
}

async function produceWithKeys(place, client) {
  const read = await produceAndCompare(place, client, 'with-keys', numbered(undefined, 60, { keys: true }))
  const home = new Map()
  for (const { key, partition } of read) {
    const known = home.get(key.toString()) ?? partition
    assert.strictEqual(partition, known, `${key} is in two partitions`)
    home.set(key.toString(), partition)
  }
}

async function headers(place, client) {
  const messages = numbered(0, 3)
  messages[0].headers = [['trace', Buffer.from('abc')], ['binary', Buffer.from([0, 255, 128])], ['empty', Buffer.alloc(0)]]
  messages[1].headers = [['größe', Buffer.from('übergroß')]]
  await produceAndCompare(place, client, 'headers', messages)
}

// Also asks which codec the stored batches have: the server must keep the producer's.
async function codecRoundTrip(place, client, inspector, codec) {
  if (client.lacks?.[codec]) throw new Skip(client.lacks[codec])
  const topic = await newTopic(place, client, `codec-${codec}`)
  const messages = numbered(0, 100)
  for (const message of messages) message.value = Buffer.from(message.value.toString().repeat(20))
  const sent = await client.produce(topic, messages, { codec })
  compare(sent, await client.read(place, topic, { 0: 0n }, messages.length))
  for (const stored of await inspector.storedCodecs(topic, 0)) assert.strictEqual(stored, codec)
}

async function idempotence(place, client) {
  const topic = await newTopic(place, client, 'idempotence')
  const sent = await client.produce(topic, numbered(undefined, 900, { keys: true }), { idempotent: true, requests: 9 })
  compare(sent, await client.read(place, topic, fromStart, sent.length), { ordered: !client.sendsRace })
}

async function readFrom(place, client, offset) {
  const topic = await newTopic(place, client, `read-from-${offset}`)
  const sent = []
  // Several requests, so that the offset asked for is in the middle of a batch that is not the first.
  for (const first of [0, 10, 20]) sent.push(...(await client.produce(topic, numbered(1, 10, { keys: true, first }))))
  const read = await client.read(place, topic, { 1: BigInt(offset) }, sent.length - offset)
  assert.strictEqual(read[0].offset, BigInt(offset), 'the first offset read')
  compare(sent.slice(offset), read)
}

function sharedScenarios(client, inspector) {
  const { groupRebalance, committedOffsetsAfterRestart } = require('./groups')
  return {
    'create-topic': place => createTopic(place, client),
    'replication-factor-three': place => replicationFactorThree(place, client),
    'produce-without-keys': place => produceAndCompare(place, client, 'without-keys', numbered(undefined, 60)),
    'produce-with-keys': place => produceWithKeys(place, client),
    headers: place => headers(place, client),
    ...Object.fromEntries(codecs.map(codec => [`codec-${codec}`, place => codecRoundTrip(place, client, inspector, codec)])),
    idempotence: place => idempotence(place, client),
    'read-from-beginning': place => readFrom(place, client, 0),
    'read-from-offset': place => readFrom(place, client, 17),
    'group-rebalance': place => groupRebalance(place, client),
    'committed-offsets-after-restart': place => committedOffsetsAfterRestart(place, client),
    ...client.extra
  }
}

module.exports = { allReady, compare, fromStart, newTopic, numbered, sharedScenarios, topicPartitionCount }
