// The worker program is franz-go, steered by a test: ../../worker/README.md says what it is told and what it prints.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type role struct {
	settings map[string]string
	name     string
	finish   chan struct{}
	once     sync.Once
}

var (
	writing sync.Mutex
	out     = bufio.NewWriter(os.Stdout)
)

func (r *role) say(lines ...string) {
	writing.Lock()
	defer writing.Unlock()
	for _, line := range lines {
		fmt.Fprintf(out, "%s %s\n", r.name, strings.ReplaceAll(line, "\n", " "))
	}
	out.Flush()
}

func main() {
	common := make(map[string]string)
	roles := make(map[string]*role)
	for _, argument := range os.Args[1:] {
		parts := strings.Split(argument, ",")
		if !slices.Contains([]string{"produce", "consume", "copy"}, parts[0]) {
			put(common, argument)
			continue
		}
		settings := maps.Clone(common)
		for _, pair := range parts[1:] {
			put(settings, pair)
		}
		r := &role{settings: settings, name: settings["name"], finish: make(chan struct{})}
		roles[r.name] = r
		go r.run(map[string]func() error{"produce": r.produce, "consume": r.consume, "copy": r.copy}[parts[0]])
	}
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		r := roles[strings.TrimPrefix(commands.Text(), "finish ")]
		r.once.Do(func() { close(r.finish) })
	}
}

func put(settings map[string]string, pair string) {
	key, value, _ := strings.Cut(pair, "=")
	settings[key] = value
}

func (r *role) run(work func() error) {
	if err := work(); err != nil {
		r.say("failed " + err.Error())
		return
	}
	r.say("done")
}

func (r *role) common() []kgo.Opt {
	options := []kgo.Opt{kgo.SeedBrokers(strings.Split(r.settings["bootstrap"], ",")...), kgo.ClientID(r.name)}
	if rack, given := r.settings["rack"]; given {
		options = append(options, kgo.Rack(rack))
	}
	if milliseconds, err := strconv.Atoi(r.settings["metadata_min_age_ms"]); err == nil {
		options = append(options, kgo.MetadataMinAge(time.Duration(milliseconds)*time.Millisecond))
	}
	return options
}

func (r *role) produce() error {
	options := append(r.common(), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(r.settings["topic"]))
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer client.Close()
	partitions, err := strconv.Atoi(r.settings["partitions"])
	if err != nil {
		return err
	}
	rate, err := strconv.Atoi(r.settings["rate"])
	if err != nil {
		return err
	}
	r.say("ready")
	ticks := time.NewTicker(time.Second / time.Duration(rate))
	defer ticks.Stop()
	for sent := 0; ; sent++ {
		partition, number := sent%partitions, sent/partitions
		value := fmt.Sprintf("%s %d %d", r.name, partition, number)
		record := &kgo.Record{Partition: int32(partition), Value: []byte(value)}
		client.Produce(context.Background(), record, func(record *kgo.Record, err error) {
			if err != nil {
				r.say("failed " + value + ": " + err.Error())
				return
			}
			r.say(fmt.Sprintf("ack %d %d %d", record.Partition, record.Offset, number))
		})
		select {
		case <-r.finish:
			return client.Flush(context.Background())
		case <-ticks.C:
		}
	}
}

// What a member owns, as its callbacks tell it.
type ownership struct {
	role  *role
	mutex sync.Mutex
	owned map[int32]bool
}

func (o *ownership) assigned(_ context.Context, client *kgo.Client, added map[string][]int32) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for _, partition := range added[o.role.settings["topic"]] {
		o.owned[partition] = true
	}
	_, generation := client.GroupMetadata()
	o.role.say(fmt.Sprintf("owns %d %s", generation, listed(slices.Collect(maps.Keys(o.owned)))))
}

func (o *ownership) gone(word string) func(context.Context, *kgo.Client, map[string][]int32) {
	return func(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
		o.mutex.Lock()
		defer o.mutex.Unlock()
		partitions := gone[o.role.settings["topic"]]
		for _, partition := range partitions {
			delete(o.owned, partition)
		}
		if len(partitions) > 0 {
			o.role.say(word + " " + listed(partitions))
		}
	}
}

func listed(partitions []int32) string {
	sorted := slices.Sorted(slices.Values(partitions))
	words := make([]string, len(sorted))
	for i, partition := range sorted {
		words[i] = strconv.Itoa(int(partition))
	}
	return strings.Join(words, ",")
}

func (r *role) consume() error {
	owned := &ownership{role: r, owned: make(map[int32]bool)}
	options := append(r.common(),
		kgo.ConsumerGroup(r.settings["group"]), kgo.ConsumeTopics(r.settings["topic"]), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.OnPartitionsAssigned(owned.assigned), kgo.OnPartitionsRevoked(owned.gone("revoked")), kgo.OnPartitionsLost(owned.gone("lost")))
	if instance, given := r.settings["instance"]; given {
		options = append(options, kgo.InstanceID(instance))
	}
	if r.settings["isolation"] == "read_committed" {
		options = append(options, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	switch r.settings["assignor"] {
	case "range":
		options = append(options, kgo.Balancers(kgo.RangeBalancer()))
	case "cooperative":
		options = append(options, kgo.Balancers(kgo.CooperativeStickyBalancer()))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-r.finish
		cancel()
	}()
	r.say("ready")
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		fetches.EachError(func(_ string, _ int32, err error) {
			if !errors.Is(err, context.Canceled) && !errors.Is(err, io.EOF) {
				r.say("note " + err.Error())
			}
		})
		var lines []string
		fetches.EachRecord(func(record *kgo.Record) {
			lines = append(lines, fmt.Sprintf("got %d %d %s", record.Partition, record.Offset, record.Value))
		})
		if len(lines) > 0 {
			r.say(lines...)
			client.CommitOffsets(context.Background(), client.UncommittedOffsets(), r.committed)
		}
	}
	return r.leave(client)
}

func (r *role) committed(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, _ *kmsg.OffsetCommitResponse, err error) {
	if err != nil {
		r.say("note commit: " + err.Error())
	}
}

func (r *role) leave(client *kgo.Client) error {
	// A group that is being rebalanced, or whose coordinator moves, takes the last commit a little later.
	var err error
	for range 20 {
		if err = client.CommitUncommittedOffsets(context.Background()); err == nil {
			return client.LeaveGroupContext(context.Background())
		}
		r.say("note last commit: " + err.Error())
		time.Sleep(200 * time.Millisecond)
	}
	return err
}
