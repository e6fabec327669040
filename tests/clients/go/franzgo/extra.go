package franzgo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"alluvium/tests/clients/go/suite"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Short, so that a member learns of a rebalance soon.
const heartbeatInterval = 500 * time.Millisecond

// Extra lists what only franz-go has.
func (client *Client) Extra() []suite.Scenario {
	return []suite.Scenario{
		{Name: "admin-topics", Run: client.adminTopics},
		{Name: "admin-configs", Run: client.adminConfigs},
		{Name: "admin-offsets", Run: client.adminOffsets},
		{Name: "admin-groups", Run: client.adminGroups},
		{Name: "idempotence-over-restart", Run: client.idempotenceOverRestart},
		{Name: "transactions", Run: client.transactions},
		{Name: "transactional-group", Run: client.transactionalGroup},
	}
}

func (client *Client) adminTopics(ctx context.Context, place *suite.Place) error {
	admin, err := client.admin()
	if err != nil {
		return err
	}
	defer admin.Close()
	metadata, err := admin.Metadata(ctx)
	if err != nil {
		return err
	}
	if len(metadata.Brokers) == 0 || metadata.Cluster == "" {
		return fmt.Errorf("metadata names no broker or no cluster: %+v", metadata)
	}
	topic := place.Named("admin-topics")
	created, err := admin.CreateTopic(ctx, 3, 1, nil, topic)
	if err != nil {
		return err
	}
	if created.ID == (kadm.TopicID{}) {
		return errors.New("the new topic has no id")
	}
	added, err := admin.CreatePartitions(ctx, 2, topic)
	if err = errors.Join(err, added.Error()); err != nil {
		return fmt.Errorf("adding partitions: %w", err)
	}
	err = place.Settled(ctx, func() error {
		count, err := client.PartitionCount(ctx, topic)
		if err == nil && count != 5 {
			err = fmt.Errorf("3 + 2 partitions are %d", count)
		}
		return err
	})
	if err != nil {
		return err
	}
	if _, err := admin.DeleteTopic(ctx, topic); err != nil {
		return fmt.Errorf("deleting: %w", err)
	}
	return place.Settled(ctx, func() error {
		topics, err := admin.ListTopics(ctx)
		if err == nil && topics.Has(topic) {
			err = errors.New("a deleted topic is still listed")
		}
		return err
	})
}

func (client *Client) adminConfigs(ctx context.Context, place *suite.Place) error {
	admin, err := client.admin()
	if err != nil {
		return err
	}
	defer admin.Close()
	topic := place.Named("admin-configs")
	retention := "7200000"
	if _, err := admin.CreateTopic(ctx, 1, 1, map[string]*string{"retention.ms": &retention}, topic); err != nil {
		return err
	}
	expect := func(want string) error {
		described, err := admin.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			return err
		}
		resource, err := described.On(topic, nil)
		if err != nil {
			return err
		}
		for _, config := range resource.Configs {
			if config.Key == "retention.ms" && config.MaybeValue() == want {
				return resource.Err
			}
		}
		return fmt.Errorf("retention.ms is not %s", want)
	}
	if err := place.Settled(ctx, func() error { return expect(retention) }); err != nil {
		return fmt.Errorf("after creating: %w", err)
	}
	longer := "10800000"
	altered, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &longer}}, topic)
	if err != nil {
		return err
	}
	for _, response := range altered {
		if response.Err != nil {
			return response.Err
		}
	}
	if err := place.Settled(ctx, func() error { return expect(longer) }); err != nil {
		return fmt.Errorf("after altering: %w", err)
	}
	return nil
}

func (client *Client) adminOffsets(ctx context.Context, place *suite.Place) error {
	admin, err := client.admin()
	if err != nil {
		return err
	}
	defer admin.Close()
	topic := place.Named("admin-offsets")
	if err := client.CreateTopic(ctx, topic, 1, 1); err != nil {
		return err
	}
	messages := make([]suite.Message, 10)
	for i := range messages {
		messages[i].Value = fmt.Appendf(nil, "value-%d", i)
	}
	if _, err := client.Produce(ctx, topic, messages, suite.ProduceOptions{}); err != nil {
		return err
	}
	var offsets kadm.Offsets
	offsets.AddOffset(topic, 0, 4, -1)
	deleted, err := admin.DeleteRecords(ctx, offsets)
	if err = errors.Join(err, deleted.Error()); err != nil {
		return fmt.Errorf("deleting records: %w", err)
	}
	asks := []struct {
		name string
		ask  func() (kadm.ListedOffsets, error)
		want int64
	}{
		{"start", func() (kadm.ListedOffsets, error) { return admin.ListStartOffsets(ctx, topic) }, 4},
		{"end", func() (kadm.ListedOffsets, error) { return admin.ListEndOffsets(ctx, topic) }, 10},
		{"after an early time", func() (kadm.ListedOffsets, error) { return admin.ListOffsetsAfterMilli(ctx, 1000, topic) }, 4},
		{"after a late time", func() (kadm.ListedOffsets, error) {
			return admin.ListOffsetsAfterMilli(ctx, time.Now().Add(time.Hour).UnixMilli(), topic)
		}, 10},
	}
	for _, ask := range asks {
		listed, err := ask.ask()
		if err = errors.Join(err, listed.Error()); err != nil {
			return fmt.Errorf("offset %s: %w", ask.name, err)
		}
		if got, _ := listed.Lookup(topic, 0); got.Offset != ask.want {
			return fmt.Errorf("offset %s is %d, not %d", ask.name, got.Offset, ask.want)
		}
	}
	if listed, err := admin.ListMaxTimestampOffsets(ctx, topic); err != nil || listed.Error() != nil {
		return fmt.Errorf("offset of the newest timestamp: %w", errors.Join(err, listed.Error()))
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
	var offsets kadm.Offsets
	offsets.AddOffset(topic, 2, 0, -1)
	committed, err := admin.CommitOffsets(ctx, group, offsets)
	if err = errors.Join(err, committed.Error()); err != nil {
		return fmt.Errorf("committing without a member: %w", err)
	}
	groups, err := admin.ListGroups(ctx)
	if err != nil {
		return err
	}
	if _, found := groups[group]; !found {
		return errors.New("the group is not listed")
	}
	described, err := admin.DescribeGroups(ctx, group)
	if err = errors.Join(err, described.Error()); err != nil {
		return fmt.Errorf("describing: %w", err)
	}
	if state := described[group].State; state != "Empty" {
		return fmt.Errorf("the state of a group without members is %q", state)
	}
	if _, err := admin.DeleteGroup(ctx, group); err != nil {
		return fmt.Errorf("deleting: %w", err)
	}
	left, err := client.Committed(ctx, group, topic)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("a deleted group still has committed offsets: %v", left)
	}
	return err
}

// idempotenceOverRestart: one idempotent producer sends before, while and after the server restarts; each record is there once, in order.
func (client *Client) idempotenceOverRestart(ctx context.Context, place *suite.Place) error {
	if place.Restart == "" {
		return suite.Skip("SERVER_RESTART is not set")
	}
	topic := place.Named("idempotence-over-restart")
	if err := client.CreateTopic(ctx, topic, 1, 1); err != nil {
		return err
	}
	connection, err := client.open(kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	defer connection.Close()
	var sent int
	results := make(chan error, 100_000)
	send := func() {
		connection.Produce(ctx, &kgo.Record{Value: fmt.Appendf(nil, "%d", sent)}, func(_ *kgo.Record, err error) { results <- err })
		sent++
	}
	for range 200 {
		send()
	}
	restarted := make(chan error, 1)
	go func() { restarted <- place.RestartServer(ctx) }()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for running := true; running; {
		select {
		case err := <-restarted:
			if err != nil {
				return err
			}
			running = false
		case <-ticker.C:
			send()
		}
	}
	for range 200 {
		send()
	}
	if err := connection.Flush(ctx); err != nil {
		return err
	}
	for range sent {
		if err := <-results; err != nil {
			return fmt.Errorf("a record was not acknowledged: %w", err)
		}
	}
	read, err := client.Read(ctx, topic, map[int32]int64{0: 0}, sent)
	if err != nil {
		return err
	}
	for i, message := range read {
		if string(message.Value) != fmt.Sprint(i) || message.Offset != int64(i) {
			return fmt.Errorf("record %d is %q at offset %d", i, message.Value, message.Offset)
		}
	}
	return nil
}
