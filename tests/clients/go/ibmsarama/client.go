// Package ibmsarama puts IBM Sarama through the scenarios.
package ibmsarama

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"alluvium/tests/clients/go/suite"

	"github.com/IBM/sarama"
)

var codecs = map[string]sarama.CompressionCodec{
	"": sarama.CompressionNone, "none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}

// Client is Sarama with its default protocol version, or with the newest one that it knows.
type Client struct {
	Bootstrap string
	Newest    bool
	Traffic   suite.Traffic
}

// Name is how the client is called in the list of outcomes.
func (client *Client) Name() string {
	if client.Newest {
		return "sarama-newest-version"
	}
	return "sarama"
}

// config is what Sarama's users write; connections go through the traffic counter by way of the proxy setting.
func (client *Client) config() *sarama.Config {
	config := sarama.NewConfig()
	if client.Newest {
		config.Version = sarama.MaxVersion
	}
	config.Net.Proxy.Enable = true
	config.Net.Proxy.Dialer = &client.Traffic
	return config
}

func (client *Client) addresses() []string { return []string{client.Bootstrap} }

func (client *Client) admin() (sarama.ClusterAdmin, error) {
	return sarama.NewClusterAdmin(client.addresses(), client.config())
}

// CreateTopic creates a topic with the ClusterAdmin.
func (client *Client) CreateTopic(_ context.Context, topic string, partitionCount int32, replicationFactor int16) error {
	admin, err := client.admin()
	if err != nil {
		return err
	}
	defer admin.Close()
	return admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitionCount, ReplicationFactor: replicationFactor}, false)
}

// PartitionCount asks for the metadata of a topic.
func (client *Client) PartitionCount(_ context.Context, topic string) (int, error) {
	admin, err := client.admin()
	if err != nil {
		return 0, err
	}
	defer admin.Close()
	described, err := admin.DescribeTopics([]string{topic})
	if err != nil {
		return 0, err
	}
	if described[0].Err != sarama.ErrNoError {
		return 0, described[0].Err
	}
	return len(described[0].Partitions), nil
}

// Produce sends the messages with a SyncProducer; messages without a partition go where the default partitioner says.
func (client *Client) Produce(_ context.Context, topic string, messages []suite.Message, options suite.ProduceOptions) ([]suite.Message, error) {
	config := client.config()
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	config.Producer.Compression = codecs[options.Codec]
	if options.Idempotent {
		config.Producer.Idempotent = true
		config.Net.MaxOpenRequests = 1
	}
	if messages[0].Partition != suite.Any {
		config.Producer.Partitioner = sarama.NewManualPartitioner
	}
	producer, err := sarama.NewSyncProducer(client.addresses(), config)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	batch := make([]*sarama.ProducerMessage, len(messages))
	for i, message := range messages {
		batch[i] = &sarama.ProducerMessage{Topic: topic, Partition: message.Partition, Value: sarama.ByteEncoder(message.Value)}
		if message.Key != nil {
			batch[i].Key = sarama.ByteEncoder(message.Key)
		}
		for _, header := range message.Headers {
			batch[i].Headers = append(batch[i].Headers, sarama.RecordHeader{Key: []byte(header.Name), Value: header.Value})
		}
	}
	if err := producer.SendMessages(batch); err != nil {
		return nil, err
	}
	sent := slices.Clone(messages)
	for i, message := range batch {
		sent[i].Partition, sent[i].Offset = message.Partition, message.Offset
	}
	return sent, nil
}

func toMessage(record *sarama.ConsumerMessage) suite.Message {
	message := suite.Message{Partition: record.Partition, Offset: record.Offset, Key: record.Key, Value: record.Value}
	for _, header := range record.Headers {
		message.Headers = append(message.Headers, suite.Header{Name: string(header.Key), Value: header.Value})
	}
	return message
}

// Read consumes partitions directly, one PartitionConsumer each.
func (client *Client) Read(ctx context.Context, topic string, from map[int32]int64, count int) ([]suite.Message, error) {
	config := client.config()
	config.Consumer.Return.Errors = true
	consumer, err := sarama.NewConsumer(client.addresses(), config)
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	arrived := make(chan suite.Message)
	failed := make(chan error)
	done := make(chan struct{})
	defer close(done)
	for partition, offset := range from {
		if offset == 0 {
			offset = sarama.OffsetOldest
		}
		partitionConsumer, err := consumer.ConsumePartition(topic, partition, offset)
		if err != nil {
			return nil, err
		}
		defer partitionConsumer.AsyncClose()
		go forward(partitionConsumer, arrived, failed, done)
	}
	var messages []suite.Message
	for len(messages) < count {
		select {
		case message := <-arrived:
			messages = append(messages, message)
		case err := <-failed:
			return nil, err
		case <-ctx.Done():
			return nil, fmt.Errorf("deadline passed with %d of %d messages", len(messages), count)
		}
	}
	return messages, nil
}

func forward(from sarama.PartitionConsumer, arrived chan<- suite.Message, failed chan<- error, done <-chan struct{}) {
	for {
		select {
		case record, open := <-from.Messages():
			if !open {
				return
			}
			select {
			case arrived <- toMessage(record):
			case <-done:
				return
			}
		case err, open := <-from.Errors():
			if !open {
				return
			}
			select {
			case failed <- err:
			case <-done:
				return
			}
		case <-done:
			return
		}
	}
}

// Committed asks for the committed offsets of a group with the ClusterAdmin, which leaves it to its caller to ask
// again while the coordinator is moving or loading, as the protocol allows after a restart.
func (client *Client) Committed(ctx context.Context, group, topic string) (map[int32]int64, error) {
	var committed map[int32]int64
	err := suite.Until(ctx, func() (bool, error) {
		var err error
		committed, err = client.committedNow(group, topic)
		transient := errors.Is(err, sarama.ErrOffsetsLoadInProgress) || errors.Is(err, sarama.ErrNotCoordinatorForConsumer) ||
			errors.Is(err, sarama.ErrConsumerCoordinatorNotAvailable)
		if transient {
			return false, nil
		}
		return err == nil, err
	}, "the coordinator does not become available")
	return committed, err
}

func (client *Client) committedNow(group, topic string) (map[int32]int64, error) {
	admin, err := client.admin()
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	response, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0, 1, 2}})
	if err != nil {
		return nil, err
	}
	if response.Err != sarama.ErrNoError {
		return nil, response.Err
	}
	committed := make(map[int32]int64)
	for partition, block := range response.Blocks[topic] {
		if block.Err != sarama.ErrNoError {
			err = errors.Join(err, block.Err)
		}
		committed[partition] = block.Offset
	}
	return committed, err
}

// Short, so that a member learns of a rebalance soon.
const heartbeatInterval = 500 * time.Millisecond
