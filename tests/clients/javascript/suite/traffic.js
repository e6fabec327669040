// Notes which version of which API a client sends, by reading along on its TCP connections.
'use strict'

const net = require('node:net')

const apiNames = {
  0: 'Produce', 1: 'Fetch', 2: 'ListOffsets', 3: 'Metadata', 8: 'OffsetCommit', 9: 'OffsetFetch', 10: 'FindCoordinator',
  11: 'JoinGroup', 12: 'Heartbeat', 13: 'LeaveGroup', 14: 'SyncGroup', 15: 'DescribeGroups', 16: 'ListGroups',
  18: 'ApiVersions', 19: 'CreateTopics', 20: 'DeleteTopics', 21: 'DeleteRecords', 22: 'InitProducerId',
  32: 'DescribeConfigs', 33: 'AlterConfigs', 35: 'DescribeLogDirs', 37: 'CreatePartitions', 42: 'DeleteGroups',
  44: 'IncrementalAlterConfigs', 47: 'OffsetDelete', 60: 'DescribeCluster', 68: 'ConsumerGroupHeartbeat'
}

class Traffic {
  seen = new Map()
  client = ''

  // Reads along from now on with every connection that is opened; `client` says whose they are.
  watch() {
    const traffic = this
    const { connect, write } = net.Socket.prototype
    net.Socket.prototype.connect = function (...options) {
      this.requests = { client: traffic.client, header: Buffer.alloc(0), rest: 0 }
      return connect.apply(this, options)
    }
    net.Socket.prototype.write = function (chunk, ...options) {
      if (this.requests && Buffer.isBuffer(chunk)) traffic.follow(this.requests, chunk)
      return write.call(this, chunk, ...options)
    }
  }

  // Follows the frames of requests: a length, then the API key and the version.
  follow(state, chunk) {
    while (chunk.length > 0) {
      if (state.rest > 0) {
        const skip = Math.min(state.rest, chunk.length)
        state.rest -= skip
        chunk = chunk.subarray(skip)
        continue
      }
      const missing = Math.min(8 - state.header.length, chunk.length)
      state.header = Buffer.concat([state.header, chunk.subarray(0, missing)])
      chunk = chunk.subarray(missing)
      if (state.header.length < 8) return
      state.rest = state.header.readInt32BE(0) - 4
      this.note(state.client, state.header.readInt16BE(4), state.header.readInt16BE(6))
      state.header = Buffer.alloc(0)
    }
  }

  note(client, key, version) {
    const id = JSON.stringify([client, key, version])
    this.seen.set(id, (this.seen.get(id) ?? 0) + 1)
  }

  print() {
    const lines = [...this.seen].map(([id, count]) => [...JSON.parse(id), count])
    lines.sort((left, right) => left[0].localeCompare(right[0]) || left[1] - right[1] || left[2] - right[2])
    for (const [client, key, version, count] of lines) {
      console.error(`${client} sends ${key} ${apiNames[key] ?? ''}: v${version} (${count} times)`)
    }
  }
}

module.exports = { Traffic }
