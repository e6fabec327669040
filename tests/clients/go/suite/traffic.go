package suite

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Traffic notes which version of which API a client sends, by reading along on its connections.
type Traffic struct {
	mutex sync.Mutex
	seen  map[int16]map[int16]int
}

// Dial opens a connection that is read along with.
func (traffic *Traffic) Dial(network, address string) (net.Conn, error) {
	connection, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return &watched{Conn: connection, traffic: traffic}, nil
}

// watched follows the frames of requests: a length, then the API key and the version.
type watched struct {
	net.Conn
	traffic *Traffic
	header  []byte
	rest    int
}

func (connection *watched) Write(bytes []byte) (int, error) {
	written, err := connection.Conn.Write(bytes)
	connection.follow(bytes[:written])
	return written, err
}

func (connection *watched) follow(bytes []byte) {
	for len(bytes) > 0 {
		if connection.rest > 0 {
			skip := min(connection.rest, len(bytes))
			bytes, connection.rest = bytes[skip:], connection.rest-skip
			continue
		}
		missing := min(8-len(connection.header), len(bytes))
		connection.header, bytes = append(connection.header, bytes[:missing]...), bytes[missing:]
		if len(connection.header) < 8 {
			return
		}
		connection.rest = int(binary.BigEndian.Uint32(connection.header)) - 4
		connection.traffic.note(int16(binary.BigEndian.Uint16(connection.header[4:])), int16(binary.BigEndian.Uint16(connection.header[6:])))
		connection.header = connection.header[:0]
	}
}

func (traffic *Traffic) note(key, version int16) {
	traffic.mutex.Lock()
	defer traffic.mutex.Unlock()
	if traffic.seen == nil {
		traffic.seen = make(map[int16]map[int16]int)
	}
	if traffic.seen[key] == nil {
		traffic.seen[key] = make(map[int16]int)
	}
	traffic.seen[key][version]++
}

// Print lists what was sent, a line an API.
func (traffic *Traffic) Print(out io.Writer, client string) {
	traffic.mutex.Lock()
	defer traffic.mutex.Unlock()
	for _, key := range sortedKeys(traffic.seen) {
		var versions []string
		for _, version := range sortedKeys(traffic.seen[key]) {
			versions = append(versions, fmt.Sprintf("v%d (%d times)", version, traffic.seen[key][version]))
		}
		fmt.Fprintf(out, "%s sends %d %s: %s\n", client, key, kmsg.NameForKey(key), strings.Join(versions, ", "))
	}
}

func sortedKeys[Value any](from map[int16]Value) []int16 {
	keys := make([]int16, 0, len(from))
	for key := range from {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
