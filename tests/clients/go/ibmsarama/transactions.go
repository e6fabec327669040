package ibmsarama

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"alluvium/tests/clients/go/suite"

	"github.com/IBM/sarama"
)

// transactions: a commit, an abort and a transaction with offsets of a group, read back at both isolation levels.
func (client *Client) transactions(ctx context.Context, place *suite.Place) error {
	topic, group := place.Named("transactions"), place.Named("transactions-group")
	if err := client.CreateTopic(ctx, topic, 1, 1); err != nil {
		return err
	}
	config := client.config()
	config.Producer.Idempotent = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	config.Producer.Transaction.ID = topic
	config.Net.MaxOpenRequests = 1
	producer, err := sarama.NewSyncProducer(client.addresses(), config)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer producer.Close()
	send := func(values ...string) error {
		err := producer.BeginTxn()
		for _, value := range values {
			if err == nil {
				_, _, err = producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(value)})
			}
		}
		return err
	}
	if err := errors.Join(send("one", "two"), producer.CommitTxn()); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	if err := errors.Join(send("aborted"), producer.AbortTxn()); err != nil {
		return fmt.Errorf("aborting: %w", err)
	}
	if err := client.expectCommitted(ctx, topic, "one", "two"); err != nil {
		return err
	}
	offset := &sarama.PartitionOffsetMetadata{Partition: 0, Offset: 7, LeaderEpoch: -1}
	offsets := map[string][]*sarama.PartitionOffsetMetadata{topic: {offset}}
	if err := errors.Join(send("three"), producer.AddOffsetsToTxn(offsets, group), producer.CommitTxn()); err != nil {
		return fmt.Errorf("committing with offsets: %w", err)
	}
	if err := client.expectCommitted(ctx, topic, "one", "two", "three"); err != nil {
		return err
	}
	return place.Settled(ctx, func() error {
		committed, err := client.Committed(ctx, group, topic)
		if err == nil && committed[0] != 7 {
			err = fmt.Errorf("the group has committed %v", committed)
		}
		return err
	})
}

// expectCommitted reads with read_committed; the last value is one that was committed last.
func (client *Client) expectCommitted(ctx context.Context, topic string, expected ...string) error {
	config := client.config()
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	consumer, err := sarama.NewConsumer(client.addresses(), config)
	if err != nil {
		return err
	}
	defer consumer.Close()
	reader, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	defer reader.Close()
	var values []string
	for len(values) < len(expected) {
		select {
		case message := <-reader.Messages():
			values = append(values, string(message.Value))
		case err := <-reader.Errors():
			return err
		case <-ctx.Done():
			return fmt.Errorf("deadline passed with %q of %q", values, expected)
		}
	}
	if !slices.Equal(values, expected) {
		return fmt.Errorf("%q is committed instead of %q", values, expected)
	}
	return nil
}
