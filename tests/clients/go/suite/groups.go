package suite

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const pollInterval = 20 * time.Millisecond

// Until polls a condition; the context is the deadline and the complaint says what did not happen.
func Until(ctx context.Context, condition func() (bool, error), complaint string) error {
	return until(ctx, condition, func() string { return complaint })
}

// Settled calls a check. Alluvium must satisfy it at once: what was acknowledged is seen by the next request.
// Apache Kafka's brokers learn of topics and configs a moment later, so there it is repeated until the deadline.
func (place *Place) Settled(ctx context.Context, check func() error) error {
	var last error
	err := until(ctx, func() (bool, error) {
		if last = check(); !place.Reference {
			return true, last
		}
		return last == nil, nil
	}, func() string { return last.Error() })
	return err
}

func until(ctx context.Context, condition func() (bool, error), complain func() string) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		done, err := condition()
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("deadline passed: %s", complain())
		case <-ticker.C:
		}
	}
}

// take reads count messages from the members together.
func take(ctx context.Context, count int, members ...Member) ([]Message, error) {
	var taken []Message
	for len(taken) < count {
		idle := true
		for _, member := range members {
			select {
			case message, open := <-member.Messages():
				if !open {
					return nil, fmt.Errorf("a member stopped after %d of %d messages", len(taken), count)
				}
				taken, idle = append(taken, message), false
			default:
			}
		}
		if !idle {
			continue
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("deadline passed with %d of %d messages", len(taken), count)
		case <-time.After(pollInterval):
		}
	}
	return taken, nil
}

// ownEverything says whether the members own each partition once, and every member owns one at least.
func ownEverything(members ...Member) bool {
	var owned []int32
	for _, member := range members {
		assigned := member.Assigned()
		if len(assigned) == 0 {
			return false
		}
		owned = append(owned, assigned...)
	}
	slices.Sort(owned)
	return slices.Equal(owned, []int32{0, 1, 2})
}

// perPartition makes messages that name their partition, so many for each.
func perPartition(each int) []Message {
	var messages []Message
	for partition := range int32(topicPartitionCount) {
		messages = append(messages, numbered(partition, each, "key-%d")...)
	}
	return messages
}

// groupRebalance: two members share three partitions; when one leaves, the other reads all of them.
func groupRebalance(ctx context.Context, place *Place, client Client) error {
	topic, group := place.Named("rebalance"), place.Named("rebalance-group")
	if err := client.CreateTopic(ctx, topic, topicPartitionCount, 1); err != nil {
		return err
	}
	first, err := client.Join(ctx, group, topic)
	if err != nil {
		return err
	}
	defer first.Leave(ctx)
	second, err := client.Join(ctx, group, topic)
	if err != nil {
		return err
	}
	defer second.Leave(ctx)
	describe := func() string {
		return fmt.Sprintf("the members own %v and %v", first.Assigned(), second.Assigned())
	}
	if err := until(ctx, func() (bool, error) { return ownEverything(first, second), nil }, describe); err != nil {
		return err
	}
	sent, err := client.Produce(ctx, topic, perPartition(20), ProduceOptions{})
	if err != nil {
		return err
	}
	shared, err := take(ctx, len(sent), first, second)
	if err != nil {
		return fmt.Errorf("two members: %w", err)
	}
	if err := sameMessages(sent, shared); err != nil {
		return fmt.Errorf("two members: %w", err)
	}
	for _, member := range []Member{first, second} {
		if err := member.Commit(ctx, ofPartitions(shared, member.Assigned())); err != nil {
			return fmt.Errorf("committing before one leaves: %w", err)
		}
	}
	if err := second.Leave(ctx); err != nil {
		return fmt.Errorf("leaving: %w", err)
	}
	describe = func() string { return fmt.Sprintf("the member left behind owns %v", first.Assigned()) }
	if err := until(ctx, func() (bool, error) { return ownEverything(first), nil }, describe); err != nil {
		return err
	}
	sent, err = client.Produce(ctx, topic, perPartition(10), ProduceOptions{})
	if err != nil {
		return err
	}
	alone, err := take(ctx, len(sent), first)
	if err != nil {
		return fmt.Errorf("one member: %w", err)
	}
	return sameMessages(sent, alone)
}

func ofPartitions(messages []Message, partitions []int32) []Message {
	return slices.DeleteFunc(slices.Clone(messages), func(message Message) bool {
		return !slices.Contains(partitions, message.Partition)
	})
}

// sameMessages is compare for messages of several members, whose order among partitions is free.
func sameMessages(sent, read []Message) error {
	sorted := slices.Clone(read)
	slices.SortStableFunc(sorted, func(left, right Message) int { return int(left.Partition) - int(right.Partition) })
	return compare(sent, sorted)
}

// committedOffsetsAfterRestart: what was committed is found again, and a new member goes on from there.
func committedOffsetsAfterRestart(ctx context.Context, place *Place, client Client) error {
	if place.Restart == "" {
		return Skip("SERVER_RESTART is not set")
	}
	topic, group := place.Named("restart"), place.Named("restart-group")
	if err := client.CreateTopic(ctx, topic, topicPartitionCount, 1); err != nil {
		return err
	}
	before, err := client.Produce(ctx, topic, perPartition(10), ProduceOptions{})
	if err != nil {
		return err
	}
	member, err := client.Join(ctx, group, topic)
	if err != nil {
		return err
	}
	defer member.Leave(ctx)
	read, err := take(ctx, len(before), member)
	if err != nil {
		return err
	}
	if err := member.Commit(ctx, read); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	if err := member.Leave(ctx); err != nil {
		return fmt.Errorf("leaving: %w", err)
	}
	if err := place.RestartServer(ctx); err != nil {
		return err
	}
	committed, err := client.Committed(ctx, group, topic)
	if err != nil {
		return err
	}
	for partition := range int32(topicPartitionCount) {
		if committed[partition] != 10 {
			return fmt.Errorf("committed offsets after the restart are %v, not 10 each", committed)
		}
	}
	after, err := client.Produce(ctx, topic, perPartition(5), ProduceOptions{})
	if err != nil {
		return fmt.Errorf("producing after the restart: %w", err)
	}
	again, err := client.Join(ctx, group, topic)
	if err != nil {
		return err
	}
	defer again.Leave(ctx)
	rest, err := take(ctx, len(after), again)
	if err != nil {
		return fmt.Errorf("a new member: %w", err)
	}
	if err := sameMessages(after, rest); err != nil {
		return fmt.Errorf("a new member: %w", err)
	}
	everything, err := client.Read(ctx, topic, fromStart(), len(before)+len(after))
	if err != nil {
		return err
	}
	return compare(append(before, after...), everything)
}
