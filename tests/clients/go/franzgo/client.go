// Package franzgo puts franz-go and its admin package kadm through the scenarios.
package franzgo

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"

	"alluvium/tests/clients/go/suite"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var codecNames = map[uint8]string{0: "none", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}

var codecs = map[string]kgo.CompressionCodec{
	"": kgo.NoCompression(), "none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// Client is franz-go with its defaults, apart from what a scenario asks for.
type Client struct {
	Bootstrap string
	Traffic   suite.Traffic
}

// Name is how the client is called in the list of outcomes.
func (client *Client) Name() string { return "franz-go" }

func (client *Client) open(options ...kgo.Opt) (*kgo.Client, error) {
	common := []kgo.Opt{
		kgo.SeedBrokers(client.Bootstrap),
		kgo.Dialer(func(_ context.Context, network, address string) (net.Conn, error) {
			return client.Traffic.Dial(network, address)
		}),
	}
	return kgo.NewClient(append(common, options...)...)
}

func (client *Client) admin() (*kadm.Client, error) {
	connection, err := client.open()
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(connection), nil
}

// CreateTopic creates a topic with kadm.
func (client *Client) CreateTopic(ctx context.Context, topic string, partitionCount int32, replicationFactor int16) error {
	admin, err := client.admin()
	if err != nil {
		return err
	}
	defer admin.Close()
	_, err = admin.CreateTopic(ctx, partitionCount, replicationFactor, nil, topic)
	return err
}

// PartitionCount asks for the metadata of a topic.
func (client *Client) PartitionCount(ctx context.Context, topic string) (int, error) {
	admin, err := client.admin()
	if err != nil {
		return 0, err
	}
	defer admin.Close()
	topics, err := admin.ListTopics(ctx, topic)
	if err != nil {
		return 0, err
	}
	return len(topics[topic].Partitions), topics.Error()
}

// Produce sends the messages; messages without a partition go where franz-go's partitioner says.
func (client *Client) Produce(ctx context.Context, topic string, messages []suite.Message, options suite.ProduceOptions) ([]suite.Message, error) {
	settings := []kgo.Opt{kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(codecs[options.Codec])}
	if !options.Idempotent {
		settings = append(settings, kgo.DisableIdempotentWrite())
	}
	if messages[0].Partition != suite.Any {
		settings = append(settings, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	connection, err := client.open(settings...)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	records := make([]*kgo.Record, len(messages))
	for i, message := range messages {
		records[i] = &kgo.Record{Key: message.Key, Value: message.Value, Partition: max(message.Partition, 0)}
		for _, header := range message.Headers {
			records[i].Headers = append(records[i].Headers, kgo.RecordHeader{Key: header.Name, Value: header.Value})
		}
	}
	if err := connection.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return nil, err
	}
	sent := slices.Clone(messages)
	for i, record := range records {
		sent[i].Partition, sent[i].Offset = record.Partition, record.Offset
	}
	return sent, nil
}

func toMessage(record *kgo.Record) suite.Message {
	message := suite.Message{
		Partition: record.Partition, Offset: record.Offset, Key: record.Key, Value: record.Value,
		Codec: codecNames[record.Attrs.CompressionType()],
	}
	for _, header := range record.Headers {
		message.Headers = append(message.Headers, suite.Header{Name: header.Key, Value: header.Value})
	}
	return message
}

// Read consumes partitions directly.
func (client *Client) Read(ctx context.Context, topic string, from map[int32]int64, count int) ([]suite.Message, error) {
	offsets := make(map[int32]kgo.Offset)
	for partition, offset := range from {
		offsets[partition] = kgo.NewOffset().At(offset)
		if offset == 0 {
			offsets[partition] = kgo.NewOffset().AtStart()
		}
	}
	connection, err := client.open(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	var messages []suite.Message
	for len(messages) < count {
		fetches := connection.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("with %d of %d messages: %w", len(messages), count, err)
		}
		fetches.EachRecord(func(record *kgo.Record) { messages = append(messages, toMessage(record)) })
	}
	return messages, nil
}

// Committed asks for the committed offsets of a group with kadm.
func (client *Client) Committed(ctx context.Context, group, topic string) (map[int32]int64, error) {
	admin, err := client.admin()
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	offsets, err := admin.FetchOffsets(ctx, group)
	if err != nil {
		return nil, err
	}
	committed := make(map[int32]int64)
	for partition, offset := range offsets[topic] {
		committed[partition] = offset.At
	}
	return committed, offsets.Error()
}

type member struct {
	connection *kgo.Client
	topic      string
	messages   chan suite.Message
	cancel     context.CancelFunc
	done       chan struct{}
	leave      sync.Once
	mutex      sync.Mutex
	assigned   map[int32]bool
}

// Join starts a consumer of the group with franz-go's default balancer, which is cooperative.
func (client *Client) Join(_ context.Context, group, topic string) (suite.Member, error) {
	joined := &member{topic: topic, messages: make(chan suite.Message, 10_000), done: make(chan struct{}), assigned: make(map[int32]bool)}
	note := func(owned bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, changed map[string][]int32) {
			joined.mutex.Lock()
			defer joined.mutex.Unlock()
			for _, partition := range changed[topic] {
				if owned {
					joined.assigned[partition] = true
				} else {
					delete(joined.assigned, partition)
				}
			}
		}
	}
	connection, err := client.open(
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(heartbeatInterval),
		kgo.OnPartitionsAssigned(note(true)), kgo.OnPartitionsRevoked(note(false)), kgo.OnPartitionsLost(note(false)),
	)
	if err != nil {
		return nil, err
	}
	joined.connection = connection
	// The member outlives the call that made it; Leave ends it.
	background, cancel := context.WithCancel(context.Background())
	joined.cancel = cancel
	go joined.poll(background)
	return joined, nil
}

func (joined *member) poll(ctx context.Context) {
	defer close(joined.done)
	defer close(joined.messages)
	for ctx.Err() == nil {
		joined.connection.PollFetches(ctx).EachRecord(func(record *kgo.Record) { joined.messages <- toMessage(record) })
	}
}

func (joined *member) Messages() <-chan suite.Message { return joined.messages }

func (joined *member) Assigned() []int32 {
	joined.mutex.Lock()
	defer joined.mutex.Unlock()
	var partitions []int32
	for partition := range joined.assigned {
		partitions = append(partitions, partition)
	}
	slices.Sort(partitions)
	return partitions
}

func (joined *member) Commit(ctx context.Context, messages []suite.Message) error {
	records := make([]*kgo.Record, len(messages))
	for i, message := range messages {
		records[i] = &kgo.Record{Topic: joined.topic, Partition: message.Partition, Offset: message.Offset, LeaderEpoch: -1}
	}
	return joined.connection.CommitRecords(ctx, records...)
}

func (joined *member) Leave(ctx context.Context) error {
	var err error
	joined.leave.Do(func() {
		joined.cancel()
		<-joined.done
		err = joined.connection.LeaveGroupContext(ctx)
		joined.connection.Close()
	})
	return err
}
