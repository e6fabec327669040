package ibmsarama

import (
	"context"
	"errors"
	"fmt"

	"alluvium/tests/clients/go/suite"

	"github.com/IBM/sarama"
)

// Extra lists what only Sarama has.
func (client *Client) Extra() []suite.Scenario {
	scenarios := []suite.Scenario{
		{Name: "admin-topics", Run: client.adminTopics},
		{Name: "admin-groups", Run: client.adminGroups},
		{Name: "async-producer", Run: client.asyncProducer},
		{Name: "transactions", Run: client.transactions},
	}
	if !client.Newest {
		scenarios = append(scenarios, suite.Scenario{Name: "tutorial-sync-producer", Run: client.tutorialSyncProducer})
	}
	return scenarios
}

// tutorialSyncProducer is the program that Sarama's tutorials begin with: no version, no admin, a topic created on first use.
func (client *Client) tutorialSyncProducer(ctx context.Context, place *suite.Place) error {
	topic := place.Named("tutorial")

	config := sarama.NewConfig()
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Retry.Max = 5
	config.Producer.Return.Successes = true
	producer, err := sarama.NewSyncProducer([]string{place.Bootstrap}, config)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer producer.Close()
	for number := range 3 {
		message := &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(fmt.Sprintf("comment %d", number))}
		if _, _, err := producer.SendMessage(message); err != nil {
			return fmt.Errorf("sending: %w", err)
		}
	}

	consumer, err := sarama.NewConsumer([]string{place.Bootstrap}, nil)
	if err != nil {
		return err
	}
	defer consumer.Close()
	partitions, err := consumer.Partitions(topic)
	if err != nil {
		return err
	}
	from := make(map[int32]int64)
	for _, partition := range partitions {
		from[partition] = 0
	}
	read, err := client.Read(ctx, topic, from, 3)
	if err != nil {
		return err
	}
	seen := make(map[string]bool)
	for _, message := range read {
		seen[string(message.Value)] = true
	}
	if len(seen) != 3 || !seen["comment 0"] {
		return fmt.Errorf("what was sent came back as %v", seen)
	}
	return nil
}

func (client *Client) asyncProducer(ctx context.Context, place *suite.Place) error {
	topic := place.Named("async")
	if err := client.CreateTopic(ctx, topic, 3, 1); err != nil {
		return err
	}
	config := client.config()
	config.Producer.RequiredAcks = sarama.WaitForLocal
	config.Producer.Return.Successes = true
	producer, err := sarama.NewAsyncProducer([]string{place.Bootstrap}, config)
	if err != nil {
		return err
	}
	const count = 2000
	go func() {
		for number := range count {
			producer.Input() <- &sarama.ProducerMessage{
				Topic: topic, Key: sarama.StringEncoder(fmt.Sprint(number % 50)), Value: sarama.StringEncoder(fmt.Sprint(number)),
			}
		}
	}()
	for range count {
		select {
		case <-producer.Successes():
		case err := <-producer.Errors():
			return err
		case <-ctx.Done():
			return errors.New("deadline passed before every message was acknowledged")
		}
	}
	if err := producer.Close(); err != nil {
		return err
	}
	read, err := client.Read(ctx, topic, map[int32]int64{0: 0, 1: 0, 2: 0}, count)
	if err != nil {
		return err
	}
	seen := make(map[string]bool)
	for _, message := range read {
		seen[string(message.Value)] = true
	}
	if len(seen) != count {
		return fmt.Errorf("%d of %d values were read", len(seen), count)
	}
	return nil
}

func (client *Client) adminTopics(ctx context.Context, place *suite.Place) error {
	admin, err := client.admin()
	if err != nil {
		return err
	}
	defer admin.Close()
	topic := place.Named("admin-topics")
	retention := "7200000"
	detail := &sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1, ConfigEntries: map[string]*string{"retention.ms": &retention}}
	if err := admin.CreateTopic(topic, detail, false); err != nil {
		return err
	}
	if err := place.Settled(ctx, func() error { return listedWithRetention(admin, topic, retention) }); err != nil {
		return err
	}
	longer := "10800000"
	if err := admin.AlterConfig(sarama.TopicResource, topic, map[string]*string{"retention.ms": &longer}, false); err != nil {
		return fmt.Errorf("AlterConfig: %w", err)
	}
	increment := map[string]sarama.IncrementalAlterConfigsEntry{"max.message.bytes": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &retention}}
	if err := admin.IncrementalAlterConfig(sarama.TopicResource, topic, increment, false); err != nil {
		return fmt.Errorf("IncrementalAlterConfig: %w", err)
	}
	if err := admin.CreatePartitions(topic, 5, nil, false); err != nil {
		return fmt.Errorf("CreatePartitions: %w", err)
	}
	err = place.Settled(ctx, func() error {
		count, err := client.PartitionCount(ctx, topic)
		if err == nil && count != 5 {
			err = fmt.Errorf("after asking for 5 partitions there are %d", count)
		}
		return err
	})
	if err != nil {
		return err
	}
	messages := []suite.Message{{Partition: 0, Value: []byte("a")}, {Partition: 0, Value: []byte("b")}}
	if _, err := client.Produce(ctx, topic, messages, suite.ProduceOptions{}); err != nil {
		return err
	}
	if err := admin.DeleteRecords(topic, map[int32]int64{0: 1}); err != nil {
		return fmt.Errorf("DeleteRecords: %w", err)
	}
	if read, err := client.Read(ctx, topic, map[int32]int64{0: 0}, 1); err != nil || read[0].Offset != 1 {
		return fmt.Errorf("after DeleteRecords the oldest message is not at offset 1: %v", err)
	}
	if brokers, controller, err := admin.DescribeCluster(); err != nil || len(brokers) == 0 || controller < 0 {
		return fmt.Errorf("DescribeCluster: %d brokers, controller %d: %v", len(brokers), controller, err)
	}
	return admin.DeleteTopic(topic)
}

func listedWithRetention(admin sarama.ClusterAdmin, topic, retention string) error {
	topics, err := admin.ListTopics()
	if err != nil {
		return err
	}
	listed, found := topics[topic]
	if !found || listed.NumPartitions != 3 {
		return fmt.Errorf("the topic is listed as %+v", listed)
	}
	if value := listed.ConfigEntries["retention.ms"]; value == nil || *value != retention {
		return errors.New("retention.ms is not what the topic was created with")
	}
	return nil
}

func (client *Client) adminGroups(ctx context.Context, place *suite.Place) error {
	admin, err := client.admin()
	if err != nil {
		return err
	}
	defer admin.Close()
	topic, group := place.Named("admin-groups"), place.Named("admin-groups-group")
	if err := client.CreateTopic(ctx, topic, 3, 1); err != nil {
		return err
	}
	joined, err := client.Join(ctx, group, topic)
	if err != nil {
		return err
	}
	defer joined.Leave(ctx)
	stable := func() (bool, error) {
		described, err := admin.DescribeConsumerGroups([]string{group})
		if err != nil {
			return false, err
		}
		return described[0].State == "Stable" && len(described[0].Members) == 1, nil
	}
	if err := suite.Until(ctx, stable, "the group does not become Stable"); err != nil {
		return err
	}
	groups, err := admin.ListConsumerGroups()
	if err != nil {
		return err
	}
	if _, found := groups[group]; !found {
		return errors.New("the group is not listed")
	}
	if err := joined.Leave(ctx); err != nil {
		return err
	}
	empty := func() (bool, error) {
		described, err := admin.DescribeConsumerGroups([]string{group})
		return err == nil && described[0].State == "Empty", err
	}
	if err := suite.Until(ctx, empty, "the group does not become Empty"); err != nil {
		return err
	}
	return admin.DeleteConsumerGroup(group)
}
