package franzgo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"alluvium/tests/clients/go/suite"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// everything reads all partitions up to the end that this isolation level has now, and returns the values by partition.
func (client *Client) everything(ctx context.Context, topic string, committed bool) (map[int32][]string, error) {
	admin, err := client.admin()
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	list, level := admin.ListEndOffsets, kgo.ReadUncommitted()
	if committed {
		list, level = admin.ListCommittedOffsets, kgo.ReadCommitted()
	}
	ends, err := list(ctx, topic)
	if err = errors.Join(err, ends.Error()); err != nil {
		return nil, err
	}
	from, missing := make(map[int32]kgo.Offset), make(map[int32]int64)
	ends.Each(func(end kadm.ListedOffset) {
		from[end.Partition] = kgo.NewOffset().AtStart()
		if end.Offset > 0 {
			missing[end.Partition] = end.Offset
		}
	})
	// Ends of transactions are records to this client, so that it shows how far it has come.
	reader, err := client.open(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.FetchIsolationLevel(level), kgo.KeepControlRecords())
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	values := make(map[int32][]string)
	for len(missing) > 0 {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("the ends %v are not reached: %w", missing, err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			if !record.Attrs.IsControl() {
				values[record.Partition] = append(values[record.Partition], string(record.Value))
			}
			if record.Offset+1 >= missing[record.Partition] {
				delete(missing, record.Partition)
			}
		})
	}
	return values, nil
}

// expect is about the only partition of a topic.
func (client *Client) expect(ctx context.Context, place *suite.Place, what, topic string, committed bool, expected ...string) error {
	return place.Settled(ctx, func() error {
		values, err := client.everything(ctx, topic, committed)
		if err == nil && !slices.Equal(values[0], expected) {
			err = fmt.Errorf("%q instead of %q", values[0], expected)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	})
}

// one runs a transaction with records of these values in partition 0.
func one(ctx context.Context, producer *kgo.Client, end kgo.TransactionEndTry, values ...string) error {
	if err := producer.BeginTransaction(); err != nil {
		return fmt.Errorf("beginning: %w", err)
	}
	for _, value := range values {
		if err := producer.ProduceSync(ctx, kgo.StringRecord(value)).FirstErr(); err != nil {
			return fmt.Errorf("sending %s: %w", value, err)
		}
	}
	if err := producer.EndTransaction(ctx, end); err != nil {
		return fmt.Errorf("ending: %w", err)
	}
	return nil
}

// transactions: commits, aborts, empty ones, and a second producer with the id of the first.
func (client *Client) transactions(ctx context.Context, place *suite.Place) error {
	topic := place.Named("transactions")
	if err := client.CreateTopic(ctx, topic, 1, 1); err != nil {
		return err
	}
	old, err := client.open(kgo.TransactionalID(topic), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	defer old.Close()
	if err := one(ctx, old, kgo.TryCommit, "one", "two"); err != nil {
		return err
	}
	if err := client.expect(ctx, place, "committed after a commit", topic, true, "one", "two"); err != nil {
		return err
	}
	if err := one(ctx, old, kgo.TryAbort, "aborted"); err != nil {
		return err
	}
	for range 2 {
		if err := errors.Join(one(ctx, old, kgo.TryAbort), one(ctx, old, kgo.TryCommit)); err != nil {
			return fmt.Errorf("without records: %w", err)
		}
	}
	if err := old.BeginTransaction(); err != nil {
		return err
	}
	if err := old.ProduceSync(ctx, kgo.StringRecord("open")).FirstErr(); err != nil {
		return err
	}
	if err := client.expect(ctx, place, "committed while one is open", topic, true, "one", "two"); err != nil {
		return err
	}
	young, err := client.open(kgo.TransactionalID(topic), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	defer young.Close()
	if err := one(ctx, young, kgo.TryCommit, "young"); err != nil {
		return fmt.Errorf("the second producer: %w", err)
	}
	err = old.EndTransaction(ctx, kgo.TryCommit)
	if !errors.Is(err, kerr.ProducerFenced) && !errors.Is(err, kerr.InvalidProducerEpoch) {
		return fmt.Errorf("a commit of the first producer ends with %v", err)
	}
	return errors.Join(
		client.expect(ctx, place, "committed in the end", topic, true, "one", "two", "young"),
		client.expect(ctx, place, "everything", topic, false, "one", "two", "aborted", "open", "young"))
}

// A copier reads numbers, and writes them and its offsets in transactions.
type copier struct {
	session *kgo.GroupTransactSession
	to      string
	stop    context.CancelFunc
	done    chan error
	ended   atomic.Int32
}

func (client *Client) copier(id, group, from, to string) (*copier, error) {
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(client.Bootstrap), kgo.TransactionalID(id), kgo.TransactionTimeout(20*time.Second),
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(from), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RequireStableFetchOffsets(), kgo.HeartbeatInterval(heartbeatInterval),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.FetchMaxWait(200*time.Millisecond))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	running := &copier{session: session, to: to, stop: cancel, done: make(chan error, 1)}
	go func() { running.done <- running.run(ctx) }()
	return running, nil
}

func (running *copier) run(ctx context.Context) error {
	for ctx.Err() == nil {
		fetches := running.session.PollRecords(ctx, 100)
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := running.session.Begin(); err != nil {
			return fmt.Errorf("beginning: %w", err)
		}
		failed := kgo.AbortingFirstErrPromise(running.session.Client())
		fetches.EachRecord(func(record *kgo.Record) {
			copied := &kgo.Record{Topic: running.to, Partition: record.Partition, Value: record.Value}
			running.session.Produce(context.Background(), copied, failed.Promise())
		})
		committed, err := running.session.End(context.Background(), failed.Err() == nil)
		if err != nil {
			return fmt.Errorf("ending: %w", err)
		}
		if committed {
			running.ended.Add(1)
		}
	}
	return nil
}

// leave ends between two transactions.
func (running *copier) leave() error {
	running.stop()
	err := <-running.done
	running.session.Close()
	return err
}

// transactionalGroup copies numbers while members of the group come and go: each number arrives once, and in its order.
func (client *Client) transactionalGroup(ctx context.Context, place *suite.Place) error {
	const partitions, each = 6, 1000
	from, to, group := place.Named("numbers"), place.Named("copies"), place.Named("copiers")
	if err := errors.Join(client.CreateTopic(ctx, from, partitions, 1), client.CreateTopic(ctx, to, partitions, 1)); err != nil {
		return err
	}
	producing, stop := context.WithCancel(ctx)
	defer stop()
	produced := make(chan error, 1)
	go func() { produced <- client.numbers(producing, from, partitions, each) }()

	stays, err := client.copier(group+"-0", group, from, to)
	if err != nil {
		return err
	}
	for change := 1; change <= 4; change++ {
		// Some ids come back: what they left is ended first.
		comes, err := client.copier(fmt.Sprintf("%s-%d", group, 1+change%2), group, from, to)
		if err != nil {
			return err
		}
		enough := stays.ended.Load() + 3
		busy := func() (bool, error) {
			return comes.ended.Load() >= 3 && stays.ended.Load() >= enough || len(produced) > 0, nil
		}
		if err := suite.Until(ctx, busy, "both members copy"); err != nil {
			return errors.Join(err, comes.leave(), stays.leave())
		}
		if err := comes.leave(); err != nil {
			return fmt.Errorf("a member that comes and goes: %w", err)
		}
	}
	if err := <-produced; err != nil {
		return fmt.Errorf("producing: %w", err)
	}
	copied := func() (bool, error) {
		count := 0
		values, err := client.everything(ctx, to, true)
		for _, found := range values {
			count += len(found)
		}
		return count >= partitions*each || len(stays.done) > 0, err
	}
	err = suite.Until(ctx, copied, "all numbers are copied")
	if err = errors.Join(err, stays.leave()); err != nil {
		return err
	}
	return client.eachOnce(ctx, to, partitions, each)
}

func (client *Client) eachOnce(ctx context.Context, topic string, partitions, each int) error {
	values, err := client.everything(ctx, topic, true)
	if err != nil {
		return err
	}
	for partition := range int32(partitions) {
		if len(values[partition]) != each {
			return fmt.Errorf("%d numbers arrived in partition %d, not %d", len(values[partition]), partition, each)
		}
		for number, value := range values[partition] {
			if value != strconv.Itoa(number) {
				return fmt.Errorf("%s arrived in partition %d as number %d", value, partition, number)
			}
		}
	}
	return nil
}

// numbers writes 0, 1, 2 and so on to each partition, in transactions of which some are aborted and repeated, over some seconds.
func (client *Client) numbers(ctx context.Context, topic string, partitions, each int) error {
	producer, err := client.open(kgo.TransactionalID(topic), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer producer.Close()
	const step = 20
	ticks := time.NewTicker(100 * time.Millisecond)
	defer ticks.Stop()
	for first, attempt := 0, 0; first < each; attempt++ {
		if err := producer.BeginTransaction(); err != nil {
			return err
		}
		var records []*kgo.Record
		for number := first; number < first+step; number++ {
			for partition := range int32(partitions) {
				records = append(records, &kgo.Record{Partition: partition, Value: []byte(strconv.Itoa(number))})
			}
		}
		if err := producer.ProduceSync(ctx, records...).FirstErr(); err != nil {
			return err
		}
		commits := attempt%5 != 3
		if err := producer.EndTransaction(ctx, kgo.TransactionEndTry(commits)); err != nil {
			return err
		}
		if commits {
			first += step
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticks.C:
		}
	}
	return nil
}
