// Consumer groups: two members of which one leaves, and committed offsets that outlive the server's process.
//
// A member is an object with assigned() (partitions in ascending order), messages (a list that grows as it reads),
// commit(messages) and leave(), which may be called twice.
'use strict'

const assert = require('node:assert')
const { compare, fromStart, newTopic, numbered, topicPartitionCount } = require('./scenarios')

const partitions = Array.from({ length: topicPartitionCount }, (_, partition) => partition)

function perPartition(each, first) {
  return partitions.flatMap(partition => numbered(partition, each, { keys: true, first }))
}

// Says whether the members own each partition once, and every member owns one at least.
function ownEverything(...members) {
  const owned = members.map(member => member.assigned())
  return owned.every(list => list.length > 0) && owned.flat().sort().join() === partitions.join()
}

// Waits for so many messages and takes them out of the members' lists. What a member hands out of a partition that it
// no longer owns counts only for clients that do not do so.
async function take(place, client, count, ...members) {
  const counts = (member, { partition }) => !client.deliversRevoked || member.assigned().includes(partition)
  const arrived = () => members.flatMap(member => member.messages.filter(message => counts(member, message)))
  await place.until(
    () => arrived().length >= count,
    () => `${arrived().length} of ${count} messages have arrived`
  )
  const taken = arrived()
  for (const member of members) member.messages.length = 0
  return taken
}

function ofPartitions(messages, wanted) {
  return messages.filter(message => wanted.includes(message.partition))
}

async function groupRebalance(place, client) {
  const topic = await newTopic(place, client, 'rebalance')
  const group = place.named('rebalance-group')
  const members = []
  try {
    const first = await client.join(place, group, topic)
    members.push(first)
    const second = await client.join(place, group, topic)
    members.push(second)
    await place.until(
      () => ownEverything(first, second),
      () => `the members own [${first.assigned()}] and [${second.assigned()}]`
    )
    let sent = await client.produce(topic, perPartition(20, 0))
    const shared = await take(place, client, sent.length, first, second)
    compare(sent, shared)
    for (const member of members) await member.commit(ofPartitions(shared, member.assigned()))
    await second.leave()
    await place.until(
      () => ownEverything(first),
      () => `the member left behind owns [${first.assigned()}]`
    )
    sent = await client.produce(topic, perPartition(10, 20))
    compare(sent, await take(place, client, sent.length, first))
  } finally {
    for (const member of members) await member.leave()
  }
}

async function committedOffsetsAfterRestart(place, client) {
  place.needRestart()
  const topic = await newTopic(place, client, 'restart')
  const group = place.named('restart-group')
  const before = await client.produce(topic, perPartition(10, 0))
  const member = await client.join(place, group, topic)
  try {
    const read = await take(place, client, before.length, member)
    compare(before, read)
    await member.commit(read)
  } finally {
    await member.leave()
  }
  await place.restartServer()
  const expected = Object.fromEntries(partitions.map(partition => [partition, 10n]))
  assert.deepStrictEqual(await client.committed(place, group, topic), expected, 'committed offsets after the restart')
  const after = await client.produce(topic, perPartition(5, 10))
  const again = await client.join(place, group, topic)
  try {
    compare(after, await take(place, client, after.length, again))
  } finally {
    await again.leave()
  }
  const everything = [...before, ...after]
  compare(everything, await client.read(place, topic, fromStart, everything.length))
}

module.exports = { committedOffsetsAfterRestart, groupRebalance, take }
