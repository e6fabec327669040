package suite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
)

const topicPartitionCount = 3

// Codecs are the codecs of record batches, in the order of their numbers.
var Codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

func sharedScenarios(client Client) []Scenario {
	scenarios := []Scenario{
		{"create-topic", func(ctx context.Context, place *Place) error { return createTopic(ctx, place, client) }},
		{"replication-factor-three", func(ctx context.Context, place *Place) error {
			return replicationFactorThree(ctx, place, client)
		}},
		{"produce-without-keys", func(ctx context.Context, place *Place) error {
			return produceAndCompare(ctx, place, client, "without-keys", numbered(Any, 60, ""), ProduceOptions{})
		}},
		{"produce-with-keys", func(ctx context.Context, place *Place) error { return produceWithKeys(ctx, place, client) }},
		{"headers", func(ctx context.Context, place *Place) error { return headers(ctx, place, client) }},
	}
	for _, codec := range Codecs {
		scenarios = append(scenarios, Scenario{"codec-" + codec, func(ctx context.Context, place *Place) error {
			return codecRoundTrip(ctx, place, client, codec)
		}})
	}
	return append(scenarios,
		Scenario{"idempotence", func(ctx context.Context, place *Place) error {
			messages := numbered(Any, 900, "key-%d")
			return produceAndCompare(ctx, place, client, "idempotence", messages, ProduceOptions{Idempotent: true})
		}},
		Scenario{"read-from-beginning", func(ctx context.Context, place *Place) error { return readFrom(ctx, place, client, 0) }},
		Scenario{"read-from-offset", func(ctx context.Context, place *Place) error { return readFrom(ctx, place, client, 17) }},
		Scenario{"group-rebalance", func(ctx context.Context, place *Place) error { return groupRebalance(ctx, place, client) }},
		Scenario{"committed-offsets-after-restart", func(ctx context.Context, place *Place) error {
			return committedOffsetsAfterRestart(ctx, place, client)
		}},
	)
}

// numbered makes messages whose values name their number; a key format with %d gives one of six keys.
func numbered(partition int32, count int, keyFormat string) []Message {
	messages := make([]Message, count)
	for i := range messages {
		messages[i] = Message{Partition: partition, Value: fmt.Appendf(nil, "value-%05d", i)}
		if keyFormat != "" {
			messages[i].Key = fmt.Appendf(nil, keyFormat, i%6)
		}
	}
	return messages
}

// fromStart is the first offset of each partition of a topic.
func fromStart() map[int32]int64 {
	from := make(map[int32]int64)
	for partition := range int32(topicPartitionCount) {
		from[partition] = 0
	}
	return from
}

func createTopic(ctx context.Context, place *Place, client Client) error {
	topic := place.Named("create")
	if err := client.CreateTopic(ctx, topic, topicPartitionCount, 1); err != nil {
		return err
	}
	if err := threePartitions(ctx, place, client, topic); err != nil {
		return err
	}
	err := client.CreateTopic(ctx, topic, topicPartitionCount, 1)
	if err == nil {
		return errors.New("the same topic could be created twice")
	}
	if text := strings.ToLower(err.Error()); !strings.Contains(text, "already exists") && !strings.Contains(text, "already_exists") {
		return fmt.Errorf("creating the topic again fails for another reason: %w", err)
	}
	return nil
}

func replicationFactorThree(ctx context.Context, place *Place, client Client) error {
	if place.Reference {
		return Skip("one Apache Kafka broker cannot hold three replicas")
	}
	topic := place.Named("replicated")
	if err := client.CreateTopic(ctx, topic, topicPartitionCount, 3); err != nil {
		return err
	}
	return threePartitions(ctx, place, client, topic)
}

func threePartitions(ctx context.Context, place *Place, client Client, topic string) error {
	return place.Settled(ctx, func() error {
		count, err := client.PartitionCount(ctx, topic)
		if err == nil && count != topicPartitionCount {
			err = fmt.Errorf("the topic has %d partitions, not %d", count, topicPartitionCount)
		}
		return err
	})
}

// produceAndCompare sends messages to a new topic and reads all of them back.
func produceAndCompare(ctx context.Context, place *Place, client Client, name string, messages []Message, options ProduceOptions) error {
	topic := place.Named(name)
	if err := client.CreateTopic(ctx, topic, topicPartitionCount, 1); err != nil {
		return err
	}
	sent, err := client.Produce(ctx, topic, messages, options)
	if err != nil {
		return err
	}
	read, err := client.Read(ctx, topic, fromStart(), len(messages))
	if err != nil {
		return err
	}
	return compare(sent, read)
}

// compare checks that what was acknowledged is what was read: once, at its offset, with its key, value and headers.
func compare(sent, read []Message) error {
	type place struct {
		partition int32
		offset    int64
	}
	expected := make(map[place]Message, len(sent))
	for _, message := range sent {
		at := place{message.Partition, message.Offset}
		if other, taken := expected[at]; taken {
			return fmt.Errorf("%q and %q were both acknowledged at %v", other.Value, message.Value, at)
		}
		expected[at] = message
	}
	next := make(map[int32]int64)
	for _, message := range read {
		at := place{message.Partition, message.Offset}
		want, found := expected[at]
		if !found {
			return fmt.Errorf("%q at %v was not acknowledged there, or was read twice", message.Value, at)
		}
		delete(expected, at)
		if last, seen := next[message.Partition]; seen && message.Offset != last {
			return fmt.Errorf("offset %d of partition %d follows %d", message.Offset, message.Partition, last-1)
		}
		next[message.Partition] = message.Offset + 1
		if err := compareOne(want, message); err != nil {
			return fmt.Errorf("at %v: %w", at, err)
		}
	}
	if len(expected) > 0 {
		return fmt.Errorf("%d acknowledged messages were not read", len(expected))
	}
	return nil
}

func compareOne(want, got Message) error {
	if !bytes.Equal(want.Key, got.Key) || (want.Key == nil) != (got.Key == nil) {
		return fmt.Errorf("key %q became %q", want.Key, got.Key)
	}
	if !bytes.Equal(want.Value, got.Value) {
		return fmt.Errorf("value %.40q became %.40q", want.Value, got.Value)
	}
	if len(want.Headers) != len(got.Headers) {
		return fmt.Errorf("%d headers became %d", len(want.Headers), len(got.Headers))
	}
	for i, header := range want.Headers {
		if header.Name != got.Headers[i].Name || !bytes.Equal(header.Value, got.Headers[i].Value) {
			return fmt.Errorf("header %q=%q became %q=%q", header.Name, header.Value, got.Headers[i].Name, got.Headers[i].Value)
		}
	}
	return nil
}

func produceWithKeys(ctx context.Context, place *Place, client Client) error {
	topic := place.Named("with-keys")
	if err := client.CreateTopic(ctx, topic, topicPartitionCount, 1); err != nil {
		return err
	}
	sent, err := client.Produce(ctx, topic, numbered(Any, 60, "key-%d"), ProduceOptions{})
	if err != nil {
		return err
	}
	read, err := client.Read(ctx, topic, fromStart(), len(sent))
	if err != nil {
		return err
	}
	if err := compare(sent, read); err != nil {
		return err
	}
	home := make(map[string]int32)
	last := make(map[string]string)
	for _, message := range read {
		key, value := string(message.Key), string(message.Value)
		if partition, known := home[key]; known && partition != message.Partition {
			return fmt.Errorf("%s is in partitions %d and %d", key, partition, message.Partition)
		}
		if last[key] >= value {
			return fmt.Errorf("%s came after %s", value, last[key])
		}
		home[key], last[key] = message.Partition, value
	}
	return nil
}

func headers(ctx context.Context, place *Place, client Client) error {
	messages := numbered(0, 3, "")
	messages[0].Headers = []Header{{"trace", []byte("abc")}, {"binary", []byte{0, 255, 128}}, {"empty", []byte{}}}
	messages[1].Headers = []Header{{"twice", []byte("first")}, {"twice", []byte("second")}, {"größe", []byte("übergroß")}}
	return produceAndCompare(ctx, place, client, "headers", messages, ProduceOptions{})
}

// codecRoundTrip also asks the inspector which codec the stored batches have: the server must keep the producer's.
func codecRoundTrip(ctx context.Context, place *Place, client Client, codec string) error {
	topic := place.Named("codec-" + codec)
	if err := client.CreateTopic(ctx, topic, topicPartitionCount, 1); err != nil {
		return err
	}
	messages := numbered(0, 100, "")
	for i := range messages {
		messages[i].Value = bytes.Repeat(messages[i].Value, 20)
	}
	sent, err := client.Produce(ctx, topic, messages, ProduceOptions{Codec: codec})
	if err != nil {
		return err
	}
	read, err := client.Read(ctx, topic, map[int32]int64{0: 0}, len(messages))
	if err != nil {
		return err
	}
	if err := compare(sent, read); err != nil {
		return err
	}
	inspected, err := place.Inspector.Read(ctx, topic, map[int32]int64{0: 0}, len(messages))
	if err != nil {
		return err
	}
	if err := compare(sent, inspected); err != nil {
		return fmt.Errorf("read by %s: %w", place.Inspector.Name(), err)
	}
	for _, message := range inspected {
		if message.Codec != codec {
			return fmt.Errorf("the batch at offset %d is stored with codec %s", message.Offset, message.Codec)
		}
	}
	return nil
}

func readFrom(ctx context.Context, place *Place, client Client, offset int64) error {
	topic := place.Named(fmt.Sprintf("read-from-%d", offset))
	if err := client.CreateTopic(ctx, topic, topicPartitionCount, 1); err != nil {
		return err
	}
	var sent []Message
	// Several requests, so that the offset asked for is in the middle of a batch that is not the first.
	for range 3 {
		part, err := client.Produce(ctx, topic, numbered(1, 10, "key-%d"), ProduceOptions{})
		if err != nil {
			return err
		}
		sent = append(sent, part...)
	}
	read, err := client.Read(ctx, topic, map[int32]int64{1: offset}, len(sent)-int(offset))
	if err != nil {
		return err
	}
	if read[0].Offset != offset {
		return fmt.Errorf("the first offset read is %d, not %d", read[0].Offset, offset)
	}
	return compare(sent[offset:], read)
}
