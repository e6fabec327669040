package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// pace sleeps as long as a rate asks for. Without a rate it does nothing. A time in which it is paused does not count.
type pace struct {
	begun          time.Time
	bytesPerSecond int
	bytes          int
	// Of replays alone: a word from stdin at a time, closed at its end.
	words <-chan string
}

// spend takes note of what was read and waits until more is due; false when stdin is closed.
func (p *pace) spend(bytes int) bool {
	p.bytes += bytes
	if p.bytesPerSecond == 0 {
		return true
	}
	for {
		due := p.begun.Add(time.Duration(float64(p.bytes) / float64(p.bytesPerSecond) * float64(time.Second)))
		select {
		case <-time.After(time.Until(due)):
			return true
		case word, open := <-p.words:
			if !open || word == "pause" && !p.wait() {
				return false
			}
		}
	}
}

// wait returns when it is told to resume; false when stdin is closed.
func (p *pace) wait() bool {
	since := time.Now()
	defer func() { p.begun = p.begun.Add(time.Since(since)) }()
	for word := range p.words {
		if word == "resume" {
			return true
		}
	}
	return false
}

func codec(name string) (kgo.CompressionCodec, error) {
	switch name {
	case "none":
		return kgo.NoCompression(), nil
	case "lz4":
		return kgo.Lz4Compression(), nil
	}
	return kgo.CompressionCodec{}, fmt.Errorf("unknown compression %q", name)
}

// load produces orders as JSON, 64 to a partition at a time, and ends when all of them are acknowledged.
func load(ctx context.Context, asked arguments) error {
	compression, err := codec(asked.Compression)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(asked.Bootstrap), kgo.ProducerBatchCompression(compression), kgo.RecordPartitioner(kgo.ManualPartitioner()),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	var guard sync.Mutex
	var failure error
	delivered := 0
	report := func(_ *kgo.Record, err error) {
		guard.Lock()
		defer guard.Unlock()
		if err != nil {
			failure = err
			return
		}
		delivered++
	}
	orders := newOrders(1)
	rate := pace{begun: time.Now(), bytesPerSecond: asked.BytesPerSecond}
	for number := range asked.Records {
		key, value := orders.next()
		partition := int32(number / 64 % asked.Partitions)
		client.Produce(ctx, &kgo.Record{Topic: asked.Topic, Partition: partition, Key: key, Value: value}, report)
		if number%64 == 63 {
			rate.spend(64 * recordBytes)
		}
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	guard.Lock()
	defer guard.Unlock()
	if delivered != asked.Records {
		return fmt.Errorf("%d of %d records were acknowledged: %v", delivered, asked.Records, failure)
	}
	return show(asked.Records, time.Since(rate.begun), 0)
}

// replay reads a topic from its first to its last record: each offset of each partition once and in order, and as many records as were
// asked for. Endless replays begin when stdin says "resume", wait from each "pause" to the next "resume", begin again at the end of the
// topic and stop when stdin is closed; what they have read is told then.
func replay(ctx context.Context, asked arguments) error {
	rate := pace{begun: time.Now(), bytesPerSecond: asked.BytesPerSecond}
	if asked.Endless {
		rate.words = wordsOfStdin()
		if !rate.wait() {
			return show(0, time.Since(rate.begun), 0)
		}
	}
	read := 0
	for passes := 0; ; passes++ {
		of, err := pass(ctx, asked, &rate)
		read += of
		if err != nil {
			return err
		}
		if !asked.Endless || of < asked.Records {
			return show(read, time.Since(rate.begun), passes)
		}
	}
}

func wordsOfStdin() <-chan string {
	words := make(chan string)
	go func() {
		defer close(words)
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			words <- lines.Text()
		}
	}()
	return words
}

func pass(ctx context.Context, asked arguments, rate *pace) (int, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(asked.Bootstrap), kgo.ConsumeTopics(asked.Topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	most := -1
	if asked.BytesPerSecond > 0 {
		// A tenth of a second's worth: a consumer that works evenly.
		most = max(1, asked.BytesPerSecond/recordBytes/10)
	}
	next, ends := make([]int64, asked.Partitions), make([]int64, asked.Partitions)
	read := 0
	for read < asked.Records {
		fetches := client.PollRecords(ctx, most)
		if err := fetches.Err(); err != nil {
			return read, fmt.Errorf("%d of %d records read: %w", read, asked.Records, err)
		}
		count, err := follow(fetches, next, ends)
		if err != nil {
			return read, err
		}
		read += count
		if !rate.spend(count * recordBytes) {
			return read, nil
		}
	}
	for partition, end := range ends {
		if next[partition] != end {
			return read, fmt.Errorf("partition %d was read to %d and ends at %d", partition, next[partition], end)
		}
	}
	if read != asked.Records {
		return read, fmt.Errorf("%d records were read in place of %d", read, asked.Records)
	}
	return read, nil
}

// follow proves that what was fetched goes on where each partition was, and counts it.
func follow(fetches kgo.Fetches, next, ends []int64) (int, error) {
	count := 0
	var failure error
	fetches.EachPartition(func(fetched kgo.FetchTopicPartition) {
		partition := fetched.Partition
		ends[partition] = max(ends[partition], fetched.HighWatermark)
		for _, record := range fetched.Records {
			if record.Offset != next[partition] || len(record.Value) != recordBytes {
				failure = fmt.Errorf(
					"partition %d: offset %d with %d bytes came in place of offset %d", partition, record.Offset, len(record.Value), next[partition],
				)
				return
			}
			next[partition]++
			count++
		}
	})
	return count, failure
}

func show(records int, took time.Duration, passes int) error {
	seconds := took.Seconds()
	rate := float64(records) * recordBytes / seconds
	found := map[string]any{"records": records, "seconds": seconds, "bytes_per_second": rate, "passes": passes}
	return json.NewEncoder(os.Stdout).Encode(found)
}
