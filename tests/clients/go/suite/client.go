// Package suite holds what every Go client must show against a broker, written once for all of them.
//
// A client library takes part by implementing Client; the scenarios are in scenarios.go and groups.go,
// the outcome of each is printed by Report.
package suite

import (
	"context"
	"errors"
	"fmt"
)

// Any is the partition of a message whose partition the client is to choose.
const Any int32 = -1

// Header is a name and a value that travel with a message. The value may be nil.
type Header struct {
	Name  string
	Value []byte
}

// Message is a record as a client hands it out; Codec is filled in where the library tells it.
type Message struct {
	Partition int32
	Offset    int64
	Key       []byte
	Value     []byte
	Headers   []Header
	Codec     string
}

// ProduceOptions says how messages are sent. An empty Codec means none.
type ProduceOptions struct {
	Codec      string
	Idempotent bool
}

// Member is one consumer of a group. Its messages arrive on the channel until it leaves.
type Member interface {
	// Assigned returns the partitions that the member owns now, in ascending order.
	Assigned() []int32
	// Messages returns what the member reads; the channel is closed after Leave.
	Messages() <-chan Message
	// Commit stores the offset after each of these messages, and returns when the server has it.
	Commit(ctx context.Context, messages []Message) error
	// Leave leaves the group and closes the connections.
	Leave(ctx context.Context) error
}

// Client is what a library must offer to be put through the scenarios.
type Client interface {
	Name() string
	CreateTopic(ctx context.Context, topic string, partitionCount int32, replicationFactor int16) error
	PartitionCount(ctx context.Context, topic string) (int, error)
	// Produce sends the messages in order and returns the partition and offset that each of them got.
	Produce(ctx context.Context, topic string, messages []Message, options ProduceOptions) ([]Message, error)
	// Read reads without a group, from these offsets (offset by partition), until count messages have arrived.
	Read(ctx context.Context, topic string, from map[int32]int64, count int) ([]Message, error)
	Join(ctx context.Context, group, topic string) (Member, error)
	Committed(ctx context.Context, group, topic string) (map[int32]int64, error)
	// Extra lists the scenarios that only this library has: its admin API and its tutorial programs.
	Extra() []Scenario
}

// Scenario is one thing to show. Run returns nil, an error, or an error made by Skip.
type Scenario struct {
	Name string
	Run  func(ctx context.Context, place *Place) error
}

// Place is where a suite runs: the broker and the suffix that makes names unique.
type Place struct {
	Bootstrap string
	// Restart is a shell command that stops and starts the server, or empty.
	Restart string
	// Reference is set when the broker is Apache Kafka and not Alluvium.
	Reference bool
	// Only limits the run to scenarios whose name contains it; empty means all.
	Only string
	// Inspector is the client that tells the codec of a stored batch.
	Inspector Client
	suffix    string
}

// Named makes a name for a topic or a group that no other run uses.
func (place *Place) Named(name string) string {
	return fmt.Sprintf("%s-%s", name, place.suffix)
}

type skipped struct{ reason string }

func (skip skipped) Error() string { return skip.reason }

// Skip is the outcome of a scenario that cannot run here.
func Skip(format string, arguments ...any) error {
	return skipped{fmt.Sprintf(format, arguments...)}
}

func asSkip(err error) (skipped, bool) {
	var skip skipped
	found := errors.As(err, &skip)
	return skip, found
}
