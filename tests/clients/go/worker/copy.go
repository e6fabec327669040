package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// copy copies in transactions; a session that is out of order is replaced, and its successor ends what it left.
func (r *role) copy() error {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-r.finish
		cancel()
	}()
	r.say("ready")
	for ctx.Err() == nil {
		options := append(r.common(),
			kgo.TransactionalID(r.settings["id"]), kgo.TransactionTimeout(15*time.Second), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.ConsumerGroup(r.settings["group"]), kgo.ConsumeTopics(r.settings["topic"]), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RequireStableFetchOffsets(), kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(time.Second))
		session, err := kgo.NewGroupTransactSession(options...)
		if err != nil {
			return err
		}
		for err == nil && ctx.Err() == nil {
			err = r.copyOnce(ctx, session)
		}
		if err != nil {
			r.say("note begins anew: " + err.Error())
		}
		session.Close()
	}
	return nil
}

// copyOnce is one transaction, with what one poll brings and the offsets behind it.
func (r *role) copyOnce(ctx context.Context, session *kgo.GroupTransactSession) error {
	fetches := session.PollFetches(ctx)
	count := fetches.NumRecords()
	if count == 0 {
		return nil
	}
	if err := session.Begin(); err != nil {
		return err
	}
	failed := kgo.AbortingFirstErrPromise(session.Client())
	fetches.EachRecord(func(record *kgo.Record) {
		copied := &kgo.Record{Topic: r.settings["to"], Partition: record.Partition, Value: record.Value}
		session.Produce(context.Background(), copied, failed.Promise())
	})
	failure := failed.Err()
	committed, err := session.End(context.Background(), failure == nil)
	switch {
	case err != nil:
		return err
	case committed:
		r.say(fmt.Sprintf("copied %d", count))
	default:
		r.say(fmt.Sprintf("note aborts: %v", failure))
	}
	return nil
}
