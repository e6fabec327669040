// Command franz-go is one stock franz-go client for the bench: franz-go KIND JSON prints one line of JSON.
//
// KIND is produce, consume, transactions, load or replay. A client has franz-go's defaults (idempotent, acks of all, compression) apart
// from the compression, which is off as for the other clients unless load is told one.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const recordBytes = 1024

type arguments struct {
	Bootstrap  string `json:"bootstrap"`
	Topic      string `json:"topic"`
	Records    int    `json:"records"`
	Partitions int    `json:"partitions"`
	// Of load and replay alone. Without a rate they are as fast as they can; without a time they have the two minutes of the others.
	Compression    string `json:"compression"`
	BytesPerSecond int    `json:"bytes_per_second"`
	Endless        bool   `json:"endless"`
	TimeoutSeconds int    `json:"timeout_seconds"`
}

type result struct {
	Records        int     `json:"records"`
	Seconds        float64 `json:"seconds"`
	BytesPerSecond float64 `json:"bytes_per_second"`
}

func produce(ctx context.Context, asked arguments) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(asked.Bootstrap), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	value := make([]byte, recordBytes)
	if _, err := rand.Read(value); err != nil {
		return err
	}
	var once sync.Once
	var failure error
	delivered := func(_ *kgo.Record, err error) {
		if err != nil {
			once.Do(func() { failure = err })
		}
	}
	for number := range asked.Records {
		partition := int32(number / 64 % asked.Partitions)
		client.Produce(ctx, &kgo.Record{Topic: asked.Topic, Partition: partition, Value: value}, delivered)
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	return failure
}

func consume(ctx context.Context, asked arguments) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(asked.Bootstrap), kgo.ConsumeTopics(asked.Topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	for read := 0; read < asked.Records; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		read += fetches.NumRecords()
	}
	return nil
}

// quantiles are those that the bench shows, in milliseconds.
func quantiles(durations []time.Duration) map[string]float64 {
	slices.Sort(durations)
	at := func(share int) float64 { return float64(durations[len(durations)*share/100].Microseconds()) / 1000 }
	return map[string]float64{"p50": at(50), "p99": at(99)}
}

// transactions runs one after another, each with a record for each partition; the spreads are of commits and of whole transactions.
func transactions(ctx context.Context, asked arguments) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(asked.Bootstrap), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(0),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID(fmt.Sprintf("bench-%s-%d", asked.Topic, os.Getpid())),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	value, warmup := make([]byte, recordBytes), max(10, asked.Records/10)
	if _, err := rand.Read(value); err != nil {
		return err
	}
	var commits, wholes []time.Duration
	for number := range asked.Records + warmup {
		begun := time.Now()
		if err := client.BeginTransaction(); err != nil {
			return err
		}
		records := make([]*kgo.Record, asked.Partitions)
		for partition := range records {
			records[partition] = &kgo.Record{Topic: asked.Topic, Partition: int32(partition), Value: value}
		}
		if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
			return err
		}
		ending := time.Now()
		if err := client.EndTransaction(ctx, kgo.TryCommit); err != nil {
			return err
		}
		if number >= warmup {
			commits, wholes = append(commits, time.Since(ending)), append(wholes, time.Since(begun))
		}
	}
	spreads := map[string]any{"records": asked.Records, "commit_ms": quantiles(commits), "whole_ms": quantiles(wholes)}
	return json.NewEncoder(os.Stdout).Encode(spreads)
}

func run() error {
	if len(os.Args) != 3 {
		return fmt.Errorf("usage: franz-go produce|consume|transactions|load|replay JSON")
	}
	var asked arguments
	if err := json.Unmarshal([]byte(os.Args[2]), &asked); err != nil {
		return err
	}
	timeout := 2 * time.Minute
	if asked.TimeoutSeconds > 0 {
		timeout = time.Duration(asked.TimeoutSeconds) * time.Second
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	switch os.Args[1] {
	case "transactions":
		return transactions(ctx, asked)
	case "load":
		return load(ctx, asked)
	case "replay":
		return replay(ctx, asked)
	}
	kinds := map[string]func(context.Context, arguments) error{"produce": produce, "consume": consume}
	work, known := kinds[os.Args[1]]
	if !known {
		return fmt.Errorf("unknown kind %s", os.Args[1])
	}
	begun := time.Now()
	if err := work(ctx, asked); err != nil {
		return err
	}
	seconds := time.Since(begun).Seconds()
	bytes := float64(asked.Records) * recordBytes / seconds
	return json.NewEncoder(os.Stdout).Encode(result{asked.Records, seconds, bytes})
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
